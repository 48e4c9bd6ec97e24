package graphwriter

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.opentelemetry.io/otel/metric/noop"

	"offhook.dev/libs/config"
	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/graph/graphsim"
	"offhook.dev/libs/hot"
	"offhook.dev/libs/secret"
	"offhook.dev/libs/wire"
)

const directory = "11111111-2222-3333-4444-555555555555"

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// configured is a tenant's entry in the configuration, with a client secret.
func configured(t *testing.T, mode string) config.Tenant {
	t.Helper()
	file := filepath.Join(t.TempDir(), "secret")
	must(t, os.WriteFile(file, []byte("app-secret"), 0o600))
	return config.Tenant{ID: string(contoso), Presence: config.Presence{Mode: mode},
		Microsoft365: config.Microsoft365{DirectoryID: directory, ClientID: app, ClientSecretFile: file}}
}

func fromConfig(t *testing.T, tenants ...config.Tenant) Options {
	t.Helper()
	o, err := FromConfig(config.Config{Tenants: tenants}, hot.InProcess(), noop.NewMeterProvider().Meter(""))
	must(t, err)
	return o
}

func TestTheConfigurationDecidesWhoNeedsAClient(t *testing.T) {
	for mode, writes := range map[string]bool{"disabled": false, "teams-to-pbx": false, "pbx-to-teams": true, "both": true, "calendar": false} {
		got := fromConfig(t, configured(t, mode)).Tenants[0]
		if got.Writes != writes || got.ID != contoso || got.App != app {
			t.Errorf("%s: %+v", mode, got)
		}
		if _, err := got.Client(); err != nil {
			t.Errorf("%s: %v", mode, err)
		}
	}
	if o := fromConfig(t); len(o.Tenants) != 0 {
		t.Errorf("no tenants: %+v", o)
	}
}

func TestWhatTheConfigurationLacksIsNamed(t *testing.T) {
	for says, change := range map[string]func(*config.Microsoft365){
		"certificate_file":   func(m *config.Microsoft365) { m.CertificateFile = "there-is-none" },
		"client_secret_file": func(m *config.Microsoft365) { m.ClientSecretFile = "there-is-none" },
		"cloud":              func(m *config.Microsoft365) { m.Cloud = "mars" },
		"endpoints":          func(m *config.Microsoft365) { m.Endpoints.Graph = "http://plain.example" },
	} {
		tenant := configured(t, "both")
		change(&tenant.Microsoft365)
		_, err := fromConfig(t, tenant).Tenants[0].Client()
		if err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%v; want it to name %s", err, says)
		}
	}
}

// The whole way: the configuration's client, Microsoft's SDK, HTTPS, and a simulated
// tenant in which others see the call and, above it, the choice.
func TestASimulatedTenantShowsCallsAndChoices(t *testing.T) {
	authority, err := secret.NewAuthority("graph-writer test", time.Now())
	must(t, err)
	server, err := graphsim.Start(t.Context(), graphsim.Config{Seed: 1, Authority: authority, Tenants: []graphsim.TenantConfig{{
		DirectoryID: directory, Domain: "contoso.example", Users: 1,
		Apps: []graphsim.App{{ClientID: app, Secret: secret.NewValue("app-secret"), Roles: []string{"Presence.ReadWrite.All", "User.Read.All"}}},
	}}})
	must(t, err)
	t.Cleanup(func() { _ = server.Close() })
	conf := configured(t, "both")
	conf.Microsoft365.Endpoints = config.Endpoints{Login: server.LoginURL(), Graph: server.GraphURL(), CAFile: filepath.Join(t.TempDir(), "ca.pem")}
	must(t, os.WriteFile(conf.Microsoft365.Endpoints.CAFile, authority.PEM(), 0o600))
	tenant := server.Tenant(string(contoso))
	who := identity.Person{Tenant: contoso, User: identity.User(tenant.UserIDs()[0])}

	s := newStage(t)
	s.opts = fromConfig(t, conf)
	s.run("a")
	sees := func(want string) {
		t.Helper()
		s.eventually(func() string {
			shown, err := tenant.Presence(string(who.User))
			if err != nil {
				return err.Error()
			}
			if got := fmt.Sprintf("%s/%s", shown.Availability, shown.Activity); got != want {
				return "others see " + got + ", want " + want
			}
			return ""
		})
	}
	must(t, tenant.SetPresence(string(who.User), "Available", "Available"))
	w := s.calling(0)
	w.Person = who
	s.ends(s.publish(w), wire.Applied)
	sees("Busy/InACall")
	chosen := s.choosing(0, dnd)
	chosen.Person, chosen.Session, chosen.SessionUntil = who, w.Session, w.SessionUntil
	s.ends(s.publish(chosen), wire.Applied)
	sees(dnd)
	release := s.want(0)
	release.Person, release.Release = who, true
	s.ends(s.publish(release), wire.Applied)
	sees("Available/Available")
	// A call again, whose end may not be written any more.
	w = s.calling(0)
	w.Person = who
	s.ends(s.publish(w), wire.Applied)
	sees("Busy/InACall")
	must(t, tenant.Revoke(app, "Presence.ReadWrite.All"))
	ended := s.want(0)
	ended.Person = who
	if o := s.ends(s.publish(ended), wire.Failed); !strings.Contains(o.Detail, "403") {
		t.Errorf("without the permission: %q", o.Detail)
	}
}
