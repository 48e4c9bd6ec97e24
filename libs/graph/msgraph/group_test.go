package msgraph_test

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"offhook.dev/libs/core/fault"
	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/graph"
	"offhook.dev/libs/graph/graphsim"
)

const membersPath = "/v1.0/groups/{group}/transitiveMembers/microsoft.graph.user"

func (s simulated) group(t *testing.T, name string, members ...string) identity.Group {
	t.Helper()
	g, err := s.tenant.AddGroup("", name)
	for _, member := range members {
		if err == nil {
			err = s.tenant.Join(name, member)
		}
	}
	if err != nil {
		t.Fatal(err)
	}
	return identity.Group(g.ID)
}

func TestAGroupIsReadWholeWithTheGroupsInIt(t *testing.T) {
	sim := simulate(t, 1200)
	all := sim.ids(t)
	members := []string{"Inner"}
	for _, id := range all[5:] {
		members = append(members, string(id))
	}
	sim.group(t, "Inner", "anna", "ben")
	id := sim.group(t, "Everyone", members...)
	group, err := sim.client.GroupMembers(t.Context(), id)
	want := slices.Concat(all[5:], all[:2])
	slices.Sort(want)
	if err != nil || group.ID != id || group.Name != "Everyone" || !slices.Equal(group.Members, want) {
		t.Fatalf("%q has %d members, %v; want %d", group.Name, len(group.Members), err, len(want))
	}
	if n := sim.server.Requests().Of(http.MethodGet, membersPath, http.StatusOK); n != 2 {
		t.Errorf("%d pages of up to 999 for %d users", n, len(want))
	}
	empty, err := sim.client.GroupMembers(t.Context(), sim.group(t, "Nobody"))
	if err != nil || len(empty.Members) != 0 {
		t.Errorf("an empty group: %+v, %v", empty, err)
	}
}

func TestAGroupThatCannotBeReadIsNoEmptyGroup(t *testing.T) {
	sim := simulate(t, 1200)
	members := sim.tenant.UserIDs()
	id := sim.group(t, "Everyone", members...)
	page := func(status int, retryAfter string) func() error {
		return func() error {
			_, err := sim.tenant.Fault(graphsim.Fault{Kind: graphsim.FaultStatus, Path: "/transitiveMembers", Status: status, RetryAfter: retryAfter})
			return err
		}
	}
	for _, c := range []struct {
		name string
		does func() error
		kind fault.Kind
		id   identity.Group
	}{
		{"one that there is not", func() error { return nil }, fault.NotFound, "00000000-0000-4000-8000-000000000000"},
		{"something that is no id", func() error { return nil }, fault.Invalid, "Everyone?x="},
		{"a page that fails", page(500, ""), fault.Unavailable, id},
		{"one without the permission", func() error { return sim.tenant.Revoke(appID, "GroupMember.Read.All") }, fault.Denied, id},
		{"a throttled page", page(429, "600"), fault.Throttled, id}, // the last: the client remembers it
	} {
		if err := c.does(); err != nil {
			t.Fatal(err)
		}
		if group, err := sim.client.GroupMembers(t.Context(), c.id); fault.KindOf(err) != c.kind || len(group.Members) > 0 {
			t.Errorf("%s: %d members, %v; want %v", c.name, len(group.Members), err, c.kind)
		}
		sim.tenant.ClearFaults()
		if err := sim.tenant.Grant(appID, "GroupMember.Read.All"); err != nil {
			t.Fatal(err)
		}
	}
}

// groupHost is a Graph with one group, whose pages of members are all the same but for
// {next}: the link to the page after it.
func groupHost(t *testing.T, page string) *stage {
	return newStage(t, func(n int, w http.ResponseWriter, r *http.Request) {
		if n == 0 {
			reply(w, http.StatusOK, `{"displayName":"Support"}`)
			return
		}
		next := url.URL{Scheme: "https", Host: r.Host, Path: r.URL.Path, RawQuery: fmt.Sprintf("$skiptoken=%d", n)}
		reply(w, http.StatusOK, strings.ReplaceAll(page, "{next}", next.String()))
	})
}

const someGroup = identity.Group("10000000-0000-4000-8000-000000000000")

func TestAPageOfMembersThatIsNotAsItShouldBeFailsTheGroup(t *testing.T) {
	for _, c := range []struct {
		name, page string
		kind       fault.Kind
	}{
		{"a link to another host", `{"value":[],"@odata.nextLink":"https://graph.elsewhere.example/v1.0/groups"}`, fault.Invalid},
		{"pages without an end", `{"value":[],"@odata.nextLink":"{next}"}`, fault.Unknown},
		{"too many users", `{"value":[` + strings.Repeat(`{"id":"00000000-0000-4000-8000-000000000001"},`, graph.GroupPage-1) +
			`{"id":"00000000-0000-4000-8000-000000000002"}],"@odata.nextLink":"{next}"}`, fault.Unsupported},
		{"a member without an object id", `{"value":[{"id":"anna"}]}`, fault.Unknown},
		{"no list", `{}`, fault.Unknown},
		{"no JSON", `<html>`, fault.Unknown},
	} {
		t.Run(c.name, func(t *testing.T) {
			host := groupHost(t, c.page)
			group, err := host.client(t, nil).GroupMembers(t.Context(), someGroup)
			if fault.KindOf(err) != c.kind || len(group.Members) > 0 {
				t.Errorf("%+v, %v; want %v", group, err, c.kind)
			}
		})
	}
}

// An OData cast is an advanced query: without the header Graph refuses a page, also a
// later one.
func TestEveryPageOfMembersIsAskedForAsAnAdvancedQuery(t *testing.T) {
	last := false
	host := newStage(t, func(n int, w http.ResponseWriter, r *http.Request) {
		switch n {
		case 0:
			reply(w, http.StatusOK, `{"displayName":"Support"}`)
		case 1:
			reply(w, http.StatusOK, `{"@odata.count":2,"value":[{"id":"00000000-0000-4000-8000-00000000000B"}],"@odata.nextLink":"https://`+r.Host+r.URL.Path+`?$skiptoken=b"}`)
		default:
			last = true
			reply(w, http.StatusOK, `{"value":[{"id":"00000000-0000-4000-8000-00000000000A"},{"id":"00000000-0000-4000-8000-00000000000B"}]}`)
		}
	})
	group, err := host.client(t, nil).GroupMembers(t.Context(), someGroup)
	if err != nil || !last || !slices.Equal(group.Members, []identity.User{"00000000-0000-4000-8000-00000000000a", "00000000-0000-4000-8000-00000000000b"}) {
		t.Fatalf("%+v, %v", group, err)
	}
	for _, a := range host.seen()[1:] {
		if a.header.Get("ConsistencyLevel") != "eventual" || a.path != "/v1.0/groups/"+string(someGroup)+"/transitiveMembers/microsoft.graph.user" {
			t.Errorf("%s %v", a.path, a.header)
		}
	}
	if query, err := url.ParseQuery(host.seen()[1].query); err != nil || query.Get("$count") != "true" || query.Get("$select") != "id" || query.Get("$top") != "999" {
		t.Errorf("%v, %v", query, err)
	}
}

func TestGroupsAreFoundByWhatPeopleCallThem(t *testing.T) {
	sim := simulate(t, 3)
	one, two := sim.group(t, "A & B's", "anna"), sim.group(t, "other")
	if _, err := sim.tenant.NameGroup(string(two), "Two", "a&b@contoso.example"); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		claim, name string
		want        []graph.Group
	}{
		{"by name, with all that is special in a URL and a filter", "a & b'S", []graph.Group{{ID: one, Name: "A & B's"}}},
		{"by mail address", "A&B@contoso.example", []graph.Group{{ID: two, Name: "Two", Mail: "a&b@contoso.example"}}},
		{"by object id", strings.ToUpper(string(two)), []graph.Group{{ID: two, Name: "Two", Mail: "a&b@contoso.example"}}},
		{"none", "other", nil},
	} {
		if got, err := sim.client.GroupsCalled(t.Context(), c.name); err != nil || !slices.EqualFunc(got, c.want, func(a, b graph.Group) bool { return a.ID == b.ID && a.Name == b.Name && a.Mail == b.Mail }) {
			t.Errorf("%s: %+v, %v", c.claim, got, err)
		}
	}
	if err := sim.tenant.Revoke(appID, "GroupMember.Read.All"); err != nil {
		t.Fatal(err)
	}
	if _, err := sim.client.GroupsCalled(t.Context(), "Two"); fault.KindOf(err) != fault.Denied {
		t.Errorf("without the permission: %v", err)
	}
}

func TestAListOfGroupsThatIsNotAsItShouldBeIsNoAnswer(t *testing.T) {
	group := func(n int) string { return fmt.Sprintf(`{"id":"00000000-0000-4000-8000-%012d"}`, n) }
	for _, c := range []struct {
		name  string
		pages []string // {next} is the link to the page after it
		found int
		kind  fault.Kind // where none is found
	}{
		{"empty pages before the one with the groups", []string{`{"value":[],"@odata.nextLink":"{next}"}`, `{"value":[` + group(1) + `],"@odata.nextLink":"{next}"}`, `{"value":[` + group(2) + `]}`}, 2, 0},
		{"two are enough", []string{`{"value":[` + group(1) + `,` + group(2) + `],"@odata.nextLink":"{next}"}`, `<html>`}, 2, 0},
		{"a link to another host", []string{`{"value":[],"@odata.nextLink":"https://graph.elsewhere.example/v1.0/groups"}`}, 0, fault.Invalid},
		{"pages without an end", []string{`{"value":[],"@odata.nextLink":"{next}"}`}, 0, fault.Unknown},
		{"a group without an object id", []string{`{"value":[{"id":"Support"}]}`}, 0, fault.Unknown},
		{"no list", []string{`{}`}, 0, fault.Unknown},
		{"no JSON", []string{`<html>`}, 0, fault.Unknown},
	} {
		t.Run(c.name, func(t *testing.T) {
			host := newStage(t, func(n int, w http.ResponseWriter, r *http.Request) {
				next := url.URL{Scheme: "https", Host: r.Host, Path: r.URL.Path, RawQuery: fmt.Sprintf("$skiptoken=%d", n)}
				reply(w, http.StatusOK, strings.ReplaceAll(c.pages[min(n, len(c.pages)-1)], "{next}", next.String()))
			})
			found, err := host.client(t, nil).GroupsCalled(t.Context(), "Support")
			if (err == nil) != (c.found > 0) || err != nil && fault.KindOf(err) != c.kind || len(found) != c.found {
				t.Errorf("%+v, %v; want %d, %v", found, err, c.found, c.kind)
			}
		})
	}
}
