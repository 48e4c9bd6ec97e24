package poller

import (
	"cmp"
	"testing"
	"time"

	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/graph/graphsim"
)

// purposesAsked is how often mailboxes were asked what they are for.
func (s *stage) purposesAsked() int {
	return s.graph.Requests().Of("GET", "/v1.0/users/{user}/mailboxSettings/{setting}", 0)
}

// mailbox makes an account that is enabled or not, with a mailbox for a purpose.
func (s *stage) mailbox(name string, enabled bool, purpose string) identity.User {
	s.t.Helper()
	u, err := s.tenant().AddUser(graphsim.User{UserPrincipalName: name + "@contoso.example", AccountEnabled: enabled})
	must(s.t, err)
	must(s.t, s.tenant().EditMailbox(u.ID, func(m *graphsim.Mailbox) { m.Purpose, m.Missing = cmp.Or(purpose, "user"), purpose == "" }))
	return identity.User(u.ID)
}

func TestMailboxesOfAccountsThatNobodySignsInToSayWhatTheyAreFor(t *testing.T) {
	s := newStage(t, 30, nil)
	s.link(contoso)
	room, info := s.mailbox("room", false, "room"), s.mailbox("info", true, "shared")
	leaver, none := s.mailbox("leaver", false, "user"), s.mailbox("none", false, "")
	teams := s.mailbox("teams", true, "room") // an enabled one that nothing names
	conf, _ := s.usersConfig(30 * time.Millisecond)
	conf.Shared, conf.Purposes = []string{"INFO@contoso.example"}, never
	stop := s.run(conf)
	s.eventually("the cursor is not saved", func() bool { return s.cursor() != "" })
	facts := s.directory()
	for user, want := range map[identity.User]string{room: "room", info: "shared", leaver: "user", none: "", teams: ""} {
		if got := facts[user].fact.Purpose; got != want {
			t.Errorf("the mailbox of %s is for %q, want %q", facts[user].fact.UPN, got, want)
		}
	}
	asked := s.purposesAsked()
	if batches := s.graph.Requests().Of("POST", "/v1.0/$batch", 0); asked != 4 || batches != 1 {
		t.Errorf("%d mailboxes were asked in %d batches, want 4 in one", asked, batches)
	}
	// Nobody is asked again by later rounds, unless they are new among them.
	must(t, s.tenant().EditUser(string(leaver), func(u *graphsim.User) { u.Department = "Gone" }))
	must(t, s.tenant().EditUser(string(teams), func(u *graphsim.User) { u.AccountEnabled = false }))
	s.eventually("who was disabled is not asked", func() bool { return s.directory()[teams].fact.Purpose == "room" })
	s.eventually("the change is not stored", func() bool { return s.directory()[leaver].fact.Department == "Gone" })
	if n := s.purposesAsked(); n != asked+1 || s.directory()[leaver].fact.Purpose != "user" {
		t.Errorf("%d more were asked, want 1; the leaver's is for %q", n-asked, s.directory()[leaver].fact.Purpose)
	}
	must(t, s.tenant().EditUser(string(room), func(u *graphsim.User) { u.AccountEnabled = true }))
	s.eventually("who is enabled keeps a purpose", func() bool { return s.directory()[room].fact.Enabled && s.directory()[room].fact.Purpose == "" })
	stop()

	// Days later the leaver's has become a shared one. The directory does not tell.
	must(t, s.tenant().EditMailbox(string(leaver), func(m *graphsim.Mailbox) { m.Purpose = "shared" }))
	conf.Purposes = 200 * time.Millisecond
	s.run(conf)
	s.eventually("a mailbox is not asked again", func() bool { return s.directory()[leaver].fact.Purpose == "shared" })
}

// Nothing of what is known is lost when it cannot be asked, and nothing waits for it.
func TestWhatAMailboxIsForStaysWhenItCannotBeAsked(t *testing.T) {
	s := newStage(t, 3, nil)
	room := s.mailbox("room", false, "room")
	conf, _ := s.usersConfig(30 * time.Millisecond)
	conf.Purposes = 50 * time.Millisecond
	s.run(conf)
	s.eventually("the room is not known", func() bool { return s.directory()[room].fact.Purpose == "room" })
	must(t, s.tenant().Revoke(app, "MailboxSettings.Read"))
	must(t, s.tenant().EditUser(string(room), func(u *graphsim.User) { u.Department = "Upstairs" }))
	s.eventually("the change is not stored", func() bool { return s.directory()[room].fact.Department == "Upstairs" })
	if got := s.directory()[room].fact.Purpose; got != "room" {
		t.Errorf("the room is now for %q", got)
	}
	denied := s.graph.Requests().Of("GET", "/v1.0/users/{user}/mailboxSettings/{setting}", 403)
	s.eventually("it is not asked again", func() bool {
		return s.graph.Requests().Of("GET", "/v1.0/users/{user}/mailboxSettings/{setting}", 403) > denied+2
	})
	if got := s.directory()[room].fact.Purpose; got != "room" {
		t.Errorf("the room is now for %q", got)
	}
}
