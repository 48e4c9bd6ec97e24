package writer

import (
	"context"
	"hash/maphash"
	"time"

	"golang.org/x/sync/errgroup"

	"offhook.dev/libs/bus"
	"offhook.dev/libs/core/directory"
	"offhook.dev/libs/core/fault"
	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/pbx"
	"offhook.dev/libs/run"
	"offhook.dev/libs/topology"
	"offhook.dev/libs/wire"
)

// inventoryLoop publishes the inventory at the start, every quarter of an hour, and when
// it is wanted by a moment at which the last listing had begun already. listed is called
// after each listing.
func (s *system) inventoryLoop(ctx context.Context, wanted <-chan time.Time, listed func()) error {
	for {
		var began time.Time
		err := s.until(ctx, "read inventory", func(ctx context.Context) error {
			began = s.w.bus.Now()
			if err := s.inventory(ctx); err != nil && fault.KindOf(err) != fault.Unsupported {
				return err
			}
			return s.describe(ctx, began)
		})
		if err != nil {
			return nil // the lease or the service ends
		}
		listed()
		for next := time.After(s.conf.Inventory); next != nil; {
			select {
			case <-ctx.Done():
				return nil
			case at := <-wanted:
				if at.After(began) {
					next = nil
				}
			case <-next:
				next = nil
			}
		}
	}
}

// inventoryWanted hears of wants for a listing and hands on when the newest is of. It
// keeps no position: a new owner lists at its start.
func (s *system) inventoryWanted(ctx context.Context, wanted chan time.Time) error {
	return run.Ended(ctx, s.w.bus.Follow(ctx, topology.Wants, []string{wire.InventoryWantSubject(s.id)}, func(m bus.Message) error {
		want, err := wire.DecodeInventoryWant(m.Data)
		if err != nil {
			return nil // it is none; who wanted it goes by the last listing, and says so
		}
		select {
		case <-wanted: // an older one
		default:
		}
		wanted <- want.WantedAt
		return nil
	}, func() {}))
}

// inventory publishes the extensions that are new, changed or gone, several side by side.
func (s *system) inventory(ctx context.Context) error {
	known, err := s.published(ctx)
	if err != nil {
		return err
	}
	s.inBulk.Add(1)
	defer s.inBulk.Add(-1)
	began := s.w.bus.Now()
	publish, publishing := errgroup.WithContext(ctx)
	publish.SetLimit(publishAtOnce)
	err = s.pbx.Extensions(publishing, func(e directory.Extension) error {
		fact := wire.Inventory{Line: identity.Line{System: s.id, Extension: e.Number}, Fields: e.Fields, Marker: e.Marker, Enabled: e.Enabled,
			Powers: s.pbx.Capabilities().Powers, SeenAt: began}
		old := known[e.Number]
		delete(known, e.Number)
		if old.sequence == 0 || old.print != s.fingerprint(fact) {
			publish.Go(func() error { return s.list(publishing, fact, old.sequence) })
		}
		return nil
	})
	if failed := publish.Wait(); failed != nil { // which ended the listing
		err = failed
	}
	if err != nil {
		return err // what was not listed is not gone
	}
	for ext, old := range known {
		if old.gone {
			continue
		}
		// Absence from a listing proves nothing (pbx.Driver.Statuses): ask.
		if _, err := s.pbx.Status(ctx, ext); err == nil {
			continue
		} else if fault.KindOf(err) != fault.NotFound {
			return err
		}
		if err := s.list(ctx, wire.Inventory{Line: identity.Line{System: s.id, Extension: ext}, Gone: true, SeenAt: began}, old.sequence); err != nil {
			return err
		}
	}
	return nil
}

// publishAtOnce is how many facts of a listing are on their way to the broker.
const publishAtOnce = 32

// stored is an inventory fact of the stream, as small as a comparison allows.
type stored struct {
	sequence uint64
	print    uint64
	gone     bool
}

// published reads what the stream has of every extension.
func (s *system) published(ctx context.Context) (map[identity.Extension]stored, error) {
	known := map[identity.Extension]stored{}
	filter := topology.Wildcard("pbx.fact.inventory." + topology.Token(string(s.id)) + ".<ext>")
	err := s.w.bus.Each(ctx, topology.Directory, filter, func(m bus.Message) error {
		fact, err := wire.DecodeInventory(m.Data)
		if err == nil {
			known[fact.Line.Extension] = stored{m.Sequence, s.fingerprint(fact), fact.Gone}
		}
		return nil
	})
	return known, err
}

// prints are the same only within this process.
var prints = maphash.MakeSeed()

// fingerprint stands for what a fact says that a listing would say: not for its time, and
// for the marker only where listings tell markers. Where they do not, the marker that was
// seen otherwise stays in the fact until something else of the extension changes.
func (s *system) fingerprint(fact wire.Inventory) uint64 {
	fact.SeenAt = time.Time{}
	if s.pbx.Capabilities().Writer.Marker != pbx.ListedMarker {
		fact.Marker = ""
	}
	return maphash.Comparable(prints, fact)
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
// says so. A listing that is faster by a moment and says the same does not know the marker,
// perhaps; one that says something else may know of what came after.
func (s *system) relist(ctx context.Context, fact wire.Inventory) error {
	fact.Powers, fact.SeenAt = s.pbx.Capabilities().Powers, s.w.bus.Now()
	last, err := s.w.bus.Last(ctx, topology.Directory, wire.InventorySubject(fact.Line))
	if err != nil && fault.KindOf(err) != fault.NotFound {
		return err
	}
	err = s.w.publishOver(ctx, fact, last.Sequence)
	if fault.KindOf(err) != fault.Conflict {
		return err
	}
	faster, err := s.w.bus.Last(ctx, topology.Directory, wire.InventorySubject(fact.Line))
	if err != nil {
		return err
	}
	if told, err := wire.DecodeInventory(faster.Data); err != nil || s.fingerprint(told) != s.fingerprint(fact) {
		return err
	}
	return s.list(ctx, fact, faster.Sequence)
}
