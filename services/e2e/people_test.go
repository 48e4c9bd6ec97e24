package e2e

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"offhook.dev/libs/core/directory"
	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/core/presence"
	"offhook.dev/libs/graph/graphsim"
	"offhook.dev/services/e2e/world"
	"offhook.dev/services/pbx-writer/writer"
	"offhook.dev/services/user-sync/usersync"
)

// A day of a directory, seen from the phone system.
func TestPeopleOfTheDirectoryHaveTheirExtensions(t *testing.T) {
	t.Parallel()
	w := world.New(t, world.Options{Users: 5, Extensions: 3, Directory: 200 * time.Millisecond, Sync: `{policy: sync, start_extension: "200", hold: 24h, photos: false}`})
	w.Start()
	is := func(ext identity.Extension, what string) {
		t.Helper()
		w.Eventually(60*time.Second, func() string {
			if got := extensionOf(w, ext); got != what {
				return fmt.Sprintf("%s is %q, want %q", ext, got, what)
			}
			return ""
		})
	}
	users := w.Tenant.Users("", 5)
	name := func(i int) string { return users[i].GivenName + " " + users[i].Surname + " " + users[i].Mail }

	// Who has an extension keeps it and is adopted; who has none gets the first free one.
	is("100", name(0))
	is("200", name(3))
	is("201", name(4))
	for _, ext := range []identity.Extension{"100", "200"} {
		w.Eventually(30*time.Second, func() string {
			if p := w.PBX.Properties(ext); len(p) != 1 {
				return fmt.Sprintf("%s is marked as %v", ext, p)
			}
			return ""
		})
	}

	// The new extension is part of everything else.
	w.Set(users[3].UserPrincipalName, "Busy", "InAMeeting")
	w.Shows("200", presence.DND, 30*time.Second)

	// A name changes, a colleague comes.
	must(t, w.Tenant.EditUser(users[3].ID, func(u *graphsim.User) { u.Surname = "Lindqvist-Öz 🎧" }))
	is("200", users[3].GivenName+" Lindqvist-Öz 🎧 "+users[3].Mail)
	added, err := w.Tenant.AddUser(graphsim.User{UserPrincipalName: "new@contoso.example", Mail: "new@contoso.example", GivenName: "Noor", Surname: "New", DisplayName: "Noor New", AccountEnabled: true, UserType: "Member"})
	must(t, err)
	is("202", "Noor New new@contoso.example")

	// Somebody without any name, and a guest: no extension, and a reason.
	_, err = w.Tenant.AddUser(graphsim.User{UserPrincipalName: "scanner@contoso.example", DisplayName: "Scanner", AccountEnabled: true, UserType: "Member"})
	must(t, err)
	_, err = w.Tenant.AddUser(graphsim.User{UserPrincipalName: "guest_fabrikam@contoso.example", GivenName: "G", Surname: "Uest", AccountEnabled: true, UserType: "Guest"})
	must(t, err)

	// A name that is longer than the phone system takes is cut, and costs nobody the extension.
	_, err = w.Tenant.AddUser(graphsim.User{UserPrincipalName: "long@contoso.example", Mail: "long@contoso.example", GivenName: strings.Repeat("ü", 300), Surname: "Long", AccountEnabled: true, UserType: "Member"})
	must(t, err)
	is("203", strings.Repeat("ü", 255)+" Long long@contoso.example")

	// She leaves and comes back: disabled at once, unharmed, the same number.
	must(t, w.Tenant.DeleteUser(added.ID, false))
	is("202", "Noor New new@contoso.example off")
	must(t, w.Tenant.RestoreUser(added.ID))
	is("202", "Noor New new@contoso.example")

	// Somebody deletes an extension on the phone system: it is back.
	w.PBX.Remove("201")
	w.Stop("pbx-writer") // a new owner lists everything at once
	w.Run(writer.Part())
	is("201", name(4))

	if got := len(w.PBX.Truth()); got != 7 {
		t.Errorf("%d extensions, want 7: %s", got, everybody(w))
	}
	for _, e := range w.PBX.Truth() { // the marker is the last that is written of each
		w.Eventually(30*time.Second, func() string {
			if p := w.PBX.Properties(e.Number); len(p) != 1 {
				return fmt.Sprintf("%s is marked as %v", e.Number, p)
			}
			return ""
		})
	}
	quiet := len(w.PBX.Changes())
	w.Stop("user-sync")
	w.Run(usersync.Part()) // a second run with nothing changed writes nothing
	w.Set(users[0].UserPrincipalName, "Busy", "InAMeeting")
	w.Shows("100", presence.DND, 30*time.Second)
	if now := len(w.PBX.Changes()); now != quiet {
		t.Errorf("%d changes of extensions although nothing changed: %+v", now-quiet, w.PBX.Changes()[quiet:])
	}
}

// extensionOf is "Anna Moreau anna@contoso.example", with "off" where it is disabled.
func extensionOf(w *world.World, ext identity.Extension) string {
	shown, there := w.PBX.Shown(ext)
	if !there {
		return "not there"
	}
	return line(shown.Extension)
}

func line(e directory.Extension) string {
	s := e.FirstName + " " + e.LastName + " " + e.Mail
	if !e.Enabled {
		s += " off"
	}
	return s
}

func everybody(w *world.World) string {
	var all []string
	for _, e := range w.PBX.Truth() {
		all = append(all, string(e.Number)+" "+line(e.Extension))
	}
	return strings.Join(all, "; ")
}
