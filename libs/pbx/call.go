package pbx

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"

	"offhook.dev/libs/core/fault"
	"offhook.dev/libs/core/identity"
)

const (
	// tries is how often one call may be sent. This is the layer of seconds; the
	// bus has the layer of minutes, and there is no third.
	tries = 3
	// firstWait is the mean of the first wait between tries; it doubles.
	firstWait = 200 * time.Millisecond
	// patience is the longest Retry-After that is waited for here; a longer one is
	// the caller's, who has other work to do.
	patience = 5 * time.Second
	// tryTimeout bounds one request about one extension. Listings are bounded by
	// the caller and, page by page, by the driver.
	tryTimeout = 10 * time.Second
	// batchTimeout bounds one request that deletes many things.
	batchTimeout = 30 * time.Second
	// breath is after how many items a listing looks whether writes wait: about a
	// page, so that a listing under a flood of writes still advances.
	breath = 100
)

// Fresh is how old the reading of a status may be for a write to rest on it.
const Fresh = 2 * time.Second

var errTryTimeout = errors.New("no answer for too long")

// call is one thing asked of the phone system.
type call struct {
	op    string
	ext   identity.Extension // "" if it is not about one
	lane  lane
	write bool
	// overtaken says, before it is sent again, whether it need not be any more; nil: never.
	overtaken func() bool
	// batch: the work of many, which takes as long as they are many.
	batch bool

	// For listings, which are not bounded by tryTimeout and not timed.
	long    bool
	began   func() bool // whether an item was passed on already
	outside *bool       // whether it gave up its turn and did not get it back
}

// repeatable says whether the call may be sent again after err. Reads may
// whenever it could help; writes only where nothing was changed (see Driver).
func (c call) repeatable(err error) bool {
	switch fault.KindOf(err) {
	case fault.Throttled, fault.Unavailable:
	case fault.Timeout:
		if c.write {
			return false
		}
	default:
		return false
	}
	return c.began == nil || !c.began()
}

// do sends a call until it succeeds, must not be repeated, or there is no time.
func (s *System) do(ctx context.Context, c call, send func(context.Context) error) (err error) {
	ctx, span := s.telemetry.begin(ctx, c)
	defer func() { end(span, err) }()
	wait := firstWait
	for try := 1; ; try++ {
		var sent bool
		sent, err = s.try(ctx, c, send)
		if err == nil || !sent || try == tries || ctx.Err() != nil || !c.repeatable(err) || s.breaker.open() {
			return err
		}
		delay := wait/2 + rand.N(wait)
		wait *= 2
		if asked := fault.RetryAfter(err); asked > 0 {
			delay = asked
		}
		if delay > patience || !fits(ctx, delay) {
			return err
		}
		s.log.Debug("trying again", "op", c.op, "extension", string(c.ext), "try", try, "delay", delay, "error", err)
		if pause(ctx, delay) != nil {
			return err // what is known about the call matters more than that the caller left
		}
		if c.overtaken != nil && c.overtaken() {
			return errors.Join(ErrOvertaken, err)
		}
	}
}

// try sends a call once, when it is its turn. sent is false if it never left.
func (s *System) try(ctx context.Context, c call, send func(context.Context) error) (sent bool, err error) {
	op := s.named(c.op)
	queued := time.Now()
	err = s.lanes.enter(ctx, op, c.lane, patience)
	s.telemetry.waited(ctx, c.lane, time.Since(queued))
	if err != nil {
		return false, err
	}
	defer func() {
		if c.outside == nil || !*c.outside {
			s.lanes.leave(c.lane)
		}
	}()
	if err := ctx.Err(); err != nil {
		return false, fault.New(fault.KindOf(err), op, context.Cause(ctx))
	}
	admitted, err := s.breaker.admit(op)
	if err != nil {
		return false, err
	}
	if !c.long {
		limit := tryTimeout
		if c.batch {
			limit = batchTimeout
		}
		if !sooner(ctx, limit) {
			var cancel context.CancelFunc
			ctx, cancel = context.WithTimeoutCause(ctx, limit, errTryTimeout)
			defer cancel()
		}
	}
	began := time.Now()
	err = send(ctx)
	took := time.Since(began)

	if own := ours(err); own != nil {
		s.breaker.settle(admitted, nil)
		s.telemetry.tried(ctx, c.op, took, nil)
		return true, own
	}
	if s.breaker.settle(admitted, err) {
		s.log.Info("the phone system answers again", "op", c.op)
	}
	if c.long || c.batch {
		s.lanes.learn(c.op, err, 0)
	} else {
		s.lanes.learn(c.op, err, took)
	}
	s.telemetry.tried(ctx, c.op, took, err)
	return true, err
}

// yieldError carries an error of our own side (the caller's yield, or a turn that
// did not come back) through the driver, past everything that judges the phone
// system by its errors.
type yieldError struct{ error }

// ours is the error of our own side in err, about which the phone system knows nothing;
// nil if there is none.
func ours(err error) error {
	if err == nil {
		return nil
	}
	var own yieldError
	if errors.As(err, &own) {
		return own.error
	}
	return nil
}

// sooner says whether ctx ends before limit by itself, so that it needs no other bound.
func sooner(ctx context.Context, limit time.Duration) bool {
	deadline, ok := ctx.Deadline()
	return ok && time.Until(deadline) < limit
}

// list runs a listing: like do, but it makes way for writes, and once an item was
// passed on it is not repeated. A survey's turns come sooner as long as it is young
// enough for a write to rest on it.
func (s *System) list(ctx context.Context, op string, in lane, send func(context.Context, func(func() error) error) error) error {
	items, began := 0, time.Now()
	c := call{op: op, lane: in, long: true, began: func() bool { return items > 0 }, outside: new(bool)}
	item := func(yield func() error) error {
		if items++; items%breath == 0 {
			if in == survey && time.Since(began) > Fresh {
				in = bulk
			}
			if err := s.breathe(ctx, c, in); err != nil {
				return yieldError{err}
			}
		}
		if err := yield(); err != nil {
			return yieldError{err}
		}
		return nil
	}
	return s.do(ctx, c, func(ctx context.Context) error { return send(ctx, item) })
}

// breathe lets waiting writes go before the next page of a listing, and counts that page
// as the request that it is.
func (s *System) breathe(ctx context.Context, c call, in lane) error {
	if s.lanes.contended() {
		s.lanes.leave(in)
		*c.outside = true
		if err := s.lanes.turn(ctx, s.named(c.op), in); err != nil {
			return err
		}
		*c.outside = false
	}
	return s.lanes.pace(ctx, s.named(c.op))
}
