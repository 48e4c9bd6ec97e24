package poller

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"offhook.dev/libs/core/calendar"
	"offhook.dev/libs/core/fault"
	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/graph"
	"offhook.dev/libs/graph/graphsim"
	"offhook.dev/libs/graph/notification"
	"offhook.dev/libs/secret"
	"offhook.dev/libs/store"
	"offhook.dev/libs/subscription"
	"offhook.dev/libs/topology"
	"offhook.dev/libs/wire"
)

func TestEventSubscriptionsAreMadeAsTheirRecordsSay(t *testing.T) {
	s := newStage(t, 4, nil)
	users := s.users()[:3]
	s.link(contoso, users...)
	conf := s.subscribed(newDiaries())
	s.run(conf)
	there, records := s.everyone(users...)
	states := map[string]bool{}
	for _, user := range users {
		is, record := there[user], records[user]
		if is.Rich || !strings.HasPrefix(is.NotificationURL, conf.PublicURL+"/graph/") || !strings.HasSuffix(is.NotificationURL, "/notifications") {
			t.Errorf("%+v", is)
		}
		if left := time.Until(is.Expires); left < askEventLife-time.Minute || left > graph.MaxEventLife || !record.Expires.Equal(is.Expires) {
			t.Errorf("it lives for %v; the record says %v", left, record.Expires)
		}
		if record.Tenant != contoso || record.Directory != directories[contoso] || record.App != app || record.Account != "" || record.URL != conf.PublicURL || record.CertificateID != "" {
			t.Errorf("%+v", record)
		}
		must(t, s.tenant().NotifyLifecycle(is.ID, "missed")) // an error without a lifecycle URL
		states[record.State+is.NotificationURL] = true
	}
	if len(states) != 3 {
		t.Error("secrets are shared")
	}
	var stored string
	must(t, s.bucket(topology.Subscriptions).Each(t.Context(), ">", func(e store.Entry) error { stored += e.Key + string(e.Value); return nil }))
	for _, is := range there {
		if key := strings.Split(is.NotificationURL, "/")[4]; strings.Contains(stored, key) || !strings.Contains(stored, secret.Hash(key)) {
			t.Error("the path can be read in the bucket, or its hash cannot")
		}
	}
	s.eventually("not counted", func() bool { return s.metric("offhook_event_subscriptions", "held") == 3 })
	if left := s.metric("offhook_subscription_expiry_seconds", "event"); left < (askEventLife-time.Minute).Seconds() || left > graph.MaxEventLife.Seconds() {
		t.Errorf("the first ends in %v s", left)
	}
}

func TestARestartKeepsTheSubscriptions(t *testing.T) {
	s := newStage(t, 5, nil)
	users := s.users()
	s.link(contoso, users...)
	conf := s.subscribed(newDiaries())
	stop := s.run(conf)
	before, _ := s.everyone(users...)
	stop()
	posts, deletes := s.sent("POST"), s.sent("DELETE")
	s.run(conf)
	s.eventually("not compared with what is there", func() bool { return s.sent("LIST") == 2 && s.metric("offhook_event_subscriptions", "held") == 5 })
	// What was taken over is renewed as if nothing had been.
	s.hint(subscription.HintEventSubscription, keyIn(before[users[0]]), string(notification.SubscriptionRemoved))
	s.eventually("its key is not known any more", func() bool { return s.sent("GET") >= 1 })
	after, _ := s.everyone(users...)
	for _, user := range users {
		if after[user].ID != before[user].ID {
			t.Errorf("%s has another one", user)
		}
	}
	if s.sent("POST") != posts || s.sent("DELETE") != deletes {
		t.Errorf("%d created and %d deleted at the restart", s.sent("POST")-posts, s.sent("DELETE")-deletes)
	}
}

// stray makes a subscription to events that no record knows.
func (s *stage) stray(user identity.User, url string) graph.Subscription {
	s.t.Helper()
	resource, err := graph.EventResource(user)
	must(s.t, err)
	made, err := s.client(contoso, nil).Create(s.t.Context(), graph.NewSubscription{Resource: resource, Change: graph.EventChanges,
		Notify: url + "/notifications", Lifecycle: url + "/lifecycle", State: subscription.NewState(), Expires: time.Now().Add(askEventLife)})
	must(s.t, err)
	return made
}

// echo answers every handshake.
func (s *stage) echo() string {
	s.t.Helper()
	return s.serve(func(string) bool { return true }, nil).URL
}

func TestAStrayOfOursIsRemovedAndOneOfOthersLeftAlone(t *testing.T) {
	s := newStage(t, 3, nil)
	users := s.users()
	s.link(contoso, users[0], users[1])
	b := newDiaries()
	conf := s.subscribed(b)
	conf.PublicURL = s.echo()
	ours := s.stray(users[0], conf.PublicURL+"/graph/"+subscription.NewKey()) // in the way of our own
	unlinked := s.stray(users[2], conf.PublicURL+"/graph/"+subscription.NewKey())
	others := s.stray(users[1], s.echo()+"/graph/"+subscription.NewKey())
	conf.Events.List = 50 * time.Millisecond
	s.run(conf)
	var there map[string]identity.User
	s.eventually("the strays are not gone, or ours is not made", func() bool {
		there = map[string]identity.User{}
		for _, is := range s.tenant().Subscriptions() {
			user, _ := graph.EventUser(is.Resource)
			there[is.ID] = user
		}
		return len(there) == 2 && there[ours.ID] == "" && there[unlinked.ID] == "" && len(s.eventRecords()) == 1
	})
	if there[others.ID] != users[1] {
		t.Error("another product's subscription was touched")
	}
	s.eventually("what is in the way is not told", func() bool {
		return s.metric("offhook_event_subscriptions", "foreign") == 1 && s.metric("offhook_event_subscriptions", "missing") == 1
	})
	// Whose events nobody tells of is read all the same.
	want := meeting(time.Now(), "busy", 10, 10)
	b.set(func() { b.entries[users[1]] = []graph.CalendarEntry{want} })
	s.hint(subscription.HintEvent, string(users[1]), "stands for the sweep")
	s.shows(users[1], interval(want, calendar.Busy))
}

func TestAnEventSubscriptionThatDoesNotHoldIsReplaced(t *testing.T) {
	tests := []struct {
		name string
		conf func(*TenantConfig)
		do   func(t *testing.T, s *stage, first graphsim.Subscription)
		read bool // changes may have been lost: the calendar is read
	}{
		{"removed without a word, which the list shows", func(c *TenantConfig) { c.Events.List = 20 * time.Millisecond },
			func(t *testing.T, s *stage, first graphsim.Subscription) {
				must(t, s.tenant().RemoveSubscription(first.ID))
			}, true},
		{"gone when it is to be renewed", func(c *TenantConfig) { c.Events.RenewBefore = askEventLife - 300*time.Millisecond },
			func(t *testing.T, s *stage, first graphsim.Subscription) {
				must(t, s.tenant().RemoveSubscription(first.ID))
			}, true},
		{"renewed with 200 and not at all", func(c *TenantConfig) { c.Events.RenewBefore = askEventLife - 3*time.Second },
			func(t *testing.T, s *stage, first graphsim.Subscription) {
				_, err := s.tenant().Fault(graphsim.Fault{Kind: graphsim.FaultStuckExpiry, Subscription: first.ID})
				must(t, err)
			}, true},
		{"removed, as Graph says", func(*TenantConfig) {},
			func(t *testing.T, s *stage, first graphsim.Subscription) {
				must(t, s.tenant().RemoveSubscription(first.ID))
				s.hint(subscription.HintEventSubscription, keyIn(first), string(notification.SubscriptionRemoved))
			}, true},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s := newStage(t, 2, nil)
			users := s.users()
			s.link(contoso, users...)
			b := newDiaries()
			conf := s.subscribed(b)
			test.conf(&conf)
			s.run(conf)
			before, _ := s.everyone(users...)
			reads := b.times(users[0])
			test.do(t, s, before[users[0]])
			s.eventually("not replaced", func() bool {
				after, _ := s.everyone(users...)
				return after[users[0]].ID != before[users[0]].ID && after[users[0]].NotificationURL != before[users[0]].NotificationURL
			})
			if test.read {
				s.eventually("the calendar is not read", func() bool { return b.times(users[0]) > reads })
			}
		})
	}
}

func TestAnExpiredEventSubscriptionIsReplacedAtTheStart(t *testing.T) {
	s := newStage(t, 2, nil)
	users := s.users()
	s.link(contoso, users...)
	conf := s.subscribed(newDiaries())
	for i, record := range []subscription.Record{
		{ID: "expired long ago", Expires: time.Now().Add(-time.Hour)},
		{ID: "", Made: time.Now()}, // of a create call that did not come back
	} {
		record.Tenant, record.Resource, record.Users, record.URL = contoso, subscription.ResourceEvent, users[i:i+1], conf.PublicURL
		_, err := s.bucket(topology.Subscriptions).Put(t.Context(), subscription.KeyOf(fmt.Sprint(i)), record.Encode())
		must(t, err)
	}
	s.run(conf)
	s.everyone(users...)
	if n := s.sent("PATCH"); n != 0 {
		t.Errorf("what is over was renewed %d times", n)
	}
}

func TestEventSubscriptionsAreRenewedAtHalfLifeAndReadBack(t *testing.T) {
	s := newStage(t, 2, nil)
	users := s.users()
	s.link(contoso, users...)
	conf := s.subscribed(newDiaries())
	conf.Events.RenewBefore = askEventLife - 200*time.Millisecond
	s.run(conf)
	before, _ := s.everyone(users...)
	s.eventually("not renewed", func() bool {
		after, records := s.everyone(users...)
		for _, user := range users {
			if !after[user].Expires.After(before[user].Expires) || !records[user].Expires.After(before[user].Expires) || records[user].Renewed.IsZero() || after[user].ID != before[user].ID {
				return false
			}
		}
		return true
	})
	if s.sent("GET") < 2 {
		t.Error("what Graph answered was believed without reading it back")
	}
	if (TenantConfig{}).withDefaults().Events.RenewBefore != graph.MaxEventLife/2 {
		t.Error("the default is not half of the life")
	}
}

func TestGraphsRequestForRenewalIsFollowedOnceInTenMinutes(t *testing.T) {
	s := newStage(t, 2, nil)
	users := s.users()
	s.link(contoso, users...)
	conf := s.subscribed(newDiaries())
	conf.Events.Gap = 400 * time.Millisecond
	s.run(conf)
	before, records := s.everyone(users...)
	s.hint(subscription.HintEventSubscription, subscription.KeyOf("nobody's"), string(notification.ReauthorizationRequired))
	for range 5 {
		s.hint(subscription.HintEventSubscription, keyIn(before[users[0]]), string(notification.ReauthorizationRequired))
	}
	// The record follows Graph's answer.
	renewed := func(after time.Time) map[identity.User]subscription.Record {
		var records map[identity.User]subscription.Record
		s.eventually("not renewed", func() bool {
			_, records = s.everyone(users...)
			return records[users[0]].Renewed.After(after)
		})
		return records
	}
	after := renewed(time.Time{})
	if gap := after[users[0]].Renewed.Sub(records[users[0]].Made); gap < conf.Events.Gap {
		t.Errorf("renewed %v after it was made", gap)
	}
	s.hint(subscription.HintEventSubscription, keyIn(before[users[0]]), string(notification.ReauthorizationRequired))
	last := renewed(after[users[0]].Renewed)
	if gap := last[users[0]].Renewed.Sub(after[users[0]].Renewed); gap < conf.Events.Gap {
		t.Errorf("renewed %v after it was renewed", gap)
	}
	if n := s.sent("PATCH"); n != 2 {
		t.Errorf("renewed %d times", n)
	}
	if n := s.graph.Requests().Of("POST", "/v1.0/subscriptions/{subscription}/reauthorize", 0); n != 0 {
		t.Error("reauthorize and PATCH must not follow each other within ten minutes")
	}
	if (TenantConfig{}).withDefaults().Events.Gap != 10*time.Minute {
		t.Error("the default is not ten minutes")
	}
	if s.sent("POST") != 2 || s.sent("DELETE") != 0 {
		t.Error("something was replaced")
	}
}

func TestARemovalThatIsNoneIsLookedAtAndLeftAlone(t *testing.T) {
	s := newStage(t, 1, nil)
	user := s.users()[0]
	s.link(contoso, user)
	s.run(s.subscribed(newDiaries()))
	before, _ := s.everyone(user)
	s.hint(subscription.HintEventSubscription, keyIn(before[user]), string(notification.SubscriptionRemoved))
	s.eventually("not looked at", func() bool { return s.sent("GET") == 1 })
	after, _ := s.everyone(user)
	if after[user].ID != before[user].ID || s.sent("PATCH") != 0 {
		t.Error("it was not left alone")
	}
}

func TestClocksThatDifferByFiveMinutesDoNotMatter(t *testing.T) {
	for _, skew := range []time.Duration{-clockSkew, clockSkew} {
		t.Run(skew.String(), func(t *testing.T) {
			s := newStage(t, 2, func(c *graphsim.Config) { c.Now = func() time.Time { return time.Now().Add(skew) } })
			users := s.users()
			s.link(contoso, users...)
			conf := s.subscribed(newDiaries())
			conf.Events.List = 20 * time.Millisecond
			conf.Events.RenewBefore = askEventLife - 500*time.Millisecond
			s.run(conf)
			before, _ := s.everyone(users...)
			s.eventually("not renewed", func() bool { return s.sent("PATCH") >= 2 && s.sent("LIST") >= 2 })
			after, _ := s.everyone(users...)
			for _, user := range users {
				if after[user].ID != before[user].ID {
					t.Error("it was replaced")
				}
			}
			if s.sent("POST") != 2 {
				t.Errorf("created %d times", s.sent("POST"))
			}
		})
	}
}

func TestAfterARefusalEventSubscriptionsAreTriedAgainWithPauses(t *testing.T) {
	for name, refusal := range map[string]graphsim.Fault{
		"403, the quota is used up": {Kind: graphsim.FaultStatus, Path: "/v1.0/subscriptions", Status: http.StatusForbidden},
		"501":                       {Kind: graphsim.FaultStatus, Path: "/v1.0/subscriptions", Status: http.StatusNotImplemented},
	} {
		t.Run(name, func(t *testing.T) {
			s := newStage(t, 60, nil)
			users := s.users()
			s.link(contoso, users...)
			id, err := s.tenant().Fault(refusal)
			must(t, err)
			conf := s.subscribed(newDiaries())
			conf.Events.Retry = 100 * time.Millisecond
			s.run(conf)
			began := time.Now()
			s.eventually("no probes", func() bool { return s.sent("POST") >= troubleAfter+4 })
			// The first few fail together; then one at a time, after 100, 200, 400 ms and
			// more. Without pauses all 60 would have been tried at once, again and again.
			if n, most := s.sent("POST"), 3*troubleAfter+int(time.Since(began)/conf.Events.Retry); n > most {
				t.Errorf("%d requests while the tenant is refused, not more than %d", n, most)
			}
			must(t, s.tenant().ClearFault(id))
			s.everyone(users...)
		})
	}
}

func TestPausesGrowAndEndWithSuccess(t *testing.T) {
	at := time.Now()
	refused := fault.New(fault.Denied, "test", nil)
	var p pause
	last := time.Duration(0)
	for i := range 30 {
		p.note(refused, at, time.Second, longestUserPause)
		wait := p.until.Sub(at)
		if least := min(time.Second<<min(i, 20), longestUserPause); wait < least || wait > 2*least {
			t.Fatalf("after %d failures %v", i+1, wait)
		}
		last = wait
	}
	if last < longestUserPause {
		t.Errorf("it stays at %v", last)
	}
	if p.note(nil, at, time.Second, longestUserPause); p != (pause{}) {
		t.Error("success does not end it")
	}
	p.note(fault.After(fault.Throttled, "test", time.Hour, nil), at, time.Second, longestUserPause)
	if p.until.Before(at.Add(time.Hour)) {
		t.Error("what Graph asks for is not waited for")
	}
	tests := []struct {
		name  string
		errs  func(i int) error
		pause bool
	}{
		{"refusals of all", func(int) error { return refused }, true},
		{"one success among them", func(i int) error {
			if i == troubleAfter-1 {
				return nil
			}
			return refused
		}, false},
		{"users without a mailbox", func(int) error { return fault.New(fault.NotFound, "test", nil) }, false},
		{"subscriptions that exist already", func(int) error { return fault.New(fault.Conflict, "test", nil) }, false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			var x trouble
			for i := range troubleAfter {
				x.note(test.errs(i), at, time.Second)
			}
			if got := x.pause.until.After(at); got != test.pause {
				t.Errorf("pauses: %v", got)
			}
		})
	}
	var x trouble
	if x.note(fault.After(fault.Throttled, "test", time.Minute, nil), at, time.Second); x.pause.until.Before(at.Add(time.Minute)) {
		t.Error("one answer of 429 is the tenant's")
	}
	// Sixteen requests were under way when the trouble began, and all fail: that is one
	// failure, not a pause doubled sixteen times.
	var y trouble
	for range 3 * troubleAfter {
		y.note(refused, at, time.Second)
	}
	if until := y.pause.until.Sub(at); until > 2*time.Second {
		t.Errorf("answers to requests of before the pause made it %v long", until)
	}
	y.note(fault.After(fault.Throttled, "test", time.Minute, nil), at, time.Second)
	if y.pause.until.Before(at.Add(time.Minute)) {
		t.Error("a time that Graph names is not waited for")
	}
}

func TestWithoutAReadableCalendarNothingIsAskedFor(t *testing.T) {
	s := newStage(t, 3, nil)
	users := s.users()
	s.link(contoso, users...)
	b := newDiaries()
	b.errs[users[0]] = fault.New(fault.NotFound, "test", nil)
	b.errs[users[1]] = fault.New(fault.Denied, "test", nil)
	conf := s.subscribed(b)
	conf.Calendars = 20 * time.Millisecond
	s.run(conf)
	s.everyone(users[2])
	s.eventually("not swept", func() bool { return b.times(users[0]) > 3 })
	if n := s.sent("POST"); n != 1 {
		t.Errorf("asked %d times", n)
	}
	b.set(func() { clear(b.errs) })
	s.everyone(users...)
}

func TestWhereThereShouldBeNoSubscriptionTheyAreEnded(t *testing.T) {
	tests := []struct {
		name   string
		change func(s *stage, c *TenantConfig)
		left   int // of three
	}{
		{"a user who is not linked any more", func(s *stage, _ *TenantConfig) {
			key := wire.PersonKey(identity.Person{Tenant: contoso, User: s.users()[0]})
			e, err := s.bucket(topology.Links).Get(s.t.Context(), key)
			must(s.t, err)
			must(s.t, s.bucket(topology.Links).Delete(s.t.Context(), key, e.Revision))
		}, 2},
		{"subscribing is switched off", func(_ *stage, c *TenantConfig) { c.Subscribe = false }, 0},
		{"the mode has no calendars", func(_ *stage, c *TenantConfig) { c.Calendar = false }, 0},
		{"there is no public address any more", func(_ *stage, c *TenantConfig) { c.PublicURL = "" }, 0},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s := newStage(t, 3, nil)
			users := s.users()
			s.link(contoso, users...)
			conf := s.subscribed(newDiaries())
			stop := s.run(conf)
			s.everyone(users...)
			stop()
			test.change(s, &conf)
			s.run(conf)
			s.everyone(users[3-test.left:]...)
		})
	}
}

func TestAPublicAddressThatChangesMovesEveryone(t *testing.T) {
	s := newStage(t, 3, nil)
	users := s.users()
	s.link(contoso, users...)
	conf := s.subscribed(newDiaries())
	stop := s.run(conf)
	s.everyone(users...)
	stop()
	conf.PublicURL = s.endpoint(nil).URL
	s.run(conf)
	s.eventually("some are called at the old address", func() bool {
		there, _ := s.everyone(users...)
		for _, is := range there {
			if !strings.HasPrefix(is.NotificationURL, conf.PublicURL) {
				return false
			}
		}
		return true
	})
}

func TestWithoutAPublicAddressCalendarsArePolledOnly(t *testing.T) {
	s := newStage(t, 1, nil)
	user := s.users()[0]
	s.link(contoso, user)
	b := newDiaries()
	conf := s.subscribed(b)
	conf.PublicURL, conf.Calendars = "", 20*time.Millisecond
	s.run(conf)
	s.eventually("not polled", func() bool { return b.times(user) > 5 })
	if s.sent("LIST")+s.sent("POST") != 0 {
		t.Error("something was asked about subscriptions")
	}
}
