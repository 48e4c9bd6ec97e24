package poller

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"offhook.dev/libs/bus"
	"offhook.dev/libs/core/directory"
	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/graph"
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
