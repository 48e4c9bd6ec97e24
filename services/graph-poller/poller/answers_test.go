package poller

import (
	"slices"
	"strings"
	"testing"
	"time"

	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/graph"
	"offhook.dev/libs/graph/graphsim"
	"offhook.dev/libs/secret"
	"offhook.dev/libs/subscription"
	"offhook.dev/libs/topology"
	"offhook.dev/libs/wire"
)

// unlink takes a user's extension away, as user-sync does.
func (s *stage) unlink(user identity.User) {
	s.t.Helper()
	b := s.bucket(topology.Links)
	was, err := b.Get(s.t.Context(), wire.PersonKey(identity.Person{Tenant: contoso, User: user}))
	must(s.t, err)
	must(s.t, b.Delete(s.t.Context(), was.Key, was.Revision))
}

// A subscription is made, moves on with the users that it is for, and is renewed,
// whichever way Microsoft answers where the documents do not say.
func TestASubscriptionIsKeptWhicheverWayMicrosoftAnswers(t *testing.T) {
	for name, flip := range map[string]func(*graphsim.Switches){
		"a clientState may have 255 characters": func(w *graphsim.Switches) { w.ClientStateLimit = 255 },
		"a clientState must be there":           func(w *graphsim.Switches) { w.ClientStateRequired = true },
		"a PATCH of the resource is refused":    func(w *graphsim.Switches) { w.PatchResource = "reject" },
		"a PATCH of the resource is taken":      func(w *graphsim.Switches) { w.PatchResource = "accept" },
		"a PATCH of the resource is ignored":    func(w *graphsim.Switches) { w.PatchResource = "ignore" },
		"an expiry too far ahead is refused":    func(w *graphsim.Switches) { w.Overlong = "reject" },
		"an expiry too far ahead is cut short":  func(w *graphsim.Switches) { w.Overlong = "clamp" },
		"a renewal brings a handshake":          func(w *graphsim.Switches) { w.HandshakeOnRenewal = true },
		"slow and drop are about a URL":         func(w *graphsim.Switches) { w.Endpoint = "url" },
		"the last place in the quota of Teams":  func(w *graphsim.Switches) { w.PresenceInTeamsQuota, w.TeamsSubscriptions = true, 9_999 },
		"an account needs its licence":          func(w *graphsim.Switches) { w.LicenceRequired = true },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newStage(t, 3, func(c *graphsim.Config) { flip(&c.Tenants[0].Switches) })
			s.keep(3, nil)
			is, _ := s.only("")
			s.unlink(s.users()[0])
			s.eventually("the subscription does not name two", func() bool {
				is, _ = s.only("")
				return is.Users == 2
			})
			s.hint(subscription.HintSubscription, keyIn(is), "lifecycle notification")
			s.eventually("it is not renewed", func() bool {
				return s.graph.Requests().Of("PATCH", "/v1.0/subscriptions/{subscription}", 200) == 1
			})
			if now, record := s.only(""); now.ID != is.ID || !record.Expires.Equal(now.Expires) {
				t.Errorf("%+v became %+v, the record says %v", is, now, record.Expires)
			}
		})
	}
}

// What Graph refuses for a reason that ends by itself is asked for again, and said.
func TestASubscriptionThatIsRefusedIsMadeAsSoonAsItMay(t *testing.T) {
	for _, c := range []struct {
		name   string
		refuse func(*stage)
		allow  func(*stage)
	}{
		{"an account without a licence gets one", func(s *stage) {
			must(t, s.tenant().Switch(func(w *graphsim.Switches) { w.LicenceRequired = true }))
			must(t, s.tenant().SetLicensed("anna", false))
		}, func(s *stage) { must(t, s.tenant().SetLicensed("anna", true)) }},
		{"another app gives up a place in the quota of Teams", func(s *stage) {
			must(t, s.tenant().Switch(func(w *graphsim.Switches) { w.PresenceInTeamsQuota, w.TeamsSubscriptions = true, 10_000 }))
		}, func(s *stage) {
			must(t, s.tenant().Switch(func(w *graphsim.Switches) { w.TeamsSubscriptions = 9_999 }))
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newStage(t, 3, nil)
			c.refuse(s)
			s.keep(3, func(conf *TenantConfig) { conf.Sweep = 20 * time.Millisecond })
			s.eventually("nothing is asked for", func() bool { return s.graph.Requests().Of("POST", "/v1.0/subscriptions", 403) >= 2 })
			if n := len(s.tenant().Subscriptions()); n != 0 {
				t.Fatalf("control: %d were made", n)
			}
			s.set(s.users()[0], "Busy", "InACall")
			s.eventually("users are not read", func() bool { return s.wrong(contoso, s.users()) == "" })
			c.allow(s)
			s.only("")
		})
	}
}

// Graph answers "later" to one request of each kind while everything is read and
// kept. Nobody comes back too early, and in the end nothing is missing.
func TestNothingIsAskedForBeforeTheEndOfARetryAfter(t *testing.T) {
	for name, header := range map[string]graphsim.Fault{
		"seconds": {RetryAfter: "3"}, "a fraction": {RetryAfter: "2.75"}, "a date": {RetryDate: 4 * time.Second}, "503": {Status: 503, RetryAfter: "3"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newStage(t, 6, func(c *graphsim.Config) {
				c.Tenants[0].Accounts = append(c.Tenants[0].Accounts, graphsim.Account{User: "ben", RefreshToken: secret.NewValue("second")})
			})
			for _, path := range []string{"getPresencesByUserId", "calendarView", "/users/delta"} {
				f := header
				f.Kind, f.Path, f.Count = graphsim.FaultStatus, path, 1
				_, err := s.tenant().Fault(f)
				must(t, err)
			}
			for range 2 { // the list, and what comes after it
				f := header
				f.Kind, f.Path, f.Count = graphsim.FaultStatus, "/subscriptions", 1
				_, err := s.tenant().Fault(f)
				must(t, err)
			}
			s.certify("certificate-1")
			s.link(contoso, s.users()...)
			began := time.Now().Truncate(time.Minute)
			_, err := s.tenant().AddMeeting("anna", graphsim.Meeting{Start: began, End: began.Add(time.Hour)})
			must(t, err)
			conf, _ := s.config(20 * time.Millisecond)
			conf.PublicURL, conf.Calendar, conf.Calendars, conf.Subscribe, conf.Users = s.endpoint(nil).URL, true, time.Second, true, 50*time.Millisecond
			conf.Keep = Keep{Look: 10 * time.Millisecond, Verify: never, Retry: 10 * time.Millisecond}
			conf.Events = KeepEvents{Look: 10 * time.Millisecond, Retry: 10 * time.Millisecond}
			for _, a := range []struct{ name, refresh string }{{"anna", "first contoso"}, {"ben", "second"}} {
				client := s.accountOf(contoso, a.refresh)
				conf.Accounts = append(conf.Accounts, Account{Name: a.name, Client: func() (graph.Subscriber, error) { return client, nil }})
			}
			user, err := s.tenant().User("anna")
			must(t, err)
			anna := identity.User(user.ID)
			s.run(conf)
			s.set(anna, "Busy", "InACall")
			s.eventually("not all is well", func() bool {
				events := slices.DeleteFunc(s.tenant().Subscriptions(), func(is graphsim.Subscription) bool { return !strings.Contains(is.Resource, "/events") })
				fact, _ := s.calendar(anna)
				return s.wrong(contoso, s.users()) == "" && len(fact.Intervals) == 1 && len(events) == 6 && len(s.there()) == 6 && len(s.tenant().Faults()) == 0
			})
			// That nobody came too early says the stage, which wants no violations.
		})
	}
}
