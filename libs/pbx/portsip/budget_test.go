package portsip

import (
	"context"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"offhook.dev/libs/core/fault"
	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/core/presence"
	"offhook.dev/libs/pbx"
	"offhook.dev/libs/pbx/portsipsim"
)

// Whatever is asked, and by however many, a minute has no more requests than are ours, and
// somebody whose status is to change does not wait behind a listing.
func TestAMinuteHasNoMoreRequestsThanAreOurs(t *testing.T) {
	for _, perSecond := range []float64{1, 50, PerSecond} {
		synctest.Test(t, func(t *testing.T) {
			b := newBudget(perSecond)
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			var listed atomic.Int64
			for range 2 * askers { // a listing and a watch
				go func() {
					for b.giveWay(ctx, "listing") == nil && b.take(ctx, "listing") == nil {
						listed.Add(1)
					}
				}()
			}
			wrote, longest := 0, time.Duration(0)
			for began := time.Now(); b.take(ctx, "write") == nil; began = time.Now() {
				longest, wrote = max(longest, time.Since(began)), wrote+1
			}
			cancel()
			synctest.Wait()
			if all, ours := listed.Load()+int64(wrote), perSecond*60; float64(all) > ours+max(1, perSecond/10) || float64(all) < ours*0.9 {
				t.Errorf("%g a second: %d requests in a minute", perSecond, all)
			}
			if few := (1 - patientShare) * perSecond * 60 * 0.9; float64(wrote) < few {
				t.Errorf("%g a second: %d writes in a minute beside listings, fewer than %g", perSecond, wrote, few)
			}
			if most := time.Duration(2 * askers / perSecond * float64(time.Second)); longest > most {
				t.Errorf("%g a second: a write waited for %v", perSecond, longest)
			}
		})
	}
}

func TestWhoCannotWaitForItsTurnIsThrottled(t *testing.T) {
	b := newBudget(1)
	if err := b.take(t.Context(), "test"); err != nil {
		t.Fatal(err)
	}
	soon, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if err := b.take(soon, "test"); fault.KindOf(err) != fault.Throttled {
		t.Errorf("got %v", err)
	}
	cancel()
	if err := b.take(soon, "test"); fault.KindOf(err) != fault.Cancelled {
		t.Errorf("who has left: %v", err)
	}
}

// Where the phone system is far away, one at a time would take too long, and all at once is
// too much.
func TestUsersAreAskedSomeAtATime(t *testing.T) {
	sim := start(t, portsipsim.Config{Extensions: 3 * helping})
	d := open(t, configFor(sim))
	sim.Inject(portsipsim.Fault{Kind: portsipsim.Hang, After: 1}) // the list
	before := sim.Stats().Requests
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	listed := make(chan error)
	go func() {
		listed <- d.Statuses(ctx, func(identity.Extension, presence.Status) error { return nil })
	}()
	eventually(t, "so many are asked", func() bool { return sim.Stats().Requests >= before+1+askers })
	cancel()
	if err := <-listed; fault.KindOf(err) != fault.Cancelled {
		t.Errorf("got %v", err)
	}
	if n := sim.Stats().Requests - before - 1; n != askers {
		t.Errorf("%d were asked at a time", n)
	}
}

// A watch is live, and calls are told, before each of many users was asked. They are in the end.
func TestAWatchIsLiveBeforeEachUserWasAsked(t *testing.T) {
	const many = 8 * helping
	sim := start(t, portsipsim.Config{Extensions: many})
	config := quickly(sim, ByPresence)
	config.Reading, config.Beat = time.Millisecond, 2*time.Millisecond
	d := open(t, config)
	w := newWatched()
	ctx, cancel := context.WithCancel(t.Context())
	asked := 0 // with the first Synced
	go func() {
		w.ended <- d.Watch(ctx, func(e pbx.WatchEvent) {
			if _, ok := e.(pbx.Synced); ok && asked == 0 {
				asked = len(w.told().statuses)
			}
			w.hear(e)
		})
	}()
	w.until(t, "of everybody", func(is tale) bool { return len(is.statuses) == many })
	sim.Switch("200", true) // who was asked first is asked again
	w.until(t, "of the first one", func(is tale) bool { return is.statuses["200"] == presence.DND })
	cancel()
	w.ends(t, fault.Cancelled)
	if asked != helping {
		t.Errorf("%d were asked before the watch was live, and %d are asked at a time", asked, helping)
	}
}

// However long asking each user takes, a call is told meanwhile.
func TestACallIsToldWhileEachUserIsAsked(t *testing.T) {
	sim := start(t, portsipsim.Config{Extensions: 8 * helping})
	d := open(t, quickly(sim, ByPresence))
	sim.Inject(portsipsim.Fault{Kind: portsipsim.Slow, Only: "read", Delay: 5 * time.Millisecond})
	asking, told, before := false, 0, false
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	err := d.Watch(ctx, func(e pbx.WatchEvent) {
		switch e := e.(type) {
		case pbx.StatusEvent:
			if !asking {
				asking = true
				sim.StartCall("200")
			}
		case pbx.CallEvent:
			told = e.Calls
		case pbx.Synced:
			before = told == 1
			cancel()
		}
	})
	if fault.KindOf(err) != fault.Cancelled || !before {
		t.Errorf("it was told late, or not: %v", err)
	}
}
