package poller

import (
	"context"
	"time"

	"offhook.dev/libs/core/fault"
	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/graph"
)

// do does one job and notes how it went. made says that there is a new subscription.
func (k *eventKeeper) do(ctx context.Context, j job) (made bool) {
	made, err := k.carryOut(ctx, j)
	if ctx.Err() != nil {
		return false
	}
	if err != nil {
		k.t.log.Warn("event subscription", "user", j.user, "job", j.kind, "kind", fault.KindOf(err), "error", err)
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	now := k.t.p.bus.Now()
	h := k.held[j.user]
	if h == nil && err != nil && j.user != "" {
		h = &heldEvent{}
		k.held[j.user] = h
	}
	if h != nil {
		h.pause.note(err, now, k.t.conf.Events.Retry, longestUserPause)
	}
	if kind := fault.KindOf(err); err != nil && (kind == fault.Conflict || kind == fault.Timeout) {
		k.list.wanted = true // what is there already, or came to be?
	}
	k.trouble.note(err, now, k.t.conf.Events.Retry)
	return made
}

// carryOut does one job at Graph and in the bucket.
func (k *eventKeeper) carryOut(ctx context.Context, j job) (made bool, err error) {
	switch j.kind {
	case jobStray:
		return false, k.endStray(ctx, j)
	case jobEnd:
		if err := k.t.p.end(ctx, k.t.client, j.was); err != nil {
			return false, err
		}
		k.drop(j.user)
		return false, nil
	case jobCheck:
		is, err := k.t.client.Subscription(ctx, j.was.record.ID)
		if err == nil {
			k.confirmed(j.user, j.was.key, is.Expires)
			return false, nil
		}
		if fault.KindOf(err) != fault.NotFound {
			return false, err
		}
	case jobRenew:
		next, stuck, err := k.t.p.extend(ctx, k.t.client, j.was, graph.Renewal{Expires: k.t.p.bus.Now().Add(askEventLife)})
		switch {
		case err == nil && !stuck:
			k.note(j.user, next)
			return false, nil
		case err != nil && fault.KindOf(err) != fault.NotFound:
			return false, err
		}
		if stuck {
			if err := k.t.client.Delete(ctx, j.was.record.ID); err != nil {
				return false, err
			}
		}
	case jobMove:
		if err := k.t.client.Delete(ctx, j.was.record.ID); err != nil {
			return false, err
		}
	}
	return k.create(ctx, j)
}

// create makes a subscription, instead of one that is gone if there was one.
func (k *eventKeeper) create(ctx context.Context, j job) (made bool, err error) {
	if j.was.key != "" {
		if err := k.t.p.forget(ctx, j.was.key); err != nil {
			return false, err
		}
		k.note(j.user, generation{})
	}
	want := graph.NewSubscription{Resource: graph.UsersResource, Change: graph.UserChanges, Expires: k.t.p.bus.Now().Add(askEventLife)}
	if j.user != everybody {
		resource, err := graph.EventResource(j.user)
		if err != nil {
			return false, fault.New(fault.Invalid, "event subscription", err)
		}
		want.Resource, want.Change = resource, graph.EventChanges
	}
	g, err := k.t.p.subscribe(ctx, k.t.client, k.t.recordOf(j.user), want)
	if err != nil {
		return false, err
	}
	k.note(j.user, g)
	return true, nil
}

func (k *eventKeeper) note(user identity.User, g generation) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.hold(user, g)
}

func (k *eventKeeper) drop(user identity.User) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if h := k.held[user]; h != nil {
		delete(k.users, h.key)
		delete(k.held, user)
	}
}

// confirmed notes that Graph has a generation, and until when.
func (k *eventKeeper) confirmed(user identity.User, key string, expires time.Time) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if h := k.held[user]; h != nil && h.key == key {
		h.record.Expires, h.touched, h.doubt, h.said = expires, k.t.p.bus.Now(), false, ""
	}
}

func (k *eventKeeper) endStray(ctx context.Context, j job) error {
	if err := k.t.p.end(ctx, k.t.client, j.was); err != nil {
		return err
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	for i, stray := range k.strays {
		if stray.key == j.was.key && stray.record.ID == j.was.record.ID {
			k.strays = append(k.strays[:i:i], k.strays[i+1:]...)
			break
		}
	}
	if h := k.held[j.user]; h != nil {
		h.pause = pause{} // what was in the way is gone
	}
	k.awake()
	return nil
}
