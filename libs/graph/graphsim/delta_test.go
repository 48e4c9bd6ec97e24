package graphsim_test

import (
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"offhook.dev/libs/graph/graphsim"
)

// round follows a delta to its end and returns the last state of every item by id,
// the number of pages, and the deltaLink.
func (s *sim) round(token, link string) (items map[string]map[string]any, pages int, next string) {
	s.t.Helper()
	items = make(map[string]map[string]any)
	for {
		got := s.graph("GET", link, token, nil)
		if got.status != http.StatusOK {
			s.t.Fatalf("%s: %d %s", link, got.status, got.message())
		}
		pages++
		for _, item := range got.values() {
			items[fmt.Sprint(item["id"])] = item
		}
		more, end := got.text("@odata.nextLink"), got.text("@odata.deltaLink")
		if (more == "") == (end == "") {
			s.t.Fatalf("page with nextLink %q and deltaLink %q", more, end)
		}
		if end != "" {
			return items, pages, end
		}
		link = more
	}
}

func TestUserDelta(t *testing.T) {
	for _, path := range []string{"/users/delta", "/users/delta()", "/users/delta%28%29"} {
		for _, empty := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, empty pages %v", path, empty), func(t *testing.T) {
				s := start(t, func(c *graphsim.Config) { c.Tenants[0].Switches = graphsim.Switches{PageSize: 20, EmptyPages: empty} })
				deltaRounds(t, s, path, empty)
			})
		}
	}
}

func deltaRounds(t *testing.T, s *sim, path string, empty bool) {
	tenant, token := s.contoso(), s.appToken(contoso)
	items, pages, link := s.round(token, path+"?$select=displayName,mail")
	wantPages := 3
	if empty {
		wantPages = 6
	}
	if len(items) != 50 || pages != wantPages {
		t.Fatalf("first round: %d users on %d pages", len(items), pages)
	}
	if anna := items[s.id("anna")]; len(anna) != 3 || anna["mail"] != "anna@contoso.example" {
		t.Errorf("$select is not kept: %v", anna)
	}
	if items, _, link = s.round(token, link); len(items) != 0 {
		t.Errorf("nothing changed, got %v", items)
	}
	ben, clara := s.id("ben"), s.id("clara")
	kim, err := tenant.AddUser(graphsim.User{UserPrincipalName: "kim@contoso.example", GivenName: "Kim"})
	check(t, err)
	check(t, tenant.EditUser("anna", func(u *graphsim.User) { u.DisplayName = "Anna Neu" }))
	check(t, tenant.EditUser("anna", func(u *graphsim.User) { u.DisplayName = "Anna Neuer" }))
	check(t, tenant.DeleteUser("ben", true))
	check(t, tenant.DeleteUser("clara", false))
	before := link
	items, _, link = s.round(token, link)
	if len(items) != 4 || items[s.id("anna")]["displayName"] != "Anna Neuer" || items[kim.ID]["displayName"] != "Kim" {
		t.Errorf("second round: %v", items)
	}
	for id, reason := range map[string]string{ben: "deleted", clara: "changed"} {
		if removed, _ := items[id]["@removed"].(map[string]any); removed["reason"] != reason {
			t.Errorf("removed: %v, want %s", items[id], reason)
		}
	}
	if again, _, _ := s.round(token, before); len(again) != 4 {
		t.Errorf("a repeated link gives %d changes", len(again))
	}
	if items, _, _ = s.round(token, link); len(items) != 0 {
		t.Errorf("third round: %v", items)
	}
	if items, _, _ := s.round(token, "/users/delta?$deltatoken=latest"); len(items) != 0 {
		t.Errorf("from now on: %v", items)
	}
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestADeltaThatMustStartOver(t *testing.T) {
	var ahead atomic.Int64
	s := start(t, func(c *graphsim.Config) {
		c.TokenLife = 30 * 24 * time.Hour
		c.Now = func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) }
	})
	token := s.appToken(contoso)
	gone := func(link, location string) {
		t.Helper()
		got := s.graph("GET", link, token, nil)
		if got.status != http.StatusGone || got.code() != "syncStateNotFound" || !strings.HasSuffix(got.header.Get("Location"), location) {
			t.Errorf("%d %s, location %q", got.status, got.code(), got.header.Get("Location"))
		}
	}
	_, _, link := s.round(token, "/users/delta")
	s.contoso().ExpireDeltas()
	gone(link, "")
	check(t, s.contoso().Switch(func(w *graphsim.Switches) { w.GoneLocation = true }))
	gone(link, "/v1.0/users/delta?$deltatoken=")
	check(t, s.contoso().Switch(func(w *graphsim.Switches) { w.GoneStatus = 404 }))
	if got := s.graph("GET", link, token, nil); got.status != http.StatusNotFound || got.code() != "syncStateNotFound" {
		t.Errorf("with another status: %d %s", got.status, got.code())
	}
	check(t, s.contoso().Switch(func(w *graphsim.Switches) { w.GoneStatus = 0 }))
	items, _, link := s.round(token, s.GraphURL()+"/v1.0/users/delta?$deltatoken=")
	if len(items) != 50 {
		t.Errorf("the restart gives %d users", len(items))
	}
	ahead.Store(int64(8 * 24 * time.Hour))
	gone(link, "/v1.0/users/delta?$deltatoken=")
	for _, query := range []string{"$deltatoken=x", "$skiptoken=e30", "$top=5", "$filter=x", "$select=shoeSize"} {
		if got := s.graph("GET", "/users/delta?"+query, token, nil); got.status != http.StatusBadRequest {
			t.Errorf("%s: %d", query, got.status)
		}
	}
	if got := s.graph("GET", link, s.appToken(fabrikam), nil); got.status != http.StatusBadRequest {
		t.Errorf("fabrikam follows contoso's link: %d", got.status)
	}
}
