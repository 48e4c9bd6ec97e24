package poller

import (
	"context"
	"errors"
	"time"

	"offhook.dev/libs/core/fault"
	"offhook.dev/libs/graph"
	"offhook.dev/libs/secret"
	"offhook.dev/libs/subscription"
)

// graphRounds is how much a renewed expiry may stay behind what was asked for.
const graphRounds = 2 * time.Second

// generation is one subscription and its record. The secret path under which Graph
// calls is known to Graph alone once it is made: what comes after needs only its hash.
type generation struct {
	key    string // of the record, subscription.KeyOf the path; "": there is none
	record subscription.Record
}

// subscribe makes a new generation: a record under a new secret path first, because
// Graph calls it before the create call returns. The caller's record says whose and
// what it is, want what is asked of Graph; keys, state and URLs are filled in here.
func (p *Poller) subscribe(ctx context.Context, client graph.Subscriber, record subscription.Record, want graph.NewSubscription) (generation, error) {
	now := p.bus.Now()
	path, state := subscription.NewKey(), subscription.NewState()
	record.State, record.Made, record.Handshake = secret.Hash(state.Reveal()), now, now.Add(subscription.HandshakeGrace)
	g := generation{subscription.KeyOf(path), record}
	if err := p.keepRecord(ctx, g); err != nil {
		return generation{}, err
	}
	url := record.URL + "/graph/" + path
	want.Notify, want.Lifecycle, want.State = url+"/notifications", url+"/lifecycle", state
	made, err := client.Create(ctx, want)
	if err != nil {
		return generation{}, errors.Join(err, p.forget(ctx, g.key))
	}
	g.record.ID, g.record.Expires = made.ID, made.Expires
	return g, p.keepRecord(ctx, g)
}

// extend renews a subscription and reads it back: an answer of 200 is not believed
// alone. stuck says that the expiry did not move although it should have; then
// nothing is changed.
func (p *Poller) extend(ctx context.Context, client graph.Subscriber, g generation, change graph.Renewal) (next generation, stuck bool, err error) {
	now := p.bus.Now()
	next = g
	// A renewal may be answered with a handshake as well.
	next.record.Handshake = now.Add(subscription.HandshakeGrace)
	if err := p.keepRecord(ctx, next); err != nil {
		return g, false, err
	}
	if _, err := client.Renew(ctx, g.record.ID, change); err != nil {
		return g, false, err
	}
	is, err := client.Subscription(ctx, g.record.ID)
	if err != nil {
		return g, false, err
	}
	if !is.Expires.After(g.record.Expires) && change.Expires.Sub(g.record.Expires) > graphRounds {
		return g, true, nil
	}
	next.record.Expires, next.record.Renewed = is.Expires, now
	if change.CertificateID != "" {
		next.record.CertificateID = change.CertificateID
	}
	return next, false, p.keepRecord(ctx, next)
}

// end ends a subscription at Graph and forgets its record.
func (p *Poller) end(ctx context.Context, client graph.Subscriber, g generation) error {
	if g.record.ID != "" {
		if err := client.Delete(ctx, g.record.ID); err != nil {
			return err
		}
	}
	return p.forget(ctx, g.key)
}

func (p *Poller) keepRecord(ctx context.Context, g generation) error {
	_, err := p.subscriptions.Put(ctx, g.key, g.record.Encode())
	return err
}

// forget removes the record of a key.
func (p *Poller) forget(ctx context.Context, key string) error {
	e, err := p.subscriptions.Get(ctx, key)
	if err != nil {
		if fault.KindOf(err) == fault.NotFound {
			return nil
		}
		return err
	}
	return p.subscriptions.Delete(ctx, e.Key, e.Revision)
}
