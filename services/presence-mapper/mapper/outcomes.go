package mapper

import (
	"context"
	"fmt"

	"offhook.dev/libs/bus"
	"offhook.dev/libs/core/fault"
	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/core/presence"
	"offhook.dev/libs/topology"
	"offhook.dev/libs/wire"
)

// consumeOutcomes hears what became of the wants for Teams: what was to be cleared
// there may echo until it was. What follows from that is no consequence of the want,
// but of what Teams shows.
func (m *Mapper) consumeOutcomes(ctx context.Context) error {
	return m.bus.Consume(ctx, bus.Consumer{
		Stream: topology.Outcomes, Durable: string(topology.PresenceMapper) + "-outcomes", NewestOnly: true, InFlight: 256, Workers: 16,
		Filters: []string{topology.Wildcard("outcome.presence.<tenant>.<user>")},
	}, func(ctx context.Context, msg bus.Message) error {
		outcome, err := wire.DecodeTeamsOutcome(msg.Data)
		if err != nil {
			return err
		}
		l, err := m.outcomeLook(ctx, outcome, msg.Sequence)
		if err != nil || len(l.facts) == 0 {
			return err
		}
		l.again = msg.Delivered > 1
		return m.handle(bus.Begin(ctx), outcome.Person, l)
	})
}

// lookAtOutcome folds the last outcome once more, in case it was lost on its way.
func (m *Mapper) lookAtOutcome(ctx context.Context, who identity.Person) error {
	l, err := m.lastOutcome(ctx, who)
	if err != nil || len(l.facts) == 0 {
		return err
	}
	return m.handle(ctx, who, l)
}

// lastOutcome returns what the last outcome tells of a person; nothing if there is none.
func (m *Mapper) lastOutcome(ctx context.Context, who identity.Person) (look, error) {
	last, err := m.bus.Last(ctx, topology.Outcomes, wire.TeamsOutcomeSubject(who))
	if err != nil {
		if fault.KindOf(err) == fault.NotFound {
			err = nil
		}
		return look{}, err
	}
	outcome, err := wire.DecodeTeamsOutcome(last.Data)
	if err != nil {
		return look{}, nil // it is parked when it comes
	}
	return m.outcomeLook(ctx, outcome, last.Sequence)
}

// outcomeLook returns what an outcome tells; nothing unless it is of the newest want,
// for after another one Teams may show something else, or of somebody who is linked.
func (m *Mapper) outcomeLook(ctx context.Context, o wire.TeamsOutcome, sequence uint64) (look, error) {
	if len(m.links.Of(o.Person)) == 0 {
		return look{}, nil
	}
	newest, err := m.bus.Last(ctx, topology.Wants, wire.TeamsWantSubject(o.Person))
	if err != nil {
		if fault.KindOf(err) == fault.NotFound {
			err = nil
		}
		return look{}, err
	}
	want, err := wire.DecodeTeamsWant(newest.Data)
	if err != nil || want.Revision != o.Revision {
		return look{}, nil
	}
	fact := presence.TeamsWritten{Session: o.Session, Preferred: o.Preferred, At: o.EndedAt}
	return look{trigger: written, facts: []presence.Fact{fact}, seen: o.EndedAt, evidence: []wire.Evidence{{
		Kind: written, Value: fmt.Sprintf("%s: session %q, preferred %q", o.Result, o.Session, o.Preferred), Origin: string(topology.GraphWriter),
		SeenAt: o.EndedAt, Sequence: sequence,
	}}}, nil
}
