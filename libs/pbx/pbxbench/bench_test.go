package pbxbench

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"offhook.dev/libs/core/directory"
	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/core/presence"
	"offhook.dev/libs/pbx/memory"
)

func TestEachIsDoneOnceUntilOneFails(t *testing.T) {
	for _, inFlight := range []int{1, 4} {
		var done [100]atomic.Int64
		InTurns(len(done), inFlight, func(i int) bool { done[i].Add(1); return true })
		for i := range done {
			if n := done[i].Load(); n != 1 {
				t.Errorf("%d at a time: %d was done %d times", inFlight, i, n)
			}
		}
		var n atomic.Int64
		InTurns(len(done), inFlight, func(int) bool { n.Add(1); return false })
		if n.Load() > int64(inFlight) {
			t.Errorf("%d at a time: %d were done after the first had failed", inFlight, n.Load())
		}
	}
}

// One turn that something else has spoiled does not show in a ratio.
func TestARatioIsTheMedianOfTheTurns(t *testing.T) {
	ours, floor := &way{rates: []float64{80, 1, 40, 400}}, &way{rates: []float64{100, 100, 50, 500}}
	if got := ratio(ours, floor); got != 0.8 {
		t.Errorf("got %g", got)
	}
}

// Every write of a turn is a change of what the turn before has left, in each way, and
// rows are appended.
func TestAMeasurementIsARow(t *testing.T) {
	table := filepath.Join(t.TempDir(), "table")
	t.Setenv("OFFHOOK_TABLE", table)
	extensions := []identity.Extension{"200", "201", "202"}
	var people []directory.Extension
	for _, ext := range extensions {
		people = append(people, directory.Extension{Number: ext, Enabled: true})
	}
	office := memory.NewPhoneSystem(people...)
	floors := 0
	result := benchmark(t, "1000x", func(b *testing.B) {
		Writes(b, Writing{Driver: memory.Open(office, memory.Powers), Extensions: extensions, InFlight: 2, Turn: 100,
			Floor: func(n int) { floors += n; <-time.After(time.Millisecond) }})
	})
	if result.Extra["writes/s"] <= 0 || result.Extra["%floor"] <= 0 || floors < enough {
		t.Errorf("%+v, %d writes of the floor", result.Extra, floors)
	}
	rows, err := os.ReadFile(table)
	if err != nil {
		t.Fatal(err)
	}
	if first, _, _ := strings.Cut(string(rows), "\n"); !strings.HasPrefix(first, "| pbxbench | ") || strings.Count(first, "|") != 9 {
		t.Errorf("the row is %q", first)
	}
	for i := range 2 * len(extensions) {
		w := Writing{Extensions: extensions, Statuses: []presence.Status{presence.DND, presence.Available}}
		if next := i + len(extensions); w.Extension(i) != w.Extension(next) || w.Status(i) == w.Status(next) {
			t.Errorf("writes %d and %d are the same", i, next)
		}
	}
}

// benchmark runs a benchmark within a test, with so many writes.
func benchmark(t *testing.T, writes string, f func(b *testing.B)) testing.BenchmarkResult {
	t.Helper()
	before := flag.Lookup("test.benchtime").Value.String()
	if err := flag.Set("test.benchtime", writes); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = flag.Set("test.benchtime", before) }()
	return testing.Benchmark(f)
}

// A driver that fails is no figure.
func TestAWriteThatFailsFails(t *testing.T) {
	result := benchmark(t, "1x", func(b *testing.B) {
		Writes(b, Writing{Driver: memory.Open(memory.NewPhoneSystem(), memory.Powers), Extensions: []identity.Extension{"200"}, InFlight: 1})
	})
	if len(result.Extra) > 0 {
		t.Errorf("%+v", result.Extra)
	}
}
