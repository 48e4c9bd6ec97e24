package options_test

import (
	"strings"
	"testing"
	"time"

	"offhook.dev/libs/config"
	"offhook.dev/libs/core/presence"
	"offhook.dev/libs/options"
)

func TestTheConfigurationIsTheLayerBelow(t *testing.T) {
	tenant := config.Tenant{ID: "contoso", Microsoft365: config.Microsoft365{Cloud: "global"}, Users: config.Users{Zone: "Europe/Berlin"}}
	tenant.Presence = config.Presence{Mode: "both", Combine: "strongest", Damping: time.Second, StaleAfter: time.Minute,
		Manual: config.Manual{Policy: "until-cleared", Max: 5 * 60, Scope: "user"}}
	china := tenant
	china.ID, china.Microsoft365.Cloud = "fabrikam", "china"
	tenants, err := options.FromConfig(config.Config{Tenants: []config.Tenant{tenant, china}})
	if err != nil {
		t.Fatal(err)
	}
	o := tenants["contoso"]
	if o.Mode != presence.Both || o.Combine != presence.Strongest || o.Damping != time.Second || o.StaleAfter != time.Minute || o.Base != presence.Available ||
		o.Manual.Policy != presence.UntilCleared || o.Manual.Max.String() != "05:00" || o.Manual.Scope != presence.OnUser || o.Manual.Zone.String() != "Europe/Berlin" || o.TeamsAbsent {
		t.Errorf("contoso: %+v", o)
	}
	if !tenants["fabrikam"].TeamsAbsent {
		t.Error("the cloud of China has no Teams presence")
	}
	for says, spoil := range map[string]func(*config.Tenant){
		"mapping.teams":    func(t *config.Tenant) { t.Presence.Mapping.Teams = map[string]string{"a b": "dnd"} },
		"mapping.calendar": func(t *config.Tenant) { t.Presence.Mapping.Calendar = map[string]string{"bad": "dnd"} },
		"mapping.pbx":      func(t *config.Tenant) { t.Presence.Mapping.PBX = map[string]string{"bad": "Busy"} },
		"zone":             func(t *config.Tenant) { t.Users.Zone = "Mars/Olympus" },
		"moon":             func(t *config.Tenant) { t.Microsoft365.Cloud = "moon" },
	} {
		bad := tenant
		spoil(&bad)
		if _, err := options.FromConfig(config.Config{Tenants: []config.Tenant{bad}}); err == nil || !strings.Contains(err.Error(), says) || !strings.Contains(err.Error(), "contoso") {
			t.Errorf("%s: %v", says, err)
		}
	}
}
