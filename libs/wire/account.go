package wire

import (
	"time"

	"offhook.dev/libs/core/fault"
	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/topology"
	eventv1 "offhook.dev/proto/gen/offhook/event/v1"
)

// What can be ordered about accounts: the values of AccountOrder.Kind.
const (
	Authorize   = "authorize"   // let a person sign an account in
	Deauthorize = "deauthorize" // give one up
)

// AccountOrder asks once for something about the accounts that hold lanes.
type AccountOrder struct {
	ID      string // the caller's; a repetition has the same
	Tenant  identity.Tenant
	Kind    string // Authorize or Deauthorize; a later version may know more
	Account string // whom to give up
	AskedAt time.Time
	Expires time.Time // it is not begun after this
}

// AccountOrderSubject is the subject of an order.
func AccountOrderSubject(tenant identity.Tenant, id string) string {
	return "order.account." + topology.Join(string(tenant), id)
}

// Encode implements Message.
func (o AccountOrder) Encode() (string, []byte) {
	return AccountOrderSubject(o.Tenant, o.ID), marshal(&eventv1.AccountOrder{
		Id: clean(o.ID), Tenant: string(o.Tenant), Kind: clean(o.Kind), Account: clean(o.Account), AskedAt: stamp(o.AskedAt), Expires: stamp(o.Expires),
	})
}

// DecodeAccountOrder is the inverse of AccountOrder.Encode.
func DecodeAccountOrder(data []byte) (AccountOrder, error) {
	var m eventv1.AccountOrder
	if err := unmarshal(data, &m); err != nil {
		return AccountOrder{}, err
	}
	tenant, err := ordered("wire: account order", m.Tenant, m.Id)
	if err != nil {
		return AccountOrder{}, err
	}
	return AccountOrder{ID: m.Id, Tenant: tenant, Kind: m.Kind, Account: m.Account, AskedAt: moment(m.AskedAt), Expires: moment(m.Expires)}, nil
}

// ordered checks what an order and its outcome must have.
func ordered(op, tenant, id string) (identity.Tenant, error) {
	t, err := identity.ParseTenant(tenant)
	if err != nil {
		return "", fault.New(fault.Invalid, op, err)
	}
	if id == "" {
		return "", fault.Errorf(fault.Invalid, op, "no id")
	}
	return t, nil
}

// OrderState is how far an order about an account is. It is an open set: what a later
// version says is shown as it is.
type OrderState string

// The states; Ended says which of them are the last.
const (
	OrderCode        OrderState = "code"        // a person is to enter UserCode
	OrderLeaving     OrderState = "leaving"     // the account is being given up
	OrderAuthorised  OrderState = "authorised"  // it has signed in
	OrderRemoved     OrderState = "removed"     // it is given up
	OrderRefused     OrderState = "refused"     // the person said no, or may not
	OrderExpired     OrderState = "expired"     // nobody took the order, or nobody signed in, in time
	OrderInterrupted OrderState = "interrupted" // the service ended while the person signed in
	OrderFailed      OrderState = "failed"
)

// Ended says whether nothing more comes of an order in this state.
func (s OrderState) Ended() bool {
	switch s {
	case OrderAuthorised, OrderRemoved, OrderRefused, OrderExpired, OrderInterrupted, OrderFailed:
		return true
	}
	return false
}

// AccountOutcome says how far an order about an account is. There is no secret in it.
type AccountOutcome struct {
	ID          string // of the order
	Tenant      identity.Tenant
	Kind        string // of the order
	State       OrderState
	Account     string    // which one it is about, once that is known
	UserCode    string    // of OrderCode: what to enter
	URL         string    // and where
	CodeExpires time.Time // and until when
	Detail      string    // for people
	At          time.Time
}

// AccountOutcomeSubject is the subject of an order's outcomes.
func AccountOutcomeSubject(tenant identity.Tenant, id string) string {
	return "outcome.account." + topology.Join(string(tenant), id)
}

// Encode implements Message.
func (o AccountOutcome) Encode() (string, []byte) {
	return AccountOutcomeSubject(o.Tenant, o.ID), marshal(&eventv1.AccountOutcome{
		Id: clean(o.ID), Tenant: string(o.Tenant), Kind: clean(o.Kind), State: clean(string(o.State)), Account: clean(o.Account), UserCode: clean(o.UserCode),
		Url: clean(o.URL), CodeExpires: stamp(o.CodeExpires), Detail: clean(o.Detail), At: stamp(o.At),
	})
}

// DecodeAccountOutcome is the inverse of AccountOutcome.Encode.
func DecodeAccountOutcome(data []byte) (AccountOutcome, error) {
	var m eventv1.AccountOutcome
	if err := unmarshal(data, &m); err != nil {
		return AccountOutcome{}, err
	}
	tenant, err := ordered("wire: account outcome", m.Tenant, m.Id)
	if err != nil {
		return AccountOutcome{}, err
	}
	return AccountOutcome{ID: m.Id, Tenant: tenant, Kind: m.Kind, State: OrderState(m.State), Account: m.Account, UserCode: m.UserCode, URL: m.Url,
		CodeExpires: moment(m.CodeExpires), Detail: m.Detail, At: moment(m.At)}, nil
}
