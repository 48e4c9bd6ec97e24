package calendartest

import "math/rand/v2"

// send writes the events as Graph does when it is asked for UTC, all-day events as
// the midnights that they are everywhere. One calendar in forty comes in the zones
// of its events, as if Graph had not heard.
func (c *Calendar) send(r *rand.Rand) {
	local := r.IntN(40) == 0
	for _, e := range c.Events {
		sent := Sent{ShowAs: e.ShowAs, AllDay: e.AllDay, Cancelled: e.Cancelled, Response: e.Response, Sensitivity: e.Sensitivity, Attendees: e.Attendees}
		if zone := e.clocks.zone.String(); local || e.AllDay {
			sent.Start, sent.End, sent.StartZone, sent.EndZone = e.From.String(), e.To.String(), zone, zone
			if !local {
				sent.StartZone, sent.EndZone = "UTC", "UTC"
			}
		} else {
			sent.Start, sent.StartZone = c.Scene.utcOf(e.clocks, e.From), "UTC"
			sent.End, sent.EndZone = c.Scene.utcOf(e.clocks, e.To), "UTC"
		}
		c.Sent = append(c.Sent, sent)
		if r.IntN(10) == 0 {
			c.Sent = append(c.Sent, sent)
		}
		if r.IntN(20) == 0 {
			c.Sent = append(c.Sent, spoil(r, sent))
		}
	}
	r.Shuffle(len(c.Sent), func(i, j int) { c.Sent[i], c.Sent[j] = c.Sent[j], c.Sent[i] })
}

// utcOf is what the clocks of UTC show when those of another zone reach w. What lies
// beyond all that is known of the clocks is cut off, far from the window.
func (s *Scene) utcOf(zone clocks, w Wall) string {
	return s.utc.high[min(zone.reached(w), len(s.utc.high)-1)].String()
}

// spoil makes an event that cannot be meant.
func spoil(r *rand.Rand, s Sent) Sent {
	s.Cancelled, s.Response, s.ShowAs = false, "accepted", "busy"
	switch r.IntN(6) {
	case 0:
		s.StartZone = ""
	case 1:
		s.EndZone, s.AllDay = "Customized Time Zone", false
	case 2:
		s.Start = "tomorrow"
	case 3:
		s.End, s.EndZone = s.Start, s.StartZone
	case 4:
		s.Start, s.StartZone, s.End, s.EndZone = s.End, s.EndZone, s.Start, s.StartZone
	case 5:
		s.Start, s.StartZone, s.End, s.EndZone = "2009-01-01T00:00:00.0000000", "UTC", "2029-01-01T00:00:00.0000000", "UTC"
	}
	return s
}
