package api

import (
	"context"
	"crypto/rand"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"offhook.dev/libs/bus"
	"offhook.dev/libs/core/fault"
	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/topology"
	"offhook.dev/libs/wire"
)

const (
	// syncLife is how long an order about users or contacts waits for its service, which
	// may be at a large run. It is less than the time in which the broker knows an order
	// that comes again.
	syncLife = 5 * time.Minute
	// readingUnheard is how long after the last word of a reading it is taken for
	// interrupted.
	readingUnheard = 30 * time.Minute
)

// SyncBody is the body of a POST that asks for a plan, or for users or contacts to be
// synchronised.
type SyncBody struct {
	// Tenant may be left out where there is one only.
	Tenant string `json:"tenant,omitempty"`
	Kind   string `json:"kind"` // "users" or "contacts"
	// ID is chosen by the caller at random, so that a request that is repeated is the same
	// order; without it each is another one.
	ID string `json:"id,omitempty"`
}

// ApplyBody is the body of a POST that has a plan applied.
type ApplyBody struct {
	Force bool   `json:"force,omitempty"` // what the brake holds back, too
	ID    string `json:"id,omitempty"`    // as in SyncBody
}

// plan asks for a plan.
func (o orders) plan(ctx context.Context, body SyncBody) (Order, error) {
	order, err := o.checkSync(body, wire.SyncPlan)
	if err != nil {
		return Order{}, err
	}
	return o.once(ctx, order, order, nil)
}

// apply asks for what a plan says. Whether that is still what would be done, the
// service finds out that carries it out.
func (o orders) apply(ctx context.Context, id string, body ApplyBody) (Order, error) {
	p, err := o.plans.get(ctx, id)
	if err != nil {
		return Order{}, err
	}
	order, err := o.checkSync(SyncBody{Tenant: p.Tenant, Kind: p.Kind, ID: body.ID}, wire.SyncApply)
	if err != nil {
		return Order{}, err
	}
	order.Plan, order.Force = p.ID, body.Force
	return o.once(ctx, order, order, func() error { return appliable(p) })
}

// appliable refuses a plan that nobody would apply any more.
func appliable(p Plan) error {
	what := ""
	switch wire.SyncState(p.State) {
	case wire.SyncPlanned, wire.SyncApplying:
		return nil
	case wire.SyncExpired:
		what = "the plan expired at " + p.Expires.UTC().Format(time.RFC3339)
	default:
		what = "the plan was applied before; it is " + p.State
	}
	return problem(fault.Conflict, CodePlanOver, what, "plan "+p.ID, fmt.Sprintf("make a new one (offhook plan %s --tenant %s), look at it, and apply that", p.Kind, p.Tenant))
}

// sync asks for Microsoft 365 to be read. What follows is asked for by pursue when that
// is done.
func (o orders) sync(ctx context.Context, body SyncBody) (Order, error) {
	order, err := o.checkSync(body, wire.SyncNow)
	if err != nil {
		return Order{}, err
	}
	read := order
	read.Op, read.ID = wire.SyncRead, order.ID+readingOf
	return o.once(ctx, order, read, nil)
}

// readingOf ends the id of the reading that comes before an order to synchronise. No
// order of a caller has such an id.
const readingOf = ".read"

// checkSync refuses what cannot be ordered, and completes the rest.
func (o orders) checkSync(body SyncBody, op wire.SyncOp) (wire.SyncOrder, error) {
	of, err := o.theTenant(body.Tenant)
	if err != nil {
		return wire.SyncOrder{}, err
	}
	kind := wire.SyncKind(body.Kind)
	if body.ID == "" {
		body.ID = rand.Text()
	}
	switch {
	case !orderID.MatchString(body.ID):
		return wire.SyncOrder{}, errOrderID(body.ID)
	case kind != wire.SyncUsers && kind != wire.SyncContacts:
		return wire.SyncOrder{}, problem(fault.Invalid, CodeOrder, fmt.Sprintf("nothing of the kind %q is synchronised", body.Kind), "kind", "use users or contacts")
	case kind == wire.SyncContacts && o.model.tenants[of].NoContacts:
		return wire.SyncOrder{}, problem(fault.Conflict, CodeNoContacts, fmt.Sprintf("contacts of tenant %s are in no phonebook", of), "tenants.contacts of the configuration",
			"set personal: true, or name shared_mailboxes, and start Offhook again")
	}
	now := o.model.now()
	return wire.SyncOrder{ID: body.ID, Tenant: of, Kind: kind, Op: op, AskedAt: now, Expires: now.Add(syncLife)}, nil
}

// theTenant returns the tenant that is named, or the only one there is.
func (o orders) theTenant(name string) (identity.Tenant, error) {
	if name != "" {
		return o.tenant(name)
	}
	all := slices.Sorted(maps.Keys(o.model.tenants))
	if len(all) == 1 {
		return all[0], nil
	}
	var names []string
	for _, id := range all {
		names = append(names, string(id))
	}
	return "", problem(fault.Invalid, CodeTenantMissing, fmt.Sprintf("it is not said of which tenant; there are %s", strings.Join(names, ", ")), "tenant", "name one of them")
}

// once publishes an order that means what is ordered, unless one of the id is there
// already. check, which may be nil, is asked before it is published only.
func (o orders) once(ctx context.Context, ordered, publish wire.SyncOrder, check func() error) (Order, error) {
	is, err := o.get(ctx, string(ordered.Tenant), ordered.ID)
	switch {
	case err == nil && (is.Kind != string(ordered.Op) || is.What != string(ordered.Kind) || is.Plan != "" && ordered.Plan != "" && is.Plan != ordered.Plan):
		return Order{}, problem(fault.Conflict, CodeOrder, fmt.Sprintf("the id %q is that of an order to %s %s", ordered.ID, is.Kind, is.What), "id", "choose another one")
	case err == nil:
		return is, nil
	case problemOf(err).Code != CodeOrderUnknown:
		return Order{}, err
	}
	if check != nil {
		if err := check(); err != nil {
			return Order{}, err
		}
	}
	if err := o.publish(ctx, publish); err != nil {
		return Order{}, err
	}
	o.model.log.Info("order", "kind", ordered.Op, "what", ordered.Kind, "tenant", ordered.Tenant, "id", ordered.ID, "plan", ordered.Plan, "force", ordered.Force, "by", by)
	return syncWaiting(publish, o.model.now()), nil
}

func (o orders) publish(ctx context.Context, order wire.SyncOrder) error {
	subject, data := order.Encode()
	_, err := o.bus.Publish(bus.Begin(ctx), bus.Message{Subject: subject, Data: data, ID: order.ID})
	return err
}

// pursue has synchronised what was read for that, until ctx ends. What was read while
// this service was away, or by the word of a replica that is gone, is seen at the start;
// several that see the same order the same.
func (o orders) pursue(ctx context.Context) error {
	return o.bus.Follow(ctx, topology.Outcomes, []string{topology.Wildcard("outcome.sync.<tenant>.<id>")}, func(m bus.Message) error {
		read, err := wire.DecodeSyncOutcome(m.Data)
		if err != nil {
			o.model.skip(m, err)
			return nil
		}
		id, ours := strings.CutSuffix(read.ID, readingOf)
		if !ours || read.Op != wire.SyncRead || read.State != wire.SyncDone {
			return nil
		}
		order := wire.SyncOrder{ID: id, Tenant: read.Tenant, Kind: read.Kind, Op: wire.SyncNow, AskedAt: read.At, Expires: read.At.Add(syncLife)}
		for o.model.now().Before(order.Expires) {
			if err = o.follows(ctx, order); err == nil || ctx.Err() != nil {
				return nil
			}
			o.model.log.Warn("what was read is to be synchronised", "tenant", order.Tenant, "id", id, "error", err)
			select {
			case <-ctx.Done():
			case <-time.After(pursueAgain):
			}
		}
		return nil
	}, func() {})
}

// pursueAgain is how long pursue waits after the broker did not take an order.
const pursueAgain = time.Second

// follows publishes the order that follows a reading, unless something came of it
// before: the broker forgets ids when it starts anew.
func (o orders) follows(ctx context.Context, order wire.SyncOrder) error {
	_, err := o.bus.Last(ctx, topology.Outcomes, wire.SyncOutcomeSubject(order.Tenant, order.ID))
	if err == nil {
		return nil
	}
	if fault.KindOf(err) != fault.NotFound {
		return err
	}
	return o.publish(ctx, order)
}

// syncPlaces is places of orders about users and contacts.
func syncPlaces(of identity.Tenant, id string) []place {
	order := func(id string, kind wire.SyncKind, op wire.SyncOp) place {
		subject, _ := wire.SyncOrder{ID: id, Tenant: of, Kind: kind, Op: op}.Encode()
		return place{topology.Orders, subject, describing(wire.DecodeSyncOrder, syncWaiting)}
	}
	return []place{
		{topology.Outcomes, wire.SyncOutcomeSubject(of, id), describing(wire.DecodeSyncOutcome, syncOutcome)},
		order(id, wire.SyncUsers, wire.SyncPlan),
		order(id, wire.SyncContacts, wire.SyncPlan),
		{topology.Outcomes, wire.SyncOutcomeSubject(of, id+readingOf), describing(wire.DecodeSyncOutcome, syncRead)},
		order(id+readingOf, "", wire.SyncRead),
	}
}

// syncWaiting describes an order of which nothing has come yet.
func syncWaiting(order wire.SyncOrder, now time.Time) Order {
	service := topology.UserSync
	switch {
	case order.Op == wire.SyncRead:
		service = topology.GraphPoller
		order.Op, order.ID = wire.SyncNow, strings.TrimSuffix(order.ID, readingOf)
	case order.Kind == wire.SyncContacts:
		service = topology.ContactSync
	}
	o := Order{Tenant: string(order.Tenant), ID: order.ID, Kind: string(order.Op), What: string(order.Kind), Plan: order.Plan, State: OrderWaiting, At: moment(order.AskedAt),
		Detail: string(service) + " has not answered yet"}
	if now.After(order.Expires.Add(unheard)) { // by then the service itself would have said so
		o.State, o.Ended, o.Detail = string(wire.SyncExpired), true, string(service)+" has not answered in time"
	}
	return o
}

// syncOutcome describes an order of which something has come.
func syncOutcome(x wire.SyncOutcome, _ time.Time) Order {
	return Order{Tenant: string(x.Tenant), ID: x.ID, Kind: string(x.Op), What: string(x.Kind), Plan: x.Plan, State: string(x.State), Ended: x.State.Ended(x.Op),
		Total: x.Total, Done: x.Done, Failed: x.Failed, Detail: x.Detail, At: moment(x.At)}
}

// syncRead describes an order to synchronise by the reading that comes first.
func syncRead(x wire.SyncOutcome, now time.Time) Order {
	o := syncOutcome(x, now)
	o.ID, o.Kind, o.Plan = strings.TrimSuffix(x.ID, readingOf), string(wire.SyncNow), ""
	interrupted := func(why string) { o.State, o.Ended, o.Detail = string(wire.OrderInterrupted), true, why }
	switch {
	case x.State == wire.SyncDone && now.After(x.At.Add(syncLife)):
		interrupted("Microsoft 365 was read, and nobody asked for the rest in time")
	case x.State == wire.SyncDone:
		o.State, o.Ended = string(wire.SyncReading), false
	case o.Ended:
		o.Detail = "Microsoft 365 could not be read: " + x.Detail
	case now.After(x.At.Add(readingUnheard)):
		interrupted("graph-poller has not told how its reading ended")
	}
	return o
}
