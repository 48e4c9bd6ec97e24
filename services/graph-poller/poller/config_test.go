package poller

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.opentelemetry.io/otel/metric/noop"

	"offhook.dev/libs/config"
	"offhook.dev/libs/core/fault"
	"offhook.dev/libs/graph"
	"offhook.dev/libs/hot"
)

// ledger is a budget that says how long to wait, and remembers what it was asked.
type ledger struct {
	hot.Store
	waits []time.Duration
	err   error
	keys  []string
	limit hot.Limit
}

func (l *ledger) Take(_ context.Context, key string, limit hot.Limit, _ int) (time.Duration, error) {
	l.keys, l.limit = append(l.keys, key), limit
	if l.err != nil || len(l.waits) == 0 {
		return 0, l.err
	}
	wait := l.waits[0]
	l.waits = l.waits[1:]
	return wait, nil
}

func TestABudgetIsWaitedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		state := &ledger{waits: []time.Duration{3 * time.Second, time.Second}}
		began := time.Now()
		if err := (budget{state}).Take(t.Context(), "contoso/presence", 1); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(began); took != 4*time.Second || len(state.keys) != 3 {
			t.Errorf("waited %v in %d tries", took, len(state.keys))
		}
		if state.keys[0] != "graph:contoso/presence" {
			t.Errorf("under %q: tenants must not share a budget", state.keys[0])
		}
	})
}

func TestABudgetThatComesTooLateIsNotWaitedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		err := budget{&ledger{waits: []time.Duration{time.Minute}}}.Take(ctx, "contoso/list", 1)
		if err == nil || fault.KindOf(err) != fault.Throttled || fault.RetryAfter(err) != time.Minute || ctx.Err() != nil {
			t.Errorf("%v", err)
		}
		ctx, stop := context.WithCancelCause(t.Context())
		time.AfterFunc(time.Second, func() { stop(errors.New("enough")) })
		if err := (budget{&ledger{waits: []time.Duration{time.Minute}}}).Take(ctx, "contoso/list", 1); err == nil || fault.KindOf(err) != fault.Cancelled {
			t.Errorf("after the caller gave up: %v", err)
		}
	})
	broken := errors.New("broken")
	if err := (budget{&ledger{err: broken}}).Take(t.Context(), "contoso/list", 1); !errors.Is(err, broken) {
		t.Errorf("%v", err)
	}
}

// The lower of the published quotas, of which a fifth is left for others.
func TestSharesStayBelowThePublishedQuotas(t *testing.T) {
	quotas := map[graph.API]hot.Limit{
		graph.APIPresence:      {Events: 1500, Per: 30 * time.Second},
		graph.APISubscriptions: {Events: 500, Per: 20 * time.Second},
		graph.APIList:          {Events: 25, Per: 20 * time.Second},
		graph.APIDirectory:     {Events: 3500, Per: 10 * time.Second}, // resource units of a small tenant; a read of users costs up to 2
	}
	for api, quota := range quotas {
		got := share("a/b/" + string(api))
		if err := got.Valid(); err != nil {
			t.Errorf("%s: %v", api, err)
		}
		if got.Per != quota.Per || float64(got.Events) > 0.8*float64(quota.Events) || got.Burst > got.Events {
			t.Errorf("%s: %+v of %+v", api, got, quota)
		}
	}
	if share("contoso/presence") == share("contoso/list") {
		t.Error("every API has the same share")
	}
}

func TestTheConfigurationDecidesWhatIsRead(t *testing.T) {
	file := filepath.Join(t.TempDir(), "secret")
	must(t, os.WriteFile(file, []byte("app-secret"), 0o600))
	tests := []struct {
		name          string
		change        func(*config.Tenant)
		presence      bool
		subscriptions bool
	}{
		{"by default presence is read and subscribed to", func(*config.Tenant) {}, true, true},
		{"both directions", func(c *config.Tenant) { c.Presence.Mode = "both" }, true, true},
		{"the calendar alone", func(c *config.Tenant) { c.Presence.Mode = "calendar" }, false, true},
		{"disabled", func(c *config.Tenant) { c.Presence.Mode = "disabled" }, false, true},
		{"a cloud without notifications", func(c *config.Tenant) { c.Microsoft365.Cloud = "usgov" }, true, false},
		{"a cloud without presence", func(c *config.Tenant) { c.Microsoft365.Cloud = "china" }, false, false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			tenant := config.Tenant{ID: "contoso", Presence: config.Presence{Mode: "teams-to-pbx", Sweep: config.Sweep{Presence: time.Second, Users: time.Minute}},
				Microsoft365: config.Microsoft365{DirectoryID: directories[contoso], ClientID: app, ClientSecretFile: file,
					Accounts: []config.Account{{Name: "anna", RefreshTokenFile: file}}}}
			test.change(&tenant)
			o, err := FromConfig(config.Config{Webhook: config.Webhook{PublicURL: "https://offhook.example.com/"}, Tenants: []config.Tenant{tenant}}, hot.InProcess(), noop.NewMeterProvider().Meter(""))
			must(t, err)
			got := o.Tenants[0]
			if got.Presence != test.presence || (got.PublicURL != "") != test.subscriptions || strings.HasSuffix(got.PublicURL, "/") {
				t.Errorf("presence %v, subscriptions at %q", got.Presence, got.PublicURL)
			}
			if got.ID != contoso || got.Directory != directories[contoso] || got.App != app || got.Sweep != time.Second || got.Users != time.Minute {
				t.Errorf("%+v", got)
			}
			if _, err := got.Client(); err != nil {
				t.Error(err)
			}
			if _, err := got.Accounts[0].Client(); err != nil || got.Accounts[0].Name != "anna" {
				t.Errorf("account %s: %v", got.Accounts[0].Name, err)
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
