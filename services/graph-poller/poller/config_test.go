package poller

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.opentelemetry.io/otel/metric/noop"

	"offhook.dev/libs/config"
	"offhook.dev/libs/graph"
	"offhook.dev/libs/hot"
)

// ledger is a store that remembers what was taken of it.
type ledger struct {
	hot.Store
	keys  []string
	limit hot.Limit
}

func (l *ledger) Take(_ context.Context, key string, limit hot.Limit, _ int) (time.Duration, error) {
	l.keys, l.limit = append(l.keys, key), limit
	return 0, nil
}

// How a budget is waited for is libs/graph's to show.
func TestRequestsArePacedByTheReadersShareOfEachTenant(t *testing.T) {
	state := &ledger{}
	must(t, budget(state).Take(t.Context(), "contoso/mailbox", 20))
	if len(state.keys) != 1 || state.keys[0] != "graph:contoso/mailbox" || state.limit != hot.Limit(graph.ShareReader.Limit(graph.APIMailbox)) {
		t.Errorf("%v of %+v", state.keys, state.limit)
	}
	must(t, state.limit.Valid())
}

func TestTheConfigurationDecidesWhatIsRead(t *testing.T) {
	file := filepath.Join(t.TempDir(), "secret")
	must(t, os.WriteFile(file, []byte("app-secret"), 0o600))
	tests := []struct {
		name          string
		change        func(*config.Tenant)
		presence      bool
		accounts      int // that listen to presences
		calendar      bool
		subscriptions bool // to events
	}{
		{"by default both are read and subscribed to", func(*config.Tenant) {}, true, 1, true, true},
		{"both directions", func(c *config.Tenant) { c.Presence.Mode = "both" }, true, 1, true, true},
		{"the calendar alone", func(c *config.Tenant) { c.Presence.Mode = "calendar" }, true, 1, true, true},
		{"towards Teams alone", func(c *config.Tenant) { c.Presence.Mode = "pbx-to-teams" }, true, 1, true, true},
		{"disabled", func(c *config.Tenant) { c.Presence.Mode = "disabled" }, true, 1, true, true},
		{"no subscriptions to events", func(c *config.Tenant) { c.Presence.Calendar.Subscribe = false }, true, 1, true, false},
		{"a cloud without presence notifications", func(c *config.Tenant) { c.Microsoft365.Cloud = "usgov" }, true, 0, true, true},
		{"a cloud without presence", func(c *config.Tenant) { c.Microsoft365.Cloud = "china" }, false, 0, true, true},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			tenant := config.Tenant{ID: "contoso", Presence: config.Presence{Mode: "teams-to-pbx", Sweep: config.Sweep{Presence: time.Second, Users: time.Minute, Calendar: 2 * time.Minute, Contacts: time.Hour},
				Calendar: config.Calendar{Subscribe: true, Rules: []config.CalendarRule{{AttendeesMax: new(1), As: "free"}}}},
				Users:    config.Users{Photos: true, Groups: []string{directories[contoso]}},
				Contacts: config.Contacts{Personal: true, SharedMailboxes: []string{"info@contoso.example"}, Folders: []string{"Customers"}},
				Microsoft365: config.Microsoft365{DirectoryID: directories[contoso], ClientID: app, ClientSecretFile: file,
					Accounts: []config.Account{{Name: "anna", RefreshTokenFile: file}}}}
			test.change(&tenant)
			o, err := FromConfig(config.Config{Webhook: config.Webhook{PublicURL: "https://offhook.example.com/"}, Tenants: []config.Tenant{tenant}}, hot.InProcess(), noop.NewMeterProvider().Meter(""))
			must(t, err)
			got := o.Tenants[0]
			if got.Presence != test.presence || len(got.Accounts) != test.accounts || got.PublicURL != "https://offhook.example.com" {
				t.Errorf("presence %v, %d accounts, called at %q", got.Presence, len(got.Accounts), got.PublicURL)
			}
			if got.Calendar != test.calendar || got.Subscribe != test.subscriptions || got.Calendars != 2*time.Minute || !got.Rules.AskAttendees() {
				t.Errorf("calendars %v, subscribe %v, every %v", got.Calendar, got.Subscribe, got.Calendars)
			}
			if china := tenant.Microsoft365.Cloud == "china"; got.ContactChanges == china || !got.SubscribeUsers || !got.Personal || !got.Photos || got.Contacts != time.Hour ||
				len(got.Shared) != 1 || len(got.Folders) != 1 || len(got.Groups) != 1 || !strings.HasPrefix(got.Graph, "https://") {
				t.Errorf("people: %+v", got)
			}
			if string(got.Mode) != tenant.Presence.Mode {
				t.Errorf("mode %q, the configuration says %q", got.Mode, tenant.Presence.Mode)
			}
			if got.ID != contoso || got.Directory != directories[contoso] || got.App != app || got.Sweep != time.Second || got.Users != time.Minute {
				t.Errorf("%+v", got)
			}
			if _, err := got.Client(); err != nil {
				t.Error(err)
			}
			for _, account := range got.Accounts {
				if _, err := got.Delegated(account.Store); err != nil || account.Name != "anna" {
					t.Errorf("account %s: %v", account.Name, err)
				}
			}
		})
	}
}

func TestWhatTheConfigurationLacksIsNamed(t *testing.T) {
	for says, change := range map[string]func(*config.Microsoft365){
		"certificate_file":   func(m *config.Microsoft365) { m.CertificateFile = "there-is-none" },
		"client_secret_file": func(m *config.Microsoft365) { m.ClientSecretFile = "there-is-none" },
		"cloud":              func(m *config.Microsoft365) { m.Cloud = "mars" },
		"endpoints":          func(m *config.Microsoft365) { m.Endpoints.Graph = "http://plain.example" },
	} {
		tenant := config.Tenant{ID: "contoso"}
		change(&tenant.Microsoft365)
		_, err := FromConfig(config.Config{Tenants: []config.Tenant{tenant}}, hot.InProcess(), noop.NewMeterProvider().Meter(""))
		if err == nil || !strings.Contains(err.Error(), says) || !strings.Contains(err.Error(), "tenant contoso") {
			t.Errorf("%v; want it to name %s and the tenant", err, says)
		}
	}
}
