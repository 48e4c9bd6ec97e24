package virtual

import (
	"math/rand/v2"
	"testing"
	"time"

	"offhook.dev/libs/bus"
	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/core/presence"
	"offhook.dev/libs/graph"
	setting "offhook.dev/libs/options"
	"offhook.dev/libs/store"
	"offhook.dev/libs/topology"
	"offhook.dev/libs/wire"
)

// turn is the begin or the end of a meeting, or the decision that followed.
type turn struct {
	at   time.Time
	says presence.Status
}

// Thirty-two people have three meetings each, of which many begin and end at the same
// time; their Teams says nothing, so that the calendar decides. What is wanted changes
// less than a second after each begin and end, never before, and at no other time: for
// one tenant as it is, for the others, as by default, after the damping of an end. No
// minute pass makes up for a timer here.
func TestWhatIsWantedChangesWithinASecondOfEachEdgeOfAMeeting(t *testing.T) {
	const meetings = 3
	o := options{seed: randomSeed(t), people: 32, events: 1, still: true, pass: 24 * time.Hour, sweep: time.Minute,
		shows: func(int) string { return "Offline/Offline" }}
	o.meetings = func(i int, began time.Time) (all []graph.CalendarEntry) {
		dice, at := rand.New(rand.NewPCG(o.seed, uint64(i))), began
		for range meetings {
			from := at.Add(time.Duration(1+dice.IntN(6)) * 20 * time.Second)
			at = from.Add(time.Duration(1+dice.IntN(12)) * 20 * time.Second)
			all = append(all, graph.CalendarEntry{Start: from, End: at, ShowAs: "busy"})
		}
		return all
	}
	bubble(t, o, func(w *world) {
		t := w.t
		undamped := tenants[0].id
		bucket, err := store.Open(t.Context(), w.bus.JetStream(), topology.Options)
		must(t, err)
		record := setting.Record{Damping: new(setting.Duration)}
		_, err = bucket.Put(t.Context(), setting.Key{Layer: setting.Tenant, Tenant: undamped}.String(), record.Encode())
		must(t, err)
		time.Sleep(time.Until(w.began.Add(meetings * 6 * time.Minute)))
		decided := w.turns()
		turned, slowest := 0, time.Duration(0)
		for i, p := range w.people {
			if p.mode() == presence.PBXToTeams {
				continue
			}
			var due []turn
			damping := presence.DefaultOptions().Damping
			if p.who.Tenant == undamped {
				damping = 0
			}
			for _, m := range o.meetings(i, w.began) {
				due = append(due, turn{m.Start, presence.DND}, turn{m.End.Add(damping), presence.Available})
			}
			got := decided[p.who]
			if len(got) != len(due) {
				t.Errorf("%s (%s): decided %v, due is %v", p.who.User, p.mode(), got, due)
				continue
			}
			for n, d := range due {
				late := got[n].at.Sub(d.at)
				if got[n].says != d.says || late < 0 || late >= time.Second {
					t.Errorf("%s (%s): wants %s %v after it was to be %s", p.who.User, p.mode(), got[n].says, late, d.says)
				}
				turned, slowest = turned+1, max(slowest, late)
			}
		}
		t.Logf("%d people: %d edges of meetings, the want changed after %v at most", len(w.people), turned, slowest)
		if turned == 0 {
			t.Error("nobody had a meeting")
		}
	})
}

// turns are the decisions, since people began to live, by which everybody's first line
// shows something else: when each became a want, and of what.
func (w *world) turns() map[identity.Person][]turn {
	w.t.Helper()
	turns, shows := map[identity.Person][]turn{}, map[identity.Person]presence.Status{}
	must(w.t, w.bus.History(w.t.Context(), topology.Decisions, "decision.>", func(m bus.Message) error {
		d, err := wire.DecodeDecision(m.Data)
		if err != nil || len(d.Wants) == 0 {
			return err
		}
		if next := d.Wants[0].Status; next != shows[d.Person] {
			if shows[d.Person] = next; d.At.After(w.began) {
				turns[d.Person] = append(turns[d.Person], turn{d.At, next})
			}
		}
		return nil
	}))
	return turns
}
