package directory

import (
	"strconv"

	"offhook.dev/libs/core/plan"
)

// ContactStep is one change of a phonebook. Doing it twice is doing it once: a Create or
// Update whose ID is not known or not there is of the entry with that Source, which is
// made if there is none. A Delete with an ID is of that entry alone, one without of all
// with that Source; deleting what is not there is done.
type ContactStep struct {
	Op     plan.Op // Create, Update or Delete
	Reason Reason
	Book   Book
	Source string
	ID     string // the phone system's, where it is known
	// Contact is the entry as it should be; of one that is deleted only ID and Source.
	Contact Contact
	Print   Fingerprint // of Contact; 0 of one that is deleted
	// Held says that the brake holds it back.
	Held bool

	was Fingerprint
}

// Change returns the step as plans show it. What entries had is not kept, so an update
// has its fingerprints to show, by which a stale plan is known.
func (s *ContactStep) Change() plan.Change {
	c := plan.Change{Op: s.Op, Object: s.Source, Line: s.Book.String(), Name: s.Contact.label(), Reason: string(s.Reason), Held: s.Held}
	if s.Op != plan.Delete {
		c.Fields = []plan.FieldChange{{Name: "content", From: s.was.String(), To: s.Print.String()}}
	}
	return c
}

// String is "" for none.
func (f Fingerprint) String() string {
	if f == 0 {
		return ""
	}
	return strconv.FormatUint(uint64(f), 36)
}
