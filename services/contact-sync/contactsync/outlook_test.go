package contactsync

import (
	"context"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"sync"
	"time"

	"offhook.dev/libs/books"
	"offhook.dev/libs/core/directory"
	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/topology"
	"offhook.dev/libs/wire"
)

// outlook is a mailbox with the part of graph-poller that reads its contacts. Changes
// since the last reading are what a delta query would tell.
type outlook struct {
	s      *stage
	who    identity.Person
	shared bool
	size   int // contacts of a page

	reading sync.Mutex // held by who reads: one reading of a mailbox comes after the other

	mu      sync.Mutex // guards what follows
	folders map[string]map[string]directory.Contact
	changed map[string]map[string]bool // by folder and source
	round   uint64
	lastAt  time.Time // when the last reading of everything began
	mute    bool      // nobody reads it whole, whoever asks
}

// mailbox adds a mailbox. It is read whole whenever contact-sync says that it lacks
// something.
func (s *stage) mailbox(who identity.Person, shared bool) *outlook {
	o := &outlook{s: s, who: who, shared: shared, size: 1_000, folders: map[string]map[string]directory.Contact{"contacts": {}}, changed: map[string]map[string]bool{}}
	s.mailboxes[who] = o
	s.background("reader of "+string(who.User), func(ctx context.Context) error {
		return books.Watch(ctx, s.stores[topology.Books], func(mailbox identity.Person, after time.Time) {
			if mailbox == who && !after.IsZero() {
				o.readAfter(after)
			}
		}, func() {})
	})
	return o
}

// contact is the i-th, in its n-th version.
func contact(i, n int) directory.Contact {
	return directory.Contact{
		Source: directory.SourceKey(fmt.Sprint("contact ", i)), FirstName: fmt.Sprint("Anna ", i), LastName: fmt.Sprint("Version ", n), Company: "Contoso",
		Numbers: []directory.Number{{Kind: directory.MobileNumber, Text: fmt.Sprintf("+49 (0)171 %07d", i)}, {Kind: directory.BusinessNumber, Text: fmt.Sprintf("030 %06d", 900_000+i)}},
	}
}

// put adds or changes contacts of a folder. A contact is in one folder only.
func (o *outlook) put(folder string, all ...directory.Contact) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, c := range all {
		if o.folders[folder] == nil {
			o.folders[folder] = map[string]directory.Contact{}
		}
		for name, others := range o.folders {
			if _, there := others[c.Source]; there && name != folder {
				delete(others, c.Source)
				o.touch(name, c.Source)
			}
		}
		o.folders[folder][c.Source] = c
		o.touch(folder, c.Source)
	}
}

// many adds contacts from one number to another.
func (o *outlook) many(folder string, from, to, version int) {
	for i := from; i < to; i++ {
		o.put(folder, contact(i, version))
	}
}

func (o *outlook) remove(folder string, numbers ...int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, i := range numbers {
		source := contact(i, 0).Source
		delete(o.folders[folder], source)
		o.touch(folder, source)
	}
}

// move takes contacts from one folder to another.
func (o *outlook) move(from, to string, numbers ...int) {
	for _, i := range numbers {
		o.mu.Lock()
		c, ok := o.folders[from][contact(i, 0).Source]
		o.mu.Unlock()
		if ok {
			o.remove(from, i)
			o.put(to, c)
		}
	}
}

func (o *outlook) touch(folder, source string) {
	if o.changed[folder] == nil {
		o.changed[folder] = map[string]bool{}
	}
	o.changed[folder][source] = true
}

// all returns what the mailbox has, in all folders.
func (o *outlook) all() map[string]directory.Contact {
	o.mu.Lock()
	defer o.mu.Unlock()
	all := map[string]directory.Contact{}
	for _, folder := range o.folders {
		maps.Copy(all, folder)
	}
	return all
}

// delta publishes what changed since the last reading.
func (o *outlook) delta() {
	o.reading.Lock()
	defer o.reading.Unlock()
	o.mu.Lock()
	var pages []wire.ContactsPage
	o.round++
	for _, folder := range slices.Sorted(maps.Keys(o.changed)) {
		var contacts []directory.Contact
		var removed []string
		for _, source := range slices.Sorted(maps.Keys(o.changed[folder])) {
			if c, there := o.folders[folder][source]; there {
				contacts = append(contacts, c)
			} else {
				removed = append(removed, source)
			}
		}
		pages = append(pages, o.pages(folder, false, contacts, removed)...)
	}
	o.changed = map[string]map[string]bool{}
	o.mu.Unlock()
	o.send(pages...)
}

// full publishes all folders whole.
func (o *outlook) full() {
	o.reading.Lock()
	defer o.reading.Unlock()
	o.send(o.whole()...)
}

// whole returns the pages of a reading of everything.
func (o *outlook) whole() (pages []wire.ContactsPage) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.round++
	o.lastAt = o.s.bus.Now()
	for _, folder := range slices.Sorted(maps.Keys(o.folders)) {
		var contacts []directory.Contact
		for _, source := range slices.Sorted(maps.Keys(o.folders[folder])) {
			contacts = append(contacts, o.folders[folder][source])
		}
		pages = append(pages, o.pages(folder, true, contacts, nil)...)
	}
	o.changed = map[string]map[string]bool{}
	return pages
}

// readAfter reads everything, unless a reading that began later was made.
func (o *outlook) readAfter(after time.Time) {
	o.reading.Lock()
	defer o.reading.Unlock()
	o.mu.Lock()
	read := !o.mute && o.lastAt.Before(after)
	o.mu.Unlock()
	if read {
		o.send(o.whole()...)
	}
}

func (o *outlook) silence(mute bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.mute = mute
}

func (o *outlook) pages(folder string, full bool, contacts []directory.Contact, removed []string) (pages []wire.ContactsPage) {
	for first := true; first || len(contacts) > 0; first = false {
		n := min(o.size, len(contacts))
		pages = append(pages, wire.ContactsPage{Mailbox: o.who, Shared: o.shared, Folder: folder, Round: o.round, Full: full, First: first, Contacts: contacts[:n], Removed: removed, SeenAt: o.s.bus.Now()})
		contacts, removed = contacts[n:], nil
	}
	pages[len(pages)-1].Last = true
	return pages
}

func (o *outlook) send(pages ...wire.ContactsPage) {
	o.s.t.Helper()
	for _, p := range pages {
		o.s.publish(p)
	}
}

// problem says that the mailbox cannot be read.
func (o *outlook) problem(why string) {
	o.send(wire.ContactsPage{Mailbox: o.who, Shared: o.shared, Problem: why, SeenAt: o.s.bus.Now()})
}

// differences compares every phonebook with what PRODUCT says that it has: the contacts
// of the mailboxes that fill it, each once, with the numbers that the phone system takes.
func (s *stage) differences() (found []string) {
	want := map[directory.Book]map[string]directory.Contact{}
	for who, o := range s.mailboxes {
		for _, where := range s.fills(who, o) {
			if want[where] == nil {
				want[where] = map[string]directory.Contact{}
			}
			maps.Copy(want[where], o.all())
		}
	}
	for id, p := range s.systems {
		p.mu.Lock()
		wheres := slices.Collect(maps.Keys(p.books))
		p.mu.Unlock()
		for where := range want {
			if where.System == id && !slices.Contains(wheres, where) {
				wheres = append(wheres, where)
			}
		}
		for _, where := range wheres {
			has, problems := p.has(where)
			found = append(found, problems...)
			for source, c := range want[where] {
				got, there := has[source]
				if !there {
					found = append(found, fmt.Sprintf("%s lacks %s", where, c.FirstName))
				} else if why := unlike(got, c); why != "" {
					found = append(found, fmt.Sprintf("%s has %s with %s", where, c.FirstName, why))
				}
			}
			for source, c := range has {
				if _, wanted := want[where][source]; !wanted {
					found = append(found, fmt.Sprintf("%s has %s for nobody", where, c.FirstName))
				}
			}
		}
	}
	slices.Sort(found)
	return found[:min(len(found), 5)]
}

// unlike compares an entry with the contact that it is of: two numbers each, of kinds that
// every phone system here takes.
func unlike(got, want directory.Contact) string {
	got.ID = ""
	if reflect.DeepEqual(got, want) {
		return ""
	}
	return fmt.Sprintf("%v instead of %v", got, want)
}

// fills says which phonebooks a mailbox fills.
func (s *stage) fills(who identity.Person, o *outlook) (all []directory.Book) {
	if o.shared {
		for id := range s.systems {
			all = append(all, directory.Book{System: id})
		}
		return all
	}
	e, err := s.stores[topology.Links].Get(s.t.Context(), wire.PersonKey(who))
	if err != nil {
		return nil
	}
	for _, line := range linesOf(s.t, e.Value) {
		if s.systems[line.System] != nil {
			all = append(all, directory.Book{System: line.System, Owner: line.Extension})
		}
	}
	return all
}
