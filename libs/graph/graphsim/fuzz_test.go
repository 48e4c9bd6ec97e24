package graphsim

import (
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
)

func FuzzParseResource(f *testing.F) {
	const id = "11111111-1111-4111-8111-111111111111"
	for _, seed := range []string{
		"/communications/presences/" + id,
		"communications/presences?$filter=id in ('" + id + "', '" + strings.ToUpper(id) + "')",
		"communications/presences?%24filter=id%20in%20('" + id + "')",
		"/users/" + id + "/events?$select=id", "me/events", "users", "users/a@b.example", "communications/presences?$filter=id in ()", "%zz",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		r, failure := parseResource(text, id)
		if failure != nil {
			if failure.status != 400 || failure.message == "" {
				t.Fatalf("%q: %+v", text, failure)
			}
			return
		}
		if r.kind == presenceKind {
			if len(r.users) == 0 || len(r.users) > MaxPresenceIDs || !slices.IsSorted(r.users) {
				t.Fatalf("%q: %d users", text, len(r.users))
			}
			for _, user := range r.users {
				if !guidPattern.MatchString(user) || user != strings.ToLower(user) {
					t.Fatalf("%q: user %q", text, user)
				}
			}
		}
	})
}

func TestParseResource(t *testing.T) {
	const id = "11111111-1111-4111-8111-111111111111"
	cases := []struct {
		text  string
		kind  *resourceKind
		users []string
	}{
		{"/communications/presences/" + id, presenceKind, []string{id}},
		{"Communications/Presences/" + strings.ToUpper(id), presenceKind, []string{id}},
		{"communications/presences?$filter=id in ('" + id + "','" + id + "')", presenceKind, []string{id}},
		{"communications/presences?%24filter=id%20in%20('" + id + "')", presenceKind, []string{id}},
		{"users/anna@contoso.example/events", eventKind, []string{"anna@contoso.example"}},
		{"me/events", eventKind, []string{"me-id"}},
		{"/users", userKind, nil},
		{"users/" + id, userKind, []string{id}},
		{"communications/presences", nil, nil},
		{"communications/presences?$filter=id eq '" + id + "'", nil, nil},
	}
	for _, c := range cases {
		r, failure := parseResource(c.text, "me-id")
		if r.kind != c.kind || !slices.Equal(r.users, c.users) || (failure == nil) != (c.kind != nil) {
			t.Errorf("%s: %v %v %v", c.text, r.kind, r.users, failure)
		}
	}
}

func FuzzDeltaToken(f *testing.F) {
	f.Add(deltaToken{Tenant: "t", First: true, To: 3, Offset: 2}.text())
	f.Add(deltaToken{Tenant: "t", Issued: 1 << 40, From: 3, To: 1}.text()) // a round that runs backwards
	f.Add("e30")
	f.Add("")
	f.Fuzz(func(t *testing.T, token string) {
		tenant := &Tenant{id: "t", switches: Switches{}.withDefaults(), changes: 3, people: []*person{{id: "a"}, {id: "b", removed: "deleted"}}}
		for i := range 3 {
			tenant.log = append(tenant.log, change{uint64(i + 1), tenant.people[i%2]})
		}
		c := &call{server: &Server{config: Config{}.withDefaults()}, tenant: tenant}
		c.Request = httptest.NewRequest("GET", "/v1.0/users/delta", nil)
		round, failure := c.resume(token, false)
		if failure == nil {
			c.deltaPage(round, []string{"id"}) // must not panic
		}
	})
}
