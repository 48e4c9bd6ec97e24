package writer

import (
	"context"
	"time"

	"offhook.dev/libs/bus"
	"offhook.dev/libs/core/directory"
	"offhook.dev/libs/core/fault"
	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/topology"
	"offhook.dev/libs/wire"
)

// inventoryLoop publishes the inventory at the start and every quarter of an hour.
// listed is called after each listing.
func (s *system) inventoryLoop(ctx context.Context, listed func()) error {
	for {
		err := s.until(ctx, "read inventory", func(ctx context.Context) error {
			began := s.w.bus.Now()
			if err := s.inventory(ctx); err != nil && fault.KindOf(err) != fault.Unsupported {
				return err
			}
			return s.describe(ctx, began)
		})
		if err != nil {
			return nil // the lease or the service ends
		}
		listed()
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(s.conf.Inventory):
		}
	}
}

// inventory publishes the extensions that are new, changed or gone.
func (s *system) inventory(ctx context.Context) error {
	known := map[identity.Line]stored{}
	filter := topology.Wildcard("pbx.fact.inventory." + topology.Token(string(s.id)) + ".<ext>")
	err := s.w.bus.Each(ctx, topology.Directory, filter, func(m bus.Message) error {
		fact, err := wire.DecodeInventory(m.Data)
		if err == nil {
			known[fact.Line] = stored{fact, m.Sequence}
		}
		return nil
	})
	if err != nil {
		return err
	}
	began := s.w.bus.Now()
	err = s.pbx.Extensions(ctx, func(e directory.Extension) error {
		fact := wire.Inventory{Line: identity.Line{System: s.id, Extension: e.Number}, Fields: e.Fields, Marker: e.Marker, Enabled: e.Enabled,
			Powers: s.pbx.Capabilities().Powers, SeenAt: began}
		old := known[fact.Line]
		delete(known, fact.Line)
		if old.same(fact) {
			return nil
		}
		return s.list(ctx, fact, old.sequence)
	})
	if err != nil {
		return err // what was not listed is not gone
	}
	for id, old := range known {
		if old.fact.Gone {
			continue
		}
		// Absence from a listing proves nothing (pbx.Driver.Statuses): ask.
		if _, err := s.pbx.Status(ctx, id.Extension); err == nil {
			continue
		} else if fault.KindOf(err) != fault.NotFound {
			return err
		}
		if err := s.list(ctx, wire.Inventory{Line: id, Gone: true, SeenAt: began}, old.sequence); err != nil {
			return err
		}
	}
	return nil
}

// list publishes an extension over the fact with a sequence. Where somebody was faster,
// that is a change of ours, which knows more than a listing that began before it.
func (s *system) list(ctx context.Context, fact wire.Inventory, last uint64) error {
	err := s.w.publishOver(ctx, fact, last)
	if fault.KindOf(err) == fault.Conflict {
		return nil
	}
	return err
}

// relist publishes what a change of ours made of an extension, before the next listing
// says so.
func (s *system) relist(ctx context.Context, fact wire.Inventory) error {
	fact.Powers, fact.SeenAt = s.pbx.Capabilities().Powers, s.w.bus.Now()
	last, err := s.w.bus.Last(ctx, topology.Directory, wire.InventorySubject(fact.Line))
	if err != nil && fault.KindOf(err) != fault.NotFound {
		return err
	}
	return s.list(ctx, fact, last.Sequence)
}

// stored is an inventory fact as the stream has it.
type stored struct {
	fact     wire.Inventory
	sequence uint64
}

// same says whether the stored fact differs in its time alone.
func (s stored) same(fact wire.Inventory) bool {
	fact.SeenAt = s.fact.SeenAt
	return s.sequence > 0 && s.fact == fact
}
