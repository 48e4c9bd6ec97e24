package ami

import (
	"context"
	"slices"
)

// DoAll sends several actions and returns the error of each, which is what Do would have
// returned. As many as there is room for leave with one write, in their order, up to half
// of those that may be in flight, so that others have their turn; then the next ones.
// Whatever becomes of one, the others are sent.
func (c *Conn) DoAll(ctx context.Context, actions []Action) []error {
	if len(actions) == 1 {
		_, err := c.Do(ctx, actions[0])
		return []error{err}
	}
	errs := make([]error, 0, len(actions))
	for len(errs) < len(actions) {
		errs = append(errs, c.doSome(ctx, actions[len(errs):])...)
	}
	return errs
}

// doSome sends the first of some actions, and returns their errors: of one at the least.
func (c *Conn) doSome(ctx context.Context, actions []Action) []error {
	if err := c.enter(ctx); err != nil { // of all, for the same reason
		return slices.Repeat([]error{err}, len(actions))
	}
	left := c.enterMore(min(len(actions), cap(c.slots)/2))
	some, done := make([]*call, left), make(chan struct{})
	for i := range some {
		some[i] = &call{ctx: ctx, action: actions[i], left: &left, done: done}
	}
	errs := make([]error, len(some))
	if err := c.exchange(ctx, done, some...); err != nil {
		return slices.Repeat([]error{err}, len(some))
	}
	for i, waiting := range some {
		errs[i] = c.outcome(ctx, waiting)
	}
	return errs
}

// enterMore takes more places for one who has a place already, without waiting: two who
// waited for each other's would wait for ever. It returns how many there are now.
func (c *Conn) enterMore(most int) (taken int) {
	for taken = 1; taken < most; taken++ {
		select {
		case c.slots <- struct{}{}:
		default:
			return taken
		}
	}
	return taken
}
