package graphsim_test

import (
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"offhook.dev/libs/graph/graphsim"
)

func TestABasicNotification(t *testing.T) {
	s := start(t, nil)
	r := listen(t, s.Authority())
	id := s.subscribe(s.userToken("anna"), presenceSub(r.URL+"/n", s.id("ben"), s.id("clara")))
	check(t, s.contoso().SetPresence("dora", "Busy", "Busy")) // nobody asked
	check(t, s.contoso().SetPresence("ben", "Busy", "InACall"))
	p := r.wait(1)[0]
	if len(p.items) != 1 || p.path != "/n" || p.attempt != "1" || !slices.Equal(p.numbers, []string{"1"}) {
		t.Fatalf("post: %+v", p)
	}
	if _, has := p.body["validationTokens"]; has {
		t.Error("a basic notification has validation tokens")
	}
	item, ben := p.items[0], s.id("ben")
	for name, want := range map[string]any{"subscriptionId": id, "clientState": "state", "changeType": "updated", "tenantId": contoso,
		"organizationId": contoso, "resource": "communications/presences/" + ben, "encryptedContent": nil} {
		if item[name] != want {
			t.Errorf("%s is %v, want %v", name, item[name], want)
		}
	}
	if _, err := time.Parse(time.RFC3339, item["subscriptionExpirationDateTime"].(string)); err != nil {
		t.Error(err)
	}
	data, _ := item["resourceData"].(map[string]any)
	if data["@odata.id"] != "users/"+ben+"/presence" || data["@odata.type"] != "#microsoft.graph.presence" || data["id"] != ben {
		t.Errorf("resourceData %v", data)
	}
	eventually(t, "accepted", func() bool { return s.contoso().Ledger().Subscriptions[id].Accepted == 1 })
	if l := s.contoso().Ledger().Total; l != (graphsim.Tally{Due: 1, Sent: 1, Accepted: 1, Attempts: 1}) {
		t.Errorf("ledger %+v", l)
	}
}

func TestARichNotification(t *testing.T) {
	s := start(t, nil)
	r := listen(t, s.Authority())
	key := appKeys()[1]
	s.subscribe(s.userToken("anna"), richSub(r.URL, key, s.id("ben")))
	check(t, s.contoso().SetPresence("ben", "DoNotDisturb", "Presenting"))
	p := r.wait(1)[0]
	content, err := open(p.items[0], key.Key)
	check(t, err)
	if len(content) != 5 || content["availability"] != "DoNotDisturb" || content["activity"] != "Presenting" || content["id"] != s.id("ben") {
		t.Errorf("content %v", content)
	}
	if _, err := open(p.items[0], appKeys()[0].Key); err == nil {
		t.Error("another key opens it")
	}
	sealed := p.items[0]["encryptedContent"].(map[string]any)
	thumbprint, _ := sealed["encryptionCertificateThumbprint"].(string)
	if sealed["encryptionCertificateId"] != "key-1" || len(thumbprint) != 40 || thumbprint != strings.ToUpper(thumbprint) {
		t.Errorf("certificate %v %v", sealed["encryptionCertificateId"], thumbprint)
	}
	check(t, s.contoso().SetPresence("ben", "Away", "Away"))
	again := r.wait(2)[1].items[0]["encryptedContent"].(map[string]any)
	if again["dataKey"] == sealed["dataKey"] {
		t.Error("two notifications share a key")
	}
}

// TestValidationTokens checks with the keys that the common endpoints publish.
func TestValidationTokens(t *testing.T) {
	s := start(t, nil)
	r := listen(t, s.Authority())
	s.subscribe(s.userToken("anna"), richSub(r.URL, appKeys()[1], s.id("ben")))
	const sender = "0bf30f3b-4a52-48df-9a82-234910c4a086"
	cases := []struct{ version, caller, issuer string }{
		{"v2", "azp", s.LoginURL() + "/" + contoso + "/v2.0"},
		{"v1", "appid", "https://sts.windows.net/" + contoso + "/"},
		{"null", "", ""},
	}
	for i, c := range cases {
		check(t, s.contoso().Switch(func(w *graphsim.Switches) { w.ValidationTokens = c.version }))
		check(t, s.contoso().SetPresence("ben", "Busy", c.version))
		p := r.wait(i + 1)[i]
		if c.caller == "" {
			if tokens, has := p.body["validationTokens"]; !has || tokens != nil {
				t.Errorf("null: %v", tokens)
			}
			continue
		}
		if len(p.tokens) != 1 {
			t.Fatalf("%s: %d tokens", c.version, len(p.tokens))
		}
		claims := jwt.MapClaims{}
		_, err := jwt.ParseWithClaims(p.tokens[0].(string), claims, s.commonKey, jwt.WithValidMethods([]string{"RS256"}),
			jwt.WithAudience(appID), jwt.WithIssuer(c.issuer), jwt.WithExpirationRequired())
		check(t, err)
		if claims[c.caller] != sender || claims["tid"] != contoso || !strings.HasPrefix(claims["ver"].(string), c.version[1:]) {
			t.Errorf("%s: %v", c.version, claims)
		}
	}
}

func TestRefusedNotificationsAreRetriedThenGivenUp(t *testing.T) {
	s := start(t, func(c *graphsim.Config) { c.TimeScale = 100_000 }) // 4 h are 144 ms, 30 s are 0.3 ms
	r := listen(t, s.Authority())
	id := s.subscribe(s.userToken("anna"), richSub(r.URL, appKeys()[1], s.id("ben")))
	r.set(func(r *receiver) {
		r.answer = func(attempt string) int {
			if attempt == "3" {
				return http.StatusOK
			}
			return http.StatusServiceUnavailable
		}
	})
	check(t, s.contoso().SetPresence("ben", "Busy", "Busy"))
	eventually(t, "accepted", func() bool { return s.contoso().Ledger().Total.Accepted == 1 })
	want := graphsim.Tally{Due: 1, Sent: 1, Accepted: 1, Attempts: 3, Refused: 2, Retried: 2}
	if l := s.contoso().Ledger().Subscriptions[id]; l != want {
		t.Errorf("ledger %+v", l)
	}
	posts := r.all()
	first, last := posts[0].items[0]["encryptedContent"].(map[string]any), posts[2].items[0]["encryptedContent"].(map[string]any)
	if first["data"] != last["data"] || posts[0].numbers[0] != posts[2].numbers[0] {
		t.Error("a repetition is another notification")
	}
	r.set(func(r *receiver) { r.answer = func(string) int { return http.StatusNotFound } })
	check(t, s.contoso().SetPresence("ben", "Away", "Away"))
	eventually(t, "given up", func() bool { return s.contoso().Ledger().Total.GivenUp == 1 })
	l := s.contoso().Ledger().Total
	if l.Pending != 0 || l.Other < 5 || l.Attempts != l.Accepted+l.Refused+l.Other {
		t.Errorf("ledger %+v", l)
	}
	checkLaw(t, s.contoso())
}

func TestASlowEndpointIsDelayedAndADeadOneDropped(t *testing.T) {
	s := start(t, func(c *graphsim.Config) {
		c.TimeScale = 600 // 10 min are 1 s
		c.Delivery.FirstAllowance, c.Delivery.RetryAllowance = 20*time.Millisecond, 30*time.Millisecond
		c.Delivery.Backoff = time.Second
	})
	r := listen(t, s.Authority())
	s.subscribe(s.userToken("anna"), presenceSub(r.URL, s.contoso().UserIDs()...))
	var hang atomic.Bool
	done := make(chan struct{})
	t.Cleanup(func() { close(done) })
	r.set(func(r *receiver) {
		r.answer = func(string) int {
			if hang.Load() {
				<-done
			}
			return http.StatusAccepted
		}
	})
	hang.Store(true)
	state := func() graphsim.EndpointState { return s.Endpoints()[0].State }
	_, err := s.contoso().Storm(t.Context(), graphsim.Storm{Changes: 20})
	check(t, err)
	eventually(t, "slow", func() bool { return state() != graphsim.StateWell })
	eventually(t, "drop", func() bool { return state() == graphsim.StateDrop })
	check(t, s.contoso().SetPresence("anna", "Busy", "dropped"))
	if l := s.contoso().Ledger().Total; l.Dropped != 1 || l.Other == 0 {
		t.Errorf("ledger %+v", l)
	}
	checkLaw(t, s.contoso())
	hang.Store(false)
	eventually(t, "well again and everything else accepted", func() bool {
		l := s.contoso().Ledger().Total
		return state() == graphsim.StateWell && l.Accepted == 20 && l.Pending == 0
	})
}

func TestNewNotificationsToASlowEndpointWait(t *testing.T) {
	s := start(t, func(c *graphsim.Config) {
		c.TimeScale = 3000 // 10 min are 200 ms
		c.Delivery.FirstAllowance, c.Delivery.RetryAllowance = 20*time.Millisecond, time.Minute
	})
	r := listen(t, s.Authority())
	s.subscribe(s.userToken("anna"), presenceSub(r.URL, s.contoso().UserIDs()...))
	gate := make(chan struct{})
	r.set(func(r *receiver) { r.answer = func(string) int { <-gate; return http.StatusAccepted } })
	_, err := s.contoso().Storm(t.Context(), graphsim.Storm{Changes: 10})
	check(t, err)
	eventually(t, "slow", func() bool { return s.Endpoints()[0].State == graphsim.StateSlow })
	began := time.Now()
	check(t, s.contoso().SetPresence("anna", "Busy", "late"))
	close(gate)
	eventually(t, "all accepted", func() bool { return s.contoso().Ledger().Total.Accepted == 11 })
	if took := time.Since(began); took < 150*time.Millisecond {
		t.Errorf("after %s", took)
	}
}

func TestNotificationFaults(t *testing.T) {
	s := start(t, nil)
	r := listen(t, s.Authority())
	tenant := s.contoso()
	id := s.subscribe(s.userToken("anna"), presenceSub(r.URL, s.id("ben"), s.id("clara")))
	fault := func(f graphsim.Fault) {
		t.Helper()
		_, err := tenant.Fault(f)
		check(t, err)
	}
	seen := 0
	// next returns the users of the next n notifications in order of arrival.
	next := func(n int) []string {
		t.Helper()
		posts := r.wait(seen + n)[seen:]
		seen += n
		var users []string
		for _, p := range posts {
			data := p.items[0]["resourceData"].(map[string]any)
			user, err := tenant.User(data["id"].(string))
			check(t, err)
			users = append(users, user.GivenName)
		}
		return users
	}
	fault(graphsim.Fault{Kind: graphsim.FaultDouble, Count: 1})
	check(t, tenant.SetPresence("ben", "Busy", "1"))
	if got := next(2); !slices.Equal(got, []string{"Ben", "Ben"}) {
		t.Errorf("doubled: %v", got)
	}
	fault(graphsim.Fault{Kind: graphsim.FaultReorder, Count: 1, Delay: time.Minute})
	check(t, tenant.SetPresence("ben", "Busy", "2"))
	check(t, tenant.SetPresence("clara", "Busy", "2"))
	next(2) // two connections may overtake; the numbers tell what was held
	fault(graphsim.Fault{Kind: graphsim.FaultReorder, Count: 1, Delay: time.Millisecond})
	check(t, tenant.SetPresence("ben", "Busy", "3"))
	next(1) // nothing follows, and it comes all the same
	fault(graphsim.Fault{Kind: graphsim.FaultLate, Count: 1, Delay: 50 * time.Millisecond})
	check(t, tenant.SetPresence("ben", "Busy", "4"))
	check(t, tenant.SetPresence("clara", "Busy", "4"))
	if got := next(2); !slices.Equal(got, []string{"Clara", "Ben"}) {
		t.Errorf("late: %v", got)
	}
	fault(graphsim.Fault{Kind: graphsim.FaultLose, Count: 1})
	check(t, tenant.SetPresence("ben", "Busy", "5"))
	fault(graphsim.Fault{Kind: graphsim.FaultSilent, Subscription: id})
	fault(graphsim.Fault{Kind: graphsim.FaultLose, Subscription: "another"})
	check(t, tenant.SetPresence("ben", "Busy", "6"))
	tenant.ClearFaults()
	check(t, tenant.SetPresence("clara", "Busy", "7"))
	if got := next(1); !slices.Equal(got, []string{"Clara"}) {
		t.Errorf("after lost and silent: %v", got)
	}
	eventually(t, "accepted", func() bool { return tenant.Ledger().Total.Pending == 0 })
	want := graphsim.Tally{Due: 9, Doubled: 1, Silenced: 1, Lost: 1, Sent: 8, Accepted: 8, Attempts: 8}
	if l := tenant.Ledger().Total; l != want {
		t.Errorf("ledger %+v", l)
	}
	checkLaw(t, tenant)
}

func TestAReorderedNotificationComesAfterTheNext(t *testing.T) {
	s := start(t, func(c *graphsim.Config) { c.Delivery.InFlight = 1 })
	r := listen(t, s.Authority())
	s.subscribe(s.userToken("anna"), presenceSub(r.URL, s.id("ben"), s.id("clara")))
	_, err := s.contoso().Fault(graphsim.Fault{Kind: graphsim.FaultReorder, Count: 1, Delay: time.Minute})
	check(t, err)
	check(t, s.contoso().SetPresence("ben", "Busy", "Busy"))
	check(t, s.contoso().SetPresence("clara", "Busy", "Busy"))
	posts := r.wait(2)
	if posts[0].numbers[0] != "2" || posts[1].numbers[0] != "1" {
		t.Errorf("order %v %v", posts[0].numbers, posts[1].numbers)
	}
}

func TestASubscriptionPausesWhenItsTokenExpires(t *testing.T) {
	var ahead atomic.Int64
	s := start(t, func(c *graphsim.Config) {
		c.TokenLife, c.TimeScale = 10*time.Minute, 1000
		c.Now = func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) }
	})
	r := listen(t, s.Authority())
	id := s.subscribe(s.userToken("anna"), presenceSub(r.URL, s.id("ben")))
	ahead.Store(int64(11 * time.Minute))
	check(t, s.contoso().SetPresence("ben", "Busy", "Busy"))
	eventually(t, "paused", func() bool { return s.contoso().Ledger().Total.Paused > 0 })
	if len(r.all()) != 0 {
		t.Error("sent with an expired token")
	}
	if got := s.graph("POST", "/subscriptions/"+id+"/reauthorize", s.userToken("anna"), nil); got.status != 204 {
		t.Fatalf("reauthorize: %d %s", got.status, got.message())
	}
	r.wait(1)
	checkLaw(t, s.contoso())
}

func TestLifecycleEvents(t *testing.T) {
	var ahead atomic.Int64
	s := start(t, func(c *graphsim.Config) {
		c.Now = func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) }
	})
	r := listen(t, s.Authority())
	body := presenceSub(r.URL+"/n", s.id("ben"))
	body["lifecycleNotificationUrl"] = r.URL + "/l"
	token := s.userToken("anna")
	ahead.Store(int64(46 * time.Minute)) // less than a quarter of the token's hour is left
	body["expirationDateTime"] = time.Now().Add(104 * time.Minute)
	id := s.subscribe(token, body)
	p := r.wait(1)[0]
	item := p.items[0]
	_, change := item["changeType"]
	_, resource := item["resource"]
	if p.path != "/l" || item["lifecycleEvent"] != "reauthorizationRequired" || item["subscriptionId"] != id || item["clientState"] != "state" || change || resource {
		t.Errorf("%s %v", p.path, item)
	}
	check(t, s.contoso().NotifyLifecycle(id, "missed"))
	if got := r.wait(2)[1].items[0]["lifecycleEvent"]; got != "missed" {
		t.Errorf("%v", got)
	}
	check(t, s.contoso().RemoveSubscription(id))
	if err := s.contoso().NotifyLifecycle(id, "missed"); err == nil {
		t.Error("a removed subscription has events")
	}
}

func TestEventsAndUsersAreNotified(t *testing.T) {
	s := start(t, nil)
	r := listen(t, s.Authority())
	token := s.appToken(contoso)
	subscribe := func(resource, change string) {
		body := presenceSub(r.URL)
		body["resource"], body["changeType"] = resource, change
		s.subscribe(token, body)
	}
	subscribe("/users/ben@contoso.example/events", "created,updated")
	subscribe("users", "updated,deleted")
	check(t, s.contoso().NotifyEvent("ben", "AAMk=", "created"))
	check(t, s.contoso().NotifyEvent("ben", "AAMk=", "deleted")) // not asked for
	check(t, s.contoso().NotifyEvent("clara", "AAMk=", "created"))
	item := r.wait(1)[0].items[0]
	data := item["resourceData"].(map[string]any)
	if item["resource"] != "Users/"+s.id("ben")+"/Events/AAMk=" || data["id"] != "AAMk=" || data["@odata.etag"] == nil {
		t.Errorf("event %v", item)
	}
	check(t, s.contoso().EditUser("clara", func(u *graphsim.User) { u.Department = "Sales" }))
	clara := s.id("clara")
	if item := r.wait(2)[1].items[0]; item["resource"] != "Users/"+clara || item["changeType"] != "updated" {
		t.Errorf("user %v", item)
	}
	check(t, s.contoso().DeleteUser("clara", true))
	if item := r.wait(3)[2].items[0]; item["changeType"] != "deleted" {
		t.Errorf("user %v", item)
	}
}

func TestAStormIsDeliveredToTheUnit(t *testing.T) {
	const changes = 400
	s := start(t, func(c *graphsim.Config) { c.Delivery.Batch = 10 })
	r := listen(t, s.Authority())
	key := appKeys()[1]
	s.subscribe(s.userToken("anna"), richSub(r.URL, key, s.contoso().UserIDs()...))
	result, err := s.contoso().Storm(t.Context(), graphsim.Storm{Changes: changes, Rate: 2000, Seed: 7})
	check(t, err)
	if result.Changes != changes || result.Took < 199*time.Millisecond {
		t.Errorf("storm %+v", result)
	}
	eventually(t, "all accepted", func() bool { return s.contoso().Ledger().Total.Accepted == changes })
	checkLaw(t, s.contoso())
	numbers := make(map[string]bool)
	for _, p := range r.all() {
		if len(p.items) > 10 || len(p.items) != len(p.numbers) || len(p.tokens) != 1 {
			t.Errorf("post of %d items, %d numbers, %d tokens", len(p.items), len(p.numbers), len(p.tokens))
		}
		for i, item := range p.items {
			numbers[p.numbers[i]] = true
			if _, err := open(item, key.Key); err != nil {
				t.Error(err)
			}
		}
	}
	if len(numbers) != changes {
		t.Errorf("%d different numbers", len(numbers))
	}
	if _, err := s.contoso().Storm(t.Context(), graphsim.Storm{Changes: 1, Users: []string{"nobody"}}); err == nil {
		t.Error("a storm over nobody")
	}
}
