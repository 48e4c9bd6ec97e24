package wire

import (
	"time"

	"offhook.dev/libs/core/fault"
	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/topology"
	eventv1 "offhook.dev/proto/gen/offhook/event/v1"
)

// Ingress is one POST of Graph as the receiver accepted it, before anything in it
// is believed.
type Ingress struct {
	Tenant       identity.Tenant
	Resource     string   // "presence", "lifecycle": what the subscription is about
	Subscription string   // key of the subscription's record
	Items        [][]byte // as Graph wrote them
	Tokens       []string // validation tokens
	Lifecycle    bool
}

// Encode implements Message.
func (i Ingress) Encode() (string, []byte) {
	return "in." + topology.Join(string(i.Tenant), i.Resource), marshal(&eventv1.Ingress{
		Tenant: string(i.Tenant), Subscription: i.Subscription, Items: i.Items, ValidationTokens: i.Tokens, Lifecycle: i.Lifecycle,
	})
}

// DecodeIngress is the inverse of Ingress.Encode, but for the resource, which is
// in the subject.
func DecodeIngress(data []byte) (Ingress, error) {
	var m eventv1.Ingress
	if err := unmarshal(data, &m); err != nil {
		return Ingress{}, err
	}
	tenant, err := identity.ParseTenant(m.Tenant)
	if err != nil {
		return Ingress{}, fault.New(fault.Invalid, "wire: ingress", err)
	}
	return Ingress{Tenant: tenant, Subscription: m.Subscription, Items: m.Items, Tokens: m.ValidationTokens, Lifecycle: m.Lifecycle}, nil
}

// Hint says "look again at this".
type Hint struct {
	Kind   string // "presence"
	Tenant identity.Tenant
	ID     string
	Cause  string
	SeenAt time.Time
}

// Encode implements Message.
func (h Hint) Encode() (string, []byte) {
	return "m365.hint." + topology.Join(h.Kind, string(h.Tenant), h.ID), marshal(&eventv1.Hint{
		Tenant: string(h.Tenant), Id: h.ID, Cause: h.Cause, SeenAt: stamp(h.SeenAt),
	})
}

// DecodeHint is the inverse of Hint.Encode, but for the kind, which is in the subject.
func DecodeHint(data []byte) (Hint, error) {
	var m eventv1.Hint
	if err := unmarshal(data, &m); err != nil {
		return Hint{}, err
	}
	tenant, err := identity.ParseTenant(m.Tenant)
	if err != nil {
		return Hint{}, fault.New(fault.Invalid, "wire: hint", err)
	}
	return Hint{Tenant: tenant, ID: m.Id, Cause: m.Cause, SeenAt: moment(m.SeenAt)}, nil
}
