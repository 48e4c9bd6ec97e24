package contactsync

import (
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"offhook.dev/libs/bus"
	"offhook.dev/libs/core/directory"
	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/logtest"
	"offhook.dev/libs/topology"
	"offhook.dev/libs/wire"
)

// settledAfter waits until nothing is under way.
func (s *stage) settledAfter() {
	s.t.Helper()
	s.eventually(func() string { return strings.Join(s.unfinished(), "; ") })
}

func TestAReadingNeverDeletesMuchByItself(t *testing.T) {
	t.Parallel()
	const n = 60
	for _, c := range []struct {
		name string
		do   func(o *outlook)
		want string // created, updated, deleted
		why  string
	}{
		{"the same again", func(o *outlook) { o.full() }, "60 0 0", whySynced},
		{"the mailbox is empty", func(o *outlook) { o.empty(); o.full() }, "60 0 0", whyHeld},
		{"the mailbox is empty, one by one", func(o *outlook) {
			for i := range n {
				o.remove("contacts", i)
				o.delta()
				o.s.settledAfter()
			}
		}, "60 0 3", whyHeld},
		{"a reading that is cut off", func(o *outlook) {
			o.size = 20
			o.send(o.whole()[:2]...)
			o.full()
		}, "60 0 0", whySynced},
		{"a reading that is cut off, of a mailbox with less", func(o *outlook) {
			o.remove("contacts", 1, 2)
			o.size = 20
			o.send(o.whole()[:2]...)
		}, "60 0 0", whySynced},
		{"a reading without its first page", func(o *outlook) {
			o.size = 20
			o.send(o.whole()[1:]...)
		}, "60 0 0", whySynced},
		{"a page of no contacts that ends a reading that nobody saw begin", func(o *outlook) {
			pages := o.whole()
			pages[0].Contacts, pages[0].First = nil, false
			o.send(pages...)
		}, "60 0 0", whySynced},
		{"a mailbox that is gone", func(o *outlook) { o.problem("gone") }, "60 0 0", whyProblem},
		{"a permission that was withdrawn", func(o *outlook) { o.problem("denied") }, "60 0 0", whyProblem},
		{"no mailbox, and then one", func(o *outlook) { o.problem("no mailbox"); o.full() }, "60 0 0", whySynced},
		{"the folder is gone", func(o *outlook) {
			o.send(wire.ContactsPage{Mailbox: o.who, Folder: "contacts", Round: 9, FolderGone: true, SeenAt: o.s.bus.Now()})
		}, "60 0 0", whyHeld},
		{"the folder is gone and comes back", func(o *outlook) {
			o.send(wire.ContactsPage{Mailbox: o.who, Folder: "contacts", Round: 9, FolderGone: true, SeenAt: o.s.bus.Now()})
			o.round = 9
			o.full()
		}, "60 0 0", whySynced},
		{"everything moves to another folder", func(o *outlook) {
			for i := range n {
				o.move("contacts", "old", i)
			}
			o.delta()
		}, "60 0 0", whySynced},
		{"everything moves to a folder that is read first", func(o *outlook) {
			for i := range n {
				o.move("contacts", "a", i)
			}
			o.delta()
		}, "60 0 0", whySynced},
		{"two move, and are read in another order", func(o *outlook) {
			o.move("contacts", "old", 1, 2)
			o.delta()
			o.move("old", "contacts", 1)
			o.delta()
		}, "60 0 0", whySynced},
		{"three of sixty are deleted", func(o *outlook) { o.remove("contacts", 1, 2, 3); o.delta() }, "60 0 3", whySynced},
		{"four are", func(o *outlook) { o.remove("contacts", 1, 2, 3, 4); o.delta() }, "60 0 0", whyHeld},
		{"they come back before anybody says so", func(o *outlook) {
			o.remove("contacts", 1, 2, 3, 4)
			o.delta()
			o.many("contacts", 1, 5, 1)
			o.delta()
		}, "60 0 0", whySynced},
		{"a page of an older reading comes late", func(o *outlook) {
			old := o.whole()
			o.many("contacts", 1, 2, 2)
			o.delta()
			o.send(old...)
		}, "60 1 0", whySynced},
	} {
		t.Run(c.name, func(t *testing.T) {
			s, o, p := one(t, n)
			if strings.Contains(c.name, "move") {
				s.restart(func(o *Options) { o.Linger = time.Hour })
			}
			c.do(o)
			s.settledAfter()
			where := bookOf(hq, "204")
			if c.why != whySynced {
				s.stands(person(1), where, c.why)
			}
			creates, updates, deletes := p.written()
			if got := fmt.Sprint(creates, updates, deletes); got != c.want {
				t.Errorf("%s created, updated, deleted; want %s", got, c.want)
			}
			if c.why == whySynced && c.name != "a reading that is cut off, of a mailbox with less" {
				s.synced()
			}
		})
	}
}

// Each mailbox loses no more than the brake allows it.
func TestManyMailboxesThatLoseLittleAreAMassDeletion(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name  string
		then  func(s *stage) // after each mailbox but the last
		least int            // is deleted; at most 3 are
	}{
		{"one after the other", func(s *stage) { s.settledAfter() }, 3},
		{"one after the other, with restarts between", func(s *stage) { s.settledAfter(); s.restart(func(*Options) {}) }, 3},
		{"all at once", func(*stage) {}, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			s, p, all := few(t, 8, 3)
			for i, o := range all {
				o.empty()
				o.full()
				if i < len(all)-1 {
					c.then(s)
				}
			}
			s.settledAfter()
			last := all[len(all)-1]
			stands := s.stands(last.who, bookOf(hq, identity.Extension(fmt.Sprint(299+len(all)))), whyHeld)
			if !strings.Contains(stands.Detail, "other mailboxes") {
				t.Errorf("%+v", stands)
			}
			if _, _, deletes := p.written(); deletes < c.least || deletes > 3 {
				t.Errorf("%d deleted", deletes)
			}
			shown := s.shown("p1")
			if !shown.Brake.Tripped || shown.Brake.Linked != 24 || shown.Brake.Removed != 24 || shown.Brake.Held < 21 {
				t.Errorf("%+v", shown.Brake)
			}
			s.order("forced", wire.SyncApply, func(o *wire.SyncOrder) { o.Plan, o.Force = shown.ID, true })
			s.ended("forced", wire.SyncDone)
			s.synced()
		})
	}
}

// few is a stage with so many people who have so many contacts each, all in their phonebooks.
func few(t *testing.T, people, contacts int) (*stage, *phones, []*outlook) {
	s := newStage(t)
	p := s.system(hq, nil)
	var all []*outlook
	for i := range people {
		who := person(i + 1)
		s.link(who, lineOf(hq, identity.Extension(fmt.Sprint(300+i))))
		o := s.mailbox(who, false)
		o.many("contacts", 0, contacts, 1)
		all = append(all, o)
	}
	s.start()
	for _, o := range all {
		o.full()
	}
	s.synced()
	return s, p, all
}

// empty takes everything out of a mailbox.
func (o *outlook) empty() {
	o.mu.Lock()
	defer o.mu.Unlock()
	for name := range o.folders {
		o.folders[name] = map[string]directory.Contact{}
	}
}

func TestNumbers(t *testing.T) {
	number := func(kind directory.NumberKind, text string) directory.Number {
		return directory.Number{Kind: kind, Text: text}
	}
	for _, c := range []struct {
		name     string
		numbers  []directory.Number
		want     string
		remarked string
	}{
		{"stay as they were written", []directory.Number{number(directory.MobileNumber, "+49 (0)171 55 66"), number(directory.BusinessNumber, "030 901820 ext. 12")}, "mobile=+49 (0)171 55 66 business=030 901820 ext. 12", ""},
		{"of kinds without a place are left out", []directory.Number{number(directory.FaxNumber, "030 901821"), number(directory.MobileNumber, "0171 5566")}, "mobile=0171 5566", "no-place"},
		{"come by precedence", []directory.Number{number(directory.HomeNumber, "030 1234567"), number(directory.MobileNumber, "0171 5566778")}, "mobile=0171 5566778 home=030 1234567", ""},
		{"that are the same take one place", []directory.Number{number(directory.HomeNumber, "+49 30 901820"), number(directory.BusinessNumber, "030 901820")}, "business=030 901820", "doubled"},
		{"with different extensions are two", []directory.Number{number(directory.HomeNumber, "030 901820 ext. 1"), number(directory.BusinessNumber, "030 901820 ext. 2")}, "business=030 901820 ext. 2 home=030 901820 ext. 1", ""},
		{"that are none are left out", []directory.Number{number(directory.HomeNumber, "call me"), number(directory.BusinessNumber, ""), number(directory.MobileNumber, "ext. 12")}, "", "not-a-number only-an-extension"},
		{"in digits of another script are numbers", []directory.Number{number(directory.MobileNumber, "٠٣٠ ٩٠١٨٢٠")}, "mobile=٠٣٠ ٩٠١٨٢٠", ""},
	} {
		contact := directory.Contact{Source: "a", FirstName: "Anna", Numbers: c.numbers}
		items, _, said := project([]directory.Contact{contact}, takes{kinds: []directory.NumberKind{directory.MobileNumber, directory.BusinessNumber, directory.HomeNumber}}, "DE", newNumbers(nil).others)
		var got, remarked []string
		for _, n := range items[0].contact.Numbers {
			got = append(got, string(n.Kind)+"="+n.Text)
		}
		for why := range said {
			remarked = append(remarked, string(why))
		}
		slices.Sort(remarked)
		if strings.Join(got, " ") != c.want || strings.Join(remarked, " ") != c.remarked {
			t.Errorf("numbers %s: %q, remarked %q; want %q, %q", c.name, strings.Join(got, " "), remarked, c.want, c.remarked)
		}
	}
}

func TestContactsOfAPage(t *testing.T) {
	same := []directory.Number{{Kind: directory.MobileNumber, Text: "0171 5566778"}}
	items, blank, said := project([]directory.Contact{
		{Source: "a", FirstName: "Anna", Numbers: same}, {Source: "b", FirstName: "Ben", Numbers: same}, {Source: "c"}, {FirstName: "Nobody's"},
		{Source: "d", LastName: "\u202eشارع\u202c 😀"}, {Source: "e", Company: strings.Repeat("x", 300)},
	}, takes{kinds: []directory.NumberKind{directory.MobileNumber}}, "DE", newNumbers(nil).others)
	if len(items) != 4 || !slices.Equal(blank, []string{"c"}) || said[directory.Shared] != 1 || said[directory.Blank] != 1 || said[directory.NoSource] != 1 {
		t.Errorf("%d contacts, %v blank, said %v", len(items), blank, said)
	}
	if items[2].contact.LastName != "\u202eشارع\u202c 😀" || len(items[3].contact.Company) != 300 {
		t.Errorf("%+v", items)
	}
}

func TestANumberThatWasRemovedDisappears(t *testing.T) {
	s, o, p := one(t, 10)
	c := contact(3, 1)
	c.Numbers = c.Numbers[:1]
	o.put("contacts", c)
	o.delta()
	s.synced()
	if has, _ := p.has(bookOf(hq, "204")); len(has[c.Source].Numbers) != 1 {
		t.Errorf("%+v", has[c.Source])
	}
	c.FirstName, c.LastName, c.Company, c.Numbers = "", "", "", nil // nothing is left to show
	o.remove("contacts", 3)
	o.send(wire.ContactsPage{Mailbox: o.who, Folder: "contacts", Round: 50, First: true, Last: true, Contacts: []directory.Contact{c}, SeenAt: s.bus.Now()})
	s.synced()
}

func TestAPageThatCannotBeReadCostsNothingElse(t *testing.T) {
	s, o, p := one(t, 60)
	o.empty()
	o.many("contacts", 0, 20, 2)
	o.size = 10
	pages := o.whole()
	o.send(pages[0])
	subject, _ := pages[0].Encode()
	_, err := s.bus.Publish(t.Context(), bus.Message{Subject: subject, Data: []byte("\xff garbage")})
	s.must(err)
	o.send(pages[1])
	s.parked(1)
	s.eventually(func() string {
		if _, updates, _ := p.written(); updates != 20 {
			return fmt.Sprintf("%d updated", updates)
		}
		return ""
	})
	// The reading was not whole, so it deletes nothing. Another one is asked for, and
	// that is held by the brake.
	s.stands(person(1), bookOf(hq, "204"), whyHeld)
	p.quiet(t, "garbage", 60, 20, 0)
	stranger := wire.ContactsPage{Mailbox: person(9), Folder: "contacts", Round: 1, SeenAt: s.bus.Now()}
	_, data := stranger.Encode()
	_, err = s.bus.Publish(t.Context(), bus.Message{Subject: subject, Data: data})
	s.must(err)
	s.parked(2)
}

func TestWhatThePhoneSystemRefusesHoldsUpNothing(t *testing.T) {
	t.Parallel()
	for _, result := range []wire.ChangeResult{wire.ChangeRefused, wire.ChangeFull, wire.ChangeFailed, "something new"} {
		s := newStage(t)
		p := s.system(hq, nil)
		bad := contact(3, 1).Source
		p.set(func(p *phones) {
			p.refuse = func(c wire.ContactChange) wire.ChangeResult {
				if c.Contact.Source == bad {
					return result
				}
				return ""
			}
		})
		s.link(person(1), lineOf(hq, "204"))
		o := s.mailbox(person(1), false)
		o.many("contacts", 0, 150, 1)
		s.start()
		o.full()
		s.filledBy(hq, "204", 149)
		if stands := s.stands(person(1), bookOf(hq, "204"), whyTrouble); stands.Trouble != 1 {
			t.Errorf("%s: %+v", result, stands)
		}
		s.settledAfter()
		// It is tried again when it is read again.
		p.set(func(p *phones) { p.refuse = nil })
		o.full()
		s.synced()
		p.quiet(t, string(result), 150, 0, 0)
	}
}

func TestADeletionThatFailedIsTriedAgainWhenSomebodySaysSo(t *testing.T) {
	s, o, p := one(t, 10)
	p.set(func(p *phones) { p.refuse = func(wire.ContactChange) wire.ChangeResult { return wire.ChangeFailed } })
	o.remove("contacts", 3)
	o.delta()
	s.stands(person(1), bookOf(hq, "204"), whyTrouble)
	p.set(func(p *phones) { p.refuse = nil })
	s.order("again", wire.SyncNow, func(o *wire.SyncOrder) { o.Force = true })
	s.ended("again", wire.SyncDone)
	s.synced()
}

func TestAnEntryThatIsSomebodyElsesNowIsMadeAnew(t *testing.T) {
	s, o, p := one(t, 10)
	where := bookOf(hq, "204")
	has, _ := p.has(where)
	taken := has[contact(3, 1).Source]
	p.set(func(p *phones) {
		entry := taken
		entry.Source, entry.FirstName = "", "Grandma"
		p.books[where][taken.ID] = entry
	})
	o.many("contacts", 3, 4, 2)
	o.delta()
	s.stands(person(1), where, whyTrouble)
	o.full()
	s.synced()
	if names := p.strangers(where); !slices.Equal(names, []string{"Grandma"}) {
		t.Errorf("strangers %v", names)
	}
}

// What is known of the phonebooks can be lost, or unreadable: nothing is there twice then.
func TestWhatIsKnownCanBeLost(t *testing.T) {
	t.Parallel()
	for name, spoil := range map[string]func(*stage){
		"lost": func(s *stage) {
			e, err := s.stores[topology.Books].Get(s.t.Context(), bookKey(person(1), bookOf(hq, "204")))
			s.must(err)
			s.must(s.stores[topology.Books].Delete(s.t.Context(), e.Key, e.Revision))
		},
		"unreadable": func(s *stage) {
			_, err := s.stores[topology.Books].Put(s.t.Context(), bookKey(person(1), bookOf(hq, "204")), []byte("garbage"))
			s.must(err)
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := newStage(t)
			p := s.system(hq, nil)
			s.link(person(1), lineOf(hq, "204"))
			o := s.mailbox(person(1), false)
			o.many("contacts", 0, 150, 1)
			l := s.start()
			o.full()
			s.synced()
			l.stop()
			spoil(s)
			s.start()
			o.full()
			s.synced()
			p.quiet(t, name, 150, 150, 0)
		})
	}
}

// Two tenants on two replicas: each has what is its own.
func TestReplicasShareTheTenants(t *testing.T) {
	s := newStage(t)
	s.opts.Tenants = append(s.opts.Tenants, Tenant{ID: "fabrikam", Personal: true, Region: "DE", Brake: s.opts.Tenants[0].Brake, Systems: s.opts.Tenants[0].Systems})
	s.system(hq, nil)
	s.link(person(1), lineOf(hq, "204"))
	other := person(2)
	other.Tenant = "fabrikam"
	s.link(other, lineOf(hq, "205"))
	first, second := s.mailbox(person(1), false), s.mailbox(other, false)
	first.many("contacts", 0, 120, 1)
	second.many("contacts", 200, 320, 1)
	one := s.start()
	first.full()
	s.startAs("replica")
	second.full()
	s.synced()
	one.stop()
	first.many("contacts", 0, 10, 2)
	first.delta()
	second.many("contacts", 200, 210, 2)
	second.delta()
	s.synced()
}

// Nothing of a contact stays anywhere once it is applied, and no log tells of it.
func TestNothingOfAContactStaysAtRest(t *testing.T) {
	logged := &logtest.Log{}
	s := newStage(t)
	s.log = slog.New(slog.NewTextHandler(logged, &slog.HandlerOptions{Level: slog.LevelDebug}))
	p := s.system(hq, nil)
	p.set(func(p *phones) {
		p.refuse = func(c wire.ContactChange) wire.ChangeResult {
			if c.Contact.Source == contact(3, 1).Source {
				return wire.ChangeRefused
			}
			return ""
		}
	})
	s.link(person(1), lineOf(hq, "204"))
	o := s.mailbox(person(1), false)
	o.many("contacts", 0, 20, 1)
	s.start()
	o.full()
	o.problem("denied")
	s.filledBy(hq, "204", 19)
	s.shown("p1")
	s.settledAfter()
	// Numbers as they were written and as keys, long enough to be in no time of day.
	secrets := []string{"Anna", "Version", "Contoso", "(0)171", "17100000", "030 90", "3090000"}
	seen := 0
	look := func(where string, data []byte) {
		seen++
		for _, secret := range secrets {
			if strings.Contains(string(data), secret) && !strings.Contains(string(data), "00000000-0000-0000-0000-"+secret) {
				t.Errorf("%s has %q: %q", where, secret, data)
			}
		}
	}
	for _, name := range []topology.Stream{topology.Pages, topology.Changes, topology.Orders, "KV_books", "KV_bookplans"} {
		s.eachRaw(string(name), func(subject string, data []byte) { look(subject, data) })
	}
	look("the log", []byte(logged.String()))
	if seen < 3 {
		t.Errorf("only %d places were looked at", seen)
	}
}

// eachRaw calls do for every message that a stream has.
func (s *stage) eachRaw(name string, do func(subject string, data []byte)) {
	s.t.Helper()
	stream, err := s.bus.JetStream().Stream(s.t.Context(), name)
	s.must(err)
	info, err := stream.Info(s.t.Context())
	s.must(err)
	for sequence := info.State.FirstSeq; sequence <= info.State.LastSeq && info.State.Msgs > 0; sequence++ {
		if m, err := stream.GetMsg(s.t.Context(), sequence); err == nil {
			do(m.Subject, m.Data)
		}
	}
}
