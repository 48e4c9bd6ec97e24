package virtual

import (
	"testing"
	"time"

	"offhook.dev/libs/core/presence"
)

// People talk on the phone for half an hour, and Graph lets their sessions fade after 100
// seconds, although they are granted ten minutes. Teams shows the call again within a
// minute pass each time, and no longer than that after the call.
func TestACallIsShownAlthoughItsSessionFades(t *testing.T) {
	const (
		lasts = 30 * time.Minute
		step  = 5 * time.Second
	)
	o := options{seed: randomSeed(t), people: 24, events: 1, still: true, fades: 100 * time.Second}
	bubble(t, o, func(w *world) {
		t := w.t
		time.Sleep(time.Until(w.began))
		talks := func(p *inhabitant) bool { return p.mode() == presence.Both || p.mode() == presence.PBXToTeams }
		for _, p := range w.people {
			p.lines[0].at.system.StartCall(p.lines[0].ext)
		}
		time.Sleep(10 * time.Second)
		gone := map[*inhabitant]time.Duration{} // since when somebody's call does not show
		var longest, shown, all time.Duration
		for range lasts / step {
			for _, p := range w.people {
				if !talks(p) {
					continue
				}
				if all += step; w.teams.at(p.who.User, func(*seat) {}) == "Busy/InACall" {
					gone[p], shown = 0, shown+step
					continue
				}
				gone[p] += step
				longest = max(longest, gone[p])
			}
			time.Sleep(step)
		}
		for _, p := range w.people {
			p.lines[0].at.system.EndCall(p.lines[0].ext)
		}
		time.Sleep(10 * time.Second)
		for _, p := range w.people {
			if shows := w.teams.at(p.who.User, func(*seat) {}); shows != free {
				t.Errorf("after the call Teams shows %s for %s", shows, p.who.User)
			}
		}
		t.Logf("calls of %v whose sessions fade after %v: shown %.0f %% of the time, gone for at most %v", lasts, o.fades, 100*float64(shown)/float64(all), longest)
		if all == 0 || shown == all {
			t.Error("no session faded")
		}
		if longest > time.Minute+step {
			t.Errorf("a call was not shown for %v", longest)
		}
	})
}
