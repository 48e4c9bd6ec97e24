package graphsim_test

import (
	"fmt"
	"net/http"
	"sync"
	"testing"
	"time"

	"offhook.dev/libs/graph/graphsim"
)

// clock is a clock that tests move.
type clock struct {
	mu sync.Mutex
	at time.Time
}

func newClock() *clock { return &clock{at: time.Now()} }

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at
}

func (c *clock) add(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = c.at.Add(d)
}

func writers(c *graphsim.Config) {
	c.Tenants[0].Apps[0].Roles = append(graphsim.DefaultRoles(), "Presence.ReadWrite.All")
}

// write calls one of the operations that write anna's presence.
func (s *sim) write(token, call string, body map[string]any) reply {
	s.t.Helper()
	var content any
	if body != nil {
		content = body
	}
	return s.graph("POST", "/users/"+s.id("anna")+"/presence/"+call, token, content)
}

func session(availability, activity, life string) map[string]any {
	body := map[string]any{"sessionId": appID, "availability": availability, "activity": activity}
	if life != "" {
		body["expirationDuration"] = life
	}
	return body
}

func pin(availability, activity, life string) map[string]any {
	body := session(availability, activity, life)
	delete(body, "sessionId")
	return body
}

// shows is what Graph tells of anna.
func (s *sim) shows(token string) string {
	s.t.Helper()
	got := s.graph("GET", "/users/"+s.id("anna")+"/presence", token, nil)
	return got.text("availability") + "/" + got.text("activity")
}

func TestWhatAUserShowsIsThePreferenceThenTheStrongestSession(t *testing.T) {
	clock := newClock()
	s := start(t, func(c *graphsim.Config) { writers(c); c.Now, c.TokenLife = clock.now, 1000*time.Hour })
	token := s.appToken(contoso)
	do := func(call string, body map[string]any) func() {
		return func() {
			if got := s.write(token, call, body); got.status != http.StatusOK {
				t.Errorf("%s %v: %d %s", call, body, got.status, got.message())
			}
		}
	}
	teams := func(availability string) func() {
		return func() { check(t, s.contoso().SetPresence("anna", availability, "")) }
	}
	wait := func(d time.Duration) func() { return func() { clock.add(d) } }
	for _, each := range []struct {
		name string
		do   func()
		want string
	}{
		{"Teams is open", teams("Available"), "Available/Available"},
		{"on a call", do("setPresence", session("Busy", "InACall", "PT10M")), "Busy/InACall"},
		{"Teams is stronger", teams("DoNotDisturb"), "DoNotDisturb/DoNotDisturb"},
		{"Teams is weaker", teams("Away"), "Busy/InACall"},
		{"pinned over it", do("setUserPreferredPresence", pin("BeRightBack", "BeRightBack", "PT1H")), "BeRightBack/BeRightBack"},
		{"the session runs out", wait(10 * time.Minute), "BeRightBack/BeRightBack"},
		{"the pin runs out", wait(50 * time.Minute), "Away/Away"},
		{"on a call again", do("setPresence", session("Busy", "InACall", "PT5M")), "Busy/InACall"},
		{"the call ends", do("clearPresence", map[string]any{"sessionId": appID}), "Away/Away"},
		{"Teams is closed", teams("Offline"), "Offline/Offline"},
		{"a pin without a session", do("setUserPreferredPresence", pin("DoNotDisturb", "DoNotDisturb", "")), "Offline/Offline"},
		{"a session makes it visible", do("setPresence", session("Available", "Available", "PT1H")), "DoNotDisturb/DoNotDisturb"},
		{"unpinned", do("clearUserPreferredPresence", nil), "Available/Available"},
		{"an idle session after 5 minutes", wait(5 * time.Minute), "Available/AvailableInactive"},
		{"and after 10", wait(5 * time.Minute), "Away/Away"},
		{"set again", do("setPresence", session("Available", "Available", "PT1H")), "Available/Available"},
		{"pinned for the default of a day", do("setUserPreferredPresence", pin("Busy", "Busy", "")), "Busy/Busy"},
		{"the session is gone", wait(time.Hour), "Offline/Offline"},
		{"Teams is back", teams("Available"), "Busy/Busy"},
		{"the day is over", wait(23 * time.Hour), "Available/Available"},
		{"pinned for the default of a week", do("setUserPreferredPresence", pin("Offline", "OffWork", "")), "Offline/OffWork"},
		{"almost a week", wait(7*24*time.Hour - time.Second), "Offline/OffWork"},
		{"the week is over", wait(time.Second), "Available/Available"},
		{"a person pins in Teams", func() { check(t, s.contoso().PreferPresence("anna", "Away", "", time.Hour)) }, "Away/Away"},
		{"and unpins", func() { check(t, s.contoso().PreferPresence("anna", "", "", 0)) }, "Available/Available"},
	} {
		each.do()
		if got := s.shows(token); got != each.want {
			t.Fatalf("%s: %s, want %s", each.name, got, each.want)
		}
	}
}

func TestAWriteThatIsRefused(t *testing.T) {
	s := start(t, writers)
	token := s.appToken(contoso)
	for name, c := range map[string]struct {
		call   string
		body   map[string]any
		status int
	}{
		"Busy/Busy is no session":            {"setPresence", session("Busy", "Busy", "PT10M"), 400},
		"DoNotDisturb is no session":         {"setPresence", session("DoNotDisturb", "DoNotDisturb", "PT10M"), 400},
		"a session too short":                {"setPresence", session("Busy", "InACall", "PT4M59S"), 400},
		"a session too long":                 {"setPresence", session("Busy", "InACall", "PT4H1S"), 400},
		"a life that is none":                {"setPresence", session("Busy", "InACall", "10 minutes"), 400},
		"an empty life":                      {"setPresence", session("Busy", "InACall", "PT"), 400},
		"another app's session":              {"setPresence", map[string]any{"sessionId": otherApp, "availability": "Busy", "activity": "InACall"}, 400},
		"no session":                         {"setPresence", pin("Busy", "InACall", ""), 400},
		"the end of a session that is not":   {"clearPresence", map[string]any{"sessionId": appID}, 404},
		"nobody can be pinned to InACall":    {"setUserPreferredPresence", pin("Busy", "InACall", ""), 400},
		"nobody can be pinned for no time":   {"setUserPreferredPresence", pin("Busy", "Busy", "PT0S"), 400},
		"what is not there":                  {"setMood", pin("Busy", "Busy", ""), 400},
		"the end of a pin that is not is ok": {"clearUserPreferredPresence", nil, 200},
	} {
		if got := s.write(token, c.call, c.body); got.status != c.status {
			t.Errorf("%s: %d %s, want %d", name, got.status, got.message(), c.status)
		}
	}
	if got := s.shows(token); got != "Available/Available" {
		t.Errorf("shows %s after all that", got)
	}
	check(t, s.contoso().Revoke(appID, "Presence.ReadWrite.All"))
	if got := s.write(token, "setPresence", session("Busy", "InACall", "PT10M")); got.status != http.StatusForbidden {
		t.Errorf("without the permission: %d", got.status)
	}
	if got := s.graph("POST", "/users/"+contoso+"/presence/setPresence", token, session("Busy", "InACall", "PT10M")); got.status != 403 {
		t.Errorf("nobody's, without the permission: %d", got.status)
	}
}

func TestWritesAreCountedByUserAndNotifiedWhereTheyShow(t *testing.T) {
	s := start(t, writers)
	r := listen(t, s.Authority())
	token, delegated := s.appToken(contoso), s.userToken("zoe")
	if got := s.graph("POST", "/subscriptions", delegated, presenceSub(r.URL, s.id("anna"))); got.status != http.StatusCreated {
		t.Fatalf("%d %s", got.status, got.message())
	}
	s.write(token, "setPresence", session("Busy", "InACall", "PT10M"))                  // shows
	s.write(token, "setPresence", session("Busy", "InACall", "PT10M"))                  // renews
	s.write(token, "setUserPreferredPresence", pin("DoNotDisturb", "DoNotDisturb", "")) // shows
	s.write(token, "clearPresence", map[string]any{"sessionId": appID})                 // hidden by the pin
	s.write(token, "clearPresence", map[string]any{"sessionId": appID})                 // 404
	s.write(token, "clearUserPreferredPresence", nil)                                   // shows
	writes := s.contoso().PresenceWrites()
	if got := writes.Users[s.id("anna")]; got != (graphsim.PresenceTally{Changed: 4, Renewed: 1, Refused: 1}) || len(writes.Users) != 1 || len(writes.Last) != 6 {
		t.Errorf("%+v, %d in all", got, len(writes.Last))
	}
	if last := writes.Last[4]; last.Call != "clearPresence" || last.Status != 404 || last.Changed {
		t.Errorf("%+v", last)
	}
	eventually(t, "three notifications", func() bool { return s.contoso().Ledger().Total.Accepted == 3 })
	if due := s.contoso().Ledger().Total.Due; due != 3 {
		t.Errorf("%d notifications, want one for each change that shows", due)
	}
}

func TestASessionAgesWithAClockThatRunsFaster(t *testing.T) {
	s := start(t, func(c *graphsim.Config) { writers(c); c.TimeScale = 1500 })
	token := s.appToken(contoso)
	check(t, s.contoso().SetPresence("anna", "Offline", ""))
	r := listen(t, s.Authority())
	if got := s.graph("POST", "/subscriptions", s.userToken("zoe"), presenceSub(r.URL, s.id("anna"))); got.status != http.StatusCreated {
		t.Fatalf("%d %s", got.status, got.message())
	}
	s.write(token, "setPresence", session("Available", "Available", "PT15M")) // 600 ms
	// Available, inactive, away, offline: nobody has to look for it to happen.
	eventually(t, "four notifications", func() bool { return s.contoso().Ledger().Total.Accepted == 4 })
	if got := s.shows(token); got != "Offline/Offline" {
		t.Errorf("shows %s", got)
	}
}

func TestWhatACloudLacks(t *testing.T) {
	for cloud, want := range map[string]struct{ read, write, subscribe, view int }{
		"global": {200, 200, 201, 200}, "usgov": {200, 200, 400, 200}, "dod": {200, 200, 400, 200}, "china": {400, 400, 400, 200},
	} {
		t.Run(cloud, func(t *testing.T) {
			s := start(t, func(c *graphsim.Config) { writers(c); c.Tenants[0].Switches.Cloud = cloud })
			r := listen(t, s.Authority())
			token, delegated, anna := s.appToken(contoso), s.userToken("zoe"), s.id("anna")
			read := s.graph("POST", "/communications/getPresencesByUserId", token, map[string]any{"ids": []string{anna}})
			got := fmt.Sprint(read.status, s.write(token, "setPresence", session("Busy", "InACall", "PT10M")).status,
				s.graph("POST", "/subscriptions", delegated, presenceSub(r.URL, anna)).status,
				s.graph("GET", viewPath(anna, monday, monday.Add(time.Hour), ""), token, nil).status)
			if got != fmt.Sprint(want.read, want.write, want.subscribe, want.view) {
				t.Errorf("read, write, subscribe, view: %s, want %v", got, want)
			}
			if read.status == 200 {
				if _, there := read.values()[0]["sequenceNumber"]; there != (cloud == "global") {
					t.Errorf("a sequence number is there: %v", there)
				}
			}
		})
	}
}

// Seen in the field: a session ends after five minutes, whatever it was granted. The
// answer is the same.
func TestASessionCanFadeBeforeItsTime(t *testing.T) {
	clock := newClock()
	s := start(t, func(c *graphsim.Config) { writers(c); c.Now, c.TokenLife = clock.now, 1000*time.Hour })
	token := s.appToken(contoso)
	check(t, s.contoso().SetPresence("anna", "Available", ""))
	fault, err := s.contoso().Fault(graphsim.Fault{Kind: graphsim.FaultFade, User: "anna"})
	check(t, err)
	for _, step := range []struct {
		after time.Duration
		want  string
	}{{0, "Busy/InACall"}, {4 * time.Minute, "Busy/InACall"}, {2 * time.Minute, "Available/Available"}} {
		if step.after == 0 {
			if got := s.write(token, "setPresence", session("Busy", "InACall", "PT1H")); got.status != http.StatusOK {
				t.Fatalf("%d %s", got.status, got.message())
			}
		}
		clock.add(step.after)
		if got := s.shows(token); got != step.want {
			t.Errorf("%v later it shows %s, want %s", step.after, got, step.want)
		}
	}
	check(t, s.contoso().ClearFault(fault))
	s.write(token, "setPresence", session("Busy", "InACall", "PT1H"))
	clock.add(59 * time.Minute)
	if got := s.shows(token); got != "Busy/InACall" {
		t.Errorf("the control: without the fault it shows %s after 59 minutes", got)
	}
}
