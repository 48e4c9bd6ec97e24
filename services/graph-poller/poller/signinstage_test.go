package poller

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"offhook.dev/libs/bus"
	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/graph"
	"offhook.dev/libs/graph/graphsim"
	"offhook.dev/libs/graph/msgraph"
	"offhook.dev/libs/secret"
	"offhook.dev/libs/store"
	"offhook.dev/libs/subscription"
	"offhook.dev/libs/topology"
	"offhook.dev/libs/wire"
)

// hurried makes sign-ins a hundred times faster.
func hurried(c *graphsim.Config) { c.TimeScale = 100 }

// shortLived is hurried, and access tokens end after some seconds, so that refresh
// tokens are used. Shorter ones would be refused before they are renewed: their end is
// written in whole seconds.
func shortLived(c *graphsim.Config) { c.TimeScale, c.TokenLife = 100, 6*time.Second }

// signingIn is a tenant whose accounts sign in by device code, with the first users
// linked.
func (s *stage) signingIn(linked int) TenantConfig {
	s.t.Helper()
	s.certify("certificate-1")
	s.link(contoso, s.users()[:linked]...)
	conf, _ := s.config(never)
	conf.PublicURL = s.endpoint(nil).URL
	conf.Keep = Keep{Look: 10 * time.Millisecond, Verify: 20 * time.Millisecond, Retry: 10 * time.Millisecond}
	cloud, err := graph.CloudNamed("")
	must(s.t, err)
	cloud, err = cloud.At(s.graph.LoginURL(), s.graph.GraphURL())
	must(s.t, err)
	roots := s.graph.Authority().Pool()
	conf.SignIn = func(ctx context.Context) (*msgraph.DeviceSignIn, error) {
		return msgraph.StartDeviceSignIn(ctx, msgraph.DeviceConfig{Directory: directories[contoso], ClientID: app, Cloud: cloud, Roots: roots})
	}
	conf.Delegated = func(refresh graph.RefreshStore) (graph.Subscriber, error) {
		tokens, err := msgraph.NewDelegated(msgraph.DelegatedConfig{Directory: directories[contoso], ClientID: app, Cloud: cloud, Store: refresh, Roots: roots})
		if err != nil {
			return nil, err
		}
		client, err := msgraph.New(msgraph.Config{Tenant: contoso, Directory: directories[contoso], ClientID: app, Cloud: cloud, Roots: roots, Tokens: tokens})
		return delegatedClient{client, tokens}, err
	}
	return conf
}

// order asks for something about accounts, as control-api does, and returns its id.
func (s *stage) order(o wire.AccountOrder) string {
	s.t.Helper()
	if o.ID == "" {
		o.ID = fmt.Sprintf("order-%d", time.Now().UnixNano())
	}
	o.Tenant, o.AskedAt = contoso, s.bus.Now()
	if o.Expires.IsZero() {
		o.Expires = o.AskedAt.Add(time.Minute)
	}
	subject, data := o.Encode()
	_, err := s.bus.Publish(s.t.Context(), bus.Message{Subject: subject, Data: data, ID: subject})
	must(s.t, err)
	return o.ID
}

// comes waits until an order is in a state.
func (s *stage) comes(id string, state wire.OrderState) wire.AccountOutcome {
	s.t.Helper()
	var o wire.AccountOutcome
	deadline := time.Now().Add(20 * time.Second)
	for o.State != state {
		m, err := s.bus.Last(s.t.Context(), topology.Outcomes, wire.AccountOutcomeSubject(contoso, id))
		if err == nil {
			o, err = wire.DecodeAccountOutcome(m.Data)
			must(s.t, err)
		}
		if o.State != state && (o.State.Ended() || time.Now().After(deadline)) {
			s.t.Fatalf("the order is %q (%s), not %q", o.State, o.Detail, state)
		}
		<-time.After(2 * time.Millisecond)
	}
	return o
}

// authorise lets a user sign in, and returns the name of the account.
func (s *stage) authorise(user string) string {
	s.t.Helper()
	id := s.order(wire.AccountOrder{Kind: wire.Authorize})
	code := s.comes(id, wire.OrderCode)
	must(s.t, s.tenant().ApproveDevice(code.UserCode, user))
	return s.comes(id, wire.OrderAuthorised).Account
}

// lane is what is known of the lane of an account.
func (s *stage) lane(account string) wire.Lane {
	s.t.Helper()
	m, err := s.bus.Last(s.t.Context(), topology.Facts, wire.LaneSubject(contoso, account))
	if err != nil {
		return wire.Lane{}
	}
	lane, err := wire.DecodeLane(m.Data)
	must(s.t, err)
	return lane
}

// does waits until a lane is in a state.
func (s *stage) does(account string, state wire.LaneState) wire.Lane {
	s.t.Helper()
	var lane wire.Lane
	deadline := time.Now().Add(20 * time.Second)
	for lane.State != state {
		if lane = s.lane(account); lane.State != state && time.Now().After(deadline) {
			s.t.Fatalf("the lane of %s is %q (%s), not %q", account, lane.State, lane.Detail, state)
		}
		<-time.After(2 * time.Millisecond)
	}
	return lane
}

// mustSignIn waits until a lane fails because its account has to sign in again.
func (s *stage) mustSignIn(account string) {
	s.t.Helper()
	s.eventually("it is not said that "+account+" has to sign in again", func() bool {
		lane := s.lane(account)
		return lane.State == wire.LaneFailing && strings.Contains(lane.Detail, "sign in again (offhook authorize)")
	})
}

// accounts are the records of those who have signed in, by name.
func (s *stage) accounts() map[string]signedIn {
	s.t.Helper()
	found := map[string]signedIn{}
	must(s.t, s.bucket(topology.Accounts).Each(s.t.Context(), ">", func(e store.Entry) error {
		_, name, err := subscription.ParseLaneKey(e.Key)
		must(s.t, err)
		record, err := decodeSignedIn(e.Value)
		found[name] = record
		return err
	}))
	return found
}

// token opens the refresh token of an account, as graph-poller can.
func (s *stage) token(account string) string {
	s.t.Helper()
	vault, err := secret.OpenVault(s.vault)
	must(s.t, err)
	plain, err := vault.Open(s.accounts()[account].Sealed)
	must(s.t, err)
	return string(plain)
}

// heldBy lists who created the presence subscriptions that there are.
func (s *stage) heldBy() []string {
	var list []string
	for _, sub := range s.tenant().Subscriptions() {
		u, err := s.tenant().User(sub.Creator)
		must(s.t, err)
		list = append(list, strings.ToLower(u.UserPrincipalName))
	}
	slices.Sort(list)
	return list
}

func (s *stage) id(user string) identity.User {
	s.t.Helper()
	u, err := s.tenant().User(user)
	must(s.t, err)
	return identity.User(u.ID)
}
