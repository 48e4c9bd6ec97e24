package memory

import (
	"cmp"
	"slices"
	"strconv"

	"offhook.dev/libs/core/directory"
	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/core/presence"
)

// Listed returns what the phone system has under a number; false if nothing.
func (p *PhoneSystem) Listed(ext identity.Extension) (directory.Extension, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if e := p.extensions[ext]; e != nil {
		return *e, true
	}
	return directory.Extension{}, false
}

// Edit changes an extension as an administrator does at the console. One that there is
// not is ignored.
func (p *PhoneSystem) Edit(ext identity.Extension, edit func(*directory.Extension)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if e := p.extensions[ext]; e != nil {
		edit(e)
		e.Number = ext
	}
}

// Add makes an extension as an administrator does. One that there is is ignored.
func (p *PhoneSystem) Add(e directory.Extension) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.extensions[e.Number] == nil {
		p.add(e)
	}
}

// Remove deletes an extension as an administrator does, if there is one.
func (p *PhoneSystem) Remove(ext identity.Extension) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.extensions[ext] != nil {
		p.remove(ext)
	}
}

// Keep makes the phone system refuse to delete an extension, because something else
// needs it.
func (p *PhoneSystem) Keep(ext identity.Extension) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.kept[ext] = true
}

// Room gives the phone system a licence for n extensions more than it has.
func (p *PhoneSystem) Room(n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.licence = len(p.extensions) + n
}

// Photo returns an extension's picture; nil if there is none.
func (p *PhoneSystem) Photo(ext identity.Extension) []byte {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.photos[ext])
}

// Book returns the entries of a phonebook, "" being the company's.
func (p *PhoneSystem) Book(owner identity.Extension) []directory.Contact {
	p.mu.Lock()
	defer p.mu.Unlock()
	var all []directory.Contact
	for _, c := range p.books[owner] {
		all = append(all, copied(c))
	}
	return all
}

// Enter adds an entry to a phonebook, as a person does, and returns its id.
func (p *PhoneSystem) Enter(owner identity.Extension, c directory.Contact) string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.enter(owner, c)
}

// The rest is the phone system's inside. mu is held.

func (p *PhoneSystem) add(e directory.Extension) {
	p.extensions[e.Number] = &e
	p.order, p.unsorted = append(p.order, e.Number), true
	p.show(e.Number, presence.Available)
}

// remove deletes an extension and all that belongs to it.
func (p *PhoneSystem) remove(ext identity.Extension) {
	at := slices.Index(p.order, ext)
	p.order = slices.Delete(p.order, at, at+1)
	delete(p.extensions, ext)
	delete(p.shown, ext)
	delete(p.calls, ext)
	delete(p.photos, ext)
	delete(p.books, ext)
	p.tell()
}

// after returns the first n extensions above a number.
func (p *PhoneSystem) after(last identity.Extension, n int) []directory.Extension {
	if p.unsorted {
		slices.Sort(p.order)
		p.unsorted = false
	}
	from, found := slices.BinarySearch(p.order, last)
	if found {
		from++
	}
	var all []directory.Extension
	for _, ext := range p.order[from:min(from+n, len(p.order))] {
		all = append(all, *p.extensions[ext])
	}
	return all
}

// full says whether the licence allows no more extensions.
func (p *PhoneSystem) full() bool { return p.licence >= 0 && len(p.extensions) >= p.licence }

// owns says whether there is a book for owner.
func (p *PhoneSystem) owns(owner identity.Extension) bool {
	return owner == "" || p.extensions[owner] != nil
}

func (p *PhoneSystem) enter(owner identity.Extension, c directory.Contact) string {
	p.lastID++
	c = copied(c)
	c.ID = strconv.Itoa(p.lastID)
	p.books[owner] = append(p.books[owner], c)
	return c.ID
}

// entry is where an entry is in its book, -1 if it is in none.
func (p *PhoneSystem) entry(owner identity.Extension, id string) int {
	number, err := strconv.Atoi(id)
	at, found := p.from(owner, number)
	if err != nil || !found {
		return -1
	}
	return at
}

// from is where the entries of a book with an id of at least number begin.
func (p *PhoneSystem) from(owner identity.Extension, number int) (at int, found bool) {
	return slices.BinarySearchFunc(p.books[owner], number, func(c directory.Contact, number int) int {
		id, _ := strconv.Atoi(c.ID)
		return cmp.Compare(id, number)
	})
}
