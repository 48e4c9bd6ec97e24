package poller

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"offhook.dev/libs/core/fault"
	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/core/presence"
	"offhook.dev/libs/graph"
	"offhook.dev/libs/run"
	"offhook.dev/libs/wire"
)

// requestsAtOnce bounds the presence requests of one sweep that are under way.
const requestsAtOnce = 4

// presenceLoop sweeps a shard and reads its hints until ctx ends.
func (t *tenant) presenceLoop(ctx context.Context, shard string) error {
	known := newMirror[presence.TeamsReading]()
	g, ctx := errgroup.WithContext(ctx)
	current := make(chan struct{})
	g.Go(func() error {
		return run.Ended(ctx, known.follow(ctx, t, presenceFacts(), shard, sync.OnceFunc(func() { close(current) })))
	})
	g.Go(func() error {
		select {
		case <-ctx.Done():
			return nil
		case <-current:
		}
		return t.sweepLoop(ctx, shard, known)
	})
	g.Go(func() error { return t.hints(ctx, shard, known) })
	return g.Wait()
}

// sweepLoop sweeps at fixed times; one that takes longer than its period delays
// the next and is reported by its sweep fact. Who has just been linked is read at
// once: until then nothing is decided for them.
func (t *tenant) sweepLoop(ctx context.Context, shard string, known *presences) error {
	tick := time.NewTicker(t.conf.Sweep)
	defer tick.Stop()
	report := func(err error) {
		if err != nil && ctx.Err() == nil {
			t.log.Warn("presence sweep", "shard", shard, "kind", fault.KindOf(err), "error", err)
		}
	}
	relinked := t.p.relinked.next()
	report(t.sweep(ctx, shard, known))
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
			report(t.sweep(ctx, shard, known))
		case <-relinked:
			select { // links come in numbers
			case <-ctx.Done():
				return nil
			case <-time.After(t.gather()):
			}
			relinked = t.p.relinked.next()
			report(t.readNew(ctx, shard, known))
		}
	}
}

// gatherLinks is how long new links are collected before they are read, in a tenant of
// one shard.
const gatherLinks = 100 * time.Millisecond

// gather is how long new links are collected before they are read: the longer the more
// are linked, because everybody is gone through for them.
func (t *tenant) gather() time.Duration {
	return gatherLinks * time.Duration(1+t.p.links.Size(t.conf.ID)/shardSize)
}

// readNew reads those linked in the shard of whom nothing is stored yet.
func (t *tenant) readNew(ctx context.Context, shard string, known *presences) error {
	fresh := slices.DeleteFunc(t.whose(shard, readsTeams), func(user identity.User) bool { return known.of(user).sequence > 0 })
	for chunk := range slices.Chunk(fresh, graph.MaxPresences) {
		if _, err := t.read(ctx, chunk, known); err != nil {
			return err
		}
	}
	return nil
}

// sweep reads everyone linked in the shard once.
func (t *tenant) sweep(ctx context.Context, shard string, known *presences) error {
	known.believe(t.p.bus.Reconnects())
	users := t.whose(shard, readsTeams)
	if len(users) == 0 {
		return nil
	}
	result := wire.Sweep{Tenant: t.conf.ID, Shard: shard, Began: t.p.bus.Now(), Users: len(users)}
	var mu sync.Mutex // guards result.Failed, first and denied
	var first error
	denied := true
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(requestsAtOnce)
	for chunk := range slices.Chunk(users, graph.MaxPresences) {
		g.Go(func() error {
			missing, err := t.read(gctx, chunk, known)
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				missing, first = chunk, cmp.Or(first, err)
			}
			denied = denied && err != nil && fault.KindOf(err) == fault.Denied
			result.Failed = append(result.Failed, missing...)
			return nil // one failed request costs its own users only
		})
	}
	_ = g.Wait()
	if ctx.Err() != nil {
		return nil
	}
	result.Ended, result.OK = t.p.bus.Now(), len(result.Failed) < len(users)
	if !result.OK {
		result.Failed, result.Denied = nil, denied // everyone; the list would say no more
	}
	t.p.metrics.swept(ctx, t.conf.ID, result)
	if err := t.p.publish(ctx, result); err != nil {
		return err
	}
	return first
}

// read reads one batch and publishes what differs. It returns who could not be read.
func (t *tenant) read(ctx context.Context, users []identity.User, known *presences) ([]identity.User, error) {
	requests := searchRequests
	return t.search(ctx, users, known, &requests)
}

// searchRequests bounds the requests of one batch that names somebody whom Graph
// does not know: enough to find three or four of them among 650.
const searchRequests = 64

// search reads a batch. What Graph does with an id that it does not know is not
// documented: where it refuses the whole request, the halves are read, so that the
// stranger costs nobody else.
func (t *tenant) search(ctx context.Context, users []identity.User, known *presences, requests *int) ([]identity.User, error) {
	*requests--
	began := t.p.bus.Now()
	found, missing, err := t.client.Presences(ctx, users)
	switch kind := fault.KindOf(err); {
	case err == nil:
	case kind != fault.NotFound && kind != fault.Invalid || *requests <= 0:
		return nil, err
	case len(users) == 1:
		return users, nil
	default:
		return t.halves(ctx, users, known, requests)
	}
	for _, p := range found {
		reading := presence.TeamsReading{Availability: p.Availability, Activity: p.Activity, Sequence: p.Sequence, Source: presence.Poll, SeenAt: began}
		if err := t.publishPresence(ctx, p.User, reading, known); err != nil {
			return nil, err
		}
	}
	return missing, nil
}

func (t *tenant) halves(ctx context.Context, users []identity.User, known *presences, requests *int) ([]identity.User, error) {
	var missing []identity.User
	for half := range slices.Chunk(users, (len(users)+1)/2) {
		lost, err := t.search(ctx, half, known, requests)
		if kind := fault.KindOf(err); err != nil && kind != fault.NotFound && kind != fault.Invalid {
			return nil, err
		}
		if err != nil { // the search was given up in this half
			lost = half
		}
		missing = append(missing, lost...)
	}
	return missing, nil
}

// publishPresence publishes a reading if it says something else than the stored
// fact and is newer.
func (t *tenant) publishPresence(ctx context.Context, user identity.User, reading presence.TeamsReading, known *presences) error {
	over, published, err := publishNews(ctx, t.p, presenceFacts(), identity.Person{Tenant: t.conf.ID, User: user}, reading, known)
	if published && !sameValue(over, reading) {
		t.p.metrics.changed(ctx, t.conf.ID)
	}
	return err
}

// news says whether a poll's reading is to be published over the stored one: it
// differs, it is newer, and, of two polls, has the higher sequence number. It is news
// too that a poll has seen what a notification told, once: a notification may be late
// and tell what is over, so that some decisions wait for the poll.
func news(stored storedPresence, reading presence.TeamsReading) bool {
	if stored.sequence == 0 {
		return true
	}
	old := stored.fact
	if !reading.SeenAt.After(old.SeenAt) {
		return false
	}
	if old.Source == presence.Poll && old.Sequence != "" && reading.Sequence != "" && reading.Sequence <= old.Sequence {
		return false
	}
	return old.Source == presence.Notification || !sameValue(old, reading)
}

// sameValue says whether two readings tell the same of Teams.
func sameValue(a, b presence.TeamsReading) bool {
	return strings.EqualFold(a.Availability, b.Availability) && strings.EqualFold(a.Activity, b.Activity)
}
