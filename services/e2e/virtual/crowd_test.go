package virtual

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"offhook.dev/libs/bus"
	"offhook.dev/libs/core/presence"
	"offhook.dev/libs/core/presencetest"
	"offhook.dev/libs/graph"
	setting "offhook.dev/libs/options"
	"offhook.dev/libs/store"
	"offhook.dev/libs/topology"
	"offhook.dev/libs/wire"
)

const (
	free      = "Available/Available"
	inMeeting = "Busy/InAMeeting"
)

// mode is somebody's, as the configuration has it.
func (p *inhabitant) mode() presence.Mode { return presence.Mode(p.life.Rules.Mode) }

// readsTeams says whether Teams decides about somebody's phones.
func (p *inhabitant) readsTeams() bool {
	return p.mode() == presence.Both || p.mode() == presence.TeamsToPBX
}

// wrong lists phones that do not show what they should. "" is no matter.
func (w *world) wrongPhones(want func(*inhabitant, phone) string) (wrong []string) {
	for _, p := range w.people {
		for _, l := range p.lines {
			if shows, want := l.at.system.Shown(l.ext).String(), want(p, l); want != "" && shows != want {
				wrong = append(wrong, fmt.Sprintf("%s of %s (%s) shows %s, want %s", l.ext, p.who.User, p.mode(), shows, want))
			}
		}
	}
	return wrong
}

// settles waits for at most some virtual time until all phones show what they should, and
// returns how long that took.
func (w *world) settles(within time.Duration, want func(*inhabitant, phone) string) time.Duration {
	w.t.Helper()
	for began := time.Now(); ; time.Sleep(10 * time.Millisecond) {
		wrong := w.wrongPhones(want)
		if took := time.Since(began); len(wrong) == 0 {
			return took
		} else if took >= within {
			w.t.Errorf("after %v %d phones are wrong, the first: %s", took, len(wrong), wrong[0])
			return took
		}
	}
}

// decisions calls do with the newest decision about everybody.
func (w *world) decisions(do func(wire.Decision)) {
	w.t.Helper()
	must(w.t, w.bus.Each(w.t.Context(), topology.Decisions, "decision.>", func(m bus.Message) error {
		d, err := wire.DecodeDecision(m.Data)
		if err == nil {
			do(d)
		}
		return err
	}))
}

// Five hundred people are linked at once whose phones all show available, half of them in
// the middle of a meeting, by Teams or by their calendar. What their phones show is nobody's
// choice: those in meetings are silenced, and nothing else is written.
func TestFiveHundredLinkedForTheFirstTimeAreNobodysChoice(t *testing.T) {
	const people = 500
	busy := func(i int) bool { return i%2 == 0 || i%3 == 0 }
	o := options{seed: randomSeed(t), people: people, events: 1, still: true,
		shows: func(i int) string {
			if busy(i) {
				return inMeeting
			}
			return free
		},
		meetings: func(i int, began time.Time) []graph.CalendarEntry {
			if !busy(i) {
				return nil
			}
			return []graph.CalendarEntry{{Start: began.Add(-time.Hour), End: began.Add(time.Hour), ShowAs: "busy"}}
		}}
	bubble(t, o, func(w *world) {
		t := w.t
		time.Sleep(time.Until(w.began))
		silenced := 0
		w.settles(0, func(p *inhabitant, l phone) string {
			if busy(slices.Index(w.people, p)) && p.mode() != presence.PBXToTeams {
				silenced++
				return "dnd"
			}
			return "available"
		})
		writes := 0
		for _, e := range w.exchanges {
			writes += e.writes()
		}
		decided, manual := 0, 0
		w.decisions(func(d wire.Decision) {
			decided++
			if slices.ContainsFunc(d.Claims, func(c wire.Claim) bool { return c.Source == "manual" }) {
				manual++
			}
		})
		t.Logf("%d people linked: %d phones silenced with %d writes; of %d decisions %d have a manual claim", people, silenced, writes, decided, manual)
		if writes != silenced || decided != people || manual > 0 || silenced == 0 {
			t.Errorf("%d writes for %d phones to be silenced; %d decided of %d; %d manual claims", writes, silenced, decided, people, manual)
		}
	})
}

// A tenant's option changes while everybody is at rest: everybody is decided again, and
// what happens from then on is decided under it. In virtual time only what waits takes
// time, so this is what Offhook waits for, whatever the machine.
func TestAChangedOptionIsInForceWithinASecond(t *testing.T) {
	o := options{seed: randomSeed(t), people: 64, events: 1, still: true}
	bubble(t, o, func(w *world) {
		t := w.t
		time.Sleep(time.Until(w.began))
		bucket, err := store.Open(t.Context(), w.bus.JetStream(), topology.Options)
		must(t, err)
		change := func(teams map[string]string) {
			for _, tenant := range tenants {
				record := setting.Record{Teams: teams}
				_, err := bucket.Put(t.Context(), setting.Key{Layer: setting.Tenant, Tenant: tenant.id}.String(), record.Encode())
				must(t, err)
			}
		}
		ofTeams := func(status string) func(*inhabitant, phone) string {
			return func(p *inhabitant, _ phone) string {
				if p.readsTeams() {
					return status
				}
				return "available"
			}
		}
		w.settles(0, ofTeams("available"))
		change(map[string]string{"Available": "dnd"})
		again := w.settles(time.Second, ofTeams("dnd"))
		changed := w.bus.Now()
		change(map[string]string{"Available": "dnd", "Busy": "away"})
		time.Sleep(time.Second)
		for _, p := range w.people {
			w.teams.at(p.who.User, func(s *seat) { s.Client = "Busy/InACall" })
		}
		time.Sleep(30 * time.Second)
		fresh := 0
		w.decisions(func(d wire.Decision) {
			for _, c := range d.Claims {
				if c.Source != "teams" || d.At.Before(changed.Add(time.Second)) {
					continue
				}
				if fresh++; c.Status != presence.Away {
					t.Errorf("decided about %s %v after the change: Teams claims %s, not away", d.Person.User, d.At.Sub(changed), c.Status)
				}
			}
		})
		t.Logf("%d people: all phones written %v after the option; %d decisions from a second on, all under the new one", len(w.people), again, fresh)
		if fresh == 0 {
			t.Error("nothing was decided after the change")
		}
	})
}

// Three hundred people are Busy when Graph stops answering, for hours. What Teams had said
// ends for all of them after a quarter of an hour, and calendars, known for a day, decide;
// when Graph is back so is what Teams says. OFFHOOK_AWAY is for how many hours: eight in
// make soak.
func TestGraphIsAwayForHoursWhileThreeHundredAreBusy(t *testing.T) {
	const sweep = time.Minute // the hours are long
	away := time.Duration(number(t, "OFFHOOK_AWAY", 2)) * time.Hour
	meets := func(i int) bool { return i%2 == 0 }
	o := options{seed: randomSeed(t), people: 300, events: 1, still: true, pass: 5 * time.Minute, sweep: sweep,
		storm: &storm{0, int(away / presencetest.Tick)},
		shows: func(int) string { return inMeeting },
		meetings: func(i int, began time.Time) []graph.CalendarEntry {
			if !meets(i) {
				return nil
			}
			return []graph.CalendarEntry{{Start: began.Add(30 * time.Minute), End: began.Add(time.Hour), ShowAs: "busy"}}
		}}
	bubble(t, o, func(w *world) {
		t := w.t
		silent := func(when string, busy func(i int, p *inhabitant) bool) {
			t.Helper()
			if wrong := w.wrongPhones(func(p *inhabitant, _ phone) string {
				if busy(slices.Index(w.people, p), p) {
					return "dnd"
				}
				return "available"
			}); len(wrong) > 0 {
				t.Errorf("%s: %d phones are wrong, the first: %s", when, len(wrong), wrong[0])
			}
		}
		teams := func(_ int, p *inhabitant) bool { return p.readsTeams() }
		calendars := func(i int, p *inhabitant) bool { return meets(i) && p.mode() != presence.PBXToTeams }
		nobody := func(int, *inhabitant) bool { return false }
		for _, step := range []struct {
			at   time.Duration
			name string
			busy func(int, *inhabitant) bool
		}{
			{0, "when Graph goes away", teams},
			{14 * time.Minute, "after 14 minutes", teams},
			{16 * time.Minute, "after 16 minutes", nobody},
			{29 * time.Minute, "before the meetings", nobody},
			{31 * time.Minute, "in the meetings", calendars},
			{61 * time.Minute, "after the meetings", nobody},
			{away - time.Minute, "before Graph is back", nobody},
			{away + 2*sweep, "two sweeps after Graph is back", teams},
		} {
			time.Sleep(time.Until(w.began.Add(step.at)))
			silent(step.name, step.busy)
		}
		writes := 0
		for _, e := range w.exchanges {
			writes += e.writes()
		}
		t.Logf("%d people, %v without Graph: %d writes to phones in all", len(w.people), away, writes)
	})
}
