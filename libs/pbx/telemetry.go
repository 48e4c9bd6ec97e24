package pbx

import (
	"context"
	"fmt"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/metric"
	metricnoop "go.opentelemetry.io/otel/metric/noop"
	"go.opentelemetry.io/otel/trace"
	tracenoop "go.opentelemetry.io/otel/trace/noop"

	"offhook.dev/libs/core/fault"
	"offhook.dev/libs/core/identity"
)

// Scope is the instrumentation scope of this package's spans and metrics.
const Scope = "offhook.dev/libs/pbx"

// telemetry holds the instruments: offhook_pbx_requests{system,op,result}
// counts tries (not calls), with result "ok" or the error's kind;
// offhook_pbx_request{system,op} is how long they took.
type telemetry struct {
	system   attribute.KeyValue
	tracer   trace.Tracer
	requests metric.Int64Counter
	seconds  metric.Float64Histogram
}

func newTelemetry(id identity.System, tracer trace.Tracer, meter metric.Meter) (*telemetry, error) {
	if tracer == nil {
		tracer = tracenoop.NewTracerProvider().Tracer(Scope)
	}
	if meter == nil {
		meter = metricnoop.NewMeterProvider().Meter(Scope)
	}
	requests, err := meter.Int64Counter("offhook_pbx_requests",
		metric.WithDescription("Requests to phone systems, each try counted."))
	if err != nil {
		return nil, fmt.Errorf("pbx metrics: %w", err)
	}
	seconds, err := meter.Float64Histogram("offhook_pbx_request",
		metric.WithUnit("s"), metric.WithDescription("Duration of requests to phone systems."),
		metric.WithExplicitBucketBoundaries(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30))
	if err != nil {
		return nil, fmt.Errorf("pbx metrics: %w", err)
	}
	return &telemetry{attribute.String("system", string(id)), tracer, requests, seconds}, nil
}

// begin opens the span of one call. The returned function ends it.
func (t *telemetry) begin(ctx context.Context, c call) (context.Context, func(error)) {
	attributes := []attribute.KeyValue{t.system}
	if c.ext != "" {
		attributes = append(attributes, attribute.String("extension", string(c.ext)))
	}
	ctx, span := t.tracer.Start(ctx, "pbx "+c.op,
		trace.WithSpanKind(trace.SpanKindClient), trace.WithAttributes(attributes...))
	return ctx, func(err error) {
		if err != nil {
			span.SetStatus(codes.Error, err.Error())
			span.SetAttributes(attribute.String("result", fault.KindOf(err).String()))
		}
		span.End()
	}
}

// tried records one try.
func (t *telemetry) tried(ctx context.Context, op string, took time.Duration, err error) {
	result := "ok"
	if err != nil {
		result = fault.KindOf(err).String()
	}
	operation := attribute.String("op", op)
	t.requests.Add(ctx, 1, metric.WithAttributes(t.system, operation, attribute.String("result", result)))
	t.seconds.Record(ctx, took.Seconds(), metric.WithAttributes(t.system, operation))
}
