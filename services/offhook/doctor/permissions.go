package doctor

import (
	"slices"
	"strings"

	"offhook.dev/libs/config"
	"offhook.dev/libs/core/plan"
	"offhook.dev/libs/core/presence"
)

// permission is an application permission of the app, with what fails without it.
type permission struct {
	name, without string
	optional      bool     // most works without it
	others        []string // each of which includes it
}

// in says whether the permission is among those that are granted.
func (p permission) in(granted []string) bool {
	return slices.ContainsFunc(append([]string{p.name}, p.others...), func(name string) bool { return slices.Contains(granted, name) })
}

// permissions are the application permissions that a tenant needs: those of its mode, and
// those of the users and contacts that are synchronised.
func permissions(t config.Tenant) []permission {
	m, users := presence.Mode(t.Presence.Mode), provides(t)
	needed := []permission{{name: "User.Read.All", without: "users cannot be read, so nobody is linked"}}
	if m != presence.Disabled || len(t.Users.GroupsNamed()) > 0 {
		without := "options and priorities of groups reach nobody who joins one"
		if len(t.Users.Groups) > 0 {
			without += ", and nobody who joins one of users.groups gets an extension"
		} else if len(t.Users.GroupsNamed()) > 0 {
			without += ", and users.ranges with groups give no numbers"
		}
		needed = append(needed, permission{name: "GroupMember.Read.All", without: without, optional: true})
	}
	if m.ReadsTeams() || m.WritesTeams() {
		needed = append(needed, permission{name: "Presence.Read.All", without: "Teams presence cannot be read"})
	}
	if m.WritesTeams() {
		needed = append(needed, permission{name: "Presence.ReadWrite.All", without: "calls and choices on the phone cannot be shown in Teams"})
	}
	if m.Writes() {
		needed = append(needed, permission{name: "Calendars.Read", without: "calendars cannot be read"})
	}
	if m.Writes() || users {
		var without []string
		if m.Writes() {
			without = append(without, "all-day events begin and end by UTC, because nobody's time zone is known")
		}
		if users {
			without = append(without, "rooms and shared mailboxes cannot be told from people")
		}
		needed = append(needed, permission{name: "MailboxSettings.Read", without: strings.Join(without, "; "), optional: true})
	}
	if users && t.Users.Photos {
		needed = append(needed, permission{name: "ProfilePhoto.Read.All", without: "extensions get no photos", optional: true, others: []string{"User.Read.All", "User.ReadWrite.All"}})
	}
	if hasContacts(t) {
		needed = append(needed, permission{name: "Contacts.Read", without: "no contacts get into phonebooks", optional: true, others: []string{"Contacts.ReadWrite"}})
	}
	return needed
}

// provides says whether extensions are made without being asked for each time.
func provides(t config.Tenant) bool { return t.Users.Policy != string(plan.Off) }

// hasContacts says whether contacts are to be in phonebooks.
func hasContacts(t config.Tenant) bool {
	return t.Contacts.Personal || len(t.Contacts.SharedMailboxes) > 0
}
