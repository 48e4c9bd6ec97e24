package contactsync

import (
	"slices"
	"time"

	"offhook.dev/libs/books"
	"offhook.dev/libs/core/directory"
	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/links"
)

// standing is what a phonebook is to a mailbox at the moment.
type standing struct {
	wanted bool      // it should be filled
	served bool      // it is filled: it is wanted, and nothing is against it
	since  time.Time // of a served one: what was read before is missing
	leave  leaving
	why    string // in the words of State
	takes  takes
	// writable: the phone system has such a book, which nothing else keeps.
	writable bool
}

// takes is what a phone system takes of a contact.
type takes struct {
	kinds  []directory.NumberKind
	limits map[directory.Field]int // characters; of a field that is not in it, as many as there are
}

// leaving says when a book that is not served loses what it has of the mailbox.
type leaving uint8

const (
	stay     leaving = iota // not at all; somebody may lift that
	wait                    // after the hold
	leaveNow                // at once
)

// The reasons of the state: a closed list.
const (
	whySynced     = books.Synced
	whyUnknown    = "system not seen yet"
	whyNoBook     = "system has no such phonebook"
	whyKept       = "kept by the system's own sync"
	whyOff        = "not asked for any more"
	whyMoved      = "extension is somebody else's"
	whyUnlinked   = "extension is nobody's"
	whyNotServed  = "system does not serve the tenant"
	whyProblem    = "mailbox cannot be read"
	whyHeld       = "deletions held back"
	whyTrouble    = "refused by the system"
	whyFull       = "too many contacts"
	whyUnread     = books.Unread
	whyInProgress = books.InProgress
	whyPolicy     = books.PolicyOff
)

var everyWhy = []string{whySynced, whyUnknown, whyNoBook, whyKept, whyOff, whyMoved, whyUnlinked, whyNotServed, whyProblem, whyHeld, whyTrouble, whyFull, whyUnread, whyInProgress, whyPolicy}

// standings returns what each phonebook is to a mailbox: those that it should fill, and
// those that it filled before.
//
//	shared mailbox    the company's book of every phone system that serves the tenant
//	personal mailbox  the book of each extension of its user
//
// What the mailbox has in a book that it does not fill any more:
//
//	extension is somebody else's, or its user has another on
//	the same phone system                                       deleted at once
//	extension is nobody's                                       deleted after the hold
//	the configuration does not ask for it any more              stays until somebody orders it away
//	the phone system has no such book, or keeps it by itself    stays
func (t *tenant) standings(who identity.Person, m *mailbox) map[directory.Book]standing {
	all := map[directory.Book]standing{}
	t.mu.Lock()
	shared := m.shared
	for where := range m.books {
		all[where] = t.former(who, where)
	}
	t.mu.Unlock()
	if shared {
		if t.conf.Shared {
			for _, system := range t.conf.Systems {
				where := directory.Book{System: system}
				all[where] = t.filled(where, time.Time{})
			}
		}
		return all
	}
	if t.conf.Personal {
		for _, line := range t.s.links.Of(who) {
			where := directory.Book{System: line.System, Owner: line.Extension}
			if t.serves(line.System) {
				all[where] = t.filled(where, line.Since)
			}
		}
	}
	return all
}

func (t *tenant) serves(system identity.System) bool {
	return slices.Contains(t.conf.Systems, system)
}

// filled judges a book that the mailbox should fill.
func (t *tenant) filled(where directory.Book, since time.Time) standing {
	system, known := t.s.system(where.System)
	switch {
	case !known:
		return standing{wanted: true, why: whyUnknown}
	case where.Company() && !system.CompanyBook, !where.Company() && !system.PersonalBooks:
		return standing{wanted: true, why: whyNoBook}
	case system.BooksKept:
		return standing{wanted: true, why: whyKept}
	}
	return standing{wanted: true, served: true, since: since, why: whySynced, takes: takes{system.Numbers, system.BookLimits}, writable: true}
}

// former judges a book that the mailbox filled before, and does not if nothing else is
// said of it.
func (t *tenant) former(who identity.Person, where directory.Book) standing {
	now := t.filled(where, time.Time{})
	former := standing{writable: now.writable, why: whyOff}
	switch {
	case !t.serves(where.System):
		former.why = whyNotServed
		return former
	case !now.served:
		former.why = now.why
		return former
	case where.Company() || !t.conf.Personal:
		return former
	}
	owner, owned := t.s.links.Who(identity.Line{System: where.System, Extension: where.Owner})
	switch {
	case owned && owner.Person == who:
		return former // it has become a shared mailbox
	case owned, t.hasOther(who, where.System):
		former.why, former.leave = whyMoved, leaveNow
	default:
		former.why, former.leave = whyUnlinked, wait
	}
	return former
}

// hasOther says whether somebody has an extension on a phone system.
func (t *tenant) hasOther(who identity.Person, system identity.System) bool {
	return slices.ContainsFunc(t.s.links.Of(who), func(l links.Line) bool { return l.System == system })
}
