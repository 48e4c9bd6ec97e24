package poller

import (
	"context"
	"sync"
	"time"

	"offhook.dev/libs/core/fault"
	"offhook.dev/libs/core/identity"
)

// gather is how long hints are collected before they are read together.
const gather = 20 * time.Millisecond

// readTime bounds one reading of a batch: shorter than a hint may be worked at.
const readTime = 50 * time.Second

// batcher makes one call of many.
type batcher struct {
	ctx context.Context // ends readings under way
	// read reads users, each of whom it is given once, and calls done for each, once,
	// as soon as it knows what became of them.
	read func(ctx context.Context, users []identity.User, done func(identity.User, error))

	readings sync.WaitGroup
	mu       sync.Mutex // guards next
	next     map[identity.User]*reading
}

// reading is what those who wait for a user wait for.
type reading struct {
	over chan struct{}
	err  error // set before over is closed
}

// add waits until the user has been read together with others, however long those
// take.
func (b *batcher) add(ctx context.Context, user identity.User) error {
	b.mu.Lock()
	if b.next == nil {
		b.next = map[identity.User]*reading{}
		b.readings.Go(b.collect)
	}
	mine := b.next[user]
	if mine == nil {
		mine = &reading{over: make(chan struct{})}
		b.next[user] = mine
	}
	b.mu.Unlock()
	select {
	case <-mine.over:
		return mine.err
	case <-ctx.Done():
		return fault.New(fault.Cancelled, "read for a hint", context.Cause(ctx))
	}
}

// collect waits for more of a batch and reads it.
func (b *batcher) collect() {
	select {
	case <-b.ctx.Done():
	case <-time.After(gather):
	}
	b.mu.Lock()
	batch := b.next
	b.next = nil
	b.mu.Unlock()
	users := make([]identity.User, 0, len(batch))
	for user := range batch {
		users = append(users, user)
	}
	ctx, cancel := context.WithTimeout(b.ctx, readTime)
	defer cancel()
	var mu sync.Mutex // guards batch
	end := func(user identity.User, err error) {
		mu.Lock()
		defer mu.Unlock()
		if mine := batch[user]; mine != nil {
			mine.err = err
			close(mine.over)
			delete(batch, user)
		}
	}
	b.read(ctx, users, end)
	for _, user := range users {
		end(user, fault.Errorf(fault.Unknown, "read for a hint", "nothing was said about the user"))
	}
}
