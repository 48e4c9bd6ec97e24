package calendartest

import (
	"math/rand/v2"
)

func one[T any](r *rand.Rand, of ...T) T { return of[r.IntN(len(of))] }

// Generate returns a random calendar: meetings and series of them, with all that
// happens to meetings before they take place.
func Generate(r *rand.Rand, scenes []*Scene) Calendar {
	s := one(r, scenes...)
	c := Calendar{Scene: s}
	for range r.IntN(7) {
		c.Events = append(c.Events, s.event(r))
	}
	for range r.IntN(3) {
		c.Events = append(c.Events, s.series(r)...)
	}
	for range r.IntN(5) {
		if len(c.Events) > 0 {
			c.Events = append(c.Events, s.beside(r, one(r, c.Events...)))
		}
	}
	for range r.IntN(4) {
		c.edit(r)
	}
	for range r.IntN(3) {
		c.Rules = append(c.Rules, refinement(r))
	}
	c.send(r)
	return c
}

// event is something that is put into the calendar, more often at a full or half
// hour than not, and often enough at the hours at which clocks are changed.
func (s *Scene) event(r *rand.Rand) Event {
	e := Event{
		ShowAs:      one(r, "busy", "busy", "Busy", "oof", "tentative", "workingElsewhere", "free", "unknown", "somethingNew", ""),
		Cancelled:   r.IntN(10) == 0,
		Response:    one(r, "organizer", "accepted", "accepted", "none", "", "tentativelyAccepted", "notResponded", "declined", "Declined"),
		Sensitivity: one(r, "normal", "normal", "", "personal", "private", "Confidential"),
		Attendees:   r.IntN(4),
		clocks:      s.home,
	}
	start := s.first + Wall(r.IntN(steps+2*day)-day)
	if r.IntN(5) == 0 {
		e.AllDay = true
		e.From = start - start%Wall(day)
		e.To = e.From + Wall(day*(1+r.IntN(3)))
		return e
	}
	if r.IntN(3) > 0 {
		start -= start % Wall(day/48)
	}
	if r.IntN(4) == 0 {
		start += -start%Wall(day) + Wall(r.IntN(day/6)) // in the night
	}
	if r.IntN(4) == 0 {
		e.clocks = one(r, s.away...)
	}
	e.From, e.To = start, start+Wall(one(r, 1, 3, 6, 6, 12, 12, 18, 24, day/2, day, 2*day+5))
	return e
}

// beside is an event that overlaps another, lies in it, touches it, or is the same
// once more.
func (s *Scene) beside(r *rand.Rand, other Event) Event {
	e := s.event(r)
	if r.IntN(2) == 0 {
		e.ShowAs = other.ShowAs
	}
	if e.AllDay || other.AllDay {
		return e
	}
	length := e.To - e.From
	e.clocks = other.clocks
	switch r.IntN(5) {
	case 0:
		e.From = other.To
	case 1:
		e.From = other.From - length
	case 2:
		e.From, length = other.From, other.To-other.From
	case 3:
		e.From, length = other.From+(other.To-other.From)/3, max(1, (other.To-other.From)/3)
	default:
		e.From = other.To - 1
	}
	e.To = e.From + length
	return e
}

// series returns the occurrences of a meeting that comes daily or on some days of
// the week at the same time by the clocks, a few of them moved, changed or left out.
func (s *Scene) series(r *rand.Rand) []Event {
	meeting := s.event(r)
	days := 1 + r.IntN(1<<7-1) // a set of weekdays, one bit each
	every := 1 + r.IntN(2)
	var occurrences []Event
	start := meeting.From - Wall(2*day)
	for n := 0; n < 8; n++ {
		e := meeting
		e.From, e.To = start+Wall(n*day), start+Wall(n*day)+meeting.To-meeting.From
		weekday, number := e.From.weekday()
		if days&(1<<weekday) == 0 || number%every != 0 {
			continue
		}
		switch r.IntN(8) {
		case 0: // moved, by whole days where it takes whole days
			by := Wall(one(r, -12, -6, 3, 12))
			if e.AllDay {
				by = Wall(day)
			}
			e.From, e.To = e.From+by, e.To+by
		case 1:
			e.ShowAs = one(r, "free", "oof", "busy")
		case 2:
			e.Cancelled = true
		case 3: // its owner removed it: a calendar view does not have it
			continue
		}
		occurrences = append(occurrences, e)
	}
	return occurrences
}

// edit changes what is in the calendar already. Nothing must remain of what was.
func (c *Calendar) edit(r *rand.Rand) {
	if len(c.Events) == 0 {
		return
	}
	i := r.IntN(len(c.Events))
	e := &c.Events[i]
	switch r.IntN(5) {
	case 0:
		c.Events = append(c.Events[:i], c.Events[i+1:]...)
	case 1:
		e.Cancelled = true
	case 2:
		e.Response = one(r, "accepted", "declined")
	case 3:
		e.ShowAs = one(r, "free", "busy", "oof")
	case 4:
		by := Wall(day)
		e.From, e.To = e.From+by, e.To+by
	}
}

func refinement(r *rand.Rand) Rule {
	rule := Rule{As: one(r, "free", "busy", "oof", "tentative", "workingElsewhere", "unknown")}
	if r.IntN(2) == 0 {
		rule.ShowAs = one(r, "busy", "Tentative", "oof", "unknown", "free")
	}
	switch r.IntN(5) {
	case 0:
		rule.AllDay = new(r.IntN(2) == 0)
	case 1:
		rule.Response = one(r, "none", "organizer", "tentativelyAccepted", "accepted", "notResponded")
	case 2:
		rule.Sensitivity = one(r, "normal", "private", "confidential")
	case 3:
		rule.AttendeesMin = new(r.IntN(3))
	case 4:
		rule.AttendeesMax = new(r.IntN(3))
	}
	return rule
}
