package writer

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	meter "go.opentelemetry.io/otel/metric/noop"
	tracer "go.opentelemetry.io/otel/trace/noop"

	"offhook.dev/libs/bus"
	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/core/presence"
	"offhook.dev/libs/hot"
	"offhook.dev/libs/links"
	"offhook.dev/libs/pbx/pbxsim"
	"offhook.dev/libs/run"
	"offhook.dev/libs/store"
	"offhook.dev/libs/topology"
	"offhook.dev/libs/wire"
)

// A writer falls asleep between its decision to write and the request, sleeps through
// its lease, and wakes up when another has written something newer. The lease's end is
// what keeps its old status away: without it the same check finds that status landing
// late. Whole processes do this in services/e2e, where nothing can be taken away.
func TestAWriterThatSleepsThroughItsLeaseWritesNothingOld(t *testing.T) {
	for _, c := range []struct {
		name string
		ends bool // the sleeper's lease
		late int
	}{
		{"its lease ends", true, 0},
		{"control: its lease has no end", false, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newStage(t, 1)
			var asleep atomic.Bool
			var mu sync.Mutex // guards end
			end := time.Now().Add(time.Hour)
			until := func() time.Time {
				mu.Lock()
				defer mu.Unlock()
				if c.ends && !asleep.Load() {
					end = time.Now().Add(margin + time.Second) // renewed, for as long as it is awake
				}
				return end
			}
			sleeps, wake, awake := make(chan struct{}), make(chan struct{}), make(chan struct{})
			s.phones.stand(func(ctx context.Context, op string, _ identity.Extension, request func() error) error {
				if op == "set-status" && asleep.CompareAndSwap(false, true) {
					close(sleeps)
					defer close(awake)
					<-wake
					if ctx.Err() != nil { // what a network connection looks at before it sends
						return ctx.Err()
					}
				}
				return request()
			})
			stop := s.own("sleeper", store.NewLease(1, until))
			seen := s.tells(0, presence.Available, presence.Person).Observation
			old := s.wanted(0, presence.DND)
			old.DecidedOn = seen
			s.publish(old)
			<-sleeps
			if c.ends {
				<-time.After(time.Until(until()))
			}
			s.own("next", store.NewLease(2, func() time.Time { return time.Now().Add(time.Hour) }))
			newer := s.wanted(0, presence.Away)
			newer.DecidedOn = seen
			s.ends(s.publish(newer), wire.Applied)
			close(wake)
			<-awake
			stop()
			var all []pbxsim.Write
			for _, status := range s.phones.written(extension(0)) {
				all = append(all, pbxsim.Write{Extension: extension(0), Status: status})
			}
			if late := pbxsim.Late(all, []presence.Status{presence.DND, presence.Away}); len(late) != c.late {
				t.Errorf("%d writes landed late: written %v", len(late), all)
			}
		})
	}
}

// own runs a writer that owns hq by a lease made by hand, until stop or the end of
// the test.
func (s *stage) own(instance string, lease store.Lease) (stop func()) {
	s.t.Helper()
	log := slog.New(slog.NewTextHandler(s.t.Output(), nil)).With("instance", instance)
	b, err := bus.Connect(s.t.Context(), bus.Options{InProcess: s.broker, Service: "pbx-writer", Instance: instance, Log: log})
	if err != nil {
		s.t.Fatal(err)
	}
	deps := run.Deps{Instance: instance, Bus: b, Hot: hot.InProcess(), Log: log, Health: run.NewHealth(),
		Tracer: tracer.NewTracerProvider().Tracer(""), Meter: meter.NewMeterProvider().Meter("")}
	w := &Writer{deps: deps, opts: s.opts.withDefaults(), bus: b, ledger: s.buckets[topology.Ledger], links: links.NewMirror(),
		again: map[identity.System]chan struct{}{hq: make(chan struct{}, 1)}}
	if w.metrics, err = newMetrics(deps.Meter); err != nil {
		s.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(s.t.Context()))
	var parts sync.WaitGroup
	parts.Go(func() { _ = w.links.Run(ctx, s.buckets[topology.Links], w.relinked) })
	parts.Go(func() {
		if err := w.links.Current(ctx); err == nil {
			_ = w.own(ctx, w.opts.Systems[0], lease) // a lease that ends breaks it
		}
	})
	stop = sync.OnceFunc(func() {
		cancel()
		parts.Wait()
		b.Close()
	})
	s.t.Cleanup(stop)
	return stop
}
