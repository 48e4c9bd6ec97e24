package writer

import (
	"time"

	"offhook.dev/libs/core/presence"
	"offhook.dev/libs/wire"
)

// entry is the ledger of one line: what we were about to write, what we wrote,
// what that replaced, and what a person chose since. It is stored as
// JSON in the bucket `ledger` before and after each write.
type entry struct {
	// Fence of the lease under which the entry was written last.
	Fence uint64 `json:"fence"`
	// Intent is a write whose end is not known: recorded before the phone system is
	// asked, cleared when it has answered or a read has shown what came of it.
	Intent *effect `json:"intent,omitempty"`
	// Effect is the newest write that happened.
	Effect *effect `json:"effect,omitempty"`
	// Person is the newest choice of a person. It is what the phone system shows if
	// it is newer than Effect.
	Person *presence.Choice `json:"person,omitempty"`
	// Observation numbers what was seen; it only grows.
	Observation int64 `json:"observation"`
}

// effect is one write.
type effect struct {
	Status presence.Status `json:"status"`
	// Over is what the line showed before: what a phone system that forgets its last
	// change shows again.
	Over     presence.Status `json:"over,omitempty"`
	Revision wire.Revision   `json:"revision"`
	Decision string          `json:"decision,omitempty"`
	Began    time.Time       `json:"began"`
	Ended    time.Time       `json:"ended,omitzero"`
	// Unsure: it shows, and nothing says that all of it was done: its answer never came,
	// or the phone system has restarted right after it. Where a status has parts
	// (pbx.Capabilities) it is written again.
	Unsure bool `json:"unsure,omitempty"`
}

// revision is the newest that this line has seen.
func (e entry) revision() wire.Revision {
	var newest wire.Revision
	for _, x := range []*effect{e.Effect, e.Intent} {
		if x != nil && x.Revision.Compare(newest) > 0 {
			newest = x.Revision
		}
	}
	return newest
}

// personShows says whether what the line shows is a person's choice: there is one
// that is newer than our last write.
func (e entry) personShows() bool {
	return e.Person != nil && (e.Effect == nil || e.Person.At.After(e.Effect.Ended))
}

// explained is the status that the ledger expects a read to return, and whose it is.
func (e entry) explained() (presence.Status, presence.Origin) {
	switch {
	case e.personShows():
		return e.Person.Status, presence.Person
	case e.Effect != nil:
		return e.Effect.Status, presence.Ours
	}
	return presence.Unset, presence.Ours
}

// reading is one look at a line.
type reading struct {
	status presence.Status
	began  time.Time // broker time, before the request was sent
	// restarted: the first reading after the phone system was unreachable, one that
	// follows a revert which has not been answered yet, or the first after a write to a
	// phone system that is known to forget what it takes (forgetful).
	restarted bool
}

// unsaved is how long ago a write may have been that a phone system had not saved, all of
// it, when it stopped. An Asterisk saves what it has taken about once a second; a restart
// takes longer.
const unsaved = 30 * time.Second

// doubted is the same effect, not known to have happened whole.
func (x *effect) doubted() *effect {
	again := *x
	again.Unsure = true
	return &again
}

// observe folds a reading into the ledger and says whose status it shows.
//
//	the reading                                          is
//	began before our last write ended                    too old to say anything (used = false)
//	shows nothing at all, and we wrote something         a revert: the phone system forgot it
//	shows nothing at all, and we wrote nothing           ours: nobody chose anything
//	shows the intent of a write whose end is unknown     ours: it happened
//	shows what the ledger explains                       that, and an open intent did not happen
//	shows, after a restart, what our last write replaced a revert: the phone system forgot it
//	shows anything else                                  a person's choice
func (e entry) observe(r reading) (next entry, origin presence.Origin, used bool) {
	if e.Effect != nil && !r.began.After(e.Effect.Ended) {
		return e, "", false
	}
	if e.Intent != nil && !r.began.After(e.Intent.Began) {
		return e, "", false
	}
	next = e
	known, whose := e.explained()
	switch {
	case r.status == presence.Unset: // of a volatile phone system: others' are not judged here
		next.Intent = nil
		if e.Effect == nil {
			return next, presence.Ours, true
		}
		return next, presence.Revert, true
	case e.Intent != nil && r.status == e.Intent.Status && r.status != known:
		next = e.happened(r.began)
		next.Effect.Unsure = true
		return next, presence.Ours, true
	case r.status == known && known != presence.Unset:
		next.Intent = nil
		if r.restarted && whose == presence.Ours && r.began.Sub(e.Effect.Ended) < unsaved {
			next.Effect = e.Effect.doubted()
		}
		return next, whose, true
	case r.restarted && whose == presence.Ours && e.Effect != nil && r.status == e.Effect.Over:
		next.Intent = nil
		return next, presence.Revert, true
	}
	next.Intent = nil
	next.Observation = max(e.Observation+1, r.began.UnixMicro())
	next.Person = &presence.Choice{Status: r.status, Observation: next.Observation, At: r.began}
	return next, presence.Person, true
}

// half says whether a want may have been carried out by half although it shows.
func (e entry) half(w wire.Want) bool {
	return e.Effect != nil && e.Effect.Unsure && e.Effect.Status == w.Status && !e.personShows()
}

// intend records a write over what shows that is about to be asked for.
func (e entry) intend(w wire.Want, over presence.Status, began time.Time) entry {
	if e.half(w) {
		over = e.Effect.Over
	}
	e.Intent = &effect{Status: w.Status, Over: over, Revision: w.Revision, Decision: w.Decision, Began: began}
	return e
}

// happened turns the intent into the newest effect.
func (e entry) happened(ended time.Time) entry {
	done := *e.Intent
	done.Ended = ended
	e.Intent = nil
	e.Effect = &done
	e.Observation = max(e.Observation+1, ended.UnixMicro())
	return e
}

// covers says whether a want may replace what the line shows: a person's choice
// only if the want was decided on it.
func (e entry) covers(w wire.Want) bool {
	return !e.personShows() || w.DecidedOn >= e.Person.Observation
}
