package poller

import (
	"offhook.dev/libs/core/directory"
	"offhook.dev/libs/graph"
)

const (
	// pageBytes is the size of a page of contacts as the broker takes it, well below its
	// limit of a megabyte with what comes around them.
	pageBytes = 900 << 10
	// aroundContact is what a contact takes beside its texts, at most: its source, and
	// tags and lengths of all fields.
	aroundContact = 256
)

// contactOf is a contact of Outlook's as phone systems have them.
//
//	Outlook                         phonebook
//	first and second business       business, business2
//	first and second home           home, home2
//	mobile                          mobile
//	a third business or home one    other; who fits them into a phonebook keeps one
//
// One that has neither names nor a company, or a display name that says something else,
// is called by its display name.
func contactOf(c graph.Contact) directory.Contact {
	to := directory.Contact{Source: directory.SourceKey(c.ID), FirstName: c.GivenName, LastName: c.Surname, Company: c.Company,
		Title: c.Title, Department: c.Department, Mail: c.Mail,
		Numbers: directory.NumbersOf(c.Mobile, c.Business, c.Home)}
	if c.GivenName == "" && c.Surname == "" && c.DisplayName != c.Company {
		to.LastName = c.DisplayName
	}
	return to
}

// sizeOf is how many bytes a contact takes in a page, at most.
func sizeOf(c directory.Contact) int {
	size := aroundContact + len(c.Source) + len(c.FirstName) + len(c.LastName) + len(c.Company) + len(c.Title) + len(c.Department) + len(c.Mail)
	for _, n := range c.Numbers {
		size += len(n.Kind) + len(n.Text) + 16
	}
	return size
}

// part is as much of a page as fits into one message.
type part struct {
	contacts []directory.Contact
	removed  []string
	size     int
}

// parts divides what Graph answered at once. One contact that fits into no message is
// left out and counted.
func parts(page graph.ContactPage) (all []part, dropped int) {
	var now part
	room := func(size int) {
		if now.size > 0 && now.size+size > pageBytes {
			all = append(all, now)
			now = part{}
		}
		now.size += size
	}
	for _, c := range page.Contacts {
		contact := contactOf(c)
		size := sizeOf(contact)
		if size > pageBytes {
			dropped++
			continue
		}
		room(size)
		now.contacts = append(now.contacts, contact)
	}
	for _, id := range page.Removed {
		source := directory.SourceKey(id)
		room(len(source) + 4)
		now.removed = append(now.removed, source)
	}
	if now.size > 0 {
		all = append(all, now)
	}
	return all, dropped
}
