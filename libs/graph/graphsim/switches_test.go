package graphsim_test

import (
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"offhook.dev/libs/graph/graphsim"
)

// flip changes switches, which may be at any time.
func (s *sim) flip(edit func(*graphsim.Switches)) {
	s.t.Helper()
	check(s.t, s.contoso().Switch(edit))
}

func TestASwitchThatThereIsNotIsRefusedAndChangesNothing(t *testing.T) {
	s := start(t, nil)
	before := s.contoso().Switches()
	for name, edit := range map[string]func(*graphsim.Switches){
		"endpoint":           func(w *graphsim.Switches) { w.Endpoint = "port" },
		"patchResource":      func(w *graphsim.Switches) { w.PatchResource = "maybe" },
		"badPair":            func(w *graphsim.Switches) { w.BadPair = "Teapot" },
		"validationIssuer":   func(w *graphsim.Switches) { w.ValidationIssuer = "v2" },
		"clientStateLimit":   func(w *graphsim.Switches) { w.ClientStateLimit = 256 },
		"teamsSubscriptions": func(w *graphsim.Switches) { w.TeamsSubscriptions = -1 },
	} {
		err := s.contoso().Switch(func(w *graphsim.Switches) { w.Quotas = true; edit(w) })
		if err == nil || !strings.Contains(err.Error(), "switch "+name) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if after := s.contoso().Switches(); after != before {
		t.Errorf("%+v became %+v", before, after)
	}
}

// What is not documented about the creation of a subscription, either way.
func TestWhetherASubscriptionIsMadeIsAMatterOfSwitches(t *testing.T) {
	s := start(t, nil)
	r := listen(t, s.Authority())
	token := s.userToken("anna")
	body := func(state any) map[string]any {
		b := presenceSub(r.URL, s.id("ben"))
		b["clientState"] = state
		return b
	}
	for _, c := range []struct {
		name   string
		flip   func(*graphsim.Switches)
		state  any
		status int
		says   string
	}{
		{"128 characters", nil, strings.Repeat("x", 128), 201, ""},
		{"129 characters", nil, strings.Repeat("x", 129), 400, "longer than 128"},
		{"255 characters where the limit is 255", func(w *graphsim.Switches) { w.ClientStateLimit = 255 }, strings.Repeat("x", 255), 201, ""},
		{"256 characters where the limit is 255", nil, strings.Repeat("x", 256), 400, "longer than 255"},
		{"no clientState", nil, nil, 201, ""},
		{"no clientState where there must be one", func(w *graphsim.Switches) { w.ClientStateRequired = true }, nil, 400, "'clientState' is missing"},
		{"an empty one where there must be one", nil, "", 400, "'clientState' is missing"},
		{"one where there must be one", nil, "state", 201, ""},
		{"an account without a licence", func(w *graphsim.Switches) { check(t, s.contoso().SetLicensed("anna", false)) }, "state", 201, ""},
		{"an account without a licence that it needs", func(w *graphsim.Switches) { w.LicenceRequired = true }, "state", 403, "not licensed"},
		{"an account that got its licence", func(w *graphsim.Switches) { check(t, s.contoso().SetLicensed("anna", true)) }, "state", 201, ""},
		{"an organization with 10,000 other subscriptions", func(w *graphsim.Switches) { w.TeamsSubscriptions = 10_000 }, "state", 201, ""},
		{"where presences count among them", func(w *graphsim.Switches) { w.PresenceInTeamsQuota = true }, "state", 403,
			"Operation: Create; Exception: [Status Code: Forbidden; Reason: Maximum number of subscriptions has been reached]"},
		{"the last one of 10,000", func(w *graphsim.Switches) { w.TeamsSubscriptions = 9_999 }, "state", 201, ""},
	} {
		if c.flip != nil {
			// Licences have a lock in common with the switches.
			next := s.contoso().Switches()
			c.flip(&next)
			s.flip(func(w *graphsim.Switches) { *w = next })
		}
		got := s.graph("POST", "/subscriptions", token, body(c.state))
		if got.status != c.status || !strings.Contains(got.message(), c.says) {
			t.Errorf("%s: %d %s %s, want %d %s", c.name, got.status, got.code(), got.message(), c.status, c.says)
		}
		if c.status == http.StatusForbidden && got.code() != "ExtensionError" {
			t.Errorf("%s: code %s", c.name, got.code())
		}
		if got.status == http.StatusCreated {
			s.graph("DELETE", "/subscriptions/"+got.text("id"), token, nil)
		}
	}
}

func TestWhatAPatchOfTheResourceDoes(t *testing.T) {
	s := start(t, nil)
	r := listen(t, s.Authority())
	token := s.userToken("anna")
	path := "/subscriptions/" + s.subscribe(token, presenceSub(r.URL, s.id("ben")))
	changes := 0
	told := func() int { return s.contoso().Ledger().Total.Due }
	shift := func(user string) int {
		before := told()
		changes++
		check(t, s.contoso().SetPresence(user, "Busy", fmt.Sprint("Activity", changes)))
		return told() - before
	}
	other := map[string]any{"resource": presenceSub(r.URL, s.id("clara"))["resource"], "expirationDateTime": time.Now().Add(50 * time.Minute)}
	for _, c := range []struct {
		answer            string
		status, ben, cara int
	}{{"reject", 400, 1, 0}, {"ignore", 200, 1, 0}, {"accept", 200, 0, 1}} {
		s.flip(func(w *graphsim.Switches) { w.PatchResource = c.answer })
		if got := s.graph("PATCH", path, token, other); got.status != c.status {
			t.Errorf("%s: %d %s", c.answer, got.status, got.message())
		}
		if ben, cara := shift("ben"), shift("clara"); ben != c.ben || cara != c.cara {
			t.Errorf("%s: told of ben %d times, of clara %d times", c.answer, ben, cara)
		}
	}
	for name, resource := range map[string]string{"events": "users/" + s.id("ben") + "/events", "too many": presenceSub(r.URL, manyIDs(651)...)["resource"].(string)} {
		if got := s.graph("PATCH", path, token, map[string]any{"resource": resource}); got.status != 400 {
			t.Errorf("%s: %d %s", name, got.status, got.message())
		}
	}
	s.graph("DELETE", path, token, nil)
	if n := shift("clara"); n != 0 {
		t.Errorf("told %d times after the end", n)
	}
}

func manyIDs(n int) []string {
	ids := make([]string, n)
	for i := range ids {
		ids[i] = fmt.Sprintf("%08x-0000-4000-8000-000000000000", i)
	}
	return ids
}

func TestABadPairIsAnsweredAsTheSwitchSays(t *testing.T) {
	s := start(t, writers)
	token := s.appToken(contoso)
	for _, c := range []struct {
		answer string
		status int
	}{{"BadRequest", 400}, {"InvalidArgument", 400}, {"Forbidden", 403}, {"ignore", 200}} {
		s.flip(func(w *graphsim.Switches) { w.BadPair = c.answer })
		for call, body := range map[string]map[string]any{"setPresence": session("Busy", "Busy", "PT10M"), "setUserPreferredPresence": pin("Busy", "InACall", "")} {
			got := s.write(token, call, body)
			if got.status != c.status || c.status >= 400 && got.code() != c.answer {
				t.Errorf("%s: %s answers %d %s", c.answer, call, got.status, got.code())
			}
		}
		if got := s.shows(token); got != "Available/Available" {
			t.Errorf("%s: shows %s", c.answer, got)
		}
	}
}

func TestValidationTokensNameTheIssuerOfTheSwitch(t *testing.T) {
	s := start(t, nil)
	r := listen(t, s.Authority())
	s.subscribe(s.userToken("anna"), richSub(r.URL, appKeys()[1], s.id("ben")))
	const old, common = "https://sts.windows.net/" + contoso + "/", "/" + contoso + "/v2.0"
	for i, c := range []struct{ issuer, version, want string }{
		{"version", "v2", s.LoginURL() + common}, {"version", "v1", old}, {"v1", "v2", old}, {"v1", "v1", old},
		{"national", "v2", "https://login.partner.microsoftonline.cn" + common}, {"national", "v1", "https://sts.chinacloudapi.cn/" + contoso + "/"},
	} {
		s.flip(func(w *graphsim.Switches) { w.ValidationIssuer, w.ValidationTokens = c.issuer, c.version })
		check(t, s.contoso().SetPresence("ben", "Busy", fmt.Sprint("Activity", i)))
		claims := jwt.MapClaims{}
		_, err := jwt.ParseWithClaims(r.wait(i + 1)[i].tokens[0].(string), claims, s.commonKey, jwt.WithValidMethods([]string{"RS256"}), jwt.WithIssuer(c.want))
		if err != nil {
			t.Errorf("%s of %s: %v, issuer %v", c.issuer, c.version, err, claims["iss"])
		}
	}
}

// A URL that hangs is slow by itself, or all of its host is.
func TestSlowIsAHostOrAURL(t *testing.T) {
	for _, by := range []string{"host", "url"} {
		t.Run(by, func(t *testing.T) {
			s := start(t, func(c *graphsim.Config) {
				c.Tenants[0].Switches.Endpoint = by
				c.Delivery.FirstAllowance, c.Delivery.RetryAllowance = 20*time.Millisecond, time.Minute
			})
			r := listen(t, s.Authority())
			gate := make(chan struct{})
			t.Cleanup(func() { close(gate) })
			r.set(func(r *receiver) { r.answer = func(string) int { <-gate; return http.StatusAccepted } })
			s.subscribe(s.userToken("anna"), presenceSub(r.URL+"/slow?key=1", s.id("ben")))
			for i := range 12 {
				check(t, s.contoso().SetPresence("ben", "Busy", fmt.Sprint("Activity", i)))
			}
			eventually(t, "slow", func() bool {
				for _, e := range s.Endpoints() {
					if e.State == graphsim.StateSlow {
						return true
					}
				}
				return false
			})
			s.subscribe(s.userToken("clara"), presenceSub(r.URL+"/quick", s.id("dora")))
			before := len(r.all())
			check(t, s.contoso().SetPresence("dora", "Busy", "Busy"))
			quick := func() bool {
				for _, p := range r.all()[before:] {
					if p.path == "/quick" {
						return true
					}
				}
				return false
			}
			if by == "url" {
				eventually(t, "the other URL is told at once", quick)
				return
			}
			// By host the notification waits for ten minutes: it has not even been queued.
			if state := s.Endpoints()[0]; len(s.Endpoints()) != 1 || state.State != graphsim.StateSlow || quick() {
				t.Errorf("%+v", s.Endpoints())
			}
		})
	}
}

// early counts the violations of a Retry-After.
func (s *sim) early() int {
	n := 0
	for _, v := range s.contoso().Violations() {
		if v.Kind == "early-retry" {
			n++
		}
	}
	return n
}

func TestARequestBeforeTheEndOfARetryAfterIsAViolation(t *testing.T) {
	const presences, calendars, lists, writes = "/communications/getPresencesByUserId", "/calendarView", "GET /subscriptions", "/subscriptions/"
	var ahead atomic.Int64
	s := start(t, func(c *graphsim.Config) {
		c.TokenLife = 24 * time.Hour
		c.Now = func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) }
	})
	token := s.appToken(contoso)
	ask := func(what string) int {
		t.Helper()
		switch what {
		case presences:
			return s.graph("POST", presences, token, map[string]any{"ids": []string{s.id("anna")}}).status
		case calendars:
			return s.graph("GET", viewPath(s.id("anna"), monday, monday.Add(time.Hour), ""), token, nil).status
		case "ben" + calendars:
			return s.graph("GET", viewPath(s.id("ben"), monday, monday.Add(time.Hour), ""), token, nil).status
		case lists:
			return s.graph("GET", "/subscriptions", token, nil).status
		case writes:
			return s.graph("DELETE", "/subscriptions/"+contoso, token, nil).status
		}
		return s.graph("GET", "/users", token, nil).status
	}
	throttle := func(path string, f graphsim.Fault) {
		f.Kind, f.Path, f.Count = graphsim.FaultStatus, path, 1
		_, err := s.contoso().Fault(f)
		check(t, err)
	}
	for _, c := range []struct {
		name     string
		path     string
		fault    graphsim.Fault
		first    string        // what is refused
		after    time.Duration // then
		second   string        // what is asked for
		violated bool
	}{
		{"in the same quota too early", presences, graphsim.Fault{RetryAfter: "30"}, presences, 29 * time.Second, presences, true},
		{"in the same quota in time", presences, graphsim.Fault{RetryAfter: "30"}, presences, 31 * time.Second, presences, false},
		{"a fraction of a second too early", presences, graphsim.Fault{RetryAfter: "3.75"}, presences, 3500 * time.Millisecond, presences, true},
		{"by an HTTP date too early", presences, graphsim.Fault{RetryDate: time.Minute}, presences, 50 * time.Second, presences, true},
		{"by an HTTP date in time", presences, graphsim.Fault{RetryDate: time.Minute}, presences, time.Minute, presences, false},
		{"after a 503 too early", presences, graphsim.Fault{Status: 503, RetryAfter: "30"}, presences, 29 * time.Second, presences, true},
		{"without a Retry-After", presences, graphsim.Fault{}, presences, 2 * time.Second, presences, false},
		{"what was on its way", presences, graphsim.Fault{RetryAfter: "30"}, presences, 0, presences, false},
		{"of another quota", presences, graphsim.Fault{RetryAfter: "30"}, presences, 29 * time.Second, "/users", false},
		{"of the mailbox too early", calendars, graphsim.Fault{RetryAfter: "30"}, calendars, 29 * time.Second, calendars, true},
		{"of another mailbox", calendars, graphsim.Fault{RetryAfter: "30"}, calendars, 29 * time.Second, "ben" + calendars, false},
		{"of the list of subscriptions too early", "/subscriptions", graphsim.Fault{RetryAfter: "30"}, lists, 29 * time.Second, lists, true},
		{"writing subscriptions while the list is throttled", "/subscriptions", graphsim.Fault{RetryAfter: "30"}, lists, 29 * time.Second, writes, false},
		{"writing subscriptions too early", "/subscriptions", graphsim.Fault{RetryAfter: "30"}, writes, 29 * time.Second, writes, true},
	} {
		ahead.Add(int64(time.Hour)) // whatever was asked for before is over
		before := s.early()
		throttle(c.path, c.fault)
		if status := ask(c.first); status != 429 && status != 503 {
			t.Fatalf("%s: the first answer is %d", c.name, status)
		}
		ahead.Add(int64(c.after))
		ask(c.second)
		if got := s.early() > before; got != c.violated {
			t.Errorf("%s: a violation: %v, %v", c.name, got, s.contoso().Violations())
		}
	}
}

// Inside of a batch each mailbox has its own respite; a batch that fails as a whole
// tells nobody of one.
func TestARespiteInABatchIsTheMailboxs(t *testing.T) {
	var ahead atomic.Int64
	s := start(t, func(c *graphsim.Config) {
		c.TokenLife = 24 * time.Hour
		c.Now = func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) }
	})
	token := s.appToken(contoso)
	batch := func(users ...string) {
		var requests []map[string]any
		for i, user := range users {
			requests = append(requests, map[string]any{"id": fmt.Sprint(i), "method": "GET", "url": viewPath(s.id(user), monday, monday.Add(time.Hour), "")})
		}
		s.graph("POST", "/$batch", token, map[string]any{"requests": requests})
	}
	throttled := func() {
		_, err := s.contoso().Fault(graphsim.Fault{Kind: graphsim.FaultStatus, Path: "calendarView", User: "anna", RetryAfter: "30", Count: 1})
		check(t, err)
		batch("anna", "ben")
		ahead.Add(int64(10 * time.Second))
	}
	throttled()
	batch("ben", "clara")
	if n := s.early(); n != 0 {
		t.Errorf("mailboxes that nobody throttled: %d", n)
	}
	batch("anna")
	if n := s.early(); n != 1 {
		t.Errorf("the throttled mailbox too early: %d", n)
	}
	ahead.Add(int64(time.Hour))
	s.flip(func(w *graphsim.Switches) { w.BatchThrottled = "outer" })
	throttled()
	batch("anna")
	if n := s.early(); n != 1 {
		t.Errorf("what a batch that failed as a whole did not tell: %d", n)
	}
}
