package wire

import (
	"time"

	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/topology"
	eventv1 "offhook.dev/proto/gen/offhook/event/v1"
)

// SyncKind is what an order to synchronise is about.
type SyncKind string

// The kinds.
const (
	SyncUsers    SyncKind = "users"
	SyncContacts SyncKind = "contacts"
)

// SyncOp is what is ordered.
type SyncOp string

// The operations.
const (
	SyncRead  SyncOp = "read"  // read Microsoft 365 now
	SyncPlan  SyncOp = "plan"  // say what would be done
	SyncApply SyncOp = "apply" // do what a plan says
	SyncNow   SyncOp = "sync"  // plan and apply
)

// SyncOrder asks once for users or contacts to be read, planned or applied.
type SyncOrder struct {
	ID      string // the caller's; a repetition has the same
	Tenant  identity.Tenant
	Kind    SyncKind
	Op      SyncOp
	Plan    string // of SyncApply
	Force   bool   // lifts the brake
	AskedAt time.Time
	Expires time.Time // it is not begun after this
}

// Encode implements Message. Who reads gets the order to read, who plans the others.
func (o SyncOrder) Encode() (string, []byte) {
	whose := string(o.Kind)
	if o.Op == SyncRead {
		whose = string(SyncRead)
	}
	return "order." + topology.Token(whose) + "." + topology.Join(string(o.Tenant), o.ID), marshal(&eventv1.SyncOrder{
		Id: clean(o.ID), Tenant: string(o.Tenant), Kind: clean(string(o.Kind)), Op: clean(string(o.Op)), Plan: clean(o.Plan), Force: o.Force,
		AskedAt: stamp(o.AskedAt), Expires: stamp(o.Expires),
	})
}

// DecodeSyncOrder is the inverse of SyncOrder.Encode.
func DecodeSyncOrder(data []byte) (SyncOrder, error) {
	var m eventv1.SyncOrder
	if err := unmarshal(data, &m); err != nil {
		return SyncOrder{}, err
	}
	tenant, err := ordered("wire: sync order", m.Tenant, m.Id)
	if err != nil {
		return SyncOrder{}, err
	}
	return SyncOrder{ID: m.Id, Tenant: tenant, Kind: SyncKind(m.Kind), Op: SyncOp(m.Op), Plan: m.Plan, Force: m.Force, AskedAt: moment(m.AskedAt), Expires: moment(m.Expires)}, nil
}

// SyncState is how far an order is. It is an open set, as OrderState is.
type SyncState string

// The states; Ended says which of them are the last.
const (
	SyncReading  SyncState = "reading"
	SyncPlanned  SyncState = "planned"  // Plan says what would be done
	SyncApplying SyncState = "applying" // Done of Total
	SyncDone     SyncState = "done"     // all, or all but Failed
	SyncBraked   SyncState = "braked"   // done but for what the brake holds back
	SyncStale    SyncState = "stale"    // the plan would be another one now
	SyncExpired  SyncState = "expired"  // the plan, or the order, is too old
	SyncRefused  SyncState = "refused"
	SyncFailed   SyncState = "failed"
)

// Ended says whether nothing more comes of an order with this operation in this state.
func (s SyncState) Ended(op SyncOp) bool {
	switch s {
	case SyncDone, SyncBraked, SyncStale, SyncExpired, SyncRefused, SyncFailed:
		return true
	}
	return s == SyncPlanned && op == SyncPlan
}

// SyncOutcome says how far an order is.
type SyncOutcome struct {
	ID                  string // of the order
	Tenant              identity.Tenant
	Kind                SyncKind
	Op                  SyncOp
	State               SyncState
	Plan                string
	Total, Done, Failed int // changes of the plan; Done has those that failed
	Detail              string
	At                  time.Time
}

// SyncOutcomeSubject is the subject of an order's outcomes.
func SyncOutcomeSubject(tenant identity.Tenant, id string) string {
	return "outcome.sync." + topology.Join(string(tenant), id)
}

// Encode implements Message.
func (o SyncOutcome) Encode() (string, []byte) {
	return SyncOutcomeSubject(o.Tenant, o.ID), marshal(&eventv1.SyncOutcome{
		Id: clean(o.ID), Tenant: string(o.Tenant), Kind: clean(string(o.Kind)), Op: clean(string(o.Op)), State: clean(string(o.State)), Plan: clean(o.Plan),
		Total: uint32(o.Total), Done: uint32(o.Done), Failed: uint32(o.Failed), Detail: clean(o.Detail), At: stamp(o.At),
	})
}

// DecodeSyncOutcome is the inverse of SyncOutcome.Encode.
func DecodeSyncOutcome(data []byte) (SyncOutcome, error) {
	var m eventv1.SyncOutcome
	if err := unmarshal(data, &m); err != nil {
		return SyncOutcome{}, err
	}
	tenant, err := ordered("wire: sync outcome", m.Tenant, m.Id)
	if err != nil {
		return SyncOutcome{}, err
	}
	return SyncOutcome{ID: m.Id, Tenant: tenant, Kind: SyncKind(m.Kind), Op: SyncOp(m.Op), State: SyncState(m.State), Plan: m.Plan,
		Total: int(m.Total), Done: int(m.Done), Failed: int(m.Failed), Detail: m.Detail, At: moment(m.At)}, nil
}
