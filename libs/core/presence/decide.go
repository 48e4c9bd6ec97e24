package presence

import (
	"cmp"
	"slices"
	"time"

	"offhook.dev/libs/core/identity"
)

// Verdict is what Decide returns.
type Verdict struct {
	Memory Memory
	Wants  []Want     // all that is wanted now, changed or not: Memory.Wants()
	Teams  *TeamsWant // what is wanted in Teams, changed or not: Memory.TeamsWant(); nil: nothing was ever wanted there
	Reason Reason     // of the first want; without one why there is none
	Claims []Claim    // all living claims, the strongest first
	Wake   time.Time  // the next moment at which this can change without a fact; zero: never
	// Changed says whether Memory differs from the one handed in. If not, there is
	// nothing to store, no timer to set and nothing new to want.
	Changed bool
}

// Want is what should show on a line. It is a state, not a change: repeating it
// does no harm.
type Want struct {
	Line          identity.Line `json:"line"`
	LinkRevision  uint64        `json:"link_revision"`
	Status        Status        `json:"status"`
	ProjectedFrom Status        `json:"projected_from,omitempty"` // what was decided, where the phone system cannot show that
	// DecidedOn is the newest observation of a person's choice that was taken into
	// account. A foreign status of a later observation must not be overwritten.
	DecidedOn int64     `json:"decided_on,omitempty"`
	Reason    Reason    `json:"reason"`
	Since     time.Time `json:"since"` // when Status was decided
	// Released says that this is the last want: write it once, and only over a
	// status that is ours.
	Released bool `json:"released,omitempty"`
}

// Claimant is who holds a claim.
type Claimant string

// The claimants, the strongest first.
const (
	ManualClaim   Claimant = "manual"
	TeamsClaim    Claimant = "teams"
	CalendarClaim Claimant = "calendar"
	BaseClaim     Claimant = "base"
)

// Claim is one source's hold on a status.
type Claim struct {
	Source Claimant
	Line   identity.Line // of a manual claim, else zero
	Status Status
	Since  time.Time // zero for base
	Until  time.Time // when it ends by itself as far as is known; zero: not by itself
}

// Decide takes the fact into account and says what follows now. Deciding again on
// the same arguments gives the same verdict, and on the Memory returned nothing new.
func Decide(m Memory, f Fact, o Options, now time.Time) Verdict {
	now = instant(now)
	next := m.clone()
	next.fold(f, &o, now)
	run := next.replay(&o, now)
	run.noticeStale()
	if next.Mode = o.Mode; o.isPaused(now) {
		next.Mode = Disabled
	}
	next.Gone = slices.DeleteFunc(next.Gone, func(w Want) bool { return !now.Before(w.Since.Add(goneFor)) })
	v := Verdict{Reason: run.silence()}
	var first Reason
	for i := range next.Lines {
		l := &next.Lines[i]
		switch {
		case !next.Mode.Writes():
			run.release(l, now)
			continue
		case v.Reason == NotReadYet || !l.Linked || l.First.IsZero():
			continue
		}
		run.decide(l, now)
		first = cmp.Or(first, l.Want.Reason)
	}
	if run.show(now); len(next.OwnTeams) > ownMost {
		next.shorten(&o, now) // as whoever decides again would
	}
	v.Reason, v.Wake = cmp.Or(v.Reason, first, NotReadYet), run.wake(now)
	v.Memory, v.Wants, v.Claims = next, next.Wants(), run.claims()
	if want, ok := next.TeamsWant(); ok {
		v.Teams = &want
	}
	v.Changed = !next.equal(m)
	return v
}

// isPaused says whether Offhook leaves the person alone for a time.
func (o *Options) isPaused(now time.Time) bool { return now.Before(o.PausedUntil) }

// silence returns why nothing can be decided for any line, or NoReason.
func (r *replay) silence() Reason {
	_, unread := r.unread()
	switch {
	case r.o.isPaused(r.At):
		return Paused
	case r.o.Mode == PBXToTeams:
		return ModeObserves
	case !r.o.Mode.Writes():
		return ModeDisabled
	case !r.isLinked():
		return NotLinked
	case unread:
		return NotReadYet
	}
	return NoReason
}

func (r *replay) isLinked() bool {
	return slices.ContainsFunc(r.memory.Lines, func(l line) bool { return l.Linked })
}

// wake returns the next moment at which anything can change without a fact. Where
// nothing is decided nothing changes; in a pause it may, for what holds afterwards.
func (r *replay) wake(now time.Time) (first time.Time) {
	if !r.o.Mode.Writes() && !r.o.Mode.WritesTeams() || !r.isLinked() {
		return time.Time{}
	}
	r.tick() // what is shown in Teams may have changed
	first = r.next()
	sooner := func(t time.Time) {
		if t.After(now) && (first.IsZero() || t.Before(first)) {
			first = t
		}
	}
	if n := len(r.memory.OwnTeams) - ownMost; n > 0 {
		sooner(r.memory.masks()[n-1]) // then one of them can be forgotten
	}
	if sooner(instant(r.o.PausedUntil)); r.shows() {
		r.considerShown(sooner)
	}
	return first
}

// decide sets what is wanted for a line.
func (r *replay) decide(l *line, now time.Time) {
	s := r.line(l.Line)
	from, why := s.Manual.Status, ByPerson
	if !s.Manual.holds(s.Sources) {
		from, why = r.bySources(s)
	}
	r.want(l, from, why, now)
}

// bySources returns what shows without a manual claim. What is shown is s.Sources,
// already projected; from tells what it was projected from.
func (r *replay) bySources(s *lineState) (from Status, why Reason) {
	powers := r.powers(s)
	from = r.sources(powers)
	if to, _ := powers.Project(from); to != s.Sources {
		return s.Sources, Damped
	}
	return from, r.sourcesReason(s, powers)
}

func (r *replay) sourcesReason(s *lineState, p Powers) Reason {
	t := r.Teams
	_, by := r.source(p)
	switch {
	case s.Expired:
		return PersonExpired
	case r.fallsBack():
		return CalendarFallback
	case by == CalendarClaim:
		return ByCalendar
	case !r.o.Mode.ReadsTeams():
		if r.calendarStale() {
			return CalendarStale
		}
		return ByBase
	case t.Opinion != Unset && !r.fresh():
		return TeamsStale
	case t.Waiting == masked:
		return Masked
	case t.Waiting == delayed:
		return ByTeamsDelayed
	case t.Opinion == Unset:
		return ByBase
	case t.Waiting == kept:
		return ByTeamsKept
	}
	return ByTeams
}

// want records what is wanted, projected onto what the system can show. What a
// person chose there and is still shown need not be written, so it need not be
// possible to write it.
func (r *replay) want(l *line, from Status, why Reason, now time.Time) {
	w := Want{Line: l.Line, LinkRevision: l.Revision, Status: from, DecidedOn: l.DecidedOn, Reason: why, Since: now}
	if still := why == ByPerson && l.Shown.Origin == Person && l.Shown.Status == from; !still {
		if to, projected := l.Powers.Project(from); projected {
			w.Status, w.ProjectedFrom = to, from
		}
	}
	if old := l.Want; old.Status == w.Status && !old.Released {
		w.Since = old.Since
	}
	l.Want = w
}

// release replaces a want by what remains without Offhook, once. Nothing is left
// to release where a person's own status shows and is what was wanted.
func (r *replay) release(l *line, now time.Time) {
	switch {
	case l.Want == (Want{}) || l.Want.Released:
	case l.Shown.Origin == Person && l.Shown.Status == l.Want.Status:
		l.Want = Want{}
	default:
		remains := r.o.Base
		if s := r.line(l.Line); s != nil && s.Manual != (claim{}) {
			remains = s.Manual.Status
		}
		r.want(l, remains, Released, now)
		l.Want.Released, l.Want.Since = true, now
	}
}

// claims lists the living claims, the strongest first.
func (r *replay) claims() []Claim {
	var all []Claim
	for _, l := range r.Lines {
		if l.Manual != (claim{}) {
			all = append(all, Claim{ManualClaim, l.Line, l.Manual.Status, l.Manual.Since, l.Manual.Until})
		}
	}
	if status := r.teamsOpinion(); status != Unset {
		t := r.Teams
		c := Claim{Source: TeamsClaim, Status: status, Since: t.OpinionSince, Until: r.memory.Reads[len(r.memory.Reads)-1].To.Add(r.o.StaleAfter)}
		if t.Waiting == kept && t.Until.Before(c.Until) {
			c.Until = t.Until
		}
		all = append(all, c)
	}
	if status, by, believed := r.calendarOpinion(); status != Unset {
		c := Claim{Source: CalendarClaim, Status: status, Since: by.From, Until: by.To}
		if believed.Before(c.Until) {
			c.Until = believed
		}
		all = append(all, c)
		if n := len(all) - 2; n >= 0 && all[n].Source == TeamsClaim && r.o.Combine == Strongest && status.stronger(all[n].Status) {
			all[n], all[n+1] = all[n+1], all[n]
		}
	}
	return append(all, Claim{Source: BaseClaim, Status: r.o.Base})
}
