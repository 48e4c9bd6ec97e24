package writer

import (
	"slices"
	"testing"

	"offhook.dev/libs/bus"
	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/core/presence"
	"offhook.dev/libs/topology"
	"offhook.dev/libs/wire"
)

func TestAWantIsAppliedToldAndAccountedFor(t *testing.T) {
	s := newStage(t, 1)
	s.run("a")
	s.tells(0, presence.Available, presence.Person)
	w := s.covering(0, presence.DND)
	o := s.ends(w, wire.Applied)
	if o.Before != presence.Available || o.Person != w.Person || o.Reason != w.Reason || o.BeganAt.IsZero() || o.EndedAt.Before(o.BeganAt) {
		t.Errorf("outcome %+v", o)
	}
	s.shows(0, presence.DND)
	s.tells(0, presence.DND, presence.Ours)
	again := s.publish(s.wanted(0, presence.DND))
	s.ends(again, wire.Already)
	if got := s.phones.written(extension(0)); !slices.Equal(got, []presence.Status{presence.DND}) {
		t.Errorf("written %v, want dnd once", got)
	}
}

func TestWhatIsRefused(t *testing.T) {
	for _, c := range []struct {
		name string
		want func(*wire.Want)
		ends wire.Result
	}{
		{"decided for an older link", func(w *wire.Want) { w.LinkRevision = 4 }, wire.RefusedLink},
		{"decided for a newer link than is known", func(w *wire.Want) { w.LinkRevision = 6 }, wire.RefusedLink},
		{"decided for another person", func(w *wire.Want) { w.Person = person(7) }, wire.RefusedLink},
		{"of a tenant that the system does not serve", func(w *wire.Want) { w.Person.Tenant = "fabrikam" }, wire.RefusedTenant},
		{"older than what was carried out", func(w *wire.Want) { w.Revision.Sequence = 1 }, wire.Stale},
		{"of an older epoch", func(w *wire.Want) { w.Revision = wire.Revision{Sequence: 1000} }, wire.Stale},
		{"for an extension that is not linked", func(w *wire.Want) { w.Line.Extension = "299" }, wire.RefusedLink},
		{"a person's choice that it does not know of", func(w *wire.Want) { w.DecidedOn = 0 }, wire.RefusedPerson},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newStage(t, 1)
			s.link(0, 0, 5)
			s.run("a")
			s.sequence = 10
			s.tells(0, presence.Available, presence.Person)
			first := s.wanted(0, presence.Away)
			first.LinkRevision, first.DecidedOn = 5, s.tells(0, presence.Available, presence.Person).Observation
			s.ends(s.publish(first), wire.Applied)
			s.phones.Choose(extension(0), presence.Lunch)
			w := s.wanted(0, presence.DND)
			w.LinkRevision, w.DecidedOn = 5, s.tells(0, presence.Lunch, presence.Person).Observation
			c.want(&w)
			s.publish(w)
			s.eventually(func() string {
				var all []wire.Outcome
				_ = s.bus.History(t.Context(), topology.Outcomes, "outcome.>", func(m bus.Message) error {
					o, err := wire.DecodeOutcome(m.Data)
					all = append(all, o)
					return err
				})
				if len(all) < 2 {
					return "no outcome yet"
				}
				if last := all[len(all)-1]; last.Result != c.ends || last.Detail == "" {
					t.Fatalf("%s (%s), want %s and why", last.Result, last.Detail, c.ends)
				}
				return ""
			})
			if got := s.phones.written(extension(0)); !slices.Equal(got, []presence.Status{presence.Away}) {
				t.Errorf("written %v", got)
			}
		})
	}
}

func TestANewLinkRevivesAWantThatCameTooEarly(t *testing.T) {
	s := newStage(t, 1)
	s.run("a")
	w := s.wanted(0, presence.DND)
	w.DecidedOn, w.LinkRevision = s.tells(0, presence.Available, presence.Person).Observation, 2
	s.ends(s.publish(w), wire.RefusedLink)
	s.link(0, 0, 2)
	s.shows(0, presence.DND)
}

func TestOfManyWantsTheNewestIsShown(t *testing.T) {
	s := newStage(t, 1)
	s.run("a")
	s.tells(0, presence.Available, presence.Person)
	on := s.tells(0, presence.Available, presence.Person).Observation
	var last wire.Want
	for i := range 40 {
		s.sequence++ // revisions have gaps
		last = s.wanted(0, presence.Statuses()[1+i%4])
		last.DecidedOn = on
		s.publish(last)
	}
	s.settled()
	s.shows(0, last.Status)
	// Delivered late and out of order, an older one changes nothing; not even if there
	// was nothing to write for the newest.
	s.sequence++
	already := s.publish(s.wanted(0, last.Status))
	s.ends(already, wire.Already)
	last.Revision.Sequence = already.Revision.Sequence
	old := last
	old.Revision.Sequence--
	old.Status = presence.Away
	s.ends(s.publish(old), wire.Stale)
	s.shows(0, last.Status)
}

func TestAPersonIsOverwrittenOnlyByWhoeverKnowsOfTheChoice(t *testing.T) {
	s := newStage(t, 1)
	s.run("a")
	s.ends(s.covering(0, presence.DND), wire.Applied)
	s.tells(0, presence.DND, presence.Ours)
	s.phones.Choose(extension(0), presence.Lunch)
	fact := s.tells(0, presence.Lunch, presence.Person)
	if fact.LastPerson == nil || fact.LastPerson.Status != presence.Lunch || fact.LastPerson.Observation != fact.Observation {
		t.Fatalf("the fact tells of %+v", fact.LastPerson)
	}
	s.ends(s.publish(s.wanted(0, presence.Available)), wire.RefusedPerson)
	s.shows(0, presence.Lunch)
	if got := s.phones.written(extension(0)); len(got) != 1 {
		t.Fatalf("written %v", got)
	}
	s.ends(s.covering(0, presence.Available), wire.Applied)
	// The fact of our own write still tells of the person: conflation erases nobody.
	if fact := s.tells(0, presence.Available, presence.Ours); fact.LastPerson == nil || fact.LastPerson.Status != presence.Lunch {
		t.Errorf("the fact of our write tells of %+v", fact.LastPerson)
	}
}

// The control of the test above: a ledger that covers everything overwrites.
func TestWithoutTheObservationAPersonIsOverwritten(t *testing.T) {
	s := newStage(t, 1)
	s.run("a")
	s.ends(s.covering(0, presence.DND), wire.Applied)
	s.phones.Choose(extension(0), presence.Lunch)
	s.tells(0, presence.Lunch, presence.Person)
	w := s.wanted(0, presence.Available)
	w.DecidedOn = 1 << 62 // as if every choice ever to come were known
	s.ends(s.publish(w), wire.Applied)
	s.shows(0, presence.Available)
}

func TestAReleaseIsCarriedOutOverWhatIsOursOnly(t *testing.T) {
	s := newStage(t, 2)
	s.run("a")
	for i := range 2 {
		s.ends(s.covering(i, presence.DND), wire.Applied)
		s.tells(i, presence.DND, presence.Ours)
	}
	s.phones.Choose(extension(1), presence.Lunch)
	s.tells(1, presence.Lunch, presence.Person)
	for i, ends := range []wire.Result{wire.Applied, wire.RefusedPerson} {
		entry, err := s.buckets[topology.Links].Get(t.Context(), wire.PersonKey(person(i)))
		if err == nil {
			err = s.buckets[topology.Links].Delete(t.Context(), entry.Key, entry.Revision)
		}
		if err != nil {
			t.Fatal(err)
		}
		w := s.wanted(i, presence.Available)
		w.Release, w.DecidedOn = true, 1<<62
		s.ends(s.publish(w), ends)
	}
	s.shows(0, presence.Available)
	s.shows(1, presence.Lunch)
}

func TestAStatusOfThePhoneSystemsOwnIsLeftAlone(t *testing.T) {
	s := newStage(t, 1)
	s.run("a")
	s.tells(0, presence.Available, presence.Person)
	s.phones.Choose(extension(0), presence.Unset)
	// The last reading under two seconds old may be written on; wait until it is not.
	s.eventually(func() string {
		if o := s.outcome(s.covering(0, presence.DND)); o.Result != wire.RefusedPerson {
			s.phones.Choose(extension(0), presence.Unset)
			return o.Result.String()
		}
		return ""
	})
	if e := s.ledger(0); e.Person != nil && e.Person.Status == presence.Unset {
		t.Error("the ledger has a choice that is no status")
	}
}

func TestExtensionsAreListedAndGoneOnlyWhenThePhoneSystemSaysSo(t *testing.T) {
	s := newStage(t, 2)
	// A fact about an extension that this phone system has not, and one about an
	// extension that its listing forgets (see pbx.Driver.Statuses).
	for _, ext := range []identity.Extension{"999", "888"} {
		subject, data := wire.Inventory{Line: lineOf(ext), Enabled: true, SeenAt: s.bus.Now()}.Encode()
		if _, err := s.bus.Publish(t.Context(), bus.Message{Subject: subject, Data: data}); err != nil {
			t.Fatal(err)
		}
	}
	s.phones.answer("888", presence.Available)
	s.run("a")
	s.eventually(func() string {
		gone := map[identity.Extension]bool{}
		_ = s.bus.Each(t.Context(), topology.Directory, "pbx.fact.inventory.>", func(m bus.Message) error {
			i, err := wire.DecodeInventory(m.Data)
			gone[i.Line.Extension] = i.Gone
			return err
		})
		switch {
		case len(gone) != 4:
			return "not all listed"
		case !gone["999"]:
			return "999 is not gone"
		case gone["888"] || gone["200"] || gone["201"]:
			t.Fatalf("gone: %v", gone)
		}
		return ""
	})
}
