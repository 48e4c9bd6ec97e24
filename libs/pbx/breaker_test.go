package pbx_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"offhook.dev/libs/core/fault"
	"offhook.dev/libs/core/presence"
	"offhook.dev/libs/pbx"
	"offhook.dev/libs/pbx/memory"
)

func TestTheBreakerOpensProbesAndCloses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newSetup(t, 1, pbx.Options{})
		b.answering(0, always(closed))
		read := func() error { _, err := b.Status(t.Context(), "200"); return err }
		for range 2 {
			_ = read() // three tries each; the fifth failure opens
		}
		if n := b.world.Requests(); n != 5 {
			t.Errorf("%d requests until it opened", n)
		}
		err := read()
		if fault.KindOf(err) != fault.Unavailable || rested(err) != time.Second || b.world.Requests() != 5 || !b.Resting() {
			t.Errorf("open: %v, %d requests, resting: %v", err, b.world.Requests(), b.Resting())
		}
		time.Sleep(time.Second) // virtual
		_ = read()
		if n := b.world.Requests(); n != 6 {
			t.Errorf("%d requests: not one probe", n)
		}
		if wait := rested(read()); wait != 2*time.Second {
			t.Errorf("after a failed probe it rests %v", wait)
		}
		b.world.Intercept(nil)
		if err := read(); err == nil {
			t.Error("it closed without a probe")
		}
		time.Sleep(2 * time.Second) // virtual
		if err := read(); err != nil {
			t.Errorf("probe: %v", err)
		}
		if err := read(); err != nil || b.Resting() {
			t.Errorf("closed: %v, resting: %v", err, b.Resting())
		}
	})
}

// However long a phone system is away, it is asked every few seconds by one of those who
// would speak to it; and so its return is noticed.
func TestAPhoneSystemThatIsAwayIsAskedEveryFewSeconds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newSetup(t, 1, pbx.Options{})
		b.answering(0, always(closed))
		read := func() error { _, err := b.Status(t.Context(), "200"); return err }
		for range 400 { // somebody comes four times a second
			_ = read()
			time.Sleep(time.Second / 4) // virtual
		}
		before := b.world.Requests()
		for range 2400 {
			_ = read()
			time.Sleep(time.Second / 4) // virtual
		}
		if n := b.world.Requests() - before; n < 180 || n > 270 {
			t.Errorf("%d probes in ten minutes, want one every 2.25 s to 3 s", n)
		}
		err := read()
		for fault.RetryAfter(err) == 0 { // it was the probe
			err = read()
		}
		if wait := fault.RetryAfter(err); wait > 3*time.Second {
			t.Errorf("callers are told to come back in %v", wait)
		}
		b.world.Intercept(nil)
		back := time.Now()
		for read() != nil {
			time.Sleep(100 * time.Millisecond) // virtual
		}
		if noticed := time.Since(back); noticed > 3*time.Second || b.Resting() {
			t.Errorf("noticed after %v, resting: %v", noticed, b.Resting())
		}
	})
}

// rested is how long a breaker that has just opened rests, without what chance takes off.
func rested(err error) time.Duration {
	for _, rest := range []time.Duration{time.Second, 2 * time.Second, 3 * time.Second} {
		if wait := fault.RetryAfter(err); wait > rest*3/4 && wait <= rest {
			return rest
		}
	}
	return fault.RetryAfter(err)
}

func TestOnlyOneProbeIsSent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newSetup(t, 1, pbx.Options{Pace: pbx.Pace{InFlight: 64}})
		b.answering(0, always(closed))
		for range 2 {
			_, _ = b.Status(t.Context(), "200")
		}
		time.Sleep(time.Second) // virtual
		before := b.world.Requests()
		b.answering(time.Second, nil)
		results := make(chan error, 3)
		for range 3 {
			go func() { _, err := b.Status(t.Context(), "200"); results <- err }()
		}
		failed := 0
		for range 3 {
			if err := <-results; err != nil {
				failed++
			}
		}
		if sent := b.world.Requests() - before; sent != 1 || failed != 2 {
			t.Errorf("%d probes, %d calls refused", sent, failed)
		}
	})
}

func TestGeneration(t *testing.T) {
	read := func(ctx context.Context, b *setup) { _, _ = b.Status(ctx, "200") }
	for name, c := range map[string]struct {
		refuse error
		calls  int
		grows  bool
	}{
		"grows after the system was unreachable":     {closed, 1, true},
		"stays after one slow answer":                {lost, 0, false},
		"grows after many answers never came":        {lost, 2, true},
		"stays while the system complains":           {busy(0), 2, false},
		"stays when a person lacks a right":          {memory.Refusal{Code: "forbidden"}, 2, false},
		"stays when the caller leaves":               {context.Canceled, 2, false},
		"stays when there is no such extension":      {memory.Refusal{Code: "no such extension"}, 2, false},
		"stays when nothing happened":                {nil, 2, false},
		"grows once however long it was unreachable": {closed, 20, true},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newSetup(t, 1, pbx.Options{})
				read(t.Context(), b)
				before := b.Generation()
				b.answering(0, always(c.refuse))
				if c.calls == 0 { // a write is not repeated, so it is one failure
					_ = b.SetStatus(t.Context(), "200", presence.DND)
				}
				for range c.calls {
					read(t.Context(), b)
				}
				if b.Generation() != before {
					t.Error("it grew before there was an answer")
				}
				b.world.Intercept(nil)
				time.Sleep(time.Minute) // virtual: whatever was open is half open
				for range 3 {
					read(t.Context(), b)
				}
				if grew := b.Generation() - before; grew > 1 || (grew == 1) != c.grows {
					t.Errorf("it grew by %d", grew)
				}
			})
		})
	}
}

func TestACallerWhoLeavesIsNoSignOfLife(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newSetup(t, 1, pbx.Options{})
		b.answering(0, always(closed))
		_ = b.SetStatus(t.Context(), "200", presence.DND)
		b.answering(time.Hour, nil)
		ctx, cancel := context.WithCancel(t.Context())
		go func() {
			time.Sleep(time.Second) // virtual
			cancel()
		}()
		if _, err := b.Status(ctx, "200"); fault.KindOf(err) != fault.Cancelled || b.Generation() != 0 {
			t.Errorf("%v, generation %d", err, b.Generation())
		}
	})
}

// A listing that is answered while another request is lost may be from before a restart.
func TestAnAnswerToWhatWasAskedBeforeTheLossDoesNotSayThatItIsBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newSetup(t, 2, pbx.Options{})
		b.world.Intercept(func(ctx context.Context, request func() error) error {
			time.Sleep(time.Second) // virtual
			return request()
		})
		slow := make(chan error, 1)
		go func() { _, err := b.Status(t.Context(), "200"); slow <- err }()
		synctest.Wait()
		b.answering(0, first(1, closed))
		lost, stop := context.WithTimeout(t.Context(), 10*time.Millisecond) // not tried again
		defer stop()
		if _, err := b.Status(lost, "201"); fault.KindOf(err) != fault.Unavailable {
			t.Fatalf("lost: %v", err)
		}
		before := b.Generation()
		if err := <-slow; err != nil || b.Generation() != before {
			t.Errorf("asked before: %v, generation %d after %d", err, b.Generation(), before)
		}
		if _, err := b.Status(t.Context(), "201"); err != nil || b.Generation() != before+1 {
			t.Errorf("asked after: %v, generation %d after %d", err, b.Generation(), before)
		}
	})
}
