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

	calendars metric.Int64Counter
	drops     metric.Int64Counter
	age       metric.Float64Gauge
	kept      metric.Int64Gauge
	lanes     metric.Int64Gauge

	members  metric.Int64Gauge
	deaf     metric.Int64Gauge
	quiet    metric.Float64Gauge
	silences metric.Int64Counter
}

func newMetrics(m metric.Meter) (*metrics, error) {
	var x metrics
	var errs [13]error
	x.changes, errs[0] = m.Int64Counter("offhook_sweep_changes", metric.WithDescription("Presences that a sweep or a hint found changed."))
	x.sweeps, errs[1] = m.Int64Counter("offhook_sweeps", metric.WithDescription("Presence sweeps, by whether they went well."))
	x.took, errs[2] = m.Float64Histogram("offhook_sweep", metric.WithUnit("s"), metric.WithDescription("How long a presence sweep took."))
	x.expiry, errs[3] = m.Float64Gauge("offhook_subscription_expiry", metric.WithUnit("s"), metric.WithDescription("Until the presence subscription of an account, or the first of a tenant's subscriptions to events, ends if it is not renewed."))
	x.calendars, errs[4] = m.Int64Counter("offhook_calendar_reads", metric.WithDescription("Calendars read, by result: changed, read (nothing new), no-mailbox, denied, or the kind of the error."))
	x.drops, errs[5] = m.Int64Counter("offhook_calendar_dropped_events", metric.WithDescription("Events that could not be meant, by what is wrong with them."))
	x.age, errs[6] = m.Float64Gauge("offhook_calendar_age", metric.WithUnit("s"), metric.WithDescription("Since the calendar of a shard that was not read for the longest time was read."))
	x.kept, errs[7] = m.Int64Gauge("offhook_event_subscriptions", metric.WithDescription("Subscriptions to users' events, by state: held, missing, foreign (somebody else's are in the way)."))
	x.lanes, errs[8] = m.Int64Gauge("offhook_lane_users", metric.WithDescription("Users whose presence is read, by whether they are on a lane: covered, or swept only."))
	x.members, errs[9] = m.Int64Gauge("offhook_lane_size", metric.WithDescription("Users on the lane of an account."))
	x.deaf, errs[10] = m.Int64Gauge("offhook_lane_failing", metric.WithDescription("1 while the lane of an account tells of no changes although it should: it is failing or silent. Else 0."))
	x.quiet, errs[11] = m.Float64Gauge("offhook_lane_quiet", metric.WithUnit("s"), metric.WithDescription("Since the lane of an account last told of a change; nobody on it may have changed."))
	x.silences, errs[12] = m.Int64Counter("offhook_lane_silences", metric.WithDescription("How often the subscription of an account was made anew because it told of nothing that sweeps found."))
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

// covered reports how many users are on a lane and how many are swept only.
func (x *metrics) covered(ctx context.Context, tenant identity.Tenant, covered, swept int) {
	by := attribute.String("tenant", string(tenant))
	x.lanes.Record(ctx, int64(covered), metric.WithAttributes(by, attribute.String("by", "lane")))
	x.lanes.Record(ctx, int64(swept), metric.WithAttributes(by, attribute.String("by", "sweep")))
}

// lane reports how the lane of an account does.
func (x *metrics) lane(ctx context.Context, l wire.Lane, now time.Time) {
	by := metric.WithAttributes(attribute.String("tenant", string(l.Tenant)), attribute.String("account", l.Account))
	failing := int64(0)
	if l.State == wire.LaneFailing || l.State == wire.LaneSilent {
		failing = 1
	}
	x.deaf.Record(ctx, failing, by)
	x.members.Record(ctx, int64(l.Users), by)
	x.expiry.Record(ctx, max(0, l.Expires.Sub(now)).Seconds(), by)
	if !l.HeardAt.IsZero() {
		x.quiet.Record(ctx, max(0, now.Sub(l.HeardAt)).Seconds(), by)
	}
}

// laneLeft says nothing of a lane any more: it is given up, or another process keeps it.
func (x *metrics) laneLeft(ctx context.Context, tenant identity.Tenant, account string) {
	by := metric.WithAttributes(attribute.String("tenant", string(tenant)), attribute.String("account", account))
	x.deaf.Record(ctx, 0, by)
	x.members.Record(ctx, 0, by)
}

// silent counts a lane that is made anew because it tells of nothing.
func (x *metrics) silent(ctx context.Context, tenant identity.Tenant, account string) {
	x.silences.Add(ctx, 1, metric.WithAttributes(attribute.String("tenant", string(tenant)), attribute.String("account", account)))
}

// calendarRead counts a calendar that was read, or not, with the result.
func (x *metrics) calendarRead(ctx context.Context, tenant identity.Tenant, result string) {
	x.calendars.Add(ctx, 1, metric.WithAttributes(attribute.String("tenant", string(tenant)), attribute.String("result", result)))
}

// dropped counts an event that could not be meant. Its cause has nothing of its
// contents (graph.CalendarAnswer).
func (x *metrics) dropped(ctx context.Context, tenant identity.Tenant, cause error) {
	x.drops.Add(ctx, 1, metric.WithAttributes(attribute.String("tenant", string(tenant)), attribute.String("cause", cause.Error())))
}

func (x *metrics) calendarAge(ctx context.Context, tenant identity.Tenant, shard string, age time.Duration) {
	x.age.Record(ctx, age.Seconds(), metric.WithAttributes(attribute.String("tenant", string(tenant)), attribute.String("shard", shard)))
}

// eventSubscriptions reports all subscriptions to events of a tenant as one.
func (x *metrics) eventSubscriptions(ctx context.Context, tenant identity.Tenant, held, missing, foreign int, left time.Duration) {
	by := attribute.String("tenant", string(tenant))
	for state, n := range map[string]int{"held": held, "missing": missing, "foreign": foreign} {
		x.kept.Record(ctx, int64(n), metric.WithAttributes(by, attribute.String("state", state)))
	}
	if held > 0 {
		x.expiry.Record(ctx, left.Seconds(), metric.WithAttributes(by, attribute.String("resource", "event")))
	}
}
