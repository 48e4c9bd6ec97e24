package poller

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"offhook.dev/libs/core/directory"
	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/graph"
	"offhook.dev/libs/graph/graphsim"
	"offhook.dev/libs/logtest"
)

func TestSharedMailboxesAreEverybodys(t *testing.T) {
	s := newStage(t, 4, nil)
	users := s.users()
	for _, user := range users {
		s.fill(user, 2)
	}
	upn := func(user identity.User) string {
		u, err := s.tenant().User(string(user))
		must(t, err)
		return u.UserPrincipalName
	}
	s.link(contoso, users[0], users[1])
	b := s.sheets()
	conf := s.contacts(100 * time.Millisecond)
	conf.Shared = []string{strings.ToUpper(upn(users[1])), string(users[2]), "nobody@contoso.example"}
	stop := s.run(conf)
	for _, user := range users[:3] {
		b.shows(user, "Contacts")
		for _, p := range b.of(user) {
			if p.Shared != (user != users[0]) {
				t.Errorf("contacts of %s are shared: %v", upn(user), p.Shared)
			}
		}
	}
	stop()
	conf.Personal = false
	conf.Shared = []string{upn(users[3])}
	before := len(b.of(users[0]))
	s.run(conf)
	b.shows(users[3], "Contacts")
	// How far the others were read is forgotten, so that they are read whole if they come back.
	s.eventually("how far mailboxes were read that are not read any more is kept", func() bool {
		return s.reached(users[0]) == "" && s.reached(users[1]) == "" && s.reached(users[2]) == "" && s.reached(users[3]) != ""
	})
	if len(b.of(users[0])) != before {
		t.Error("a personal mailbox is read although nobody asks for it")
	}
}

func TestWhereTheCloudTellsOfNoChangesContactsAreCompared(t *testing.T) {
	s := newStage(t, 2, func(c *graphsim.Config) { c.Tenants[0].Switches.Cloud = "china" })
	users := s.users()
	s.fill(users[0], 450)
	s.link(contoso, users...)
	b := s.sheets()
	conf := s.contacts(60 * time.Millisecond)
	conf.ContactChanges = false
	stop := s.run(conf)
	b.shows(users[0], "Contacts")
	b.shows(users[1], "Contacts")
	pages := len(b.of(users[0]))
	s.reads(5, "read")
	if n := len(b.of(users[0])); n != pages {
		t.Errorf("%d pages although nothing changed", n-pages)
	}
	must(t, s.tenant().EditContact(string(users[0]), "3", func(c *graphsim.Contact) { c.Surname = "Neu" }))
	b.shows(users[0], "Contacts")
	must(t, s.tenant().DeleteContact(string(users[0]), "4"))
	b.shows(users[0], "Contacts")
	stop()
	s.run(conf)
	pages = len(b.of(users[0]))
	s.reads(4, "read")
	if n := len(b.of(users[0])); n != pages {
		t.Errorf("%d pages after a restart although nothing changed", n-pages)
	}
	for _, p := range b.of(users[0]) {
		if !p.Full || len(p.Removed) != 0 {
			t.Errorf("%+v", p)
		}
	}
}

// One bad contact costs itself alone; as long as somebody may be it, nobody is gone.
func TestABadContactDeletesNobody(t *testing.T) {
	s := newStage(t, 1, nil)
	user := s.users()[0]
	s.fill(user, 5)
	s.link(contoso, user)
	b := s.sheets()
	stop := s.run(s.contacts(never))
	b.shows(user, "Contacts")
	s.eventually("how far is not kept", func() bool { return s.reached(user) != "" })
	stop()
	must(t, s.tenant().SpoilContact(string(user), "2", map[string]json.RawMessage{"id": json.RawMessage("null")}))
	must(t, s.tenant().SpoilContact(string(user), "3", map[string]json.RawMessage{"businessPhones": json.RawMessage(`"much"`)}))
	must(t, s.tenant().EditContact(string(user), "4", func(c *graphsim.Contact) { c.Surname = "Neu" }))
	s.tenant().ExpireDeltas()
	s.run(s.contacts(never))
	s.eventually("the others are not read", func() bool {
		pages := b.of(user)
		return len(pages) > 1 && len(pages[len(pages)-1].Contacts) == 4
	})
	last := b.of(user)[len(b.of(user))-1]
	if last.Full || !last.Last {
		t.Errorf("a folder of which something could not be read: full %v, last %v", last.Full, last.Last)
	}
	s.eventually("it is not counted", func() bool { return s.metric("offhook_contacts_dropped_total", "") == 1 })
	b.mu.Lock()
	defer b.mu.Unlock()
	if n := len(b.books[user]); n != 5 {
		t.Errorf("%d of 5 contacts are left", n)
	}
}

func TestAPageOfContactsThatEndsInGarbageCostsItsMailboxTime(t *testing.T) {
	s := newStage(t, 3, nil)
	users := s.users()
	for _, user := range users {
		s.fill(user, 450)
	}
	_, err := s.tenant().Fault(graphsim.Fault{Kind: graphsim.FaultGarbage, User: string(users[0]), Count: 4})
	must(t, err)
	s.link(contoso, users...)
	b := s.sheets()
	s.run(s.contacts(never))
	b.shows(users[1], "Contacts")
	b.shows(users[2], "Contacts")
	b.shows(users[0], "Contacts")
}

func TestAThrottledMailboxHoldsUpNoOther(t *testing.T) {
	s := newStage(t, 3, nil)
	users := s.users()
	for _, user := range users {
		s.fill(user, 3)
	}
	_, err := s.tenant().Fault(graphsim.Fault{Kind: graphsim.FaultStatus, User: string(users[0]), RetryAfter: "600"})
	must(t, err)
	s.link(contoso, users...)
	b := s.sheets()
	s.run(s.contacts(60 * time.Millisecond))
	b.shows(users[1], "Contacts")
	b.shows(users[2], "Contacts")
	s.reads(4, "throttled")
	if n := s.graph.Requests().Of("GET", "/v1.0/users/{user}/contacts", http.StatusTooManyRequests); n != 1 {
		t.Errorf("a mailbox that asked for ten minutes was asked %d times", n)
	}
}

func TestPagesFitIntoMessages(t *testing.T) {
	s := newStage(t, 1, nil)
	user := s.users()[0]
	long := strings.Repeat("\u202e\U0001F4DE", 500) // 3,500 bytes
	for range 300 {
		_, err := s.tenant().AddContact(string(user), graphsim.Contact{GivenName: long, Surname: long, CompanyName: long, JobTitle: long, MobilePhone: long})
		must(t, err)
	}
	s.link(contoso, user)
	b := s.sheets()
	s.run(s.contacts(never))
	b.shows(user, "Contacts")
	pages := b.of(user)
	if len(pages) < 5 || !pages[0].First || pages[0].Last || !pages[len(pages)-1].Last || pages[len(pages)-1].First {
		t.Errorf("%d pages", len(pages))
	}
	for _, p := range pages {
		if !p.Full || p.Round != pages[0].Round {
			t.Errorf("a page of another round, or not full: %d, %v", p.Round, p.Full)
		}
	}
}

func TestAContactThatFitsIntoNoMessageIsLeftOut(t *testing.T) {
	all, dropped := parts(graph.ContactPage{Contacts: []graph.Contact{{ID: "a", GivenName: strings.Repeat("x", pageBytes)}, {ID: "b"}}, Removed: []string{"c"}})
	if dropped != 1 || len(all) != 1 || len(all[0].contacts) != 1 || len(all[0].removed) != 1 {
		t.Errorf("%d dropped, %+v", dropped, all)
	}
	if all, dropped := parts(graph.ContactPage{}); dropped != 0 || len(all) != 0 {
		t.Errorf("nothing is %+v", all)
	}
}

func TestWhatOfAContactGoesWhere(t *testing.T) {
	numbers := func(c directory.Contact) (all []string) {
		for _, n := range c.Numbers {
			all = append(all, string(n.Kind)+"="+n.Text)
		}
		return all
	}
	for _, c := range []struct {
		claim   string
		from    graph.Contact
		name    string
		numbers []string
	}{
		{"names are taken as they are", graph.Contact{GivenName: "Ada", Surname: "Lovelace", DisplayName: "Countess"}, "Ada|Lovelace|", nil},
		{"a company needs no person", graph.Contact{Company: "Engines", DisplayName: "Engines"}, "||Engines", nil},
		{"a display name that says more than the company is the name", graph.Contact{Company: "Engines", DisplayName: "Hotline"}, "|Hotline|Engines", nil},
		{"where there is nothing else the display name is the name", graph.Contact{DisplayName: "Hotline"}, "|Hotline|", nil},
		{"numbers are taken by their kinds", graph.Contact{Mobile: "1", Business: []string{"2", "3"}, Home: []string{"4", "5"}}, "||", []string{"mobile=1", "business=2", "business2=3", "home=4", "home2=5"}},
		{"a third one is another", graph.Contact{Business: []string{"2", "3", "4"}}, "||", []string{"business=2", "business2=3", "other=4"}},
		{"several others all go on: who fits them into a phonebook keeps one and counts the rest", graph.Contact{Business: []string{"2", "3", "4", "5"}, Home: []string{"6", "7", "8"}}, "||", []string{"business=2", "business2=3", "other=4", "other=5", "home=6", "home2=7", "other=8"}},
		{"empty ones take no place", graph.Contact{Business: []string{"", "3"}}, "||", []string{"business=3"}},
	} {
		c.from.ID = "AAkALg"
		got := contactOf(c.from)
		if name := got.FirstName + "|" + got.LastName + "|" + got.Company; name != c.name || !slices.Equal(numbers(got), c.numbers) || got.Source != directory.SourceKey("AAkALg") {
			t.Errorf("%s: %s %v", c.claim, name, numbers(got))
		}
	}
}

func TestWhichFoldersAreChosen(t *testing.T) {
	all := []graph.ContactFolder{{ID: "1", Name: "Customers", Parent: "home"}, {ID: "2", Name: "EU", Parent: "1"}, {ID: "3", Name: "Private", Parent: "home"},
		{ID: "4", Name: "customers", Parent: "3"}, {ID: "5", Name: "a", Parent: "6"}, {ID: "6", Name: "b", Parent: "5"}}
	for name, want := range map[string][]string{"CUSTOMERS": {"1", "2", "4"}, "eu": {"2"}, "Private": {"3", "4"}, "Nobody": nil, "a": {"5", "6"}} {
		if got := chosen(all, []string{name}); !slices.Equal(got, want) {
			t.Errorf("%s: %v, want %v", name, got, want)
		}
	}
}

// What is in contacts travels in pages and is nowhere else.
func TestNothingOfAContactIsToldOrKept(t *testing.T) {
	s := newStage(t, 3, nil)
	users := s.users()
	for i, user := range users {
		for range 3 {
			_, err := s.tenant().AddContact(string(user), graphsim.Contact{GivenName: whisper, Surname: fmt.Sprint(whisper, i), CompanyName: whisper, JobTitle: whisper, Department: whisper,
				Mails: []string{whisper + "@example.com"}, MobilePhone: whisper, BusinessPhones: []string{whisper}, PersonalNotes: whisper})
			must(t, err)
		}
	}
	_, err := s.tenant().AddContactFolder(string(users[0]), whisper, "")
	must(t, err)
	must(t, s.tenant().SpoilContact(string(users[1]), "1", map[string]json.RawMessage{"id": json.RawMessage(`{"` + whisper + `":1}`)}))
	_, err = s.tenant().Fault(graphsim.Fault{Kind: graphsim.FaultGarbage, User: string(users[2]), Path: "/delta"})
	must(t, err)
	s.link(contoso, users...)
	log := &logtest.Log{}
	s.log = slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	b := s.sheets()
	conf := s.contacts(60 * time.Millisecond)
	conf.Folders = []string{"Customers"}
	s.run(conf)
	b.shows(users[0], "Contacts")
	s.reads(3, "unknown")
	if got := s.everything(log); strings.Contains(got, whisper) {
		at := strings.Index(got, whisper)
		t.Errorf("... %s", got[max(0, at-300):min(len(got), at+100)])
	}
	// Control: it is in the pages.
	if p := b.of(users[0])[0]; !strings.Contains(fmt.Sprint(p.Contacts), whisper) {
		t.Error("control: nobody whispered")
	}
	for _, p := range b.of(users[0]) {
		if strings.Contains(fmt.Sprintf("%+v", p), graphsim.Marker) {
			t.Error("somebody's notes are in a page")
		}
	}
}
