package writer

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"

	"offhook.dev/libs/bus"
	"offhook.dev/libs/core/directory"
	"offhook.dev/libs/core/fault"
	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/pbx"
	"offhook.dev/libs/topology"
	"offhook.dev/libs/wire"
)

// whole is an extension of the i-th person.
func whole(i int, number identity.Extension) directory.Extension {
	return directory.Extension{Number: number, Marker: person(i).User, Enabled: true,
		Fields: directory.Fields{FirstName: fmt.Sprint("U", i), LastName: "Moreau", Mail: fmt.Sprintf("u%d@x", i), Department: "Sales"}}
}

// asks is a want for the i-th person.
func asks(op wire.ChangeOp, i int, number identity.Extension, to directory.Extension, fields ...directory.Field) wire.ExtensionWant {
	return wire.ExtensionWant{ID: string(op) + string(number), Person: person(i), Line: lineOf(number), Op: op, Update: directory.Update{To: to, Fields: fields}}
}

func (s *stage) send(m wire.Message) {
	s.t.Helper()
	subject, data := m.Encode()
	if _, err := s.bus.Publish(s.t.Context(), bus.Message{Subject: subject, Data: data}); err != nil {
		s.t.Fatal(err)
	}
}

// becomes sends a want and returns what came of it.
func (s *stage) becomes(w wire.ExtensionWant) (o wire.ExtensionOutcome) {
	s.t.Helper()
	subject := "outcome.extension." + wire.LineKey(w.Line)
	before, _ := s.bus.Last(s.t.Context(), topology.Outcomes, subject)
	s.send(w)
	s.eventually(func() string {
		m, err := s.bus.Last(s.t.Context(), topology.Outcomes, subject)
		if err != nil || m.Sequence == before.Sequence {
			return fmt.Sprintf("no outcome of %s: %v", w.ID, err)
		}
		o, err = wire.DecodeExtensionOutcome(m.Data)
		if err != nil {
			return err.Error()
		}
		return ""
	})
	return o
}

func (s *stage) inventory(number identity.Extension) (i wire.Inventory) {
	m, err := s.bus.Last(s.t.Context(), topology.Directory, wire.InventorySubject(lineOf(number)))
	if err == nil {
		i, err = wire.DecodeInventory(m.Data)
	}
	if err != nil {
		s.t.Error(err)
	}
	return i
}

func TestExtensionsBecomeWhatIsWanted(t *testing.T) {
	first := directory.FirstName
	for _, c := range []struct {
		name string
		// before prepares the phone system, which has 200 and 201 of nobody.
		before func(s *stage)
		want   wire.ExtensionWant
		result wire.ChangeResult
		// after looks at what became of it.
		after func(s *stage) string
	}{
		{"a new one is made, marked, and in the inventory at once", nil, asks(wire.OpCreate, 1, "300", whole(1, "300")), wire.ChangeDone, func(s *stage) string {
			e, there := s.phones.Listed("300")
			if fact := s.inventory("300"); !there || e.Marker != person(1).User || e.Department != "Sales" || !fact.Enabled || fact.FirstName != "U1" {
				return fmt.Sprintf("%+v; %+v", e, fact)
			}
			return ""
		}},
		{"a stranger's number is taken, and the stranger is left alone", nil, asks(wire.OpCreate, 1, "200", whole(1, "200")), wire.ChangeTaken, func(s *stage) string {
			if e, _ := s.phones.Listed("200"); e.FirstName != "" || e.Marker != "" {
				return fmt.Sprintf("%+v", e)
			}
			return ""
		}},
		{"one that is ours by its marker is completed", func(s *stage) { s.phones.Add(directory.Extension{Number: "300", Marker: person(1).User}) },
			asks(wire.OpCreate, 1, "300", whole(1, "300")), wire.ChangeDone, func(s *stage) string {
				if e, _ := s.phones.Listed("300"); e.FirstName != "U1" || !e.Enabled {
					return fmt.Sprintf("%+v", e)
				}
				return ""
			}},
		{"one that was half made before a kill is ours, since the ledger says so", func(s *stage) {
			s.put(topology.Ledger, topology.Join("creating", "hq", "300"), creation{Person: person(1)})
			s.phones.Add(directory.Extension{Number: "300"})
		}, asks(wire.OpCreate, 1, "300", whole(1, "300")), wire.ChangeDone, func(s *stage) string {
			if e, _ := s.phones.Listed("300"); e.Marker != person(1).User {
				return fmt.Sprintf("%+v", e)
			}
			return ""
		}},
		{"one that was half made for somebody else is not", func(s *stage) {
			s.put(topology.Ledger, topology.Join("creating", "hq", "300"), creation{Person: person(2)})
			s.phones.Add(directory.Extension{Number: "300"})
		}, asks(wire.OpCreate, 1, "300", whole(1, "300")), wire.ChangeTaken, nil},
		{"a full licence is said as such", func(s *stage) { s.phones.Room(0) }, asks(wire.OpCreate, 1, "300", whole(1, "300")), wire.ChangeFull, nil},
		{"a field that differs is written, another stays", func(s *stage) {
			s.phones.Add(directory.Extension{Number: "300", Enabled: true, Marker: person(1).User, Fields: directory.Fields{FirstName: "Old", Mobile: "1"}})
		}, asks(wire.OpUpdate, 1, "300", whole(1, "300"), first), wire.ChangeDone, func(s *stage) string {
			if e, _ := s.phones.Listed("300"); e.FirstName != "U1" || e.Mobile != "1" || s.inventory("300").FirstName != "U1" {
				return fmt.Sprintf("%+v", e)
			}
			return ""
		}},
		{"what is so already is not written", func(s *stage) { s.phones.Add(whole(1, "300")) }, asks(wire.OpUpdate, 1, "300", whole(1, "300"), first), wire.ChangeAlready, nil},
		{"another user's is left alone", func(s *stage) { s.phones.Add(whole(2, "300")) }, asks(wire.OpUpdate, 1, "300", whole(1, "300"), first), wire.ChangeForeign, func(s *stage) string {
			if e, _ := s.phones.Listed("300"); e.FirstName != "U2" {
				return fmt.Sprintf("%+v", e)
			}
			return ""
		}},
		{"one that somebody removed is told to be gone", nil, asks(wire.OpUpdate, 1, "300", whole(1, "300"), first), wire.ChangeForeign, func(s *stage) string {
			if !s.inventory("300").Gone {
				return "not gone"
			}
			return ""
		}},
		{"one that is adopted gets the marker", nil, asks(wire.OpAdopt, 1, "200", whole(1, "200"), first), wire.ChangeDone, func(s *stage) string {
			if e, _ := s.phones.Listed("200"); e.Marker != person(1).User || e.FirstName != "U1" || e.LastName != "" {
				return fmt.Sprintf("%+v", e)
			}
			return ""
		}},
		{"one that is disabled keeps its fields", func(s *stage) { s.phones.Add(whole(1, "300")) }, asks(wire.OpDisable, 1, "300", directory.Extension{Number: "300"}, directory.Enabled), wire.ChangeDone, func(s *stage) string {
			if e, _ := s.phones.Listed("300"); e.Enabled || e.FirstName != "U1" || s.inventory("300").Enabled {
				return fmt.Sprintf("%+v", e)
			}
			return ""
		}},
		{"one that is deleted is gone", func(s *stage) { s.phones.Add(whole(1, "300")) }, asks(wire.OpDelete, 1, "300", whole(1, "300")), wire.ChangeDone, func(s *stage) string {
			if _, there := s.phones.Listed("300"); there || !s.inventory("300").Gone {
				return "still there"
			}
			return ""
		}},
		{"a stranger's is not deleted", func(s *stage) { s.phones.Add(whole(2, "300")) }, asks(wire.OpDelete, 1, "300", whole(1, "300")), wire.ChangeForeign, nil},
		{"one that is not there is deleted already", nil, asks(wire.OpDelete, 1, "300", whole(1, "300")), wire.ChangeAlready, nil},
		{"what a later version wants is refused", nil, asks("polish", 1, "300", whole(1, "300")), wire.ChangeRefused, nil},
		{"a phone system that keeps its extensions itself is not written to", func(s *stage) { s.phones.SetSync(pbx.SyncState{Users: true}) },
			asks(wire.OpCreate, 1, "300", whole(1, "300")), wire.ChangeRefused, nil},
		{"a tenant that is not served is refused", nil, func() wire.ExtensionWant {
			w := asks(wire.OpCreate, 1, "300", whole(1, "300"))
			w.Person.Tenant = "fabrikam"
			return w
		}(), wire.ChangeRefused, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := newStage(t, 2)
			if c.before != nil {
				c.before(s)
			}
			s.run("a")
			if o := s.becomes(c.want); o.Result != c.result || o.ID != c.want.ID {
				t.Fatalf("%s (%s), want %s", o.Result, o.Detail, c.result)
			}
			if c.after != nil {
				if why := c.after(s); why != "" {
					t.Error(why)
				}
			}
			if _, err := s.buckets[topology.Ledger].Get(t.Context(), topology.Join("creating", "hq", "300")); fault.KindOf(err) != fault.NotFound && c.result.Well() {
				t.Errorf("the ledger still has an intent: %v", err)
			}
		})
	}
}

func TestACreationWhoseAnswerWasLostIsDoneOnce(t *testing.T) {
	s := newStage(t, 2)
	var lost atomic.Bool // two requests may be under way
	s.phones.Intercept(func(_ context.Context, handle func() error) error {
		err := handle()
		if _, there := s.phones.Listed("300"); there && !lost.Swap(true) {
			return fault.New(fault.Timeout, "lost", nil)
		}
		return err
	})
	s.run("a")
	if o := s.becomes(asks(wire.OpCreate, 1, "300", whole(1, "300"))); !o.Result.Well() {
		t.Errorf("%+v", o)
	}
	if !lost.Load() {
		t.Error("nothing was lost")
	}
}

// book is the entries of a phonebook by name, "Zoe 1" and so on.
func (s *stage) book(owner identity.Extension) string {
	var words []string
	for _, c := range s.phones.Book(owner) {
		words = append(words, strings.TrimSpace(c.FirstName+" "+c.Source))
	}
	return strings.Join(words, "; ")
}

func change(op wire.ChangeOp, id, source, name string) wire.ContactChange {
	return wire.ContactChange{Op: op, Contact: directory.Contact{ID: id, Source: source, FirstName: name}}
}

// entered sends a series and returns what came of it.
func (s *stage) entered(w wire.ContactsWant) (o wire.ContactsOutcome) {
	s.t.Helper()
	w.Mailbox = person(0)
	w.Book.System, w.Chunk = hq, "1"
	subject, _ := wire.ContactsOutcome{Mailbox: w.Mailbox, Book: w.Book, Chunk: w.Chunk}.Encode()
	before, _ := s.bus.Last(s.t.Context(), topology.Outcomes, subject)
	s.send(w)
	s.eventually(func() string {
		m, err := s.bus.Last(s.t.Context(), topology.Outcomes, subject)
		if err != nil || m.Sequence == before.Sequence {
			return fmt.Sprintf("no outcome: %v", err)
		}
		o, err = wire.DecodeContactsOutcome(m.Data)
		return errText(err)
	})
	return o
}

func errText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

func TestPhonebooksBecomeWhatIsWanted(t *testing.T) {
	s := newStage(t, 2)
	stranger := s.phones.Enter("200", directory.Contact{FirstName: "Stranger"})
	s.run("a")
	personal := directory.Book{System: hq, Owner: "200"}

	o := s.entered(wire.ContactsWant{Book: personal, Changes: []wire.ContactChange{change(wire.OpCreate, "", "a", "Ada"), change(wire.OpCreate, "", "b", "Bea")}})
	if len(o.Results) != 2 || o.Results[0].Result != wire.ChangeDone || o.Results[0].ID == "" || o.Results[1].Source != "b" {
		t.Fatalf("%+v", o)
	}
	a, b := o.Results[0].ID, o.Results[1].ID
	if got := s.book("200"); got != "Stranger; Ada a; Bea b" || s.book("") != "" {
		t.Errorf("%q; the company has %q", got, s.book(""))
	}

	// Asked for again by somebody who does not know what came of it: nothing is doubled.
	o = s.entered(wire.ContactsWant{Book: personal, Again: true, Changes: []wire.ContactChange{change(wire.OpCreate, "", "a", "Ada"), change(wire.OpCreate, "", "c", "Cleo")}})
	if got := s.book("200"); got != "Stranger; Ada a; Bea b; Cleo c" || o.Results[0].ID != a {
		t.Errorf("%q, %+v", got, o)
	}

	// Changed, removed, removed twice, and one that somebody removed by hand.
	o = s.entered(wire.ContactsWant{Book: personal, Changes: []wire.ContactChange{
		change(wire.OpUpdate, a, "a", "Ada II"), change(wire.OpDelete, b, "b", ""), change(wire.OpDelete, "no such", "d", ""), change(wire.OpUpdate, "gone", "e", "Eve")}})
	var results []string
	for _, r := range o.Results {
		results = append(results, string(r.Op)+" "+r.Source+" "+string(r.Result))
	}
	if got := strings.Join(results, "; "); got != "update a done; delete b done; delete d already; update e done" {
		t.Errorf("%s", got)
	}
	if got := s.book("200"); got != "Stranger; Ada II a; Cleo c; Eve e" {
		t.Errorf("%q after %s", got, stranger)
	}

	// Removed by somebody who does not know its id, because nobody told.
	o = s.entered(wire.ContactsWant{Book: personal, Again: true, Changes: []wire.ContactChange{change(wire.OpDelete, "", "c", ""), change(wire.OpDelete, "", "never", "")}})
	if got := s.book("200"); got != "Stranger; Ada II a; Eve e" || o.Results[0].Result != wire.ChangeDone || o.Results[1].Result != wire.ChangeAlready {
		t.Errorf("%q, %+v", got, o)
	}

	// A book that there is not: each says so, nothing else.
	o = s.entered(wire.ContactsWant{Book: directory.Book{System: hq, Owner: "999"}, Changes: []wire.ContactChange{change(wire.OpCreate, "", "a", "Ada")}})
	if len(o.Results) != 1 || o.Results[0].Result != wire.ChangeForeign {
		t.Errorf("%+v", o)
	}
}

func TestAPhonebookThatThePhoneSystemKeepsItselfIsLeftAlone(t *testing.T) {
	s := newStage(t, 1)
	s.phones.SetSync(pbx.SyncState{Contacts: true})
	s.run("a")
	o := s.entered(wire.ContactsWant{Book: directory.Book{System: hq, Owner: "200"}, Changes: []wire.ContactChange{change(wire.OpCreate, "", "a", "Ada")}})
	if o.Results[0].Result != wire.ChangeRefused || s.book("200") != "" {
		t.Errorf("%+v, %q", o, s.book("200"))
	}
}

func TestASeriesThatIsCutOffAnywhereDoublesNothing(t *testing.T) {
	const entries = 5
	for cut := range entries {
		t.Run(fmt.Sprint("after ", cut), func(t *testing.T) {
			t.Parallel()
			s := newStage(t, 1)
			var lost atomic.Bool // two requests may be under way
			s.phones.Intercept(func(_ context.Context, handle func() error) error {
				err := handle()
				if len(s.phones.Book("200")) > cut && !lost.Swap(true) {
					return fault.New(fault.Timeout, "lost", nil)
				}
				return err
			})
			s.run("a")
			w := wire.ContactsWant{Book: directory.Book{System: hq, Owner: "200"}}
			for i := range entries {
				w.Changes = append(w.Changes, change(wire.OpCreate, "", fmt.Sprint(i), "N"))
			}
			o := s.entered(w)
			if got := s.book("200"); got != "N 0; N 1; N 2; N 3; N 4" || len(o.Results) != entries || !lost.Load() {
				t.Errorf("%q, %+v", got, o)
			}
		})
	}
}
