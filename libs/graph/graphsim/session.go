package graphsim

import (
	"cmp"
	"fmt"
	"strings"
	"time"
)

// session is one presence session of a user: the Teams client, or an application.
type session struct {
	availability, activity string
	set                    time.Time
	expires                time.Time // zero: the Teams client, which neither ages nor expires here
}

// preferred is what a user is pinned to.
type preferred struct {
	availability, activity string
	expires                time.Time
}

// showing is why a user shows what it shows, once an application or a preference
// has a say; until then the Teams client alone does, and person.showing is nil.
type showing struct {
	teams     session
	apps      map[string]session // by application id, lower case
	preferred *preferred         // or nil
}

// An available session of an application ages in two steps
// (learn.microsoft.com/graph/cloud-communications-manage-presence-state).
const (
	ageInactive = 5 * time.Minute
	ageAway     = 10 * time.Minute
)

// rank orders availabilities: DoNotDisturb over Busy over Available over Away. 0 is
// no session at all. Which of two equals wins is not documented; here the newer.
func rank(availability string) int {
	switch strings.ToLower(availability) {
	case "donotdisturb", "focusing", "presenting":
		return 4
	case "busy", "busyidle", "inacall", "inameeting":
		return 3
	case "away", "berightback":
		return 1
	case "offline", "presenceunknown", "":
		return 0
	}
	return 2 // available, and what is new
}

// aged is what a session shows at a time. Expired ones must be gone already.
func (s session) aged(c Config, now time.Time) session {
	if s.expires.IsZero() || s.availability != "Available" {
		return s
	}
	switch {
	case !now.Before(s.set.Add(c.scaled(ageAway))):
		s.availability, s.activity = "Away", "Away"
	case !now.Before(s.set.Add(c.scaled(ageInactive))):
		s.activity = "AvailableInactive"
	}
	return s
}

// next is the earliest moment after now at which a session ages or expires, or zero.
func (s session) next(c Config, now time.Time) time.Time {
	if s.expires.IsZero() {
		return time.Time{}
	}
	if s.availability == "Available" {
		for _, step := range []time.Duration{ageInactive, ageAway} {
			if at := s.set.Add(c.scaled(step)); at.After(now) && at.Before(s.expires) {
				return at
			}
		}
	}
	return s.expires
}

// sum adds the sessions up: a preference over sessions, but only where there is one;
// among sessions the highest rank.
func (w *showing) sum(c Config, now time.Time) (availability, activity string) {
	best := w.teams
	for _, each := range w.apps {
		each = each.aged(c, now)
		order := cmp.Or(cmp.Compare(rank(each.availability), rank(best.availability)), each.set.Compare(best.set))
		if order > 0 {
			best = each
		}
	}
	if rank(best.availability) == 0 {
		return w.teams.availability, w.teams.activity
	}
	if w.preferred != nil {
		return w.preferred.availability, w.preferred.activity
	}
	return best.availability, best.activity
}

// expire forgets what has run out and returns when something changes next, or zero.
func (w *showing) expire(c Config, now time.Time) time.Time {
	var wake time.Time
	sooner := func(at time.Time) {
		if wake.IsZero() || !at.IsZero() && at.Before(wake) {
			wake = at
		}
	}
	for id, each := range w.apps {
		if !each.expires.After(now) {
			delete(w.apps, id)
			continue
		}
		sooner(each.next(c, now))
	}
	if w.preferred != nil && !w.preferred.expires.After(now) {
		w.preferred = nil
	}
	if w.preferred != nil {
		sooner(w.preferred.expires)
	}
	return wake
}

// why returns p's sessions, made when they are first needed. t.mu is held.
func (p *person) why() *showing {
	if p.showing == nil {
		p.showing = &showing{teams: session{availability: p.availability, activity: p.activity, set: p.since}, apps: make(map[string]session)}
	}
	return p.showing
}

// reckon makes p show what its sessions add up to and sees to it that this happens
// again when they age. It says whether p shows something else now. t.mu is held.
func (t *Tenant) reckon(p *person) bool {
	w, now := p.why(), t.server.now()
	due := w.expire(t.server.config, now)
	delete(t.ageing, p)
	if !due.IsZero() {
		t.ageing[p] = due
		t.wakeAt(due)
	}
	availability, activity := w.sum(t.server.config, now)
	if len(w.apps) == 0 && w.preferred == nil {
		p.showing = nil // the Teams client alone again
	}
	return t.show(p, availability, activity)
}

// show changes what p shows and notifies the subscriptions. t.mu is held.
func (t *Tenant) show(p *person, availability, activity string) bool {
	if p.availability == availability && p.activity == activity {
		return false
	}
	now := t.server.now()
	p.availability, p.activity = availability, activity
	p.since, p.sequence = now, t.nextStamp(now)
	t.notifyPresence(p)
	return true
}

// wakeAt has agePresences called at a time unless an earlier call is due. t.mu is
// held.
func (t *Tenant) wakeAt(at time.Time) {
	if !t.wake.IsZero() && !at.Before(t.wake) {
		return
	}
	t.wake = at
	t.server.posts.later(max(at.Sub(t.server.now()), 0), func() { t.agePresences(at) })
}

// agePresences lets the sessions age that are due; at is the alarm that rang, or
// zero. Readers call it too, so that nobody sees what has expired, however slow the
// timer.
func (t *Tenant) agePresences(at time.Time) {
	now := t.server.now()
	t.mu.RLock()
	idle := t.wake.IsZero() || now.Before(t.wake) && !t.wake.Equal(at)
	t.mu.RUnlock()
	if idle {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.wake = time.Time{}
	for p, due := range t.ageing {
		if !due.After(now) {
			t.reckon(p)
		}
	}
	for _, due := range t.ageing {
		t.wakeAt(due)
	}
}

// SetPresence changes the presence of a user's Teams client and notifies the
// subscriptions where the user shows something else then. Offline closes the
// client. Any text is allowed, as on the wire. An empty activity is the
// availability. Setting what is already so is no change.
func (t *Tenant) SetPresence(ref, availability, activity string) error {
	if availability == "" {
		return fmt.Errorf("presence of %q: an availability is needed, such as Busy", ref)
	}
	activity = cmp.Or(activity, availability)
	t.mu.Lock()
	defer t.mu.Unlock()
	p := t.lookup(ref)
	if p == nil {
		return t.noUser(ref)
	}
	if p.showing == nil {
		t.show(p, availability, activity)
		return nil
	}
	if teams := &p.showing.teams; teams.availability != availability || teams.activity != activity {
		*teams = session{availability: availability, activity: activity, set: t.server.now()}
	}
	t.reckon(p)
	return nil
}

// PreferPresence pins a user as the user does in the Teams client: to one of the
// pairs of setUserPreferredPresence, for life or, with 0, the default life. An empty
// availability unpins.
func (t *Tenant) PreferPresence(ref, availability, activity string, life time.Duration) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	p := t.lookup(ref)
	if p == nil {
		return t.noUser(ref)
	}
	if availability == "" {
		p.why().preferred = nil
		t.reckon(p)
		return nil
	}
	pair := presencePair{availability, cmp.Or(activity, availability)}
	if !pair.in(preferredPairs) {
		return fmt.Errorf("presence of %q: nobody can be pinned to %s, only to one of %v", ref, pair, preferredPairs)
	}
	t.prefer(p, pair, life)
	return nil
}

// prefer pins p. t.mu is held.
func (t *Tenant) prefer(p *person, pair presencePair, life time.Duration) (changed bool) {
	set(&life, pair.defaultLife())
	w := p.why()
	changed = w.preferred == nil || w.preferred.availability != pair.availability || w.preferred.activity != pair.activity
	w.preferred = &preferred{pair.availability, pair.activity, t.server.now().Add(t.server.config.scaled(life))}
	t.reckon(p)
	return changed
}
