package graphwriter

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"offhook.dev/libs/bus"
	"offhook.dev/libs/core/breaker"
	"offhook.dev/libs/core/fault"
	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/run"
	"offhook.dev/libs/store"
	"offhook.dev/libs/topology"
	"offhook.dev/libs/wire"
)

// tenant is one tenant for as long as this instance owns it.
type tenant struct {
	w     *Writer
	conf  TenantConfig
	lease store.Lease
	log   *slog.Logger
	again <-chan struct{} // a pass is asked for

	mu     sync.Mutex // guards what follows
	people map[identity.User]*person
	closed time.Time // Graph asked not to be asked before
}

// person is one user in the owner's memory.
type person struct {
	id identity.Person

	mu       sync.Mutex // held over a whole want: guards what follows
	pins     entry
	revision uint64 // of the entry's key in its bucket; 0: it is not there
	// newest is the revision of the newest want that was looked at, whether or not
	// there was anything to write: pins know of writes alone.
	newest wire.Revision
	// told is the revision of the newest want whose outcome is known to be stored.
	told    wire.Revision
	seen    time.Time // when the session was set that a reading has shown since; zero: none
	refused map[target]refusal
	// breaker lives with the lease: a new owner starts to count anew. Refreshes do not count.
	breaker breaker.Breaker
}

// refusal is why a want is not tried again for a target.
type refusal struct {
	revision wire.Revision
	result   wire.Result
	detail   string
}

// own is the work under the lease: read all pins, then carry wants out as they come,
// and go over all of them now and then.
func (w *Writer) own(ctx context.Context, conf TenantConfig, lease store.Lease, again <-chan struct{}) error {
	t := &tenant{w: w, conf: conf, lease: lease, again: again, people: map[identity.User]*person{}, log: w.deps.Log.With("tenant", string(conf.ID))}
	if err := t.load(ctx); err != nil {
		return run.Ended(ctx, err)
	}
	g, gctx := errgroup.WithContext(ctx)
	g.Go(func() error { return t.minutes(gctx) })
	g.Go(func() error { return t.consume(gctx) })
	return run.Ended(ctx, g.Wait())
}

// load reads all pins of the tenant: a new owner's first step.
func (t *tenant) load(ctx context.Context) error {
	return t.w.pins.Each(ctx, topology.Token(string(t.conf.ID))+".*", func(e store.Entry) error {
		who, err := wire.ParsePersonKey(e.Key)
		if err != nil {
			return err
		}
		p := t.person(who)
		p.mu.Lock()
		defer p.mu.Unlock()
		p.revision = e.Revision
		if err := json.Unmarshal(e.Value, &p.pins); err != nil {
			// What it stood for ends by itself; the next save writes over it.
			t.log.Error("pins cannot be read", "user", who.User, "error", err)
			p.pins = entry{}
		}
		return nil
	})
}

// person returns a user's memory, making it on first use.
func (t *tenant) person(id identity.Person) *person {
	t.mu.Lock()
	defer t.mu.Unlock()
	p, ok := t.people[id.User]
	if !ok {
		p = &person{id: id, refused: map[target]refusal{}}
		t.people[id.User] = p
	}
	return p
}

// consume carries the tenant's wants out as they come.
func (t *tenant) consume(ctx context.Context) error {
	return t.w.bus.Consume(ctx, bus.Consumer{
		Stream: topology.Wants, Durable: topology.Token("graph-writer-" + string(t.conf.ID) + "-presence"), NewestOnly: true,
		Filters: []string{t.filter()}, InFlight: 64, Workers: atOnce,
	}, func(ctx context.Context, m bus.Message) error {
		want, err := decode(m)
		if err != nil {
			return err
		}
		return t.apply(ctx, want, t.w.bus.Now())
	})
}

func (t *tenant) filter() string {
	return topology.Wildcard("m365.want.presence." + topology.Token(string(t.conf.ID)) + ".<user>")
}

// decode reads a want and refuses what can never be carried out.
func decode(m bus.Message) (wire.TeamsWant, error) {
	want, err := wire.DecodeTeamsWant(m.Data)
	switch {
	case err != nil:
		return want, err
	case m.Subject != wire.TeamsWantSubject(want.Person):
		return want, fault.Errorf(fault.Invalid, "teams want", "it names another person than its subject %s", m.Subject)
	case want.Session != "" && want.SessionUntil.IsZero(), want.Preferred != "" && want.PreferredUntil.IsZero():
		return want, fault.New(fault.Invalid, "teams want", errors.New("what Teams shall show has no end"))
	}
	return want, nil
}

// save stores a person's entry by compare-and-set, under the fence of our lease.
func (t *tenant) save(ctx context.Context, p *person, next entry) error {
	next.Fence = t.lease.Fence
	value, err := json.Marshal(next)
	if err != nil {
		return fault.New(fault.Invalid, "pins of "+wire.PersonKey(p.id), err)
	}
	revision, err := t.w.pins.Set(ctx, wire.PersonKey(p.id), value, p.revision)
	if err != nil {
		return t.lost(ctx, p, err)
	}
	p.pins, p.revision = next, revision
	return nil
}

// drop removes a person's entry by compare-and-set.
func (t *tenant) drop(ctx context.Context, p *person) error {
	if p.revision == 0 {
		return nil
	}
	if err := t.w.pins.Delete(ctx, wire.PersonKey(p.id), p.revision); err != nil {
		return t.lost(ctx, p, err)
	}
	p.pins, p.revision = entry{}, 0
	return nil
}

// lost takes over what the bucket has after a compare-and-set was lost: to one of our
// own whose ack never came, or to the last one of a former owner. What bears a newer
// fence belongs to a newer owner, and is not for us to build on.
func (t *tenant) lost(ctx context.Context, p *person, cause error) error {
	if fault.KindOf(cause) != fault.Conflict {
		return cause
	}
	op := "pins of " + wire.PersonKey(p.id)
	stored, err := t.w.pins.Get(ctx, wire.PersonKey(p.id))
	if err != nil && fault.KindOf(err) != fault.NotFound {
		return errors.Join(cause, err)
	}
	var e entry
	if err == nil {
		if err := json.Unmarshal(stored.Value, &e); err != nil {
			return fault.New(fault.Invalid, op, err)
		}
	}
	if e.Fence > t.lease.Fence {
		return fault.Errorf(fault.Conflict, op, "the tenant has a newer owner: %w", cause)
	}
	p.pins, p.revision = e, stored.Revision
	return cause
}

// close keeps everybody of the tenant from asking Graph for a while.
func (t *tenant) close(until time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if until.After(t.closed) {
		t.closed = until
	}
}

// wait is how long Graph is not to be asked; not positive: it may be.
func (t *tenant) wait(now time.Time) time.Duration {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.closed.Sub(now)
}
