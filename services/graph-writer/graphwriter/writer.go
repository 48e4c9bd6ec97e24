package graphwriter

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"offhook.dev/libs/bus"
	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/graph"
	"offhook.dev/libs/run"
	"offhook.dev/libs/store"
	"offhook.dev/libs/topology"
	"offhook.dev/libs/wire"
)

// Client is what the writer needs of Graph for one tenant.
type Client interface {
	graph.PresenceWriter
	graph.PresenceReader
}

// Options of the service.
type Options struct {
	Tenants []TenantConfig
	// MinutePass is how often wants are compared with pins; 0: a minute.
	MinutePass time.Duration
	// Pause is how long nobody writes for a person who is fought over; 0: 5 min.
	Pause time.Duration
}

// TenantConfig is one Microsoft 365 tenant.
type TenantConfig struct {
	ID identity.Tenant
	// App is the application id, which is also the id of its presence sessions.
	App string
	// Writes says that the tenant's mode writes to Teams. Where it does not, users may
	// have one that does, and wants of an earlier mode may be left to be released.
	Writes bool
	// Client makes the client; called once: at the start where Writes is set, else for
	// the first request.
	Client func() (Client, error)
}

// Writer is the service.
type Writer struct {
	deps    run.Deps
	opts    Options
	bus     *bus.Bus
	pins    *store.Bucket
	metrics *metrics
}

// Run runs the service until ctx ends or something breaks.
func Run(ctx context.Context, deps run.Deps, opts Options) error {
	w := &Writer{deps: deps, opts: opts.withDefaults(), bus: deps.Bus}
	var err error
	if w.metrics, err = newMetrics(deps.Meter); err != nil {
		return err
	}
	if w.pins, err = store.Open(ctx, w.bus.JetStream(), topology.Pins); err != nil {
		return err
	}
	leases, err := store.Open(ctx, w.bus.JetStream(), topology.Leases)
	if err != nil {
		return err
	}
	holder := store.Leases{Bucket: leases, Holder: string(topology.GraphWriter) + "/" + deps.Instance, Log: deps.Log}

	var again []chan struct{} // one a tenant: asks for a pass now
	tenants := slices.Clone(w.opts.Tenants)
	for i, conf := range tenants {
		tenants[i].Client = sync.OnceValues(conf.Client)
		if conf.Writes {
			if _, err := tenants[i].Client(); err != nil {
				return fmt.Errorf("tenant %s: %w", conf.ID, err)
			}
		}
		again = append(again, make(chan struct{}, 1))
	}
	w.bus.OnReconnect(func() {
		for _, each := range again {
			poke(each)
		}
	})

	g, gctx := errgroup.WithContext(ctx)
	g.Go(func() error { <-gctx.Done(); return nil }) // a service without tenants waits for its end too
	for i, conf := range tenants {
		g.Go(func() error {
			return holder.Hold(gctx, topology.Join("graph", string(conf.ID), "writes"), func(ctx context.Context, lease store.Lease) error {
				return w.own(ctx, conf, lease, again[i])
			})
		})
	}
	return run.Ended(ctx, g.Wait())
}

func (o Options) withDefaults() Options {
	if o.MinutePass == 0 {
		o.MinutePass = time.Minute
	}
	if o.Pause == 0 {
		o.Pause = 5 * time.Minute
	}
	return o
}

func (w *Writer) publish(ctx context.Context, o *wire.TeamsOutcome) error {
	subject, data := o.Encode()
	_, err := w.bus.Publish(ctx, bus.Message{Subject: subject, Data: data, ID: o.ID})
	return err
}
