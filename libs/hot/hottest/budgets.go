package hottest

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"offhook.dev/libs/core/fault"
	"offhook.dev/libs/hot"
)

func burst(t *testing.T, h Harness) {
	for range slow.Burst {
		mustTake(t, h, "k", slow, 1)
	}
	mustWait(t, h, "k", slow, 1)
}

func refused(t *testing.T, h Harness) {
	limit := hot.Limit{Events: 10, Per: time.Second, Burst: 2}
	mustTake(t, h, "k", limit, 2)
	first := mustWait(t, h, "k", limit, 1)
	if first > 100*time.Millisecond+time.Millisecond {
		t.Fatalf("one event at 10 a second is %v away", first)
	}
	// Had the refused takes taken something, the wait would have grown.
	for range 20 {
		if again := mustWait(t, h, "k", limit, 1); again > first {
			t.Fatalf("the wait grew from %v to %v by asking", first, again)
		}
	}
	h.Advance(first)
	mustTake(t, h, "k", limit, 1)
}

func whole(t *testing.T, h Harness) {
	mustTake(t, h, "k", slow, 3)
	wait := mustWait(t, h, "k", slow, 3)
	if wait < 59*time.Minute || wait > time.Hour+time.Second {
		t.Errorf("the one event that is missing is %v away, want an hour", wait)
	}
	mustTake(t, h, "k", slow, 2)
	mustWait(t, h, "k", slow, 1)
}

func apart(t *testing.T, h Harness) {
	mustTake(t, h, "a", slow, slow.Burst)
	mustTake(t, h, "b", slow, slow.Burst)
	mustWait(t, h, "a", slow, 1)
}

func invalid(t *testing.T, h Harness) {
	for _, c := range []struct {
		claim string
		limit hot.Limit
		n     int
	}{
		{"more than the burst", slow, slow.Burst + 1},
		{"nothing", slow, 0},
		{"less than nothing", slow, -1},
		{"no events", hot.Limit{Per: time.Second, Burst: 1}, 1},
		{"no time", hot.Limit{Events: 1, Burst: 1}, 1},
		{"no burst", hot.Limit{Events: 1, Per: time.Second}, 1},
		{"a budget that refills in years", hot.Limit{Events: 1, Per: 24 * time.Hour, Burst: 1000}, 1},
	} {
		if _, err := h.Store.Take(t.Context(), "k", c.limit, c.n); fault.KindOf(err) != fault.Invalid {
			t.Errorf("%s: %v, want an error of kind invalid", c.claim, err)
		}
	}
	if err := h.Store.Set(t.Context(), "k", nil, 0); fault.KindOf(err) != fault.Invalid {
		t.Errorf("a value for ever: %v, want an error of kind invalid", err)
	}
}

func racing(t *testing.T, h Harness) {
	limit := hot.Limit{Events: 1, Per: time.Hour, Burst: 40}
	var admitted atomic.Int64
	var takers sync.WaitGroup
	for range 8 {
		takers.Go(func() {
			for range 10 {
				wait, err := h.Store.Take(t.Context(), "k", limit, 1)
				if err != nil {
					t.Error(err)
				}
				if wait == 0 {
					admitted.Add(1)
				}
			}
		})
	}
	takers.Wait()
	if admitted.Load() != int64(limit.Burst) {
		t.Errorf("80 takes at once: %d admitted, want %d", admitted.Load(), limit.Burst)
	}
}

// window draws random sequences of takes and pauses and compares every pair of
// admissions with the law. Times are taken before and after each call, so that
// the law also judges a store whose clock runs on during the call.
func window(t *testing.T, h Harness) {
	type admission struct {
		before, after time.Time
		n             int
	}
	const slack = time.Millisecond // Redis adds fractions of seconds
	for seed := range uint64(3) {
		random := rand.New(rand.NewPCG(seed, 2))
		limit := hot.Limit{Events: 1 + random.IntN(20), Per: 100 * time.Millisecond, Burst: 1 + random.IntN(10)}
		key := "window" + string(rune('a'+seed))
		var admitted []admission
		for range 60 {
			n := 1 + random.IntN(limit.Burst)
			before := h.Now()
			if take(t, h, key, limit, n) == 0 {
				admitted = append(admitted, admission{before, h.Now(), n})
			}
			if random.IntN(3) == 0 {
				h.Advance(time.Duration(random.IntN(12)) * time.Millisecond)
			}
		}
		for i := range admitted {
			sum := 0
			for j := i; j < len(admitted); j++ {
				sum += admitted[j].n
				span := admitted[j].after.Sub(admitted[i].before) + slack
				if most := float64(limit.Burst) + float64(limit.Events)*float64(span)/float64(limit.Per); float64(sum) > most {
					t.Fatalf("seed %d, %+v: %d events in %v, at most %.2f may be", seed, limit, sum, span, most)
				}
			}
		}
		if len(admitted) == 0 {
			t.Fatalf("seed %d: nothing was ever admitted", seed)
		}
	}
}

func ended(t *testing.T, h Harness) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, takeErr := h.Store.Take(ctx, "k", slow, 1)
	_, _, getErr := h.Store.Get(ctx, "k")
	for claim, err := range map[string]error{
		"Take": takeErr, "Get": getErr,
		"Set": h.Store.Set(ctx, "k", []byte("v"), time.Minute), "Delete": h.Store.Delete(ctx, "k"),
	} {
		if fault.KindOf(err) != fault.Cancelled || !errors.Is(err, context.Canceled) {
			t.Errorf("%s after the end: %v, want an error of kind cancelled", claim, err)
		}
	}
	mustTake(t, h, "k", slow, slow.Burst)
}
