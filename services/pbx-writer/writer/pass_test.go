package writer

import (
	"context"
	"slices"
	"testing"
	"time"

	"offhook.dev/libs/core/fault"
	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/core/presence"
	"offhook.dev/libs/wire"
)

// The reading that finds out that the phone system forgot something asks for a pass
// and still has the line when the pass comes by: passing over it then would leave the
// line wrong for a minute.
func TestAPassDoesNotOverlookALineThatIsBeingRead(t *testing.T) {
	id := lineOf(extension(0))
	l := &line{id: id}
	s := &system{lines: map[identity.Line]*line{id: l}}
	l.mu.Lock()
	defer l.mu.Unlock()
	if !s.worthALook(wire.Want{Line: id, Status: presence.DND}) {
		t.Error("overlooked")
	}
}

// A listing is asked for, a person chooses, the extension is read alone, and then the
// listing arrives: it shows what was before the choice.
func TestAReadingOlderThanTheNewestSaysNothing(t *testing.T) {
	asked := time.Now()
	l := &line{id: lineOf(extension(0)), status: presence.Lunch, origin: presence.Person, began: asked.Add(time.Millisecond)}
	s := &system{}
	if used, err := s.see(t.Context(), l, presence.DND, asked, 0); used || err != nil || l.status != presence.Lunch {
		t.Errorf("used %v, %v: it shows %s", used, err, l.status)
	}
}

// A pass carries out a want and the phone system asks for two seconds, as in
// TestAWantThatIsOvertakenWhileThePhoneSystemIsBusyIsNotWritten.
func TestAWantOfThePassThatIsOvertakenIsNotWritten(t *testing.T) {
	s := newStage(t, 1)
	s.run("a")
	seen := s.tells(0, presence.Available, presence.Person)
	old, next := s.wanted(0, presence.Away), s.wanted(0, presence.DND)
	old.DecidedOn, next.DecidedOn = seen.Observation, seen.Observation
	old.LinkRevision, next.LinkRevision = 2, 2
	s.ends(s.publish(old), wire.RefusedLink) // until the writer knows of the link, which is a reason for a pass
	s.phones.stand(onWrites(func(func() error) error {
		s.phones.stand(nil)
		s.publish(next)
		s.delivered("pbx-writer-hq-status", next)
		return fault.After(fault.Throttled, "test", 2*time.Second, nil)
	}))
	s.link(0, 0, 2)
	s.ends(next, wire.Applied)
	if all := s.outcomes(old.Line); !slices.ContainsFunc(all, func(o wire.Outcome) bool { return o.Revision == old.Revision && o.Result == wire.Stale }) {
		t.Errorf("outcomes %+v", all)
	}
	if got := s.phones.written(extension(0)); !slices.Equal(got, []presence.Status{presence.DND}) {
		t.Errorf("written %v, want the newest alone", got)
	}
}

// While the phone system is away, a want that would let a phone ring is left to the pass
// that its return causes. By then the phone shows what is wanted, and the want has its
// outcome nevertheless.
func TestAWantThatIsLeftToAPassAndShowsByThenHasAnOutcome(t *testing.T) {
	s := newStage(t, 1)
	s.run("a")
	seen := s.tells(0, presence.Available, presence.Person)
	s.phones.stand(func(context.Context, string, identity.Extension, func() error) error {
		return fault.New(fault.Unavailable, "test", nil)
	})
	var want wire.Want
	s.eventually(func() string { // until it is known to be away, wants end by what was read last
		want = s.wanted(0, presence.Available)
		want.DecidedOn = seen.Observation
		s.publish(want)
		s.delivered("pbx-writer-hq-status", want)
		s.settled()
		if slices.ContainsFunc(s.outcomes(want.Line), func(o wire.Outcome) bool { return o.Revision == want.Revision }) {
			return "no want was left to a pass"
		}
		return ""
	})
	s.phones.stand(nil)
	s.ends(want, wire.Already)
}
