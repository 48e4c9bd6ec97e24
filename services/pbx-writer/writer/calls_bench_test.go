package writer

import (
	"runtime"
	"testing"
	"time"
)

// BenchmarkCallsOfManyExtensions prints what a writer with its embedded broker needs
// for each of 2,000 linked extensions that are all in a call, over what it needs
// before the first of them is, and how long it takes until all are told.
func BenchmarkCallsOfManyExtensions(b *testing.B) {
	const extensions = 2000
	for b.Loop() {
		s := newStage(b, extensions)
		s.opts.Systems[0].Poll = time.Hour
		r := s.record()
		stop := s.run("a")
		s.watched()
		s.phones.StartCall(extension(0))
		r.tells(0, 1, 1)
		before := heap()
		began := time.Now()
		for i := range extensions {
			s.phones.StartCall(extension(i))
		}
		s.eventually(func() string {
			if n := r.lines(); n < extensions {
				return "not all are told"
			}
			return ""
		})
		b.ReportMetric(float64(time.Since(began).Microseconds())/extensions, "us/ext")
		r.mu.Lock()
		r.all = nil
		r.mu.Unlock()
		b.ReportMetric(float64(int64(heap())-int64(before))/extensions, "B/ext")
		stop()
	}
}

// lines is of how many lines something was told.
func (r *record) lines() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	lines := map[string]bool{}
	for _, fact := range r.all {
		lines[string(fact.Line.Extension)] = true
	}
	return len(lines)
}

func heap() uint64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.GC()
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}
