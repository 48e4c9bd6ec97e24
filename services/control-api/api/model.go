package api

import (
	"context"
	"log/slog"
	"strings"
	"sync"
	"time"

	"offhook.dev/libs/bus"
	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/core/presence"
	"offhook.dev/libs/links"
	"offhook.dev/libs/options"
	"offhook.dev/libs/subscription"
	"offhook.dev/libs/topology"
	"offhook.dev/libs/wire"
)

// model is the read model: the newest of everything, per person and per line.
type model struct {
	log   *slog.Logger
	links *links.Mirror
	// options are in force: a tenant's, a group's and a user's over the configuration's.
	options *options.Mirror
	tenants map[identity.Tenant]Tenant
	now     func() time.Time // broker time

	mu        sync.RWMutex // guards what follows
	users     map[identity.Person]user
	teams     map[identity.Person]presence.TeamsReading
	shown     map[identity.Line]presence.StatusReading
	decisions map[identity.Person]wire.Decision
	outcomes  map[identity.Line]wire.Outcome
	toTeams   map[identity.Person]wire.TeamsOutcome
	sweeps    map[identity.Tenant]map[string]wire.Sweep // the last good one of each shard

	laneFacts map[laneKey]wire.Lane

	lanes subscription.Lanes
}

// user is what is kept of the directory: names to find people by.
type user struct{ upn, mail, name string }

func newModel(log *slog.Logger, mirror *links.Mirror, optioned *options.Mirror, tenants map[identity.Tenant]Tenant, now func() time.Time) *model {
	return &model{
		log: log, links: mirror, options: optioned, tenants: tenants, now: now,
		users: map[identity.Person]user{}, teams: map[identity.Person]presence.TeamsReading{},
		shown: map[identity.Line]presence.StatusReading{}, decisions: map[identity.Person]wire.Decision{},
		outcomes: map[identity.Line]wire.Outcome{}, toTeams: map[identity.Person]wire.TeamsOutcome{}, sweeps: map[identity.Tenant]map[string]wire.Sweep{},
		laneFacts: map[laneKey]wire.Lane{},
	}
}

// skip notes a message that cannot be read. A newer service may have written it.
func (m *model) skip(msg bus.Message, err error) {
	m.log.Warn("message left out of the read model", "subject", msg.Subject, "sequence", msg.Sequence, "error", err)
}

func (m *model) foldDirectory(msg bus.Message) {
	u, err := wire.DecodeUser(msg.Data)
	if err != nil {
		m.skip(msg, err)
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if u.Gone {
		delete(m.users, u.Person)
		delete(m.teams, u.Person)
		delete(m.toTeams, u.Person)
		return
	}
	m.users[u.Person] = user{upn: u.UPN, mail: u.Mail, name: u.DisplayName}
}

// foldFact takes a fact in; for a status it returns what was shown before.
func (m *model) foldFact(msg bus.Message) (status *presence.StatusReading, before presence.StatusReading) {
	switch {
	case strings.HasPrefix(msg.Subject, "m365.fact.presence."):
		fact, err := wire.DecodePresence(msg.Data)
		if err != nil {
			m.skip(msg, err)
			return nil, before
		}
		m.mu.Lock()
		defer m.mu.Unlock()
		m.teams[fact.Person] = fact.Reading
	case strings.HasPrefix(msg.Subject, "m365.fact.sweep."):
		sweep, err := wire.DecodeSweep(msg.Data)
		if err != nil {
			m.skip(msg, err)
			return nil, before
		}
		m.foldSweep(sweep)
	case strings.HasPrefix(msg.Subject, "m365.fact.lane."):
		m.foldLane(msg)
	case strings.HasPrefix(msg.Subject, "pbx.fact.status."):
		fact, err := wire.DecodeStatus(msg.Data)
		if err != nil {
			m.skip(msg, err)
			return nil, before
		}
		m.mu.Lock()
		defer m.mu.Unlock()
		before = m.shown[fact.Reading.Line]
		m.shown[fact.Reading.Line] = fact.Reading
		return &fact.Reading, before
	}
	return nil, before
}

// foldSweep keeps the last sweep of a shard that went well: a failed one says
// nothing about how fresh the values are.
func (m *model) foldSweep(sweep wire.Sweep) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.sweeps[sweep.Tenant] == nil {
		m.sweeps[sweep.Tenant] = map[string]wire.Sweep{}
	}
	if _, known := m.sweeps[sweep.Tenant][sweep.Shard]; sweep.OK || !known {
		m.sweeps[sweep.Tenant][sweep.Shard] = sweep
	}
}

func (m *model) foldDecision(d wire.Decision) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.decisions[d.Person] = d
}

func (m *model) foldOutcome(o outcome) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if o.teams != nil {
		m.toTeams[o.teams.Person] = *o.teams
	} else {
		m.outcomes[o.line.Line] = *o.line
	}
}

// decision returns a person's newest decision.
func (m *model) decision(who identity.Person) (wire.Decision, bool) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	d, ok := m.decisions[who]
	return d, ok
}

// presenceAges returns, for each tenant, how old the stalest shard's last good
// sweep is. A tenant that was never swept well is left out.
func (m *model) presenceAges() map[identity.Tenant]time.Duration {
	m.mu.RLock()
	defer m.mu.RUnlock()
	ages := map[identity.Tenant]time.Duration{}
	for tenant, shards := range m.sweeps {
		for _, sweep := range shards {
			if sweep.OK {
				ages[tenant] = max(ages[tenant], m.now().Sub(sweep.Began))
			}
		}
	}
	return ages
}

// follow keeps the model current until ctx ends. filled is called once for each of
// the four streams; outcomes and choices that come after their stream's filling
// go to live.
func (m *model) follow(ctx context.Context, b *bus.Bus, filled func(topology.Stream), live *hub) []func() error {
	users := topology.Wildcard("m365.fact.user.<tenant>.<user>")
	facts := []string{
		topology.Wildcard("m365.fact.presence.<tenant>.<user>"), topology.Wildcard("m365.fact.sweep.<tenant>.<shard>"),
		topology.Wildcard("pbx.fact.status.<system>.<ext>"), topology.Wildcard("m365.fact.lane.<tenant>.<account>"),
	}
	mirror := func(stream topology.Stream, filters []string, fold func(bus.Message, bool)) func() error {
		return func() error {
			full := false
			return b.Follow(ctx, stream, filters, func(msg bus.Message) error { fold(msg, full); return nil },
				func() { full = true; filled(stream) })
		}
	}
	return []func() error{
		mirror(topology.Directory, []string{users}, func(msg bus.Message, _ bool) { m.foldDirectory(msg) }),
		mirror(topology.Facts, facts, func(msg bus.Message, full bool) {
			status, before := m.foldFact(msg)
			if full && status != nil {
				live.choice(*status, before)
			}
		}),
		mirror(topology.Decisions, []string{topology.Wildcard("decision.<tenant>.<user>")}, func(msg bus.Message, _ bool) {
			d, err := wire.DecodeDecision(msg.Data)
			if err != nil {
				m.skip(msg, err)
				return
			}
			m.foldDecision(d)
		}),
		mirror(topology.Outcomes, outcomes(), func(msg bus.Message, full bool) {
			o, err := decodeOutcome(msg.Subject, msg.Data)
			if err != nil {
				m.skip(msg, err)
				return
			}
			m.foldOutcome(o)
			live.outcome(ctx, msg.Sequence, o, full)
		}),
	}
}
