package graphwriter

import (
	"context"
	"errors"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	"offhook.dev/libs/core/identity"
)

// metrics of the service (the exporter adds "_total" and the unit).
type metrics struct {
	writes  metric.Int64Counter
	repairs metric.Int64Counter
	fights  metric.Int64Counter
	delay   metric.Float64Histogram
}

func newMetrics(m metric.Meter) (*metrics, error) {
	var x metrics
	var errs [4]error
	x.writes, errs[0] = m.Int64Counter("offhook_graph_writes", metric.WithDescription("What came of each session and preferred presence that a want named or ended, by result; tries that will be repeated by their error."))
	x.repairs, errs[1] = m.Int64Counter("offhook_graph_repairs", metric.WithDescription("Wants that the minute pass carried out again, and sessions that it set again because Teams had let them fade."))
	x.delay, errs[2] = m.Float64Histogram("offhook_change_latency", metric.WithUnit("s"), metric.WithDescription("From a change being seen to its being applied."),
		metric.WithExplicitBucketBoundaries(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300))
	x.fights, errs[3] = m.Int64Counter("offhook_graph_fights", metric.WithDescription("Times that a user's Teams presence was left alone for a while because something else kept changing it."))
	return &x, errors.Join(errs[:]...)
}

func (x *metrics) wrote(ctx context.Context, tenant identity.Tenant, t target, result string) {
	x.writes.Add(ctx, 1, metric.WithAttributes(attribute.String("tenant", string(tenant)), attribute.String("target", string(t)), attribute.String("result", result)))
}

func (x *metrics) repaired(ctx context.Context, tenant identity.Tenant) {
	x.repairs.Add(ctx, 1, metric.WithAttributes(attribute.String("tenant", string(tenant))))
}

func (x *metrics) fought(ctx context.Context, tenant identity.Tenant) {
	x.fights.Add(ctx, 1, metric.WithAttributes(attribute.String("tenant", string(tenant))))
}

// sources names what a target stands for as the source of a change.
var sources = map[target]string{session: "call", preferred: "manual"}

func (x *metrics) latency(ctx context.Context, t target, d time.Duration) {
	x.delay.Record(ctx, d.Seconds(), metric.WithAttributes(attribute.String("direction", "pbx-to-m365"), attribute.String("source", sources[t])))
}
