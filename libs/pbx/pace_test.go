package pbx_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"offhook.dev/libs/core/directory"
	"offhook.dev/libs/core/fault"
	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/core/presence"
	"offhook.dev/libs/pbx"
	"offhook.dev/libs/pbx/memory"
)

func TestNoMoreInFlightThanAllowed(t *testing.T) {
	for pace, want := range map[int]int{0: 2, 1: 1, 4: 4} {
		synctest.Test(t, func(t *testing.T) {
			b := newSetup(t, 50, pbx.Options{Pace: pbx.Pace{InFlight: pace}})
			b.answering(20*time.Millisecond, nil)
			var callers sync.WaitGroup
			for i := range 50 {
				callers.Go(func() {
					if err := b.SetStatus(t.Context(), identity.Extension(fmt.Sprint(200+i)), presence.DND); err != nil {
						t.Error(err)
					}
				})
			}
			callers.Wait()
			if b.most != want {
				t.Errorf("in flight %d: %d were", pace, b.most)
			}
		})
	}
}

func TestComplaintsNarrowTheLaneAndGoodAnswersWidenIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newSetup(t, 200, pbx.Options{Pace: pbx.Pace{InFlight: 8}})
		flood := func() int {
			b.most = 0
			var callers sync.WaitGroup
			for i := range 16 {
				callers.Go(func() { _, _ = b.Status(t.Context(), identity.Extension(fmt.Sprint(200+i))) })
			}
			callers.Wait()
			return b.most
		}
		b.answering(10*time.Millisecond, nil)
		if n := flood(); n != 8 {
			t.Errorf("at ease: %d in flight", n)
		}
		b.answering(10*time.Millisecond, always(memory.Refusal{Code: "busy"}))
		for range 3 {
			_, _ = b.Status(t.Context(), "200")
		}
		b.answering(10*time.Millisecond, nil)
		if n := flood(); n > 4 {
			t.Errorf("after complaints: %d in flight", n)
		}
		for range 10 {
			flood()
		}
		if n := flood(); n != 8 {
			t.Errorf("recovered: %d in flight", n)
		}
		b.answering(time.Second, nil)
		for range 3 {
			_, _ = b.Status(t.Context(), "200")
		}
		if n := flood(); n > 2 {
			t.Errorf("when answers became slow: %d in flight", n)
		}
	})
}

func TestAFixedRateIsKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newSetup(t, 1, pbx.Options{Pace: pbx.Pace{InFlight: 4, PerSecond: 10}})
		start := time.Now()
		for range 21 {
			if _, err := b.Status(t.Context(), "200"); err != nil {
				t.Fatal(err)
			}
		}
		if took := time.Since(start).Round(time.Millisecond); took != 2*time.Second {
			t.Errorf("21 requests took %v", took)
		}
	})
}

// A listing of statuses takes turns with writes, because it spares each of them a reading
// of its own; any other gives way.
func TestWritesGoAheadOfListingsButDoNotStarveThem(t *testing.T) {
	const pages, writes = 5, 10
	statuses := func(ctx context.Context, b *setup) error {
		return b.Statuses(ctx, func(identity.Extension, presence.Status) error { return nil })
	}
	extensions := func(ctx context.Context, b *setup) error {
		return b.Extensions(ctx, func(directory.Extension) error { return nil })
	}
	for _, c := range []struct {
		name   string
		list   func(context.Context, *setup) error
		before int // pages before the last write
	}{{"statuses", statuses, pages}, {"extensions", extensions, 1}} {
		synctest.Test(t, func(t *testing.T) {
			b := newSetup(t, pages*100-1, pbx.Options{Pace: pbx.Pace{InFlight: 1}})
			b.answering(100*time.Millisecond, nil)
			var done sync.WaitGroup
			start := time.Now()
			done.Go(func() {
				if err := c.list(t.Context(), b); err != nil {
					t.Error(c.name, err)
				}
			})
			synctest.Wait() // the listing has the only turn
			var last time.Duration
			for i := range writes {
				done.Go(func() {
					if err := b.SetStatus(t.Context(), identity.Extension(fmt.Sprint(200+i)), presence.DND); err != nil {
						t.Error(err)
					}
					b.mu.Lock()
					last = max(last, time.Since(start))
					b.mu.Unlock()
				})
			}
			done.Wait()
			if want := time.Duration(c.before+writes) * 100 * time.Millisecond; last != want {
				t.Errorf("%s: the last write was done after %v, not %v", c.name, last, want)
			}

			// Under writes without end the listing still ends.
			ctx, stop := context.WithCancel(t.Context())
			for range 3 {
				done.Go(func() {
					for ctx.Err() == nil {
						_ = b.SetStatus(ctx, "200", presence.DND)
					}
				})
			}
			start = time.Now()
			err := c.list(t.Context(), b)
			if took := time.Since(start); err != nil || took > time.Minute {
				t.Errorf("under a flood of writes the listing of %s took %v (%v)", c.name, took, err)
			}
			stop()
			done.Wait()
		})
	}
}

// A listing that takes long tells of statuses that no write may rest on any more: then it
// gives way, too.
func TestAListingThatHasGrownOldGivesWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newSetup(t, 3999, pbx.Options{Pace: pbx.Pace{InFlight: 1}})
		b.answering(100*time.Millisecond, nil)
		var done sync.WaitGroup
		var listed time.Duration
		start := time.Now()
		done.Go(func() {
			if err := b.Statuses(t.Context(), func(identity.Extension, presence.Status) error { return nil }); err != nil {
				t.Error(err)
			}
			listed = time.Since(start)
		})
		synctest.Wait()
		ctx, stop := context.WithCancel(t.Context())
		writes := 0
		done.Go(func() {
			for ctx.Err() == nil {
				if b.SetStatus(ctx, "200", presence.DND) == nil {
					writes++
				}
			}
		})
		done.Go(func() { // two are never all: somebody always waits
			for ctx.Err() == nil {
				_ = b.SetStatus(ctx, "201", presence.DND)
			}
		})
		time.Sleep(10 * time.Second)
		soFar := listed
		stop()
		done.Wait()
		if soFar != 0 {
			t.Errorf("40 pages were listed in %v under writes without end: they took turns to the end", soFar)
		}
		if writes == 0 {
			t.Error("nothing was written")
		}
	})
}

// Each page of a listing is a request.
func TestAFixedRateCountsThePagesOfAListing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newSetup(t, 2050, pbx.Options{Pace: pbx.Pace{InFlight: 1, PerSecond: 10}})
		start := time.Now()
		if err := b.Statuses(t.Context(), func(identity.Extension, presence.Status) error { return nil }); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(start).Round(time.Millisecond); took != 2*time.Second {
			t.Errorf("21 pages took %v", took)
		}
	})
}

func TestACallThatWaitsForItsTurnCanLeave(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newSetup(t, 2, pbx.Options{Pace: pbx.Pace{InFlight: 1}})
		b.answering(5*time.Second, nil)
		var done sync.WaitGroup
		done.Go(func() { _, _ = b.Status(t.Context(), "200") })
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := b.Status(ctx, "201"); fault.KindOf(err) != fault.Timeout || b.world.Requests() != 1 {
			t.Errorf("%v after %d requests", err, b.world.Requests())
		}
		done.Wait()
		if _, err := b.Status(t.Context(), "201"); err != nil {
			t.Errorf("its place was not freed: %v", err)
		}
	})
}

func TestAListingThatLosesItsTurnCanLeave(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newSetup(t, 300, pbx.Options{Pace: pbx.Pace{InFlight: 1}})
		b.answering(time.Second, nil)
		ctx, cancel := context.WithTimeout(t.Context(), 1500*time.Millisecond)
		defer cancel()
		var done sync.WaitGroup
		done.Go(func() {
			err := b.Statuses(ctx, func(identity.Extension, presence.Status) error { return nil })
			if fault.KindOf(err) != fault.Timeout {
				t.Errorf("the listing: %v", err)
			}
		})
		synctest.Wait()
		for range 4 {
			done.Go(func() {
				if err := b.SetStatus(t.Context(), "200", presence.DND); err != nil {
					t.Error(err)
				}
			})
		}
		done.Wait()
		if b.most != 1 {
			t.Errorf("%d in flight", b.most)
		}
		if _, err := b.Status(t.Context(), "200"); err != nil {
			t.Error(err)
		}
	})
}

func TestPaceMustMakeSense(t *testing.T) {
	driver := memory.Open(memory.NewPhoneSystem(), memory.Powers)
	for _, pace := range []pbx.Pace{{InFlight: -1}, {PerSecond: -1}} {
		if _, err := pbx.NewSystem("hq", driver, pbx.Options{Pace: pace}); err == nil {
			t.Errorf("%+v was accepted", pace)
		}
	}
}

func TestThoseInTheQueueHearOfTheDelayToo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newSetup(t, 1, pbx.Options{Pace: pbx.Pace{InFlight: 1}})
		b.answering(10*time.Millisecond, first(1, busy(time.Minute)))
		var callers sync.WaitGroup
		for range 5 {
			callers.Go(func() {
				if _, err := b.Status(t.Context(), "200"); fault.KindOf(err) != fault.Throttled {
					t.Errorf("got %v", err)
				}
			})
		}
		callers.Wait()
		if n := b.world.Requests(); n != 1 {
			t.Errorf("%d requests were sent", n)
		}
	})
}
