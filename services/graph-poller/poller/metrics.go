package poller

import (
	"context"
	"errors"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/wire"
)

type metrics struct {
	changes metric.Int64Counter
	sweeps  metric.Int64Counter
	took    metric.Float64Histogram
	expiry  metric.Float64Gauge
}

func newMetrics(m metric.Meter) (*metrics, error) {
	var x metrics
	var errs [4]error
	x.changes, errs[0] = m.Int64Counter("offhook_sweep_changes", metric.WithDescription("Presences that a sweep or a hint found changed."))
	x.sweeps, errs[1] = m.Int64Counter("offhook_sweeps", metric.WithDescription("Presence sweeps, by whether they went well."))
	x.took, errs[2] = m.Float64Histogram("offhook_sweep", metric.WithUnit("s"), metric.WithDescription("How long a presence sweep took."))
	x.expiry, errs[3] = m.Float64Gauge("offhook_subscription_expiry", metric.WithUnit("s"), metric.WithDescription("Until the presence subscription ends if it is not renewed."))
	return &x, errors.Join(errs[:]...)
}

func (x *metrics) changed(ctx context.Context, tenant identity.Tenant) {
	x.changes.Add(ctx, 1, metric.WithAttributes(attribute.String("tenant", string(tenant))))
}

func (x *metrics) swept(ctx context.Context, tenant identity.Tenant, s wire.Sweep) {
	by := metric.WithAttributes(attribute.String("tenant", string(tenant)))
	x.sweeps.Add(ctx, 1, by, metric.WithAttributes(attribute.Bool("ok", s.OK)))
	x.took.Record(ctx, s.Ended.Sub(s.Began).Seconds(), by)
}

func (x *metrics) expires(ctx context.Context, tenant identity.Tenant, account string, left time.Duration) {
	x.expiry.Record(ctx, left.Seconds(), metric.WithAttributes(attribute.String("tenant", string(tenant)), attribute.String("account", account)))
}
