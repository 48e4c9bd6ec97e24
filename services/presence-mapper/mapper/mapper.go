package mapper

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"offhook.dev/libs/bus"
	"offhook.dev/libs/core/fault"
	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/core/presence"
	"offhook.dev/libs/links"
	"offhook.dev/libs/run"
	"offhook.dev/libs/store"
	"offhook.dev/libs/topology"
	"offhook.dev/libs/wire"
)

// Options of the service.
type Options struct {
	// Presence returns the options that apply to a person.
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
	sweeps  sweeps
	log     *slog.Logger
	metrics *metrics
	epoch   uint64
	again   chan struct{} // asks for a pass now: the broker was away
}

// Run runs the service until ctx ends or something breaks.
func Run(ctx context.Context, deps run.Deps, opts Options) error {
	if opts.MinutePass == 0 {
		opts.MinutePass = time.Minute
	}
	m := &Mapper{deps: deps, opts: opts, bus: deps.Bus, links: links.NewMirror(), log: deps.Log, epoch: 1, again: make(chan struct{}, 1)}
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
	leases, err := store.Open(ctx, m.bus.JetStream(), topology.Leases)
	if err != nil {
		return err
	}
	m.bus.OnReconnect(func() {
		select {
		case m.again <- struct{}{}:
		default:
		}
	})
	moved := newQueue()
	outer := ctx // tells an end that was asked for from one part stopping the others
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return run.Ended(ctx, m.links.Run(ctx, linked, moved.add)) })
	if err := m.links.Current(ctx); err != nil {
		return run.Ended(outer, g.Wait())
	}
	swept := make(chan struct{})
	g.Go(func() error { return run.Ended(ctx, m.followSweeps(ctx, func() { close(swept) })) })
	select { // who decides without knowing of the last sweep takes Teams for stale
	case <-ctx.Done():
		return run.Ended(outer, g.Wait())
	case <-swept:
	}
	g.Go(func() error { return m.relink(ctx, moved) })
	g.Go(func() error { return m.consumeFacts(ctx) })
	g.Go(func() error { return m.consumeFires(ctx) })
	// Replicas share the minute pass by a lease: one of them does it.
	holder := store.Leases{Bucket: leases, Holder: string(topology.PresenceMapper) + "/" + deps.Instance, Log: deps.Log}
	g.Go(func() error {
		return holder.Hold(ctx, topology.Join("mapper", "minute-pass"), func(ctx context.Context, _ store.Lease) error { return m.minutes(ctx) })
	})
	return run.Ended(outer, g.Wait())
}

func (m *Mapper) consumeFacts(ctx context.Context) error {
	return m.bus.Consume(ctx, bus.Consumer{
		Stream: topology.Facts, Durable: string(topology.PresenceMapper) + "-facts", NewestOnly: true, InFlight: 256, Workers: 16,
		Filters: []string{topology.Wildcard("m365.fact.presence.<tenant>.<user>"), topology.Wildcard("pbx.fact.status.<system>.<ext>")},
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
	if status, ok := msgIs(msg, "pbx.fact.status."); ok {
		fact, err := wire.DecodeStatus(status)
		if err != nil {
			return identity.Person{}, look{}, err
		}
		owner, linked := m.links.Who(fact.Reading.Line)
		if !linked {
			return identity.Person{}, look{}, nil
		}
		return owner.Person, statusLook(fact, msg.Sequence), nil
	}
	fact, err := wire.DecodePresence(msg.Data)
	if err != nil {
		return identity.Person{}, look{}, err
	}
	if len(m.links.Of(fact.Person)) == 0 {
		return identity.Person{}, look{}, nil
	}
	return fact.Person, presenceLook(fact, msg.Sequence), nil
}

// consumeFires looks at people whose time has come.
func (m *Mapper) consumeFires(ctx context.Context) error {
	return m.bus.Consume(ctx, bus.Consumer{
		Stream: topology.Timers, Durable: string(topology.PresenceMapper) + "-fires", NewestOnly: true, InFlight: 256, Workers: 16,
		Filters: []string{topology.Wildcard("fire.<tenant>.<user>")},
	}, func(ctx context.Context, msg bus.Message) error {
		who, err := wire.ParsePersonKey(msg.Subject[len("fire."):])
		if err != nil {
			return err
		}
		return m.handle(ctx, who, look{trigger: fired, again: msg.Delivered > 1})
	})
}

// relinkPause is how long relink leaves a broker alone that failed it.
const relinkPause = time.Second

// relink looks at everything known of people whose links changed.
func (m *Mapper) relink(ctx context.Context, moved *queue) error {
	for {
		who, err := moved.next(ctx)
		if err != nil {
			return nil
		}
		err = m.lookAtAll(ctx, who)
		if err == nil || ctx.Err() != nil {
			continue
		}
		m.log.Warn("links changed: decision failed", "tenant", who.Tenant, "user", who.User, "error", err)
		if fault.KindOf(err).Retryable() {
			moved.add(who, nil)
			select {
			case <-ctx.Done():
			case <-time.After(relinkPause):
			}
		}
	}
}

// lookAtAll folds the newest stored facts about a person.
func (m *Mapper) lookAtAll(ctx context.Context, who identity.Person) error {
	l := look{trigger: "links"}
	add := func(other look) {
		l.facts, l.evidence = append(l.facts, other.facts...), append(l.evidence, other.evidence...)
		if other.seen.After(l.seen) {
			l.seen = other.seen
		}
	}
	last, err := m.bus.Last(ctx, topology.Facts, wire.PresenceSubject(who))
	if err == nil {
		if fact, err := wire.DecodePresence(last.Data); err == nil {
			add(presenceLook(fact, last.Sequence))
		}
	} else if fault.KindOf(err) != fault.NotFound {
		return err
	}
	for _, line := range m.links.Of(who) {
		last, err := m.bus.Last(ctx, topology.Facts, wire.StatusSubject(line.Line))
		if err == nil {
			if fact, err := wire.DecodeStatus(last.Data); err == nil {
				add(statusLook(fact, last.Sequence))
			}
		} else if fault.KindOf(err) != fault.NotFound {
			return err
		}
	}
	return m.handle(ctx, who, l)
}

// standing is what is known without any message: the links and, where the passing
// of time is the reason to look or may have ended something, how fresh Teams is. A
// fact that comes before its time needs no sweep, which would cost a write for each.
func (m *Mapper) standing(who identity.Person, r record, l look, now time.Time) []presence.Fact {
	lines, revision := m.links.List(who)
	links := presence.LinksChanged{Revision: revision}
	for _, line := range lines {
		links.Links = append(links.Links, presence.Link{Line: line.Line, Revision: line.Revision, Powers: line.Powers})
	}
	facts := []presence.Fact{links}
	if len(l.facts) == 0 || r.due(now) {
		if s, ok := m.sweeps.of(who); ok {
			facts = append(facts, s)
		}
	}
	return facts
}

// queue holds people to look at, each once however often they are added.
type queue struct {
	mu      sync.Mutex // guards waiting, order
	waiting map[identity.Person]bool
	order   []identity.Person
	some    chan struct{}
}

func newQueue() *queue {
	return &queue{waiting: map[identity.Person]bool{}, some: make(chan struct{}, 1)}
}

func (q *queue) add(who identity.Person, _ []identity.Line) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.waiting[who] {
		return
	}
	q.waiting[who] = true
	q.order = append(q.order, who)
	select {
	case q.some <- struct{}{}:
	default:
	}
}

func (q *queue) next(ctx context.Context) (identity.Person, error) {
	for {
		q.mu.Lock()
		if len(q.order) > 0 {
			who := q.order[0]
			q.order = q.order[1:]
			delete(q.waiting, who)
			q.mu.Unlock()
			return who, nil
		}
		q.mu.Unlock()
		select {
		case <-ctx.Done():
			return identity.Person{}, context.Cause(ctx)
		case <-q.some:
		}
	}
}
