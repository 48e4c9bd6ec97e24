package writer

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"offhook.dev/libs/core/presence"
	"offhook.dev/libs/wire"
)

// at is a moment of the tests, in seconds.
func at(s int) time.Time { return time.Unix(1_800_000_000, 0).Add(time.Duration(s) * time.Second) }

func effectOf(s presence.Status, began, ended int) *effect {
	return &effect{Status: s, Over: presence.Available, Revision: wire.Revision{Epoch: 1, Sequence: 1}, Began: at(began), Ended: at(ended)}
}

func intentOf(s, over presence.Status, began int) *effect {
	return &effect{Status: s, Over: over, Revision: wire.Revision{Epoch: 1, Sequence: 2}, Began: at(began)}
}

func chosen(s presence.Status, when int) *presence.Choice {
	return &presence.Choice{Status: s, Observation: at(when).UnixMicro(), At: at(when)}
}

func TestWhoseStatusAReadingShows(t *testing.T) {
	const (
		available = presence.Available
		away      = presence.Away
		dnd       = presence.DND
		lunch     = presence.Lunch
	)
	wrote := entry{Effect: effectOf(dnd, 10, 12), Observation: at(12).UnixMicro()}
	over := entry{Effect: effectOf(dnd, 10, 12), Person: chosen(lunch, 20), Observation: at(20).UnixMicro()}
	asking := wrote
	asking.Intent = intentOf(away, dnd, 30)
	asked := over
	asked.Intent = intentOf(away, lunch, 30)
	first := entry{Intent: intentOf(dnd, available, 30)}
	for _, c := range []struct {
		name      string
		ledger    entry
		status    presence.Status
		began     int
		restarted bool

		unused bool
		origin presence.Origin
		then   presence.Status // that the ledger explains afterwards
		whose  presence.Origin
		over   presence.Status
		unsure bool // whether all of what we wrote has happened
	}{
		{name: "the first reading of a line nobody wrote to is a person's", status: available, began: 1, origin: presence.Person, then: available, whose: presence.Person},
		{name: "a reading that began before our write ended says nothing", ledger: wrote, status: available, began: 11, unused: true, then: dnd, whose: presence.Ours},
		{name: "a reading that began as our write ended says nothing", ledger: wrote, status: available, began: 12, unused: true, then: dnd, whose: presence.Ours},
		{name: "what we wrote is ours", ledger: wrote, status: dnd, began: 13, origin: presence.Ours, then: dnd, whose: presence.Ours},
		{name: "anything else is a person's", ledger: wrote, status: lunch, began: 13, origin: presence.Person, then: lunch, whose: presence.Person},
		{name: "what we had replaced is a person's without a restart", ledger: wrote, status: available, began: 13, origin: presence.Person, then: available, whose: presence.Person},
		{name: "what we had replaced is a revert after a restart", ledger: wrote, status: available, began: 13, restarted: true, origin: presence.Revert, then: dnd, whose: presence.Ours},
		{name: "anything else is a person's after a restart too", ledger: wrote, status: lunch, began: 13, restarted: true, origin: presence.Person, then: lunch, whose: presence.Person},
		{name: "our write is ours after a restart, perhaps not all of it", ledger: wrote, status: dnd, began: 13, restarted: true, origin: presence.Ours, then: dnd, whose: presence.Ours, unsure: true},
		{name: "our write of a minute ago is ours after a restart, all of it", ledger: wrote, status: dnd, began: 72, restarted: true, origin: presence.Ours, then: dnd, whose: presence.Ours},
		{name: "a person's choice stays a person's", ledger: over, status: lunch, began: 40, origin: presence.Person, then: lunch, whose: presence.Person},
		{name: "a restart reverts nothing under a person's choice", ledger: over, status: available, began: 40, restarted: true, origin: presence.Person, then: available, whose: presence.Person},
		{name: "a person who chooses what we once wrote is a person", ledger: over, status: dnd, began: 40, origin: presence.Person, then: dnd, whose: presence.Person},
		{name: "a reading before the intent says nothing", ledger: asking, status: away, began: 29, unused: true, then: dnd, whose: presence.Ours},
		{name: "the intent shown is ours: it happened", ledger: asking, status: away, began: 31, origin: presence.Ours, then: away, whose: presence.Ours, over: dnd, unsure: true},
		{name: "the effect before it shown: the intent did not happen", ledger: asking, status: dnd, began: 31, origin: presence.Ours, then: dnd, whose: presence.Ours},
		{name: "neither shown is a person's", ledger: asking, status: lunch, began: 31, origin: presence.Person, then: lunch, whose: presence.Person},
		{name: "the intent over a person's choice happened", ledger: asked, status: away, began: 31, origin: presence.Ours, then: away, whose: presence.Ours, over: lunch, unsure: true},
		{name: "the intent over a person's choice did not happen", ledger: asked, status: lunch, began: 31, origin: presence.Person, then: lunch, whose: presence.Person},
		{name: "the very first intent happened", ledger: first, status: dnd, began: 31, origin: presence.Ours, then: dnd, whose: presence.Ours, unsure: true},
		{name: "the very first intent did not happen", ledger: first, status: available, began: 31, origin: presence.Person, then: available, whose: presence.Person},
	} {
		t.Run(c.name, func(t *testing.T) {
			next, origin, used := c.ledger.observe(reading{status: c.status, began: at(c.began), restarted: c.restarted})
			if used == c.unused || origin != c.origin {
				t.Fatalf("used %v, origin %q, want %v and %q", used, origin, !c.unused, c.origin)
			}
			if status, whose := next.explained(); status != c.then || whose != c.whose {
				t.Errorf("then it explains %s/%s, want %s/%s", status, whose, c.then, c.whose)
			}
			if used && next.Intent != nil {
				t.Error("the intent is still open after a reading")
			}
			if next.Observation < c.ledger.Observation || origin == presence.Person && next.Person.Observation > next.Observation {
				t.Errorf("observation %d after %d", next.Observation, c.ledger.Observation)
			}
			if next.Effect != nil && next.Effect.Unsure != c.unsure {
				t.Errorf("unsure is %v, want %v", next.Effect.Unsure, c.unsure)
			}
			if c.over != presence.Unset && next.Effect.Over != c.over {
				t.Errorf("before our last write it showed %q, want %q", next.Effect.Over, c.over)
			}
		})
	}
}

func TestAWantIsWrittenAgainThatMayHaveBeenCarriedOutByHalf(t *testing.T) {
	wrote := entry{Effect: effectOf(presence.DND, 10, 12)}
	unsure := entry{Effect: wrote.Effect.doubted()}
	over := entry{Effect: unsure.Effect, Person: chosen(presence.DND, 20)}
	for _, c := range []struct {
		name   string
		ledger entry
		wants  presence.Status
		want   bool
	}{
		{"nothing was written", entry{}, presence.DND, false},
		{"the write was answered", wrote, presence.DND, false},
		{"the write was seen only", unsure, presence.DND, true},
		{"something else is wanted", unsure, presence.Available, false},
		{"a person has chosen the same since", over, presence.DND, false},
	} {
		if got := c.ledger.half(wire.Want{Status: c.wants}); got != c.want {
			t.Errorf("%s: half %v, want %v", c.name, got, c.want)
		}
	}
	again := unsure.intend(wire.Want{Status: presence.DND}, presence.DND, at(30)).happened(at(31))
	if again.Effect.Over != presence.Available || again.Effect.Unsure {
		t.Errorf("written again: %+v, which replaced available", again.Effect)
	}
}

func TestAWantCoversAPersonOnlyIfItWasDecidedOnThatChoice(t *testing.T) {
	e := entry{Effect: effectOf(presence.DND, 10, 12), Person: chosen(presence.Lunch, 20)}
	for _, c := range []struct {
		name   string
		ledger entry
		on     int64
		want   bool
	}{
		{"decided before the choice", e, at(19).UnixMicro(), false},
		{"decided on the choice", e, at(20).UnixMicro(), true},
		{"decided on nothing", e, 0, false},
		{"what shows is ours", entry{Effect: effectOf(presence.DND, 30, 32), Person: chosen(presence.Lunch, 20)}, 0, true},
		{"nothing is known", entry{}, 0, true},
	} {
		if got := c.ledger.covers(wire.Want{DecidedOn: c.on}); got != c.want {
			t.Errorf("%s: covers %v, want %v", c.name, got, c.want)
		}
	}
}

// truth is who really set what a line shows, by rules of its own: the ledger is
// never told of it.
type truth struct {
	status presence.Status
	person bool
}

// TestNobodyIsTakenForSomebodyElse plays random histories of writes (answered, lost,
// refused), persons, readings and restarts of either side against what truly happened.
func TestNobodyIsTakenForSomebodyElse(t *testing.T) {
	for seed := range uint64(3000) {
		if err := playLedger(rand.New(rand.NewPCG(seed, 1)), true); err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
	}
}

// The control: without the intent, a write whose answer was lost is a person's.
func TestWithoutTheIntentTheHistoriesFail(t *testing.T) {
	for seed := range uint64(3000) {
		if playLedger(rand.New(rand.NewPCG(seed, 1)), false) != nil {
			return
		}
	}
	t.Fatal("no history tells a ledger with intents from one without")
}

func playLedger(r *rand.Rand, intents bool) error {
	any := func() presence.Status { return presence.Statuses()[r.IntN(5)] }
	shown := truth{presence.Available, true}
	var e entry
	saved, restarted, now := shown, false, 0 // saved: what the phone system shows after a restart
	for range 30 {
		now += 2
		switch r.IntN(5) {
		case 0:
			if s := any(); s != shown.status {
				shown, saved = truth{s, true}, truth{s, true}
			}
		case 1: // a write: read first, as the writer does
			if next, origin, used := e.observe(reading{shown.status, at(now), restarted}); used {
				e, restarted = next, origin == presence.Revert
			}
			want, before := wire.Want{Status: any()}, shown
			if want.Status == shown.status {
				continue
			}
			now += 2
			if intents {
				e = e.intend(want, before.status, at(now))
			}
			now++
			switch happened, answered := r.IntN(2) == 0, r.IntN(2) == 0; {
			case happened && answered:
				shown, saved = truth{want.Status, false}, before
				e = e.intend(want, before.status, at(now-1)).happened(at(now))
			case happened:
				shown, saved = truth{want.Status, false}, before
			case answered: // it said no
				e.Intent = nil
			}
		case 2: // the phone system restarts and may have forgotten its last change
			if restarted = true; r.IntN(2) == 0 && e.Intent == nil {
				shown = saved
			}
		default:
			next, origin, used := e.observe(reading{shown.status, at(now), restarted})
			if !used {
				continue
			}
			known, whose := e.explained()
			equal := known == shown.status || e.Intent != nil && e.Intent.Status == shown.status
			switch {
			case shown.person && origin == presence.Ours && !equal:
				return fmt.Errorf("a person's %s was taken for ours by %+v", shown.status, e)
			case !shown.person && origin == presence.Person && whose == presence.Ours:
				return fmt.Errorf("our %s was taken for a person's by %+v", shown.status, e)
			case origin == presence.Revert && !restarted:
				return fmt.Errorf("a revert without a restart in %+v", e)
			case next.Observation < e.Observation:
				return fmt.Errorf("observations went back from %d to %d", e.Observation, next.Observation)
			}
			again, second, _ := next.observe(reading{shown.status, at(now + 1), origin == presence.Revert})
			if second != origin || again.Observation != next.Observation {
				return fmt.Errorf("read twice: %s then %s", origin, second)
			}
			e, restarted = next, origin == presence.Revert
		}
	}
	return nil
}
