package directory

import (
	"time"

	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/core/plan"
)

// Step is one change of a phone system, or why there is none. It is small, as there can be
// one for everybody: what is sent and stored is made, when it is asked for, of the lists.
type Step struct {
	Op     plan.Op
	Reason Reason
	Person identity.Person
	// Line is which extension; without a number where there is none.
	Line identity.Line
	// Detail says to people what Reason leaves open.
	Detail string
	// Held says that the brake holds it back: nothing of it is stored or sent.
	Held bool

	marks   bool     // the marker of is is to be written, if nothing else
	changed fieldSet // of is; what a new extension gets is all of wants.on
	noted   noted    // what a note changes of the record
	user    place    // none where nobody is known
	is      place    // none where there is none
	record  place    // none where there is none
	wants   *wants   // nil where the step is about nothing that is listed
}

// noted is what a Note changes of a record before the step.
type noted uint8

const (
	seen       noted = 1 << iota // WasEnabled
	configured                   // How
	made                         // How: it is Created
	sent                         // Unsent: the extension has the marker
)

// apply changes the record.
func (n noted) apply(r *Record) {
	if n&seen != 0 {
		r.WasEnabled = true
	}
	if n&sent != 0 {
		r.Unsent = false
	}
	switch {
	case n&made != 0:
		r.How = Created
	case n&configured != 0:
		r.How = Configured
	}
}

// before is the record before the step.
func (s *Step) before() Record {
	r := s.wants.lists.record(s.record)
	s.noted.apply(&r)
	return r
}

// fields is what the user's extension should have.
func (s *Step) fields(u *User) Fields { return s.wants.fields(u, nil) }

// Writes says whether the phone system is to be written to.
func (s *Step) Writes() bool {
	switch s.Op {
	case plan.Create, plan.Adopt, plan.Delete:
		return true
	}
	return s.changed != 0 || s.marks
}

// Extension returns the extension as it should be.
func (s *Step) Extension() Extension {
	e := Extension{Number: s.Line.Extension, Marker: s.Person.User}
	switch {
	case s.Op.Removes() && s.is != 0:
		e = s.wants.lists.extension(s.is)
		e.Enabled = false
	case s.Op.Removes():
	default:
		u := s.wants.lists.user(s.user)
		e.Fields, e.Enabled = s.fields(&u), true
	}
	return e
}

// Update returns the fields to write. Of a new extension these are all that are kept
// the same; of one that is there, those that differ, which can be none where only the
// marker of To is to be written.
func (s *Step) Update() Update {
	return Update{Fields: s.changed.list(), To: s.Extension()}
}

// Record returns the record to be stored before anything is sent, so that a number that
// was chosen stays chosen whatever happens. ok is false where there is nothing to store,
// and for what does nothing. After a Delete the record stays until the extension is
// seen to be gone; then a Note forgets it.
func (s *Step) Record() (r Record, ok bool) {
	if !s.Op.Acts() || s.Op == plan.Delete {
		return Record{}, false
	}
	if s.record != 0 {
		r = s.before()
	} else {
		r = Record{Person: s.Person, Line: s.Line, How: s.how(), Since: s.wants.now}
	}
	before := r
	if s.Op == plan.Disable {
		if r.Left.IsZero() {
			r.Left = s.wants.now
		}
		return r, s.record == 0 || r != before
	}
	u := s.wants.lists.user(s.user)
	r.Left = time.Time{}
	r.WasEnabled = r.WasEnabled || u.Enabled
	r.Last = s.fields(&u)
	r.Unsent = r.Unsent || s.Op == plan.Adopt
	return r, s.record == 0 || r != before
}

// Sent returns the record to be stored once Update is on its way. ok is false where there
// is nothing to store.
func (s *Step) Sent() (r Record, ok bool) {
	if s.Op != plan.Adopt {
		return Record{}, false
	}
	r, _ = s.Record()
	r.Unsent = false
	return r, true
}

// how is how an extension becomes Offhook's by the step.
func (s *Step) how() How {
	switch {
	case s.Op == plan.Create:
		return Reserved
	case s.Reason == ByConfiguration:
		return Configured
	}
	return Adopted
}

// Change returns the step as plans show it.
func (s *Step) Change() plan.Change {
	c := plan.Change{Op: s.Op, Object: s.Person.String(), Reason: string(s.Reason), Detail: s.Detail, Held: s.Held}
	if s.Line.Extension != "" {
		c.Line = s.Line.String()
	}
	if s.user != 0 {
		u := s.wants.lists.user(s.user)
		c.Name = u.label()
	}
	if s.Op == plan.Delete || !s.Op.Acts() {
		return c
	}
	to := s.Extension()
	var is Extension
	if s.is != 0 {
		is = s.wants.lists.extension(s.is)
	}
	for _, f := range s.changed.list() {
		from, to := "", to.Text(f)
		if s.is != 0 {
			from = is.Text(f)
		}
		if from != to {
			c.Fields = append(c.Fields, plan.FieldChange{Name: string(f), From: from, To: to})
		}
	}
	return c
}

// key is that of Change, as the brake counts.
func (s *Step) key() string {
	return plan.Change{Object: s.Person.String(), Line: s.Line.String()}.Key()
}
