package msgraph_test

import (
	"net/http"
	"slices"
	"testing"
	"time"

	"offhook.dev/libs/core/fault"
	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/graph"
	"offhook.dev/libs/graph/graphsim"
	"offhook.dev/libs/graph/msgraph"
	"offhook.dev/libs/secret"
)

// simulated is a tenant of the simulator and a client that signs in to it by
// certificate.
type simulated struct {
	server *graphsim.Server
	tenant *graphsim.Tenant
	client *msgraph.Client
	cloud  graph.Cloud
	config msgraph.Config // of client
}

func simulate(t testing.TB, users int) simulated { return simulateAs(t, users, nil) }

// simulateAs lets change what is simulated; nil changes nothing.
func simulateAs(t testing.TB, users int, change func(*graphsim.Config)) simulated {
	t.Helper()
	pair, err := secret.NewKeyPair("offhook", time.Now(), time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	config := graphsim.TenantConfig{DirectoryID: directory, Domain: "contoso.example", Users: users}
	config.Apps = []graphsim.App{{ClientID: appID, PublicClient: true}}
	config.Apps[0].Certificates = append(config.Apps[0].Certificates, pair.Certificate)
	config.Accounts = []graphsim.Account{{User: "anna", RefreshToken: secret.NewValue("first")}}
	whole := graphsim.Config{Tenants: []graphsim.TenantConfig{config}}
	if change != nil {
		change(&whole)
	}
	server, err := graphsim.Start(t.Context(), whole)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { server.Close() })
	cloud, err := graph.CloudNamed("global")
	if err != nil {
		t.Fatal(err)
	}
	if cloud, err = cloud.At(server.LoginURL(), server.GraphURL()); err != nil {
		t.Fatal(err)
	}
	s := simulated{server: server, tenant: server.Tenants()[0], cloud: cloud, config: msgraph.Config{Tenant: "contoso", Directory: directory, ClientID: appID, Cloud: cloud,
		Certificate: &pair, Roots: server.Authority().Pool()}}
	s.client = s.clientAs(t, nil)
	return s
}

// clientAs is another client of the tenant; change may be nil.
func (s simulated) clientAs(t testing.TB, change func(*msgraph.Config)) *msgraph.Client {
	t.Helper()
	config := s.config
	if change != nil {
		change(&config)
	}
	client, err := msgraph.New(config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	return client
}

// ids returns the users of the tenant.
func (s simulated) ids(t testing.TB) []identity.User {
	t.Helper()
	var ids []identity.User
	for _, id := range s.tenant.UserIDs() {
		user, err := identity.ParseUser(id)
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, user)
	}
	return ids
}

func TestPresencesAreReadFromATenantByCertificate(t *testing.T) {
	sim := simulate(t, graph.MaxPresences)
	if err := sim.tenant.SetPresence("anna", "Busy", "InAMeeting"); err != nil {
		t.Fatal(err)
	}
	all := sim.ids(t)
	unknown := identity.User("99999999-9999-9999-9999-999999999999")
	asked := append(slices.Clone(all[:graph.MaxPresences-1]), unknown)
	found, missing, err := sim.client.Presences(t.Context(), asked)
	if err != nil || len(found) != graph.MaxPresences-1 || !slices.Equal(missing, []identity.User{unknown}) {
		t.Fatalf("%d found, missing %v, %v", len(found), missing, err)
	}
	truth, err := sim.tenant.Presence("anna")
	if err != nil {
		t.Fatal(err)
	}
	i := slices.IndexFunc(found, func(p graph.Presence) bool { return string(p.User) == truth.ID })
	if i < 0 || found[i].Availability != "Busy" || found[i].Activity != "InAMeeting" || found[i].Sequence != truth.Sequence {
		t.Errorf("anna is %+v, the truth is %+v", found[i], truth)
	}
	for name, unknownIDs := range map[string]string{"as PresenceUnknown": "unknown", "with an error": "error"} {
		if err := sim.tenant.Switch(func(s *graphsim.Switches) { s.UnknownIDs = unknownIDs }); err != nil {
			t.Fatal(err)
		}
		found, _, err := sim.client.Presences(t.Context(), []identity.User{all[0], unknown})
		if unknownIDs == "unknown" && (err != nil || len(found) != 2 || found[1].Availability != "PresenceUnknown") {
			t.Errorf("unknown ids %s: %+v, %v", name, found, err)
		}
		if unknownIDs == "error" && fault.KindOf(err) != fault.NotFound {
			t.Errorf("unknown ids %s: %v, want not found", name, err)
		}
	}
}

func TestATokenSaysWhatTheAppMayDoAndIsAskedForOnce(t *testing.T) {
	sim := simulate(t, 3)
	for range 6 {
		roles, expires, err := sim.client.Token(t.Context())
		if err != nil || !slices.Contains(roles, "Presence.Read.All") || time.Until(expires) < 50*time.Minute {
			t.Fatalf("roles %v until %v, %v", roles, expires, err)
		}
	}
	if n := sim.server.Requests().Of(http.MethodPost, "/{tenant}/oauth2/v2.0/token", 0); n != 1 {
		t.Errorf("%d token requests, want 1", n)
	}
}

func TestAWithdrawnPermissionIsDenied(t *testing.T) {
	sim := simulate(t, 3)
	if err := sim.tenant.Revoke(appID, "Presence.Read.All", "User.Read.All"); err != nil {
		t.Fatal(err)
	}
	all := sim.ids(t)
	if _, _, err := sim.client.Presences(t.Context(), all); fault.KindOf(err) != fault.Denied {
		t.Errorf("presences: %v, want denied", err)
	}
	if _, err := sim.client.Users(t.Context(), ""); fault.KindOf(err) != fault.Denied {
		t.Errorf("users: %v, want denied", err)
	}
	if n := sim.server.Requests().Of(http.MethodPost, "/v1.0/communications/getPresencesByUserId", http.StatusForbidden); n != 1 {
		t.Errorf("%d requests were answered 403, want 1: a refusal is not repeated", n)
	}
}

func TestUsersAreFollowedThroughATenantsChanges(t *testing.T) {
	sim := simulate(t, 250)
	if err := sim.tenant.Switch(func(s *graphsim.Switches) { s.EmptyPages = true }); err != nil {
		t.Fatal(err)
	}
	round := func(at graph.Cursor) (users map[identity.User]graph.User, removed []graph.Removed, delta graph.Cursor) {
		t.Helper()
		users = map[identity.User]graph.User{}
		for range 20 {
			page, err := sim.client.Users(t.Context(), at)
			if err != nil || page.Reset {
				t.Fatalf("reset %v, %v", page.Reset, err)
			}
			for _, user := range page.Users {
				users[user.ID] = user
			}
			removed = append(removed, page.Removed...)
			if page.Delta != "" {
				return users, removed, page.Delta
			}
			at = page.Next
		}
		t.Fatal("the round has more than 20 pages")
		return nil, nil, ""
	}
	users, _, delta := round("")
	if len(users) != 250 {
		t.Fatalf("%d users, want 250", len(users))
	}
	truth, err := sim.tenant.User("anna")
	if err != nil {
		t.Fatal(err)
	}
	anna := users[identity.User(truth.ID)]
	if anna.UPN != truth.UserPrincipalName || anna.Name != truth.DisplayName || anna.Mail != truth.Mail || !slices.Equal(anna.Phones, truth.BusinessPhones) || !anna.Enabled || anna.Guest {
		t.Errorf("anna is %+v, the truth is %+v", anna, truth)
	}
	if err := sim.tenant.EditUser("anna", func(u *graphsim.User) { u.Department = "Care" }); err != nil {
		t.Fatal(err)
	}
	if err := sim.tenant.DeleteUser("ben", true); err != nil {
		t.Fatal(err)
	}
	users, removed, delta := round(delta)
	if len(users) != 1 || users[anna.ID].Department != "Care" || len(removed) != 1 || removed[0].Restorable {
		t.Errorf("changed %v, removed %v; want anna changed and ben removed for good", users, removed)
	}
	sim.tenant.ExpireDeltas()
	if page, err := sim.client.Users(t.Context(), delta); err != nil || !page.Reset || len(page.Users) != 0 {
		t.Errorf("an expired cursor: reset %v, %v; want a reset and nothing else", page.Reset, err)
	}
	if user, err := sim.client.User(t.Context(), anna.ID); err != nil || user.UPN != anna.UPN || user.Department != "Care" {
		t.Errorf("anna alone: %+v, %v", user, err)
	}
	if _, err := sim.client.User(t.Context(), "99999999-9999-9999-9999-999999999999"); fault.KindOf(err) != fault.NotFound {
		t.Errorf("nobody: %v, want not found", err)
	}
}

func TestATenantThatThrottlesIsRidOut(t *testing.T) {
	sim := simulate(t, 3)
	all := sim.ids(t)
	for _, f := range []graphsim.Fault{
		{Kind: graphsim.FaultStatus, RetryAfter: "0.2", Count: 2},
		{Kind: graphsim.FaultStatus, RetryDate: time.Second, Count: 1},
		{Kind: graphsim.FaultStatus, Status: 503, Count: 1},
		{Kind: graphsim.FaultStatus, Status: 504, Count: 1},
		{Kind: graphsim.FaultHangUp, Count: 1},
	} {
		if _, err := sim.tenant.Fault(f); err != nil {
			t.Fatal(err)
		}
		if _, missing, err := sim.client.Presences(t.Context(), all); err != nil || len(missing) != 0 {
			t.Errorf("%+v: missing %v, %v", f, missing, err)
		}
		sim.tenant.ClearFaults()
	}
}

func TestADelegatedAccountSpeaksForItself(t *testing.T) {
	sim := simulate(t, 3)
	store := &keeper{value: "first"}
	source, err := msgraph.NewDelegated(msgraph.DelegatedConfig{Directory: directory, ClientID: appID, Cloud: sim.cloud,
		Store: store, Roots: sim.server.Authority().Pool()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(source.Close)
	client, err := msgraph.New(msgraph.Config{Tenant: "contoso", Cloud: sim.cloud, Tokens: source, Roots: sim.server.Authority().Pool()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	scopes, _, err := client.Token(t.Context())
	if err != nil || !slices.Contains(scopes, "Presence.Read.All") {
		t.Errorf("scopes %v, %v", scopes, err)
	}
	if _, _, err := client.Presences(t.Context(), sim.ids(t)); err != nil {
		t.Error(err)
	}
	if len(store.saved) != 1 || store.value == "first" {
		t.Errorf("refresh tokens saved %d times", len(store.saved))
	}
}
