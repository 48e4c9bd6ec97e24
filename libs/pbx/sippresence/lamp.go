package sippresence

import (
	"context"
	"errors"
	"sync"
	"time"

	"offhook.dev/libs/core/fault"
	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/core/presence"
)

const (
	// litLifetime bounds how long a lamp stays red that nobody can turn off.
	litLifetime = 10 * time.Minute
	// darkLifetime is how long the server remembers that a call has ended, for phones that
	// it did not reach just then. It is not prolonged: lamps are dark by themselves.
	darkLifetime = time.Minute
)

// Lamps asks whether the server serves Event: dialog for an extension, whether or not lamps
// are configured: an error says why not. It is asked as a phone would that does not go on
// watching, which changes nothing for anybody.
func (d *driver) Lamps(ctx context.Context, ext identity.Extension) error {
	_, err := d.line.fetch(ctx, "sippresence: lamps", Dialog, ext)
	return err
}

// wantLamp makes the keeper show the lamp of a status.
func (t *table) wantLamp(ext identity.Extension, s presence.Status) {
	if t.lamps == 0 || t.dark || s == presence.Unset && t.rows[subject{ext, Dialog}] == nil {
		return
	}
	r := t.rowLocked(ext, Dialog)
	if s == presence.Unset {
		s = presence.Available // the server shows nobody's status: no reason for a lamp
	}
	now := time.Now()
	r.want, r.believed = s, now.Add(t.litFor)
	if t.wrongLamp(r, now) {
		t.scheduleLamp(r)
	}
}

// wrongLamp says whether phones show, or may show, another lamp than is wanted. Where
// nothing was ever published the lamp is dark; where one was lit it stays red although its
// publication has expired, because phones are not told of that (Kamailio 5.6.3 sends them a
// NOTIFY without a document).
func (t *table) wrongLamp(r *row, now time.Time) bool {
	switch lit := t.lamps.Has(r.held.Status); {
	case r.want == presence.Unset:
		return false
	case t.lamps.Has(r.want):
		return r.doubt || !lit || r.held.over(now)
	default:
		return r.doubt || lit
	}
}

// scheduleLamp makes the keeper look at a lamp as soon as the server may be asked.
func (t *table) scheduleLamp(r *row) {
	t.schedule(r, latest(time.Now(), r.notUntil))
}

// settleLamp decides when the keeper looks at a lamp again.
func (t *table) settleLamp(r *row, err error) {
	now := time.Now()
	switch {
	case t.dark || errors.Is(err, errNoLamps):
		t.goDark()
		r.held = unpublished(r.held.Extension, Dialog)
		return
	case err == nil:
		r.doubt = false
		if !t.lamps.Has(r.held.Status) {
			r.held.ETag = "" // Kamailio (5.6.3) changes no call that has ended: the next one is another
		}
	case doubtful(err):
		r.doubt = true
	}
	switch {
	case err != nil && wantsPerson(err):
		r.notUntil = now.Add(refusedRest)
		t.schedule(r, r.notUntil)
	case t.wrongLamp(r, now):
		t.scheduleLamp(r) // after an error the keeper postpones it
	case t.lamps.Has(r.held.Status) && !r.held.over(now):
		t.schedule(r, now.Add(fraction(r.held.Expires.Sub(now), 0.5, 0.8)))
	default:
		t.schedule(r, time.Time{})
	}
}

// goDark makes the keeper leave all lamps alone until the driver is opened again.
func (t *table) goDark() {
	if t.dark {
		return
	}
	t.dark = true
	for _, r := range t.rows {
		if r.held.Event == Dialog {
			t.schedule(r, time.Time{})
		}
	}
}

// lamp says what the keeper is to do with a lamp: show that of a status, or prolong it. A
// status lights none when a lamp's lifetime has passed since it was known: who comes so late
// has slept, or the server was away, and the next reading tells.
func (t *table) lamp(r *row) (show presence.Status, wrong bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := time.Now()
	if t.lamps.Has(r.want) && t.wrongLamp(r, now) && over(r.believed, now) {
		r.want = presence.Unset
	}
	return r.want, t.wrongLamp(r, now)
}

// writes counts for follow what was published for an extension's status: its tag changes
// with each.
func (t *table) writes(ext identity.Extension) Publication {
	t.mu.Lock()
	defer t.mu.Unlock()
	if r := t.rows[subject{ext, Presence}]; r != nil {
		return r.held
	}
	return unpublished(ext, Presence)
}

// follow makes the lamp that of a status which was read, unless it was written
// meanwhile: before is what writes said before the reading. So a lamp that was lost
// with the process that lit it, or that another client's status asks for, is put right.
func (t *table) follow(ext identity.Extension, s presence.Status, before Publication) {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := before
	if r := t.rows[subject{ext, Presence}]; r != nil {
		if len(r.turn) == 0 { // something is being written
			return
		}
		now = r.held
	}
	if now == before {
		t.wantLamp(ext, s)
	}
}

// wantsPerson says whether a refusal stays until a person acts.
func wantsPerson(err error) bool {
	switch fault.KindOf(err) {
	case fault.Denied, fault.Invalid, fault.NotFound:
		return true
	}
	return false
}

// teller passes on, once for each kind, what goes wrong where no caller waits for it.
type teller struct {
	mu   sync.Mutex
	tell func(error) // nil: nobody listens yet
	told map[fault.Kind]error
}

// say tells an error if it is the first of its kind.
func (t *teller) say(err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	kind := fault.KindOf(err)
	if _, told := t.told[kind]; told {
		return
	}
	t.told[kind] = err
	if t.tell != nil {
		t.tell(err)
	}
}

// listen names who is told, also of what was said before.
func (t *teller) listen(tell func(error)) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.tell = tell
	for _, err := range t.told {
		tell(err)
	}
}
