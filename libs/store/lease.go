package store

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"offhook.dev/libs/core/fault"
)

// Leases hands out shares of the work. A lease ends by itself when its holder
// dies: its key lives in a bucket whose entries expire (TTL).
type Leases struct {
	Bucket *Bucket
	// Holder is the instance: a restart of the same instance resumes its own lease
	// at once, with a new fence.
	Holder string
	TTL    time.Duration // of the bucket; 0: 10 s
	Log    *slog.Logger
}

// Lease is a share of the work that is held now.
type Lease struct {
	// Fence grows with every change of holder. Whoever writes with an older fence
	// than the one recorded has lost the lease without noticing.
	Fence uint64
	until func() time.Time
}

// NewLease makes a lease by hand: it is for tests that take away what Leases.Hold
// promises, such as its end.
func NewLease(fence uint64, until func() time.Time) Lease { return Lease{Fence: fence, until: until} }

// Until returns when the lease ends if it is not renewed, by the local monotonic
// clock, which goes on while a process is stopped. Every effect on the outside
// has a deadline a second before.
func (l Lease) Until() time.Time { return l.until() }

// Deadline derives the context for one effect on the outside: it ends a second
// before the lease does.
func (l Lease) Deadline(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithDeadlineCause(ctx, l.until().Add(-time.Second), errLeaseEnds)
}

var errLeaseEnds = errors.New("the lease is about to end")

// Hold waits for the lease called key, runs work while it is held, and gives it
// back afterwards. work's context ends when the lease is lost; then Hold waits for
// the lease again. Hold returns when ctx ends (nil) or work fails by itself.
func (l Leases) Hold(ctx context.Context, key string, work func(context.Context, Lease) error) error {
	if l.TTL == 0 {
		l.TTL = 10 * time.Second
	}
	every := l.TTL * 3 / 10
	for {
		held, err := l.acquire(ctx, key)
		if err != nil && fault.KindOf(err) != fault.Conflict && ctx.Err() == nil {
			l.Log.Warn("lease cannot be acquired", "lease", key, "error", err)
		}
		if err == nil {
			if err := l.work(ctx, key, held, every, work); err != nil {
				return err
			}
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(every / 3):
		}
	}
}

// term is one tenure of a lease.
type term struct {
	fence    uint64
	revision uint64
	until    time.Time
}

// acquire takes the lease if it is free or was this holder's before.
func (l Leases) acquire(ctx context.Context, key string) (term, error) {
	began := time.Now()
	var revision uint64
	entry, err := l.Bucket.Get(ctx, key)
	switch {
	case err == nil:
		if holder := string(entry.Value); holder != l.Holder {
			return term{}, fault.Errorf(fault.Conflict, "lease "+key, "held by %s", holder)
		}
		revision = entry.Revision
	case fault.KindOf(err) != fault.NotFound:
		return term{}, err
	}
	// The bucket's revisions only grow, so the revision of the taking is the fence.
	if revision, err = l.Bucket.Set(ctx, key, []byte(l.Holder), revision); err != nil {
		return term{}, err
	}
	return term{fence: revision, revision: revision, until: began.Add(l.TTL)}, nil
}

// work runs the work and renews the lease until either ends.
func (l Leases) work(ctx context.Context, key string, t term, every time.Duration, work func(context.Context, Lease) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	until := make(chan time.Time, 1) // the newest term's end, readable any time
	until <- t.until
	lease := Lease{Fence: t.fence, until: func() time.Time { u := <-until; until <- u; return u }}
	l.Log.Info("lease taken", "lease", key, "fence", t.fence)

	ended := make(chan error, 1)
	go func() { ended <- work(ctx, lease) }()
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		select {
		case err := <-ended:
			l.release(context.WithoutCancel(ctx), key, t)
			if ctx.Err() != nil {
				return nil
			}
			return err
		case <-tick.C:
			next, err := l.renew(ctx, key, t)
			switch {
			case err == nil:
				t = next
				<-until
				until <- t.until
				continue
			case fault.KindOf(err) != fault.Conflict && time.Until(t.until) > every && ctx.Err() == nil:
				continue // the broker is slow; there is time for another try
			case ctx.Err() != nil:
				<-ended
				l.release(context.WithoutCancel(ctx), key, t)
				return nil
			}
			cause := fmt.Errorf("lease %s lost: %w", key, err)
			l.Log.Warn("lease lost", "lease", key, "fence", t.fence, "error", err)
			cancel(cause)
			<-ended
			return nil
		}
	}
}

func (l Leases) renew(ctx context.Context, key string, t term) (term, error) {
	began := time.Now()
	ctx, cancel := context.WithDeadline(ctx, t.until)
	defer cancel()
	revision, err := l.Bucket.Set(ctx, key, []byte(l.Holder), t.revision)
	if err != nil {
		return t, err
	}
	return term{fence: t.fence, revision: revision, until: began.Add(l.TTL)}, nil
}

// release gives the lease back at once instead of letting it expire.
func (l Leases) release(ctx context.Context, key string, t term) {
	if err := l.Bucket.Delete(ctx, key, t.revision); err != nil && fault.KindOf(err) != fault.Conflict {
		l.Log.Info("lease not given back; it ends by itself", "lease", key, "error", err)
	}
}
