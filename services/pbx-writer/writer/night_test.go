package writer

import (
	"testing"
	"time"

	"offhook.dev/libs/core/presence"
	"offhook.dev/libs/wire"
)

// A writer that was stopped for a night had left a phone available, and finds away on it:
// somebody's choice. It stays whatever is wanted by a decision that did not know of it,
// whether that was made before the writer started, because Teams was read first, or after
// it had read the phone; and although what was wanted last is still in the stream.
func TestWhatIsChosenWhileOffhookIsStoppedStays(t *testing.T) {
	for _, c := range []struct {
		name   string
		before presence.Status // wanted while the writer is stopped
		after  presence.Status // wanted when it has read the phone
	}{
		{name: "Teams is read first and shows available", before: presence.Available},
		{name: "Teams is read first and shows busy", before: presence.DND},
		{name: "the phone is read first, Teams shows available", after: presence.Available},
		{name: "the phone is read first, Teams shows busy", after: presence.DND},
		{name: "Teams shows what it showed"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s, stop := started(t)
			s.opts.MinutePass = 20 * time.Millisecond // of the next run
			last := s.covering(0, presence.Available)
			s.ends(last, wire.Applied)
			s.tells(0, presence.Available, presence.Ours)
			stop()
			s.phones.Choose(extension(0), presence.Away)
			writes := len(s.phones.written(extension(0)))

			unaware := func(status presence.Status) (w wire.Want) {
				w = s.wanted(0, status)
				w.DecidedOn = last.DecidedOn
				return s.publish(w)
			}
			var w wire.Want
			if c.before != presence.Unset {
				w = unaware(c.before)
			}
			s.run("a")
			fact := s.tells(0, presence.Away, presence.Person)
			if fact.LastPerson == nil || fact.LastPerson.Status != presence.Away {
				t.Errorf("the fact tells of the choice %+v", fact.LastPerson)
			}
			if c.after != presence.Unset {
				w = unaware(c.after)
			}
			if w.Status != presence.Unset {
				s.ends(w, wire.RefusedPerson)
			}
			s.settled()
			s.shows(0, presence.Away)
			if got := s.phones.written(extension(0)); len(got) != writes {
				t.Errorf("written %v", got[writes:])
			}
			// The decision that does know of it may end it.
			s.ends(s.covering(0, presence.DND), wire.Applied)
		})
	}
}

// The control of the test above: where nobody chose anything, such a want is carried out.
func TestWhatIsWantedWhileOffhookIsStoppedIsShownAtItsStart(t *testing.T) {
	s, stop := started(t)
	last := s.covering(0, presence.Available)
	s.ends(last, wire.Applied)
	stop()
	w := s.wanted(0, presence.DND)
	w.DecidedOn = last.DecidedOn
	s.publish(w)
	s.run("a")
	s.ends(w, wire.Applied)
	s.tells(0, presence.DND, presence.Ours)
}
