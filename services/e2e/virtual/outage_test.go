package virtual

import (
	"math/rand/v2"
	"testing"
	"time"
)

// One of two phone systems is away for an hour in which everybody's Teams changes twenty
// times. The other one is right all the time; when the first is back each of its phones is
// written to once at most, and where it shows what it should already, not at all.
func TestAPhoneSystemIsAwayForAnHourInWhichEverybodyChangesTwentyTimes(t *testing.T) {
	const changes, every = 20, 3 * time.Minute
	teams := []struct{ shows, phone, dndOnly string }{
		{free, "available", "available"}, {inMeeting, "dnd", "dnd"}, {"Away/Away", "away", "available"},
	}
	o := options{seed: randomSeed(t), people: 100, events: 1, still: true, pass: 5 * time.Minute, sweep: time.Minute} // the hour is long
	bubble(t, o, func(w *world) {
		t, dice := w.t, rand.New(rand.NewPCG(o.seed, 3))
		hq, branch := w.exchanges[0], w.exchanges[1]
		shown := map[*inhabitant]int{}
		want := func(of *exchange) func(*inhabitant, phone) string {
			return func(p *inhabitant, l phone) string {
				switch now := teams[shown[p]]; {
				case l.at != of:
					return ""
				case !p.readsTeams():
					return "available"
				case of == branch:
					return now.dndOnly
				default:
					return now.phone
				}
			}
		}
		time.Sleep(time.Until(w.began))
		w.settles(0, want(hq))
		hq.away.Store(true)
		for range changes {
			for _, p := range w.people {
				shown[p] = dice.IntN(len(teams))
				w.teams.at(p.who.User, func(s *seat) { s.Client = teams[shown[p]].shows })
			}
			time.Sleep(every)
			w.settles(0, want(branch))
		}
		written := hq.writes()
		owed := len(w.wrongPhones(want(hq)))
		hq.away.Store(false)
		took := w.settles(10*time.Second, want(hq))
		time.Sleep(2 * time.Minute)
		w.settles(0, want(hq))
		t.Logf("%d people: %d phones to be written when it was back after %v, with %d writes; right after %v", len(w.people), owed, changes*every, hq.writes()-written, took)
		if once := hq.writes() - written; once != owed || owed == 0 {
			t.Errorf("%d writes for %d phones", once, owed)
		}
	})
}
