package hot

import (
	"strconv"
	"testing"
	"testing/synctest"
	"time"
)

// TestLocalSweep: keys that have ended leave the memory, whether many come at
// once or few over a long time, and live ones stay.
func TestLocalSweep(t *testing.T) {
	limit := Limit{Events: 1, Per: time.Second, Burst: 1}
	fill := func(t *testing.T, s *Local, prefix string, n int) {
		for i := range n {
			key := prefix + strconv.Itoa(i)
			if _, err := s.Take(t.Context(), key, limit, 1); err != nil {
				t.Fatal(err)
			}
			if err := s.Set(t.Context(), key, []byte("v"), time.Second); err != nil {
				t.Fatal(err)
			}
		}
	}
	for _, c := range []struct {
		claim  string
		keys   int
		rounds int
		pause  time.Duration
		most   int // keys held at the end
	}{
		{"many keys at once", 5_000, 20, 2 * time.Second, 3 * 2 * 5_000},
		{"few keys over a long time", 100, 1, 2 * sweepEvery, 3},
	} {
		t.Run(c.claim, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := InProcess()
				if err := s.Set(t.Context(), "kept", []byte("v"), time.Hour); err != nil {
					t.Fatal(err)
				}
				for round := range c.rounds {
					fill(t, s, strconv.Itoa(round)+"-", c.keys)
					time.Sleep(c.pause)
				}
				fill(t, s, "last", 1)
				if held := len(s.budgets) + len(s.values); held > c.most {
					t.Errorf("%d rounds of %d keys: %d are held, at most %d may be", c.rounds, c.keys, held, c.most)
				}
				if _, found, _ := s.Get(t.Context(), "kept"); !found {
					t.Error("a living key was swept away")
				}
			})
		})
	}
}

// TestShare: however the replicas divide a limit, together they have no more of
// the rate than it says.
func TestShare(t *testing.T) {
	limit := Limit{Events: 100, Per: time.Second, Burst: 10}
	for _, c := range []struct {
		replicas, n int
		want        Limit
	}{
		{1, 1, Limit{1, 10 * time.Millisecond, 10}},
		{4, 1, Limit{1, 40 * time.Millisecond, 2}},
		{4, 8, Limit{1, 40 * time.Millisecond, 8}}, // whole or never
		{100, 1, Limit{1, time.Second, 1}},
	} {
		if got := limit.share(c.replicas, c.n); got != c.want {
			t.Errorf("share(%d, %d) = %+v, want %+v", c.replicas, c.n, got, c.want)
		}
	}
}

// TestInterval: rounding never makes a budget faster than its limit.
func TestInterval(t *testing.T) {
	for _, l := range []Limit{{7, 10, 1}, {3, time.Second, 1}, {10_000, 10 * time.Minute, 1}, {1_000, 1, 1}} {
		if all := time.Duration(l.Events) * l.interval(); all < l.Per {
			t.Errorf("%d events per %v come back in %v", l.Events, l.Per, all)
		}
	}
}
