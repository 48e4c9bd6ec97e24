package graphsim_test

import (
	"net/http"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"offhook.dev/libs/graph/graphsim"
)

func TestTokensThatGraphRefuses(t *testing.T) {
	var ahead atomic.Int64 // how far the simulator's clock is ahead
	s := start(t, func(c *graphsim.Config) {
		c.Now = func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) }
	})
	other := start(t, nil)
	token := s.appToken(contoso)
	cases := []struct{ name, token, message string }{
		{"none", "", "Access token is empty."},
		{"not a token", "abc", "CompactToken parsing failed with error code: 80049217"},
		{"of another Entra", other.appToken(contoso), "Signing key is invalid."},
		{"with a changed signature", token[:len(token)-4] + "AAAA", "Signing key is invalid."},
	}
	for _, c := range cases {
		got := s.graph("GET", "/users", c.token, nil)
		if got.status != http.StatusUnauthorized || got.code() != "InvalidAuthenticationToken" || got.message() != c.message {
			t.Errorf("%s: %d %s %q", c.name, got.status, got.code(), got.message())
		}
		if !strings.HasPrefix(got.header.Get("WWW-Authenticate"), "Bearer ") {
			t.Errorf("%s: no challenge", c.name)
		}
	}
	if got := s.graph("GET", "/users", token, nil); got.status != http.StatusOK {
		t.Fatalf("a good token: %d", got.status)
	}
	ahead.Store(int64(61 * time.Minute))
	if got := s.graph("GET", "/users", token, nil); got.message() != "Lifetime validation failed, the token is expired." {
		t.Errorf("an hour later: %d %s", got.status, got.message())
	}
}

func TestATokenReadsItsOwnTenantOnly(t *testing.T) {
	s := start(t, nil)
	if got := s.graph("GET", "/users/"+s.id("anna"), s.appToken(fabrikam), nil); got.status != http.StatusNotFound {
		t.Errorf("fabrikam reads contoso's anna: %d", got.status)
	}
	users := s.graph("GET", "/users", s.appToken(fabrikam), nil).values()
	if len(users) != 3 || users[0]["mail"] != "anna@fabrikam.example" {
		t.Errorf("fabrikam's users: %v", users)
	}
}

func TestAWithdrawnPermissionIsMissedAtOnceAndComesBackWithANewToken(t *testing.T) {
	s := start(t, nil)
	token := s.appToken(contoso)
	path := "/users/" + s.id("anna") + "/presence"
	if got := s.graph("GET", path, token, nil); got.status != http.StatusOK {
		t.Fatalf("before: %d", got.status)
	}
	if err := s.contoso().Revoke(appID, "Presence.Read.All"); err != nil {
		t.Fatal(err)
	}
	if got := s.graph("GET", path, token, nil); got.status != http.StatusForbidden || got.code() != "Forbidden" {
		t.Errorf("withdrawn: %d %s", got.status, got.code())
	}
	without := s.appToken(contoso)
	if err := s.contoso().Grant(appID, "Presence.Read.All"); err != nil {
		t.Fatal(err)
	}
	if got := s.graph("GET", path, without, nil); got.status != http.StatusForbidden {
		t.Errorf("a token from before the consent: %d", got.status)
	}
	if got := s.graph("GET", path, s.appToken(contoso), nil); got.status != http.StatusOK {
		t.Errorf("granted: %d", got.status)
	}
	if err := s.contoso().Revoke(appID, "User.Read.All"); err != nil {
		t.Fatal(err)
	}
	if got := s.graph("GET", "/users", s.appToken(contoso), nil); got.code() != "Authorization_RequestDenied" {
		t.Errorf("users: %d %s", got.status, got.code())
	}
	if got := s.graph("GET", "/me", token, nil); got.status != http.StatusForbidden {
		t.Errorf("an application is nobody, but /me says %d", got.status)
	}
}

func TestUsersAreTheSameInEveryRun(t *testing.T) {
	first, second := start(t, nil), start(t, func(c *graphsim.Config) { c.Seed = 2 })
	for _, name := range []string{"anna", "ben", "clara"} {
		a, err := first.contoso().User(name)
		if err != nil {
			t.Fatal(err)
		}
		b, err := second.contoso().User(name + "@contoso.example")
		if err != nil {
			t.Fatal(err)
		}
		if a.ID != b.ID || a.UserPrincipalName != name+"@contoso.example" || a.Mail != a.UserPrincipalName || a.UserType != "Member" {
			t.Errorf("%+v and %+v", a, b)
		}
	}
	if f, err := first.Tenant("fabrikam").User("anna"); err != nil || f.ID == first.id("anna") {
		t.Errorf("two tenants share a user id: %v", err)
	}
}

func TestListUsers(t *testing.T) {
	s := start(t, nil)
	token := s.appToken(contoso)
	first := s.graph("GET", "/users?$top=20&$count=true&$select=id,userPrincipalName", token, nil)
	if first.body["@odata.count"] != float64(50) || len(first.values()) != 20 || len(first.values()[0]) != 2 {
		t.Fatalf("first page: %d users of %v, %v", len(first.values()), first.body["@odata.count"], first.values()[0])
	}
	seen := make(map[any]bool)
	for page := first; ; page = s.graph("GET", page.text("@odata.nextLink"), token, nil) {
		for _, u := range page.values() {
			seen[u["id"]] = true
		}
		if page.text("@odata.nextLink") == "" {
			break
		}
		if !strings.HasPrefix(page.text("@odata.nextLink"), s.GraphURL()+"/v1.0/users?") {
			t.Fatalf("a link to elsewhere: %s", page.text("@odata.nextLink"))
		}
	}
	if len(seen) != 50 {
		t.Errorf("%d users by paging", len(seen))
	}
	for _, query := range []string{"$top=0", "$top=1000", "$select=shoeSize", "$filter=x", "$skiptoken=x"} {
		if got := s.graph("GET", "/users?"+query, token, nil); got.status != http.StatusBadRequest || got.code() == "" {
			t.Errorf("%s: %d", query, got.status)
		}
	}
}

func TestGetUserAndOrganization(t *testing.T) {
	s := start(t, nil)
	token := s.appToken(contoso)
	for _, ref := range []string{s.id("anna"), strings.ToUpper(s.id("anna")), "anna@contoso.example"} {
		got := s.graph("GET", "/users/"+ref+"?$select=displayName,mail,accountEnabled,department", token, nil)
		if got.status != http.StatusOK || got.text("mail") != "anna@contoso.example" || got.body["accountEnabled"] != true {
			t.Errorf("%s: %d %v", ref, got.status, got.body)
		}
	}
	for _, ref := range []string{"anna", "nobody@contoso.example", "anna@fabrikam.example", contoso} {
		if got := s.graph("GET", "/users/"+ref, token, nil); got.status != http.StatusNotFound || got.code() != "Request_ResourceNotFound" {
			t.Errorf("%s: %d %s", ref, got.status, got.code())
		}
	}
	got := s.graph("GET", "/organization?$select=id,displayName", token, nil).values()
	if len(got) != 1 || got[0]["id"] != contoso || len(got[0]) != 2 {
		t.Errorf("organization: %v", got)
	}
	if got := s.graph("GET", "/planner/tasks", token, nil); got.status != http.StatusBadRequest || got.code() != "BadRequest" {
		t.Errorf("a path that is not there: %d %s", got.status, got.code())
	}
}

func TestPresenceFollowsTheTruth(t *testing.T) {
	s := start(t, nil)
	token := s.appToken(contoso)
	read := func() reply { return s.graph("GET", "/users/"+s.id("anna")+"/presence", token, nil) }
	last := read()
	if last.text("availability") != "Available" || last.text("id") != s.id("anna") {
		t.Fatalf("at first: %v", last.body)
	}
	for _, pair := range [][2]string{{"Busy", "InAMeeting"}, {"Away", "Away"}, {"Busy", "InACall"}} {
		if err := s.contoso().SetPresence("anna", pair[0], pair[1]); err != nil {
			t.Fatal(err)
		}
		got := read()
		if got.text("availability") != pair[0] || got.text("activity") != pair[1] {
			t.Errorf("got %v, want %v", got.body, pair)
		}
		if got.text("sequenceNumber") <= last.text("sequenceNumber") {
			t.Errorf("sequence %q after %q", got.text("sequenceNumber"), last.text("sequenceNumber"))
		}
		last = got
	}
	if err := s.contoso().SetPresence("anna", "Busy", "InACall"); err != nil || read().text("sequenceNumber") != last.text("sequenceNumber") {
		t.Errorf("the same again is a change (%v)", err)
	}
	if err := s.contoso().SetPresence("nobody", "Busy", ""); err == nil {
		t.Error("a presence of nobody")
	}
	if err := s.contoso().Switch(func(w *graphsim.Switches) { w.Casing = "camel" }); err != nil {
		t.Fatal(err)
	}
	if got := read(); got.text("availability") != "busy" || got.text("activity") != "inACall" {
		t.Errorf("camel: %v", got.body)
	}
	truth := s.contoso().Truth()
	if len(truth) != 50 {
		t.Errorf("%d truths", len(truth))
	}
	for _, p := range truth {
		if p.User == "anna@contoso.example" && (p.Activity != "InACall" || p.Since.IsZero() || p.Sequence != last.text("sequenceNumber")) {
			t.Errorf("truth: %+v", p)
		}
	}
}

func TestGetPresencesByUserID(t *testing.T) {
	s := start(t, func(c *graphsim.Config) { c.Tenants[0].Users = 700 })
	token := s.appToken(contoso)
	ask := func(ids any) reply {
		return s.graph("POST", "/communications/getPresencesByUserId", token, map[string]any{"ids": ids})
	}
	ids := s.contoso().UserIDs()
	if got := ask(ids[:650]); got.status != http.StatusOK || len(got.values()) != 650 {
		t.Errorf("650: %d with %d", got.status, len(got.values()))
	}
	for name, list := range map[string]any{"651": ids[:651], "none": []string{}, "no GUID": []string{"anna"}, "no list": 7} {
		if got := ask(list); got.status != http.StatusBadRequest || got.code() != "BadRequest" {
			t.Errorf("%s: %d %s", name, got.status, got.code())
		}
	}
	mixed := []string{ids[0], contoso, strings.ToUpper(ids[1])}
	for choice, want := range map[string]int{"omit": 2, "unknown": 3, "error": 0} {
		if err := s.contoso().Switch(func(w *graphsim.Switches) { w.UnknownIDs = choice }); err != nil {
			t.Fatal(err)
		}
		got := ask(mixed)
		if len(got.values()) != want || (choice == "error") != (got.status == http.StatusNotFound) {
			t.Errorf("%s: %d with %d", choice, got.status, len(got.values()))
		}
		if choice == "unknown" && got.values()[1]["availability"] != "PresenceUnknown" {
			t.Errorf("unknown: %v", got.values()[1])
		}
	}
	if err := s.contoso().Switch(func(w *graphsim.Switches) { w.UnknownIDs = "perhaps" }); err == nil {
		t.Error("a switch to nowhere")
	}
}

func TestAHundredThousandUsersAreCheap(t *testing.T) {
	began := worked(t)
	s := start(t, func(c *graphsim.Config) { c.Tenants[0].Users = 100_000 })
	ids := s.contoso().UserIDs()
	unique := make(map[string]bool, len(ids))
	for _, id := range ids {
		unique[id] = true
	}
	if len(unique) != 100_000 {
		t.Fatalf("%d different ids", len(unique))
	}
	if users := s.contoso().Users("zimmer", 5000); len(users) < 1000 {
		t.Errorf("%d people named Zimmer", len(users))
	}
	token := s.appToken(contoso)
	for range 20 {
		if got := s.graph("POST", "/communications/getPresencesByUserId", token, map[string]any{"ids": ids[99_000:99_650]}); len(got.values()) != 650 {
			t.Fatalf("%d presences", len(got.values()))
		}
	}
	if took := worked(t) - began; took > 20*time.Second { // a bound against O(all) work, not a benchmark
		t.Errorf("took %s of a processor", took)
	}
}

// worked is how long this process has kept processors busy: what else the machine
// does is not in it.
func worked(t *testing.T) time.Duration {
	t.Helper()
	var used syscall.Rusage
	check(t, syscall.Getrusage(syscall.RUSAGE_SELF, &used))
	return time.Duration(used.Utime.Nano() + used.Stime.Nano())
}

func TestRequestsAreCounted(t *testing.T) {
	s := start(t, nil)
	token := s.appToken(contoso)
	s.graph("GET", "/users/"+s.id("anna"), token, nil)
	s.graph("GET", "/users/nobody@contoso.example", token, nil)
	got := s.Requests()
	if got.Of("GET", "/v1.0/users/{user}", 0) != 2 || got.Of("GET", "/v1.0/users/{user}", 404) != 1 ||
		got.Of("POST", "/{tenant}/oauth2/v2.0/token", 200) != 1 || got.MaxConcurrent != 1 {
		t.Errorf("%+v", got)
	}
}
