package writer

import (
	"context"
	"time"

	"golang.org/x/sync/errgroup"

	"offhook.dev/libs/bus"
	"offhook.dev/libs/core/fault"
	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/links"
	"offhook.dev/libs/pbx"
	"offhook.dev/libs/run"
	"offhook.dev/libs/store"
	"offhook.dev/libs/topology"
	"offhook.dev/libs/wire"
)

// Options of the service.
type Options struct {
	Systems []SystemConfig
	// MinutePass is how often wants are compared with what is shown; 0: a minute.
	MinutePass time.Duration
	// ConfirmCalls is how often a call that goes on is told again; 0: 4 min, which is
	// less than half of the ten minutes that a session in Teams lives.
	ConfirmCalls time.Duration
	// Pause is how long an extension that is fought over is left alone; 0: 5 min.
	Pause time.Duration
}

// SystemConfig is one phone system.
type SystemConfig struct {
	ID      identity.System
	Tenants []identity.Tenant // who may be linked there
	Pace    pbx.Pace
	// Open connects the driver. It is called again until it succeeds.
	Open func(context.Context) (pbx.Driver, error)
	// Poll is how often all statuses are read; 0: 2 s.
	Poll time.Duration
	// IgnoreNativeSync writes although the phone system's own Microsoft 365 sync sets
	// statuses.
	IgnoreNativeSync bool
	// Inventory is how often extensions are listed; 0: 15 min.
	Inventory time.Duration
}

// Writer is the service.
type Writer struct {
	deps    run.Deps
	opts    Options
	bus     *bus.Bus
	ledger  *store.Bucket
	links   *links.Mirror
	metrics *metrics
	// again asks for a pass over a system now; made by Run, never changed.
	again map[identity.System]chan struct{}
	// recount is the same for the calls.
	recount map[identity.System]chan struct{}
}

// Run runs the service until ctx ends or something breaks.
func Run(ctx context.Context, deps run.Deps, opts Options) error {
	w := &Writer{deps: deps, opts: opts.withDefaults(), bus: deps.Bus, links: links.NewMirror(),
		again: map[identity.System]chan struct{}{}, recount: map[identity.System]chan struct{}{}}
	var err error
	if w.metrics, err = newMetrics(deps.Meter); err != nil {
		return err
	}
	if w.ledger, err = store.Open(ctx, w.bus.JetStream(), topology.Ledger); err != nil {
		return err
	}
	linked, err := store.Open(ctx, w.bus.JetStream(), topology.Links)
	if err != nil {
		return err
	}
	leases, err := store.Open(ctx, w.bus.JetStream(), topology.Leases)
	if err != nil {
		return err
	}
	holder := store.Leases{Bucket: leases, Holder: string(topology.PBXWriter) + "/" + deps.Instance, Log: deps.Log}

	for _, conf := range w.opts.Systems {
		w.again[conf.ID], w.recount[conf.ID] = make(chan struct{}, 1), make(chan struct{}, 1)
	}
	w.bus.OnReconnect(func() {
		for id := range w.again {
			poke(w.again[id])
			poke(w.recount[id])
		}
	})

	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return run.Ended(ctx, w.links.Run(ctx, linked, w.relinked)) })
	for _, conf := range w.opts.Systems {
		g.Go(func() error {
			if err := w.links.Current(ctx); err != nil {
				return nil
			}
			return holder.Hold(ctx, topology.Join("pbx", string(conf.ID)), func(ctx context.Context, lease store.Lease) error {
				return w.own(ctx, conf, lease)
			})
		})
	}
	return g.Wait()
}

// relinked looks again at what was refused because the mapper knew of a new link
// before we did, and at the calls of lines that concern somebody now, or nobody.
func (w *Writer) relinked(_ identity.Person, lines []identity.Line) {
	for _, line := range lines {
		poke(w.again[line.System]) // of a system that is not ours: nil, which nobody hears
		poke(w.recount[line.System])
	}
}

func (o Options) withDefaults() Options {
	if o.MinutePass == 0 {
		o.MinutePass = time.Minute
	}
	if o.ConfirmCalls == 0 {
		o.ConfirmCalls = 4 * time.Minute
	}
	if o.Pause == 0 {
		o.Pause = 5 * time.Minute
	}
	for i := range o.Systems {
		if o.Systems[i].Poll == 0 {
			o.Systems[i].Poll = 2 * time.Second
		}
		if o.Systems[i].Inventory == 0 {
			o.Systems[i].Inventory = 15 * time.Minute
		}
	}
	return o
}

func (w *Writer) publish(ctx context.Context, m wire.Message, id string) error {
	subject, data := m.Encode()
	_, err := w.bus.Publish(ctx, bus.Message{Subject: subject, Data: data, ID: id})
	return err
}

func (w *Writer) publishOver(ctx context.Context, m wire.Message, last uint64) error {
	subject, data := m.Encode()
	_, err := w.bus.PublishOver(ctx, bus.Message{Subject: subject, Data: data}, last)
	return err
}

// lastFact returns the newest stored fact of a line and its sequence, 0 if there is none.
func (s *system) lastFact(ctx context.Context, id identity.Line) (wire.Status, uint64, error) {
	m, err := s.w.bus.Last(ctx, topology.Facts, wire.StatusSubject(id))
	if err != nil {
		if fault.KindOf(err) == fault.NotFound {
			err = nil
		}
		return wire.Status{}, 0, err
	}
	fact, err := wire.DecodeStatus(m.Data)
	if err != nil {
		return wire.Status{}, m.Sequence, nil // whatever it is, ours replaces it
	}
	return fact, m.Sequence, nil
}
