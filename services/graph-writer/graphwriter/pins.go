package graphwriter

import (
	"time"

	"offhook.dev/libs/graph"
	"offhook.dev/libs/wire"
)

// target is one of the two things that can be written for a person.
type target string

const (
	session   target = "session"   // the application's presence session: a call
	preferred target = "preferred" // the preferred presence: a choice
)

var targets = []target{session, preferred}

// slack is by how much the end that is wanted may differ from the one that was
// asked for before it is worth a request.
const slack = 30 * time.Second

// pin is something that Offhook made Teams show.
type pin struct {
	Show  string    `json:"show"`   // "availability/activity"; of an intent, "": nothing, a clear
	Until time.Time `json:"until"`  // as the want had it
	SetAt time.Time `json:"set_at"` // broker time, before the request
}

// intent holds the requests whose end is not known, nil where there is none.
type intent struct {
	Session   *pin `json:"session,omitempty"`
	Preferred *pin `json:"preferred,omitempty"`
}

// entry is what is known of one person: what Teams shows because of us. It is stored
// as JSON in the bucket `pins` before and after the requests of a want.
type entry struct {
	// Fence of the lease under which the entry was written last.
	Fence uint64 `json:"fence"`
	// Revision of the newest want that something was done for, and what came of it:
	// applied, refused-person, or unknown as long as nothing did.
	Revision wire.Revision `json:"revision"`
	Result   wire.Result   `json:"result,omitempty"`
	// Session and Preferred are what was set and not cleared since, or nil. They may
	// have ended by themselves meanwhile.
	Session   *pin    `json:"session,omitempty"`
	Preferred *pin    `json:"preferred,omitempty"`
	Intent    *intent `json:"intent,omitempty"`
}

// ours returns what was set of a target, or nil.
func (e entry) ours(t target) *pin {
	if t == session {
		return e.Session
	}
	return e.Preferred
}

// doubt returns the request for a target whose end is not known, or nil.
func (e entry) doubt(t target) *pin {
	switch {
	case e.Intent == nil:
		return nil
	case t == session:
		return e.Intent.Session
	}
	return e.Intent.Preferred
}

// intend returns e with a request about to be made; nil: it had no effect, or its
// effect is recorded.
func (e entry) intend(t target, p *pin) entry {
	var next intent
	if e.Intent != nil {
		next = *e.Intent
	}
	if t == session {
		next.Session = p
	} else {
		next.Preferred = p
	}
	e.Intent = &next
	if next == (intent{}) {
		e.Intent = nil
	}
	return e
}

// happened returns e after a request that has been answered: p shows, or nothing of
// ours if p is nil or a clear.
func (e entry) happened(t target, p *pin) entry {
	e = e.intend(t, nil)
	if p != nil && p.Show == "" {
		p = nil
	}
	if t == session {
		e.Session = p
	} else {
		e.Preferred = p
	}
	return e
}

// at returns e for the work on a want.
func (e entry) at(r wire.Revision) entry {
	if e.Revision != r {
		e.Revision, e.Result = r, wire.ResultUnknown
	}
	return e
}

// life is how long a target is asked to live at a time: whole seconds, and for a
// session what Graph takes.
func (t target) life(until, now time.Time) time.Duration {
	left := until.Sub(now).Truncate(time.Second)
	if t == session {
		return min(max(left, graph.MinSessionLife), graph.MaxSessionLife)
	}
	return max(left, time.Second)
}

// lives says whether a pin, which may be nil, can still show.
func (t target) lives(p *pin, now time.Time) bool {
	return p != nil && p.Show != "" && now.Before(p.SetAt.Add(t.life(p.Until, p.SetAt)))
}

// shown returns what of ours shows or, where the end of a request is not known, may
// show; or nil.
func (e entry) shown(t target, now time.Time) *pin {
	for _, p := range []*pin{e.ours(t), e.doubt(t)} {
		if t.lives(p, now) {
			return p
		}
	}
	return nil
}

// holds says whether something of ours shows or may show.
func (e entry) holds(t target, now time.Time) bool { return e.shown(t, now) != nil }

// empty says whether nothing of ours can show: the entry has done its duty.
func (e entry) empty(now time.Time) bool { return !e.holds(session, now) && !e.holds(preferred, now) }

// asked returns what a want asks for; Show is "" if that is nothing.
func (t target) asked(w wire.TeamsWant) pin {
	switch {
	case w.Release:
		return pin{}
	case t == session:
		return pin{Show: w.Session, Until: w.SessionUntil}
	}
	return pin{Show: w.Preferred, Until: w.PreferredUntil}
}

// step is what a want makes necessary for one target.
type step uint8

const (
	none    step = iota // neither wanted nor ours
	keep                // wanted, and shown already
	set                 // make it show
	refresh             // it shows, and shall end later or earlier
	remove              // make ours no longer show
	forget              // it is a person's now
)

// asks says whether a step is a request to write.
func (s step) asks() bool { return s == set || s == refresh || s == remove }

// step says what a want makes necessary for a target at a time.
//
//	wanted             of ours                                   step
//	something          the end of a request is not known         set: again, for it is absolute
//	something          nothing living, or it shows another       set
//	something          its end differs by more than slack        refresh; a session's only to a later end at least 5 min away
//	something          as wanted                                 keep
//	until a past time  living, asked for beyond that time        remove
//	until a past time  living                                    none: it ends by itself
//	nothing            living                                    remove, or forget where it was disowned
//	either             nothing living                            none
func (e entry) step(t target, w wire.TeamsWant, now time.Time) step {
	want, ours, doubt := t.asked(w), e.ours(t), e.doubt(t)
	if want.Show != "" && want.Until.After(now) {
		switch {
		case doubt != nil, !t.lives(ours, now), ours.Show != want.Show:
			return set
		case t.moved(ours.Until, want.Until, now):
			return refresh
		}
		return keep
	}
	if !e.holds(t, now) {
		return none
	}
	if want.Show != "" && !beyond(ours, want.Until) && !beyond(doubt, want.Until) {
		return none
	}
	if t == preferred && w.Disowned {
		return forget
	}
	return remove
}

// moved says whether the end that is wanted is worth a request of its own.
func (t target) moved(asked, wanted, now time.Time) bool {
	if t == session {
		return wanted.Sub(asked) > slack && wanted.Sub(now) >= graph.MinSessionLife
	}
	return wanted.Sub(asked).Abs() > slack
}

// beyond says whether a pin, which may be nil, was asked for to live past an end.
func beyond(p *pin, end time.Time) bool { return p != nil && p.Until.Sub(end) > slack }
