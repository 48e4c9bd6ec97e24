package mapper

import (
	"context"
	"hash/maphash"
	"time"

	"offhook.dev/libs/bus"
	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/store"
	"offhook.dev/libs/topology"
	"offhook.dev/libs/wire"
)

// After the broker was away everyone is looked at with the newest stored facts,
// several times: a broker that was killed may have lost the last facts, and those
// that take their place can have numbers that the consumer believes to have seen.
const (
	doubts     = 4
	doubtPause = 15 * time.Second
)

// minutes goes over everyone at the start, every minute, and after the broker was
// away.
func (m *Mapper) minutes(ctx context.Context) error {
	doubt := 0
	for {
		if doubt > 0 {
			doubt--
			m.lookAtEverybody(ctx)
		}
		if err := m.pass(ctx); err != nil && ctx.Err() == nil {
			m.log.Warn("minute pass", "error", err)
		}
		wait := m.opts.MinutePass
		if doubt > 0 {
			wait = min(wait, doubtPause)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(wait):
		case <-m.again:
			doubt = doubts
		}
	}
}

// lookAtEverybody folds the newest stored facts of everyone who is linked.
func (m *Mapper) lookAtEverybody(ctx context.Context) {
	for _, who := range m.links.People("") {
		if err := m.lookAtAll(ctx, who); err != nil && ctx.Err() == nil {
			m.log.Warn("look at everybody", "tenant", who.Tenant, "user", who.User, "error", err)
			return // the broker again, most likely; the next round tries again
		}
	}
}

// pass looks at everyone whose time has come, or whose Teams can be read again, everyone
// linked without a memory, and compares all wants with the stream.
func (m *Mapper) pass(ctx context.Context) error {
	stored, err := m.storedWants(ctx)
	if err != nil {
		return err
	}
	now := m.bus.Now()
	remembered := map[uint64]struct{}{} // personPrint: of a large installation, its names would be most of it
	var due []identity.Person
	var lost, clearing []identity.Person
	err = m.memory.Each(ctx, ">", func(e store.Entry) error {
		who, err := wire.ParsePersonKey(e.Key)
		if err != nil {
			return nil
		}
		remembered[personPrint(who)] = struct{}{}
		r, err := decodeRecord(e.Value)
		if err != nil {
			// Their facts are parked; nobody else is concerned. It is not thrown away: a
			// newer version may have written it.
			m.log.Error("memory cannot be read: nothing is decided for this person until it is repaired or deleted", "key", e.Key, "error", err)
			return nil
		}
		if r.due(now) || m.readAgain(who, r) {
			due = append(due, who)
			return nil
		}
		if m.lacks(stored, who, r, e.Revision) {
			lost = append(lost, who)
		} else if r.Memory.Unsure(now) {
			clearing = append(clearing, who)
		}
		return nil
	})
	if err != nil {
		return err
	}
	for _, who := range m.links.People("") {
		if _, ok := remembered[personPrint(who)]; !ok {
			due = append(due, who)
		}
	}
	m.metrics.passed(ctx, len(due), len(lost))
	for _, who := range due {
		m.repair(ctx, who, m.lookAtAll)
	}
	for _, who := range clearing {
		m.repair(ctx, who, m.lookAtOutcome)
	}
	for _, who := range lost {
		m.repair(ctx, who, func(ctx context.Context, who identity.Person) error {
			r, revision, err := m.load(ctx, who)
			if err != nil {
				return err
			}
			return m.publishWants(ctx, who, r, revision, r.Memory)
		})
	}
	return nil
}

// repair does something for one person, whose failure is nobody else's.
func (m *Mapper) repair(ctx context.Context, who identity.Person, do func(context.Context, identity.Person) error) {
	if ctx.Err() != nil {
		return
	}
	if err := do(ctx, who); err != nil && ctx.Err() == nil {
		m.log.Warn("minute pass", "tenant", who.Tenant, "user", who.User, "error", err)
	}
}

var prints = maphash.MakeSeed()

// personPrint stands for a person, within this process.
func personPrint(who identity.Person) uint64 { return maphash.Comparable(prints, who) }

// wanted is what the stream of wants holds, by the prints of subjects.
type wanted map[uint64]standing

func (w wanted) superseded(subject string, want standing) bool {
	stored, ok := w[maphash.String(prints, subject)]
	return ok && supersedes(stored, want, false)
}

func (m *Mapper) storedWants(ctx context.Context) (wanted, error) {
	stored := wanted{}
	err := m.bus.Each(ctx, topology.Wants, topology.Wildcard("pbx.want.status.<system>.<ext>"), func(msg bus.Message) error {
		if want, err := wire.DecodeWant(msg.Data); err == nil {
			stored[maphash.String(prints, msg.Subject)] = standingOf(want)
		}
		return nil
	})
	if err != nil {
		return stored, err
	}
	err = m.bus.Each(ctx, topology.Wants, topology.Wildcard("m365.want.presence.<tenant>.<user>"), func(msg bus.Message) error {
		if want, err := wire.DecodeTeamsWant(msg.Data); err == nil {
			stored[maphash.String(prints, msg.Subject)] = standingOfTeams(want)
		}
		return nil
	})
	return stored, err
}

// lacks says whether the stream lacks a want that memory implies.
func (m *Mapper) lacks(stored wanted, who identity.Person, r record, revision uint64) bool {
	for _, want := range m.wants(who, r, revision) {
		if !stored.superseded(wire.WantSubject(want.Line), standingOf(want)) {
			return true
		}
	}
	want, ok := m.teamsWant(who, r, revision)
	return ok && !stored.superseded(wire.TeamsWantSubject(who), standingOfTeams(want))
}
