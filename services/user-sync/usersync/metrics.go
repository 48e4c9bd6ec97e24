package usersync

import (
	"context"
	"errors"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/core/plan"
	"offhook.dev/libs/wire"
)

// metrics of the service.
type metrics struct {
	steps    metric.Int64Gauge
	held     metric.Int64Gauge
	outcomes metric.Int64Counter
}

func newMetrics(m metric.Meter) (*metrics, error) {
	var x metrics
	var errs [3]error
	x.steps, errs[0] = m.Int64Gauge("offhook_plan_steps", metric.WithDescription("Steps of the newest plan of each phone system, by what they do."))
	x.held, errs[1] = m.Int64Gauge("offhook_plan_held", metric.WithDescription("Steps of the newest plan that the brake holds back."))
	x.outcomes, errs[2] = m.Int64Counter("offhook_extension_changes", metric.WithDescription("Changes of extensions, by what came of them."))
	return &x, errors.Join(errs[:]...)
}

func (x *metrics) planned(ctx context.Context, system identity.System, counts map[plan.Op]int, held int) {
	for _, op := range []plan.Op{plan.Create, plan.Update, plan.Adopt, plan.Return, plan.Disable, plan.Delete, plan.Skip, plan.Conflict} {
		x.steps.Record(ctx, int64(counts[op]), metric.WithAttributes(attribute.String("system", string(system)), attribute.String("op", string(op))))
	}
	x.held.Record(ctx, int64(held), metric.WithAttributes(attribute.String("system", string(system))))
}

func (x *metrics) outcome(ctx context.Context, o wire.ExtensionOutcome) {
	x.outcomes.Add(ctx, 1, metric.WithAttributes(attribute.String("system", string(o.Line.System)), attribute.String("op", string(o.Op)), attribute.String("result", string(o.Result))))
}
