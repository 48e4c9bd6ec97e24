package wire

import (
	"time"

	"offhook.dev/libs/core/fault"
	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/topology"
	eventv1 "offhook.dev/proto/gen/offhook/event/v1"
)

// LaneState is how a lane does. It is an open set, as OrderState is.
type LaneState string

// The states.
const (
	LaneStarting  LaneState = "starting"  // its subscription is not made yet
	LaneListening LaneState = "listening" // it has one
	LaneIdle      LaneState = "idle"      // nobody is on it
	LaneSilent    LaneState = "silent"    // it told of nothing that sweeps found, and has told of nothing since it was made anew
	LaneFailing   LaneState = "failing"   // Detail says why; it is tried again by itself
	LaneLeaving   LaneState = "leaving"   // its account is being given up
)

// Lane is how the lane of an account does. Users and values are on their own subjects.
type Lane struct {
	Tenant     identity.Tenant
	Account    string
	User       identity.User // who the account is, or ""
	Configured bool          // in the configuration, not signed in by order
	State      LaneState
	Since      time.Time // in this state
	Detail     string    // why, for people
	Users      int       // how many are on its subscription
	Expires    time.Time // end of the subscription unless it is renewed, or zero
	HeardAt    time.Time // when it last told of a change, or zero
	Silences   int       // how often it was found silent
	Gone       bool      // the account is gone; only ids and SeenAt are set
	SeenAt     time.Time
}

// Encode implements Message.
func (l Lane) Encode() (string, []byte) {
	return LaneSubject(l.Tenant, l.Account), marshal(&eventv1.LaneFact{
		Tenant: string(l.Tenant), Account: clean(l.Account), User: string(l.User), Configured: l.Configured, State: clean(string(l.State)), Since: stamp(l.Since),
		Detail: clean(l.Detail), Users: uint32(l.Users), Expires: stamp(l.Expires), HeardAt: stamp(l.HeardAt), Silences: uint32(l.Silences),
		Gone: l.Gone, SeenAt: stamp(l.SeenAt),
	})
}

// LaneSubject is the subject of how an account's lane does.
func LaneSubject(tenant identity.Tenant, account string) string {
	return "m365.fact.lane." + topology.Join(string(tenant), account)
}

// DecodeLane is the inverse of Lane.Encode.
func DecodeLane(data []byte) (Lane, error) {
	const op = "wire: lane"
	var m eventv1.LaneFact
	if err := unmarshal(data, &m); err != nil {
		return Lane{}, err
	}
	tenant, err := identity.ParseTenant(m.Tenant)
	if err != nil {
		return Lane{}, fault.New(fault.Invalid, op, err)
	}
	if m.Account == "" {
		return Lane{}, fault.Errorf(fault.Invalid, op, "no account")
	}
	var user identity.User
	if m.User != "" {
		if user, err = identity.ParseUser(m.User); err != nil {
			return Lane{}, fault.New(fault.Invalid, op, err)
		}
	}
	return Lane{Tenant: tenant, Account: m.Account, User: user, Configured: m.Configured, State: LaneState(m.State), Since: moment(m.Since), Detail: m.Detail,
		Users: int(m.Users), Expires: moment(m.Expires), HeardAt: moment(m.HeardAt), Silences: int(m.Silences), Gone: m.Gone, SeenAt: moment(m.SeenAt)}, nil
}
