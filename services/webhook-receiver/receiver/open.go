package receiver

import (
	"context"
	"runtime"
	"time"

	"golang.org/x/sync/errgroup"

	"offhook.dev/libs/bus"
	"offhook.dev/libs/core/fault"
	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/core/presence"
	"offhook.dev/libs/graph"
	"offhook.dev/libs/graph/notification"
	"offhook.dev/libs/subscription"
	"offhook.dev/libs/topology"
	"offhook.dev/libs/wire"
)

// tooOld is the age at which decrypted content is not believed any more: the
// presence may have changed twice since. It becomes a hint.
const tooOld = 5 * time.Second

// consume works off the queue.
func (r *Receiver) consume(ctx context.Context) error {
	return r.bus.Consume(ctx, bus.Consumer{
		Stream: topology.Ingress, Durable: "webhook-receiver", AnyOrder: true,
		InFlight: 64, Workers: 4 * runtime.NumCPU(),
	}, r.open)
}

// open turns one stored POST into facts and hints.
func (r *Receiver) open(ctx context.Context, m bus.Message) error { return patient(r.unpack(ctx, m)) }

// patient makes an error that gives a message up after many attempts one that never
// does. A POST holds what nobody has authenticated yet, which is never parked: when
// the login host or the broker hangs, it is tried again for as long as that takes.
// What is authenticated and can never be opened is parked by itself, item by item.
func patient(err error) error {
	if err == nil {
		return nil
	}
	switch fault.KindOf(err) {
	case fault.Timeout, fault.Conflict, fault.Unknown:
		return fault.After(fault.Unavailable, "open notifications", fault.RetryAfter(err), err)
	}
	return err
}

// unpack deals with the items of a POST. They are independent: what is wrong with one
// is counted or parked alone.
func (r *Receiver) unpack(ctx context.Context, m bus.Message) error {
	in, err := wire.DecodeIngress(m.Data)
	if err != nil {
		return err
	}
	record, ok, err := r.records.byKey(ctx, in.Subscription)
	if err != nil {
		return err
	}
	// Replaced or removed from the configuration meanwhile: the sweep knows better.
	if _, served := r.opts.Logins[record.Tenant]; !ok || !served {
		r.metrics.opened(ctx, "forgotten-subscription", len(in.Items))
		return nil
	}
	o := &opening{r: r, in: in, record: record, at: m.Time}
	switch record.Resource {
	case subscription.ResourceEvent:
		return o.events(ctx)
	case subscription.ResourceUsers:
		return o.users(ctx)
	}
	if in.Lifecycle {
		r.metrics.opened(ctx, "lifecycle", len(in.Items))
		return r.hint(ctx, subscription.HintSubscription, record.Tenant, in.Subscription, "lifecycle notification", m.Time)
	}
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(runtime.NumCPU())
	for _, raw := range in.Items {
		g.Go(func() error { return o.item(ctx, raw) })
	}
	return g.Wait()
}

// opening is one POST at work.
type opening struct {
	r      *Receiver
	in     wire.Ingress
	record subscription.Record
	at     time.Time // when it was stored, in broker time
}

// item handles one item. An error means that the POST has to be tried again; what
// was done for its other items is then done twice, which is harmless.
func (o *opening) item(ctx context.Context, raw []byte) error {
	item, err := notification.DecodeItem(raw)
	if err != nil || item.Resource.Kind != notification.Presence {
		o.r.metrics.opened(ctx, "not-presence", 1)
		return nil
	}
	user := item.Resource.User
	if item.Directory != "" && item.Directory != o.record.Directory {
		o.r.metrics.opened(ctx, "foreign-tenant", 1)
		return nil
	}
	if item.Content == nil {
		o.r.metrics.opened(ctx, "basic", 1)
		return o.r.hint(ctx, subscription.HintPresence, o.record.Tenant, string(user), "notification without content", o.at)
	}
	if len(o.in.Tokens) == 0 {
		return o.unproven(ctx, user)
	}
	switch err := o.r.verifier(o.record).Verify(ctx, o.in.Tokens, notification.Binding{Directory: o.record.Directory, App: o.record.App}); {
	case err == nil:
	case fault.KindOf(err) == fault.Denied:
		o.r.metrics.opened(ctx, "forged", 1) // not authenticated: never parked
		o.r.refused.Do(func() {
			o.r.log.Warn("a notification is not believed", "tenant", o.record.Tenant, "error", err)
		})
		return nil
	default:
		return err
	}
	read, err := o.read(ctx, item)
	if err != nil && fault.KindOf(err) == fault.Invalid {
		return o.park(ctx, raw, err)
	}
	if err != nil {
		return err
	}
	if o.r.now().Sub(o.at) > tooOld {
		o.r.metrics.opened(ctx, "late", 1)
		return o.r.hint(ctx, subscription.HintPresence, o.record.Tenant, string(user), "notification opened late", o.at)
	}
	return o.publish(ctx, wire.Presence{
		Person:  identity.Person{Tenant: o.record.Tenant, User: user},
		Reading: presence.TeamsReading{Availability: read.Availability, Activity: read.Activity, Source: presence.Notification, SeenAt: o.at},
	})
}

// unproven deals with content that comes without any validation token. Graph sends
// null instead of tokens for an app that requires assignment and has not assigned the
// service that sends notifications
// (learn.microsoft.com/graph/change-notifications-with-resource-data). What is inside
// proves nothing then; that the item knows its clientState makes it a hint, as one
// without content is.
func (o *opening) unproven(ctx context.Context, user identity.User) error {
	o.r.metrics.opened(ctx, "no-validation-token", 1)
	o.r.unassigned.Do(func() {
		o.r.log.Warn("Graph sends no validation tokens, so that the content of notifications cannot be believed; changes are read instead, which is later. "+
			"The app registration requires assignment: set \"Assignment required\" of its enterprise application to No", "tenant", o.record.Tenant, "app", o.record.App)
	})
	return o.r.hint(ctx, subscription.HintPresence, o.record.Tenant, string(user), "notification without validation token", o.at)
}

// read decrypts an item: fault.Invalid if that will never work here.
func (o *opening) read(ctx context.Context, item notification.Item) (graph.Presence, error) {
	keys, err := o.r.keys.with(ctx, item.Content.CertificateID)
	if err != nil {
		return graph.Presence{}, err
	}
	read, err := keys.Presence(item)
	if err != nil {
		return read, fault.Errorf(fault.Invalid, "open notification", "certificate %q: %w", item.Content.CertificateID, err)
	}
	return read, nil
}

// park sets one item aside as a POST of its own.
func (o *opening) park(ctx context.Context, raw []byte, cause error) error {
	o.r.metrics.opened(ctx, "undecryptable", 1)
	subject, data := wire.Ingress{Tenant: o.in.Tenant, Resource: o.record.Resource, Subscription: o.in.Subscription, Items: [][]byte{raw}, Tokens: o.in.Tokens}.Encode()
	return o.r.bus.Park(ctx, topology.Ingress, bus.Message{Subject: subject, Data: data}, cause)
}

// publish puts the fact over an older one. A notification that is older than the
// newest poll says only that something changed around that time: a hint. So does
// the second of two about one user in one POST, whose order means nothing.
func (o *opening) publish(ctx context.Context, fact wire.Presence) error {
	for {
		last, err := o.r.bus.Last(ctx, topology.Facts, wire.PresenceSubject(fact.Person))
		if err != nil && fault.KindOf(err) != fault.NotFound {
			return err
		}
		if err == nil {
			known, err := wire.DecodePresence(last.Data)
			if err == nil && !fact.Reading.SeenAt.After(known.Reading.SeenAt) {
				o.r.metrics.opened(ctx, "overtaken", 1)
				if known.Reading.Source == presence.Poll || known.Reading.SeenAt.Equal(fact.Reading.SeenAt) {
					return o.r.hint(ctx, subscription.HintPresence, fact.Person.Tenant, string(fact.Person.User), "notification older than the newest poll", o.at)
				}
				return nil
			}
		}
		subject, data := fact.Encode()
		_, err = o.r.bus.PublishOver(ctx, bus.Message{Subject: subject, Data: data}, last.Sequence)
		if err == nil {
			o.r.metrics.opened(ctx, "fact", 1)
			return nil
		}
		if fault.KindOf(err) != fault.Conflict {
			return err
		}
	}
}

func (r *Receiver) hint(ctx context.Context, kind string, tenant identity.Tenant, id, cause string, seen time.Time) error {
	subject, data := wire.Hint{Kind: kind, Tenant: tenant, ID: id, Cause: cause, SeenAt: seen}.Encode()
	_, err := r.bus.Publish(ctx, bus.Message{Subject: subject, Data: data})
	return err
}
