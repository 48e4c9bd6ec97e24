package contactsync

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"slices"
	"time"

	"offhook.dev/libs/books"
	"offhook.dev/libs/bus"
	"offhook.dev/libs/core/directory"
	"offhook.dev/libs/core/fault"
	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/topology"
	"offhook.dev/libs/wire"
)

// visit is one look at a mailbox by a worker.
type visit struct {
	t      *tenant
	who    identity.Person
	m      *mailbox // of which t.mu guards everything
	stands map[directory.Book]standing
	// The page that was fetched last: several books fold the same.
	message bus.Message
	page    wire.ContactsPage
	bad     map[uint64]error // pages that cannot be read
	// began is when the reading began whose first page waits first; zero: another does.
	// virgin: nothing was known of the mailbox.
	began  time.Time
	virgin bool
}

// advance does for a mailbox all that can be done now, and takes away the pages that
// nothing waits for any more. Each book goes on by itself: one whose phone system does
// not answer holds up no other.
func (t *tenant) advance(ctx context.Context, user identity.User) error {
	v := &visit{t: t, who: identity.Person{Tenant: t.conf.ID, User: user}, bad: map[uint64]error{}}
	t.mu.Lock()
	v.m = t.mailbox(user)
	v.virgin = len(v.m.books) == 0
	first, waits := waiting{}, len(v.m.pages) > 0
	if waits {
		first = v.m.pages[0]
	}
	t.mu.Unlock()
	if waits {
		if err := v.fetch(ctx, first); err != nil && v.bad[first.sequence] == nil && fault.KindOf(err) != fault.NotFound {
			return err
		}
	}
	if v.page.Full && v.page.First && v.page.Problem == "" {
		v.began = v.page.SeenAt
	}
	v.stands = t.standings(v.who, v.m)
	var errs []error
	for _, where := range slices.SortedFunc(maps.Keys(v.stands), compareBooks) {
		errs = append(errs, v.step(ctx, where))
	}
	errs = append(errs, v.drop(ctx), v.ask(ctx))
	return errors.Join(errs...)
}

func compareBooks(a, b directory.Book) int {
	return cmp.Or(cmp.Compare(a.System, b.System), cmp.Compare(a.Owner, b.Owner))
}

// fetch makes a page the one at hand. One that is not there any more is forgotten.
func (v *visit) fetch(ctx context.Context, w waiting) error {
	if v.message.Sequence == w.sequence {
		return nil
	}
	if err := v.bad[w.sequence]; err != nil {
		return err
	}
	m, err := v.t.s.bus.At(ctx, topology.Pages, w.sequence)
	if fault.KindOf(err) == fault.NotFound {
		v.forget(w.sequence)
	}
	if err != nil {
		return err
	}
	page, err := wire.DecodeContactsPage(m.Data)
	switch {
	case err != nil:
	case m.Hops > bus.MaxHops:
		err = fault.Errorf(fault.Invalid, "contacts page", "%d messages led to it, more than %d", m.Hops, bus.MaxHops)
	case page.Mailbox != v.who:
		err = fault.Errorf(fault.Invalid, "contacts page", "it is of another mailbox than its subject says")
	}
	if err != nil {
		v.bad[w.sequence] = err
		v.message, v.page = bus.Message{}, wire.ContactsPage{}
		return err
	}
	v.message, v.page = m, page
	v.t.mu.Lock()
	defer v.t.mu.Unlock()
	v.m.shared = page.Shared
	return nil
}

func (v *visit) forget(sequence uint64) {
	v.t.mu.Lock()
	defer v.t.mu.Unlock()
	v.m.pages = slices.DeleteFunc(v.m.pages, func(w waiting) bool { return w.sequence == sequence })
}

// pages returns a copy of what waits.
func (v *visit) pages() []waiting {
	v.t.mu.Lock()
	defer v.t.mu.Unlock()
	return slices.Clone(v.m.pages)
}

// drop takes away the pages that no book needs any more.
func (v *visit) drop(ctx context.Context) error {
	for _, w := range v.pages() {
		if v.needed(w) {
			return nil // the others come after it
		}
		if err := v.bad[w.sequence]; err != nil {
			m, gone := v.t.s.bus.At(ctx, topology.Pages, w.sequence)
			if gone == nil {
				if err := v.t.s.opts.effects.Around("park", func() error { return v.t.s.bus.Park(ctx, topology.Pages, m, err) }); err != nil {
					return err
				}
				v.t.log.Warn("a page that cannot be read is parked", "mailbox", v.who.User, "error", err)
			}
		}
		if err := v.t.s.opts.effects.Around("remove", func() error { return v.t.s.bus.Remove(ctx, topology.Pages, w.sequence) }); err != nil {
			return err
		}
		v.forget(w.sequence)
		v.t.s.metrics.page(ctx, v.t.conf.ID)
	}
	return nil
}

// needed says whether a book has not done with a page. One that is nobody's waits for a
// moment: the word that somebody has an extension may be slower than the first page.
func (v *visit) needed(w waiting) bool {
	v.t.mu.Lock()
	defer v.t.mu.Unlock()
	if len(v.stands) == 0 {
		return v.t.s.bus.Now().Sub(w.at) < v.t.s.opts.Reread
	}
	for where, stands := range v.stands {
		b, known := v.m.books[where]
		if !known {
			if stands.wanted {
				return true
			}
			continue
		}
		if b.at < w.sequence || b.at == w.sequence && b.open {
			return true
		}
	}
	return false
}

// ask keeps the note that a mailbox is to be read whole: it stands there for as long as
// something is missing that no page on its way brings.
func (v *visit) ask(ctx context.Context) error {
	now := v.t.s.bus.Now()
	want := v.lacks(now)
	v.t.mu.Lock()
	asked, revision := v.m.asked, v.m.askedRevision
	v.t.mu.Unlock()
	key := books.LacksKey(v.who)
	switch {
	case want.IsZero() && asked.IsZero(), !want.IsZero() && !asked.Before(want):
		return nil
	case want.IsZero():
		if err := v.t.s.opts.effects.Around("unask", func() error { return v.t.s.books.Delete(ctx, key, revision) }); err != nil {
			return err
		}
		revision = 0
	default:
		err := v.t.s.opts.effects.Around("ask", func() (err error) {
			revision, err = v.t.s.books.Set(ctx, key, books.EncodeLacks(want), revision)
			return err
		})
		if err != nil {
			return err
		}
		v.t.log.Info("a mailbox has to be read whole", "mailbox", v.who.User)
	}
	v.t.mu.Lock()
	defer v.t.mu.Unlock()
	v.m.asked, v.m.askedRevision = want, revision
	return nil
}

// lacks returns after when the mailbox has to be read whole; zero: it has not. What
// lacks may be on its way, so it has to have lacked for a moment, unless somebody waits.
func (v *visit) lacks(now time.Time) time.Time {
	v.t.mu.Lock()
	defer v.t.mu.Unlock()
	var since time.Time
	for where, stands := range v.stands {
		if at := v.lacking(where, stands, now); at.After(since) {
			since = at
		}
	}
	if since.IsZero() {
		v.m.lacking = time.Time{}
		return since
	}
	if v.m.lacking.IsZero() {
		v.m.lacking = now
	}
	if since.After(v.m.asked) && v.t.job == nil && now.Sub(v.m.lacking) < v.t.s.opts.Reread {
		return v.m.asked
	}
	return since
}

// lacking returns after when the mailbox has to be read whole for one book; t.mu is held.
func (v *visit) lacking(where directory.Book, stands standing, now time.Time) time.Time {
	b, known := v.m.books[where]
	switch {
	case !stands.served, b.flight != "":
	case known && !b.unread.IsZero():
		return b.unread
	case !known, b.Creates+b.Updates > 0 && len(v.m.pages) == 0:
		if v.m.asked.IsZero() {
			return now
		}
		return v.m.asked
	}
	return time.Time{}
}
