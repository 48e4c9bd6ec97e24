package pbx_test

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.opentelemetry.io/otel/attribute"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"offhook.dev/libs/core/fault"
	"offhook.dev/libs/core/presence"
	"offhook.dev/libs/pbx"
)

func TestEveryTryIsCountedAndEveryCallIsASpan(t *testing.T) {
	reader, spans := sdkmetric.NewManualReader(), tracetest.NewSpanRecorder()
	meter := sdkmetric.NewMeterProvider(sdkmetric.WithReader(reader)).Meter(pbx.Scope)
	tracer := sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(spans)).Tracer(pbx.Scope)
	synctest.Test(t, func(t *testing.T) {
		b := newSetup(t, 1, pbx.Options{Meter: meter, Tracer: tracer})
		b.answering(0, first(1, closed))
		_ = b.SetStatus(t.Context(), "200", presence.DND)
		_, _ = b.Status(t.Context(), "999")
	})
	want := map[[3]string]int64{
		{"hq", "set-status", "unavailable"}: 1,
		{"hq", "set-status", "ok"}:          1,
		{"hq", "status", "not-found"}:       1,
	}
	got := counts(t, reader)
	for labels, n := range want {
		if got[labels] != n {
			t.Errorf("%v: counted %d, want %d (%v)", labels, got[labels], n, got)
		}
	}
	extensions := map[string]string{"pbx set-status": "200", "pbx status": "999"}
	var names []string
	for _, span := range spans.Ended() {
		names = append(names, span.Name())
		if !hasAttribute(span.Attributes(), "system", "hq") {
			t.Errorf("%s does not name its system", span.Name())
		}
		if !hasAttribute(span.Attributes(), "extension", extensions[span.Name()]) {
			t.Errorf("%s does not name its extension", span.Name())
		}
	}
	if len(names) != 2 || names[0] != "pbx set-status" || names[1] != "pbx status" {
		t.Errorf("spans: %v", names)
	}
}

func TestHowLongRequestsWaitIsToldByLane(t *testing.T) {
	reader := sdkmetric.NewManualReader()
	meter := sdkmetric.NewMeterProvider(sdkmetric.WithReader(reader)).Meter(pbx.Scope)
	synctest.Test(t, func(t *testing.T) {
		b := newSetup(t, 1, pbx.Options{Meter: meter, Pace: pbx.Pace{InFlight: 1}})
		b.world.Intercept(func(_ context.Context, do func() error) error {
			time.Sleep(3 * time.Second)
			return do()
		})
		var both sync.WaitGroup
		for range 2 { // one after the other
			both.Go(func() { _ = b.SetStatus(t.Context(), "200", presence.DND) })
		}
		both.Wait()
	})
	var all metricdata.ResourceMetrics
	if err := reader.Collect(t.Context(), &all); err != nil {
		t.Fatal(err)
	}
	for _, m := range all.ScopeMetrics[0].Metrics {
		if waits, ok := m.Data.(metricdata.Histogram[float64]); ok && m.Name == "offhook_pbx_wait" {
			for _, point := range waits.DataPoints {
				lane, _ := point.Attributes.Value("lane")
				if lane.AsString() != "urgent" || point.Sum < 3 || point.Sum >= 6 {
					t.Errorf("%s waited for %v s, not for one request of 3 s", lane.AsString(), point.Sum)
				}
			}
			return
		}
	}
	t.Error("nothing is told")
}

// counts reads offhook_pbx_requests by system, op and result.
func counts(t *testing.T, reader sdkmetric.Reader) map[[3]string]int64 {
	t.Helper()
	var all metricdata.ResourceMetrics
	if err := reader.Collect(t.Context(), &all); err != nil {
		t.Fatal(err)
	}
	got := make(map[[3]string]int64)
	for _, scope := range all.ScopeMetrics {
		for _, m := range scope.Metrics {
			sum, ok := m.Data.(metricdata.Sum[int64])
			if !ok || m.Name != "offhook_pbx_requests" {
				continue
			}
			for _, point := range sum.DataPoints {
				label := func(key attribute.Key) string {
					value, _ := point.Attributes.Value(key)
					return value.AsString()
				}
				got[[3]string{label("system"), label("op"), label("result")}] = point.Value
			}
		}
	}
	return got
}

func hasAttribute(all []attribute.KeyValue, key attribute.Key, value string) bool {
	for _, a := range all {
		if a.Key == key && a.Value.AsString() == value {
			return true
		}
	}
	return false
}

func TestOneTryIsBounded(t *testing.T) {
	for name, c := range map[string]struct{ patience, want time.Duration }{
		"by itself":                           {0, 10 * time.Second},
		"by a caller who has less time":       {3 * time.Second, 3 * time.Second},
		"by itself, if the caller has longer": {time.Minute, 10 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newSetup(t, 1, pbx.Options{})
				b.world.Intercept(func(ctx context.Context, _ func() error) error {
					<-ctx.Done()
					return ctx.Err()
				})
				ctx := t.Context()
				if c.patience > 0 {
					bounded, cancel := context.WithTimeout(ctx, c.patience)
					defer cancel()
					ctx = bounded
				}
				start := time.Now()
				err := b.SetStatus(ctx, "200", presence.DND)
				if took := time.Since(start); fault.KindOf(err) != fault.Timeout || took != c.want {
					t.Errorf("%v after %v", err, took)
				}
			})
		})
	}
}
