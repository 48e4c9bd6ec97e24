package api

import (
	"bytes"
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

	mu       sync.RWMutex // guards what follows
	byPerson map[identity.Person]*aboutPerson
	byLine   map[identity.Line]aboutLine
	sweeps   map[identity.Tenant]map[string]wire.Sweep // the last good one of each shard

	laneFacts map[laneKey]wire.Lane

	lanes subscription.Lanes
}

func newModel(log *slog.Logger, mirror *links.Mirror, optioned *options.Mirror, tenants map[identity.Tenant]Tenant, now func() time.Time) *model {
	return &model{
		log: log, links: mirror, options: optioned, tenants: tenants, now: now,
		byPerson: map[identity.Person]*aboutPerson{}, byLine: map[identity.Line]aboutLine{}, sweeps: map[identity.Tenant]map[string]wire.Sweep{},
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
		m.leave(u.Person)
		return
	}
	p := m.person(u.Person)
	p.listed, p.user = true, user{upn: u.UPN, mail: u.Mail, name: u.DisplayName}
	if p.user.mail == p.user.upn {
		p.user.mail = p.user.upn // once in memory
	}
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
		fact.Reading.Availability, fact.Reading.Activity = identity.Shared(fact.Reading.Availability), identity.Shared(fact.Reading.Activity)
		m.person(fact.Person).teams = fact.Reading
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
		return &fact.Reading, m.see(fact.Reading)
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

// foldDecision takes a decision in, and a copy of the message that it came in: that itself is
// a part of something larger.
func (m *model) foldDecision(d wire.Decision, data []byte) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.person(d.Person).decision = bytes.Clone(data)
}

// foldOutcome is the same for an outcome.
func (m *model) foldOutcome(o outcome, data []byte) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if o.teams != nil {
		m.person(o.teams.Person).toTeams = bytes.Clone(data)
	} else {
		m.wrote(*o.line)
	}
}

// decision returns a person's newest decision.
func (m *model) decision(who identity.Person) (wire.Decision, bool) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return m.decided(who)
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
			m.foldDecision(d, msg.Data)
		}),
		mirror(topology.Outcomes, outcomes(), func(msg bus.Message, full bool) {
			o, err := decodeOutcome(msg.Subject, msg.Data)
			if err != nil {
				m.skip(msg, err)
				return
			}
			m.foldOutcome(o, msg.Data)
			live.outcome(ctx, msg.Sequence, o, full)
		}),
	}
}
