package sippresence

import (
	"context"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"offhook.dev/libs/core/fault"
	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/core/presence"
)

// row is the place of one extension's publication for one event in the table.
type row struct {
	// turn holds a token unless a PUBLISH for the extension is under way. The rows of
	// an extension share it.
	turn chan struct{}

	// Guarded by table.mu.
	held   Publication
	listed bool      // something was published, or may have been
	next   time.Time // when the keeper looks at it; zero: never
	on     *agenda   // that it was put on last, or nil
	place  int       // on the agenda, or nowhere
	busy   bool      // the keeper looks at it now, and it is on no agenda

	// Of lamps only, guarded by table.mu too.
	want     presence.Status // whose lamp is to be shown; Unset: nobody knows
	believed time.Time       // until when that lights a lamp
	doubt    bool            // the server may show something else than what is held
	notUntil time.Time       // the server refused it: nothing is sent before
}

// take waits for the row's turn.
func (r *row) take(ctx context.Context) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	select {
	case <-r.turn:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (r *row) give() { r.turn <- struct{}{} }

// subject is what a row is about.
type subject struct {
	ext   identity.Extension
	event Event
}

// table remembers what was published.
type table struct {
	kept   Publications
	lamps  presence.Set  // the statuses that light lamps; empty: there are no lamps
	litFor time.Duration // a lamp lives

	mu       sync.Mutex
	rows     map[subject]*row
	statuses *agenda // those that are to be refreshed
	lit      *agenda // lamps that are to be refreshed
	changes  *agenda // lamps that are wrong
	dark     bool    // the server does not serve lamps
}

// newTable goes on from what was kept. A status that has expired meanwhile is nobody's
// present state any more. A lamp that was kept was lit, and phones may show it still; it is
// put right as soon as its extension's status is known.
func newTable(ctx context.Context, kept Publications, config Config) (*table, error) {
	t := &table{kept: kept, lamps: config.Lamps, litFor: min(config.Expires, litLifetime), rows: make(map[subject]*row),
		statuses: newAgenda(), lit: newAgenda(), changes: newAgenda()}
	all, err := kept.All(ctx)
	if err != nil {
		return nil, fault.New(fault.KindOf(err), "sippresence: open", err)
	}
	now := time.Now()
	for _, p := range all {
		if p.Event != Dialog && !p.living(now) {
			continue
		}
		p.hearsay = true
		r := t.row(p.Extension, p.Event)
		switch r.held = p; {
		case p.Event != Dialog:
			r.listed = true
			t.schedule(r, now.Add(fraction(p.Expires.Sub(now), 0, 0.5)))
		case t.lamps == 0: // there are none any more
			r.doubt, r.want = true, presence.Available
			t.schedule(r, now)
		default:
			r.doubt = true
		}
	}
	return t, nil
}

// row returns an extension's row for an event, a new one if need be.
func (t *table) row(ext identity.Extension, event Event) *row {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.rowLocked(ext, event)
}

func (t *table) rowLocked(ext identity.Extension, event Event) *row {
	r := t.rows[subject{ext, event}]
	if r != nil {
		return r
	}
	r = &row{held: unpublished(ext, event), place: nowhere}
	for _, other := range []Event{Presence, Dialog} {
		if sibling := t.rows[subject{ext, other}]; sibling != nil {
			r.turn = sibling.turn
		}
	}
	if r.turn == nil {
		r.turn = make(chan struct{}, 1)
		r.give()
	}
	t.rows[subject{ext, event}] = r
	return r
}

func (t *table) held(r *row) Publication {
	t.mu.Lock()
	defer t.mu.Unlock()
	return r.held
}

// settle records the result of a PUBLISH. The caller has the turn.
func (t *table) settle(r *row, p Publication, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	before, doubted := r.held, r.doubt
	r.held = p
	if p.Event == Dialog {
		t.settleLamp(r, err)
	} else {
		t.settleStatus(r, before, err)
	}
	switch {
	case r.held == before && r.doubt == doubted:
	case r.held.ETag == "" && !r.doubt:
		t.kept.Forget(p.Extension, p.Event)
	default:
		t.kept.Keep(r.held)
	}
}

// settleStatus decides when the keeper looks at a row again that shows a status. t.mu is
// held, as for all that follow.
func (t *table) settleStatus(r *row, before Publication, err error) {
	p := r.held
	switch {
	case err == nil && p.Status == presence.Unset && p.ETag == "":
		t.schedule(r, time.Time{}) // forgotten by the server, and nobody knows what it was
	case err == nil:
		r.listed = true
		t.schedule(r, time.Now().Add(fraction(time.Until(p.Expires), 0.5, 0.8)))
		t.wantLamp(p.Extension, p.Status)
	case fault.KindOf(err) == fault.NotFound:
		r.held, r.listed = unpublished(p.Extension, p.Event), false
		t.schedule(r, time.Time{})
	case p.ETag == "" && p.Status == presence.Unset:
		r.listed = r.listed || doubtful(err)
		t.schedule(r, time.Time{})
	case p.ETag == "" && before.ETag != "":
		t.schedule(r, time.Now().Add(firstRest)) // what was published is gone: put it back
	}
}

// schedule makes the keeper look at a row at a time, never if that is zero.
func (t *table) schedule(r *row, at time.Time) {
	r.next = at
	if r.busy { // end does the rest
		return
	}
	on := t.agenda(r)
	if r.on != nil && r.on != on {
		r.on.drop(r)
	}
	r.on = on
	on.put(r)
}

// agenda is on which a row belongs.
func (t *table) agenda(r *row) *agenda {
	switch {
	case r.held.Event != Dialog:
		return t.statuses
	case t.wrongLamp(r, time.Now()):
		return t.changes
	}
	return t.lit
}

// due returns when the next row of an agenda is to be looked at, false if there is none.
func (t *table) due(agenda *agenda) (time.Time, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return agenda.due()
}

// begin takes the next row off an agenda if its time has come, nil otherwise. end must be
// called.
func (t *table) begin(agenda *agenda, now time.Time) *row {
	t.mu.Lock()
	defer t.mu.Unlock()
	if at, any := agenda.due(); !any || at.After(now) {
		return nil
	}
	r := agenda.first()
	r.busy = true
	return r
}

// end puts a row back on the agenda.
func (t *table) end(r *row) {
	t.mu.Lock()
	defer t.mu.Unlock()
	r.busy = false
	t.schedule(r, r.next)
}

// overdue says whether a row is still to be looked at now.
func (t *table) overdue(r *row, now time.Time) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return !r.next.IsZero() && !r.next.After(now)
}

// postpone makes the keeper look at a row later, if it would look at all.
func (t *table) postpone(r *row, until time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !r.next.IsZero() {
		t.schedule(r, until)
	}
}

// listed returns the extensions of which a status was published.
func (t *table) listed() []identity.Extension {
	t.mu.Lock()
	defer t.mu.Unlock()
	var extensions []identity.Extension
	for about, r := range t.rows {
		if r.listed {
			extensions = append(extensions, about.ext)
		}
	}
	slices.Sort(extensions)
	return extensions
}

// all returns all rows.
func (t *table) all() []*row {
	t.mu.Lock()
	defer t.mu.Unlock()
	return slices.Collect(maps.Values(t.rows))
}

// remains says whether the server still has something of a row, or may have a lamp.
func (t *table) remains(r *row) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return r.held.living(time.Now()) || r.doubt
}

// fraction is a random part of d between from and to, so that what was published
// at once is not refreshed at once.
func fraction(d time.Duration, from, to float64) time.Duration {
	return time.Duration(float64(d) * (from + (to-from)*rand.Float64()))
}
