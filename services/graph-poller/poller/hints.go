package poller

import (
	"context"
	"sync"
	"time"

	"offhook.dev/libs/bus"
	"offhook.dev/libs/core/fault"
	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/graph"
	"offhook.dev/libs/topology"
	"offhook.dev/libs/wire"
)

// gather is how long hints are collected before one request reads them all.
const gather = 20 * time.Millisecond

// hints reads the users that notifications without content name, many in one
// request. Graph may be late, so a hint deserves a second look after half a minute:
// for presence the sweeps, every 10 s, are that look.
func (t *tenant) hints(ctx context.Context, shard string, known *presences) error {
	b := &batcher{read: func(ctx context.Context, users []identity.User) error {
		_, err := t.read(ctx, users, known)
		return err
	}}
	return t.p.bus.Consume(ctx, bus.Consumer{
		Stream: topology.Hints, Durable: topology.Token("graph-poller-" + string(t.conf.ID) + "-presence-" + shard),
		Filters:  []string{topology.Wildcard("m365.hint.presence." + topology.Token(string(t.conf.ID)) + ".<id>")},
		InFlight: graph.MaxPresences, Workers: graph.MaxPresences, NewestOnly: true,
	}, func(ctx context.Context, m bus.Message) error {
		hint, err := wire.DecodeHint(m.Data)
		if err != nil {
			return err
		}
		user, err := identity.ParseUser(hint.ID)
		if err != nil {
			return fault.New(fault.Invalid, "presence hint", err)
		}
		person := identity.Person{Tenant: t.conf.ID, User: user}
		if !wire.InShard(user, shard) || len(t.p.links.Of(person)) == 0 {
			return nil // only linked users are ever read
		}
		return b.add(ctx, user)
	})
}

// batcher makes one call of many.
type batcher struct {
	read func(context.Context, []identity.User) error

	mu   sync.Mutex // guards next
	next *batch
}

type batch struct {
	users []identity.User
	done  chan struct{}
	err   error // set before done is closed
}

// add waits until the user has been read together with others.
func (b *batcher) add(ctx context.Context, user identity.User) error {
	b.mu.Lock()
	mine := b.next
	first := mine == nil
	if first {
		mine = &batch{done: make(chan struct{})}
		b.next = mine
	}
	mine.users = append(mine.users, user)
	b.mu.Unlock()
	if first {
		// The first of a batch waits for the others and reads for all of them.
		select {
		case <-ctx.Done():
		case <-time.After(gather):
		}
		b.mu.Lock()
		b.next = nil
		b.mu.Unlock()
		mine.err = b.read(ctx, mine.users)
		close(mine.done)
	}
	select {
	case <-mine.done:
		return mine.err
	case <-ctx.Done():
		return fault.New(fault.Cancelled, "presence hint", context.Cause(ctx))
	}
}
