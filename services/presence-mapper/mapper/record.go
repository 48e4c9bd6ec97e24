package mapper

import (
	"context"
	"encoding/json"
	"maps"
	"time"

	"offhook.dev/libs/core/fault"
	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/core/presence"
	"offhook.dev/libs/wire"
)

// record is a person's value in the bucket `memory`: the decision's memory, and
// the current decision with its grounds, so that wants can be derived again at
// any time.
type record struct {
	Memory   presence.Memory `json:"memory"`
	Wake     time.Time       `json:"wake,omitzero"`
	Decision string          `json:"decision"`
	Decided  time.Time       `json:"decided"`
	// Seen is when the change that led to the current decision was seen.
	Seen time.Time `json:"seen"`
	// Under is the fingerprint of the options that were in force when this was decided. It
	// is stored also where they change nothing: control-api counts who is not decided
	// under theirs yet. "" in what an older version wrote.
	Under string `json:"under,omitempty"`
	// Shown is the newest reading of each line that is in Memory.
	Shown map[string]shown `json:"shown,omitempty"`
}

// shown is whose status a line showed, and since when that is known.
type shown struct {
	Origin presence.Origin `json:"origin"`
	SeenAt time.Time       `json:"seen_at"`
}

// due says whether the record was to be looked at before now.
func (r record) due(now time.Time) bool { return !r.Wake.IsZero() && !r.Wake.After(now) }

// news says whether a look tells anything that memory does not hold. That a line of
// which we know that it shows what is ours shows what is wanted now is the end of
// what was decided, and the beginning of nothing: storing it would cost one more
// synced write for each change (docs/design.md allows four). So is that Teams shows
// what is wanted, where nothing is to be cleared.
func (r record) news(l look, now time.Time) bool {
	if l.trigger == written {
		return r.Memory.Unsure(now)
	}
	if l.trigger != statusFact || len(l.facts) != 1 {
		return true
	}
	reading, ok := l.facts[0].(presence.StatusReading)
	return !ok || reading.Origin != presence.Ours || r.Shown[wire.LineKey(reading.Line)].Origin != presence.Ours || !r.wanted(reading)
}

// wanted says whether a reading shows what memory wants, decided on all that the
// reading tells of persons.
func (r record) wanted(reading presence.StatusReading) bool {
	for _, w := range r.Memory.Wants() {
		if w.Line == reading.Line {
			return !w.Released && w.Status == reading.Status && (reading.LastPerson == nil || reading.LastPerson.Observation <= w.DecidedOn)
		}
	}
	return false
}

// showing returns Shown with what a look tells.
func (r record) showing(l look) map[string]shown {
	next := maps.Clone(r.Shown)
	for _, fact := range l.facts {
		reading, ok := fact.(presence.StatusReading)
		if key := wire.LineKey(reading.Line); ok && !reading.SeenAt.Before(next[key].SeenAt) {
			if next == nil {
				next = map[string]shown{}
			}
			next[key] = shown{reading.Origin, reading.SeenAt}
		}
	}
	return next
}

// load returns a person's record and its revision, 0 if there is none yet.
func (m *Mapper) load(ctx context.Context, who identity.Person) (record, uint64, error) {
	e, err := m.memory.Get(ctx, wire.PersonKey(who))
	if err != nil {
		if fault.KindOf(err) == fault.NotFound {
			return record{}, 0, nil
		}
		return record{}, 0, err
	}
	r, err := decodeRecord(e.Value)
	return r, e.Revision, err
}

func decodeRecord(value []byte) (record, error) {
	var r record
	if err := json.Unmarshal(value, &r); err != nil {
		return record{}, fault.New(fault.Invalid, "mapper: memory", err)
	}
	return r, nil
}

// wants derives a person's wants from their record alone.
func (m *Mapper) wants(who identity.Person, r record, revision uint64) []wire.Want {
	var wants []wire.Want
	for _, w := range r.Memory.Wants() {
		wants = append(wants, wire.Want{
			Person: who, Line: w.Line, Status: w.Status, ProjectedFrom: w.ProjectedFrom, Reason: w.Reason.String(),
			DecidedOn: w.DecidedOn, LinkRevision: w.LinkRevision, Release: w.Released,
			Revision: wire.Revision{Epoch: m.epoch, Sequence: revision},
			Decision: r.Decision, SeenAt: r.Seen, DecidedAt: r.Decided,
		})
	}
	return wants
}

// teamsWant derives from their record alone what Teams should show for a person;
// false where nothing was ever wanted there.
func (m *Mapper) teamsWant(who identity.Person, r record, revision uint64) (wire.TeamsWant, bool) {
	w, ok := r.Memory.TeamsWant()
	return wire.TeamsWant{
		Person: who, Session: w.Session, SessionUntil: w.SessionUntil, Preferred: w.Preferred, PreferredUntil: w.PreferredUntil,
		Disowned: w.Disowned, Reason: w.Reason.String(), Release: w.Released, Revision: wire.Revision{Epoch: m.epoch, Sequence: revision},
		Decision: r.Decision, SeenAt: r.Seen, DecidedAt: r.Decided,
	}, ok
}
