package bus

import (
	"context"
	"math"
	"sync/atomic"
	"time"

	"offhook.dev/libs/topology"
)

// brokerClock estimates the broker's time: the one clock by which facts of all
// services are ordered.
type brokerClock struct{ offset atomic.Int64 } // nanoseconds to add to the local clock

// Now returns broker time: the local clock corrected by the last SyncClock.
func (b *Bus) Now() time.Time { return time.Now().Add(time.Duration(b.clock.offset.Load())) }

// probes is how often SyncClock asks; the quickest answer is the truest.
const probes = 5

// SyncClock asks the broker for its time and remembers the difference. Services
// call it at start and every minute. The error is at most half the quickest round
// trip; a difference within that error is taken for none, so that services on one
// machine agree to the clock's own resolution.
func (b *Bus) SyncClock(ctx context.Context) error {
	stream, err := b.js.Stream(ctx, string(topology.Facts))
	if err != nil {
		return classify("bus: clock", err)
	}
	best := time.Duration(math.MaxInt64)
	var offset time.Duration
	for range probes {
		before := time.Now()
		info, err := stream.Info(ctx)
		if err != nil {
			return classify("bus: clock", err)
		}
		trip := time.Since(before)
		if !info.TimeStamp.IsZero() && trip < best {
			best, offset = trip, info.TimeStamp.Sub(before.Add(trip/2))
		}
	}
	if offset.Abs() <= best/2 {
		offset = 0
	}
	b.clock.offset.Store(int64(offset))
	return nil
}
