package poller

import (
	"context"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"offhook.dev/libs/bus"
	"offhook.dev/libs/core/fault"
	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/graph"
	"offhook.dev/libs/store"
	"offhook.dev/libs/subscription"
	"offhook.dev/libs/topology"
	"offhook.dev/libs/wire"
)

// askFor is the life asked for: Graph's most, less by how much clocks may differ. Where
// Graph's is behind by that, it is asked for its most.
const askFor = graph.MaxPresenceLife - clockSkew

// longestPause between two tries after something failed.
const longestPause = 2 * time.Minute

// kept is the presence subscription of one delegated account, while its lease is held.
type kept struct {
	t      *tenant
	name   string // of the account
	client graph.Subscriber
	from   time.Time // the sign-in that client acts by, zero for one of the configuration

	generation
	verified time.Time // when Graph last said that it has it
	warned   bool      // Graph asks for a renewal
	told     wire.Lane // how it did when that was last told
	left     bool      // the account was given up, here
}

// keep holds one presence subscription for an account: created, verified by reading
// it back, renewed at half life or when Graph asks for it, and replaced when it is
// gone, when its expiry does not move, or when the users it should name change.
func (t *tenant) keep(ctx context.Context, account string) error {
	g, gctx := errgroup.WithContext(ctx)
	warnings := make(chan string, 1)
	left := false
	g.Go(func() error { return t.lifecycle(gctx, account, warnings) })
	g.Go(func() error { left = t.keepLoop(gctx, account, warnings); return nil })
	err := g.Wait()
	if left {
		t.forgetLifecycle(context.WithoutCancel(ctx), account)
	}
	return err
}

// lifecycleDurable names the consumer of what Graph says about an account's subscription.
func (t *tenant) lifecycleDurable(account string) string {
	return topology.Token("graph-poller-" + string(t.conf.ID) + "-subscription-" + account)
}

// lifecycle passes on which subscriptions Graph says something about, by the keys
// of their records.
func (t *tenant) lifecycle(ctx context.Context, account string, warnings chan<- string) error {
	return t.p.bus.Consume(ctx, bus.Consumer{
		Stream: topology.Hints, Durable: t.lifecycleDurable(account),
		Filters: []string{topology.Wildcard("m365.hint." + subscription.HintSubscription + "." + topology.Token(string(t.conf.ID)) + ".<id>")}, Workers: 1,
	}, func(ctx context.Context, m bus.Message) error {
		hint, err := wire.DecodeHint(m.Data)
		if err != nil {
			return err
		}
		select {
		case warnings <- hint.ID:
		case <-ctx.Done():
			return fault.New(fault.Cancelled, "subscription hint", context.Cause(ctx))
		}
		return nil
	})
}

// keepLoop looks again and again. It says whether the account was given up; then it
// is over, and so is this work soon.
func (t *tenant) keepLoop(ctx context.Context, account string, warnings <-chan string) (left bool) {
	k := &kept{t: t, name: account}
	defer k.closeClient()
	defer t.p.metrics.laneLeft(context.WithoutCancel(ctx), t.conf.ID, account)
	k.recall(ctx)
	pause := t.conf.Keep.Retry
	for {
		changed := t.roster.changed.next()
		next := t.conf.Keep.Look
		err := k.look(ctx)
		switch {
		case ctx.Err() != nil:
			return k.left
		case k.left:
			return true
		case err != nil:
			t.log.Warn("presence subscription", "account", account, "kind", fault.KindOf(err), "error", err)
			next = max(pause, fault.RetryAfter(err)) + rand.N(pause)
			pause = min(2*pause, longestPause)
		default:
			pause = t.conf.Keep.Retry
			if k.record.ID == "" { // nobody is linked yet
				next = min(next, time.Second)
			}
		}
		k.tell(ctx, err)
		if !k.wait(ctx, next, changed, warnings) {
			return false
		}
	}
}

// wait lets time pass until the next look, or until Graph asks for a renewal or
// something about accounts changes. It returns false when ctx has ended.
func (k *kept) wait(ctx context.Context, d time.Duration, changed <-chan struct{}, warnings <-chan string) bool {
	over := time.NewTimer(d)
	defer over.Stop()
	for {
		select {
		case <-ctx.Done():
			return false
		case <-over.C:
			return true
		case <-changed:
			return true
		case id := <-warnings:
			// Others are of earlier generations or other accounts.
			if k.key != "" && id == k.key && !k.warned {
				k.warned = true
				return true
			}
		}
	}
}

// look compares and does what is needed.
func (k *kept) look(ctx context.Context) error {
	m, there := k.t.roster.of(k.name)
	if !there {
		return nil // this work is about to end
	}
	if err := k.actAs(m); err != nil && m.record.Leaving == nil {
		return err
	}
	if m.record.Leaving != nil {
		return k.leave(ctx, m)
	}
	users := k.users()
	if len(users) == 0 {
		return k.rest(ctx)
	}
	now := k.t.p.bus.Now()
	switch {
	case k.record.ID == "":
		return k.create(ctx, users)
	case !slices.Equal(users, k.record.Users):
		k.t.log.Info("presence subscription is replaced: other users are linked", "account", k.name)
		return k.replace(ctx, users)
	case k.warned || k.record.Expires.Sub(now) <= k.t.conf.Keep.RenewBefore:
		return k.renew(ctx, users)
	case k.t.ears.silent(k.name, now):
		k.t.log.Warn("presence subscription is silent although sweeps find changes: it is made anew", "account", k.name)
		k.t.p.metrics.silent(ctx, k.t.conf.ID, k.name)
		k.told.Silences++
		k.t.ears.acts(k.name, now)
		return k.replace(ctx, users)
	case now.Sub(k.verified) >= k.t.conf.Keep.Verify:
		return k.verify(ctx, users)
	}
	return nil
}

// actAs has the client act as the account is signed in now.
func (k *kept) actAs(m member) (err error) {
	if k.client != nil && k.from.Equal(m.record.SignedIn) {
		return nil
	}
	k.closeClient()
	if k.client, err = k.t.clientOf(m); err != nil {
		return err
	}
	k.from = m.record.SignedIn
	return nil
}

// closeClient drops the client's idle connections.
func (k *kept) closeClient() {
	if c, ok := k.client.(interface{ Close() }); ok {
		c.Close()
	}
	k.client = nil
}

// rest ends the subscription of a lane that nobody is on any more.
func (k *kept) rest(ctx context.Context) error {
	if k.record.ID == "" {
		return nil
	}
	if err := k.t.p.end(ctx, k.client, k.generation); err != nil {
		return err
	}
	k.generation = generation{}
	return nil
}

// verify asks whether the subscription is still there: Graph can remove one without
// a word.
func (k *kept) verify(ctx context.Context, users []identity.User) error {
	_, err := k.readBack(ctx, k.record.ID)
	if err != nil && fault.KindOf(err) == fault.NotFound {
		k.t.log.Warn("presence subscription is gone", "account", k.name)
		return k.replace(ctx, users)
	}
	return err
}

// users names who the subscription is for, as planned. Whom it leaves out, the sweep
// reads all the same.
func (k *kept) users() []identity.User { return k.t.p.planned.Of(k.t.conf.ID, k.name) }

// create makes a new generation: a record under a new secret path first, because
// Graph calls it before the create call returns.
func (k *kept) create(ctx context.Context, users []identity.User) error {
	if err := k.onlyOne(ctx); err != nil {
		return err
	}
	if err := k.sweepOld(ctx); err != nil {
		return err
	}
	certificate, id, err := k.certificate(ctx)
	if err != nil {
		return err
	}
	resource, err := graph.PresenceResource(users)
	if err != nil {
		return fault.New(fault.Invalid, "presence subscription", err)
	}
	g, err := k.t.p.subscribe(ctx, k.client, subscription.Record{
		Tenant: k.t.conf.ID, Directory: k.t.conf.Directory, App: k.t.conf.App, Resource: subscription.ResourcePresence, Account: k.name,
		CertificateID: id, Users: users, URL: k.t.conf.PublicURL,
	}, graph.NewSubscription{
		Resource: resource, Change: "updated", Expires: k.t.p.bus.Now().Add(askFor), Certificate: certificate, CertificateID: id,
	})
	if err != nil {
		return err
	}
	is, err := k.readBack(ctx, g.record.ID)
	if err != nil {
		return err
	}
	g.record.Expires = is.Expires
	if err := k.t.p.keepRecord(ctx, g); err != nil {
		return err
	}
	k.generation, k.warned = g, false
	if user, err := identity.ParseUser(is.Creator); err == nil {
		k.told.User = user
	}
	k.t.ears.begins(k.name, g.record.Made)
	k.t.log.Info("presence subscription made", "account", k.name, "users", len(users), "expires", g.record.Expires)
	return nil
}

// readBack asks Graph what it has: an answer of 201 or 200 is not believed alone.
func (k *kept) readBack(ctx context.Context, id string) (graph.Subscription, error) {
	is, err := k.client.Subscription(ctx, id)
	if err != nil {
		return graph.Subscription{}, err
	}
	k.verified = k.t.p.bus.Now()
	return is, nil
}

// renew moves the expiry, and the certificate if a newer one is current.
func (k *kept) renew(ctx context.Context, users []identity.User) error {
	certificate, id, err := k.certificate(ctx)
	if err != nil {
		return err
	}
	change := graph.Renewal{Expires: k.t.p.bus.Now().Add(askFor)}
	if id != k.record.CertificateID {
		change.Certificate, change.CertificateID = certificate, id
	}
	next, stuck, err := k.t.p.extend(ctx, k.client, k.generation, change)
	switch kind := fault.KindOf(err); {
	case err != nil && kind == fault.NotFound:
		k.t.log.Warn("presence subscription is gone", "account", k.name)
		return k.replace(ctx, users)
	case err != nil && (kind == fault.Invalid || kind == fault.Unsupported):
		k.t.log.Warn("presence subscription cannot be renewed", "account", k.name, "error", err)
		return k.replace(ctx, users)
	case err != nil:
		return err
	case stuck:
		k.t.log.Warn("presence subscription was not renewed although Graph said so", "account", k.name)
		return k.replace(ctx, users)
	}
	k.generation, k.verified, k.warned = next, k.t.p.bus.Now(), false
	return nil
}

// replace deletes and creates: Graph allows one presence subscription for an
// account, and its users cannot be changed.
func (k *kept) replace(ctx context.Context, users []identity.User) error {
	if err := k.client.Delete(ctx, k.record.ID); err != nil {
		return err
	}
	old := k.key
	k.generation = generation{}
	if err := k.create(ctx, users); err != nil {
		return err
	}
	return k.t.p.forget(ctx, old)
}

// sweepOld removes what an earlier life of this work left at Graph and in the
// bucket: the key of an old generation is not known any more, so it cannot go on.
func (k *kept) sweepOld(ctx context.Context) error {
	if err := k.endAll(ctx); err != nil {
		return err
	}
	return k.forgetAll(ctx)
}

// endAll ends every presence subscription that the account has at Graph.
func (k *kept) endAll(ctx context.Context) error {
	if k.client == nil {
		return fault.Errorf(fault.Denied, "end presence subscription", "nobody can act as the account")
	}
	there, err := k.client.Subscriptions(ctx)
	if err != nil {
		return err
	}
	for _, s := range there {
		if strings.Contains(strings.ToLower(s.Resource), "communications/presences") {
			if err := k.client.Delete(ctx, s.ID); err != nil {
				return err
			}
		}
	}
	return nil
}

// forgetAll removes the records of the account's subscriptions: what Graph still tells
// under them is not taken in any more.
func (k *kept) forgetAll(ctx context.Context) error {
	return k.t.p.subscriptions.Each(ctx, ">", func(e store.Entry) error {
		record, err := subscription.Decode(e.Value)
		if err == nil && record.Tenant == k.t.conf.ID && record.Account == k.name && record.Resource == subscription.ResourcePresence {
			return k.t.p.subscriptions.Delete(ctx, e.Key, e.Revision)
		}
		return nil
	})
}

// certificate returns the one under which Graph should encrypt.
func (k *kept) certificate(ctx context.Context) (*x509.Certificate, string, error) {
	e, err := k.t.p.certificates.Get(ctx, subscription.CurrentCertificate)
	if err != nil {
		return nil, "", fmt.Errorf("webhook-receiver has not made a notification certificate yet: %w", err)
	}
	var c subscription.Certificate
	if err := json.Unmarshal(e.Value, &c); err != nil {
		return nil, "", fault.New(fault.Invalid, "notification certificate", err)
	}
	cert, err := c.X509()
	return cert, c.ID, err
}
