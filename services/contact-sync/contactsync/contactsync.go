package contactsync

import (
	"context"
	"log/slog"
	"reflect"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"offhook.dev/libs/bus"
	"offhook.dev/libs/core/directory"
	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/core/plan"
	"offhook.dev/libs/links"
	"offhook.dev/libs/run"
	"offhook.dev/libs/store"
	"offhook.dev/libs/topology"
	"offhook.dev/libs/wire"
)

// Options of the service. Zero fields have the value named.
type Options struct {
	Tenants []Tenant
	// Workers is how many mailboxes are worked on at a time, of all tenants; 4. Each
	// holds one page and one value in memory.
	Workers int
	// InFlight is how many series may be on their way to a phone system for a tenant; 64.
	// It bounds what waits in CHANGES for one that is away.
	InFlight int
	// Tick is how often what waits is looked at without a reason; 1 min.
	Tick time.Duration
	// Patience is how long a page waits for a phone system that does not answer. Then it
	// goes by, and the mailbox is read again when the phone system is back; 6 h.
	Patience time.Duration
	// Reread is how long something must be missing before a full reading is asked for;
	// 1 min.
	Reread time.Duration
	// Retry is after how long what went wrong is tried again, for which its mailbox is read
	// whole; 1 h.
	Retry time.Duration
	// Linger is how long no page must have come before deletions are sent: what moves from
	// one folder to another seems to be gone in between; 30 s.
	Linger time.Duration
	// PlanFor is how long a plan can be applied; 1 h.
	PlanFor time.Duration
	// Progress is how often it is told how far an order is; 1 s.
	Progress time.Duration
	// Settle is how long a plan waits for pages that are on their way; 2 min.
	Settle time.Duration

	// listed is how many changes a plan lists, so that it can be made in little memory of a
	// million contacts; 10,000. It counts them all.
	listed  int
	effects run.Effects // tests let it die at them
}

// Tenant is one Microsoft 365 tenant.
type Tenant struct {
	ID identity.Tenant
	// Personal: the contacts of linked users go to the phonebooks of their extensions.
	Personal bool
	// Shared: there are shared mailboxes, whose contacts go to the company's phonebooks.
	Shared bool
	Region string // of numbers written without a country, ISO 3166
	Policy plan.Policy
	Brake  plan.Brake
	// Hold is how long the phonebook of an extension is kept that nobody has any more.
	Hold    time.Duration
	Systems []identity.System // that serve the tenant
}

func (o Options) withDefaults() Options {
	set := func(d *time.Duration, value time.Duration) {
		if *d == 0 {
			*d = value
		}
	}
	if o.Workers == 0 {
		o.Workers = 4
	}
	if o.InFlight == 0 {
		o.InFlight = 64
	}
	if o.listed == 0 {
		o.listed = 10_000
	}
	set(&o.Tick, time.Minute)
	set(&o.Patience, 6*time.Hour)
	set(&o.Reread, time.Minute)
	set(&o.Retry, time.Hour)
	set(&o.Linger, 30*time.Second)
	set(&o.PlanFor, time.Hour)
	set(&o.Progress, time.Second)
	set(&o.Settle, 2*time.Minute)
	return o
}

// service is the service.
type service struct {
	deps         run.Deps
	bus          *bus.Bus
	log          *slog.Logger
	opts         Options
	metrics      *metrics
	books, plans *store.Bucket
	links        *links.Mirror
	busy         chan struct{} // holds as many as work
	numbers      atomic.Int64  // how many are remembered of mailboxes that are being read

	mu      sync.Mutex // guards what follows
	systems map[identity.System]wire.System
	held    map[identity.Tenant]*tenant // whose lease is held
}

// Run runs the service until ctx ends or something breaks. Replicas share the tenants.
func Run(ctx context.Context, deps run.Deps, opts Options) error {
	opts = opts.withDefaults()
	s := &service{deps: deps, bus: deps.Bus, log: deps.Log, opts: opts, links: links.NewMirror(), busy: make(chan struct{}, opts.Workers),
		systems: map[identity.System]wire.System{}, held: map[identity.Tenant]*tenant{}}
	var err error
	if s.metrics, err = newMetrics(deps.Meter); err != nil {
		return err
	}
	var linked, leases *store.Bucket
	for name, into := range map[topology.Bucket]**store.Bucket{topology.Books: &s.books, topology.BookPlans: &s.plans, topology.Links: &linked, topology.Leases: &leases} {
		if *into, err = store.Open(ctx, deps.Bus.JetStream(), name); err != nil {
			return run.Ended(ctx, err)
		}
	}
	holder := store.Leases{Bucket: leases, Holder: string(topology.ContactSync) + "/" + deps.Instance, Log: deps.Log}
	g, gctx := errgroup.WithContext(ctx)
	known := make(chan struct{})
	g.Go(func() error { return run.Ended(gctx, s.links.Run(gctx, linked, s.relinked)) })
	g.Go(func() error { return run.Ended(gctx, s.followSystems(gctx, func() { close(known) })) })
	g.Go(func() error { return run.Ended(gctx, s.followOutcomes(gctx)) })
	g.Go(func() error {
		if err := s.links.Current(gctx); err != nil {
			return run.Ended(gctx, err)
		}
		select {
		case <-gctx.Done():
			return nil
		case <-known:
		}
		for _, conf := range opts.Tenants {
			g.Go(func() error {
				key := topology.Join(string(topology.ContactSync), string(conf.ID))
				return holder.Hold(gctx, key, func(ctx context.Context, lease store.Lease) error { return s.hold(ctx, lease, conf) })
			})
		}
		return nil
	})
	return g.Wait()
}

// hold works for a tenant while its lease is held.
func (s *service) hold(ctx context.Context, lease store.Lease, conf Tenant) error {
	t := newTenant(s, lease, conf)
	if err := t.load(ctx); err != nil {
		return run.Ended(ctx, err)
	}
	s.take(t)
	defer s.give(t)
	return t.run(ctx)
}

func (s *service) take(t *tenant) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.held[t.conf.ID] = t
}

func (s *service) give(t *tenant) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.held, t.conf.ID)
}

// of returns the tenant whose lease is held, or nil.
func (s *service) of(id identity.Tenant) *tenant {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.held[id]
}

func (s *service) all() []*tenant {
	s.mu.Lock()
	defer s.mu.Unlock()
	var all []*tenant
	for _, t := range s.held {
		all = append(all, t)
	}
	return all
}

// relinked is told when somebody's extensions change.
func (s *service) relinked(who identity.Person, _ []identity.Line) {
	if t := s.of(who.Tenant); t != nil {
		t.wake(who.User)
	}
}

// system is what is known of a phone system.
func (s *service) system(id identity.System) (wire.System, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	known, ok := s.systems[id]
	return known, ok
}

// followSystems mirrors what phone systems can take.
func (s *service) followSystems(ctx context.Context, current func()) error {
	filters := []string{topology.Wildcard("pbx.fact.system.<system>")}
	return s.bus.Follow(ctx, topology.Directory, filters, func(m bus.Message) error {
		fact, err := wire.DecodeSystem(m.Data)
		if err != nil {
			s.log.Warn("fact of a phone system cannot be read", "error", err)
			return nil
		}
		if s.learn(fact) {
			for _, t := range s.all() {
				t.wakeAll()
			}
		}
		return nil
	}, current)
}

// abilities are what phonebooks depend on of what a phone system says of itself.
type abilities struct {
	company, personal, kept bool
	numbers                 []directory.NumberKind // in order
	limits                  map[directory.Field]int
}

func abilitiesOf(f wire.System) abilities {
	return abilities{f.CompanyBook, f.PersonalBooks, f.BooksKept, slices.Sorted(slices.Values(f.Numbers)), f.BookLimits}
}

// learn notes what a phone system can take, and says whether that is news for phonebooks.
func (s *service) learn(fact wire.System) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	before, known := s.systems[fact.System]
	s.systems[fact.System] = fact
	return !known || !reflect.DeepEqual(abilitiesOf(before), abilitiesOf(fact))
}

// followOutcomes learns what came of series. An outcome is only a reason to look: what
// it says is read where it is kept.
func (s *service) followOutcomes(ctx context.Context) error {
	filters := []string{topology.Wildcard("outcome.contact.<system>.<owner>.<chunk>")}
	return s.bus.Follow(ctx, topology.Outcomes, filters, func(m bus.Message) error {
		o, err := wire.DecodeContactsOutcome(m.Data)
		if err != nil {
			s.log.Warn("outcome of contacts cannot be read", "error", err)
			return nil
		}
		if t := s.of(o.Mailbox.Tenant); t != nil {
			t.landed(o)
		}
		return nil
	}, func() {})
}
