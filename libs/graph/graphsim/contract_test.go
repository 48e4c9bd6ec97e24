package graphsim_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"offhook.dev/libs/contracttest"
	"offhook.dev/libs/graph/graphsim"
)

// graphContract returns the contract of Microsoft Graph, or nil where its file is
// absent.
func graphContract(t *testing.T) *contracttest.Contract {
	t.Helper()
	c := contracttest.Open(t, "graph-openapi-subset.yaml", "/v1.0")
	if c != nil {
		// OData lets a function without parameters be called with or without
		// parentheses; the file has it without, Microsoft's SDK calls it with. The file has
		// no casts: a list of users is a list of directory objects.
		c.Spelling = func(path string) string {
			return strings.TrimSuffix(strings.TrimSuffix(path, "()"), "/microsoft.graph.user")
		}
	}
	return c
}

type exchange = contracttest.Exchange

// guarded is a simulator whose Graph is called through a gate.
type guarded struct {
	*sim
	gate *contracttest.Gate
}

func guard(t *testing.T, c *contracttest.Contract, edit func(*graphsim.Config)) guarded {
	t.Helper()
	s := start(t, edit)
	return guarded{s, contracttest.NewGate(t, s.Authority(), s.GraphURL(), c)}
}

// ask calls Graph through the gate; path may be a link. The answer's status must be
// status.
func (g guarded) ask(method, path, token string, body any, status int) reply {
	g.t.Helper()
	if !strings.HasPrefix(path, "https://") {
		path = g.gate.URL + "/v1.0" + path
	}
	if !strings.HasPrefix(path, g.gate.URL) {
		g.t.Fatalf("%s leads around the gate", path)
	}
	got := g.graph(method, path, token, body)
	if got.status != status {
		g.t.Fatalf("%s %s: %d %s %s, want %d", method, path, got.status, got.code(), got.message(), status)
	}
	return got
}

func TestPresencesKeepTheContract(t *testing.T) {
	c := graphContract(t)
	if c == nil {
		return
	}
	for _, switches := range []graphsim.Switches{{}, {UnknownIDs: "unknown", Casing: "camel"}, {UnknownIDs: "error"}} {
		g := guard(t, c, func(c *graphsim.Config) { c.Tenants[0].Switches = switches })
		token, anna := g.appToken(contoso), g.id("anna")
		check(t, g.contoso().SetPresence("anna", "Available", "OutOfOffice"))
		ids := func(n int, more ...string) map[string]any {
			return map[string]any{"ids": append(g.contoso().UserIDs()[:n:n], more...)}
		}
		unknown := http.StatusOK
		if switches.UnknownIDs == "error" {
			unknown = http.StatusNotFound
		}
		g.ask("POST", "/communications/getPresencesByUserId", token, ids(50), http.StatusOK)
		g.ask("POST", "/communications/getPresencesByUserId", token, ids(1, fabrikam), unknown)
		g.ask("POST", "/communications/getPresencesByUserId", token, ids(0), http.StatusBadRequest)
		g.ask("POST", "/communications/getPresencesByUserId", "", ids(1), http.StatusUnauthorized)
		g.ask("GET", "/users/"+anna+"/presence", token, nil, http.StatusOK)
		g.ask("GET", "/users/"+fabrikam+"/presence", token, nil, http.StatusNotFound)
		g.ask("GET", "/communications/presences/"+anna, token, nil, http.StatusOK)
		g.ask("GET", "/me/presence", g.userToken("ben"), nil, http.StatusOK)
		check(t, g.contoso().Revoke(appID, "Presence.Read.All"))
		g.ask("POST", "/communications/getPresencesByUserId", token, ids(1), http.StatusForbidden)

		expected := []string{
			"POST /communications/getPresencesByUserId 200", "POST /communications/getPresencesByUserId 400",
			"POST /communications/getPresencesByUserId 401", "POST /communications/getPresencesByUserId 403",
			"GET /users/{user-id}/presence 200", "GET /users/{user-id}/presence 404",
			"GET /communications/presences/{presence-id} 200", "GET /me/presence 200",
		}
		if unknown != http.StatusOK {
			expected = append(expected, "POST /communications/getPresencesByUserId 404")
		}
		g.gate.Verdict(t, expected...)
	}
}

const userFields = "?$select=id,userPrincipalName,displayName,givenName,surname,mail,businessPhones,mobilePhone,department,preferredLanguage,accountEnabled,userType"

func TestMembersOfGroupsKeepTheContract(t *testing.T) {
	c := graphContract(t)
	if c == nil {
		return
	}
	g := guard(t, c, nil)
	token, id := g.appToken(contoso), g.group("Everyone", g.contoso().UserIDs()...)
	pages := 1
	for at := g.ask("GET", "/groups/"+id+membersOf+"&$top=20", token, nil, http.StatusOK); at.text("@odata.nextLink") != ""; pages++ {
		at = g.ask("GET", at.text("@odata.nextLink"), token, nil, http.StatusOK)
	}
	if pages != 3 {
		t.Errorf("50 members came in %d pages", pages)
	}
	g.ask("GET", "/groups/"+fabrikam+membersOf, token, nil, http.StatusNotFound)
	check(t, g.contoso().Revoke(appID, "GroupMember.Read.All"))
	g.ask("GET", "/groups/"+id+membersOf, token, nil, http.StatusForbidden)
	g.gate.Verdict(t, "GET /groups/{group-id}/transitiveMembers 200", "GET /groups/{group-id}/transitiveMembers 403", "GET /groups/{group-id}/transitiveMembers 404")
}

func TestTheDirectoryKeepsTheContract(t *testing.T) {
	c := graphContract(t)
	if c == nil {
		return
	}
	g := guard(t, c, func(c *graphsim.Config) {
		c.Tenants[0].Switches = graphsim.Switches{PageSize: 20, EmptyPages: true, GoneLocation: true}
	})
	token := g.appToken(contoso)
	g.ask("GET", "/organization", token, nil, http.StatusOK)
	g.ask("GET", "/me", g.userToken("anna"), nil, http.StatusOK)
	g.ask("GET", "/users/"+g.id("anna"), token, nil, http.StatusOK)
	g.ask("GET", "/users/anna@contoso.example"+userFields, token, nil, http.StatusOK)
	g.ask("GET", "/users/nobody@contoso.example", token, nil, http.StatusNotFound)
	g.ask("GET", "/users", token, nil, http.StatusOK)
	pages := 1
	for at := g.ask("GET", "/users?$count=true&$top=20", token, nil, http.StatusOK); at.text("@odata.nextLink") != ""; pages++ {
		at = g.ask("GET", at.text("@odata.nextLink"), token, nil, http.StatusOK)
	}
	if pages != 3 {
		t.Errorf("50 users came in %d pages", pages)
	}

	round := func(from string) (delta string, items int) {
		for from != "" {
			at := g.ask("GET", from, token, nil, http.StatusOK)
			items += len(at.values())
			from, delta = at.text("@odata.nextLink"), at.text("@odata.deltaLink")
		}
		return delta, items
	}
	if _, items := round("/users/delta()"); items != 50 {
		t.Errorf("the SDK's spelling of a round has %d users", items)
	}
	delta, items := round("/users/delta" + userFields)
	if items != 50 {
		t.Errorf("the first round has %d users", items)
	}
	check(t, g.contoso().EditUser("anna", func(u *graphsim.User) { u.JobTitle, u.MobilePhone, u.BusinessPhones = "", "", nil }))
	check(t, g.contoso().DeleteUser("ben", false))
	check(t, g.contoso().DeleteUser("zoe", true))
	_, err := g.contoso().AddUser(graphsim.User{UserPrincipalName: "new@contoso.example", DisplayName: "New"})
	check(t, err)
	if delta, items = round(delta); items != 4 {
		t.Errorf("the second round has %d changes", items)
	}
	round("/users/delta?$deltatoken=latest")
	g.contoso().ExpireDeltas()
	g.ask("GET", delta, token, nil, http.StatusGone)
	g.ask("GET", "/users/delta?$deltatoken=nonsense", token, nil, http.StatusBadRequest)

	g.gate.Verdict(t, "GET /organization 200", "GET /me 200", "GET /users/{user-id} 200", "GET /users/{user-id} 404",
		"GET /users 200", "GET /users/delta 200", "GET /users/delta 400", "GET /users/delta 410")
}

func TestSubscriptionsAndTheirNotificationsKeepTheContract(t *testing.T) {
	c := graphContract(t)
	if c == nil {
		return
	}
	g := guard(t, c, nil)
	r := listen(t, g.Authority())
	application, anna, ben := g.appToken(contoso), g.userToken("anna"), g.userToken("ben")
	watched := g.id("clara")
	later := func(d time.Duration) map[string]any {
		return map[string]any{"expirationDateTime": time.Now().Add(d).UTC().Format(time.RFC3339Nano)}
	}
	users := presenceSub(r.URL)
	users["resource"], users["lifecycleNotificationUrl"] = "users", r.URL+"/lifecycle"

	basic := g.ask("POST", "/subscriptions", anna, presenceSub(r.URL, watched), http.StatusCreated).text("id")
	rich := g.ask("POST", "/subscriptions", ben, richSub(r.URL, appKeys()[0], watched), http.StatusCreated).text("id")
	all := g.ask("POST", "/subscriptions", application, users, http.StatusCreated).text("id")
	g.ask("POST", "/subscriptions", anna, presenceSub(r.URL, watched), http.StatusConflict)
	g.ask("POST", "/subscriptions", application, presenceSub(r.URL, watched), http.StatusForbidden)
	g.ask("POST", "/subscriptions", anna, presenceSub("http://127.0.0.1/", watched), http.StatusBadRequest)
	g.ask("GET", "/subscriptions", anna, nil, http.StatusOK)
	g.ask("GET", "/subscriptions/"+rich, ben, nil, http.StatusOK)
	g.ask("GET", "/subscriptions/"+rich, anna, nil, http.StatusNotFound)
	g.ask("PATCH", "/subscriptions/"+basic, anna, later(50*time.Minute), http.StatusOK)
	g.ask("PATCH", "/subscriptions/"+basic, anna, later(-time.Hour), http.StatusBadRequest)
	g.ask("POST", "/subscriptions/"+basic+"/reauthorize", anna, nil, http.StatusNoContent)
	g.ask("POST", "/subscriptions/"+contoso+"/reauthorize", anna, nil, http.StatusNotFound)

	check(t, g.contoso().SetPresence("clara", "Busy", "InAMeeting"))
	check(t, g.contoso().EditUser("clara", func(u *graphsim.User) { u.JobTitle = "Chief" }))
	check(t, g.contoso().NotifyLifecycle(all, "reauthorizationRequired"))
	for _, p := range r.wait(4) { // basic, rich, user, lifecycle
		if problem := c.Value(notifications, p.body); problem != nil {
			t.Errorf("%s: %v", p.path, problem)
		}
	}

	g.ask("DELETE", "/subscriptions/"+basic, anna, nil, http.StatusNoContent)
	g.ask("DELETE", "/subscriptions/"+basic, anna, nil, http.StatusNotFound)
	g.gate.Verdict(t,
		"POST /subscriptions 201", "POST /subscriptions 400", "POST /subscriptions 403", "POST /subscriptions 409",
		"GET /subscriptions 200", "GET /subscriptions/{subscription-id} 200", "GET /subscriptions/{subscription-id} 404",
		"PATCH /subscriptions/{subscription-id} 200", "PATCH /subscriptions/{subscription-id} 400",
		"POST /subscriptions/{subscription-id}/reauthorize 204", "POST /subscriptions/{subscription-id}/reauthorize 404",
		"DELETE /subscriptions/{subscription-id} 204", "DELETE /subscriptions/{subscription-id} 404")
}

// notifications is the schema of what is posted to a notification URL.
const notifications = "microsoft.graph.changeNotificationCollection"

func TestRefusalsKeepTheContract(t *testing.T) {
	c := graphContract(t)
	if c == nil {
		return
	}
	g := guard(t, c, nil)
	token := g.appToken(contoso)
	for _, f := range []graphsim.Fault{
		{Status: 429, RetryAfter: "2.128"}, {Status: 429, RetryDate: time.Minute}, {Status: 429},
		{Status: 500}, {Status: 503, RetryAfter: "3"}, {Status: 504}, {Status: 418},
	} {
		f.Kind, f.Count = graphsim.FaultStatus, 2
		_, err := g.contoso().Fault(f)
		check(t, err)
		g.ask("GET", "/users", token, nil, f.Status)
		g.ask("POST", "/communications/getPresencesByUserId", token, map[string]any{"ids": []string{contoso}}, f.Status)
	}
	var expected []string
	for _, status := range []string{"418", "429", "500", "503", "504"} {
		expected = append(expected, "GET /users "+status, "POST /communications/getPresencesByUserId "+status)
	}
	g.gate.Verdict(t, expected...)
}

func TestABrokenAnswerIsFound(t *testing.T) {
	c := graphContract(t)
	if c == nil {
		return
	}
	body := func(text string) func(*exchange) { return func(x *exchange) { x.Answer = []byte(text) } }
	for name, control := range map[string]struct {
		path, want string
		spoil      func(*exchange)
	}{
		"a presence whose number is one":       {"/users/%s/presence", "sequenceNumber: value must be a string", body(`{"sequenceNumber":7}`)},
		"out of office that is not an object":  {"/users/%s/presence", "outOfOfficeSettings", body(`{"outOfOfficeSettings":true}`)},
		"a page without value":                 {"/users", `property "value" is missing`, body(`{}`)},
		"one phone instead of a list":          {"/users", "businessPhones: value must be an array", body(`{"value":[{"businessPhones":"1"}]}`)},
		"an account that is maybe enabled":     {"/users/%s", "accountEnabled", body(`{"accountEnabled":"true"}`)},
		"a reason of removal that is none":     {"/users/delta", "reason", body(`{"value":[{"id":"1","@removed":{"reason":"lost"}}]}`)},
		"an error without a message":           {"/users", `property "message" is missing`, func(x *exchange) { x.Status, x.Answer = 403, []byte(`{"error":{"code":"no"}}`) }},
		"an error that is a text":              {"/users", "error: value must be an object", func(x *exchange) { x.Status, x.Answer = 429, []byte(`{"error":"no"}`) }},
		"a status that is not described":       {"/users", "status is not supported", func(x *exchange) { x.Status = 202 }},
		"an error without a body":              {"/users", "answer", func(x *exchange) { x.Status, x.Answer = 503, nil }},
		"a link that leads nowhere":            {"/users", "@odata.nextLink", body(`{"value":[],"@odata.nextLink":"/users?$skiptoken=2"}`)},
		"an answer that is not JSON":           {"/users", "Content-Type", func(x *exchange) { x.Header.Set("Content-Type", "text/html") }},
		"a subscription that expires sometime": {"/subscriptions", "expirationDateTime", body(`{"value":[{"expirationDateTime":"soon"}]}`)},
	} {
		t.Run(name, func(t *testing.T) {
			x := exchange{Status: http.StatusOK, Header: http.Header{"Content-Type": {"application/json"}}}
			control.spoil(&x)
			path := strings.ReplaceAll(control.path, "%s", contoso)
			x.Request = request(t, http.MethodGet, path, "")
			if _, found := c.Violations(x); len(found) != 1 || !strings.Contains(found[0], control.want) {
				t.Errorf("found %q, not %q", found, control.want)
			}
		})
	}
}

func request(t *testing.T, method, path, body string) *http.Request {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, "https://graph.example/v1.0"+path, strings.NewReader(body))
	check(t, err)
	r.Header.Set("Content-Type", "application/json")
	return r
}

func TestABrokenRequestIsFound(t *testing.T) {
	c := graphContract(t)
	if c == nil {
		return
	}
	const presences = "/communications/getPresencesByUserId"
	for name, control := range map[string]struct{ method, path, body, want string }{
		"no ids":                       {"POST", presences, `{}`, `property "ids" is missing`},
		"ids that are a text":          {"POST", presences, `{"ids":"1"}`, "ids: value must be an array"},
		"no body":                      {"POST", presences, "", "value is required"},
		"a member too many":            {"POST", presences, `{"ids":[],"id":"1"}`, `"id", which is not declared`},
		"an unknown property":          {"GET", "/users?$select=id,telephone", "", `"telephone", which is not declared`},
		"a delta in pages of ours":     {"GET", "/users/delta()?$skip=5", "", `"$skip" is not declared`},
		"a page size that is a word":   {"GET", "/users?$top=all", "", "$top"},
		"an expiry that is no time":    {"PATCH", "/subscriptions/1", `{"expirationDateTime":"soon"}`, "expirationDateTime"},
		"a misspelt member":            {"POST", "/subscriptions", `{"expiration":"2030-01-01T00:00:00Z"}`, `"expiration", which is not declared`},
		"a body where none belongs":    {"POST", "/subscriptions/1/reauthorize", `{}`, "request body not allowed"},
		"a resource that is not there": {"GET", "/presences", "", "no matching operation"},
	} {
		t.Run(name, func(t *testing.T) {
			x := exchange{Request: request(t, control.method, control.path, control.body), Sent: []byte(control.body), Status: http.StatusNotFound,
				Header: http.Header{"Content-Type": {"application/json"}}, Answer: []byte(`{"error":{"code":"NotFound","message":"no"}}`)}
			if _, found := c.Violations(x); len(found) != 1 || !strings.Contains(found[0], control.want) {
				t.Errorf("found %q, not %q", found, control.want)
			}
		})
	}
}

func TestABrokenNotificationIsFound(t *testing.T) {
	c := graphContract(t)
	if c == nil {
		return
	}
	for name, text := range map[string]string{
		"a change of no kind":        `{"value":[{"changeType":"moved"}]}`,
		"a tenant that is no GUID":   `{"value":[{"tenantId":"contoso"}]}`,
		"a lifecycle event unheard":  `{"value":[{"lifecycleEvent":"retired"}]}`,
		"content that is not sealed": `{"value":[{"encryptedContent":"e30="}]}`,
		"no list":                    `{"value":{}}`,
		"an expiry without a date":   `{"value":[{"subscriptionExpirationDateTime":"12:00"}]}`,
	} {
		var body map[string]any
		check(t, json.Unmarshal([]byte(text), &body))
		if c.Value(notifications, body) == nil {
			t.Errorf("%s: not found", name)
		}
	}
}

func TestTheGateFindsWhatTheServerSpoils(t *testing.T) {
	c := graphContract(t)
	if c == nil {
		return
	}
	g := guard(t, c, nil)
	token := g.appToken(contoso)
	g.gate.Spoil(func(x *exchange) { x.Answer = []byte(`{"value":"none"}`) })
	g.ask("GET", "/users", token, nil, http.StatusOK)
	if found := g.gate.Findings(); len(found) != 1 || !strings.HasPrefix(found[0], "GET /users 200: answer: ") {
		t.Errorf("found %q", found)
	}
}
