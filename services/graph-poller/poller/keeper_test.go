package poller

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"offhook.dev/libs/bus"
	"offhook.dev/libs/core/fault"
	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/graph"
	"offhook.dev/libs/graph/graphsim"
	"offhook.dev/libs/secret"
	"offhook.dev/libs/store"
	"offhook.dev/libs/subscription"
	"offhook.dev/libs/topology"
	"offhook.dev/libs/wire"
)

// keep links the first users and runs a poller that keeps a subscription for them.
func (s *stage) keep(linked int, change func(*TenantConfig)) graph.Subscriber {
	s.t.Helper()
	s.certify("certificate-1")
	s.link(contoso, s.users()[:linked]...)
	account := s.account(contoso)
	conf, _ := s.config(never)
	conf.PublicURL = s.endpoint(nil).URL
	conf.Accounts = []Account{{Name: "anna", Client: func() (graph.Subscriber, error) { return account, nil }}}
	conf.Keep = Keep{Look: 10 * time.Millisecond, Verify: never, Retry: 10 * time.Millisecond}
	if change != nil {
		change(&conf)
	}
	s.run(conf)
	return account
}

// only waits until there is exactly one subscription, with a record that names it,
// which is not the one called not.
func (s *stage) only(not string) (graphsim.Subscription, subscription.Record) {
	s.t.Helper()
	var is graphsim.Subscription
	var record subscription.Record
	s.eventually("not one subscription with one record", func() bool {
		there := s.tenant().Subscriptions()
		records := s.records()
		if len(there) != 1 || len(records) != 1 || there[0].ID == not || records[0].ID != there[0].ID {
			return false
		}
		is, record = there[0], records[0]
		return true
	})
	return is, record
}

func (s *stage) records() []subscription.Record {
	s.t.Helper()
	var records []subscription.Record
	must(s.t, s.bucket(topology.Subscriptions).Each(s.t.Context(), ">", func(e store.Entry) error {
		record, err := subscription.Decode(e.Value)
		records = append(records, record)
		return err
	}))
	return records
}

func TestASubscriptionIsMadeAsItsRecordSays(t *testing.T) {
	s := newStage(t, 4, nil)
	account := s.keep(3, nil)
	is, record := s.only("")
	graphs, err := account.Subscription(t.Context(), is.ID)
	must(t, err)
	if is.Users != 3 || !is.Rich || graphs.CertificateID != "certificate-1" || record.CertificateID != "certificate-1" || len(record.Users) != 3 {
		t.Errorf("%+v, %+v", is, record)
	}
	if left := time.Until(is.Expires); left < askFor-time.Minute || !record.Expires.Equal(is.Expires) {
		t.Errorf("it lives for %v; the record says %v", left, record.Expires)
	}
	if record.Directory != directories[contoso] || record.App != app || record.Tenant != contoso || record.Account != "anna" {
		t.Errorf("%+v", record)
	}
	key := strings.Split(is.NotificationURL, "/")[4]
	var stored string
	must(t, s.bucket(topology.Subscriptions).Each(t.Context(), ">", func(e store.Entry) error {
		stored += e.Key + string(e.Value)
		return nil
	}))
	if !strings.Contains(stored, secret.Hash(key)) || strings.Contains(stored, key) || len(record.State) != 64 {
		t.Error("the path or the clientState can be read in the bucket")
	}
	// The record follows Graph's answer, and is believed after it was read back.
	s.eventually("what Graph answered was believed without reading it back", func() bool {
		return s.graph.Requests().Of("GET", "/v1.0/subscriptions/{subscription}", 200) >= 2 // the test's is one
	})
}

func TestASubscriptionIsMadeAsSoonAsSomebodyIsLinked(t *testing.T) {
	s := newStage(t, 2, nil)
	looked := make(chan struct{})
	account := s.account(contoso)
	s.keep(0, func(c *TenantConfig) {
		c.Keep.Look = never
		c.Accounts[0].Client = func() (graph.Subscriber, error) { // what the first look begins with
			close(looked)
			return account, nil
		}
	})
	<-looked
	s.link(contoso, s.users()[0])
	s.only("")
}

func TestASubscriptionIsRenewedWithMarginAndTakesTheNewCertificate(t *testing.T) {
	s := newStage(t, 2, nil)
	account := s.keep(2, func(c *TenantConfig) { c.Keep.RenewBefore = askFor - 100*time.Millisecond })
	first, _ := s.only("")
	s.certify("certificate-2")
	s.eventually("not renewed under the new certificate", func() bool {
		now, err := account.Subscription(t.Context(), first.ID)
		return err == nil && now.Expires.After(first.Expires) && now.CertificateID == "certificate-2"
	})
	s.eventually("the record does not say so", func() bool {
		_, record := s.only("")
		return record.ID == first.ID && record.CertificateID == "certificate-2" && record.Expires.After(first.Expires) && !record.Renewed.IsZero()
	})
}

// As with the subscriptions of calendars: Graph's clock is five minutes ahead, or behind.
// A lane is made, read back and renewed, and neither refused, replaced nor given up.
func TestClocksThatDifferByFiveMinutesDoNotMatterToALane(t *testing.T) {
	for _, skew := range []time.Duration{-clockSkew, clockSkew} {
		t.Run(skew.String(), func(t *testing.T) {
			s := newStage(t, 2, func(c *graphsim.Config) { c.Now = func() time.Time { return time.Now().Add(skew) } })
			s.keep(2, func(c *TenantConfig) {
				c.Keep.RenewBefore, c.Keep.Verify = askFor-100*time.Millisecond, 20*time.Millisecond
			})
			first, _ := s.only("")
			s.eventually("not renewed", func() bool { return s.sent("PATCH") >= 3 })
			s.eventually("not kept", func() bool {
				is, record := s.only("")
				return is.ID == first.ID && is.Expires.After(first.Expires) && record.Expires.Equal(is.Expires)
			})
			if s.sent("POST") != 1 {
				t.Errorf("created %d times", s.sent("POST"))
			}
		})
	}
}

func TestASubscriptionWithMarginIsLeftAlone(t *testing.T) {
	s := newStage(t, 2, nil)
	s.keep(2, nil)
	s.only("")
	s.eventually("what Graph answered was believed without reading it back", func() bool {
		return s.graph.Requests().Of("GET", "/v1.0/subscriptions/{subscription}", 200) >= 1
	})
	before := s.graph.Requests()
	s.certify("certificate-2") // not a reason by itself: the old one stays readable
	began := time.Now()
	s.eventually("time does not pass", func() bool { return time.Since(began) > 300*time.Millisecond }) // thirty looks
	after := s.graph.Requests()
	for _, method := range []string{"GET", "PATCH", "DELETE"} {
		if n := after.Of(method, "/v1.0/subscriptions/{subscription}", 0) - before.Of(method, "/v1.0/subscriptions/{subscription}", 0); n != 0 {
			t.Errorf("%d times %s", n, method)
		}
	}
}

// stubborn is an account whose subscriptions cannot be renewed.
type stubborn struct{ graph.Subscriber }

func (stubborn) Renew(context.Context, string, graph.Renewal) (graph.Subscription, error) {
	return graph.Subscription{}, fault.Errorf(fault.Invalid, "renew", "update of this subscription is not supported")
}

// Pain 5 among them: a renewal that is answered 200 and does nothing.
func TestWhatDoesNotHoldIsReplaced(t *testing.T) {
	tests := []struct {
		name string
		keep func(*TenantConfig)
		do   func(t *testing.T, s *stage, first graphsim.Subscription)
		want int // users
	}{
		{"a subscription that Graph removed without a word", func(c *TenantConfig) { c.Keep.Verify = 20 * time.Millisecond },
			func(t *testing.T, s *stage, first graphsim.Subscription) {
				must(t, s.tenant().RemoveSubscription(first.ID))
			}, 2},
		{"one that is gone when it should be renewed", func(c *TenantConfig) { c.Keep.RenewBefore = askFor - 200*time.Millisecond },
			func(t *testing.T, s *stage, first graphsim.Subscription) {
				must(t, s.tenant().RemoveSubscription(first.ID))
			}, 2},
		{"one whose renewal is answered 200 and does nothing", func(c *TenantConfig) { c.Keep.RenewBefore = askFor - 200*time.Millisecond },
			func(t *testing.T, s *stage, first graphsim.Subscription) {
				_, err := s.tenant().Fault(graphsim.Fault{Kind: graphsim.FaultStuckExpiry, Subscription: first.ID})
				must(t, err)
			}, 2},
		{"one that cannot be renewed, as Graph says now and then", func(c *TenantConfig) {
			c.Keep.RenewBefore = askFor - 200*time.Millisecond
			client := c.Accounts[0].Client
			c.Accounts[0].Client = func() (graph.Subscriber, error) { account, err := client(); return stubborn{account}, err }
		}, func(*testing.T, *stage, graphsim.Subscription) {}, 2},
		{"one that lacks a user who was linked later", func(*TenantConfig) {},
			func(_ *testing.T, s *stage, _ graphsim.Subscription) { s.link(contoso, s.users()...) }, 3},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			s := newStage(t, 3, nil)
			s.keep(2, test.keep)
			first, _ := s.only("")
			test.do(t, s, first)
			now, record := s.only(first.ID)
			if now.Users != test.want || len(record.Users) != test.want {
				t.Errorf("it names %d users, the record %d, want %d", now.Users, len(record.Users), test.want)
			}
			if now.NotificationURL == first.NotificationURL {
				t.Error("the secret path is the old one")
			}
		})
	}
}

// Graph answers 409 while another presence subscription of the account exists, and
// the key of that one died with the process that knew it.
func TestWhatAnEarlierLifeLeftIsRemoved(t *testing.T) {
	s := newStage(t, 3, nil)
	s.keep(2, nil)
	first, _ := s.only("")
	earlier := s.records()[0]
	second := newStage(t, 3, nil) // the same again, with a leftover before the start
	leftover := second.account(contoso)
	resource, err := graph.PresenceResource(second.users()[:1])
	must(t, err)
	key := subscription.NewKey()
	earlier.Handshake = time.Now().Add(time.Minute)
	_, err = second.bucket(topology.Subscriptions).Put(t.Context(), subscription.KeyOf(key), earlier.Encode())
	must(t, err)
	other := earlier
	other.Account = "somebody-else"
	_, err = second.bucket(topology.Subscriptions).Put(t.Context(), subscription.KeyOf("another account's"), other.Encode())
	must(t, err)
	url := second.endpoint(nil).URL + "/graph/" + key
	old, err := leftover.Create(t.Context(), graph.NewSubscription{Resource: resource, Change: "updated", Notify: url, State: subscription.NewState(), Expires: time.Now().Add(askFor)})
	must(t, err)
	second.keep(2, func(c *TenantConfig) {
		c.Accounts[0].Client = func() (graph.Subscriber, error) { return leftover, nil } // its refresh token has moved on
	})
	second.eventually("the leftover is not replaced", func() bool {
		there := second.tenant().Subscriptions()
		return len(there) == 1 && there[0].ID != old.ID && there[0].ID != first.ID
	})
	second.eventually("the records are not one of ours and the other account's", func() bool {
		records := second.records()
		return len(records) == 2 && (records[0].Account == "somebody-else") != (records[1].Account == "somebody-else")
	})
}

func TestAfterARefusalItIsTriedAgain(t *testing.T) {
	for name, fault := range map[string]graphsim.Fault{
		"403, the quota is used up": {Kind: graphsim.FaultStatus, Path: "/v1.0/subscriptions", Status: http.StatusForbidden, Count: 3},
		"429":                       {Kind: graphsim.FaultStatus, Path: "/v1.0/subscriptions", RetryAfter: "0.05", Count: 8},
		"500":                       {Kind: graphsim.FaultStatus, Path: "/v1.0/subscriptions", Status: http.StatusInternalServerError, Count: 3},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newStage(t, 2, nil)
			_, err := s.tenant().Fault(fault)
			must(t, err)
			s.keep(2, nil)
			s.only("")
			if n := s.graph.Requests().Of("POST", "/v1.0/subscriptions", 201); n != 1 {
				t.Errorf("created %d times", n)
			}
		})
	}
}

func TestAnAccountThatCannotBeUsedStopsNothingElse(t *testing.T) {
	s := newStage(t, 2, nil)
	account := s.account(contoso)
	tries := 0
	s.keep(2, func(c *TenantConfig) {
		c.Sweep = 20 * time.Millisecond
		c.Accounts[0].Client = func() (graph.Subscriber, error) {
			if tries++; tries < 3 {
				return nil, http.ErrNoCookie // whatever: the refresh token's file is not there yet
			}
			return account, nil
		}
	})
	s.eventually("no sweep", func() bool { return s.sweep(contoso).OK })
	s.only("")
}

func TestAWarningOfGraphIsAnsweredByARenewal(t *testing.T) {
	s := newStage(t, 2, nil)
	s.keep(2, func(c *TenantConfig) { c.Keep.Look = never })
	is, _ := s.only("")
	warn := func(id string) {
		subject, data := wire.Hint{Kind: "subscription", Tenant: contoso, ID: id, Cause: "lifecycle notification", SeenAt: s.bus.Now()}.Encode()
		_, err := s.bus.Publish(t.Context(), bus.Message{Subject: subject, Data: data})
		must(t, err)
	}
	renewals := func() int { return s.graph.Requests().Of("PATCH", "/v1.0/subscriptions/{subscription}", 200) }
	warn(subscription.KeyOf("an earlier generation's"))
	warn(subscription.KeyOf(strings.Split(is.NotificationURL, "/")[4]))
	s.eventually("not renewed", func() bool { return renewals() == 1 })
	now, _ := s.only("")
	if now.ID != is.ID {
		t.Error("it was replaced")
	}
	if n := s.graph.Requests().Of("POST", "/v1.0/subscriptions/{subscription}/reauthorize", 0); n != 0 {
		t.Error("reauthorize and PATCH must not follow each other within ten minutes")
	}
}

func TestNoSubscriptionNamesMoreThan650Users(t *testing.T) {
	s := newStage(t, 700, nil)
	s.keep(700, nil)
	if is, _ := s.only(""); is.Users != graph.MaxPresences {
		t.Errorf("it names %d users", is.Users)
	}
}

// Pains 1 and 2: more users than one account may name, and nobody knows who is left out.
// Two accounts share the users between them, those named first have a place, and who
// has none is still swept. A plan that changes one lane leaves the other alone.
func TestAccountsShareTheUsersBetweenThem(t *testing.T) {
	const people = 2*graph.MaxPresences + 20
	s := newStage(t, people, func(c *graphsim.Config) {
		c.Tenants[0].Accounts = append(c.Tenants[0].Accounts, graphsim.Account{User: "ben", RefreshToken: secret.NewValue("second")})
	})
	users := s.users()
	last := users[people-1]
	other := s.accountOf(contoso, "second")
	s.keep(people, func(c *TenantConfig) {
		c.Priority = []string{string(last)}
		c.Accounts = append(c.Accounts, Account{Name: "ben", Client: func() (graph.Subscriber, error) { return other, nil }})
	})
	lanes := func() map[string][]identity.User {
		found := map[string][]identity.User{}
		for _, r := range s.records() {
			if r.ID != "" {
				found[r.Account] = r.Users
			}
		}
		return found
	}
	s.eventually("not two full lanes", func() bool {
		l := lanes()
		return len(l) == 2 && len(l["ben"]) == graph.MaxPresences && len(l["anna"]) == graph.MaxPresences
	})
	before := lanes()
	on := map[identity.User]string{}
	for account, users := range before {
		for _, user := range users {
			if on[user] != "" {
				t.Fatalf("%s is on two lanes", user)
			}
			on[user] = account
		}
	}
	if on[last] == "" {
		t.Error("who was named first is swept only")
	}
	// Somebody on the first lane leaves: one of those left out takes the place there.
	gone := before["anna"][0]
	b := s.bucket(topology.Links)
	was, err := b.Get(t.Context(), wire.PersonKey(identity.Person{Tenant: contoso, User: gone}))
	must(t, err)
	must(t, b.Delete(t.Context(), was.Key, was.Revision))
	s.eventually("the place is not taken", func() bool {
		l := lanes()
		return len(l["anna"]) == graph.MaxPresences && !slices.Contains(l["anna"], gone)
	})
	if !slices.Equal(lanes()["ben"], before["ben"]) {
		t.Error("the other lane was changed as well")
	}
}
