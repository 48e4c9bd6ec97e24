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

	mailboxes metric.Int64Counter
	drops     metric.Int64Counter
	resets    metric.Int64Counter
	queue     metric.Int64Gauge

	pictures metric.Int64Counter
}

func newPeopleMetrics(m metric.Meter) (*peopleMetrics, error) {
	var x peopleMetrics
	var errs [7]error
	x.asked, errs[0] = m.Int64Counter("offhook_mailbox_purposes", metric.WithDescription("Mailboxes of accounts that nobody signs in to, asked what they are for, by answer: user, shared, room, ..., no mailbox, or the kind of the error."))
	x.ear, errs[1] = m.Int64Gauge("offhook_users_subscribed", metric.WithDescription("1 while Graph tells of changes of the directory, else 0: then they are found by reading."))
	x.mailboxes, errs[2] = m.Int64Counter("offhook_contact_reads", metric.WithDescription("Mailboxes whose contacts were read, by result: changed, read (nothing new), no mailbox, gone, denied, or the kind of the error."))
	x.drops, errs[3] = m.Int64Counter("offhook_contacts_dropped", metric.WithDescription("Contacts that could not be read or are too large."))
	x.resets, errs[4] = m.Int64Counter("offhook_contact_resets", metric.WithDescription("Folders of contacts that were read anew because Graph did not know how far they had been read."))
	x.queue, errs[5] = m.Int64Gauge("offhook_contact_mailboxes_waiting", metric.WithDescription("Mailboxes whose contacts are being read or are to be read now."))
	x.pictures, errs[6] = m.Int64Counter("offhook_photo_reads", metric.WithDescription("Users asked which photo they have, by result: unchanged, changed, none, removed, not-a-picture, too-large, or the kind of the error."))
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

// contacts counts a mailbox whose contacts were read, or not, with the result.
func (x *peopleMetrics) contacts(ctx context.Context, tenant identity.Tenant, result string) {
	x.mailboxes.Add(ctx, 1, metric.WithAttributes(attribute.String("tenant", string(tenant)), attribute.String("result", result)))
}

// unread counts contacts that could not be read.
func (x *peopleMetrics) unread(ctx context.Context, tenant identity.Tenant, contacts int) {
	x.drops.Add(ctx, int64(contacts), metric.WithAttributes(attribute.String("tenant", string(tenant))))
}

// reset counts a folder that was read anew.
func (x *peopleMetrics) reset(ctx context.Context, tenant identity.Tenant) {
	x.resets.Add(ctx, 1, metric.WithAttributes(attribute.String("tenant", string(tenant))))
}

// waiting reports how many mailboxes wait.
func (x *peopleMetrics) waiting(ctx context.Context, tenant identity.Tenant, mailboxes int) {
	x.queue.Record(ctx, int64(mailboxes), metric.WithAttributes(attribute.String("tenant", string(tenant))))
}

// photos counts users who were asked which photo they have.
func (x *peopleMetrics) photos(ctx context.Context, tenant identity.Tenant, results map[string]int) {
	for result, n := range results {
		x.pictures.Add(ctx, int64(n), metric.WithAttributes(attribute.String("tenant", string(tenant)), attribute.String("result", result)))
	}
}
