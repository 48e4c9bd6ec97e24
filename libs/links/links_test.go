package links_test

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"testing"
	"time"

	"offhook.dev/libs/bus/bustest"
	"offhook.dev/libs/core/directory"
	"offhook.dev/libs/core/fault"
	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/links"
	"offhook.dev/libs/store"
	"offhook.dev/libs/topology"
	"offhook.dev/libs/wire"
)

func person(i int) identity.Person {
	return identity.Person{Tenant: "contoso", User: identity.User(fmt.Sprintf("00000000-0000-0000-0000-%012d", i))}
}

func lineOf(ext identity.Extension) identity.Line { return identity.Line{System: "hq", Extension: ext} }

// stage is a bucket and a mirror of it.
type stage struct {
	t      *testing.T
	bucket *store.Bucket
	mirror *links.Mirror
}

func newStage(t *testing.T) *stage {
	t.Helper()
	b := bustest.Connect(t, bustest.Broker(t), "test")
	bucket, err := store.Open(t.Context(), b.JetStream(), topology.Links)
	if err != nil {
		t.Fatal(err)
	}
	return &stage{t, bucket, links.NewMirror()}
}

func (s *stage) run(changed func(identity.Person, []identity.Line)) {
	ctx, cancel := context.WithCancel(context.WithoutCancel(s.t.Context()))
	ended := make(chan error, 1)
	go func() { ended <- s.mirror.Run(ctx, s.bucket, changed) }()
	s.t.Cleanup(func() {
		cancel()
		if err := <-ended; fault.KindOf(err) != fault.Cancelled {
			s.t.Errorf("ended with %v", err)
		}
	})
	if err := s.mirror.Current(s.t.Context()); err != nil {
		s.t.Fatal(err)
	}
}

func (s *stage) put(i int, lines ...links.Line) uint64 {
	s.t.Helper()
	data, err := json.Marshal(links.Record{Lines: lines})
	if err != nil {
		s.t.Fatal(err)
	}
	revision, err := s.bucket.Put(s.t.Context(), wire.PersonKey(person(i)), data)
	if err != nil {
		s.t.Fatal(err)
	}
	return revision
}

func link(ext identity.Extension, revision uint64) links.Line {
	return links.Line{Line: lineOf(ext), Revision: revision}
}

func (s *stage) eventually(what string, ok func() bool) {
	s.t.Helper()
	bustest.Eventually(s.t, 10*time.Second, func() string {
		if !ok() {
			return what
		}
		return ""
	})
}

func TestAMirrorHasWhatWasThereAndWhatChanges(t *testing.T) {
	s := newStage(t)
	revision := s.put(1, link("101", 5), link("102", 5))
	type change struct {
		person identity.Person
		lines  []identity.Line
	}
	changes := make(chan change, 10)
	s.run(func(p identity.Person, lines []identity.Line) { changes <- change{p, slices.Clone(lines)} })
	if c := <-changes; c.person != person(1) || len(c.lines) != 2 {
		t.Errorf("the first fill told of %+v", c)
	}
	lines, at := s.mirror.List(person(1))
	if owner, ok := s.mirror.Who(lineOf("101")); !ok || owner != (links.Owner{Person: person(1), Revision: 5}) || len(lines) != 2 || at != revision {
		t.Errorf("%+v at %d, owner %+v", lines, at, owner)
	}
	if _, ok := s.mirror.Who(lineOf("999")); ok || s.mirror.Of(person(9)) != nil {
		t.Error("what nobody linked is linked")
	}
	if got := s.mirror.People("contoso"); len(got) != 1 || len(s.mirror.People("fabrikam")) != 0 || len(s.mirror.LinesOf("hq")) != 2 || len(s.mirror.Those("contoso", "", func(identity.Person) bool { return false })) != 0 || len(s.mirror.LinesOf("branch")) != 0 {
		t.Errorf("people %v", got)
	}

	// A line that is no longer listed is told of with those that are.
	s.put(1, link("102", 5))
	if c := <-changes; len(c.lines) != 2 {
		t.Errorf("the change told of %v", c.lines)
	}
	if _, ok := s.mirror.Who(lineOf("101")); ok {
		t.Error("a line that was removed is still owned")
	}

	// A deleted record has a revision of its own, above all before.
	entry, err := s.bucket.Get(t.Context(), wire.PersonKey(person(1)))
	if err == nil {
		err = s.bucket.Delete(t.Context(), entry.Key, entry.Revision)
	}
	if err != nil {
		t.Fatal(err)
	}
	if c := <-changes; !slices.Equal(c.lines, []identity.Line{lineOf("102")}) {
		t.Errorf("the deletion told of %v", c.lines)
	}
	if lines, now := s.mirror.List(person(1)); lines != nil || now <= entry.Revision {
		t.Errorf("after the deletion %v at %d", lines, now)
	}
}

// user-sync stores with the pairings what it made and wrote: 1,000 renamed are nothing to
// those who read everybody's presence.
func TestARecordThatSaysTheSameOfLinesIsNoChange(t *testing.T) {
	s := newStage(t)
	put := func(record links.Record) {
		data, err := json.Marshal(record)
		if err == nil {
			_, err = s.bucket.Put(t.Context(), wire.PersonKey(person(1)), data)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	since := time.Date(2026, 6, 2, 9, 30, 0, 0, time.UTC)
	line := links.Line{Line: lineOf("101"), Revision: 5, How: "mail", Since: since}
	record := func(name string, due bool, lines ...links.Line) links.Record {
		return links.Record{Lines: lines, Owned: []directory.Record{{Line: lineOf("101"), How: directory.Created, Photo: name, PhotoDue: due}}}
	}
	changes := make(chan []identity.Line, 10)
	put(record("one", false, line))
	s.run(func(_ identity.Person, lines []identity.Line) { changes <- slices.Clone(lines) })
	<-changes
	put(record("two", false, line)) // no change
	put(record("two", true, line))
	if <-changes; !s.mirror.PhotoDue(person(1)) {
		t.Error("the second change told of is not that the photo is due")
	}
	line.Revision = 6
	put(record("two", true, line))
	if <-changes; s.mirror.Of(person(1))[0].Revision != 6 {
		t.Error("the third change told of is not the new pairing")
	}
	if len(changes) != 0 {
		t.Errorf("%d changes more", len(changes))
	}
}

// Whoever lost a line to a newer pairing has it again when that is over and their record
// comes once more, though it says what it said.
func TestALineThatIsSomebodysAgainIsTold(t *testing.T) {
	s := newStage(t)
	s.put(1, link("101", 5))
	s.put(2, link("101", 6))
	changes := make(chan identity.Person, 10)
	s.run(func(who identity.Person, _ []identity.Line) { changes <- who })
	first, second := <-changes, <-changes
	if first == second {
		t.Fatalf("%s twice", first)
	}
	s.put(2)
	if who := <-changes; who != person(2) {
		t.Errorf("told of %s", who)
	}
	s.put(1, link("101", 5))
	if who := <-changes; who != person(1) {
		t.Errorf("told of %s", who)
	}
	if owner, _ := s.mirror.Who(lineOf("101")); owner.Person != person(1) {
		t.Errorf("owned by %q", owner.Person)
	}
}

func TestPartsOfATenantAreToldByTheBeginningOfIDs(t *testing.T) {
	s := newStage(t)
	s.put(1, link("101", 5))
	s.run(nil)
	if s.mirror.Size("contoso") != 1 || s.mirror.Size("fabrikam") != 0 {
		t.Errorf("%d and %d people", s.mirror.Size("contoso"), s.mirror.Size("fabrikam"))
	}
	for prefix, want := range map[string]int{"": 1, "0": 1, "00000000-0": 1, "1": 0, "01": 0} {
		if got := s.mirror.Those("contoso", prefix, func(identity.Person) bool { return true }); len(got) != want {
			t.Errorf("%d begin with %q, not %d", len(got), prefix, want)
		}
	}
}

// While a line moves, both people's records can list it, in either order.
func TestOfTwoRecordsThatListALineTheNewerPairingOwnsIt(t *testing.T) {
	for _, newerFirst := range []bool{true, false} {
		s := newStage(t)
		if newerFirst {
			s.put(2, link("101", 6))
			s.put(1, link("101", 5))
		} else {
			s.put(1, link("101", 5))
			s.put(2, link("101", 6))
		}
		s.run(nil)
		if owner, _ := s.mirror.Who(lineOf("101")); owner.Person != person(2) {
			t.Errorf("newer first %v: owned by %s", newerFirst, owner.Person)
		}
		s.put(1)
		s.eventually("the older record is still there", func() bool { return s.mirror.Of(person(1)) == nil })
		if owner, _ := s.mirror.Who(lineOf("101")); owner.Person != person(2) {
			t.Errorf("newer first %v: after the older record was emptied, owned by %q", newerFirst, owner.Person)
		}
	}
}

func TestOfThoseWhoLeftItIsKnownWhatIsKeptForThem(t *testing.T) {
	s := newStage(t)
	at := time.Date(2026, 6, 2, 9, 30, 0, 0, time.UTC)
	put := func(owned ...directory.Record) {
		data, err := json.Marshal(links.Record{Owned: owned})
		if err == nil {
			_, err = s.bucket.Put(t.Context(), wire.PersonKey(person(1)), data)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	put(directory.Record{Line: lineOf("101"), How: directory.Created, Left: at}, directory.Record{Line: lineOf("102"), How: directory.Created})
	s.run(nil)
	if left := s.mirror.Left(person(1)); len(left) != 1 || left[0].Line != lineOf("101") || !left[0].Left.Equal(at) || s.mirror.Left(person(2)) != nil {
		t.Errorf("%+v", left)
	}
	put(directory.Record{Line: lineOf("101"), How: directory.Created}) // they are back
	s.eventually("still away", func() bool { return s.mirror.Left(person(1)) == nil })
}

func TestKeysOfALaterVersionAreLeftAlone(t *testing.T) {
	s := newStage(t)
	if _, err := s.bucket.Put(t.Context(), "settings", []byte("?")); err != nil {
		t.Fatal(err)
	}
	s.put(1, link("101", 5))
	s.run(nil)
	if len(s.mirror.People("")) != 1 {
		t.Error("not one person")
	}
}
