package pbx_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"offhook.dev/libs/core/fault"
	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/core/presence"
	"offhook.dev/libs/pbx"
	"offhook.dev/libs/pbx/memory"
)

func TestRetry(t *testing.T) {
	read := func(ctx context.Context, s *pbx.System) error { _, err := s.Status(ctx, "200"); return err }
	write := func(ctx context.Context, s *pbx.System) error { return s.SetStatus(ctx, "200", presence.DND) }
	list := func(ctx context.Context, s *pbx.System) error {
		return s.Statuses(ctx, func(identity.Extension, presence.Status) error { return nil })
	}
	for name, c := range map[string]struct {
		call     func(context.Context, *pbx.System) error
		refuse   func(int) error
		requests int
		kind     fault.Kind // 0: success
	}{
		"a read is repeated after unavailable":                    {read, first(2, closed), 3, 0},
		"a read is repeated after a lost answer":                  {read, first(2, lost), 3, 0},
		"a write is repeated after it was turned away":            {write, first(2, closed), 3, 0},
		"a write whose answer is lost is not repeated":            {write, first(1, lost), 1, fault.Timeout},
		"three tries are all":                                     {read, always(closed), 3, fault.Unavailable},
		"a denied call is not repeated":                           {read, always(memory.Refusal{Code: "forbidden"}), 1, fault.Denied},
		"a short delay that was asked for is kept":                {write, first(1, busy(4*time.Second)), 2, 0},
		"a long delay that was asked for is the caller's":         {write, first(1, busy(time.Minute)), 1, fault.Throttled},
		"a listing that has not begun is repeated":                {list, first(1, closed), 3, 0}, // two pages
		"a listing that has begun is not":                         {list, func(n int) error { return map[int]error{2: closed}[n] }, 2, fault.Unavailable},
		"an error that nobody classified is not repeated blindly": {read, always(errors.New("?")), 1, fault.Unknown},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newSetup(t, 105, pbx.Options{})
				b.answering(10*time.Millisecond, c.refuse)
				err := c.call(t.Context(), b.System)
				if (err != nil) != (c.kind != 0 || strings.Contains(name, "nobody classified")) || err != nil && fault.KindOf(err) != c.kind {
					t.Errorf("got %v", err)
				}
				if n := b.world.Requests(); n != c.requests {
					t.Errorf("%d requests, want %d", n, c.requests)
				}
			})
		})
	}
}

func TestAWriteThatIsOvertakenIsTriedOnceAndNotAgain(t *testing.T) {
	for name, c := range map[string]struct {
		overtakenAfter int // requests
		requests       int
	}{
		"overtaken before it leaves": {0, 1}, "overtaken while it is turned away": {1, 1}, "overtaken after the second try": {2, 2}, "not overtaken": {9, 3},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newSetup(t, 1, pbx.Options{})
				b.answering(10*time.Millisecond, always(closed))
				err := b.SetStatusUnless(t.Context(), "200", presence.DND, func() bool { return b.world.Requests() >= c.overtakenAfter })
				if n := b.world.Requests(); n != c.requests {
					t.Errorf("%d requests, want %d", n, c.requests)
				}
				if errors.Is(err, pbx.ErrOvertaken) != (c.requests < 3) || fault.KindOf(err) != fault.Unavailable {
					t.Errorf("ended with %v", err)
				}
			})
		})
	}
}

func TestTheWaitBetweenTriesIsWhatWasAskedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newSetup(t, 1, pbx.Options{})
		b.answering(0, first(1, busy(4*time.Second)))
		start := time.Now()
		if err := b.SetStatus(t.Context(), "200", presence.DND); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(start); took != 4*time.Second {
			t.Errorf("took %v", took)
		}
	})
}

func TestARetryNeverOutlivesTheDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newSetup(t, 1, pbx.Options{})
		b.answering(0, always(busy(2*time.Second)))
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		start := time.Now()
		_, err := b.Status(ctx, "200")
		if fault.KindOf(err) != fault.Throttled || time.Since(start) != 0 || b.world.Requests() != 1 {
			t.Errorf("%v after %v and %d requests", err, time.Since(start), b.world.Requests())
		}
	})
}

func TestRetryAfterHoldsForEverybody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newSetup(t, 2, pbx.Options{})
		b.answering(0, first(1, busy(time.Minute)))
		_, _ = b.Status(t.Context(), "200")
		_, err := b.Status(t.Context(), "201")
		if fault.KindOf(err) != fault.Throttled || fault.RetryAfter(err) != time.Minute || b.world.Requests() != 1 {
			t.Errorf("another caller: %v after %d requests", err, b.world.Requests())
		}
		time.Sleep(57 * time.Second) // virtual; 3 s are within a call's patience
		start := time.Now()
		if _, err := b.Status(t.Context(), "201"); err != nil || time.Since(start) != 3*time.Second {
			t.Errorf("towards its end: %v after %v", err, time.Since(start))
		}
	})
}
