package api

import (
	"context"
	"fmt"
	"regexp"
	"time"

	"offhook.dev/libs/bus"
	"offhook.dev/libs/core/fault"
	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/topology"
	"offhook.dev/libs/wire"
)

const (
	// orderLife is how long an order waits for its service to take it.
	orderLife = 2 * time.Minute
	// unheard is how long after the end of a code a sign-in is taken for interrupted whose
	// end nobody told: graph-poller is gone and has not come back.
	unheard = time.Minute
)

// OrderWaiting is the state of an order that its service has not taken yet. The others
// are those of wire.OrderState and wire.SyncState.
const OrderWaiting = "waiting"

// Order is something that was asked once, and how far it is.
type Order struct {
	Tenant  string `json:"tenant"`
	ID      string `json:"id"`
	Kind    string `json:"kind"`    // "authorize", "deauthorize"; "plan", "apply" or "sync"
	State   string `json:"state"`   // "waiting", "code", "leaving", "reading", "planned", "applying", or how it ended
	Ended   bool   `json:"ended"`   // nothing more comes
	Account string `json:"account"` // which one it is about, "" until that is known
	// UserCode is what a person is to enter at URL before CodeExpires; "" and null but in
	// the state "code".
	UserCode    string     `json:"user_code"`
	URL         string     `json:"url"`
	CodeExpires *time.Time `json:"code_expires"`
	Detail      string     `json:"detail"` // for people
	At          *time.Time `json:"at"`     // of the state
	// What is "users" or "contacts" where those are planned, applied or synchronised, and
	// Plan the id of the plan once there is one.
	What string `json:"what"`
	Plan string `json:"plan"`
	// Total counts what is read in the state "reading", else the changes of the plan that
	// are carried out; Done has those that failed too.
	Total  int `json:"total"`
	Done   int `json:"done"`
	Failed int `json:"failed"`
}

// OrderBody is the body of a PUT of an order.
type OrderBody struct {
	Kind string `json:"kind"`
	// Account is which one is given up, of deauthorize.
	Account string `json:"account,omitempty"`
}

// orders asks other services for something, once, and reads how far that is. It keeps
// nothing: orders and outcomes are on the broker, so that any replica can answer.
type orders struct {
	model *model
	bus   *bus.Bus
	plans shelf
}

// orderID is the form of an order's id. The caller chooses it, so that a request that
// is repeated is the same order.
var orderID = regexp.MustCompile(`^[0-9A-Za-z-]{8,64}$`)

// put asks for something, unless an order of the id is there already.
func (o orders) put(ctx context.Context, tenant, id string, body OrderBody) (Order, error) {
	order, err := o.check(tenant, id, body)
	if err != nil {
		return Order{}, err
	}
	is, err := o.get(ctx, tenant, id)
	switch {
	case err == nil && is.Kind != body.Kind:
		return Order{}, problem(fault.Conflict, CodeOrder, fmt.Sprintf("the id %q is that of an order to %s", id, is.Kind), "id", "choose another one")
	case err == nil:
		return is, nil
	case problemOf(err).Code != CodeOrderUnknown:
		return Order{}, err
	}
	subject, data := order.Encode()
	if _, err := o.bus.Publish(bus.Begin(ctx), bus.Message{Subject: subject, Data: data, ID: id}); err != nil {
		return Order{}, err
	}
	o.model.log.Info("order", "kind", order.Kind, "tenant", tenant, "id", id, "account", order.Account, "by", by)
	return waiting(order, o.model.now()), nil
}

// check refuses what cannot be ordered.
func (o orders) check(tenant, id string, body OrderBody) (wire.AccountOrder, error) {
	of, err := o.tenant(tenant)
	if err != nil {
		return wire.AccountOrder{}, err
	}
	bad := func(what, where, fix string) (wire.AccountOrder, error) {
		return wire.AccountOrder{}, problem(fault.Invalid, CodeOrder, what, where, fix)
	}
	switch {
	case !orderID.MatchString(id):
		return wire.AccountOrder{}, errOrderID(id)
	case body.Kind != wire.Authorize && body.Kind != wire.Deauthorize:
		return bad(fmt.Sprintf("there is no order of the kind %q", body.Kind), "kind", "use authorize or deauthorize")
	case body.Kind == wire.Deauthorize && body.Account == "":
		return bad("it is not said which account is to be given up", "account", "name one of `offhook lanes`")
	case body.Kind == wire.Authorize && body.Account != "":
		return bad("which account is authorised is decided by who signs in", "account", "leave it out")
	}
	if no := o.model.tenants[of].NoLanes; no != (NoLanes{}) {
		return wire.AccountOrder{}, problem(fault.Conflict, CodeNoLanes, no.What, fmt.Sprintf("tenant %s, %s", of, no.Where), no.Fix)
	}
	now := o.model.now()
	return wire.AccountOrder{ID: id, Tenant: of, Kind: body.Kind, Account: body.Account, AskedAt: now, Expires: now.Add(orderLife)}, nil
}

func errOrderID(id string) error {
	return problem(fault.Invalid, CodeOrder, fmt.Sprintf("%q is no id of an order", id), "id", "choose 8 to 64 letters, digits and '-', at random")
}

// tenant returns a tenant that is configured.
func (o orders) tenant(name string) (identity.Tenant, error) {
	of, err := inTenant(name)
	if err == nil {
		err = keeper{model: o.model}.configured(of)
	}
	return of, err
}

// get says how far an order is. Its outcome is there before it leaves the queue, so
// the outcome is looked for again when the order has gone in between.
func (o orders) get(ctx context.Context, tenant, id string) (Order, error) {
	of, err := o.tenant(tenant)
	if err != nil {
		return Order{}, err
	}
	for range 2 {
		for _, p := range places(of, id) {
			m, err := o.bus.Last(ctx, p.stream, p.subject)
			if err == nil {
				return p.describe(m.Data, o.model.now())
			}
			if fault.KindOf(err) != fault.NotFound {
				return Order{}, err
			}
		}
	}
	return Order{}, problem(fault.NotFound, CodeOrderUnknown, fmt.Sprintf("no order %q of tenant %s is known", id, of), "id", "ask again: orders are kept for a week after they ended")
}

// place is where an order, or what came of it, may be.
type place struct {
	stream   topology.Stream
	subject  string
	describe func(data []byte, now time.Time) (Order, error)
}

// places lists them, what comes later on an order's way first.
func places(of identity.Tenant, id string) []place {
	return append([]place{
		{topology.Outcomes, wire.AccountOutcomeSubject(of, id), describing(wire.DecodeAccountOutcome, outcomeOrder)},
		{topology.Orders, wire.AccountOrderSubject(of, id), describing(wire.DecodeAccountOrder, waiting)},
	}, syncPlaces(of, id)...)
}

// describing makes a place's describe of a decoder.
func describing[T any](decode func([]byte) (T, error), describe func(T, time.Time) Order) func([]byte, time.Time) (Order, error) {
	return func(data []byte, now time.Time) (Order, error) {
		x, err := decode(data)
		if err != nil {
			return Order{}, err
		}
		return describe(x, now), nil
	}
}

// waiting describes an order that nobody has taken.
func waiting(order wire.AccountOrder, now time.Time) Order {
	o := Order{Tenant: string(order.Tenant), ID: order.ID, Kind: order.Kind, Account: order.Account, State: OrderWaiting, At: moment(order.AskedAt),
		Detail: "graph-poller has not taken it yet"}
	if now.After(order.Expires) {
		o.State, o.Ended, o.Detail = string(wire.OrderExpired), true, "graph-poller has not taken it in time"
	}
	return o
}

// outcomeOrder describes an order that was taken.
func outcomeOrder(x wire.AccountOutcome, now time.Time) Order {
	o := Order{Tenant: string(x.Tenant), ID: x.ID, Kind: x.Kind, Account: x.Account, State: string(x.State), Ended: x.State.Ended(), Detail: x.Detail, At: moment(x.At)}
	if x.State != wire.OrderCode {
		return o
	}
	o.UserCode, o.URL, o.CodeExpires = x.UserCode, x.URL, moment(x.CodeExpires)
	if now.After(x.CodeExpires.Add(unheard)) {
		o.UserCode, o.URL, o.CodeExpires = "", "", nil
		o.State, o.Ended, o.Detail = string(wire.OrderInterrupted), true, "graph-poller has not told how it ended"
	}
	return o
}
