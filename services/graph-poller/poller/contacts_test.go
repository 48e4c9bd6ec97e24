package poller

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"offhook.dev/libs/books"
	"offhook.dev/libs/bus"
	"offhook.dev/libs/core/directory"
	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/graph"
	"offhook.dev/libs/graph/graphsim"
	"offhook.dev/libs/topology"
	"offhook.dev/libs/wire"
)

// sheets stands for contact-sync: it takes pages in their order and holds what they say.
type sheets struct {
	s *stage

	mu     sync.Mutex // guards what follows
	pages  []wire.ContactsPage
	books  map[identity.User]map[string]directory.Contact // by source
	places map[identity.User]map[string]string            // folder by source
	rounds map[string]*sheetRound                         // by mailbox and folder
	bad    []string
}

type sheetRound struct {
	number uint64
	whole  bool // it is full and nothing of it is missing
	seen   map[string]bool
}

// read takes pages until the test ends.
func (s *stage) sheets() *sheets {
	s.t.Helper()
	b := &sheets{s: s, books: map[identity.User]map[string]directory.Contact{}, places: map[identity.User]map[string]string{}, rounds: map[string]*sheetRound{}}
	broker := s.connect(topology.ContactSync)
	ctx, cancel := context.WithCancel(context.WithoutCancel(s.t.Context()))
	ended := make(chan error, 1)
	go func() {
		ended <- broker.Consume(ctx, bus.Consumer{Stream: topology.Pages, Durable: "contact-sync", Filters: []string{"m365.fact.contacts.*.*"}, Workers: 1},
			func(_ context.Context, m bus.Message) error {
				page, err := wire.DecodeContactsPage(m.Data)
				if err == nil {
					b.take(page, len(m.Data))
				}
				return err
			})
	}()
	s.t.Cleanup(func() {
		cancel()
		must(s.t, <-ended)
		b.mu.Lock()
		defer b.mu.Unlock()
		for _, problem := range b.bad {
			s.t.Error(problem)
		}
	})
	return b
}

func (b *sheets) take(p wire.ContactsPage, size int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.pages = append(b.pages, p)
	user := p.Mailbox.User
	wrong := func(format string, args ...any) {
		b.bad = append(b.bad, fmt.Sprintf("page %d of %s: ", len(b.pages), user)+fmt.Sprintf(format, args...))
	}
	if size > pageBytes {
		wrong("%d bytes", size)
	}
	if p.Problem != "" {
		if len(p.Contacts)+len(p.Removed) != 0 {
			wrong("a problem with contacts")
		}
		return
	}
	book, places := b.books[user], b.places[user]
	if book == nil {
		book, places = map[string]directory.Contact{}, map[string]string{}
		b.books[user], b.places[user] = book, places
	}
	leave := func(source string) {
		if places[source] == p.Folder {
			delete(book, source)
			delete(places, source)
		}
	}
	if p.FolderGone {
		for source := range maps.Clone(book) {
			leave(source)
		}
		return
	}
	key := string(user) + "/" + p.Folder
	round := b.rounds[key]
	switch {
	case round != nil && p.Round < round.number:
		wrong("round %d after %d", p.Round, round.number)
	case p.First:
		round = &sheetRound{p.Round, p.Full, map[string]bool{}}
		b.rounds[key] = round
	case round == nil || p.Round != round.number:
		wrong("no first page of round %d", p.Round)
		return
	}
	for _, c := range p.Contacts {
		if c.Source == "" || c.ID != "" {
			wrong("source %q, id %q", c.Source, c.ID)
		}
		book[c.Source], places[c.Source] = c, p.Folder
		round.seen[c.Source] = true
	}
	for _, source := range p.Removed {
		leave(source)
	}
	if p.Last && p.Full && round.whole {
		for source := range maps.Clone(book) {
			if !round.seen[source] {
				leave(source)
			}
		}
	}
}

// of are the pages of a mailbox so far.
func (b *sheets) of(user identity.User) []wire.ContactsPage {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(b.pages), func(p wire.ContactsPage) bool { return p.Mailbox.User != user })
}

// want is what the book of a mailbox should hold: its contacts in these folders.
func (b *sheets) want(user identity.User, folders ...string) map[string]directory.Contact {
	b.s.t.Helper()
	all, err := b.s.tenant().Contacts(string(user))
	must(b.s.t, err)
	want := map[string]directory.Contact{}
	for _, c := range all {
		if slices.Contains(folders, c.Folder) {
			mail := ""
			if len(c.Mails) > 0 {
				mail = c.Mails[0]
			}
			contact := contactOf(graph.Contact{ID: c.ID, GivenName: c.GivenName, Surname: c.Surname, DisplayName: c.DisplayName, Company: c.CompanyName, Title: c.JobTitle,
				Department: c.Department, Mail: mail, Business: c.BusinessPhones, Home: c.HomePhones, Mobile: c.MobilePhone})
			want[contact.Source] = contact
		}
	}
	return want
}

// shows waits until the book of a mailbox holds its contacts in these folders.
func (b *sheets) shows(user identity.User, folders ...string) {
	b.s.t.Helper()
	want := b.want(user, folders...)
	b.s.eventually(fmt.Sprintf("the book of %s does not show the %d contacts in %v", user, len(want), folders), func() bool {
		b.mu.Lock()
		defer b.mu.Unlock()
		book := b.books[user]
		return book != nil && maps.EqualFunc(book, want, func(a, b directory.Contact) bool { return fmt.Sprint(a) == fmt.Sprint(b) })
	})
}

// contacts is a tenant that reads the contacts of linked users and nothing else.
func (s *stage) contacts(every time.Duration) TenantConfig {
	s.t.Helper()
	conf, _ := s.usersConfig(never)
	conf.Personal, conf.ContactChanges, conf.Contacts, conf.Graph = true, true, every, s.graph.GraphURL()
	conf.Keep.Retry = 20 * time.Millisecond
	return conf
}

// read waits until mailboxes were read so often with one of these results.
func (s *stage) reads(times int, results ...string) {
	s.t.Helper()
	before := 0.0
	for i := 0; i <= times; i++ {
		s.eventually(fmt.Sprintf("mailboxes were not read %d times more as %v", times, results), func() bool {
			now := 0.0
			for _, result := range results {
				now += s.metric("offhook_contact_reads_total", result)
			}
			if i == 0 || now > before {
				before = now
				return true
			}
			return false
		})
	}
}

func (s *stage) fill(user identity.User, contacts int) {
	s.t.Helper()
	must(s.t, s.tenant().FillContacts(string(user), contacts))
}

func (s *stage) reached(user identity.User) string {
	s.t.Helper()
	e, err := s.bucket(topology.Cursors).Get(s.t.Context(), "contoso.contacts."+string(user))
	if err != nil {
		return ""
	}
	return string(e.Value)
}

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
