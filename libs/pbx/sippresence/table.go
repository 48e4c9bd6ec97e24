package sippresence

import (
	"context"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"offhook.dev/libs/core/fault"
	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/core/presence"
)

// Publication is what is known about one extension's publication.
type Publication struct {
	Extension identity.Extension `json:"extension"`
	ETag      string             `json:"etag"`    // "": the server has none of ours
	Status    presence.Status    `json:"status"`  // Unset: unknown, an answer was lost
	Expires   time.Time          `json:"expires"` // when the server forgets it
}

// living says whether the server can still have it.
func (p Publication) living(now time.Time) bool { return p.ETag != "" && p.Expires.After(now) }

// Publications keeps publications over restarts of Offhook. It is an optimisation:
// what it loses costs one 412 or a second publication that dies by itself.
type Publications interface {
	// All returns what was kept, called once by Open.
	All(ctx context.Context) ([]Publication, error)
	// Keep and Forget replace and remove the publication of an extension. They are
	// called in order for each extension, must not block, and have no error because
	// nobody could do anything about it.
	Keep(Publication)
	Forget(identity.Extension)
}

// forgetful is the default.
type forgetful struct{}

func (forgetful) All(context.Context) ([]Publication, error) { return nil, nil }
func (forgetful) Keep(Publication)                           {}
func (forgetful) Forget(identity.Extension)                  {}

// row is one extension's place in the table.
type row struct {
	turn chan struct{} // holds a token unless a PUBLISH is under way

	// Guarded by table.mu.
	held   Publication
	listed bool      // something was published, or may have been
	next   time.Time // when the keeper refreshes it; zero: never
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

// table remembers what was published.
type table struct {
	kept    Publications
	changed chan struct{} // holds a token when a row became the next to be refreshed

	mu   sync.Mutex
	rows map[identity.Extension]*row
}

// newTable goes on from what was kept. What has expired meanwhile is nobody's
// present state any more.
func newTable(ctx context.Context, kept Publications) (*table, error) {
	t := &table{kept: kept, changed: make(chan struct{}, 1), rows: make(map[identity.Extension]*row)}
	all, err := kept.All(ctx)
	if err != nil {
		return nil, fault.New(fault.KindOf(err), "sippresence: open", err)
	}
	now := time.Now()
	for _, p := range all {
		if p.living(now) {
			r := t.row(p.Extension)
			r.held, r.listed = p, true
			r.next = now.Add(fraction(p.Expires.Sub(now), 0, 0.5))
		}
	}
	return t, nil
}

// row returns an extension's row, a new one if need be.
func (t *table) row(ext identity.Extension) *row {
	t.mu.Lock()
	defer t.mu.Unlock()
	r := t.rows[ext]
	if r == nil {
		r = &row{turn: make(chan struct{}, 1), held: Publication{Extension: ext}}
		r.give()
		t.rows[ext] = r
	}
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
	before := r.held
	r.held = p
	switch {
	case err == nil && p.Status == presence.Unset && p.ETag == "":
		r.next = time.Time{} // forgotten by the server, and nobody knows what it was
	case err == nil:
		r.listed = true
		r.next = time.Now().Add(fraction(time.Until(p.Expires), 0.5, 0.8))
	case fault.KindOf(err) == fault.NotFound:
		r.held, r.listed, r.next = Publication{Extension: p.Extension}, false, time.Time{}
	case p.ETag == "" && p.Status == presence.Unset:
		r.listed, r.next = r.listed || doubtful(err), time.Time{}
	case p.ETag == "" && before.ETag != "":
		r.next = time.Now().Add(firstRest) // what was published is gone: put it back
	}
	if r.held == before {
		return
	}
	if r.held.ETag == "" {
		t.kept.Forget(p.Extension)
	} else {
		t.kept.Keep(r.held)
	}
	t.wake(r)
}

// wake tells the keeper if r is now the next. t.mu is held.
func (t *table) wake(r *row) {
	if r.next.IsZero() {
		return
	}
	if first := t.first(); first == r {
		select {
		case t.changed <- struct{}{}:
		default:
		}
	}
}

// first is the row to be refreshed next, nil if there is none. t.mu is held.
func (t *table) first() *row {
	var first *row
	for _, r := range t.rows {
		if !r.next.IsZero() && (first == nil || r.next.Before(first.next)) {
			first = r
		}
	}
	return first
}

// next returns the row to be refreshed next, and when.
func (t *table) next() (*row, time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if r := t.first(); r != nil {
		return r, r.next
	}
	return nil, time.Time{}
}

// due says whether a row is still to be refreshed at now.
func (t *table) due(r *row, now time.Time) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return !r.next.IsZero() && !r.next.After(now)
}

// postpone makes the keeper look at a row later, if it would look at all.
func (t *table) postpone(r *row, until time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !r.next.IsZero() {
		r.next = until
	}
}

// listed returns the extensions that were published.
func (t *table) listed() []identity.Extension {
	t.mu.Lock()
	defer t.mu.Unlock()
	var extensions []identity.Extension
	for ext, r := range t.rows {
		if r.listed {
			extensions = append(extensions, ext)
		}
	}
	slices.Sort(extensions)
	return extensions
}

// living returns what the server still has.
func (t *table) living() []Publication {
	t.mu.Lock()
	defer t.mu.Unlock()
	var all []Publication
	for _, r := range t.rows {
		if r.held.living(time.Now()) {
			all = append(all, r.held)
		}
	}
	return all
}

// fraction is a random part of d between from and to, so that what was published
// at once is not refreshed at once.
func fraction(d time.Duration, from, to float64) time.Duration {
	return time.Duration(float64(d) * (from + (to-from)*rand.Float64()))
}
