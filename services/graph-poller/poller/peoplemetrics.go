package poller

import (
	"context"
	"errors"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	"offhook.dev/libs/core/identity"
)

// peopleMetrics are those of reading users, contacts and photos.
type peopleMetrics struct {
	asked metric.Int64Counter
	ear   metric.Int64Gauge
}

func newPeopleMetrics(m metric.Meter) (*peopleMetrics, error) {
	var x peopleMetrics
	var errs [2]error
	x.asked, errs[0] = m.Int64Counter("offhook_mailbox_purposes", metric.WithDescription("Mailboxes of accounts that nobody signs in to, asked what they are for, by answer: user, shared, room, ..., no mailbox, or the kind of the error."))
	x.ear, errs[1] = m.Int64Gauge("offhook_users_subscribed", metric.WithDescription("1 while Graph tells of changes of the directory, else 0: then they are found by reading."))
	return &x, errors.Join(errs[:]...)
}

// purposes counts mailboxes that were asked what they are for.
func (x *peopleMetrics) purposes(ctx context.Context, tenant identity.Tenant, results map[string]int) {
	for result, n := range results {
		x.asked.Add(ctx, int64(n), metric.WithAttributes(attribute.String("tenant", string(tenant)), attribute.String("result", result)))
	}
}

// heard reports whether Graph tells of changes of the directory.
func (x *peopleMetrics) heard(ctx context.Context, tenant identity.Tenant, is bool) {
	value := int64(0)
	if is {
		value = 1
	}
	x.ear.Record(ctx, value, metric.WithAttributes(attribute.String("tenant", string(tenant))))
}
