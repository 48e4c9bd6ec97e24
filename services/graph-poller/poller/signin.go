package poller

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"offhook.dev/libs/bus"
	"offhook.dev/libs/core/fault"
	"offhook.dev/libs/graph/msgraph"
	"offhook.dev/libs/store"
	"offhook.dev/libs/subscription"
	"offhook.dev/libs/topology"
	"offhook.dev/libs/wire"
)

const (
	// signInsAtOnce bounds the persons of a tenant who are waited for.
	signInsAtOnce = 8
	// lastWords bounds the telling of how a sign-in ended when the service ends.
	lastWords = 2 * time.Second
)

// accountOrders carries out what is asked about accounts while its lease is held. A
// sign-in lives in the memory of the holder alone, because the code that it asks Entra
// with is a secret. So when a holder begins, no sign-in is under way, and those that
// seem to be are ended: their persons start again.
func (t *tenant) accountOrders(ctx context.Context) error {
	for {
		err := t.tidy(ctx)
		if err == nil {
			break
		}
		t.log.Warn("accounts cannot be looked over", "error", err)
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(t.conf.Keep.Retry):
		}
	}
	g, ctx := errgroup.WithContext(ctx)
	s := &signIns{t: t, group: g, lease: ctx}
	g.Go(func() error {
		return t.p.bus.Consume(ctx, bus.Consumer{
			Stream: topology.Orders, Durable: topology.Token("graph-poller-" + string(t.conf.ID) + "-accounts"),
			Filters: []string{topology.Wildcard("order.account." + topology.Token(string(t.conf.ID)) + ".<id>")}, InFlight: 4, Workers: 4,
		}, s.order)
	})
	return g.Wait()
}

// tidy ends what an earlier holder of the lease left: sign-ins that nobody waits for,
// and what is stored about accounts that are not configured any more.
func (t *tenant) tidy(ctx context.Context) error {
	subject := "outcome.account." + topology.Token(string(t.conf.ID)) + ".*"
	err := t.p.bus.Each(ctx, topology.Outcomes, subject, func(m bus.Message) error {
		o, err := wire.DecodeAccountOutcome(m.Data)
		if err != nil || o.State != wire.OrderCode {
			return nil
		}
		return t.interrupted(ctx, o)
	})
	if err != nil {
		return err
	}
	var names []string // read from the bucket itself: the roster may be behind it
	for _, a := range t.conf.Accounts {
		names = append(names, a.Name)
	}
	err = t.p.accounts.Each(ctx, subscription.LaneKey(t.conf.ID, "*"), func(e store.Entry) error {
		_, name, err := subscription.ParseLaneKey(e.Key)
		if err != nil {
			return nil
		}
		configured := slices.ContainsFunc(t.conf.Accounts, func(a Account) bool { return a.Name == name })
		if record, err := decodeSignedIn(e.Value); err == nil && record.Configured && !configured {
			return t.p.accounts.Delete(ctx, e.Key, e.Revision)
		}
		names = append(names, name)
		return nil
	})
	if err != nil {
		return err
	}
	return t.forgetStrangers(ctx, names)
}

// forgetStrangers removes what is known of lanes whose accounts are none of names: taken
// out of the configuration while the service was stopped.
func (t *tenant) forgetStrangers(ctx context.Context, names []string) error {
	lanes := "m365.fact.lane." + topology.Token(string(t.conf.ID)) + ".*"
	err := t.p.bus.Each(ctx, topology.Facts, lanes, func(m bus.Message) error {
		lane, err := wire.DecodeLane(m.Data)
		if err != nil || lane.Gone || slices.Contains(names, lane.Account) {
			return nil
		}
		return t.p.publish(ctx, wire.Lane{Tenant: t.conf.ID, Account: lane.Account, Gone: true, SeenAt: t.p.bus.Now()})
	})
	if err != nil {
		return err
	}
	return t.p.subscriptions.Each(ctx, ">", func(e store.Entry) error {
		r, err := subscription.Decode(e.Value)
		if err != nil || r.Tenant != t.conf.ID || r.Resource != subscription.ResourcePresence || slices.Contains(names, r.Account) {
			return nil
		}
		return t.p.subscriptions.Delete(ctx, e.Key, e.Revision)
	})
}

// interrupted ends a sign-in whose process is gone.
func (t *tenant) interrupted(ctx context.Context, o wire.AccountOutcome) error {
	o.State, o.UserCode, o.URL = wire.OrderInterrupted, "", ""
	o.Detail = "graph-poller ended while the person was signing in"
	return t.tell(ctx, o)
}

// tell publishes how far an order is.
func (t *tenant) tell(ctx context.Context, o wire.AccountOutcome) error {
	o.At = t.p.bus.Now()
	if o.State.Ended() {
		t.log.Info("account order", "kind", o.Kind, "state", string(o.State), "account", o.Account, "detail", o.Detail)
	}
	return t.p.publish(ctx, o)
}

// signIns are those under way.
type signIns struct {
	t     *tenant
	group *errgroup.Group // waits for them
	lease context.Context // ends with the lease
	count atomic.Int32
}

// order carries out one order. Its outcome is there before it is acked: one that comes
// again has been begun.
func (s *signIns) order(ctx context.Context, m bus.Message) error {
	order, err := wire.DecodeAccountOrder(m.Data)
	if err != nil {
		return err
	}
	if order.Tenant != s.t.conf.ID {
		return fault.Errorf(fault.Invalid, "account order", "on the subject of another tenant")
	}
	_, err = s.t.p.bus.Last(ctx, topology.Outcomes, wire.AccountOutcomeSubject(order.Tenant, order.ID))
	if err == nil {
		return nil
	}
	if fault.KindOf(err) != fault.NotFound {
		return err
	}
	o := wire.AccountOutcome{ID: order.ID, Tenant: order.Tenant, Kind: order.Kind, Account: order.Account}
	switch {
	case !order.Expires.IsZero() && s.t.p.bus.Now().After(order.Expires):
		o.State, o.Detail = wire.OrderExpired, "graph-poller took it too late"
	case order.Kind == wire.Authorize:
		return s.begin(ctx, o)
	case order.Kind == wire.Deauthorize:
		return s.t.giveUp(ctx, o)
	default:
		o.State, o.Detail = wire.OrderFailed, fmt.Sprintf("graph-poller does not know the order %q", order.Kind)
	}
	return s.t.tell(ctx, o)
}

// begin asks for a code and waits for the person apart from the order.
func (s *signIns) begin(ctx context.Context, o wire.AccountOutcome) error {
	if s.count.Add(1) > signInsAtOnce {
		s.count.Add(-1)
		o.State, o.Detail = wire.OrderFailed, fmt.Sprintf("%d persons of the tenant are signing in already", signInsAtOnce)
		return s.t.tell(ctx, o)
	}
	// Nobody signs in for nothing: what they bring must be sealed.
	_, err := s.t.p.vault()
	var sign *msgraph.DeviceSignIn
	if err == nil {
		sign, err = s.t.conf.SignIn(ctx)
	}
	if err != nil {
		s.count.Add(-1)
		if ctx.Err() != nil {
			return fault.New(fault.Cancelled, "sign in", context.Cause(ctx)) // the next one begins it
		}
		o.State, o.Detail = wire.OrderFailed, cause(err)
		return s.t.tell(ctx, o)
	}
	o.State, o.UserCode, o.URL, o.CodeExpires = wire.OrderCode, sign.UserCode, sign.VerificationURL, sign.Expires
	if err := s.t.tell(ctx, o); err != nil {
		s.count.Add(-1)
		sign.Close()
		return err
	}
	s.group.Go(func() error {
		defer s.count.Add(-1)
		defer sign.Close()
		s.await(sign, o)
		return nil
	})
	return nil
}

// await waits for the person and tells how it ended, also when the lease ends first.
func (s *signIns) await(sign *msgraph.DeviceSignIn, o wire.AccountOutcome) {
	who, err := sign.Wait(s.lease)
	ctx, cancel := context.WithTimeoutCause(context.WithoutCancel(s.lease), lastWords, errors.New("the service ends"))
	defer cancel()
	if err == nil {
		// Also if the lease is lost this moment: the person has done their part, and the
		// record is set over the one that was read.
		o, err = s.t.signIn(ctx, who, o)
	}
	switch kind := fault.KindOf(err); {
	case err == nil:
		o.UserCode, o.URL = "", ""
	case s.lease.Err() != nil:
		if err := s.t.interrupted(ctx, o); err != nil {
			s.t.log.Warn("the end of a sign-in cannot be told; the next holder of the lease does", "error", err)
		}
		return
	default:
		o.State, o.UserCode, o.URL, o.Detail = wire.OrderFailed, "", "", cause(err)
		switch kind {
		case fault.Denied:
			o.State = wire.OrderRefused
		case fault.Gone:
			o.State = wire.OrderExpired
		}
	}
	if err := s.t.tell(ctx, o); err != nil {
		s.t.log.Warn("the end of a sign-in cannot be told", "error", err)
	}
}

// cause is what went wrong without what was tried: the order says that.
func cause(err error) string {
	if known, ok := errors.AsType[*fault.Error](err); ok && known.Err != nil {
		return known.Err.Error()
	}
	return err.Error()
}

// signIn stores who has signed in: a new account, or a new token of one that there is.
func (t *tenant) signIn(ctx context.Context, who msgraph.SignedIn, o wire.AccountOutcome) (wire.AccountOutcome, error) {
	const op = "sign in"
	if who.User == "" {
		return o, fault.Errorf(fault.Unsupported, op, "the login host did not say who signed in")
	}
	sealed, err := t.p.seal([]byte(who.Refresh.Reveal()))
	if err != nil {
		return o, fault.New(fault.Unavailable, op, err)
	}
	for {
		name, configured, err := t.nameFor(ctx, who)
		if err != nil {
			return o, err
		}
		was, revision, err := t.account(ctx, name)
		if err != nil && fault.KindOf(err) != fault.NotFound {
			return o, err
		}
		record := signedIn{User: who.User, UPN: who.Name, Sealed: sealed, SignedIn: t.p.bus.Now(), Configured: configured}
		_, err = t.p.accounts.Set(ctx, subscription.LaneKey(t.conf.ID, name), record.encode(), revision)
		if fault.KindOf(err) == fault.Conflict && err != nil {
			continue
		}
		if err != nil {
			return o, err
		}
		if was.Leaving != nil {
			for _, id := range was.Leaving.Orders {
				_ = t.tell(ctx, wire.AccountOutcome{ID: id, Tenant: t.conf.ID, Kind: wire.Deauthorize, State: wire.OrderFailed, Account: name,
					Detail: "the account signed in again meanwhile"}) // its command gives up by itself
			}
		}
		o.State, o.Account, o.Detail = wire.OrderAuthorised, name, "a new account"
		if revision != 0 || configured {
			o.Detail = "the account was there already: it has a new token"
		}
		return o, nil
	}
}

// nameFor returns under which name somebody who has signed in holds a lane: that of the
// lane that is theirs already, so that nobody has two, else their user principal name.
// Of an account of the configuration it is known once it has listened; else its name
// decides.
func (t *tenant) nameFor(ctx context.Context, who msgraph.SignedIn) (name string, configured bool, err error) {
	theirs := map[string]bool{}
	err = t.p.bus.Each(ctx, topology.Facts, "m365.fact.lane."+topology.Token(string(t.conf.ID))+".*", func(m bus.Message) error {
		if lane, err := wire.DecodeLane(m.Data); err == nil && !lane.Gone && lane.User == who.User {
			theirs[lane.Account] = true
		}
		return nil
	})
	if err != nil {
		return "", false, err
	}
	upn := strings.ToLower(cmp.Or(who.Name, string(who.User)))
	for _, a := range t.conf.Accounts {
		if theirs[a.Name] || strings.EqualFold(a.Name, upn) {
			return a.Name, true, nil
		}
	}
	name = upn
	err = t.p.accounts.Each(ctx, subscription.LaneKey(t.conf.ID, "*"), func(e store.Entry) error {
		record, err := decodeSignedIn(e.Value)
		if err != nil {
			return nil
		}
		_, found, err := subscription.ParseLaneKey(e.Key)
		switch {
		case err != nil:
		case record.User == who.User && !record.Configured:
			name = found
		case found == name: // the name was another's before: users are renamed
			name = string(who.User)
		}
		return nil
	})
	return name, false, err
}

// giveUp marks an account as leaving; the keeper of its lane does the rest, wherever it
// runs, and tells the end.
func (t *tenant) giveUp(ctx context.Context, o wire.AccountOutcome) error {
	for _, a := range t.conf.Accounts {
		if strings.EqualFold(a.Name, o.Account) {
			o.State = wire.OrderFailed
			o.Detail = fmt.Sprintf("the account %q stands in the configuration, and can only be removed there (microsoft365.accounts of tenant %s)", a.Name, t.conf.ID)
			return t.tell(ctx, o)
		}
	}
	for {
		name, record, revision, err := t.find(ctx, o.Account)
		if err != nil {
			return err
		}
		if revision == 0 {
			o.State, o.Detail = wire.OrderFailed, fmt.Sprintf("no account of the tenant is called %q; there are: %s", o.Account, cmp.Or(strings.Join(t.roster.names(), ", "), "none"))
			return t.tell(ctx, o)
		}
		o.Account = name
		if record.Leaving == nil {
			record.Leaving = &leaving{Since: t.p.bus.Now()}
		}
		if !slices.Contains(record.Leaving.Orders, o.ID) {
			record.Leaving.Orders = append(record.Leaving.Orders, o.ID)
			_, err = t.p.accounts.Set(ctx, subscription.LaneKey(t.conf.ID, name), record.encode(), revision)
		}
		if err == nil {
			break
		}
		if fault.KindOf(err) != fault.Conflict {
			return err
		}
	}
	o.State, o.At = wire.OrderLeaving, t.p.bus.Now()
	// Not over the end, if the keeper was faster.
	if _, err := t.p.publishOver(ctx, o, 0); err != nil && fault.KindOf(err) != fault.Conflict {
		return err
	}
	return nil
}

// find returns the account that a name or object id means; revision 0: there is none.
func (t *tenant) find(ctx context.Context, asked string) (name string, record signedIn, revision uint64, err error) {
	err = t.p.accounts.Each(ctx, subscription.LaneKey(t.conf.ID, "*"), func(e store.Entry) error {
		_, called, err := subscription.ParseLaneKey(e.Key)
		if err != nil {
			return nil
		}
		r, err := decodeSignedIn(e.Value)
		if err == nil && !r.Configured && (strings.EqualFold(called, asked) || strings.EqualFold(string(r.User), asked)) {
			name, record, revision = called, r, e.Revision
		}
		return nil
	})
	return name, record, revision, err
}
