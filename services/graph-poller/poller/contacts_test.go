package poller

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"offhook.dev/libs/books"
	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/graph"
	"offhook.dev/libs/graph/graphsim"
	"offhook.dev/libs/topology"
)

func TestContactsOfLinkedUsersAreFollowed(t *testing.T) {
	s := newStage(t, 4, func(c *graphsim.Config) { c.Tenants[0].Switches = graphsim.Switches{EmptyPages: true, Replays: true} })
	users := s.users()
	for _, user := range users {
		s.fill(user, 3)
	}
	s.fill(users[0], 450)
	for _, folder := range [][2]string{{"Customers", ""}, {"EU", "Customers"}, {"Private", ""}} {
		_, err := s.tenant().AddContactFolder(string(users[0]), folder[0], folder[1])
		must(t, err)
	}
	ada, err := s.tenant().AddContact(string(users[0]), graphsim.Contact{GivenName: "Ada", Folder: "EU"})
	must(t, err)
	_, err = s.tenant().AddContact(string(users[0]), graphsim.Contact{GivenName: "Nobody's", Folder: "Private"})
	must(t, err)
	s.link(contoso, users[0], users[1])
	b := s.sheets()
	conf := s.contacts(100 * time.Millisecond)
	conf.Folders = []string{"CUSTOMERS"}
	s.run(conf)
	all := []string{"Contacts", "Customers", "EU"}
	b.shows(users[0], all...)
	b.shows(users[1], all...)
	for _, change := range []struct {
		name string
		make func() error
	}{
		{"a new contact", func() error {
			_, err := s.tenant().AddContact(string(users[0]), graphsim.Contact{CompanyName: "Engines"})
			return err
		}},
		{"a changed one", func() error {
			return s.tenant().EditContact(string(users[0]), "7", func(c *graphsim.Contact) { c.MobilePhone, c.BusinessPhones = "", []string{"+44 1", "+44 2", "+44 3"} })
		}},
		{"a deleted one", func() error { return s.tenant().DeleteContact(string(users[0]), "8") }},
		{"one moved to another folder that is read", func() error { return s.tenant().MoveContact(string(users[0]), "9", "EU") }},
		{"and back", func() error { return s.tenant().MoveContact(string(users[0]), "9", "") }},
		{"one moved to a folder that is not read", func() error { return s.tenant().MoveContact(string(users[0]), ada.ID, "Private") }},
		{"and back again", func() error { return s.tenant().MoveContact(string(users[0]), ada.ID, "Customers") }},
		{"somebody else's", func() error { return s.tenant().DeleteContact(string(users[1]), "1") }},
	} {
		t.Run(change.name, func(t *testing.T) {
			must(t, change.make())
			b.shows(users[0], all...)
			b.shows(users[1], all...)
		})
	}
	for _, user := range users[2:] {
		if len(b.of(user)) > 0 {
			t.Errorf("%s is not linked and was read", user)
		}
	}
	for _, p := range b.of(users[0]) {
		if p.Shared || p.SeenAt.IsZero() || p.Mailbox.Tenant != contoso {
			t.Errorf("%+v", p)
		}
	}
	s.link(contoso, users[2])
	b.shows(users[2], all...)
}

func TestWhereNothingChangedNothingIsSaid(t *testing.T) {
	s := newStage(t, 2, nil)
	users := s.users()
	s.fill(users[0], 250) // and the other one has none
	s.link(contoso, users...)
	b := s.sheets()
	stop := s.run(s.contacts(60 * time.Millisecond))
	b.shows(users[0], "Contacts")
	b.shows(users[1], "Contacts")
	pages := len(b.of(users[0])) + len(b.of(users[1]))
	s.reads(6, "read")
	if n := len(b.of(users[0])) + len(b.of(users[1])); n != pages || pages != 3 {
		t.Errorf("%d pages at first, and then %d", pages, n-pages)
	}
	if p := b.of(users[1])[0]; !p.Full || !p.First || !p.Last || len(p.Contacts) != 0 {
		t.Errorf("an empty mailbox is said to be %+v", p)
	}
	if kept := s.reached(users[0]); len(kept) > 700 {
		t.Errorf("%d bytes are kept of a mailbox: %s", len(kept), kept)
	}
	stop()
	s.run(s.contacts(60 * time.Millisecond))
	s.reads(2, "read")
	if n := len(b.of(users[0])) + len(b.of(users[1])); n != pages {
		t.Errorf("%d more pages after a restart", n-pages)
	}
}

func TestALostCursorOfContactsNeverDeletesByItself(t *testing.T) {
	for name, switches := range map[string]graphsim.Switches{"410": {}, "410 with a Location": {GoneLocation: true}, "404 with the code": {GoneStatus: 404}} {
		t.Run(name, func(t *testing.T) {
			s := newStage(t, 1, func(c *graphsim.Config) { c.Tenants[0].Switches = switches })
			user := s.users()[0]
			s.fill(user, 250)
			s.link(contoso, user)
			b := s.sheets()
			stop := s.run(s.contacts(never))
			b.shows(user, "Contacts")
			s.eventually("how far is not kept", func() bool { return s.reached(user) != "" })
			stop()
			before := len(b.of(user))
			// While nobody looks one leaves, and the cursor is lost: nothing will tell.
			must(t, s.tenant().DeleteContact(string(user), "5"))
			s.tenant().ExpireDeltas()
			s.run(s.contacts(never))
			b.shows(user, "Contacts")
			for _, p := range b.of(user)[before:] {
				if !p.Full || len(p.Removed) != 0 {
					t.Errorf("a page of a folder that is read anew: full %v, removed %v", p.Full, p.Removed)
				}
			}
		})
	}
}

// The service is stopped before each page in turn, and before how far it came is kept.
func TestAKillBetweenPagesOfContactsLosesNothing(t *testing.T) {
	s := newStage(t, 1, nil)
	user := s.users()[0]
	s.fill(user, 900)
	s.link(contoso, user)
	b := s.sheets()
	for page := range 6 {
		conf, client := s.config(never)
		base := s.contacts(never)
		conf.Presence, conf.Personal, conf.ContactChanges, conf.Contacts, conf.Graph = false, true, true, never, base.Graph
		reached := make(chan struct{})
		killed := &killer{Client: client, at: page, reached: reached}
		conf.Client = func() (Client, error) { return killed, nil }
		stop := s.run(conf)
		<-reached
		stop()
		if strings.Contains(s.reached(user), `"a"`) {
			t.Fatalf("killed before page %d: how far it came is kept", page)
		}
		must(t, s.tenant().DeleteContact(string(user), fmt.Sprint(1+page)))
	}
	s.run(s.contacts(never))
	b.shows(user, "Contacts")
}

// killer is a client that never answers a certain request for contacts.
type killer struct {
	Client
	at      int
	reached chan struct{}

	mu    sync.Mutex
	asked int
}

func (k *killer) ContactChanges(ctx context.Context, user identity.User, folder string, at graph.Cursor) (graph.ContactPage, error) {
	k.mu.Lock()
	now := k.asked
	k.asked++
	k.mu.Unlock()
	if now == k.at {
		close(k.reached)
		<-ctx.Done()
		return graph.ContactPage{}, ctx.Err()
	}
	page, err := k.Client.ContactChanges(ctx, user, folder, at)
	if err == nil && page.Delta != "" { // it is killed with the last page in its hands
		close(k.reached)
		<-ctx.Done()
		return graph.ContactPage{}, ctx.Err()
	}
	return page, err
}

func TestAFolderThatIsGoneOrNotAskedForAnyMore(t *testing.T) {
	s := newStage(t, 1, nil)
	user := s.users()[0]
	s.fill(user, 3)
	for _, folder := range []string{"Customers", "Partners"} {
		_, err := s.tenant().AddContactFolder(string(user), folder, "")
		must(t, err)
		_, err = s.tenant().AddContact(string(user), graphsim.Contact{CompanyName: folder, Folder: folder})
		must(t, err)
	}
	s.link(contoso, user)
	b := s.sheets()
	conf := s.contacts(60 * time.Millisecond)
	conf.Folders = []string{"Customers", "Partners"}
	stop := s.run(conf)
	b.shows(user, "Contacts", "Customers", "Partners")
	must(t, s.tenant().DeleteContactFolder(string(user), "Partners"))
	b.shows(user, "Contacts", "Customers")
	gone := func() (n int) {
		for _, p := range b.of(user) {
			if p.FolderGone {
				n++
				if len(p.Contacts)+len(p.Removed) > 0 || p.Folder == "" || p.Full {
					t.Errorf("%+v", p)
				}
			}
		}
		return n
	}
	s.reads(3, "read")
	if n := gone(); n != 1 {
		t.Errorf("%d pages say that a folder is gone", n)
	}
	stop()
	conf.Folders = nil
	s.run(conf)
	b.shows(user, "Contacts")
	if n := gone(); n != 2 {
		t.Errorf("%d pages say that a folder is gone", n)
	}
}

func TestWhyThereIsNothingToReadIsSaidOnce(t *testing.T) {
	s := newStage(t, 1, nil)
	user := s.users()[0]
	s.fill(user, 3)
	s.link(contoso, user)
	b := s.sheets()
	s.run(s.contacts(60 * time.Millisecond))
	b.shows(user, "Contacts")
	edit := func(missing, closed bool) {
		must(t, s.tenant().EditMailbox(string(user), func(m *graphsim.Mailbox) { m.Missing, m.Denied = missing, closed }))
	}
	said := func() (all []string) {
		for _, p := range b.of(user) {
			all = append(all, p.Problem)
		}
		return all
	}
	for _, c := range []struct {
		name  string
		make  func()
		reads string
		says  []string
	}{
		{"its mailbox is not there", func() { edit(true, false) }, noMailbox, []string{"", noMailbox}},
		{"it is there again", func() { edit(false, false) }, "read", []string{"", noMailbox, ""}},
		{"it is closed", func() { edit(false, true) }, denied, []string{"", noMailbox, "", denied}},
		{"the permission is withdrawn as well", func() { edit(false, false); must(t, s.tenant().Revoke(app, "Contacts.Read")) }, denied, []string{"", noMailbox, "", denied}},
		{"everything is well", func() { must(t, s.tenant().Grant(app, "Contacts.Read")) }, "read", []string{"", noMailbox, "", denied, ""}},
		{"its user is gone", func() { must(t, s.tenant().DeleteUser(string(user), true)) }, noMailbox, []string{"", noMailbox, "", denied, "", noMailbox}},
	} {
		c.make()
		s.reads(3, c.reads)
		if got := said(); !slices.Equal(got, c.says) {
			t.Fatalf("%s: pages say %q, want %q", c.name, got, c.says)
		}
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.books[user]) != 3 {
		t.Errorf("%d of 3 contacts are left: whatever the problem, nothing follows from it", len(b.books[user]))
	}
}

// A reading that has to be whole is made once for each time that it is asked for.
func TestAMailboxThatLacksSomethingIsReadWhole(t *testing.T) {
	s := newStage(t, 2, nil)
	users := s.users()
	for _, user := range users {
		s.fill(user, 3)
	}
	s.link(contoso, users...)
	b := s.sheets()
	s.run(s.contacts(60 * time.Millisecond))
	b.shows(users[0], "Contacts")
	b.shows(users[1], "Contacts")
	lack := func(after time.Time) {
		_, err := s.bucket(topology.Books).Put(t.Context(), books.LacksKey(identity.Person{Tenant: contoso, User: users[0]}), books.EncodeLacks(after))
		must(t, err)
	}
	for round := range 2 {
		lack(s.bus.Now())
		s.eventually("it is not read whole", func() bool { return len(b.of(users[0])) == 2+round })
		s.reads(3, "read")
		if p := b.of(users[0])[1+round]; len(b.of(users[0])) != 2+round || !p.Full || !p.Last || len(p.Contacts) != 3 {
			t.Errorf("%d pages, the last %+v", len(b.of(users[0])), p)
		}
	}
	lack(s.bus.Now().Add(-time.Minute)) // the newest reading is as good
	s.reads(4, "read")
	if len(b.of(users[0])) != 3 || len(b.of(users[1])) != 1 {
		t.Errorf("%d pages of the one, %d of the other", len(b.of(users[0])), len(b.of(users[1])))
	}
}
