package hottest

import (
	"testing"
	"time"

	"offhook.dev/libs/hot"
)

// Harness is a fresh store and its clock.
type Harness struct {
	Store   hot.Store
	Now     func() time.Time      // the time by which the store counts
	Advance func(d time.Duration) // returns when at least d has passed for the store
}

// World calls test once, with a fresh Harness, in the store's own time.
type World func(t *testing.T, test func(t *testing.T, h Harness))

// Run tests the stores of a world.
func Run(t *testing.T, world World) {
	for _, c := range cases {
		t.Run(c.claim, func(t *testing.T) { world(t, c.test) })
	}
}

var cases = []struct {
	claim string
	test  func(t *testing.T, h Harness)
}{
	{"a fresh budget admits exactly its burst", burst},
	{"a refused take takes nothing and names the wait that helps", refused},
	{"several events are taken whole or not at all", whole},
	{"budgets of different keys do not touch each other", apart},
	{"what can never be granted is an invalid request", invalid},
	{"racing takers get the burst and not one more", racing},
	{"no window of time ever admits more than burst and rate allow", window},
	{"a value is found until it is deleted, and replaced by a later one", values},
	{"a value ends with its time to live", expiry},
	{"a value is a copy on the way in and on the way out", copies},
	{"a value and a budget of one name are two things", names},
	{"the end of the caller's context is its own kind of error", ended},
}

// slow refills so slowly that no test sees it.
var slow = hot.Limit{Events: 1, Per: time.Hour, Burst: 5}

func take(t *testing.T, h Harness, key string, l hot.Limit, n int) time.Duration {
	t.Helper()
	wait, err := h.Store.Take(t.Context(), key, l, n)
	if err != nil {
		t.Fatalf("Take(%s, %d): %v", key, n, err)
	}
	if wait < 0 {
		t.Fatalf("Take(%s, %d) wants to wait %v", key, n, wait)
	}
	return wait
}

func mustTake(t *testing.T, h Harness, key string, l hot.Limit, n int) {
	t.Helper()
	if wait := take(t, h, key, l, n); wait != 0 {
		t.Fatalf("Take(%s, %d) is refused for %v", key, n, wait)
	}
}

func mustWait(t *testing.T, h Harness, key string, l hot.Limit, n int) time.Duration {
	t.Helper()
	wait := take(t, h, key, l, n)
	if wait == 0 {
		t.Fatalf("Take(%s, %d) is granted", key, n)
	}
	return wait
}
