package e2e

import (
	"crypto/tls"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"offhook.dev/libs/contracttest"
	"offhook.dev/libs/core/fault"
	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/graph"
	"offhook.dev/libs/graph/graphsim"
	"offhook.dev/libs/graph/msgraph"
	"offhook.dev/libs/secret"
)

// What Microsoft's SDK really sends for each verb, and what the simulator answers to
// it, is compared with the description of Microsoft Graph.

// inspected is a simulated tenant and two clients that reach it by way of a gate:
// one as an application, one as a signed-in account.
type inspected struct {
	gate             *contracttest.Gate
	tenant           *graphsim.Tenant
	notify           string
	application, own *msgraph.Client
	users            []identity.User
}

// notificationURL serves one on loopback that passes every handshake.
func notificationURL(t *testing.T, authority *secret.Authority) string {
	t.Helper()
	certificate, err := authority.Issue("127.0.0.1")
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, r.URL.Query().Get("validationToken"))
	}))
	server.TLS = &tls.Config{Certificates: []tls.Certificate{certificate}, MinVersion: tls.VersionTLS12}
	server.StartTLS()
	t.Cleanup(server.Close)
	return server.URL
}

func newInspected(t *testing.T, c *contracttest.Contract) inspected {
	t.Helper()
	const directory, app = "11111111-2222-3333-4444-555555555555", "66666666-7777-8888-9999-000000000000"
	password := secret.NewValue("an application's password")
	sim, err := graphsim.Start(t.Context(), graphsim.Config{Tenants: []graphsim.TenantConfig{{
		DirectoryID: directory, Domain: "contoso.example", Users: 30, Switches: graphsim.Switches{PageSize: 10},
		Apps:     []graphsim.App{{ClientID: app, Secret: password, PublicClient: true}},
		Accounts: []graphsim.Account{{User: "anna", RefreshToken: secret.NewValue("first")}},
	}}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { sim.Close() })
	w := inspected{gate: contracttest.NewGate(t, sim.Authority(), sim.GraphURL(), c), tenant: sim.Tenants()[0]}
	w.notify = notificationURL(t, sim.Authority())
	cloud, err := graph.CloudNamed("global")
	if err == nil {
		cloud, err = cloud.At(sim.LoginURL(), w.gate.URL)
	}
	if err != nil {
		t.Fatal(err)
	}
	refresh := filepath.Join(t.TempDir(), "refresh")
	if err := os.WriteFile(refresh, []byte("first"), 0o600); err != nil {
		t.Fatal(err)
	}
	tokens, err := msgraph.NewDelegated(msgraph.DelegatedConfig{Directory: directory, ClientID: app, Cloud: cloud,
		Store: graph.RefreshFile(refresh), Roots: sim.Authority().Pool()})
	if err != nil {
		t.Fatal(err)
	}
	base := msgraph.Config{Tenant: "contoso", Directory: directory, ClientID: app, Cloud: cloud, Roots: sim.Authority().Pool()}
	for client, set := range map[**msgraph.Client]func(*msgraph.Config){
		&w.application: func(c *msgraph.Config) { c.Secret = password },
		&w.own:         func(c *msgraph.Config) { c.Tokens = tokens },
	} {
		config := base
		set(&config)
		if *client, err = msgraph.New(config); err != nil {
			t.Fatal(err)
		}
		t.Cleanup((*client).Close)
	}
	for _, id := range w.tenant.UserIDs() {
		w.users = append(w.users, identity.User(id))
	}
	return w
}

func TestTheSDKAndTheSimulatorKeepTheVendorsContract(t *testing.T) {
	c := contracttest.Open(t, "graph-openapi-subset.yaml", "/v1.0")
	if c == nil {
		return
	}
	// OData lets a function without parameters be called with or without
	// parentheses; the file has it without, the SDK calls it with.
	c.Spelling = func(path string) string { return strings.TrimSuffix(path, "()") }
	w := newInspected(t, c)
	w.readPresencesAndUsers(t)
	w.keepSubscriptions(t)
	w.gate.Verdict(t,
		"POST /communications/getPresencesByUserId 200",
		"GET /users/{user-id} 200", "GET /users/{user-id} 404", "GET /users/delta 200", "GET /users/delta 410",
		"POST /subscriptions 201", "POST /subscriptions 409",
		"GET /subscriptions 200", "GET /subscriptions/{subscription-id} 200", "PATCH /subscriptions/{subscription-id} 200",
		"POST /subscriptions/{subscription-id}/reauthorize 204", "DELETE /subscriptions/{subscription-id} 204")
}

func (w inspected) readPresencesAndUsers(t *testing.T) {
	ctx := t.Context()
	if found, _, err := w.application.Presences(ctx, w.users); err != nil || len(found) != 30 {
		t.Errorf("%d presences, %v", len(found), err)
	}
	if _, err := w.application.User(ctx, w.users[3]); err != nil {
		t.Error(err)
	}
	if _, err := w.application.User(ctx, "99999999-9999-9999-9999-999999999999"); fault.KindOf(err) != fault.NotFound {
		t.Error(err)
	}
	var at graph.Cursor
	for pages := 1; ; pages++ {
		page, err := w.application.Users(ctx, at)
		if err != nil {
			t.Fatal(err)
		}
		if at = page.Next; at == "" {
			if at = page.Delta; pages != 3 {
				t.Errorf("the round has %d pages", pages)
			}
			break
		}
	}
	if err := w.tenant.DeleteUser("ben", false); err != nil {
		t.Fatal(err)
	}
	if page, err := w.application.Users(ctx, at); err != nil || len(page.Removed) != 1 {
		t.Errorf("after a removal: %+v, %v", page, err)
	}
	w.tenant.ExpireDeltas()
	if page, err := w.application.Users(ctx, at); err != nil || !page.Reset {
		t.Errorf("after the cursor was lost: %+v, %v", page, err)
	}
}

func (w inspected) keepSubscriptions(t *testing.T) {
	ctx := t.Context()
	pair, err := secret.NewKeyPair("notifications", time.Now(), time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	resource, err := graph.PresenceResource(w.users[:3])
	if err != nil {
		t.Fatal(err)
	}
	basic := graph.NewSubscription{Resource: "users", Change: "updated", Notify: w.notify, Lifecycle: w.notify,
		State: secret.NewValue("state"), Expires: time.Now().Add(50 * time.Minute)}
	rich := basic
	rich.Resource, rich.Certificate, rich.CertificateID = resource, pair.Certificate, "key-1"
	for client, want := range map[*msgraph.Client]graph.NewSubscription{w.application: basic, w.own: rich} {
		made, err := client.Create(ctx, want)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := client.Create(ctx, want); fault.KindOf(err) != fault.Conflict {
			t.Errorf("a second one: %v", err)
		}
		_, read := client.Subscription(ctx, made.ID)
		_, listed := client.Subscriptions(ctx)
		_, longer := client.Renew(ctx, made.ID, graph.Renewal{Expires: time.Now().Add(55 * time.Minute)})
		_, elsewhere := client.Renew(ctx, made.ID, graph.Renewal{Notify: w.notify + "/new"})
		renewed := client.Reauthorize(ctx, made.ID)
		if want.Certificate != nil {
			_, rotated := client.Renew(ctx, made.ID, graph.Renewal{Certificate: pair.Certificate, CertificateID: "key-2"})
			renewed = errors.Join(renewed, rotated)
		}
		if err := errors.Join(read, listed, longer, elsewhere, renewed, client.Delete(ctx, made.ID)); err != nil {
			t.Error(err)
		}
	}
}
