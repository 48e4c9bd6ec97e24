package doctor_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"offhook.dev/libs/config"
	"offhook.dev/libs/core/plan"
	"offhook.dev/libs/pbx"
	"offhook.dev/services/control-api/api"
	"offhook.dev/services/e2e/world"
	"offhook.dev/services/offhook/doctor"
	"offhook.dev/services/pbx-writer/writer"
)

func TestWhatKeepsUsersAndContactsFromTheirPlacesIsNamedWithAdvice(t *testing.T) {
	w := world.New(t, world.Options{Users: 2})
	newest := api.Plan{ID: "contoso-users-2", Tenant: "contoso", Kind: "users", State: "planned", Made: time.Date(2026, 6, 2, 9, 30, 0, 0, time.UTC)}
	held := newest
	held.Brake = plan.State{Tripped: true, Removed: 9, Linked: 40, Held: 7}
	forced, others, books := held, held, held
	forced.State, others.Tenant, books.Kind = "done", "fabrikam", "contacts"
	expired, old := held, books
	expired.State, old.State = "expired", "expired"
	synced := func(c *config.Config) { c.Tenants[0].Users.Policy = "sync" }
	const itself, holds = "its own Microsoft 365 sync does not keep ", "the brake of "
	cases := []struct {
		claim  string
		set    func(*config.Config)
		native pbx.SyncState
		plans  []api.Plan
		err    error
		want   doctor.Check // of which Cause and Fix are parts; zero: all is well
	}{
		{"nothing is in the way", synced, pbx.SyncState{}, nil, nil, doctor.Check{}},
		{"a phone system that makes extensions itself", synced, pbx.SyncState{Users: true}, nil, nil,
			doctor.Check{Code: "OH-PBX-005", Level: "problem", Check: itself + "extensions", Cause: "although it is to do so for contoso", Fix: "switch its user sync off"}},
		{"which is nobody's business where users are not synchronised", nil, pbx.SyncState{Users: true}, nil, nil, doctor.Check{}},
		{"a phone system that fills phonebooks itself", nil, pbx.SyncState{Contacts: true}, nil, nil,
			doctor.Check{Code: "OH-PBX-006", Level: "warning", Check: itself + "phonebooks", Cause: "for contoso", Fix: "contacts.personal: false"}},
		{"from shared mailboxes", nil, pbx.SyncState{Mailboxes: true}, nil, nil,
			doctor.Check{Code: "OH-PBX-006", Level: "warning", Check: itself + "phonebooks", Cause: "for contoso", Fix: "shared_mailboxes"}},
		{"which is nobody's business where contacts are not asked for", func(c *config.Config) { c.Tenants[0].Contacts.Personal = false }, pbx.SyncState{Contacts: true}, nil, nil, doctor.Check{}},
		{"one that the configuration overrules", func(c *config.Config) {
			synced(c)
			c.Systems[0].Options = map[string]any{"ignore_native_sync": true}
		}, pbx.SyncState{Users: true, Contacts: true}, nil, nil, doctor.Check{}},
		{"a plan that the brake holds", nil, pbx.SyncState{}, []api.Plan{held, newest}, nil,
			doctor.Check{Code: "OH-PLAN-002", Level: "warning", Check: holds + "users holds nothing back", Cause: "it holds 7 changes back: by the plan of 2026-06-02 09:30 UTC, 9 of 40", Fix: "offhook plan users --tenant contoso"}},
		{"one for phonebooks", nil, pbx.SyncState{}, []api.Plan{newest, books}, nil,
			doctor.Check{Code: "OH-PLAN-002", Level: "warning", Check: holds + "contacts holds nothing back", Cause: "contacts.brake", Fix: "offhook plan contacts --tenant contoso"}},
		{"a plan that nobody applied in time", nil, pbx.SyncState{}, []api.Plan{expired}, nil,
			doctor.Check{Code: "OH-PLAN-002", Level: "warning", Check: holds + "users holds nothing back", Cause: "it holds 7", Fix: "--force"}},
		{"one for phonebooks, which may have been applied", nil, pbx.SyncState{}, []api.Plan{old}, nil, doctor.Check{}},
		{"a newer plan that it does not hold", nil, pbx.SyncState{}, []api.Plan{newest, held}, nil, doctor.Check{}},
		{"one that somebody has forced", nil, pbx.SyncState{}, []api.Plan{forced}, nil, doctor.Check{}},
		{"one of a tenant that is not in this configuration", nil, pbx.SyncState{}, []api.Plan{others}, nil, doctor.Check{}},
		{"nobody can be asked", synced, pbx.SyncState{}, nil, errors.New("nobody answers"),
			doctor.Check{Code: "OH-PLAN-001", Level: "warning", Check: "Offhook says what it plans", Cause: "nobody answers", Fix: "start Offhook"}},
		{"which matters to those alone who synchronise users", nil, pbx.SyncState{}, nil, errors.New("nobody answers"), doctor.Check{}},
	}
	for _, c := range cases {
		t.Run(c.claim, func(t *testing.T) {
			conf := w.Config
			conf.Tenants, conf.Systems = slices.Clone(conf.Tenants), slices.Clone(conf.Systems)
			if c.set != nil {
				c.set(&conf)
			}
			w.PBX.SetNativeSync(c.native)
			checks := doctor.Run(t.Context(), conf, doctor.Options{Now: time.Now(), OpenSystem: writer.OpenDriver, Plans: func(context.Context) ([]api.Plan, error) { return c.plans, c.err }})
			found := false
			for _, check := range checks {
				about := strings.HasPrefix(check.Code, "OH-PLAN") || check.Code == "OH-PBX-005" || check.Code == "OH-PBX-006"
				switch {
				case !about || check.Level == "ok":
				case check.Code == c.want.Code && check.Level == c.want.Level && check.Check == c.want.Check && strings.Contains(check.Cause, c.want.Cause) && strings.Contains(check.Fix, c.want.Fix):
					found = true
				default:
					t.Errorf("%+v", check)
				}
			}
			if want := c.want.Code != ""; found != want {
				t.Errorf("it is said: %v, want %v", found, want)
			}
		})
	}
}

func TestASharedMailboxThatNobodyHasIsNamed(t *testing.T) {
	w := world.New(t, world.Options{Users: 2})
	conf := w.Config
	conf.Tenants = slices.Clone(conf.Tenants)
	there, err := w.Tenant.User("anna")
	if err != nil {
		t.Fatal(err)
	}
	conf.Tenants[0].Contacts.SharedMailboxes = []string{there.UserPrincipalName, there.ID, "ofice@contoso.example"}
	var told []string
	for _, c := range doctor.Run(t.Context(), conf, doctor.Options{Now: time.Now(), OpenSystem: writer.OpenDriver}) {
		if c.Code != "OH-M365-007" {
			continue
		}
		if told = append(told, c.Level+" "+c.Check); c.Level != "ok" && (!strings.Contains(c.Cause, "no user has this") || !strings.Contains(c.Fix, "correct it")) {
			t.Errorf("%+v", c)
		}
	}
	const check = "contacts.shared_mailboxes: "
	if want := []string{fmt.Sprintf("ok %s%q", check, there.UserPrincipalName), fmt.Sprintf("ok %s%q", check, there.ID), "warning " + check + `"ofice@contoso.example"`}; !slices.Equal(told, want) {
		t.Errorf("told %q, want %q", told, want)
	}
}
