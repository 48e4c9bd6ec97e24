package pbxbench

import (
	"context"
	"runtime"
	"sync"
	"testing"

	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/core/presence"
	"offhook.dev/libs/pbx"
)

// The phone systems whose memory is measured, and the extensions of each.
const (
	Systems    = 10
	Extensions = 2000
)

// Memory opens a driver to each of Systems phone systems of Extensions extensions, which
// exist already, lists all statuses and watches: of these everything is told once. It
// reports what a connected pbx.System takes, and each extension that was listed and is
// watched. Where driver and simulator are in one process, the simulator's end of each
// connection is in it as well. A driver that cannot watch has its own way to hold on to
// extensions: hold, nil for one that watches.
// It is done once, however large b.N is.
func Memory(b *testing.B, open func(i int) pbx.Driver, hold func(i int, s *pbx.System)) {
	b.Helper()
	before := heap()
	systems := make([]*pbx.System, Systems)
	for i := range systems {
		s, err := pbx.NewSystem("bench", open(i), pbx.Options{})
		if err != nil {
			b.Fatal(err)
		}
		systems[i] = s
	}
	connected := heap()
	ctx, cancel := context.WithCancel(b.Context())
	var watches sync.WaitGroup
	for i, s := range systems {
		if hold != nil {
			hold(i, s)
			continue
		}
		if err := s.Statuses(ctx, func(identity.Extension, presence.Status) error { return nil }); err != nil {
			b.Fatal(err)
		}
		synced := make(chan struct{})
		watches.Go(func() {
			once := sync.OnceFunc(func() { close(synced) })
			_ = s.Watch(ctx, func(e pbx.WatchEvent) {
				if _, ok := e.(pbx.Synced); ok {
					once()
				}
			})
		})
		<-synced
	}
	held := heap()
	cancel()
	watches.Wait()
	for _, s := range systems {
		if err := s.Close(); err != nil {
			b.Error(err)
		}
	}
	row := memoryRow{name: b.Name(), system: float64(connected-before) / Systems, extension: float64(held-connected) / Systems / Extensions}
	b.ReportMetric(0, "ns/op") // it waits for phone systems
	b.ReportMetric(row.system/1024, "KiB/system")
	b.ReportMetric(row.extension, "B/extension")
	if b.N == 1 {
		row.append(b)
	}
}

// heap is what is in use after a collection, stacks included. It is counted in objects:
// what the allocator has to spare belongs to whatever ran before.
func heap() int64 {
	runtime.GC()
	runtime.GC() // what finalizers and pools let go of
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc + m.StackInuse)
}
