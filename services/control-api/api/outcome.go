package api

import (
	"strings"
	"time"

	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/topology"
	"offhook.dev/libs/wire"
)

// outcome is what a writer did: one of the two is set.
type outcome struct {
	line  *wire.Outcome      // of pbx-writer
	teams *wire.TeamsOutcome // of graph-writer
}

// Patterns of the subjects of outcomes. A phone system may be called "presence":
// what tells the two apart is the number of words.
const (
	lineOutcomes  = "outcome.<system>.<ext>"
	teamsOutcomes = "outcome.presence.<tenant>.<user>"
)

// outcomes are the filters for both.
func outcomes() []string {
	return []string{topology.Wildcard(lineOutcomes), topology.Wildcard(teamsOutcomes)}
}

func decodeOutcome(subject string, data []byte) (outcome, error) {
	if strings.Count(subject, ".") == strings.Count(teamsOutcomes, ".") {
		o, err := wire.DecodeTeamsOutcome(data)
		return outcome{teams: &o}, err
	}
	o, err := wire.DecodeOutcome(data)
	return outcome{line: &o}, err
}

func (o outcome) person() identity.Person {
	if o.teams != nil {
		return o.teams.Person
	}
	return o.line.Person
}

// decision is the id of the decision behind it.
func (o outcome) decision() string {
	if o.teams != nil {
		return o.teams.Decision
	}
	return o.line.Decision
}

// isChange says whether an outcome changed or refused something.
func (o outcome) isChange() bool {
	if o.teams != nil {
		return o.teams.Result == wire.Applied || isRefusal(o.teams.Result)
	}
	return o.line.Result == wire.Applied && o.line.Before != o.line.Status || isRefusal(o.line.Result)
}

func isRefusal(r wire.Result) bool {
	switch r {
	case wire.RefusedPerson, wire.RefusedLink, wire.RefusedTenant, wire.Unsupported, wire.Failed:
		return true
	}
	return false
}

// changed describes an outcome. Claims and the Teams value are those that the
// decision behind it rested on; they are left out where that is not the newest.
func (m *model) changed(o outcome) Change {
	m.mu.RLock()
	defer m.mu.RUnlock()
	if o.teams != nil {
		return m.changedTeams(*o.teams)
	}
	return m.changedLine(*o.line)
}

// changedLine describes what pbx-writer did. m.mu is held.
func (m *model) changedLine(o wire.Outcome) Change {
	c := Change{
		Status: m.named(o.Person, o.Line), At: o.EndedAt.UTC(), Side: SidePBX, Before: o.Before.String(),
		Result: o.Result.String(), Detail: o.Detail, Trace: o.Trace, LatencyMS: latency(o.SeenAt, o.EndedAt),
	}
	m.grounds(&c, o.Person, o.Line, o.Decision)
	c.Wanted, c.Reason = o.Status.String(), o.Reason
	c.Shown = o.Before.String()
	if o.Result == wire.Applied {
		c.Shown = o.Status.String()
	}
	return c
}

// changedTeams describes what graph-writer did. m.mu is held.
func (m *model) changedTeams(o wire.TeamsOutcome) Change {
	c := Change{
		Status: m.named(o.Person, identity.Line{}), At: o.EndedAt.UTC(), Side: SideM365,
		Result: o.Result.String(), Detail: o.Detail, Trace: o.Trace, LatencyMS: latency(o.SeenAt, o.EndedAt),
	}
	m.grounds(&c, o.Person, identity.Line{}, o.Decision)
	c.Reason, c.ToTeams = o.Reason, toTeamsAfter(o)
	if d, ok := m.decided(o.Person); ok && d.ID == o.Decision && !settled(o.Result) {
		c.ToTeams = toTeams(&d, &o) // with what was wanted in vain
	}
	return c
}

// grounds fills in what the decision behind a change rested on. m.mu is held.
func (m *model) grounds(c *Change, who identity.Person, line identity.Line, decision string) {
	d, ok := m.decided(who)
	if !ok || d.ID != decision {
		return
	}
	c.decided(d, line)
	c.Teams = teamsOf(d, m.now())
	if r, ok := m.reading(who); ok && c.Teams == nil {
		c.Teams = &Teams{Availability: r.Availability, Activity: r.Activity, AgeMS: ms(m.now().Sub(m.confirmed(who, r)))}
	}
}

// latency is 0 where it is not known when the change was seen.
func latency(seen, ended time.Time) float64 {
	if seen.IsZero() {
		return 0
	}
	return fineMS(ended.Sub(seen))
}
