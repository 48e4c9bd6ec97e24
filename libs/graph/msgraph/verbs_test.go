package msgraph_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"offhook.dev/libs/core/fault"
	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/graph"
	"offhook.dev/libs/graph/msgraph"
	"offhook.dev/libs/secret"
)

var state = secret.NewValue("state-1")

func TestPresencesAreTranslatedAndTheMissingNamed(t *testing.T) {
	tests := []struct {
		name, body string
		found      []graph.Presence
		missing    []identity.User
		fails      bool
	}{
		{"one found in another letter case, one left out", annaBusy,
			[]graph.Presence{{User: anna, Availability: "Busy", Activity: "InAMeeting", Sequence: "A7", OutOfOffice: true}}, []identity.User{ben}, false},
		{"the least that a presence has", `{"value":[{"id":"` + string(anna) + `","availability":"Away"}]}`,
			[]graph.Presence{{User: anna, Availability: "Away"}}, []identity.User{ben}, false},
		{"null where values may be", `{"value":[{"id":"` + string(anna) + `","availability":"Away","activity":null,"sequenceNumber":null,"outOfOfficeSettings":null}]}`,
			[]graph.Presence{{User: anna, Availability: "Away"}}, []identity.User{ben}, false},
		{"no availability", `{"value":[{"id":"` + string(anna) + `"}]}`, []graph.Presence{}, []identity.User{anna, ben}, false},
		{"the same twice and one not asked for", `{"value":[{"id":"` + string(anna) + `","availability":"Away"},{"id":"` + string(anna) + `","availability":"Busy"},{"id":"00000000-0000-0000-0000-00000000000c","availability":"Busy"}]}`,
			[]graph.Presence{{User: anna, Availability: "Away"}}, []identity.User{ben}, false},
		{"nobody", `{"value":[]}`, []graph.Presence{}, []identity.User{anna, ben}, false},
		{"no list", `{}`, []graph.Presence{}, []identity.User{anna, ben}, false},
		{"a null in the list", `{"value":[null]}`, nil, nil, true},
		{"a presence of no one", `{"value":[{"availability":"Busy"}]}`, nil, nil, true},
		{"not JSON", `<html>`, nil, nil, true},
		{"nothing", ``, nil, nil, true},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			host := newStage(t, func(_ int, w http.ResponseWriter, _ *http.Request) { reply(w, http.StatusOK, test.body) })
			found, missing, err := host.client(t, nil).Presences(t.Context(), []identity.User{anna, ben})
			if test.fails {
				if fault.KindOf(err) != fault.Unknown || err == nil {
					t.Fatalf("%v, want an error of kind unknown", err)
				}
				return
			}
			if err != nil || !slices.Equal(found, test.found) || !slices.Equal(missing, test.missing) {
				t.Errorf("found %+v, missing %v, %v; want %+v and %v", found, missing, err, test.found, test.missing)
			}
		})
	}
}

func TestARequestForPresencesThatGraphWouldRefuseDoesNotLeave(t *testing.T) {
	host := newStage(t, func(_ int, w http.ResponseWriter, r *http.Request) { reply(w, http.StatusOK, `{"value":[]}`) })
	client := host.client(t, nil)
	many := make([]identity.User, graph.MaxPresences+1)
	for i := range many {
		many[i] = identity.User(fmt.Sprintf("00000000-0000-0000-0000-%012x", i))
	}
	for name, users := range map[string][]identity.User{"nobody": nil, "651 users": many, "one user twice": {anna, anna}} {
		if _, _, err := client.Presences(t.Context(), users); fault.KindOf(err) != fault.Invalid {
			t.Errorf("%s: %v, want invalid", name, err)
		}
	}
	china, err := graph.CloudNamed("china")
	if err != nil {
		t.Fatal(err)
	}
	if china, err = china.At(host.URL, host.URL); err != nil {
		t.Fatal(err)
	}
	inChina := host.client(t, func(c *msgraph.Config) { c.Cloud = china })
	if _, _, err := inChina.Presences(t.Context(), []identity.User{anna}); fault.KindOf(err) != fault.Unsupported {
		t.Errorf("in China: %v, want unsupported", err)
	}
	if n := len(host.seen()); n != 0 {
		t.Fatalf("%d requests left", n)
	}
	if _, missing, err := client.Presences(t.Context(), many[:graph.MaxPresences]); err != nil || len(missing) != graph.MaxPresences {
		t.Errorf("650 users: %d missing, %v", len(missing), err)
	}
}

func TestUserChangesAreFollowedLinkByLink(t *testing.T) {
	var base string
	host := newStage(t, func(_ int, w http.ResponseWriter, r *http.Request) {
		switch r.URL.Query().Get("$skiptoken") + r.URL.Query().Get("$deltatoken") {
		case "":
			reply(w, http.StatusOK, `{"value":[{"id":"`+string(anna)+`","userPrincipalName":"anna@contoso.example","displayName":"Anna","givenName":null,
				"businessPhones":["+49 30 1"],"accountEnabled":true,"userType":"Member","future":1}],"@odata.nextLink":"`+base+`/v1.0/users/delta?$skiptoken=a%2Bb"}`)
		case "a+b":
			reply(w, http.StatusOK, `{"value":[{"id":"`+string(ben)+`"},
				{"id":"00000000-0000-0000-0000-00000000000c","@removed":{"reason":"changed"}},
				{"id":"00000000-0000-0000-0000-00000000000d","@removed":{"reason":"deleted"}}],"@odata.deltaLink":"`+base+`/v1.0/users/delta?$deltatoken=c"}`)
		default:
			reply(w, http.StatusOK, `{"value":[]}`)
		}
	})
	base = host.URL
	client := host.client(t, nil)
	first, err := client.Users(t.Context(), "")
	if err != nil || len(first.Users) != 1 || first.Next == "" || first.Delta != "" {
		t.Fatalf("first page %+v, %v", first, err)
	}
	want := graph.User{ID: anna, UPN: "anna@contoso.example", Name: "Anna", Phones: []string{"+49 30 1"}, Enabled: true}
	if got := first.Users[0]; fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("user %+v, want %+v", got, want)
	}
	last, err := client.Users(t.Context(), first.Next)
	if err != nil || last.Next != "" || last.Delta == "" || len(last.Users) != 1 || last.Users[0].ID != ben {
		t.Fatalf("last page %+v, %v", last, err)
	}
	if !slices.Equal(last.Removed, []graph.Removed{{ID: "00000000-0000-0000-0000-00000000000c", Restorable: true}, {ID: "00000000-0000-0000-0000-00000000000d"}}) {
		t.Errorf("removed %+v", last.Removed)
	}
	if _, err := client.Users(t.Context(), last.Delta); fault.KindOf(err) != fault.Unknown {
		t.Errorf("a page without a link: %v, want an error, or a sync would end unnoticed", err)
	}
	seen := host.seen()
	if !strings.Contains(seen[0].query, "$select=id,userPrincipalName") && !strings.Contains(seen[0].query, "$select=id%2CuserPrincipalName") {
		t.Errorf("the first request asks %q, want a $select", seen[0].query)
	}
	if seen[1].query != "$skiptoken=a%2Bb" {
		t.Errorf("the link was replayed as %q", seen[1].query)
	}
}

func TestAUserThatCannotBeReadFailsThePage(t *testing.T) {
	for _, value := range []string{`null`, `{}`, `{"id":"anna"}`, `{"@removed":{"reason":"deleted"}}`} {
		host := newStage(t, func(_ int, w http.ResponseWriter, r *http.Request) {
			reply(w, http.StatusOK, `{"value":[`+value+`],"@odata.deltaLink":"https://`+r.Host+`/v1.0/users/delta?$deltatoken=x"}`)
		})
		if page, err := host.client(t, nil).Users(t.Context(), ""); fault.KindOf(err) != fault.Unknown || err == nil || page.Delta != "" {
			t.Errorf("%s: page %+v, %v; want an error and no cursor", value, page, err)
		}
	}
}

func TestALostCursorIsAValue(t *testing.T) {
	tests := []struct {
		name   string
		status int
		code   string
		reset  bool
	}{
		{"410 as documented", 410, "SyncStateNotFound", true},
		{"410 with another code", 410, "x", true},
		{"410 without a code", 410, "", true},
		{"the code with a 400 in other letters", 400, "syncstatenotfound", true},
		{"resync required with a 404", 404, "resyncRequired", true},
		{"another 400", 400, "BadRequest", false},
		{"rights withdrawn", 403, "Authorization_RequestDenied", false},
	}
	for _, test := range tests {
		host := newStage(t, func(_ int, w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Location", "https://evil.example/v1.0/users/delta")
			refuse(w, test.status, "", test.code)
		})
		page, err := host.client(t, nil).Users(t.Context(), graph.Cursor(host.URL+"/v1.0/users/delta?$deltatoken=x"))
		if page.Reset != test.reset || (err == nil) != test.reset {
			t.Errorf("%s: reset %v, %v", test.name, page.Reset, err)
		}
	}
}

func TestAnErrorGetsItsKindOnce(t *testing.T) {
	odata := func(code, message string) string {
		return fmt.Sprintf(`{"error":{"code":%q,"message":%q}}`, code, message)
	}
	tests := []struct {
		name, body string
		status     int
		kind       fault.Kind
	}{
		{"the token is refused", odata("InvalidAuthenticationToken", "Access token has expired."), 401, fault.Denied},
		{"rights are missing", odata("Forbidden", "x"), 403, fault.Denied},
		{"rights are missing, in Exchange's words", odata("ErrorAccessDenied", "Access to OData is disabled."), 403, fault.Denied},
		{"the quota of subscriptions is full", odata("ExtensionError", "Operation: Create; Exception: [Status Code: Forbidden; Reason: Maximum number of subscriptions has been reached]"), 403, fault.Denied},
		{"it exists already", odata("Conflict", "Operation: Create; Exception: [Status Code: Conflict; Reason: A subscripton already exists. It must be deleted before a another can be made.]"), 409, fault.Conflict},
		{"Graph could not reach us", odata("ValidationError", "Subscription validation request failed. Notification endpoint must respond with 200 OK to validation request."), 400, fault.Unavailable},
		{"Graph could not reach us, in older words", odata("InvalidRequest", "Subscription validation request timed out."), 400, fault.Unavailable},
		{"a wrong value", odata("ValidationError", "The value of clientState is too long."), 400, fault.Invalid},
		{"no such object", odata("Request_ResourceNotFound", "x"), 404, fault.NotFound},
		{"throttled in Exchange's words with another status", odata("ApplicationThrottled", "x"), 400, fault.Throttled},
		{"a proxy's page", "<html>bad gateway</html>", 500, fault.Unavailable},
		{"nothing at all", "", 403, fault.Denied},
		{"an empty object", "{}", 404, fault.NotFound},
		{"an error without a message", `{"error":{"code":"x"}}`, 403, fault.Denied},
		{"an error that is a text", `{"error":"x"}`, 400, fault.Invalid},
		{"a list", `[]`, 501, fault.Unsupported},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			host := newStage(t, func(_ int, w http.ResponseWriter, _ *http.Request) {
				if strings.HasPrefix(test.body, "<") {
					w.Header().Set("Content-Type", "text/html")
					w.WriteHeader(test.status)
					io.WriteString(w, test.body)
					return
				}
				reply(w, test.status, test.body)
			})
			_, err := host.client(t, nil).Subscription(t.Context(), "s")
			if err == nil || fault.KindOf(err) != test.kind {
				t.Fatalf("%v is of kind %v, want %v", err, fault.KindOf(err), test.kind)
			}
			if text := err.Error(); !strings.HasPrefix(text, "microsoft graph: read a subscription: ") || strings.Contains(text, "the-token") {
				t.Errorf("the error says %q", text)
			}
		})
	}
}

func TestAnUnreachableHostIsUnavailable(t *testing.T) {
	host := newStage(t, func(int, http.ResponseWriter, *http.Request) {})
	client := host.client(t, nil)
	untrusting := host.client(t, func(c *msgraph.Config) { c.Roots = nil })
	if _, err := untrusting.Subscription(t.Context(), "s"); fault.KindOf(err) != fault.Unavailable || host.dials() != 1 {
		t.Errorf("a certificate that nobody vouches for: %v after %d connections, want unavailable after 1", err, host.dials())
	}
	host.Close()
	if _, err := client.Create(t.Context(), graph.NewSubscription{State: state, Expires: time.Now()}); fault.KindOf(err) != fault.Unavailable {
		t.Errorf("a create that never left: %v, want unavailable, since it had no effect", err)
	}
}

func TestASubscriptionIsAskedForAsDocumented(t *testing.T) {
	pair, err := secret.NewKeyPair("notifications", time.Now(), time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	expires := time.Date(2026, 10, 1, 12, 0, 0, 0, time.UTC)
	const answer = `{"id":"s1","resource":"r","changeType":"updated","notificationUrl":"https://n.example/x","lifecycleNotificationUrl":null,
		"expirationDateTime":"2026-10-01T12:00:00.1234567Z","includeResourceData":true,"encryptionCertificateId":"k1","applicationId":"app","creatorId":"anna","clientState":null}`
	host := newStage(t, func(_ int, w http.ResponseWriter, r *http.Request) {
		switch r.Method {
		case http.MethodDelete:
			refuse(w, http.StatusNotFound, "", "ResourceNotFound")
		case http.MethodPost:
			if strings.HasSuffix(r.URL.Path, "/reauthorize") {
				w.WriteHeader(http.StatusNoContent)
				return
			}
			reply(w, http.StatusCreated, answer)
		default:
			reply(w, http.StatusOK, answer)
		}
	})
	client := host.client(t, nil)
	want := graph.Subscription{ID: "s1", Resource: "r", Change: "updated", Notify: "https://n.example/x", Expires: expires.Add(123456700),
		Rich: true, CertificateID: "k1", App: "app", Creator: "anna"}
	made, err := client.Create(t.Context(), graph.NewSubscription{Resource: "r", Change: "updated", Notify: "https://n.example/x",
		State: state, Expires: expires, Certificate: pair.Certificate, CertificateID: "k1"})
	if err != nil || made != want {
		t.Errorf("created %+v, %v; want %+v", made, err, want)
	}
	if got, err := client.Subscription(t.Context(), "s1"); err != nil || got != want {
		t.Errorf("read %+v, %v", got, err)
	}
	if got, err := client.Renew(t.Context(), "s1", graph.Renewal{Expires: expires}); err != nil || got != want {
		t.Errorf("renewed %+v, %v", got, err)
	}
	if err := client.Reauthorize(t.Context(), "s1"); err != nil {
		t.Error(err)
	}
	if err := client.Delete(t.Context(), "s1"); err != nil {
		t.Errorf("deleting what is gone: %v", err)
	}
	seen := host.seen()
	checkBody(t, seen[0], "POST", "/v1.0/subscriptions", "resource", "changeType", "notificationUrl", "clientState", "expirationDateTime",
		"includeResourceData", "encryptionCertificate", "encryptionCertificateId")
	checkBody(t, seen[2], "PATCH", "/v1.0/subscriptions/s1", "expirationDateTime")
	if seen[3].path != "/v1.0/subscriptions/s1/reauthorize" || seen[4].method != "DELETE" {
		t.Errorf("reauthorize went to %s, delete was a %s", seen[3].path, seen[4].method)
	}
	for _, bad := range []string{"", strings.Repeat("x", graph.MaxClientState+1)} {
		if _, err := client.Create(t.Context(), graph.NewSubscription{State: secret.NewValue(bad)}); fault.KindOf(err) != fault.Invalid {
			t.Errorf("a clientState of %d characters: %v, want invalid", len(bad), err)
		}
	}
}

// checkBody says whether a request carries exactly these members.
func checkBody(t *testing.T, a arrival, method, path string, members ...string) {
	t.Helper()
	var body map[string]any
	if err := json.Unmarshal([]byte(a.body), &body); err != nil {
		t.Fatal(err)
	}
	if a.method != method || a.path != path || len(body) != len(members) {
		t.Errorf("%s %s carries %d members: %s", a.method, a.path, len(body), a.body)
	}
	for _, member := range members {
		if _, ok := body[member]; !ok {
			t.Errorf("%s is missing in %s", member, a.body)
		}
	}
}

func TestPresenceNotificationsAreRefusedWhereTheCloudLacksThem(t *testing.T) {
	host := newStage(t, func(int, http.ResponseWriter, *http.Request) {})
	gov, err := graph.CloudNamed("usgov")
	if err != nil {
		t.Fatal(err)
	}
	if gov, err = gov.At(host.URL, host.URL); err != nil {
		t.Fatal(err)
	}
	resource, err := graph.PresenceResource([]identity.User{anna})
	if err != nil {
		t.Fatal(err)
	}
	_, err = host.client(t, func(c *msgraph.Config) { c.Cloud = gov }).Create(t.Context(), graph.NewSubscription{Resource: resource, State: state})
	if fault.KindOf(err) != fault.Unsupported || len(host.seen()) != 0 {
		t.Errorf("%v after %d requests, want unsupported after none", err, len(host.seen()))
	}
}

func TestSubscriptionsAreListedPageByPage(t *testing.T) {
	var base string
	host := newStage(t, func(n int, w http.ResponseWriter, r *http.Request) {
		next := ""
		if n == 0 {
			next = `,"@odata.nextLink":"` + base + `/v1.0/subscriptions?$skiptoken=x"`
		}
		reply(w, http.StatusOK, fmt.Sprintf(`{"value":[{"id":"s%d","expirationDateTime":"2026-10-01T12:00:00Z"}]%s}`, n, next))
	})
	base = host.URL
	all, err := host.client(t, nil).Subscriptions(t.Context())
	if err != nil || len(all) != 2 || all[0].ID != "s0" || all[1].ID != "s1" {
		t.Errorf("%+v, %v", all, err)
	}
}

func TestAConfigurationIsCheckedBeforeItIsUsed(t *testing.T) {
	good := msgraph.Config{Tenant: "contoso", Cloud: cloudAt(t, "https://127.0.0.1:1"), Secret: secret.NewValue("x"),
		Directory: "00000000-0000-0000-0000-000000000001", ClientID: "00000000-0000-0000-0000-000000000002"}
	if _, err := msgraph.New(good); err != nil {
		t.Fatal(err)
	}
	for says, change := range map[string]func(*msgraph.Config){
		"tenant":       func(c *msgraph.Config) { c.Tenant = "" },
		"cloud":        func(c *msgraph.Config) { c.Cloud = graph.Cloud{} },
		"exactly one":  func(c *msgraph.Config) { c.Tokens = fixed("x") },
		"directory id": func(c *msgraph.Config) { c.Directory = "contoso" },
		"client id":    func(c *msgraph.Config) { c.ClientID = "" },
	} {
		bad := good
		change(&bad)
		if _, err := msgraph.New(bad); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%v, want an error about %s", err, says)
		}
	}
}
