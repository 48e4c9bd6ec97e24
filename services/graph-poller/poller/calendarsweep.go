package poller

import (
	"cmp"
	"context"
	"hash/fnv"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"offhook.dev/libs/core/fault"
	"offhook.dev/libs/core/identity"
)

// sweepTurns is into how many turns a sweep of calendars is divided, so that it is no
// burst at its start.
const sweepTurns = 60

// turns divides a sweep: one turn lasts a second or longer.
func turns(sweep time.Duration) int { return int(min(max(sweep/time.Second, 1), sweepTurns)) }

// turnOf says in which turn a user is read, the same one in every sweep.
func turnOf(user identity.User, turns int) int {
	h := fnv.New32a()
	_, _ = h.Write([]byte(user)) // cannot fail
	return int(h.Sum32() % uint32(turns))
}

// sweeps reads everyone of the shard once in each interval. A turn that takes long
// holds up the next one only when many do.
func (c *calendars) sweeps(ctx context.Context) {
	n := turns(c.t.conf.Calendars)
	tick := time.NewTicker(c.t.conf.Calendars / time.Duration(n))
	defer tick.Stop()
	var g errgroup.Group
	g.SetLimit(readAtOnce)
	defer g.Wait() //nolint:errcheck // turns return nil
	for turn := 0; ; {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		c.known.believe(c.t.p.bus.Reconnects())
		users := slices.DeleteFunc(c.t.whose(c.shard, readsCalendars), func(user identity.User) bool { return turnOf(user, n) != turn })
		if g.TryGo(func() error { c.readAll(ctx, users); return nil }) {
			turn = (turn + 1) % n
		}
		c.tellAge(ctx)
	}
}

// newcomers reads at once whoever is linked and was not read yet, and again, after a
// growing pause, whoever could not be read.
func (c *calendars) newcomers(ctx context.Context) {
	pause := c.t.conf.Keep.Retry
	for {
		relinked := c.t.p.relinked.next()
		var retry <-chan time.Time
		if failed := c.readAll(ctx, c.unread()); failed == 0 {
			pause = c.t.conf.Keep.Retry
		} else {
			retry, pause = time.After(pause), min(2*pause, longestPause)
		}
		c.tellAge(ctx)
		select {
		case <-ctx.Done():
			return
		case <-retry:
		case <-relinked:
			select { // links come in numbers
			case <-ctx.Done():
				return
			case <-time.After(c.t.gather()):
			}
		}
	}
}

// unread lists who is linked and was not read in this term, and forgets who is not
// linked any more: they are new when they come back.
func (c *calendars) unread() []identity.User {
	linked := c.t.whose(c.shard, readsCalendars)
	c.mu.Lock()
	defer c.mu.Unlock()
	there := make(map[identity.User]bool, len(linked))
	for _, user := range linked {
		there[user] = true
	}
	for user := range c.answered {
		if !there[user] {
			delete(c.answered, user)
		}
	}
	return slices.DeleteFunc(linked, func(user identity.User) bool { return !c.answered[user].IsZero() })
}

// readAll reads users in several calls and returns how many could not be read, which
// it logs.
func (c *calendars) readAll(ctx context.Context, users []identity.User) (failed int) {
	var mu sync.Mutex // guards failed and first
	var first error
	var g errgroup.Group
	g.SetLimit(readAtOnce)
	for chunk := range slices.Chunk(users, readTogether) {
		g.Go(func() error {
			c.read(ctx, chunk, func(_ identity.User, err error) {
				if err == nil {
					return
				}
				mu.Lock()
				defer mu.Unlock()
				failed++
				first = cmp.Or(first, err)
			})
			return nil
		})
	}
	_ = g.Wait()
	if failed > 0 && ctx.Err() == nil {
		c.t.log.Warn("calendars could not be read", "shard", c.shard, "users", failed, "of", len(users), "kind", fault.KindOf(first), "first", first)
	}
	return failed
}

// tellAge reports how old the oldest of the shard's calendars is.
func (c *calendars) tellAge(ctx context.Context) {
	now := c.t.p.bus.Now()
	oldest := now
	for _, user := range c.t.whose(c.shard, readsCalendars) {
		if read := c.lastRead(user); read.Before(oldest) {
			oldest = read
		}
	}
	c.t.p.metrics.calendarAge(ctx, c.t.conf.ID, c.shard, now.Sub(oldest))
}

// lastRead is when a user was last read, by this process or by an earlier one; else
// when this one began.
func (c *calendars) lastRead(user identity.User) time.Time {
	c.mu.Lock()
	read := c.answered[user]
	c.mu.Unlock()
	if !read.IsZero() {
		return read
	}
	if known := c.known.of(user); known.sequence > 0 {
		return known.fact.SeenAt
	}
	return c.began
}
