package directory_test

import (
	"runtime"
	"slices"
	"testing"

	"offhook.dev/libs/core/directory"
)

// bytesEach is how much memory a planner takes for each of n users with nothing to do.
func bytesEach(t *testing.T, p planner, n int) uint64 {
	t.Helper()
	v := large(n)
	settle(t, &v)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	r, err := p(v)
	runtime.ReadMemStats(&after)
	if err != nil || len(r.Steps) > 0 {
		t.Fatalf("%d steps, %v", len(r.Steps), err)
	}
	return (after.TotalAlloc - before.TotalAlloc) / uint64(n)
}

// most is the memory that a plan may take for a user who has not changed.
const most = 300

func TestAUserWithNothingToDoCostsLittleMemory(t *testing.T) {
	for _, n := range []int{1_000, 10_000, 50_000} {
		if each := bytesEach(t, directory.PlanExtensions, n); each > most {
			t.Errorf("of %d users each costs %d bytes", n, each)
		}
	}
}

func TestAPlannerThatCopiesIsCaught(t *testing.T) {
	copying := seeing(func(v *directory.View) { v.Users = slices.Clone(v.Users) })
	if each := bytesEach(t, copying, 10_000); each <= most {
		t.Errorf("each costs %d bytes", each)
	}
}
