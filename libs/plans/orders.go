package plans

import (
	"context"

	"offhook.dev/libs/bus"
	"offhook.dev/libs/core/fault"
	"offhook.dev/libs/topology"
	"offhook.dev/libs/wire"
)

// Ended says whether an order that comes again has ended already: whoever carries it out
// tells its end before it leaves the queue.
func Ended(ctx context.Context, b *bus.Bus, o wire.SyncOrder) (bool, error) {
	m, err := b.Last(ctx, topology.Outcomes, wire.SyncOutcomeSubject(o.Tenant, o.ID))
	if err != nil {
		if fault.KindOf(err) == fault.NotFound {
			return false, nil
		}
		return false, err
	}
	last, err := wire.DecodeSyncOutcome(m.Data)
	return err == nil && last.Kind == o.Kind && last.State.Ended(o.Op), nil
}
