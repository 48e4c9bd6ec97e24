package poller

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"offhook.dev/libs/bus"
	"offhook.dev/libs/core/fault"
	"offhook.dev/libs/subscription"
	"offhook.dev/libs/topology"
	"offhook.dev/libs/wire"
)

// leaveTime is how long it is tried to end the subscription of an account that is given
// up. Then it is left to end by itself: within an hour.
const leaveTime = 30 * time.Second

// keepers keeps a keeper for each account that there is, of which one of all replicas
// works: hold waits for its lease and runs it.
func (t *tenant) keepers(ctx context.Context, hold func(ctx context.Context, account string) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	running := map[string]*keeping{}
	defer func() {
		cancel(nil)
		for _, k := range running {
			<-k.ended
		}
	}()
	for {
		changed := t.roster.changed.next()
		names := map[string]bool{}
		for _, name := range t.roster.names() {
			if names[name] = true; running[name] == nil {
				running[name] = t.startKeeper(ctx, cancel, name, hold)
			}
		}
		for name, k := range running {
			if !names[name] {
				// Its end is waited for: a lease lets its own holder in at any time.
				k.stop()
				<-k.ended
				delete(running, name)
			}
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-changed:
		}
	}
}

// keeping is a keeper that runs, or waits for its lease.
type keeping struct {
	stop  context.CancelFunc
	ended chan struct{}
}

func (t *tenant) startKeeper(ctx context.Context, failed context.CancelCauseFunc, name string, hold func(context.Context, string) error) *keeping {
	ctx, stop := context.WithCancel(ctx)
	k := &keeping{stop: stop, ended: make(chan struct{})}
	go func() {
		defer close(k.ended)
		if err := hold(ctx, name); err != nil {
			failed(err)
		}
	}()
	return k
}

// leave gives the account up: its subscription, the records of it, its token, and what
// is told of it. It can be repeated until the record is gone, which is the last step.
func (k *kept) leave(ctx context.Context, m member) error {
	detail := "its subscription is ended and its token is gone"
	if err := k.endAll(ctx); err != nil {
		if fault.KindOf(err).Retryable() && k.t.p.bus.Now().Sub(m.record.Leaving.Since) < leaveTime {
			return err
		}
		k.t.log.Warn("the subscription of an account that is given up could not be ended", "account", k.name, "error", err)
		detail = fmt.Sprintf("its token is gone; its subscription could not be ended (%s) and ends by itself within an hour, unheard", cause(err))
	}
	if err := k.forgetAll(ctx); err != nil {
		return err
	}
	k.generation = generation{}
	_, revision, err := k.t.account(ctx, k.name)
	if err != nil {
		return err
	}
	k.t.ears.forget(k.name)
	if err := k.t.p.publish(ctx, wire.Lane{Tenant: k.t.conf.ID, Account: k.name, Gone: true, SeenAt: k.t.p.bus.Now()}); err != nil {
		return err
	}
	for _, id := range m.record.Leaving.Orders {
		if err := k.t.tell(ctx, wire.AccountOutcome{ID: id, Tenant: k.t.conf.ID, Kind: wire.Deauthorize, State: wire.OrderRemoved, Account: k.name, Detail: detail}); err != nil {
			return err
		}
	}
	// This ends ctx as soon as the roster hears of it, before the answer is here.
	err = k.t.p.accounts.Delete(context.WithoutCancel(ctx), subscription.LaneKey(k.t.conf.ID, k.name), revision)
	k.left = err == nil
	return err
}

// forgetLifecycle removes the consumer of hints about an account that was given up:
// nobody reads them any more, and what is left would count as behind.
func (t *tenant) forgetLifecycle(ctx context.Context, account string) {
	ctx, cancel := context.WithTimeoutCause(ctx, lastWords, errors.New("no answer from the broker"))
	defer cancel()
	err := t.p.bus.JetStream().DeleteConsumer(ctx, string(topology.Hints), t.lifecycleDurable(account))
	if err != nil && !errors.Is(err, jetstream.ErrConsumerNotFound) {
		t.log.Info("the consumer of an account that was given up is left", "account", account, "error", err)
	}
}

// onlyOne refuses the lane where another one is held by the same person: Graph allows
// them one subscription, which both would make anew over the other's for ever. The one
// of the configuration goes before, then that of the smaller name.
func (k *kept) onlyOne(ctx context.Context) error {
	if k.told.User == "" {
		return nil // known once there was a subscription
	}
	twin := ""
	lanes := "m365.fact.lane." + topology.Token(string(k.t.conf.ID)) + ".*"
	err := k.t.p.bus.Each(ctx, topology.Facts, lanes, func(m bus.Message) error {
		other, err := wire.DecodeLane(m.Data)
		if err != nil || other.Gone || other.Account == k.name || other.User != k.told.User {
			return nil
		}
		if other.Configured && !k.told.Configured || other.Configured == k.told.Configured && other.Account < k.name {
			twin = other.Account
		}
		return nil
	})
	if err != nil || twin == "" {
		return err
	}
	if err := k.forgetAll(ctx); err != nil { // of what the other has made anew
		return err
	}
	return fault.Errorf(fault.Invalid, "presence subscription", "it is the same person's as %s, and Microsoft allows each person one subscription: remove one of the two", twin)
}

// recall takes up what was last told of the lane, so that a new keeper does not begin
// its history anew.
func (k *kept) recall(ctx context.Context) {
	last, err := k.t.p.bus.Last(ctx, topology.Facts, wire.LaneSubject(k.t.conf.ID, k.name))
	if err != nil {
		return
	}
	if lane, err := wire.DecodeLane(last.Data); err == nil && !lane.Gone {
		k.told = lane
		k.t.ears.recall(k.name, lane.HeardAt)
	}
}

// tell publishes how the lane does, if that is news. err is what the last look ended
// with.
func (k *kept) tell(ctx context.Context, err error) {
	m, there := k.t.roster.of(k.name)
	if !there {
		return
	}
	now := k.t.p.bus.Now()
	heard, silent := k.t.ears.of(k.name)
	next := wire.Lane{
		Tenant: k.t.conf.ID, Account: k.name, User: k.told.User, Configured: m.configured, Users: len(k.record.Users), Expires: k.record.Expires,
		HeardAt: heard, Silences: k.told.Silences, Since: k.told.Since, SeenAt: now,
	}
	if m.record.User != "" {
		next.User = m.record.User
	}
	switch {
	case m.record.Leaving != nil:
		next.State = wire.LaneLeaving
	case err != nil:
		next.State, next.Detail = wire.LaneFailing, cause(err)
	case len(k.users()) == 0:
		next.State = wire.LaneIdle
	case k.record.ID == "":
		next.State = wire.LaneStarting
	case silent:
		next.State, next.Detail = wire.LaneSilent, "its subscription told of nothing that sweeps found; it was made anew, and is so again if that goes on"
	default:
		next.State = wire.LaneListening
	}
	if next.State != k.told.State || next.Since.IsZero() {
		next.Since = now
	}
	k.t.p.metrics.lane(ctx, next, now)
	if next.User == k.told.User && next.State == k.told.State && next.Detail == k.told.Detail && next.Users == k.told.Users && next.Expires.Equal(k.told.Expires) &&
		next.Silences == k.told.Silences && next.Configured == k.told.Configured && next.HeardAt.Equal(k.told.HeardAt) && !k.told.SeenAt.IsZero() {
		return
	}
	if err := k.t.p.publish(bus.Begin(ctx), next); err != nil {
		k.t.log.Warn("how a lane does cannot be told", "account", k.name, "error", err)
		return
	}
	k.told = next
}
