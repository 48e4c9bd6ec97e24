package directory

import (
	"time"

	"offhook.dev/libs/core/identity"
)

// Record is what Offhook owns of a person: one number on one phone system. It is kept
// from the moment in which the number is chosen, which is before anything is written,
// until the hold after their leaving is over. As long as there is a record, nobody else
// gets the number; one whose extension is no longer there is the number's tombstone.
type Record struct {
	Person identity.Person `json:"-"` // the key under which records are kept
	Line   identity.Line   `json:"line"`
	How    How             `json:"how"`
	Since  time.Time       `json:"since"`
	// Left is since when the person is no longer here; zero: they are.
	Left time.Time `json:"left,omitzero"`
	// WasEnabled says that the account was once seen enabled. One that never was is a
	// mailbox rather than a person who left.
	WasEnabled bool `json:"was_enabled,omitempty"`
	// Last is what was last sent to the phone system, and Photo the ETag of the picture that
	// it said it had taken.
	Last  Fields `json:"last,omitzero"`
	Photo string `json:"photo,omitempty"`
	// PhotoDue says that the user has another picture than Photo, and that it, or that there
	// is none any more, has to be read and sent once more: it did not get there.
	PhotoDue bool `json:"photo_due,omitempty"`
	// Unsent says that the extension is about to be taken over: whether the phone system was
	// told is not known. Nothing of the extension itself need show it, where all but the
	// marker is as it should be, and not every phone system lists markers.
	Unsent bool `json:"unsent,omitempty"`
}

// How is how an extension became Offhook's.
type How string

// The ways.
const (
	// Reserved: the number was chosen, and the extension perhaps made. It is nobody's
	// proof that an extension of that number is Offhook's.
	Reserved   How = "reserved"
	Created    How = "created"
	Adopted    How = "adopted"    // it was there before
	Configured How = "configured" // the configuration says so
)

// Active says whether the extension is in use by the person: what presence pairs.
func (r *Record) Active() bool { return r.How != Reserved && r.Left.IsZero() }

// Note is a change of records that changes nothing on the phone system. It is small, as
// there can be one for everybody: the record is made when it is asked for.
type Note struct {
	Why Reason

	of    *Record // if there is one; else
	lists *Lists
	place place
	noted noted
}

// NewNote returns one of a record as it is to be stored or forgotten.
func NewNote(r Record, why Reason) Note { return Note{Why: why, of: &r} }

// Record is what is to be stored or forgotten.
func (n *Note) Record() Record {
	if n.of != nil {
		return *n.of
	}
	r := n.lists.record(n.place)
	n.noted.apply(&r)
	return r
}
