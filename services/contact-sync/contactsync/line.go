package contactsync

import (
	"time"

	"offhook.dev/libs/core/directory"
	"offhook.dev/libs/core/identity"
)

// line are the phonebooks that wait for a place among the series on their way to a phone
// system, in order. What a page leads to is dear to find out, and the phone system takes
// what it takes: whoever stands in line is not looked at before there is a place. Of
// 10,000 mailboxes in a first run all but 64 stand here.
type line struct {
	books  []waiter
	in     map[waiter]bool        // who has found a place by chance is not in it any more
	called map[identity.User]bool // have a place and were not looked at since
}

// waiter is one phonebook of a mailbox.
type waiter struct {
	user identity.User
	book directory.Book
}

func (l *line) join(w waiter) {
	if !l.in[w] {
		l.in[w] = true
		l.books = append(l.books, w)
	}
}

// call gives the first of the line a place.
func (l *line) call() (identity.User, bool) {
	for len(l.books) > 0 {
		w := l.books[0]
		l.books = l.books[1:]
		if l.in[w] {
			delete(l.in, w)
			l.called[w.user] = true
			return w.user, true
		}
	}
	return "", false
}

// line returns the line of a phone system; t.mu is held.
func (t *tenant) line(system identity.System) *line {
	l := t.lines[system]
	if l == nil {
		l = &line{in: map[waiter]bool{}, called: map[identity.User]bool{}}
		t.lines[system] = l
	}
	return l
}

// place says whether another series may be on its way to a phone system; if not, the
// phonebook stands in line.
func (t *tenant) place(w waiter) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	l := t.line(w.book.System)
	taken := t.flights[w.book.System] + len(l.called)
	if l.called[w.user] {
		taken--
	}
	if taken < t.s.opts.InFlight {
		delete(l.in, w)
		return true
	}
	l.join(w)
	return false
}

// free gives those who stand in line the places that are free, after a visit to a mailbox;
// t.mu is held.
func (t *tenant) free(visited identity.User) {
	for system, l := range t.lines {
		delete(l.called, visited)
		for t.flights[system]+len(l.called) < t.s.opts.InFlight {
			user, waits := l.call()
			if !waits {
				break
			}
			t.hurry(user)
		}
	}
}

// lined says whether a page waits for nothing but a place; t.mu is held.
func (t *tenant) lined(user identity.User, m *mailbox, now time.Time) bool {
	if len(m.pages) == 0 || now.Sub(m.pages[0].at) > t.s.opts.Patience {
		return false
	}
	for where := range m.books {
		if t.line(where.System).in[waiter{user, where}] {
			return true
		}
	}
	return false
}
