package msgraph_test

import (
	"slices"
	"testing"
	"time"

	"offhook.dev/libs/core/fault"
	"offhook.dev/libs/graph"
	"offhook.dev/libs/graph/graphsim"
	"offhook.dev/libs/graph/msgraph"
)

func TestPresencesAreWrittenToATenant(t *testing.T) {
	sim := simulateAs(t, 3, func(c *graphsim.Config) {
		c.Tenants[0].Apps[0].Roles = append(graphsim.DefaultRoles(), "Presence.ReadWrite.All")
	})
	user := sim.ids(t)[0]
	for _, each := range []struct {
		name string
		do   func() error
		want string
	}{
		{"a call", func() error {
			return sim.client.SetPresence(t.Context(), user, appID, graph.SessionInACall, 10*time.Minute)
		}, "Busy/InACall"},
		{"the same call", func() error {
			return sim.client.SetPresence(t.Context(), user, appID, graph.SessionInACall, 10*time.Minute)
		}, "Busy/InACall"},
		{"a pin", func() error {
			return sim.client.SetPreferredPresence(t.Context(), user, graph.PreferDoNotDisturb, 2*time.Hour)
		}, "DoNotDisturb/DoNotDisturb"},
		{"the end of the pin", func() error { return sim.client.ClearPreferredPresence(t.Context(), user) }, "Busy/InACall"},
		{"the end of the call", func() error { return sim.client.ClearPresence(t.Context(), user, appID) }, "Available/Available"},
		{"the end of what has ended", func() error { return sim.client.ClearPresence(t.Context(), user, appID) }, "Available/Available"},
	} {
		if err := each.do(); err != nil {
			t.Errorf("%s: %v", each.name, err)
		}
		if truth, err := sim.tenant.Presence(string(user)); err != nil || truth.Availability+"/"+truth.Activity != each.want {
			t.Errorf("%s: shows %+v, %v", each.name, truth, err)
		}
	}
	if got := sim.tenant.PresenceWrites().Users[string(user)]; got != (graphsim.PresenceTally{Changed: 4, Renewed: 1, Refused: 1}) {
		t.Errorf("%+v", got)
	}
	if err := sim.tenant.Revoke(appID, "Presence.ReadWrite.All"); err != nil {
		t.Fatal(err)
	}
	if err := sim.client.ClearPreferredPresence(t.Context(), user); fault.KindOf(err) != fault.Denied {
		t.Errorf("a withdrawn permission: %v, want denied", err)
	}
}

func TestAnAccountIsAuthorizedAtATenantAndSpeaksForItself(t *testing.T) {
	sim := simulateAs(t, 3, func(c *graphsim.Config) { c.TimeScale = 50 }) // asks every 100 ms
	begin := func() *msgraph.DeviceSignIn {
		t.Helper()
		sign, err := msgraph.StartDeviceSignIn(t.Context(), msgraph.DeviceConfig{Directory: directory, ClientID: appID, Cloud: sim.cloud, Roots: sim.server.Authority().Pool()})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(sign.Close)
		return sign
	}
	refused := begin()
	if err := sim.tenant.DeclineDevice(refused.UserCode); err != nil {
		t.Fatal(err)
	}
	if _, err := refused.Wait(t.Context()); fault.KindOf(err) != fault.Denied {
		t.Errorf("declined: %v, want denied", err)
	}
	sign := begin()
	if err := sim.tenant.ApproveDevice(sign.UserCode, "ben"); err != nil {
		t.Fatal(err)
	}
	who, err := sign.Wait(t.Context())
	if err != nil || who.User != sim.ids(t)[1] || who.Name != "ben@contoso.example" {
		t.Fatalf("%+v, %v", who, err)
	}
	store := &keeper{value: who.Refresh.Reveal()}
	source, err := msgraph.NewDelegated(msgraph.DelegatedConfig{Directory: directory, ClientID: appID, Cloud: sim.cloud, Store: store, Roots: sim.server.Authority().Pool()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(source.Close)
	client, err := msgraph.New(msgraph.Config{Tenant: "contoso", Cloud: sim.cloud, Tokens: source, Roots: sim.server.Authority().Pool()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	if scopes, _, err := client.Token(t.Context()); err != nil || !slices.Contains(scopes, "Presence.Read.All") {
		t.Errorf("scopes %v, %v", scopes, err)
	}
	if err := sim.tenant.RequireMFA("ben"); err != nil {
		t.Fatal(err)
	}
	again, err := msgraph.NewDelegated(msgraph.DelegatedConfig{Directory: directory, ClientID: appID, Cloud: sim.cloud, Store: store, Roots: sim.server.Authority().Pool()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(again.Close)
	if _, err := again.Token(t.Context()); fault.KindOf(err) != fault.Denied {
		t.Errorf("a second factor is asked for: %v, want denied", err)
	}
}
