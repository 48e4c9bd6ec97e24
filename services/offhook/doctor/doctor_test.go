package doctor_test

import (
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"offhook.dev/libs/config"
	"offhook.dev/libs/pbx"
	"offhook.dev/services/e2e/world"
	"offhook.dev/services/offhook/doctor"
	"offhook.dev/services/pbx-writer/writer"
)

func TestEachProblemIsFoundAndSaysHowToMendIt(t *testing.T) {
	cases := []struct {
		name  string
		spoil func(*testing.T, *world.World, *config.Config)
		later time.Duration // how far in the future the doctor looks
		code  string        // of the check that must not be ok; "": all are
		level string
		fix   string
	}{
		{"nothing is wrong", func(*testing.T, *world.World, *config.Config) {}, 0, "", "", ""},
		{"a permission was withdrawn", func(t *testing.T, w *world.World, c *config.Config) {
			if err := w.Tenant.Revoke(c.Tenants[0].Microsoft365.ClientID, "Presence.Read.All"); err != nil {
				t.Fatal(err)
			}
		}, 0, "OH-M365-004", "problem", "Presence.Read.All"},
		{"calls go to Teams and may not be written there", func(t *testing.T, w *world.World, c *config.Config) {
			c.Tenants[0].Presence.Mode = "both"
			if err := w.Tenant.Revoke(c.Tenants[0].Microsoft365.ClientID, "Presence.ReadWrite.All"); err != nil {
				t.Fatal(err)
			}
		}, 0, "OH-M365-004", "problem", "Presence.ReadWrite.All"},
		{"calendars may not be read", func(t *testing.T, w *world.World, c *config.Config) {
			if err := w.Tenant.Revoke(c.Tenants[0].Microsoft365.ClientID, "Calendars.Read"); err != nil {
				t.Fatal(err)
			}
		}, 0, "OH-M365-004", "problem", "Calendars.Read"},
		{"time zones may not be read", func(t *testing.T, w *world.World, c *config.Config) {
			if err := w.Tenant.Revoke(c.Tenants[0].Microsoft365.ClientID, "MailboxSettings.Read"); err != nil {
				t.Fatal(err)
			}
		}, 0, "OH-M365-004", "warning", "MailboxSettings.Read"},
		{"groups may not be read", func(t *testing.T, w *world.World, c *config.Config) {
			if err := w.Tenant.Revoke(c.Tenants[0].Microsoft365.ClientID, "GroupMember.Read.All"); err != nil {
				t.Fatal(err)
			}
		}, 0, "OH-M365-004", "warning", "GroupMember.Read.All"},
		{"contacts may not be read", func(t *testing.T, w *world.World, c *config.Config) {
			c.Tenants[0].Contacts.Personal = true
			if err := w.Tenant.Revoke(c.Tenants[0].Microsoft365.ClientID, "Contacts.Read"); err != nil {
				t.Fatal(err)
			}
		}, 0, "OH-M365-004", "warning", "Contacts.Read"},
		{"the app is not known", func(_ *testing.T, _ *world.World, c *config.Config) {
			c.Tenants[0].Microsoft365.ClientID = "99999999-9999-4999-8999-999999999999"
		}, 0, "OH-M365-002", "problem", "client_id"},
		{"the app's certificate ends soon", func(*testing.T, *world.World, *config.Config) {}, 12 * time.Hour, "OH-M365-003", "warning", "app registration"},
		{"the phone system's secret is wrong", func(t *testing.T, _ *world.World, c *config.Config) {
			if err := os.WriteFile(c.Systems[0].ClientSecretFile, []byte("wrong"), 0o600); err != nil {
				t.Fatal(err)
			}
		}, 0, "OH-PBX-001", "problem", "client_secret_file"},
		{"the phone system is down", func(_ *testing.T, w *world.World, _ *config.Config) { w.PBX.Down() }, 0, "OH-PBX-001", "problem", "block list"},
		{"the phone system syncs statuses itself", func(_ *testing.T, w *world.World, _ *config.Config) {
			w.PBX.SetNativeSync(pbx.SyncState{Presence: true})
		}, 0, "OH-PBX-004", "problem", "switch"},
		{"there is no public address", func(_ *testing.T, _ *world.World, c *config.Config) { c.Webhook.PublicURL = "" }, 0, "OH-WEB-001", "warning", "webhook.public_url"},
		{"the broker is away", func(_ *testing.T, w *world.World, _ *config.Config) { w.Broker.Close() }, 0, "OH-NATS-002", "problem", "nats.url"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			w := world.New(t, world.Options{Users: 2, Webhook: true})
			conf := w.Config
			c.spoil(t, w, &conf)
			checks := doctor.Run(t.Context(), conf, doctor.Options{Now: time.Now().Add(c.later), OpenSystem: writer.OpenDriver})
			for _, check := range checks {
				if !check.OK && check.Code != c.code && !strings.HasPrefix(c.code, "OH-M365") {
					t.Errorf("%s is a problem as well: %s", check.Code, check.Cause)
				}
			}
			if c.code == "" {
				return
			}
			i := slices.IndexFunc(checks, func(check doctor.Check) bool { return check.Code == c.code && check.Level == c.level })
			if i < 0 || checks[i].Cause == "" || !strings.Contains(checks[i].Fix, c.fix) {
				t.Fatalf("no %s %s that says %q among %+v", c.level, c.code, c.fix, checks)
			}
		})
	}
}
