package sippresence

import (
	"context"
	"errors"
	"sync"
	"time"

	"offhook.dev/libs/core/fault"
	"offhook.dev/libs/core/presence"
)

const (
	// keeperGap paces refreshes, for which nobody waits: at most fifty a second.
	keeperGap = 20 * time.Millisecond
	// keeperLanes is how many refreshes are under way at a time, so that a server which takes
	// long for each keeps up with thousands.
	keeperLanes = 4
	// lampLanes is how many lamps are lit and turned off at a time, which people wait for: as
	// many as pbx-writer has statuses under way where nothing else is configured. There is no
	// other pace for these than the server's.
	lampLanes = 2
	// keeperTimeout bounds one publication, lampTimeout one of a lamp, for which a status
	// of the same extension may have to wait.
	keeperTimeout = 10 * time.Second
	lampTimeout   = 4 * time.Second
	// While the server does not answer the keeper rests for firstRest, twice as long
	// each time, at most longestRest; longer if the server says so (Retry-After).
	firstRest   = time.Second
	longestRest = time.Minute
	// refusedRest is how long the keeper leaves a publication alone that the server
	// refuses: a person must act first.
	refusedRest = 5 * time.Minute
	// removalTimeout bounds what Close does to remove publications.
	removalTimeout = 5 * time.Second
)

var errKeeper = errors.New("no answer within 10 s, or 4 s for a lamp")

// recovery is how long the keeper leaves a server alone that fails.
type recovery struct {
	mu    sync.Mutex
	rest  time.Duration // the last one, 0 if the server answers
	until time.Time     // nothing is sent before
}

// failed notes a failure, and returns until when nothing is to be sent. Failures of what
// was under way at the same time are one.
func (r *recovery) failed(now time.Time, after time.Duration) time.Time {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.until.After(now) {
		r.rest = min(max(2*r.rest, firstRest), longestRest)
		r.until = now.Add(r.rest)
	}
	if named := now.Add(after); named.After(r.until) {
		r.until = named
	}
	return r.until
}

// succeeded notes that the server answers. What it said about when to come back stays.
func (r *recovery) succeeded() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.rest = 0
}

// over returns when something may be sent again.
func (r *recovery) over() time.Time {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.until
}

// keeper sees to what is on one agenda, for as long as the driver lives.
type keeper struct {
	*driver
	event    Event
	agenda   *agenda
	lanes    chan struct{} // holds a token for each that is taken
	gap      time.Duration // between the beginnings of two publications
	recovery *recovery
}

// keep runs the keepers until ctx ends; then it removes what is published if configured.
// Those of lamps do not stop that of statuses where a server has trouble with the one event
// only, and lamps that are wrong do not wait for those that are prolonged.
func (d *driver) keep(ctx context.Context) {
	defer close(d.kept)
	var keepers sync.WaitGroup
	var statuses, lamps recovery
	for _, k := range []*keeper{
		{driver: d, event: Presence, agenda: d.table.statuses, lanes: make(chan struct{}, keeperLanes), gap: keeperGap, recovery: &statuses},
		{driver: d, event: Dialog, agenda: d.table.lit, lanes: make(chan struct{}, keeperLanes), gap: keeperGap, recovery: &lamps},
		{driver: d, event: Dialog, agenda: d.table.changes, lanes: make(chan struct{}, lampLanes), recovery: &lamps},
	} {
		keepers.Go(func() { k.run(ctx) })
	}
	keepers.Wait()
	if d.line.config.RemoveOnClose {
		d.removeAll(ctx)
	}
}

// run looks at one row after the other when its time has come, until ctx ends.
func (k *keeper) run(ctx context.Context) {
	var under sync.WaitGroup
	defer under.Wait()
	last := time.Now()
	for k.wait(ctx, last.Add(k.gap)) {
		select {
		case <-ctx.Done():
			return
		case k.lanes <- struct{}{}:
		}
		now := time.Now()
		var r *row
		if !k.recovery.over().After(now) { // it may have begun to rest while it waited for a lane
			r = k.table.begin(k.agenda, now)
		}
		if r == nil {
			<-k.lanes
			continue
		}
		last = now
		under.Go(func() {
			k.look(ctx, r)
			k.table.end(r)
			<-k.lanes
		})
	}
}

// wait returns true when the next row's time has come, but not before earliest, and false
// when ctx has ended.
func (k *keeper) wait(ctx context.Context, earliest time.Time) bool {
	for {
		var due <-chan time.Time // nil, which never comes, if there is nothing to do
		if at, any := k.table.due(k.agenda); any {
			due = time.After(time.Until(latest(at, earliest, k.recovery.over())))
		}
		select {
		case <-ctx.Done():
			return false
		case <-k.agenda.changed: // there is an earlier one
		case <-due:
			return true
		}
	}
}

func latest(times ...time.Time) time.Time {
	var last time.Time
	for _, t := range times {
		if t.After(last) {
			last = t
		}
	}
	return last
}

// look refreshes one publication, or shows one lamp.
func (k *keeper) look(ctx context.Context, r *row) {
	select {
	case <-r.turn:
		defer r.give()
	default: // its extension is being written
		k.table.postpone(r, time.Now().Add(keeperGap))
		return
	}
	if !k.table.overdue(r, time.Now()) {
		return
	}
	patience := keeperTimeout
	if k.event == Dialog {
		patience = lampTimeout
	}
	ctx, cancel := k.ours(ctx, patience, errKeeper)
	defer cancel()
	if ctx.Err() != nil {
		k.table.postpone(r, time.Now().Add(firstRest))
		return
	}
	next, err := k.renew(ctx, r)
	k.table.settle(r, next, err)
	switch {
	case err == nil:
		k.recovery.succeeded()
	case !wantsPerson(err):
		k.table.postpone(r, k.recovery.failed(time.Now(), fault.RetryAfter(err)))
	default:
		k.table.postpone(r, time.Now().Add(refusedRest))
		if k.event == Dialog {
			k.teller.say(err)
		}
	}
}

// renew sends what is to be sent for a row. What an earlier process kept is prolonged only
// while the server shows it: after it another one, which keeps tags elsewhere, may have
// published beside it, and would be outlived by what is older.
func (k *keeper) renew(ctx context.Context, r *row) (Publication, error) {
	held := k.table.held(r)
	if k.event == Dialog {
		switch show, wrong := k.table.lamp(r); {
		case wrong:
			return k.publish(ctx, "sippresence: lamp", held, show)
		case !k.table.lamps.Has(held.Status), held.over(time.Now()):
			return held, nil
		}
	}
	if held.hearsay && k.event == Presence {
		switch shown, err := k.line.shown(ctx, "sippresence: refresh", held.Extension); {
		case err != nil:
			return held, err
		case shown != held.Status:
			return unpublished(held.Extension, held.Event), nil
		}
	}
	return k.refresh(ctx, "sippresence: refresh", held)
}

// removeAll takes back what is published, as far as there is time; what is left expires.
// What is being written comes last, when that has ended.
func (d *driver) removeAll(ctx context.Context) {
	ctx, cancel := d.ours(context.WithoutCancel(ctx), removalTimeout, errClosed)
	defer cancel()
	var written []*row
	for _, r := range d.table.all() {
		select {
		case <-r.turn:
			d.takeBack(ctx, r)
			r.give()
		default:
			written = append(written, r)
		}
	}
	for _, r := range written {
		if r.take(ctx) != nil {
			return
		}
		d.takeBack(ctx, r)
		r.give()
	}
}

// takeBack removes what the server has of a row. A lamp is turned off rather than taken
// back, because phones are told of that. The caller has the turn.
func (d *driver) takeBack(ctx context.Context, r *row) {
	if ctx.Err() != nil || !d.table.remains(r) {
		return
	}
	held := d.table.held(r)
	next, err := unpublished(held.Extension, held.Event), error(nil)
	if held.Event == Dialog {
		next, err = d.publish(ctx, "sippresence: close", held, presence.Available)
	} else {
		err = d.remove(ctx, "sippresence: close", held)
	}
	if err == nil {
		d.table.settle(r, next, nil)
	}
}
