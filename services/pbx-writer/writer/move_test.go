package writer

import (
	"context"
	"slices"
	"sync"
	"testing"
	"time"

	"offhook.dev/libs/core/fault"
	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/core/presence"
	"offhook.dev/libs/links"
	"offhook.dev/libs/topology"
	"offhook.dev/libs/wire"
)

// moves gives the first extension, which is the first person's, to the second person, as
// user-sync does: it is nobody's for a moment.
func (s *stage) moves(revision uint64) {
	s.t.Helper()
	s.put(topology.Links, wire.PersonKey(person(0)), links.Record{})
	s.link(1, 0, revision)
}

// An extension goes to somebody else while the phone system puts off a write for whoever
// had it. What was wanted for them is refused when its turn comes again, and so is what
// was decided for them before the mapper heard of it; what is wanted for the new person
// is written, and nothing else.
func TestAnExtensionThatMovesDuringAChangeShowsNothingOfWhoeverHadIt(t *testing.T) {
	s := newStage(t, 1)
	s.run("a")
	seen := s.tells(0, presence.Available, presence.Person)
	wanted := func(who int, link uint64, status presence.Status) wire.Want {
		w := s.wanted(0, status)
		w.Person, w.LinkRevision, w.DecidedOn = person(who), link, seen.Observation
		return w
	}
	tried := make(chan struct{})
	var once sync.Once
	s.phones.stand(func(_ context.Context, op string, _ identity.Extension, request func() error) error {
		if op != "set-status" {
			return request()
		}
		once.Do(func() { close(tried) })
		return fault.After(fault.Throttled, "test", 50*time.Millisecond, nil)
	})
	old := s.publish(wanted(0, 1, presence.Away))
	<-tried
	s.moves(2)
	if o := s.ends(old, wire.RefusedLink); o.Person != person(0) {
		t.Errorf("told of %v", o.Person)
	}
	s.phones.stand(nil)
	late, now := wanted(0, 1, presence.Lunch), wanted(1, 2, presence.DND)
	s.ends(s.publish(late), wire.RefusedLink)
	if o := s.ends(s.publish(now), wire.Applied); o.Person != person(1) {
		t.Errorf("told of %v", o.Person)
	}
	later := wanted(0, 1, presence.Away)
	s.ends(s.publish(later), wire.RefusedLink)
	s.shows(0, presence.DND)
	if got := s.phones.written(extension(0)); !slices.Equal(got, []presence.Status{presence.DND}) {
		t.Errorf("written %v, want what the new person has and nothing else", got)
	}
}
