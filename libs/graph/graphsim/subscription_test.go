package graphsim_test

import (
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"offhook.dev/libs/graph/graphsim"
	"offhook.dev/libs/secret"
)

func TestSubscriptionRequests(t *testing.T) {
	s := start(t, func(c *graphsim.Config) { c.Tenants[0].Users = 700 })
	r := listen(t, s.Authority())
	application, delegated := s.appToken(contoso), s.userToken("anna")
	check(t, s.contoso().AddAccount(graphsim.Account{User: "ben", RefreshToken: secret.NewValue("weak"), Scopes: []string{"Presence.ReadWrite.All", "User.Read"}}))
	weak := s.login(contoso, url.Values{"grant_type": {"refresh_token"}, "client_id": {appID}, "client_secret": {"hush"}, "refresh_token": {"weak"}}).text("access_token")
	ids := s.contoso().UserIDs()
	with := func(name string, value any) map[string]any {
		body := maps.Clone(presenceSub(r.URL, ids[0]))
		body[name] = value
		return body
	}
	without := func(name string) map[string]any {
		body := richSub(r.URL, appKeys()[0], ids[0])
		delete(body, name)
		return body
	}
	cases := []struct {
		name, token string
		body        map[string]any
		status      int
		code        string
	}{
		{"presence with an application token", application, presenceSub(r.URL, ids[0]), 403, "Forbidden"},
		{"a permission to write is none to read", weak, presenceSub(r.URL, ids[0]), 403, "ExtensionError"},
		{"651 users", delegated, presenceSub(r.URL, ids[:651]...), 400, "BadRequest"},
		{"a user that is no id", delegated, presenceSub(r.URL, "anna"), 400, "BadRequest"},
		{"an id without quotes", delegated, with("resource", "communications/presences?$filter=id in ("+ids[0]+")"), 400, "BadRequest"},
		{"an unknown resource", delegated, with("resource", "me/drive/root"), 400, "BadRequest"},
		{"created presences", delegated, with("changeType", "created"), 400, "BadRequest"},
		{"no URL", delegated, with("notificationUrl", ""), 400, "BadRequest"},
		{"plain http", delegated, with("notificationUrl", "http://127.0.0.1/"), 400, "BadRequest"},
		{"plain http for the lifecycle", delegated, with("lifecycleNotificationUrl", "http://127.0.0.1/"), 400, "BadRequest"},
		{"a clientState of 129", delegated, with("clientState", strings.Repeat("x", 129)), 400, "BadRequest"},
		{"no expiry", delegated, with("expirationDateTime", nil), 400, "BadRequest"},
		{"expired at birth", delegated, with("expirationDateTime", time.Now().Add(-time.Hour)), 400, "BadRequest"},
		{"61 minutes", delegated, with("expirationDateTime", time.Now().Add(61*time.Minute)), 400, "BadRequest"},
		{"resource data without a certificate", delegated, without("encryptionCertificate"), 400, "BadRequest"},
		{"resource data without a certificate id", delegated, without("encryptionCertificateId"), 400, "BadRequest"},
		{"nobody listens", delegated, presenceSub("https://127.0.0.1:1/", ids[0]), 400, "ValidationError"},
		{"another one's calendar", delegated, with("resource", "users/"+ids[1]+"/events"), 403, "ExtensionError"},
		{"650 users", delegated, presenceSub(r.URL, ids[:650]...), 201, ""},
		{"a second one", delegated, presenceSub(r.URL, ids[0]), 409, "ExtensionError"},
		{"the same account of another tenant is another", s.appToken(fabrikam), with("resource", "users"), 201, ""},
		{"events with an application token", application, with("resource", "users/"+ids[0]+"/events"), 201, ""},
		{"the same events again", application, with("resource", "users/"+ids[0]+"/events"), 409, "Conflict"},
	}
	for _, c := range cases {
		got := s.graph("POST", "/subscriptions", c.token, c.body)
		if got.status != c.status || got.code() != c.code {
			t.Errorf("%s: %d %s %s, want %d %s", c.name, got.status, got.code(), got.message(), c.status, c.code)
		}
		if c.name == "a second one" && !strings.Contains(got.message(), "A subscripton already exists. It must be deleted before a another can be made.") {
			t.Errorf("%s: %q", c.name, got.message())
		}
	}
}

func TestHandshake(t *testing.T) {
	s := start(t, func(c *graphsim.Config) { c.Delivery.Handshake = 100 * time.Millisecond })
	r := listen(t, s.Authority())
	token := s.userToken("anna")
	plain := func(status int, kind, body string) func(http.ResponseWriter, string) {
		return func(w http.ResponseWriter, token string) {
			w.Header().Set("Content-Type", kind)
			w.WriteHeader(status)
			fmt.Fprint(w, strings.ReplaceAll(body, "TOKEN", token))
		}
	}
	encoded := func(w http.ResponseWriter, token string) { plain(200, "text/plain", url.QueryEscape(token))(w, "") }
	twice := func(w http.ResponseWriter, token string) {
		again, _ := url.QueryUnescape(token)
		plain(200, "text/plain", again)(w, "")
	}
	done := make(chan struct{})
	t.Cleanup(func() { close(done) })
	cases := []struct {
		name    string
		echo    func(http.ResponseWriter, string)
		message string
	}{
		{"403", plain(403, "text/plain", "TOKEN"), "[HTTP status code is 'Forbidden'.]"},
		{"202", plain(202, "text/plain", "TOKEN"), "[HTTP status code is 'Accepted'.]"},
		{"JSON", plain(200, "application/json", "TOKEN"), "must exactly match"},
		{"something else", plain(200, "text/plain", "hello"), "must exactly match"},
		{"more", plain(200, "text/plain", "TOKEN\n"), "must exactly match"},
		{"not decoded", encoded, "must exactly match"},
		{"decoded twice", twice, "must exactly match"},
		{"too late", func(http.ResponseWriter, string) { <-done }, "timed out"},
	}
	for _, c := range cases {
		r.set(func(r *receiver) { r.echo = c.echo })
		got := s.graph("POST", "/subscriptions", token, presenceSub(r.URL, s.id("ben")))
		if got.status != 400 || got.code() != "ValidationError" || !strings.Contains(got.message(), c.message) {
			t.Errorf("%s: %d %s %s", c.name, got.status, got.code(), got.message())
		}
	}
	if got := s.contoso().Subscriptions(); len(got) != 0 {
		t.Errorf("%d subscriptions without a handshake", len(got))
	}
	var live int // subscriptions at the time of the handshake
	r.set(func(r *receiver) {
		r.asked = nil
		r.echo = func(w http.ResponseWriter, token string) {
			live += len(s.contoso().Subscriptions())
			plain(200, "text/plain; charset=utf-8", "TOKEN")(w, token)
		}
	})
	body := presenceSub(r.URL+"/n?key=1", s.id("ben"))
	body["lifecycleNotificationUrl"] = r.URL + "/l"
	s.subscribe(token, body)
	if !slices.Equal(r.asked, []string{"/n", "/l"}) || live != 0 {
		t.Errorf("asked %v, %d live before the answer", r.asked, live)
	}
}

func TestExpiryIsKeptBetween45And60Minutes(t *testing.T) {
	s := start(t, nil)
	r := listen(t, s.Authority())
	token := s.userToken("anna")
	body := presenceSub(r.URL, s.id("ben"))
	expiry := func(got reply) time.Duration {
		t.Helper()
		at, err := time.Parse(time.RFC3339, got.text("expirationDateTime"))
		if err != nil {
			t.Fatalf("%d %s: %v", got.status, got.message(), err)
		}
		return time.Until(at)
	}
	near := func(d, want time.Duration) bool { return d > want-time.Minute && d <= want }
	body["expirationDateTime"] = time.Now().Add(5 * time.Minute)
	created := s.graph("POST", "/subscriptions", token, body)
	if d := expiry(created); !near(d, 45*time.Minute) {
		t.Errorf("5 minutes become %s", d)
	}
	path := "/subscriptions/" + created.text("id")
	renew := func(d time.Duration) reply {
		return s.graph("PATCH", path, token, map[string]any{"expirationDateTime": time.Now().Add(d)})
	}
	if d := expiry(renew(59 * time.Minute)); !near(d, 59*time.Minute) {
		t.Errorf("59 minutes become %s", d)
	}
	if got := renew(2 * time.Hour); got.status != 400 {
		t.Errorf("two hours: %d", got.status)
	}
	check(t, s.contoso().Switch(func(w *graphsim.Switches) { w.Overlong = "clamp" }))
	if d := expiry(renew(2 * time.Hour)); !near(d, time.Hour) {
		t.Errorf("two hours become %s", d)
	}
	_, err := s.contoso().Fault(graphsim.Fault{Kind: graphsim.FaultStuckExpiry})
	check(t, err)
	if got := renew(50 * time.Minute); got.status != 200 || !near(expiry(got), time.Hour) {
		t.Errorf("stuck: %d", got.status)
	}
}

func TestTheLifeOfASubscription(t *testing.T) {
	var ahead atomic.Int64
	s := start(t, func(c *graphsim.Config) {
		c.TokenLife = 24 * time.Hour
		c.Now = func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) }
	})
	r := listen(t, s.Authority())
	anna, ben, application := s.userToken("anna"), s.userToken("ben"), s.appToken(contoso)
	id := s.subscribe(anna, richSub(r.URL, appKeys()[0], s.id("clara")))
	path := "/subscriptions/" + id
	got := s.graph("GET", path, anna, nil)
	if got.text("creatorId") != s.id("anna") || got.text("applicationId") != appID || got.text("encryptionCertificateId") != "key-1" || got.body["encryptionCertificate"] != nil {
		t.Errorf("read back: %v", got.body)
	}
	for name, token := range map[string]string{"ben": ben, "the application": application} {
		if list := s.graph("GET", "/subscriptions", token, nil).values(); len(list) != 0 {
			t.Errorf("%s sees %v", name, list)
		}
		for _, method := range []string{"GET", "DELETE"} {
			if got := s.graph(method, path, token, nil); got.status != 404 {
				t.Errorf("%s: %s %d", name, method, got.status)
			}
		}
	}
	s.subscribe(ben, presenceSub(r.URL, s.id("clara"))) // another account, another subscription
	if list := s.graph("GET", "/subscriptions", anna, nil).values(); len(list) != 1 || list[0]["id"] != id {
		t.Errorf("anna sees %v", list)
	}
	for name, body := range map[string]map[string]any{"resource": {"resource": "users"}, "lifecycle": {"lifecycleNotificationUrl": r.URL},
		"http": {"notificationUrl": "http://127.0.0.1/"}, "half a certificate": {"encryptionCertificateId": "key-2"}} {
		if got := s.graph("PATCH", path, anna, body); got.status != 400 {
			t.Errorf("PATCH of %s: %d", name, got.status)
		}
	}
	asked := len(r.asked)
	if got := s.graph("PATCH", path, anna, map[string]any{"notificationUrl": r.URL + "/moved"}); got.status != 200 || len(r.asked) != asked+1 {
		t.Errorf("moved: %d, %d handshakes", got.status, len(r.asked)-asked)
	}
	if got := s.graph("POST", path+"/reauthorize", anna, nil); got.status != 204 {
		t.Errorf("reauthorize: %d", got.status)
	}
	if got := s.graph("DELETE", path, anna, nil); got.status != 204 {
		t.Errorf("delete: %d", got.status)
	}
	if got := s.graph("GET", path, anna, nil); got.status != 404 {
		t.Errorf("deleted: %d", got.status)
	}
	s.subscribe(anna, presenceSub(r.URL, s.id("clara")))
	ahead.Store(int64(61 * time.Minute))
	if list := s.graph("GET", "/subscriptions", anna, nil).values(); len(list) != 0 {
		t.Errorf("an hour later there is %v", list)
	}
	check(t, s.contoso().SetPresence("clara", "Busy", "Busy"))
	if due := s.contoso().Ledger().Total.Due; due != 0 {
		t.Errorf("%d notifications of expired subscriptions", due)
	}
}
