package doctor

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"offhook.dev/libs/config"
)

func TestEachPermissionIsAskedForByWhatNeedsIt(t *testing.T) {
	none := func(t *config.Tenant) {
		t.Presence.Mode, t.Contacts.Personal = "disabled", false
	}
	for _, c := range []struct {
		claim string
		set   func(*config.Tenant)
		want  string
	}{
		{"nothing but the directory", none, "User.Read.All"},
		{"a choice by group", func(t *config.Tenant) { none(t); t.Users.Groups = []string{"g"} }, "User.Read.All GroupMember.Read.All"},
		{"users get extensions", func(t *config.Tenant) { none(t); t.Users.Policy = "upsert-only" }, "User.Read.All MailboxSettings.Read ProfilePhoto.Read.All"},
		{"without photos", func(t *config.Tenant) { none(t); t.Users.Policy, t.Users.Photos = "sync", false }, "User.Read.All MailboxSettings.Read"},
		{"personal contacts", func(t *config.Tenant) { none(t); t.Contacts.Personal = true }, "User.Read.All Contacts.Read"},
		{"contacts of mailboxes", func(t *config.Tenant) { none(t); t.Contacts.SharedMailboxes = []string{"info"} }, "User.Read.All Contacts.Read"},
		{"what a configuration says that says nothing", func(*config.Tenant) {},
			"User.Read.All GroupMember.Read.All Presence.Read.All Calendars.Read MailboxSettings.Read Contacts.Read"},
		{"both ways", func(t *config.Tenant) { t.Presence.Mode, t.Contacts.Personal = "both", false },
			"User.Read.All GroupMember.Read.All Presence.Read.All Presence.ReadWrite.All Calendars.Read MailboxSettings.Read"},
	} {
		tenant := config.DefaultTenant()
		c.set(&tenant)
		var names []string
		for _, p := range permissions(tenant) {
			if names = append(names, p.name); p.without == "" {
				t.Errorf("%s: it is not said what fails without %s", c.claim, p.name)
			}
		}
		if got := strings.Join(names, " "); got != c.want {
			t.Errorf("%s: %s, want %s", c.claim, got, c.want)
		}
	}
}

func TestALargerPermissionIncludesASmallerOne(t *testing.T) {
	tenant := config.DefaultTenant()
	tenant.Users.Policy = "sync"
	all := permissions(tenant)
	for granted, missing := range map[string]string{
		"User.Read.All": "Contacts.Read", "User.Read.All Contacts.ReadWrite": "", "Contacts.Read": "ProfilePhoto.Read.All User.Read.All", "ProfilePhoto.Read.All Contacts.Read": "User.Read.All",
	} {
		var not []string
		for _, p := range all {
			if slices.Contains([]string{"User.Read.All", "ProfilePhoto.Read.All", "Contacts.Read"}, p.name) && !p.in(strings.Fields(granted)) {
				not = append(not, p.name)
			}
		}
		slices.Sort(not)
		if got := strings.Join(not, " "); got != missing {
			t.Errorf("with %s: %q is missing, want %q", granted, got, missing)
		}
	}
	if fmt.Sprint(permission{name: "A"}.in(nil)) != "false" {
		t.Error("nothing is granted, and something is")
	}
}
