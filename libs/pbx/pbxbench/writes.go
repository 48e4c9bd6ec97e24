// Package pbxbench measures drivers of phone systems, each beside its floor in the same
// run: how many statuses a second are written through pbx.System, through the driver
// alone and by the same requests without any of our layers, and what memory a connected
// system and a watched extension take. Only benchmarks import it.
//
// The three take turns, a few hundred writes each, and every turn another of them goes
// first. A ratio is the median of the turns' ratios, so that a machine that is busy with
// something else for a while spoils some turns and not the result. Nothing fails for
// being slow; a write that fails does.
//
// With OFFHOOK_TABLE set to the name of a file each measurement is also appended to it as
// a row of the tables in docs/benchmarks.md.
package pbxbench

import (
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/core/presence"
	"offhook.dev/libs/pbx"
)

// Writing is a way to write statuses that is measured.
type Writing struct {
	Driver     pbx.Driver // it is closed at the end
	Extensions []identity.Extension
	// Statuses are written in turn, so that each write is a change; none: DND and
	// Available.
	Statuses []presence.Status
	InFlight int // writes at a time
	Turn     int // writes in a turn; 0 means 500
	// Floor makes n writes, InFlight at a time, with the same requests and nothing of ours
	// around them. nil: a driver that sends nothing has no floor, and no ratio.
	Floor func(n int)
}

// Status is what write number i sets.
func (w Writing) Status(i int) presence.Status {
	return w.Statuses[i/len(w.Extensions)%len(w.Statuses)]
}

// Extension is whose status write number i sets.
func (w Writing) Extension(i int) identity.Extension { return w.Extensions[i%len(w.Extensions)] }

// way is one of the three, with the writes a second of each turn.
type way struct {
	write func(n int)
	rates []float64
}

// Writes makes b.N writes in each of the three ways and reports them.
func Writes(b *testing.B, w Writing) {
	b.Helper()
	if w.Turn == 0 {
		w.Turn = 500
	}
	if w.Statuses == nil {
		w.Statuses = []presence.Status{presence.DND, presence.Available}
	}
	system, err := pbx.NewSystem("bench", w.Driver, pbx.Options{Pace: pbx.Pace{InFlight: w.InFlight}})
	if err != nil {
		b.Fatal(err)
	}
	defer system.Close()
	through := func(d pbx.Driver) func(int) []time.Duration {
		next := 0 // goes on from turn to turn
		return func(n int) []time.Duration {
			first := next
			next += n
			return w.through(b, d, first, n)
		}
	}
	ours, alone := through(system), through(w.Driver)
	// What is learned with the first word about somebody (ids, entity tags) is no part of it.
	alone(len(w.Extensions))
	var latencies []time.Duration
	ways := []*way{
		{write: func(n int) { latencies = append(latencies, ours(n)...) }},
		{write: func(n int) { alone(n) }},
	}
	if w.Floor != nil {
		w.Floor(len(w.Extensions))
		ways = append(ways, &way{write: w.Floor})
	}
	b.ResetTimer()
	for turn, left := 0, b.N; left > 0 && !b.Failed(); turn, left = turn+1, left-w.Turn {
		n := min(left, w.Turn)
		for i := range ways {
			way := ways[(turn+i)%len(ways)]
			began := time.Now()
			way.write(n)
			way.rates = append(way.rates, float64(n)/time.Since(began).Seconds())
		}
	}
	b.StopTimer()
	if b.Failed() {
		return
	}
	report(b, ways, latencies)
}

// through makes n writes from number first on and returns how long each took.
func (w Writing) through(b *testing.B, d pbx.Driver, first, n int) []time.Duration {
	took := make([]time.Duration, n)
	InTurns(n, w.InFlight, func(i int) bool {
		began := time.Now()
		if err := d.SetStatus(b.Context(), w.Extension(first+i), w.Status(first+i)); err != nil {
			b.Error(err)
			return false
		}
		took[i] = time.Since(began)
		return true
	})
	return took
}

// InTurns calls do for each of 0 to n-1, so many at a time, until one returns false.
func InTurns(n, inFlight int, do func(i int) bool) {
	var workers sync.WaitGroup
	var next atomic.Int64
	for range inFlight {
		workers.Go(func() {
			for i := int(next.Add(1)) - 1; i < n; i = int(next.Add(1)) - 1 {
				if !do(i) {
					next.Store(int64(n))
				}
			}
		})
	}
	workers.Wait()
}

// report tells the figures of System, driver and floor, in this order; the floor may be
// missing.
func report(b *testing.B, ways []*way, latencies []time.Duration) {
	slices.Sort(latencies)
	row := writesRow{
		name: b.Name(), writes: median(ways[0].rates),
		p50: latencies[len(latencies)/2], p99: latencies[len(latencies)*99/100],
	}
	if len(ways) == 3 {
		row.floor = median(ways[2].rates)
		row.ofFloor, row.driverOfFloor = 100*ratio(ways[0], ways[2]), 100*ratio(ways[1], ways[2])
		b.ReportMetric(row.floor, "floor/s")
		b.ReportMetric(row.ofFloor, "%floor")
		b.ReportMetric(row.driverOfFloor, "driver-%floor")
	}
	b.ReportMetric(0, "ns/op") // of three ways and whole turns: it would say nothing
	b.ReportMetric(row.writes, "writes/s")
	b.ReportMetric(float64(row.p50.Microseconds()), "p50-µs")
	b.ReportMetric(float64(row.p99.Microseconds()), "p99-µs")
	if b.N >= enough {
		row.append(b)
	}
}

// enough writes make a row: a benchmark is run with few first, to find out how many it
// can make in its time.
const enough = 1000

// ratio is the median of how much faster one is than another in the same turn.
func ratio(of, to *way) float64 {
	ratios := make([]float64, len(of.rates))
	for i := range ratios {
		ratios[i] = of.rates[i] / to.rates[i]
	}
	return median(ratios)
}

// median of some figures, of which there is one at least.
func median(figures []float64) float64 {
	sorted := slices.Sorted(slices.Values(figures))
	return (sorted[(len(sorted)-1)/2] + sorted[len(sorted)/2]) / 2
}
