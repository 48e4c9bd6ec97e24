package mapper

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"golang.org/x/sync/errgroup"

	"offhook.dev/libs/bus"
	"offhook.dev/libs/core/fault"
	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/core/presence"
	"offhook.dev/libs/links"
	"offhook.dev/libs/options"
	"offhook.dev/libs/run"
	"offhook.dev/libs/store"
	"offhook.dev/libs/topology"
	"offhook.dev/libs/wire"
)

// workers is how many people are decided for at once. Of the time that one decision
// takes nearly all is waiting for the broker.
const workers = 64

// Options of the service.
type Options struct {
	// Presence returns what the configuration says of a person; the bucket `options`
	// comes over it.
	Presence func(identity.Person) presence.Options
	// MinutePass is how often all memories are compared with the wants; 0: a minute.
	MinutePass time.Duration
}

// Mapper is the service.
type Mapper struct {
	deps    run.Deps
	opts    Options
	bus     *bus.Bus
	memory  *store.Bucket
	links   *links.Mirror
	options *options.Mirror
	sweeps  sweeps
	// published spares a reading of the want that a new one replaces.
	published published
	log       *slog.Logger
	metrics   *metrics
	epoch     uint64
	again     chan struct{} // asks for a pass now: the broker was away
}

// Run runs the service until ctx ends or something breaks.
func Run(ctx context.Context, deps run.Deps, opts Options) error {
	if opts.MinutePass == 0 {
		opts.MinutePass = time.Minute
	}
	m := &Mapper{deps: deps, opts: opts, bus: deps.Bus, links: links.NewMirror(), options: options.NewMirror(opts.Presence, deps.Log),
		log: deps.Log, epoch: 1, again: make(chan struct{}, 1)}
	var err error
	if m.metrics, err = newMetrics(deps.Meter); err != nil {
		return err
	}
	if m.memory, err = store.Open(ctx, m.bus.JetStream(), topology.Memory); err != nil {
		return err
	}
	linked, err := store.Open(ctx, m.bus.JetStream(), topology.Links)
	if err != nil {
		return err
	}
	optioned, err := store.Open(ctx, m.bus.JetStream(), topology.Options)
	if err != nil {
		return err
	}
	leases, err := store.Open(ctx, m.bus.JetStream(), topology.Leases)
	if err != nil {
		return err
	}
	m.bus.OnReconnect(func() {
		m.published.forget()
		select {
		case m.again <- struct{}{}:
		default:
		}
	})
	moved := newQueue()
	outer := ctx // tells an end that was asked for from one part stopping the others
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error {
		return run.Ended(ctx, m.links.Run(ctx, linked, func(who identity.Person, _ []identity.Line) { moved.add(who) }))
	})
	g.Go(func() error {
		return run.Ended(ctx, m.options.Run(ctx, optioned, func(key options.Key) { m.optionsChanged(key, moved) }))
	})
	g.Go(func() error {
		return run.Ended(ctx, m.options.RunMembers(ctx, m.bus, func(_ options.Key, people []identity.Person) { m.membersChanged(people, moved) }))
	})
	// Who decides without knowing the groups decides as if nobody were in one.
	if err := errors.Join(m.links.Current(ctx), m.options.Current(ctx), m.options.CurrentMembers(ctx)); err != nil {
		return run.Ended(outer, g.Wait())
	}
	swept := make(chan struct{})
	g.Go(func() error { return run.Ended(ctx, m.followSweeps(ctx, moved, func() { close(swept) })) })
	select { // who decides without knowing of the last sweep takes Teams for stale
	case <-ctx.Done():
		return run.Ended(outer, g.Wait())
	case <-swept:
	}
	g.Go(func() error { return m.relook(ctx, moved) })
	g.Go(func() error { return m.consumeFacts(ctx) })
	g.Go(func() error { return m.consumeFires(ctx) })
	g.Go(func() error { return m.consumeOutcomes(ctx) })
	// Replicas share the minute pass by a lease: one of them does it.
	holder := store.Leases{Bucket: leases, Holder: string(topology.PresenceMapper) + "/" + deps.Instance, Log: deps.Log}
	g.Go(func() error {
		return holder.Hold(ctx, topology.Join("mapper", "minute-pass"), func(ctx context.Context, _ store.Lease) error { return m.minutes(ctx) })
	})
	return run.Ended(outer, g.Wait())
}

func (m *Mapper) consumeFacts(ctx context.Context) error {
	return m.bus.Consume(ctx, bus.Consumer{
		Stream: topology.Facts, Durable: string(topology.PresenceMapper) + "-facts", NewestOnly: true, InFlight: 256, Workers: workers,
		Filters: []string{
			topology.Wildcard("m365.fact.presence.<tenant>.<user>"), topology.Wildcard("m365.fact.calendar.<tenant>.<user>"),
			topology.Wildcard("pbx.fact.status.<system>.<ext>"), topology.Wildcard("pbx.fact.call.<system>.<ext>"),
		},
	}, func(ctx context.Context, msg bus.Message) error {
		who, l, err := m.lookAt(msg)
		if err != nil || who == (identity.Person{}) {
			return err
		}
		l.again = msg.Delivered > 1
		return m.handle(ctx, who, l)
	})
}

// lookAt turns a fact into the person it is about; nobody if the line or the user
// is not linked.
func (m *Mapper) lookAt(msg bus.Message) (identity.Person, look, error) {
	who, l, err := m.read(msg)
	if err != nil || len(m.links.Of(who)) == 0 {
		return identity.Person{}, look{}, err
	}
	return who, l, nil
}

// read decodes a fact of any kind. Nobody has a line that is not linked.
func (m *Mapper) read(msg bus.Message) (identity.Person, look, error) {
	switch about(msg) {
	case presenceFact:
		fact, err := wire.DecodePresence(msg.Data)
		return fact.Person, presenceLook(fact, msg.Sequence), err
	case calendarFact:
		fact, err := wire.DecodeCalendar(msg.Data)
		return fact.Person, calendarLook(fact, msg.Sequence), err
	case statusFact:
		fact, err := wire.DecodeStatus(msg.Data)
		owner, _ := m.links.Who(fact.Reading.Line)
		return owner.Person, statusLook(fact, msg.Sequence), err
	case callFact:
		fact, err := wire.DecodeCall(msg.Data)
		owner, _ := m.links.Who(fact.Line)
		return owner.Person, callLook(fact, msg.Sequence), err
	}
	return identity.Person{}, look{}, fault.Errorf(fault.Invalid, "mapper", "a fact of an unknown kind: %s", msg.Subject)
}

// consumeFires looks at people whose time has come.
func (m *Mapper) consumeFires(ctx context.Context) error {
	return m.bus.Consume(ctx, bus.Consumer{
		Stream: topology.Timers, Durable: string(topology.PresenceMapper) + "-fires", NewestOnly: true, InFlight: 256, Workers: workers,
		Filters: []string{topology.Wildcard("fire.<tenant>.<user>")},
	}, func(ctx context.Context, msg bus.Message) error {
		who, err := wire.ParsePersonKey(msg.Subject[len("fire."):])
		if err != nil {
			return err
		}
		return m.handle(ctx, who, look{trigger: fired, again: msg.Delivered > 1})
	})
}

// lookAtAll folds the newest stored facts about a person.
func (m *Mapper) lookAtAll(ctx context.Context, who identity.Person) error {
	l := look{trigger: looked}
	subjects := []string{wire.PresenceSubject(who), wire.CalendarSubject(who)}
	for _, line := range m.links.Of(who) {
		subjects = append(subjects, wire.StatusSubject(line.Line), wire.CallSubject(line.Line))
	}
	for _, subject := range subjects {
		last, err := m.bus.Last(ctx, topology.Facts, subject)
		if err != nil {
			if fault.KindOf(err) == fault.NotFound {
				continue
			}
			return err
		}
		if _, other, err := m.read(last); err == nil { // what cannot be read is parked when it comes
			l.facts, l.evidence = append(l.facts, other.facts...), append(l.evidence, other.evidence...)
			if other.seen.After(l.seen) {
				l.seen = other.seen
			}
		}
	}
	word, err := m.lastOutcome(ctx, who)
	if err != nil {
		return err
	}
	l.facts, l.evidence = append(l.facts, word.facts...), append(l.evidence, word.evidence...)
	if _, chosen := m.options.Of(who); chosen != nil && chosen.At.After(l.seen) {
		l.trigger, l.seen = optionsSet, chosen.At
		l.evidence = append(l.evidence, wire.Evidence{Kind: optionsSet, Value: chosen.Status.String(), Origin: chosen.By, SeenAt: chosen.At})
	}
	return m.handle(ctx, who, l)
}

// standing is what is known without any message: the links, what was set in Offhook
// and, where the passing of time is the reason to look or may have ended something,
// how fresh Teams is. A fact that comes before its time needs no sweep, which would
// cost a write for each.
func (m *Mapper) standing(who identity.Person, r record, l look, chosen *presence.Chosen, now time.Time) []presence.Fact {
	lines, revision := m.links.List(who)
	links := presence.LinksChanged{Revision: revision}
	for _, line := range lines {
		links.Links = append(links.Links, presence.Link{Line: line.Line, Revision: line.Revision, Powers: line.Powers})
	}
	facts := []presence.Fact{links}
	if l.trigger == looked || l.trigger == optionsSet || len(l.facts) == 0 || r.due(now) {
		if s, ok := m.sweeps.of(who); ok {
			facts = append(facts, s)
		}
	}
	if chosen != nil {
		facts = append(facts, *chosen)
	}
	return facts
}
