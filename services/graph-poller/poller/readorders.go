package poller

import (
	"cmp"
	"context"
	"fmt"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"offhook.dev/libs/bus"
	"offhook.dev/libs/core/fault"
	"offhook.dev/libs/topology"
	"offhook.dev/libs/wire"
)

// readOrders carries out orders to read users or contacts now, while the lease is held. A
// reading is in the memory of the holder alone, so when a holder begins, those that seem
// to be under way are ended: who waits for them asks again.
func (t *tenant) readOrders(ctx context.Context, users *userReader, contacts *contactReader) error {
	for {
		err := t.endReadings(ctx)
		if err == nil {
			break
		}
		t.log.Warn("orders to read cannot be looked over", "error", err)
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(t.conf.Keep.Retry):
		}
	}
	g, ctx := errgroup.WithContext(ctx)
	o := &readOrders{t: t, users: users, contacts: contacts, group: g, lease: ctx}
	g.Go(func() error {
		return t.p.bus.Consume(ctx, bus.Consumer{
			Stream: topology.Orders, Durable: topology.Token("graph-poller-" + string(t.conf.ID) + "-read"),
			Filters: []string{topology.Wildcard("order.read." + topology.Token(string(t.conf.ID)) + ".<id>")}, InFlight: 4, Workers: 4,
		}, o.order)
	})
	return g.Wait()
}

// endReadings ends readings that an earlier holder of the lease began.
func (t *tenant) endReadings(ctx context.Context) error {
	return t.p.bus.Each(ctx, topology.Outcomes, "outcome.sync."+topology.Token(string(t.conf.ID))+".*", func(m bus.Message) error {
		o, err := wire.DecodeSyncOutcome(m.Data)
		if err != nil || o.Op != wire.SyncRead || o.State != wire.SyncReading {
			return nil
		}
		o.State, o.Detail = wire.SyncFailed, "graph-poller ended while it was reading; ask again"
		return t.tellReading(ctx, o)
	})
}

func (t *tenant) tellReading(ctx context.Context, o wire.SyncOutcome) error {
	o.At = t.p.bus.Now()
	return t.p.publish(ctx, o)
}

// readOrders are those under way.
type readOrders struct {
	t        *tenant
	users    *userReader
	contacts *contactReader
	group    *errgroup.Group // waits for them
	lease    context.Context // ends with the lease
}

// order begins one order. Its outcome is there before it is acked: one that comes again
// has been begun.
func (r *readOrders) order(ctx context.Context, m bus.Message) error {
	order, err := wire.DecodeSyncOrder(m.Data)
	if err != nil {
		return err
	}
	if order.Tenant != r.t.conf.ID {
		return fault.Errorf(fault.Invalid, "order to read", "on the subject of another tenant")
	}
	_, err = r.t.p.bus.Last(ctx, topology.Outcomes, wire.SyncOutcomeSubject(order.Tenant, order.ID))
	if err == nil {
		return nil
	}
	if fault.KindOf(err) != fault.NotFound {
		return err
	}
	o := wire.SyncOutcome{ID: order.ID, Tenant: order.Tenant, Kind: order.Kind, Op: order.Op, State: wire.SyncReading}
	switch {
	case !order.Expires.IsZero() && r.t.p.bus.Now().After(order.Expires):
		o.State, o.Detail = wire.SyncExpired, "graph-poller took it too late"
	case order.Kind == wire.SyncUsers:
		return r.begin(ctx, o, func() { r.readUsers(o, order.Force) })
	case order.Kind == wire.SyncContacts:
		return r.begin(ctx, o, func() { r.readContacts(o, order.Force) })
	default:
		o.State, o.Detail = wire.SyncRefused, fmt.Sprintf("graph-poller cannot read %q", order.Kind)
	}
	return r.t.tellReading(ctx, o)
}

// begin tells that an order is being carried out, and does so apart from it.
func (r *readOrders) begin(ctx context.Context, o wire.SyncOutcome, read func()) error {
	if err := r.t.tellReading(ctx, o); err != nil {
		return err
	}
	r.group.Go(func() error { read(); return nil })
	return nil
}

// end tells how an order ended, also when the lease ends first.
func (r *readOrders) end(o wire.SyncOutcome, err error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.lease), lastWords)
	defer cancel()
	o.State = wire.SyncDone
	switch {
	case r.lease.Err() != nil:
		o.State, o.Detail = wire.SyncFailed, "graph-poller ended while it was reading; ask again"
	case err != nil:
		o.State, o.Detail = wire.SyncFailed, cause(err)
		if wait := fault.RetryAfter(err); wait > 0 {
			o.Detail += fmt.Sprintf(" (Graph asks to come back after %v)", wait.Round(time.Second))
		}
	}
	if err := r.t.tellReading(ctx, o); err != nil {
		r.t.log.Warn("how an order ended cannot be told", "order", o.ID, "error", err)
	}
	r.t.log.Info("order to read", "kind", o.Kind, "state", string(o.State), "read", o.Done, "failed", o.Failed, "detail", o.Detail)
}

// readUsers reads the directory. What it counts are the users that Graph named.
func (r *readOrders) readUsers(o wire.SyncOutcome, everything bool) {
	named, err := r.users.read(r.lease, everything)
	o.Total, o.Done = named, named
	r.end(o, err)
}

// tellEvery is how often it is told how far an order is.
const tellEvery = 2 * time.Second

// readContacts reads all mailboxes. What it counts are mailboxes; those in which there
// is nothing to read have been read.
func (r *readOrders) readContacts(o wire.SyncOutcome, everything bool) {
	users := r.contacts.mailboxes()
	var mu sync.Mutex // guards what follows
	var first error
	read, failed := 0, 0
	over := make(chan struct{})
	for _, user := range users {
		r.contacts.errands.add(user, everything, func(err error) {
			mu.Lock()
			defer mu.Unlock()
			read++
			if err != nil {
				failed++
				first = cmp.Or(first, err)
			}
			if read == len(users) {
				close(over)
			}
		})
	}
	if len(users) == 0 {
		close(over)
	}
	o.Total = len(users)
	count := func() {
		mu.Lock()
		defer mu.Unlock()
		o.Done, o.Failed = read, failed
	}
	tick := time.NewTicker(tellEvery)
	defer tick.Stop()
	for {
		select {
		case <-over:
			count()
			if o.Failed == 0 || o.Failed < o.Total {
				if o.Failed > 0 {
					o.Detail = fmt.Sprintf("%d mailboxes could not be read, the first because: %s", o.Failed, cause(first))
				}
				first = nil
			}
			r.end(o, first)
			return
		case <-r.lease.Done():
			count()
			r.end(o, nil)
			return
		case <-tick.C:
			count()
			if err := r.t.tellReading(r.lease, o); err != nil {
				r.t.log.Debug("how far an order is cannot be told", "error", err)
			}
		}
	}
}
