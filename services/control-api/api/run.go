package api

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
	"google.golang.org/grpc"
	"google.golang.org/grpc/health"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"

	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/core/presence"
	"offhook.dev/libs/links"
	"offhook.dev/libs/options"
	"offhook.dev/libs/run"
	"offhook.dev/libs/store"
	"offhook.dev/libs/topology"
)

// stopTimeout bounds how long open requests may go on when the service ends.
const stopTimeout = 5 * time.Second

// Options of the service.
type Options struct {
	Listen     string // HTTP: "127.0.0.1:8080"; loopback only
	GRPCListen string // gRPC: "127.0.0.1:9090"; loopback only
	// Tenants is what the configuration says of each tenant; options are kept for no other.
	Tenants map[identity.Tenant]Tenant
	// OnListening, unless nil, is told the addresses before anything is served.
	OnListening func(http, grpc string)
	// Ping is how often an idle watch gets a comment, so that proxies keep it; 0: 15 s.
	Ping time.Duration
	// Backlog is how often the broker is asked for what waits; 0: 15 s.
	Backlog time.Duration
}

// Tenant is what the configuration says of a tenant.
type Tenant struct {
	Options presence.Options
	Sweep   time.Duration // from the begin of one presence sweep to that of the next; 0: 10 s
	// NoLanes says why the tenant can have no lanes; zero: it can.
	NoLanes NoLanes
	// Hold is how long what was a user's is kept after they left; 0: not known.
	Hold time.Duration
	// NoContacts says that none of the tenant's contacts are to be in phonebooks.
	NoContacts bool
}

// NoLanes is why a tenant can have no lanes, where that stands, and what to do.
type NoLanes struct{ What, Where, Fix string }

// sweep is Sweep with its default.
func (t Tenant) sweep() time.Duration { return cmp.Or(t.Sweep, 10*time.Second) }

// Run runs the service until ctx ends or something breaks. It serves at once;
// until the read model is filled every question gets OH-API-STARTING.
func Run(ctx context.Context, deps run.Deps, opts Options) error {
	web, err := listen(opts.Listen, "control.listen")
	if err != nil {
		return err
	}
	defer web.Close()
	rpc, err := listen(opts.GRPCListen, "control.grpc_listen")
	if err != nil {
		return err
	}
	defer rpc.Close()
	linked, err := store.Open(ctx, deps.Bus.JetStream(), topology.Links)
	if err != nil {
		return err
	}
	lanes, err := store.Open(ctx, deps.Bus.JetStream(), topology.Lanes)
	if err != nil {
		return err
	}
	optioned, err := store.Open(ctx, deps.Bus.JetStream(), topology.Options)
	if err != nil {
		return err
	}
	memory, err := store.Open(ctx, deps.Bus.JetStream(), topology.Memory)
	if err != nil {
		return err
	}
	planned, err := store.Open(ctx, deps.Bus.JetStream(), topology.Plans)
	if err != nil {
		return err
	}
	books, err := store.Open(ctx, deps.Bus.JetStream(), topology.BookPlans)
	if err != nil {
		return err
	}
	mirror := links.NewMirror()
	chosen := options.NewMirror(base(opts.Tenants), deps.Log)
	m := newModel(deps.Log, mirror, chosen, opts.Tenants, deps.Bus.Now)
	changes := newHub(m, deps.Bus)
	waiting := &backlog{}
	registration, err := observe(deps.Meter, m, waiting)
	if err != nil {
		return err
	}
	defer func() { _ = registration.Unregister() }()

	filling := newFilling(deps.Health)
	plans := shelf{m, deps.Bus, planned, books}
	asked := orders{m, deps.Bus, plans}
	a := &rest{
		model: m, explain: explainer{m, deps.Bus}, options: keeper{m, optioned, memory, deps.Bus.Now}, orders: asked, plans: plans, hub: changes,
		ready: filling.done, ping: cmp.Or(opts.Ping, 15*time.Second),
	}
	rpcServer, alive := newGRPC(a)
	deps.Log.Info("listening", "http", web.Addr().String(), "grpc", rpc.Addr().String())
	if opts.OnListening != nil {
		opts.OnListening(web.Addr().String(), rpc.Addr().String())
	}

	outer := ctx // tells an end that was asked for from one part stopping the others
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return run.Ended(ctx, mirror.Run(ctx, linked, nil)) })
	g.Go(func() error { return run.Ended(ctx, chosen.Run(ctx, optioned, nil)) })
	g.Go(func() error { return run.Ended(ctx, chosen.RunMembers(ctx, deps.Bus, nil)) })
	g.Go(func() error { return run.Ended(ctx, m.lanes.Run(ctx, lanes)) })
	g.Go(func() error { return run.Ended(ctx, asked.pursue(ctx)) })
	for part, current := range map[string]func(context.Context) error{string(topology.Links): mirror.Current, string(topology.Options): chosen.Current, groupMembers: chosen.CurrentMembers} {
		g.Go(func() error {
			if current(ctx) == nil {
				filling.filled(part)
			}
			return nil
		})
	}
	for _, follow := range m.follow(ctx, deps.Bus, func(s topology.Stream) { filling.filled(string(s)) }, changes) {
		g.Go(func() error { return run.Ended(ctx, follow()) })
	}
	g.Go(func() error {
		waiting.keep(ctx, deps.Bus, cmp.Or(opts.Backlog, 15*time.Second), func(err error) {
			deps.Log.Warn("the broker's backlog cannot be read; the metrics show the last one", "error", err)
		})
		return nil
	})
	g.Go(func() error { return serveHTTP(ctx, web, a.handler(deps.Health), deps.Log) })
	g.Go(func() error { return serveGRPC(ctx, rpc, rpcServer, alive) })
	g.Go(func() error {
		select {
		case <-filling.done:
			alive.SetServingStatus("", healthv1.HealthCheckResponse_SERVING)
		case <-ctx.Done():
		}
		return nil
	})
	return run.Ended(outer, g.Wait())
}

// base is what the configuration says of a person.
func base(tenants map[identity.Tenant]Tenant) func(identity.Person) presence.Options {
	configured := map[identity.Tenant]presence.Options{}
	for id, t := range tenants {
		configured[id] = t.Options
	}
	return options.Base(configured)
}

// filling counts the mirrors that are filled.
type filling struct {
	health *run.Health
	done   chan struct{} // closed when all are

	mu   sync.Mutex // guards left
	left map[string]bool
}

const (
	readyPart    = "control-api: read model"
	groupMembers = "members of groups"
)

func newFilling(h *run.Health) *filling {
	f := &filling{health: h, done: make(chan struct{}), left: map[string]bool{groupMembers: true}}
	for _, part := range []topology.Stream{topology.Directory, topology.Facts, topology.Decisions, topology.Outcomes} {
		f.left[string(part)] = true
	}
	for _, bucket := range []topology.Bucket{topology.Links, topology.Options} {
		f.left[string(bucket)] = true
	}
	h.Set(readyPart, errors.New("still reading what is known"))
	return f
}

func (f *filling) filled(part string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if delete(f.left, part); len(f.left) == 0 {
		select {
		case <-f.done:
		default:
			close(f.done) // first: who hears that it is ready may ask at once
			f.health.Set(readyPart, nil)
		}
	}
}

func serveHTTP(ctx context.Context, l net.Listener, h http.Handler, log *slog.Logger) error {
	server := &http.Server{
		Handler: h, ReadHeaderTimeout: 5 * time.Second, IdleTimeout: time.Minute, MaxHeaderBytes: 16 << 10,
		BaseContext: func(net.Listener) context.Context { return ctx }, // ends the streams
		ErrorLog:    slog.NewLogLogger(log.Handler(), slog.LevelDebug),
	}
	stopped := make(chan struct{})
	context.AfterFunc(ctx, func() {
		defer close(stopped)
		bounded, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopTimeout)
		defer cancel()
		if server.Shutdown(bounded) != nil {
			_ = server.Close()
		}
	})
	err := server.Serve(l)
	if errors.Is(err, http.ErrServerClosed) {
		<-stopped
		return nil
	}
	return err
}

func serveGRPC(ctx context.Context, l net.Listener, s *grpc.Server, alive *health.Server) error {
	stopped := make(chan struct{})
	context.AfterFunc(ctx, func() {
		defer close(stopped)
		alive.Shutdown()
		s.Stop() // the calls are answered in milliseconds, and watches never end by themselves
	})
	err := s.Serve(l)
	if ctx.Err() != nil {
		<-stopped
		return nil
	}
	return err
}
