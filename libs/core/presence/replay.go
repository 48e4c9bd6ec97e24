package presence

import (
	"slices"
	"strings"
	"time"

	"offhook.dev/libs/core/identity"
)

// maskFor is how long a Teams reading may be the echo of what Offhook wrote
// (docs/presence.md).
const maskFor = 90 * time.Second

// state is where a person is at one moment: Teams' opinion, and for each line the
// status of the sources and the manual claim.
type state struct {
	At      time.Time   `json:"at,omitzero"`
	Teams   teams       `json:"teams,omitzero"`
	Pin     pin         `json:"pin,omitzero"`
	Lines   []lineState `json:"lines,omitempty"`
	Ordered time.Time   `json:"ordered,omitzero"` // the newest choice made in Offhook
	Cleared time.Time   `json:"cleared,omitzero"` // the newest choice that ends what is preferred in Teams
}

// pin is what Teams showed of the newest presence that was preferred there.
type pin struct {
	From time.Time `json:"from"`           // of the OwnTeams it belongs to
	Seen time.Time `json:"seen,omitzero"`  // when Teams first showed it; zero: not yet
	Lost bool      `json:"lost,omitempty"` // Teams showed it, and then something else of the person's
}

// teams is the newest reading and the opinion, which may still be an older one's.
type teams struct {
	Availability string    `json:"availability,omitempty"`
	Activity     string    `json:"activity,omitempty"`
	Sequence     string    `json:"sequence,omitempty"` // the newest of a poll
	SeenAt       time.Time `json:"seen_at,omitzero"`   // zero: never read
	Latest       time.Time `json:"latest,omitzero"`    // event.latest
	Since        time.Time `json:"since,omitzero"`     // when Teams began to show something of this meaning
	Opinion      Status    `json:"opinion,omitempty"`  // Unset: none
	OpinionSince time.Time `json:"opinion_since,omitzero"`
	Waiting      waiting   `json:"waiting,omitempty"` // why the newest reading is not the opinion
	Until        time.Time `json:"until,omitzero"`    // when Waiting ends; zero: not by itself
}

type waiting string

const (
	kept    waiting = "kept"
	delayed waiting = "delayed"
	masked  waiting = "masked"
)

// lineState is what holds on a line.
type lineState struct {
	Line        identity.Line `json:"line"`
	Sources     Status        `json:"sources,omitempty"`    // U of docs/presence.md: projected, damped; Unset before Teams was read
	Rising      time.Time     `json:"rising,omitzero"`      // since when the sources want to ring and are damped
	Manual      claim         `json:"manual,omitzero"`      // P
	Expired     bool          `json:"expired,omitempty"`    // a claim ended by its time, and nothing changed since
	Observation int64         `json:"observation,omitzero"` // of the newest choice on the phone
}

// rule is how a manual claim ends and whether anything shows over it.
type rule string

const (
	stays     rule = "stays"     // rule 1: does not ring, or was there at linking
	overrides rule = "overrides" // rule 2: rings, and the sources did not
	yields    rule = "yields"    // rule 3: both ring
)

// claim is a person's choice. Zero: none.
type claim struct {
	Status  Status    `json:"status"`
	Rule    rule      `json:"rule"`
	Over    Status    `json:"over,omitempty"` // what it overrides
	Since   time.Time `json:"since"`
	Until   time.Time `json:"until,omitzero"` // zero: no time of its own
	OnPhone bool      `json:"on_phone,omitempty"`
}

func (s state) clone() state {
	s.Lines = slices.Clone(s.Lines)
	return s
}

func (s state) equal(o state) bool {
	return s.At == o.At && s.Teams == o.Teams && s.Pin == o.Pin && s.Ordered == o.Ordered && s.Cleared == o.Cleared && slices.Equal(s.Lines, o.Lines)
}

func (s *state) line(id identity.Line) *lineState {
	for i := range s.Lines {
		if s.Lines[i].Line == id {
			return &s.Lines[i]
		}
	}
	return nil
}

// replay plays events on a state. Between events time passes: delays, claims and
// opinions end at their moments.
type replay struct {
	state
	memory *Memory
	o      *Options
}

// replay returns the state at now.
func (m *Memory) replay(o *Options, now time.Time) *replay {
	run := m.begin(o)
	for _, e := range m.Log {
		run.apply(e)
	}
	run.pass(now)
	run.tick()
	run.seePin()
	return run
}

// begin returns the past as today's options, links and powers have it.
func (m *Memory) begin(o *Options) *replay {
	run := &replay{state: m.Past.clone(), memory: m, o: o}
	for i := range m.Lines {
		if run.line(m.Lines[i].Line) == nil {
			run.Lines = append(run.Lines, lineState{Line: m.Lines[i].Line})
		}
	}
	run.tick()
	return run
}

// apply lets an event happen, at its time or, if that is past, now.
func (r *replay) apply(e event) {
	r.pass(e.At)
	if e.Kind != teamsRead {
		r.tick() // a choice is judged by what holds at its moment
	}
	switch e.Kind {
	case teamsRead:
		r.read(e)
	case phoneChoice:
		r.phone(e)
	case orderChoice:
		r.Ordered = e.At
		for i := range r.Lines {
			if l := &r.Lines[i]; e.Line == (identity.Line{}) || l.Line == e.Line || r.o.Manual.Scope == OnUser {
				r.choose(l, e)
			}
		}
	}
	r.tick()
}

// read makes e the newest reading.
func (r *replay) read(e event) {
	r.readPin(e)
	t := &r.Teams
	if t.SeenAt.IsZero() || r.o.Teams.of(t.Availability, t.Activity) != r.o.Teams.of(e.Availability, e.Activity) {
		t.Since = e.At
	}
	t.Availability, t.Activity, t.SeenAt = e.Availability, e.Activity, e.At
	t.Latest = e.latest()
	if e.isPoll() {
		t.Sequence = max(t.Sequence, e.Sequence)
	}
}

// pass lets time pass until just before to, stopping wherever something ends by
// itself, and then sets the clock: what ends at to ends together with what begins
// there, so that a replacement leaves no gap.
func (r *replay) pass(to time.Time) {
	for next := r.next(); !next.IsZero() && next.Before(to); next = r.next() {
		r.At = next
		r.tick()
	}
	if to.After(r.At) {
		r.At = to
	}
}

// next returns the first moment after r.At at which something ends by itself, or
// zero.
func (r *replay) next() time.Time {
	var first time.Time
	consider := func(t time.Time) {
		if t.After(r.At) && (first.IsZero() || t.Before(first)) {
			first = t
		}
	}
	if r.o.Mode.ReadsTeams() {
		consider(r.Teams.Until)
		for i := range r.memory.Denials {
			consider(r.memory.Denials[i].From)
			consider(r.memory.Denials[i].To)
		}
	}
	if r.o.Mode.Writes() {
		r.considerCalendar(consider)
		if until, unread := r.unread(); unread {
			consider(until)
		}
	}
	if r.o.Mode.ReadsTeams() && r.Teams.Opinion != Unset {
		for _, s := range r.memory.Reads {
			consider(s.From)
			consider(s.To.Add(r.o.StaleAfter))
		}
	}
	for _, l := range r.Lines {
		if !l.Rising.IsZero() {
			consider(l.Rising.Add(r.o.Damping))
		}
		consider(l.Manual.Until)
	}
	return first
}

// tick makes the state what it is at r.At.
func (r *replay) tick() {
	r.settle()
	for i := range r.Lines {
		l := &r.Lines[i]
		if l.Manual.OnPhone && r.o.Manual.Policy == Ignore {
			l.Manual = claim{}
		}
		if until := l.Manual.Until; !until.IsZero() && !until.After(r.At) {
			l.Manual, l.Expired = claim{}, true
		}
		r.follow(l)
	}
}

// settle decides what the newest Teams reading means now.
func (r *replay) settle() {
	t := &r.Teams
	if t.SeenAt.IsZero() {
		return
	}
	means := r.o.Teams.of(t.Availability, t.Activity)
	wait := func(why waiting, until time.Time) { t.Waiting, t.Until = why, until }
	if until, own := r.echo(means); own {
		wait(masked, until)
		return
	}
	if until := t.Since.Add(keepFor); means.Keep && r.At.Before(until) {
		wait(kept, until)
		return
	}
	if until := t.Since.Add(means.After); r.At.Before(until) {
		wait(delayed, until)
		return
	}
	wait("", time.Time{})
	if t.Opinion != means.Status { // Unset where kept for too long
		t.Opinion, t.OpinionSince = means.Status, r.At
	}
}

// echo says whether the newest reading may be what Offhook wrote: something own that
// may have shown in the 90 s before the reading as well as before now, or that followed on
// such a one before that could echo no more: nothing new need be read where Teams goes on to
// show the same. A poll counts as made when it was answered: it may have been under way
// while we wrote. until is when that ends unless the own is refreshed.
func (r *replay) echo(means meaning) (until time.Time, own bool) {
	t := &r.Teams
	latest := t.Latest
	if latest.IsZero() { // remembered by an earlier version
		latest = t.SeenAt
	}
	for i := range r.memory.OwnTeams { // in the order of From
		w := &r.memory.OwnTeams[i]
		began := w.From.Before(latest) && t.SeenAt.Before(w.maskedUntil()) || w.From.Before(until)
		if end := w.maskedUntil(); began && end.After(until) && r.mayBe(w, t.Availability, t.Activity, means) {
			until = end
		}
	}
	return until, r.At.Before(until)
}

// mayBe says whether a reading may be the own w: it means the same, and is of the same
// availability. A person who makes busy out of our do not disturb has chosen something, and
// one who presents during a call that Teams shows as busy is not our echo. Graph shows who is
// busy and idle as BusyIdle.
func (r *replay) mayBe(w *OwnTeams, availability, activity string, means meaning) bool {
	if strings.EqualFold(availability, "BusyIdle") {
		availability = "Busy"
	}
	pair, doing, _ := strings.Cut(w.Shows, "/")
	return r.o.Teams.of(pair, doing).same(means) && isShown(w.Shows, availability, activity)
}

// fresh says whether Teams was read within StaleAfter before r.At.
func (r *replay) fresh() bool {
	return slices.ContainsFunc(r.memory.Reads, func(s span) bool {
		return !r.At.Before(s.From) && r.At.Before(s.To.Add(r.o.StaleAfter))
	})
}

// noticeStale notes that an opinion has ended because Teams could not be read for
// StaleAfter: a read that is told of later does not undo that.
func (r *replay) noticeStale() {
	reads := r.memory.Reads
	if n := len(reads); n > 0 && r.o.Mode.ReadsTeams() && r.Teams.Opinion != Unset && !r.At.Before(reads[n-1].To.Add(r.o.StaleAfter)) {
		reads[n-1].Noticed = true
	}
}

// follow moves a line to what the sources want, towards ringing only after it has
// stood for Damping, and ends the claim that overrode what changes.
func (r *replay) follow(l *lineState) {
	powers := r.powers(l)
	to, _ := powers.Project(r.sources(powers))
	if to == Unset { // nothing can be decided: what was stays
		l.Rising = time.Time{}
		return
	}
	if rises := l.Sources != Unset && !powers.Ring.Has(l.Sources) && powers.Ring.Has(to); !rises {
		l.Rising = time.Time{}
	} else if l.Rising.IsZero() {
		l.Rising = r.At
	}
	if !l.Rising.IsZero() && r.At.Before(l.Rising.Add(r.o.Damping)) || to == l.Sources {
		return
	}
	l.Sources, l.Rising, l.Expired = to, time.Time{}, false
	if l.Manual.Rule == overrides && l.Manual.Over != to && r.o.Manual.Policy != UntilCleared {
		l.Manual = claim{}
	}
}

func (r *replay) powers(l *lineState) Powers {
	if known := r.memory.line(l.Line); known != nil {
		return known.Powers
	}
	return Powers{}
}
