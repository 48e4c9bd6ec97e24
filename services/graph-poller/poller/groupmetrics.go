package poller

import (
	"context"
	"errors"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	"offhook.dev/libs/core/identity"
)

// groupMetrics are those of reading groups.
type groupMetrics struct {
	reads metric.Int64Counter
	named metric.Int64Gauge
	names metric.Int64Gauge
}

func newGroupMetrics(m metric.Meter) (*groupMetrics, error) {
	var x groupMetrics
	var errs [3]error
	x.reads, errs[0] = m.Int64Counter("offhook_group_reads", metric.WithDescription("Groups read, by result: changed, read (nothing new), or the kind of the error."))
	x.named, errs[1] = m.Int64Gauge("offhook_groups", metric.WithDescription("Groups that options or priorities name, by the last read of their members: read, gone, denied, failed. Of the last two those that were known stay."))
	x.names, errs[2] = m.Int64Gauge("offhook_priority_names", metric.WithDescription("Names in presence.priority that are no object ids, by what they mean: user, group, ambiguous, unknown, denied, failed. By the last four nobody gets a place before others, but for a group that was known by the name before it was denied or failed."))
	return &x, errors.Join(errs[:]...)
}

// read counts a group that was read, or not, with the result.
func (x *groupMetrics) read(ctx context.Context, tenant identity.Tenant, result string) {
	x.reads.Add(ctx, 1, metric.WithAttributes(attribute.String("tenant", string(tenant)), attribute.String("result", result)))
}

// known reports all groups that are named.
func (x *groupMetrics) known(ctx context.Context, tenant identity.Tenant, counts map[groupResult]int) {
	for _, result := range []groupResult{groupRead, groupGone, groupDenied, groupFailed} {
		x.named.Record(ctx, int64(counts[result]), metric.WithAttributes(attribute.String("tenant", string(tenant)), attribute.String("result", string(result))))
	}
}

// meant reports what the names of presence.priority mean.
func (x *groupMetrics) meant(ctx context.Context, tenant identity.Tenant, counts map[nameResult]int) {
	for _, result := range []nameResult{nameUser, nameGroup, nameAmbiguous, nameUnknown, nameDenied, nameFailed} {
		x.names.Record(ctx, int64(counts[result]), metric.WithAttributes(attribute.String("tenant", string(tenant)), attribute.String("result", string(result))))
	}
}
