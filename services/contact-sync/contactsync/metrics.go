package contactsync

import (
	"context"
	"errors"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/wire"
)

// metrics of the service (the exporter adds "_total"). None has a label that grows with
// people or contacts.
type metrics struct {
	pages   metric.Int64Counter
	sends   metric.Int64Counter
	changes metric.Int64Counter
	remarks metric.Int64Counter
	entries metric.Int64Gauge
	todo    metric.Int64Gauge
	books   metric.Int64Gauge
	waits   metric.Int64Gauge
}

func newMetrics(m metric.Meter) (*metrics, error) {
	var x metrics
	var errs [8]error
	x.pages, errs[0] = m.Int64Counter("offhook_contact_pages", metric.WithDescription("Pages of contacts dealt with."))
	x.sends, errs[1] = m.Int64Counter("offhook_contact_series", metric.WithDescription("Series of changes sent to be applied."))
	x.changes, errs[2] = m.Int64Counter("offhook_contact_changes", metric.WithDescription("Changes of phonebooks by what came of them."))
	x.remarks, errs[3] = m.Int64Counter("offhook_contact_remarks", metric.WithDescription("What was left out of contacts, by reason."))
	x.entries, errs[4] = m.Int64Gauge("offhook_contact_entries", metric.WithDescription("Entries of phonebooks that are Offhook's."))
	x.todo, errs[5] = m.Int64Gauge("offhook_contact_open_changes", metric.WithDescription("Changes that are to be done, held back or in trouble."))
	x.books, errs[6] = m.Int64Gauge("offhook_contact_books", metric.WithDescription("Phonebooks by how they stand."))
	x.waits, errs[7] = m.Int64Gauge("offhook_contact_waiting", metric.WithDescription("Pages that wait, and mailboxes that have to be read whole."))
	return &x, errors.Join(errs[:]...)
}

func of(key, value string) attribute.KeyValue { return attribute.String(key, value) }

func (x *metrics) page(ctx context.Context, tenant identity.Tenant) {
	x.pages.Add(ctx, 1, metric.WithAttributes(of("tenant", string(tenant))))
}

func (x *metrics) sent(ctx context.Context, system identity.System) {
	x.sends.Add(ctx, 1, metric.WithAttributes(of("system", string(system))))
}

func (x *metrics) landed(ctx context.Context, o wire.ContactsOutcome) {
	for _, r := range o.Results {
		x.changes.Add(ctx, 1, metric.WithAttributes(of("system", string(o.Book.System)), of("op", string(r.Op)), of("result", string(r.Result))))
	}
}

func (x *metrics) remarked(ctx context.Context, system identity.System, said remarks) {
	for why, count := range said {
		x.remarks.Add(ctx, int64(count), metric.WithAttributes(of("system", string(system)), of("reason", string(why))))
	}
}
