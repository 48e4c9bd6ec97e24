package writer

import (
	"context"
	"errors"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/core/presence"
	"offhook.dev/libs/wire"
)

// metrics of the service (the exporter adds "_total" and
// the unit).
type metrics struct {
	writes  metric.Int64Counter
	seen    metric.Int64Counter
	repairs metric.Int64Counter
	fights  metric.Int64Counter
	delay   metric.Float64Histogram
	state   metric.Int64Gauge
	bulk    metric.Int64Counter
}

func newMetrics(m metric.Meter) (*metrics, error) {
	var x metrics
	var errs [7]error
	x.writes, errs[0] = m.Int64Counter("offhook_pbx_writes", metric.WithDescription("Wants settled, by result."))
	x.seen, errs[1] = m.Int64Counter("offhook_pbx_observations", metric.WithDescription("Statuses that changed, by whose they are."))
	x.repairs, errs[2] = m.Int64Counter("offhook_pbx_repairs", metric.WithDescription("Wants that the minute pass carried out again."))
	x.delay, errs[3] = m.Float64Histogram("offhook_change_latency", metric.WithUnit("s"), metric.WithDescription("From a change being seen to its being applied."),
		metric.WithExplicitBucketBoundaries(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300))
	x.state, errs[4] = m.Int64Gauge("offhook_pbx_up", metric.WithDescription("Whether the phone system answered last time."))
	x.bulk, errs[5] = m.Int64Counter("offhook_pbx_changes", metric.WithDescription("Changes of extensions, photos and contacts, by result."))
	x.fights, errs[6] = m.Int64Counter("offhook_pbx_fights", metric.WithDescription("Times that an extension was left alone for a while because something else kept changing it."))
	return &x, errors.Join(errs[:]...)
}

func (x *metrics) changed(ctx context.Context, id identity.System, kind string, result wire.ChangeResult) {
	x.bulk.Add(ctx, 1, metric.WithAttributes(attribute.String("system", string(id)), attribute.String("kind", kind), attribute.String("result", string(result))))
}

func (x *metrics) wrote(ctx context.Context, id identity.System, result string) {
	x.writes.Add(ctx, 1, metric.WithAttributes(attribute.String("system", string(id)), attribute.String("result", result)))
}

func (x *metrics) observed(ctx context.Context, id identity.System, origin presence.Origin) {
	x.seen.Add(ctx, 1, metric.WithAttributes(attribute.String("system", string(id)), attribute.String("origin", string(origin))))
}

func (x *metrics) repaired(ctx context.Context, id identity.System) {
	x.repairs.Add(ctx, 1, metric.WithAttributes(attribute.String("system", string(id))))
}

func (x *metrics) fought(ctx context.Context, id identity.System) {
	x.fights.Add(ctx, 1, metric.WithAttributes(attribute.String("system", string(id))))
}

func (x *metrics) latency(ctx context.Context, d time.Duration) {
	x.delay.Record(ctx, d.Seconds(), metric.WithAttributes(attribute.String("direction", "m365-to-pbx"), attribute.String("source", "teams")))
}

func (x *metrics) up(ctx context.Context, id identity.System, ok bool) {
	var v int64
	if ok {
		v = 1
	}
	x.state.Record(ctx, v, metric.WithAttributes(attribute.String("system", string(id))))
}
