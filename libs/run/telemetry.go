package run

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracegrpc"
	promexporter "go.opentelemetry.io/otel/exporters/prometheus"
	"go.opentelemetry.io/otel/metric"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	semconv "go.opentelemetry.io/otel/semconv/v1.37.0"
	"go.opentelemetry.io/otel/trace"
)

// Telemetry is one process's logs, metrics and traces.
type Telemetry struct {
	Log      *slog.Logger
	Registry *prometheus.Registry
	meters   *sdkmetric.MeterProvider
	tracers  *sdktrace.TracerProvider
}

// TelemetryOptions says where they go.
type TelemetryOptions struct {
	Process      string // the service, or "offhook"
	Instance     string
	LogTo        io.Writer
	LogLevel     slog.Level
	LogText      bool   // for people: one readable line each instead of JSON
	OTLPEndpoint string // URL of a collector; "": traces are not exported
}

// NewTelemetry sets telemetry up. Without a collector spans are still made, so
// that every log line, decision and outcome carries a trace id.
func NewTelemetry(ctx context.Context, o TelemetryOptions) (*Telemetry, error) {
	t := &Telemetry{Registry: prometheus.NewRegistry()}
	t.Log = slog.New(logHandler(o)).With("instance", o.Instance)
	exporter, err := promexporter.New(promexporter.WithRegisterer(t.Registry), promexporter.WithoutScopeInfo(), promexporter.WithoutTargetInfo())
	if err != nil {
		return nil, fmt.Errorf("telemetry: %w", err)
	}
	about := resource.NewSchemaless(semconv.ServiceName("offhook-"+o.Process), semconv.ServiceInstanceID(o.Instance))
	t.meters = sdkmetric.NewMeterProvider(sdkmetric.WithReader(exporter), sdkmetric.WithResource(about))
	traces := []sdktrace.TracerProviderOption{sdktrace.WithResource(about)}
	if o.OTLPEndpoint != "" {
		spans, err := otlptracegrpc.New(ctx, otlptracegrpc.WithEndpointURL(o.OTLPEndpoint))
		if err != nil {
			return nil, fmt.Errorf("telemetry: %w", err)
		}
		traces = append(traces, sdktrace.WithBatcher(spans))
	}
	t.tracers = sdktrace.NewTracerProvider(traces...)
	return t, nil
}

func logHandler(o TelemetryOptions) slog.Handler {
	options := &slog.HandlerOptions{Level: o.LogLevel}
	if o.LogText {
		return slog.NewTextHandler(o.LogTo, options)
	}
	return slog.NewJSONHandler(o.LogTo, options)
}

// Meter returns the meter of one service.
func (t *Telemetry) Meter(service string) metric.Meter { return t.meters.Meter(service) }

// Tracer returns the tracer of one service.
func (t *Telemetry) Tracer(service string) trace.Tracer { return t.tracers.Tracer(service) }

// Register adds /metrics.
func (t *Telemetry) Register(mux *http.ServeMux) {
	mux.Handle("GET /metrics", promhttp.HandlerFor(t.Registry, promhttp.HandlerOpts{}))
}

// Close sends what is not sent yet, within ctx.
func (t *Telemetry) Close(ctx context.Context) {
	_ = t.tracers.Shutdown(ctx)
	_ = t.meters.Shutdown(ctx)
}
