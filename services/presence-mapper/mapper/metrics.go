package mapper

import (
	"context"
	"errors"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	"offhook.dev/libs/core/presence"
)

type metrics struct {
	decisions metric.Int64Counter
	conflicts metric.Int64Counter
	repairs   metric.Int64Counter
}

func newMetrics(m metric.Meter) (*metrics, error) {
	var x metrics
	var errs [3]error
	x.decisions, errs[0] = m.Int64Counter("offhook_decisions", metric.WithDescription("Decisions that changed what is wanted, by reason."))
	x.conflicts, errs[1] = m.Int64Counter("offhook_memory_conflicts", metric.WithDescription("Decisions started again because a replica was faster."))
	x.repairs, errs[2] = m.Int64Counter("offhook_mapper_repairs", metric.WithDescription("What the minute pass made up for, by what was missing."))
	return &x, errors.Join(errs[:]...)
}

func (x *metrics) decided(ctx context.Context, reason presence.Reason) {
	x.decisions.Add(ctx, 1, metric.WithAttributes(attribute.String("reason", reason.String())))
}

func (x *metrics) conflict(ctx context.Context) { x.conflicts.Add(ctx, 1) }

func (x *metrics) passed(ctx context.Context, due, lost int) {
	x.repairs.Add(ctx, int64(due), metric.WithAttributes(attribute.String("missing", "look")))
	x.repairs.Add(ctx, int64(lost), metric.WithAttributes(attribute.String("missing", "want")))
}
