package poller

import (
	"context"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"offhook.dev/libs/core/identity"
)

// again remembers whom to look at a second time, because Graph may be late with what
// it told of: once for each user, a fixed time after the last reason. It is lost
// with the process, which costs nothing that the sweep does not find.
type again struct {
	after time.Duration
	added chan struct{}

	mu  sync.Mutex // guards what follows
	due map[identity.User]time.Time
	// queue has every time that was ever in due, the earliest first; only those that
	// are still there count.
	queue []look
}

type look struct {
	user identity.User
	at   time.Time
}

func newAgain(after time.Duration) *again {
	return &again{after: after, added: make(chan struct{}, 1), due: map[identity.User]time.Time{}}
}

// add plans a look at a user, instead of the one that was planned.
func (a *again) add(user identity.User, now time.Time) {
	a.mu.Lock()
	at := now.Add(a.after)
	a.due[user] = at
	a.queue = append(a.queue, look{user, at})
	a.mu.Unlock()
	select {
	case a.added <- struct{}{}:
	default:
	}
}

// take returns who is due, and when the next one is; 0: nobody is planned.
func (a *again) take(now time.Time) (users []identity.User, next time.Duration) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for len(a.queue) > 0 {
		first := a.queue[0]
		if !a.due[first.user].Equal(first.at) { // replaced by a later one
			a.queue = a.queue[1:]
			continue
		}
		if first.at.After(now) {
			return users, first.at.Sub(now)
		}
		users = append(users, first.user)
		delete(a.due, first.user)
		a.queue = a.queue[1:]
	}
	a.queue = nil
	return users, 0
}

// run calls read for those who are due, until ctx ends.
func (a *again) run(ctx context.Context, read func(context.Context, []identity.User)) {
	var g errgroup.Group
	g.SetLimit(readAtOnce)
	defer g.Wait() //nolint:errcheck // readings return nil
	for {
		users, next := a.take(time.Now())
		if len(users) > 0 {
			g.Go(func() error { read(ctx, users); return nil })
		}
		var due <-chan time.Time
		if next > 0 {
			due = time.After(next)
		}
		select {
		case <-ctx.Done():
			return
		case <-due:
		case <-a.added:
		}
	}
}
