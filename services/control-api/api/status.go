package api

import (
	"cmp"
	"slices"
	"time"

	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/core/presence"
	"offhook.dev/libs/wire"
)

// list returns the status of every line of these people, ordered by tenant,
// system and extension.
func (m *model) list(people []identity.Person) []Status {
	m.mu.RLock()
	defer m.mu.RUnlock()
	all := make([]Status, 0, len(people))
	for _, who := range people {
		for _, line := range m.links.Of(who) {
			all = append(all, m.status(who, line.Line))
		}
	}
	slices.SortFunc(all, func(a, b Status) int { return cmp.Or(cmp.Compare(a.Tenant, b.Tenant), byLine(a.line(), b.line())) })
	return all
}

func (s Status) line() identity.Line {
	return identity.Line{System: identity.System(s.System), Extension: identity.Extension(s.Extension)}
}

// byLine orders numbers of one system as people do: 99 before 100.
func byLine(a, b identity.Line) int {
	return cmp.Or(cmp.Compare(a.System, b.System), cmp.Compare(len(a.Extension), len(b.Extension)), cmp.Compare(a.Extension, b.Extension))
}

// status describes one line. m.mu is held.
func (m *model) status(who identity.Person, line identity.Line) Status {
	s := m.named(who, line)
	s.Lane = m.lanes.On(who)
	now := m.now()
	if shown, seen := m.shownNow(line); shown != presence.Unset {
		s.Shown, s.AgeMS = shown.String(), ms(now.Sub(seen))
	}
	var decision *wire.Decision
	if d, ok := m.decided(who); ok {
		decision = &d
		s.decided(d, line)
	}
	s.ToTeams = m.toTeamsNow(who, decision)
	if r, ok := m.reading(who); ok {
		s.Teams = &Teams{Availability: r.Availability, Activity: r.Activity, AgeMS: ms(now.Sub(m.confirmed(who, r)))}
	}
	return s
}

// toTeamsNow is what Teams should show of a person now. m.mu is held.
func (m *model) toTeamsNow(who identity.Person, d *wire.Decision) *ToTeams {
	if o, ok := m.toTeamsOutcome(who); ok {
		return toTeams(d, &o)
	}
	return toTeams(d, nil)
}

// named is a Status with nothing but the names. m.mu is held.
func (m *model) named(who identity.Person, line identity.Line) Status {
	u := m.user(who)
	return Status{
		Tenant: string(who.Tenant), User: string(who.User), UPN: u.upn, Name: u.name,
		System: string(line.System), Extension: string(line.Extension), Claims: []Claim{},
	}
}

// decided fills in what was decided for a line and on which claims.
func (s *Status) decided(d wire.Decision, line identity.Line) {
	s.Reason, s.Since = d.Reason, moment(d.At)
	for _, want := range d.Wants {
		if want.Line == line {
			s.Wanted, s.Reason = want.Status.String(), cmp.Or(want.Reason, d.Reason)
		}
	}
	s.Claims = make([]Claim, 0, len(d.Claims))
	for _, c := range d.Claims {
		s.Claims = append(s.Claims, Claim{Source: c.Source, Status: c.Status.String(), Until: moment(c.Until)})
	}
}

// confirmed is when Teams was last known to show r: a sweep that read the user and
// published nothing found it unchanged. m.mu is held.
func (m *model) confirmed(who identity.Person, r presence.TeamsReading) time.Time {
	newest := r.SeenAt
	for shard, sweep := range m.sweeps[who.Tenant] {
		if sweep.OK && wire.InShard(who.User, shard) && sweep.Began.After(newest) && !slices.Contains(sweep.Failed, who.User) {
			newest = sweep.Began
		}
	}
	return newest
}

// ms is a duration in whole milliseconds, never negative: two clocks are involved.
func ms(d time.Duration) int64 { return max(0, d.Milliseconds()) }

// fineMS is a duration in milliseconds with microseconds.
func fineMS(d time.Duration) float64 { return float64(max(0, d).Microseconds()) / 1000 }

// moment is nil for the zero time.
func moment(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	t = t.UTC()
	return &t
}
