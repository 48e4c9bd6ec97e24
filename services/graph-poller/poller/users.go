package poller

import (
	"context"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"offhook.dev/libs/bus"
	"offhook.dev/libs/core/fault"
	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/graph"
	"offhook.dev/libs/subscription"
	"offhook.dev/libs/topology"
	"offhook.dev/libs/wire"
)

// userReader reads who is in the directory of a tenant, while the lease is held.
type userReader struct {
	t        *tenant
	purposes *purposes

	reading sync.Mutex // held during a round: they go one after the other
}

func newUserReader(t *tenant) *userReader {
	return &userReader{t: t, purposes: newPurposes(t)}
}

// usersKey is where the cursor of the directory is. The number is that of the
// properties that are selected: a cursor tells of those that its first request named,
// so one of another number is as good as none.
func (t *tenant) usersKey() string { return topology.Join(string(t.conf.ID), "users", "2") }

// run reads the directory's changes at the start and every quarter of an hour, and, as
// Graph may be late with what it tells of, twice when a hint came.
func (r *userReader) run(ctx context.Context) error {
	if err := r.purposes.load(ctx); err != nil {
		return err
	}
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return r.hints(ctx) })
	g.Go(func() error { r.loop(ctx); return nil })
	return g.Wait()
}

// hints notes that something changed. The changes themselves come from the delta.
func (r *userReader) hints(ctx context.Context) error {
	return r.t.p.bus.Consume(ctx, bus.Consumer{
		Stream: topology.Hints, Durable: topology.Token("graph-poller-" + string(r.t.conf.ID) + "-" + subscription.HintUsers), Workers: 1,
		Filters: []string{topology.Wildcard("m365.hint." + subscription.HintUsers + "." + topology.Token(string(r.t.conf.ID)) + ".<id>")},
	}, func(context.Context, bus.Message) error {
		r.t.tellUsers()
		return nil
	})
}

// tellUsers has the directory read soon, where this process does that.
func (t *tenant) tellUsers() {
	select {
	case t.usersTold <- struct{}{}:
	default:
	}
}

func (r *userReader) loop(ctx context.Context) {
	var due, again, closed time.Time // again: zero is never; closed: nothing before
	pause := r.t.conf.Keep.Retry
	for {
		next := due
		if !again.IsZero() && again.Before(next) {
			next = again
		}
		select {
		case <-ctx.Done():
			return
		case <-r.t.usersTold:
			due, again = time.Now(), time.Now().Add(r.t.conf.Again)
			select { // changes come in numbers
			case <-ctx.Done():
				return
			case <-time.After(gatherLinks):
			}
			continue
		case <-time.After(time.Until(later(next, closed))):
		}
		began := time.Now()
		_, err := r.read(ctx, false)
		switch {
		case ctx.Err() != nil:
			return
		case err != nil:
			r.t.log.Warn("read users", "kind", fault.KindOf(err), "error", err)
			closed = time.Now().Add(max(pause, fault.RetryAfter(err)))
			pause = min(2*pause, r.t.conf.Users)
		default:
			due, pause = began.Add(r.t.conf.Users), r.t.conf.Keep.Retry
			if !again.After(began) {
				again = time.Time{}
			}
		}
	}
}

// read reads one round of changes, or everything, and returns how many users the round
// named. The cursor is saved after every change of the round is stored, so that a kill
// repeats the round and loses nothing.
func (r *userReader) read(ctx context.Context, everything bool) (named int, err error) {
	r.reading.Lock()
	defer r.reading.Unlock()
	saved, err := r.t.p.cursors.Get(ctx, r.t.usersKey())
	if err != nil && fault.KindOf(err) != fault.NotFound {
		return 0, err
	}
	at := graph.Cursor(saved.Value)
	if everything {
		at = ""
	}
	round, reset, err := r.round(ctx, at)
	if err == nil && reset {
		r.t.log.Info("directory cursor expired: reading everything again")
		round, reset, err = r.round(ctx, "")
	}
	if err == nil && reset {
		err = fault.Errorf(fault.Unavailable, "read users", "the cursor expired again while everything was read")
	}
	if err != nil {
		return 0, err
	}
	if _, err := r.t.p.cursors.Put(ctx, r.t.usersKey(), []byte(round.end)); err != nil {
		return 0, err
	}
	return round.named, r.purposes.refresh(ctx)
}

// userRound is a round at work.
type userRound struct {
	r *userReader
	// known has everybody of whom something is stored, true once the round has named
	// them; nil if the round tells of changes alone.
	known map[identity.User]bool
	named int
	end   graph.Cursor // of the next round
}

// round follows the pages from a cursor to the end. A full round (from the zero
// cursor) also finds, by mark and sweep, who left while nobody was looking:
// removals older than the round are not reported. reset says that Graph does not know
// the cursor any more: then nothing follows from the round.
func (r *userReader) round(ctx context.Context, at graph.Cursor) (round *userRound, reset bool, err error) {
	round = &userRound{r: r}
	if at == "" {
		if round.known, err = r.t.knownUsers(ctx); err != nil {
			return nil, false, err
		}
	}
	for {
		began := r.t.p.bus.Now()
		page, err := r.t.client.Users(ctx, at)
		if err != nil && at != "" && fault.KindOf(err) == fault.Invalid {
			// A cursor of another Graph host, or one that it cannot read: as good as expired.
			return nil, true, nil
		}
		if err != nil {
			return nil, false, err
		}
		if page.Reset {
			return nil, true, nil
		}
		if err := round.take(ctx, page, began); err != nil {
			return nil, false, err
		}
		if page.Next == "" {
			round.end = page.Delta
			return round, false, round.sweep(ctx)
		}
		at = page.Next
	}
}

// take stores what a page says. Of a user who is on it several times the last counts.
func (u *userRound) take(ctx context.Context, page graph.UserPage, began time.Time) error {
	t := u.r.t
	last := make(map[identity.User]graph.User, len(page.Users))
	for _, user := range page.Users {
		last[user.ID] = user
	}
	learned := u.r.purposes.learn(ctx, last)
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(publishAtOnce)
	for id, user := range last {
		fresh := u.mark(id)
		g.Go(func() error {
			return t.changeUser(gctx, id, fresh, func(old wire.User) wire.User { return t.userFact(user, old, learned, began) })
		})
	}
	if err := g.Wait(); err != nil {
		return err
	}
	for _, removed := range page.Removed {
		if err := t.removeUser(ctx, removed.ID, u.mark(removed.ID), began); err != nil {
			return err
		}
	}
	return nil
}

// mark notes that the round named a user, and says whether nothing is stored of them.
func (u *userRound) mark(id identity.User) (fresh bool) {
	u.named++
	if u.known == nil {
		return false
	}
	_, known := u.known[id]
	u.known[id] = true
	return !known
}

// sweep removes whom a full round did not name.
func (u *userRound) sweep(ctx context.Context) error {
	for user, named := range u.known {
		if named {
			continue
		}
		if err := u.r.t.removeUser(ctx, user, false, u.r.t.p.bus.Now()); err != nil {
			return err
		}
	}
	return nil
}
