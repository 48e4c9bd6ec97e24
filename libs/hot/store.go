package hot

import (
	"context"
	"fmt"
	"time"

	"offhook.dev/libs/core/fault"
)

// Store is hot state. Every method may be called from several goroutines.
//
// A context that has ended gives an error of kind fault.Cancelled or
// fault.Timeout; arguments that can never be right give fault.Invalid.
type Store interface {
	// Take takes n events from the budget of key. It returns 0 if they were
	// taken. Else it took nothing, and returns how long it would be until they
	// could be taken if nobody else took any; the wait is never 0 then. n below
	// 1 or above l.Burst is fault.Invalid, as is a limit that Valid refuses. All
	// callers of one key give the same limit.
	Take(ctx context.Context, key string, l Limit, n int) (wait time.Duration, err error)

	// Get returns a copy of the value of key, and whether there is one.
	Get(ctx context.Context, key string) ([]byte, bool, error)

	// Set remembers a copy of value for ttl, instead of any earlier one. A ttl
	// below a millisecond is fault.Invalid: hot state always ends.
	Set(ctx context.Context, key string, value []byte, ttl time.Duration) error

	// Delete forgets key; a key that is not there is no error. It does not touch
	// the budget of the same name.
	Delete(ctx context.Context, key string) error

	// Close frees what the store holds.
	Close() error
}

// Limit is a budget: Events per Per in the long run, at most Burst at once.
type Limit struct {
	Events int
	Per    time.Duration
	Burst  int
}

// longest is the longest time that refilling a whole burst may take. It keeps all
// sums far from overflow and from the precision of Redis's numbers.
const longest = 30 * 24 * time.Hour

// Valid returns why l is no limit, or nil: Events, Per and Burst are positive and
// an empty budget is full again within 30 days.
func (l Limit) Valid() error {
	if l.Events < 1 || l.Per <= 0 || l.Burst < 1 {
		return fmt.Errorf("limit of %d events per %v, burst %d: all three must be positive", l.Events, l.Per, l.Burst)
	}
	if float64(l.Burst)*float64(l.interval()) > float64(longest) {
		return fmt.Errorf("limit of %d events per %v, burst %d: takes more than %v to refill", l.Events, l.Per, l.Burst, longest)
	}
	return nil
}

// interval is the time in which one event flows back, rounded up, so that
// rounding never admits more than the limit.
func (l Limit) interval() time.Duration {
	return (l.Per-1)/time.Duration(l.Events) + 1
}

// share is what one of several replicas may take on its own. The rate is divided
// exactly. The burst stays large enough for n, so that no caller is refused for
// good: a take larger than the share waits for a full bucket and empties it.
func (l Limit) share(replicas, n int) Limit {
	l.Per = l.interval() * time.Duration(replicas)
	l.Events = 1
	l.Burst = max(n, l.Burst/replicas)
	return l
}

// check refuses what Take cannot ever grant.
func check(ctx context.Context, key string, l Limit, n int) error {
	if err := alive(ctx, "hot: take"); err != nil {
		return err
	}
	if err := l.Valid(); err != nil {
		return fault.Errorf(fault.Invalid, "hot: take", "%s: %w", key, err)
	}
	if n < 1 || n > l.Burst {
		return fault.Errorf(fault.Invalid, "hot: take", "%s: %d events, where 1 to %d can be had at once", key, n, l.Burst)
	}
	return nil
}

// checkTTL refuses what would never end, or end before it is stored: Redis counts
// whole milliseconds.
func checkTTL(key string, ttl time.Duration) error {
	if ttl < time.Millisecond {
		return fault.Errorf(fault.Invalid, "hot: set", "%s: a time to live of %v is below a millisecond", key, ttl)
	}
	return nil
}

// alive classifies the end of the caller's context, so that it is not taken for
// a Redis that is gone.
func alive(ctx context.Context, op string) error {
	if err := ctx.Err(); err != nil {
		return fault.New(fault.KindOf(err), op, err)
	}
	return nil
}
