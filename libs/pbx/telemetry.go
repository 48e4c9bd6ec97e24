package pbx

import (
	"context"
	"fmt"
	"sync"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/metric"
	metricnoop "go.opentelemetry.io/otel/metric/noop"
	"go.opentelemetry.io/otel/trace"

	"offhook.dev/libs/core/fault"
	"offhook.dev/libs/core/identity"
)

// Scope is the instrumentation scope of this package's spans and metrics.
const Scope = "offhook.dev/libs/pbx"

// telemetry holds the instruments: offhook_pbx_requests{system,op,result}
// counts tries (not calls), with result "ok" or the error's kind;
// offhook_pbx_request{system,op} is how long they took, and
// offhook_pbx_wait{system,lane} how long they waited for their turn before. Of a watch there are
// offhook_pbx_watch_live{system}, 1 while calls are confirmed,
// offhook_pbx_lines_in_calls{system}, and offhook_pbx_watch_events{system,kind}, what
// was told to the watcher.
type telemetry struct {
	system   attribute.KeyValue
	tracer   trace.Tracer // nil: no spans
	start    []trace.SpanStartOption
	meter    metric.Meter
	requests metric.Int64Counter
	seconds  metric.Float64Histogram
	waits    metric.Float64Histogram
	lanes    [numLanes]metric.MeasurementOption
	events   metric.Int64Counter
	known    sync.Map // *series by seriesKey: operations and results are few
}

func newTelemetry(id identity.System, tracer trace.Tracer, meter metric.Meter) (*telemetry, error) {
	if meter == nil {
		meter = metricnoop.NewMeterProvider().Meter(Scope)
	}
	requests, err := meter.Int64Counter("offhook_pbx_requests",
		metric.WithDescription("Requests to phone systems, each try counted."))
	if err != nil {
		return nil, fmt.Errorf("pbx metrics: %w", err)
	}
	bounds := metric.WithExplicitBucketBoundaries(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
	seconds, err := meter.Float64Histogram("offhook_pbx_request",
		metric.WithUnit("s"), metric.WithDescription("Duration of requests to phone systems."), bounds)
	if err != nil {
		return nil, fmt.Errorf("pbx metrics: %w", err)
	}
	waits, err := meter.Float64Histogram("offhook_pbx_wait",
		metric.WithUnit("s"), metric.WithDescription("How long requests to phone systems waited for their turn, by what goes first: urgent, gather, survey, bulk."), bounds)
	if err != nil {
		return nil, fmt.Errorf("pbx metrics: %w", err)
	}
	events, err := meter.Int64Counter("offhook_pbx_watch_events",
		metric.WithDescription("What watches of phone systems have told: call, status, synced, down."))
	if err != nil {
		return nil, fmt.Errorf("pbx metrics: %w", err)
	}
	system := attribute.String("system", string(id))
	t := &telemetry{
		system: system, tracer: tracer, meter: meter, requests: requests, seconds: seconds, waits: waits, events: events,
		start: []trace.SpanStartOption{trace.WithSpanKind(trace.SpanKindClient), trace.WithAttributes(system)},
	}
	for in, name := range laneNames {
		t.lanes[in] = metric.WithAttributeSet(attribute.NewSet(system, attribute.String("lane", name)))
	}
	return t, nil
}

// observe reports whether the watch is live and on how many extensions there are
// calls, until forget is called.
func (t *telemetry) observe(s *System) (forget func() error, err error) {
	watch, err := t.meter.Int64ObservableGauge("offhook_pbx_watch_live",
		metric.WithDescription("1 while a watch confirms the calls of the phone system, else 0."))
	if err != nil {
		return nil, fmt.Errorf("pbx metrics: %w", err)
	}
	calls, err := t.meter.Int64ObservableGauge("offhook_pbx_lines_in_calls",
		metric.WithDescription("Extensions in at least one call, linked or not; 0 while no watch is live."))
	if err != nil {
		return nil, fmt.Errorf("pbx metrics: %w", err)
	}
	registration, err := t.meter.RegisterCallback(func(_ context.Context, o metric.Observer) error {
		value := int64(0)
		if _, live := s.Live(); live {
			value = 1
		}
		o.ObserveInt64(watch, value, metric.WithAttributes(t.system))
		o.ObserveInt64(calls, int64(s.inCalls()), metric.WithAttributes(t.system))
		return nil
	}, watch, calls)
	if err != nil {
		return nil, fmt.Errorf("pbx metrics: %w", err)
	}
	return registration.Unregister, nil
}

// told counts an event of a watch.
func (t *telemetry) told(ctx context.Context, e WatchEvent) {
	t.events.Add(ctx, 1, metric.WithAttributes(t.system, attribute.String("kind", e.kind())))
}

// begin opens the span of one call, which has to be ended; nil without a tracer.
func (t *telemetry) begin(ctx context.Context, c call) (context.Context, trace.Span) {
	if t.tracer == nil {
		return ctx, nil
	}
	ctx, span := t.tracer.Start(ctx, "pbx "+c.op, t.start...)
	if c.ext != "" && span.IsRecording() {
		span.SetAttributes(attribute.String("extension", string(c.ext)))
	}
	return ctx, span
}

// end ends the span of a call.
func end(span trace.Span, err error) {
	if span == nil {
		return
	}
	if err != nil {
		span.SetStatus(codes.Error, err.Error())
		span.SetAttributes(attribute.String("result", fault.KindOf(err).String()))
	}
	span.End()
}

// waited records that a request has waited for its turn.
func (t *telemetry) waited(ctx context.Context, in lane, took time.Duration) {
	t.waits.Record(ctx, took.Seconds(), t.lanes[in])
}

// tried records one try.
func (t *telemetry) tried(ctx context.Context, op string, took time.Duration, err error) {
	result := "ok"
	if err != nil {
		result = fault.KindOf(err).String()
	}
	s := t.series(op, result)
	t.requests.Add(ctx, 1, s.counted...)
	t.seconds.Record(ctx, took.Seconds(), s.timed...)
}

// series are the labels of one operation and result, ready for use: to make them of each
// request costs as much as the rest that is done here beside it.
type series struct {
	counted []metric.AddOption
	timed   []metric.RecordOption
}

type seriesKey struct{ op, result string }

func (t *telemetry) series(op, result string) *series {
	key := seriesKey{op, result}
	if known, ok := t.known.Load(key); ok {
		return known.(*series)
	}
	operation := attribute.String("op", op)
	made, _ := t.known.LoadOrStore(key, &series{
		counted: []metric.AddOption{metric.WithAttributeSet(attribute.NewSet(t.system, operation, attribute.String("result", result)))},
		timed:   []metric.RecordOption{metric.WithAttributeSet(attribute.NewSet(t.system, operation))},
	})
	return made.(*series)
}
