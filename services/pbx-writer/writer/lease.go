package writer

import (
	"context"
	"errors"
	"time"
)

// margin is how long before the end of the lease the last request has to be over
// (docs/design.md, invariant 13).
const margin = time.Second

var errLeaseEnds = errors.New("the lease is about to end")

// held derives the context for work of many requests: it ends a second before the
// lease does and, unlike store.Lease.Deadline, moves along when the lease is
// renewed. A listing of a large phone system outlasts one term.
func (s *system) held(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancelCause(ctx)
	go func() {
		timer := time.NewTimer(s.left())
		defer timer.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-timer.C:
			}
			left := s.left()
			if left <= 0 {
				cancel(errLeaseEnds)
				return
			}
			timer.Reset(left)
		}
	}()
	return ctx, func() { cancel(nil) }
}

func (s *system) left() time.Duration { return time.Until(s.lease.Until()) - margin }
