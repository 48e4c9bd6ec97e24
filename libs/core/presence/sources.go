package presence

import (
	"cmp"
	"time"

	"offhook.dev/libs/core/calendar"
)

// calendarWait is how long the phone of somebody of whom Teams has no opinion waits
// for the first reading of the calendar, so that it does not ring in a meeting just
// after linking.
const calendarWait = 2 * time.Minute

// sources returns what is wanted without the manual claim on a line of these powers,
// before projection; Unset while that cannot be decided.
func (r *replay) sources(p Powers) Status {
	switch {
	case r.o.Mode == PBXToTeams:
		return Available // nothing shows but what persons choose
	case !r.o.Mode.Writes():
		return r.o.Base
	}
	if _, unread := r.unread(); unread {
		return Unset
	}
	status, _ := r.source(p)
	return cmp.Or(status, r.o.Base)
}

// source returns the opinion that shows, and whose it is: Teams' or, where Teams has
// none, the calendar's. While Teams shows what Offhook wrote there, a last opinion
// that rings yields to the calendar.
func (r *replay) source(p Powers) (Status, Claimant) {
	teams := r.teamsOpinion()
	fromCalendar, _, _ := r.calendarOpinion()
	switch {
	case teams == Unset && fromCalendar == Unset:
		return Unset, BaseClaim
	case teams == Unset:
		return fromCalendar, CalendarClaim
	case fromCalendar == Unset:
		return teams, TeamsClaim
	}
	shown, _ := p.Project(teams)
	if r.Teams.Waiting == masked && p.Ring.Has(shown) || r.o.Combine == Strongest && fromCalendar.stronger(teams) {
		return fromCalendar, CalendarClaim
	}
	return teams, TeamsClaim
}

// teamsOpinion returns what Teams says, or Unset.
func (r *replay) teamsOpinion() Status {
	if !r.readsTeams() || r.Teams.Opinion == Unset || !r.fresh() {
		return Unset
	}
	return r.Teams.Opinion
}

// readsTeams says whether Teams is a source.
func (r *replay) readsTeams() bool { return r.o.Mode.ReadsTeams() && !r.fallsBack() }

// fallsBack says whether the calendar stands in for Teams, because there is no Teams
// presence or nobody may read it.
func (r *replay) fallsBack() bool {
	return r.o.Mode.ReadsTeams() && (r.o.TeamsAbsent || r.denial() != nil)
}

// denial returns the refusal in force, or nil.
func (r *replay) denial() *denial {
	for i := range r.memory.Denials {
		if d := &r.memory.Denials[i]; !r.At.Before(d.From) && (d.To.IsZero() || r.At.Before(d.To)) {
			return d
		}
	}
	return nil
}

// calendarRead returns the newest reading of the calendar, or nil.
func (r *replay) calendarRead() *calendarRead {
	for i := len(r.memory.Calendars) - 1; i >= 0; i-- {
		if c := &r.memory.Calendars[i]; !c.SeenAt.After(r.At) {
			return c
		}
	}
	return nil
}

// calendarOpinion returns what the calendar says, the interval that decides it and
// until when the reading is believed; Unset if it says nothing.
func (r *replay) calendarOpinion() (says Status, by *calendar.Interval, believed time.Time) {
	c := r.calendarRead()
	if !r.o.Mode.Writes() || c == nil {
		return Unset, nil, time.Time{}
	}
	if believed = c.SeenAt.Add(calendarFor); !r.At.Before(believed) {
		return Unset, nil, believed
	}
	says, by = r.o.Calendar.at(c.Intervals, r.At)
	return says, by, believed
}

// calendarStale says whether the calendar was read, and too long ago.
func (r *replay) calendarStale() bool {
	c := r.calendarRead()
	return c != nil && !c.Problem && !r.At.Before(c.SeenAt.Add(calendarFor))
}

// considerCalendar tells of the moments at which the calendar's opinion can change.
func (r *replay) considerCalendar(consider func(time.Time)) {
	for i := len(r.memory.Calendars) - 1; i >= 0; i-- {
		c := &r.memory.Calendars[i]
		if consider(c.SeenAt); c.SeenAt.After(r.At) {
			continue
		}
		believed := c.SeenAt.Add(calendarFor)
		if consider(believed); believed.After(r.At) {
			r.considerIntervals(c, believed, consider)
		}
		return
	}
}

func (r *replay) considerIntervals(c *calendarRead, believed time.Time, consider func(time.Time)) {
	for i := range c.Intervals {
		span := &c.Intervals[i]
		if !span.From.Before(believed) {
			return // sorted
		}
		if !span.To.After(r.At) || r.o.Calendar.says[classIndex(span.Class)] == Unset {
			continue
		}
		if span.From.After(r.At) {
			consider(span.From)
			return // nothing that begins later ends sooner
		}
		if span.To.Before(believed) {
			consider(span.To)
		}
	}
}

// unread says whether a source must be read before anything is decided: Teams where
// the mode reads it, and the calendar where Teams has no opinion. until is when the
// wait is over; zero: not before the reading.
func (r *replay) unread() (until time.Time, unread bool) {
	if !r.o.Mode.Writes() {
		return time.Time{}, false
	}
	switch {
	case !r.o.Mode.ReadsTeams():
		return time.Time{}, r.calendarRead() == nil
	case r.fallsBack():
		until = r.firstRead()
		if d := r.denial(); d != nil && !r.o.TeamsAbsent && d.From.After(until) {
			until = d.From
		}
	case r.Teams.SeenAt.IsZero():
		return time.Time{}, true
	case r.teamsOpinion() != Unset:
		return time.Time{}, false
	default:
		until = r.memory.TeamsFirst
	}
	until = until.Add(calendarWait)
	return until, r.calendarRead() == nil && r.At.Before(until)
}

// firstRead returns when the first of the lines was read, or zero.
func (r *replay) firstRead() (first time.Time) {
	for i := range r.memory.Lines {
		if at := r.memory.Lines[i].First; !at.IsZero() && (first.IsZero() || at.Before(first)) {
			first = at
		}
	}
	return first
}
