package sippresence

import (
	"context"
	"errors"
	"time"

	"offhook.dev/libs/core/fault"
)

const (
	// keeperGap paces the keeper: at most fifty refreshes a second.
	keeperGap = 20 * time.Millisecond
	// keeperTimeout bounds one refresh.
	keeperTimeout = 10 * time.Second
	// While the server does not answer the keeper rests for firstRest, twice as long
	// each time, at most longestRest.
	firstRest   = time.Second
	longestRest = time.Minute
	// refusedRest is how long the keeper leaves a publication alone that the server
	// refuses: a person must act first.
	refusedRest = 5 * time.Minute
	// removalTimeout bounds what Close does to remove publications.
	removalTimeout = 5 * time.Second
)

var errKeeper = errors.New("no answer to a refresh within 10 s")

// keep refreshes publications until ctx ends; then it removes them if configured.
func (d *driver) keep(ctx context.Context) {
	defer close(d.kept)
	rest := time.Duration(0)
	for ctx.Err() == nil {
		r, at := d.table.next()
		var due <-chan time.Time // nil, which never comes, if nothing is published
		if r != nil {
			due = time.After(max(time.Until(at), keeperGap, rest))
		}
		select {
		case <-ctx.Done():
		case <-d.table.changed: // there is an earlier one
		case <-due:
			rest = d.keepOne(ctx, r, rest)
		}
	}
	if d.line.config.RemoveOnClose {
		d.removeAll(ctx)
	}
}

// keepOne refreshes one publication and returns how long to leave the server alone.
func (d *driver) keepOne(ctx context.Context, r *row, rest time.Duration) time.Duration {
	const op = "sippresence: refresh"
	select {
	case <-r.turn:
		defer r.give()
	default: // it is being written, which is as good
		d.table.postpone(r, time.Now().Add(firstRest))
		return rest
	}
	if !d.table.due(r, time.Now()) {
		return rest
	}
	ctx, cancel := context.WithTimeoutCause(ctx, keeperTimeout, errKeeper)
	defer cancel()
	next, err := d.refresh(ctx, op, d.table.held(r))
	d.table.settle(r, next, err)
	if err == nil {
		return 0
	}
	switch fault.KindOf(err) {
	case fault.NotFound:
		return 0
	case fault.Denied, fault.Invalid:
		d.table.postpone(r, time.Now().Add(refusedRest))
		return 0
	}
	rest = min(max(2*rest, firstRest), longestRest)
	d.table.postpone(r, time.Now().Add(rest))
	return max(rest, min(fault.RetryAfter(err), longestRest))
}

// removeAll takes back what is published, as far as there is time. What is left
// expires.
func (d *driver) removeAll(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), removalTimeout)
	defer cancel()
	for _, p := range d.table.living() {
		r := d.table.row(p.Extension)
		if r.take(ctx) != nil {
			return
		}
		err := d.remove(ctx, "sippresence: close", d.table.held(r))
		if err == nil {
			d.table.settle(r, Publication{Extension: p.Extension}, nil)
		}
		r.give()
	}
}
