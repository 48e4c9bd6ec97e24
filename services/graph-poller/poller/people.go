package poller

import (
	"context"

	"golang.org/x/sync/errgroup"
)

// people reads who is in the directory of a tenant and what is in their mailboxes, and
// carries out orders to do so now. It is one share of the work, because orders are about
// all of it.
func (t *tenant) people(ctx context.Context) error {
	users, contacts := newUserReader(t), newContactReader(t)
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return users.run(ctx) })
	g.Go(func() error { return contacts.run(ctx) })
	g.Go(func() error { return newPhotoReader(t).run(ctx) })
	g.Go(func() error { return t.readOrders(ctx, users, contacts) })
	return g.Wait()
}
