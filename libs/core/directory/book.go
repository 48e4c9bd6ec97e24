package directory

import (
	"cmp"
	"slices"
	"time"

	"offhook.dev/libs/core/plan"
)

// BookRecord is what is kept of one phonebook: which entries Offhook made of which
// contacts. Nothing of their content is kept. The zero BookRecord is an empty book.
type BookRecord struct {
	Feeds   []Feed  `json:"feeds,omitempty"`
	Entries []Entry `json:"entries,omitempty"` // sorted by Source
	// Removed is what was deleted within the brake's window.
	Removed []plan.Removal `json:"removed,omitempty"`
}

// Feed is one folder of one mailbox that a book is made of.
type Feed struct {
	Name string `json:"name"`
	// Round is the newest reading of the whole folder; Next the page of it that is
	// expected, or -1 when changes have been read since; Whole says that it was seen to
	// its end.
	Round uint32 `json:"round,omitempty"`
	Next  int    `json:"next,omitempty"`
	Whole bool   `json:"whole,omitempty"`
	// Trouble is why the folder cannot be read for now; "" where it can.
	Trouble Trouble `json:"trouble,omitempty"`
}

// Trouble is why a folder cannot be read. Whatever it is, its entries stay.
type Trouble string

// The troubles.
const (
	MailboxGone Trouble = "mailbox-gone" // or its folder
	ReadDenied  Trouble = "denied"       // permission is missing or was withdrawn
	Unreadable  Trouble = "unreadable"   // anything else; it may pass
)

// Entry is one of Offhook's entries of a phonebook.
type Entry struct {
	Source string `json:"s"`
	ID     string `json:"i,omitempty"` // the phone system's; "" while it is not known
	// Print is of what the phone system confirmed; 0 while something is on its way.
	Print Fingerprint `json:"p,omitempty"`
	Feed  uint16      `json:"f,omitempty"` // place in Feeds, from 1; 0 where it is not known
	Round uint32      `json:"r,omitempty"` // of the feed, in which it was seen
	// Gone is why it is to be deleted; "" where it is not.
	Gone Reason `json:"g,omitempty"`
}

// Page is what was read of a folder at once.
type Page struct {
	Feed string
	// Round tells readings of the whole folder apart, each higher than any before, such as
	// the second in which it began; 0 is a reading of changes. Index is the page's place in
	// a reading of the whole, from 0.
	Round uint32
	Index int
	Last  bool // of the reading

	Contacts []Contact // each source once, and not among Removed
	Removed  []string  // sources
	// Trouble says that nothing could be read; the rest is then empty.
	Trouble Trouble
}

func compareEntries(a, b Entry) int { return cmp.Compare(a.Source, b.Source) }

// clone returns a record that shares nothing that is changed, in order.
func (r *BookRecord) clone() BookRecord {
	c := BookRecord{slices.Clone(r.Feeds), slices.Clone(r.Entries), slices.Clone(r.Removed)}
	if !slices.IsSortedFunc(c.Entries, compareEntries) {
		slices.SortFunc(c.Entries, compareEntries)
	}
	return c
}

// find returns the place of a source's entry, or where it would be.
func (r *BookRecord) find(source string) (int, bool) {
	return slices.BinarySearchFunc(r.Entries, source, func(e Entry, s string) int { return cmp.Compare(e.Source, s) })
}

// feed returns the place of a feed, from 1.
func (r *BookRecord) feed(name string) uint16 {
	i := slices.IndexFunc(r.Feeds, func(f Feed) bool { return f.Name == name })
	if i < 0 {
		r.Feeds = append(r.Feeds, Feed{Name: name})
		i = len(r.Feeds) - 1
	}
	return uint16(i + 1)
}

// Unsettled is how many entries wait for an answer of the phone system, or for the brake.
// Where it stays above 0 the folders are to be read as a whole again.
func (r *BookRecord) Unsettled() (n int) {
	for i := range r.Entries {
		if r.Entries[i].Print == 0 || r.Entries[i].Gone != "" {
			n++
		}
	}
	return n
}

// ContactOutcome is what became of one ContactStep.
type ContactOutcome struct {
	Op     plan.Op
	Source string
	ID     string      // the phone system's after a Create or Update; that of the step after a Delete
	Print  Fingerprint // of the step
	// Failed says that nothing was done; it is asked for again with the next reading.
	Failed bool
}

// Settle returns the record after what became of steps, in the order in which it did.
func (r BookRecord) Settle(outcomes []ContactOutcome, now time.Time) BookRecord {
	r = r.clone()
	const deleted = Reason("deleted")
	for _, o := range outcomes {
		i, known := r.find(o.Source)
		if !known || o.Failed || r.Entries[i].Gone == deleted {
			continue
		}
		e := &r.Entries[i]
		switch {
		case o.Op != plan.Delete:
			e.ID, e.Print = cmp.Or(o.ID, e.ID), o.Print
		case o.ID != "" && o.ID != e.ID: // one that was there twice
		case e.Gone != "":
			r.Removed = append(r.Removed, plan.Removal{Key: e.Source, At: now})
			e.Gone = deleted
		default: // it came back while it was deleted, and is made again
			e.ID, e.Print = "", 0
		}
	}
	r.Entries = slices.DeleteFunc(r.Entries, func(e Entry) bool { return e.Gone == deleted })
	r.Removed = slices.DeleteFunc(r.Removed, func(d plan.Removal) bool { return now.Sub(d.At) >= plan.Window })
	return r
}
