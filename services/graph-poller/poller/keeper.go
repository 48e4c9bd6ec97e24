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

// askFor is the life asked for: Graph's most, less a margin for clocks that differ.
const askFor = graph.MaxPresenceLife - 2*time.Minute

// longestPause between two tries after something failed.
const longestPause = 2 * time.Minute

// kept is the presence subscription of one delegated account, while its lease is held.
type kept struct {
	t       *tenant
	account Account
	client  graph.Subscriber

	generation
	verified time.Time // when Graph last said that it has it
	warned   bool      // Graph asks for a renewal
}

// keep holds one presence subscription for an account: created, verified by reading
// it back, renewed at half life or when Graph asks for it, and replaced when it is
// gone, when its expiry does not move, or when the users it should name change.
func (t *tenant) keep(ctx context.Context, account Account) error {
	g, ctx := errgroup.WithContext(ctx)
	warnings := make(chan string, 1)
	g.Go(func() error { return t.lifecycle(ctx, account, warnings) })
	g.Go(func() error { t.keepLoop(ctx, account, warnings); return nil })
	return g.Wait()
}

// lifecycle passes on which subscriptions Graph says something about, by the keys
// of their records.
func (t *tenant) lifecycle(ctx context.Context, account Account, warnings chan<- string) error {
	return t.p.bus.Consume(ctx, bus.Consumer{
		Stream: topology.Hints, Durable: topology.Token("graph-poller-" + string(t.conf.ID) + "-subscription-" + account.Name),
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

func (t *tenant) keepLoop(ctx context.Context, account Account, warnings <-chan string) {
	k := &kept{t: t, account: account}
	pause := t.conf.Keep.Retry
	for {
		next := t.conf.Keep.Look
		err := k.look(ctx)
		switch {
		case ctx.Err() != nil:
			return
		case err != nil:
			t.log.Warn("presence subscription", "account", account.Name, "kind", fault.KindOf(err), "error", err)
			next = max(pause, fault.RetryAfter(err)) + rand.N(pause)
			pause = min(2*pause, longestPause)
		default:
			pause = t.conf.Keep.Retry
			if k.record.ID == "" { // nobody is linked yet
				next = min(next, time.Second)
			}
		}
		if !k.wait(ctx, next, warnings) {
			return
		}
	}
}

// wait lets time pass until the next look, or until Graph asks for a renewal. It
// returns false when ctx has ended.
func (k *kept) wait(ctx context.Context, d time.Duration, warnings <-chan string) bool {
	over := time.NewTimer(d)
	defer over.Stop()
	for {
		select {
		case <-ctx.Done():
			return false
		case <-over.C:
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
func (k *kept) look(ctx context.Context) (err error) {
	if k.client == nil {
		if k.client, err = k.account.Client(); err != nil {
			return err
		}
	}
	users := k.users()
	if len(users) == 0 {
		return nil
	}
	now := k.t.p.bus.Now()
	defer func() {
		k.t.p.metrics.expires(ctx, k.t.conf.ID, k.account.Name, max(0, k.record.Expires.Sub(k.t.p.bus.Now())))
	}()
	switch {
	case k.record.ID == "":
		return k.create(ctx, users)
	case !slices.Equal(users, k.record.Users):
		k.t.log.Info("presence subscription is replaced: other users are linked", "account", k.account.Name)
		return k.replace(ctx, users)
	case k.warned || k.record.Expires.Sub(now) <= k.t.conf.Keep.RenewBefore:
		return k.renew(ctx, users)
	case now.Sub(k.verified) >= k.t.conf.Keep.Verify:
		return k.verify(ctx, users)
	}
	return nil
}

// verify asks whether the subscription is still there: Graph can remove one without
// a word.
func (k *kept) verify(ctx context.Context, users []identity.User) error {
	_, err := k.readBack(ctx, k.record.ID)
	if err != nil && fault.KindOf(err) == fault.NotFound {
		k.t.log.Warn("presence subscription is gone", "account", k.account.Name)
		return k.replace(ctx, users)
	}
	return err
}

// users names who the subscription is for, as planned. Whom it leaves out, the sweep
// reads all the same.
func (k *kept) users() []identity.User { return k.t.p.planned.Of(k.t.conf.ID, k.account.Name) }

// create makes a new generation: a record under a new secret path first, because
// Graph calls it before the create call returns.
func (k *kept) create(ctx context.Context, users []identity.User) error {
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
		Tenant: k.t.conf.ID, Directory: k.t.conf.Directory, App: k.t.conf.App, Resource: subscription.ResourcePresence, Account: k.account.Name,
		CertificateID: id, Users: users, URL: k.t.conf.PublicURL,
	}, graph.NewSubscription{
		Resource: resource, Change: "updated", Expires: k.t.p.bus.Now().Add(askFor), Certificate: certificate, CertificateID: id,
	})
	if err != nil {
		return err
	}
	if g.record.Expires, err = k.readBack(ctx, g.record.ID); err != nil {
		return err
	}
	if err := k.t.p.keepRecord(ctx, g); err != nil {
		return err
	}
	k.generation, k.warned = g, false
	k.t.log.Info("presence subscription made", "account", k.account.Name, "users", len(users), "expires", g.record.Expires)
	return nil
}

// readBack asks Graph what it has: an answer of 201 or 200 is not believed alone.
func (k *kept) readBack(ctx context.Context, id string) (time.Time, error) {
	is, err := k.client.Subscription(ctx, id)
	if err != nil {
		return time.Time{}, err
	}
	k.verified = k.t.p.bus.Now()
	return is.Expires, nil
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
	switch {
	case err != nil && fault.KindOf(err) == fault.NotFound:
		k.t.log.Warn("presence subscription is gone", "account", k.account.Name)
		return k.replace(ctx, users)
	case err != nil:
		return err
	case stuck:
		k.t.log.Warn("presence subscription was not renewed although Graph said so", "account", k.account.Name)
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
	return k.t.p.subscriptions.Each(ctx, ">", func(e store.Entry) error {
		record, err := subscription.Decode(e.Value)
		if err == nil && record.Tenant == k.t.conf.ID && record.Account == k.account.Name && record.Resource == subscription.ResourcePresence {
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
