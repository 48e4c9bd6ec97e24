package graphsim_test

import (
	"net/http"
	"net/url"
	"slices"
	"testing"

	"offhook.dev/libs/graph/graphsim"
)

const membersOf = "/transitiveMembers/microsoft.graph.user?$count=true&$select=id"

func (s *sim) must(err error) {
	s.t.Helper()
	if err != nil {
		s.t.Fatal(err)
	}
}

// group makes a group with members and returns its id.
func (s *sim) group(name string, members ...string) string {
	s.t.Helper()
	g, err := s.contoso().AddGroup("", name)
	s.must(err)
	for _, member := range members {
		s.must(s.contoso().Join(name, member))
	}
	return g.ID
}

// members follows the pages of a group's members.
func (s *sim) members(id, query string) (ids []string, pages int) {
	s.t.Helper()
	token := s.appToken(contoso)
	for next := "/groups/" + id + membersOf + query; next != ""; pages++ {
		got := s.graph(http.MethodGet, next, token, nil)
		if got.status != http.StatusOK {
			s.t.Fatalf("%s: %d %s", next, got.status, got.message())
		}
		for _, value := range got.values() {
			ids = append(ids, value["id"].(string))
		}
		next = got.text("@odata.nextLink")
	}
	return ids, pages
}

func TestAGroupHasItsMembersAndThoseOfGroupsInIt(t *testing.T) {
	s := start(t, nil)
	inner := s.group("Inner", "ben", "clara")
	outer := s.group("Outer", "anna", "ben", "Inner")
	s.must(s.contoso().Join("Inner", "Outer")) // a circle, as Graph allows one
	want := []string{s.id("anna"), s.id("ben"), s.id("clara")}
	slices.Sort(want)
	for _, id := range []string{inner, outer} {
		if got, _ := s.members(id, ""); !slices.Equal(got, want) {
			t.Errorf("%s has %v, want %v", id, got, want)
		}
	}
	s.must(s.contoso().Leave("Inner", "clara"))
	s.must(s.contoso().DeleteUser("ben", false))
	s.must(s.contoso().Leave("Outer", "nora")) // who is not in it
	if got, _ := s.members(outer, ""); !slices.Equal(got, []string{s.id("anna")}) {
		t.Errorf("left are %v", got)
	}
	s.must(s.contoso().DeleteGroup("Inner"))
	if g, err := s.contoso().Group("outer"); err != nil || !slices.Equal(g.Users, []string{"anna@contoso.example"}) || !slices.Equal(g.Members, []string{s.id("anna")}) {
		t.Errorf("%+v, %v", g, err)
	}
	got := s.graph(http.MethodGet, "/groups/"+outer+"?$select=id,displayName", s.appToken(contoso), nil)
	if got.status != http.StatusOK || got.text("displayName") != "Outer" || got.text("id") != outer {
		t.Errorf("%+v", got)
	}
}

func TestMembersComeInPages(t *testing.T) {
	s := start(t, nil)
	id := s.group("Everyone")
	all := s.contoso().UserIDs()
	for _, user := range all {
		s.must(s.contoso().Join("Everyone", user))
	}
	slices.Sort(all)
	for _, c := range []struct {
		query string
		pages int
	}{{"", 1}, {"&$top=7", 8}, {"&$top=49", 2}, {"&$top=50", 1}, {"&$top=999", 1}} {
		if got, pages := s.members(id, c.query); !slices.Equal(got, all) || pages != c.pages {
			t.Errorf("%q: %d users in %d pages, want %d in %d", c.query, len(got), pages, len(all), c.pages)
		}
	}
}

func TestGroupsAreFoundByNameAddressOrID(t *testing.T) {
	s := start(t, func(c *graphsim.Config) { c.Tenants[0].Switches.PageSize = 2 })
	ids := map[string]string{}
	for name, is := range map[string][2]string{"1": {"Support", ""}, "2": {"sUPPORT", "help@contoso.example"}, "3": {"Anna's", "Support"}, "4": {"Sales", ""}} {
		ids[name] = s.group(name)
		_, err := s.contoso().NameGroup(ids[name], is[0], is[1])
		s.must(err)
	}
	for _, c := range []struct {
		claim, filter string
		want          []string
	}{
		{"by name, in any case, page after page", "displayName eq 'support' or mail eq 'support'", []string{"1", "2", "3"}},
		{"by address", "mail eq 'HELP@contoso.example'", []string{"2"}},
		{"with a quotation mark", "displayName eq 'anna''s'", []string{"3"}},
		{"by id", "id eq '" + ids["4"] + "'", []string{"4"}},
		{"nobody", "displayName eq ''", nil},
		{"all", "", []string{"1", "2", "3", "4"}},
	} {
		var got, want []string
		query := url.Values{"$count": {"true"}, "$select": {"id,displayName,mail"}}
		if c.filter != "" {
			query.Set("$filter", c.filter)
		}
		for next := "/groups?" + query.Encode(); next != ""; {
			page := s.graph(http.MethodGet, next, s.appToken(contoso), nil)
			if page.status != http.StatusOK {
				t.Fatalf("%s: %d %s", c.claim, page.status, page.message())
			}
			for _, value := range page.values() {
				got = append(got, value["id"].(string))
			}
			next = page.text("@odata.nextLink")
		}
		for _, name := range c.want {
			want = append(want, ids[name])
		}
		slices.Sort(want)
		if !slices.Equal(got, want) {
			t.Errorf("%s: %v, want %v", c.claim, got, want)
		}
	}
}

func TestWhatCannotBeAskedOfAGroupIsRefused(t *testing.T) {
	s := start(t, nil)
	id := s.group("Support", "anna")
	token, none := s.appToken(contoso), "00000000-0000-4000-8000-000000000000"
	for _, c := range []struct {
		name, path string
		status     int
		code       string
	}{
		{"a group that there is not", "/groups/" + none, 404, "Request_ResourceNotFound"},
		{"its members", "/groups/" + none + membersOf, 404, "Request_ResourceNotFound"},
		{"a group by its name", "/groups/Support", 400, "Request_BadRequest"},
		{"members without $count", "/groups/" + id + "/transitiveMembers/microsoft.graph.user?$select=id", 400, "Request_UnsupportedQuery"},
		{"members that are filtered", "/groups/" + id + membersOf + "&$filter=x", 400, "Request_UnsupportedQuery"},
		{"a page of 1000", "/groups/" + id + membersOf + "&$top=1000", 400, "BadRequest"},
		{"groups by a filter that is none", "/groups?$filter=" + url.QueryEscape("displayName eq Support"), 400, "Request_UnsupportedQuery"},
		{"groups that are sorted", "/groups?$orderby=displayName", 400, "Request_UnsupportedQuery"},
		{"a property of groups that there is not", "/groups?$select=colour", 400, "BadRequest"},
		{"a property that there is not", "/groups/" + id + "?$select=colour", 400, "BadRequest"},
	} {
		if got := s.graph(http.MethodGet, c.path, token, nil); got.status != c.status || got.code() != c.code {
			t.Errorf("%s: %d %s, want %d %s", c.name, got.status, got.code(), c.status, c.code)
		}
	}
	s.must(s.contoso().Revoke(appID, "GroupMember.Read.All"))
	for _, path := range []string{"/groups", "/groups/" + id, "/groups/" + id + membersOf} {
		if got := s.graph(http.MethodGet, path, token, nil); got.status != http.StatusForbidden || got.code() != "Authorization_RequestDenied" {
			t.Errorf("without the permission %s: %d %s", path, got.status, got.code())
		}
	}
	if !slices.Contains(graphsim.DefaultRoles(), "GroupMember.Read.All") {
		t.Error("an app that names no roles cannot read groups")
	}
}
