package poller

import (
	"cmp"
	"math/rand/v2"
	"slices"
	"time"

	"offhook.dev/libs/core/fault"
	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/graph/notification"
)

// jobKind is what is to be done about one subscription to events.
type jobKind string

// The jobs.
const (
	jobStray  jobKind = "remove a stray"
	jobEnd    jobKind = "end"     // its user is not linked any more
	jobCreate jobKind = "create"  // there is none
	jobGone   jobKind = "replace" // it expired while nobody renewed it
	jobMove   jobKind = "move"    // Graph calls an address that is not ours any more
	jobRenew  jobKind = "renew"
	jobCheck  jobKind = "check" // is it still there?
)

// job is one thing to do, for a user; was is the generation that it is about.
type job struct {
	kind   jobKind
	user   identity.User
	was    generation
	urgent int // 0 first
}

// plan compares what should be with what is and returns what to do now, the most
// urgent first, and how long nothing else will be due, at most a look.
func (k *eventKeeper) plan(now time.Time, wanted map[identity.User]bool) (jobs []job, next time.Duration) {
	next = k.t.conf.Events.Look
	k.mu.Lock()
	defer k.mu.Unlock()
	inTheWay := map[identity.User]bool{} // of a create
	for _, stray := range k.strays {
		user, _ := userOf(stray.record)
		inTheWay[user] = true
		jobs = append(jobs, job{jobStray, user, stray, 0})
	}
	add := func(user identity.User, h *heldEvent) {
		kind, urgent, at := k.due(now, user, h, wanted[user])
		switch {
		case kind == "" || inTheWay[user]:
			return
		case h != nil && h.pause.until.After(at):
			at = h.pause.until
		}
		if wait := at.Sub(now); wait > 0 {
			next = min(next, wait)
			return
		}
		j := job{kind: kind, user: user, urgent: urgent}
		if h != nil {
			j.was = h.generation
		}
		jobs = append(jobs, j)
	}
	for user, h := range k.held {
		if h.key == "" && !wanted[user] {
			delete(k.held, user)
			continue
		}
		add(user, h)
	}
	for user := range wanted {
		if k.held[user] == nil {
			add(user, nil)
		}
	}
	slices.SortFunc(jobs, func(a, b job) int {
		return cmp.Or(cmp.Compare(a.urgent, b.urgent), cmp.Compare(a.user, b.user))
	})
	return jobs, next
}

// due returns what is to be done about one user, how urgently, and from when on; ""
// is nothing. k.mu is held.
func (k *eventKeeper) due(now time.Time, user identity.User, h *heldEvent, wanted bool) (kind jobKind, urgent int, at time.Time) {
	have := h != nil && h.key != ""
	switch {
	case !have && (!wanted || !k.readable[user]):
		return "", 0, now
	case !have:
		return jobCreate, 2, now
	case !wanted:
		return jobEnd, 4, now
	case h.record.URL != k.t.conf.PublicURL:
		return jobMove, 1, now
	case now.After(h.record.Expires.Add(clockSkew)):
		return jobGone, 1, now
	case h.said == notification.SubscriptionRemoved:
		return jobCheck, 0, now
	case h.said == notification.ReauthorizationRequired:
		// Never twice within ten minutes, whatever moved the expiry last.
		return jobRenew, 1, later(now, later(h.record.Made, h.record.Renewed).Add(k.t.conf.Events.Gap))
	case h.doubt:
		return jobCheck, 1, now
	}
	renew := h.record.Expires.Add(-k.t.conf.Events.RenewBefore)
	if left := h.record.Expires.Sub(now); left < k.t.conf.Events.RenewBefore/4 {
		return jobRenew, 1, now
	}
	return jobRenew, 3, renew
}

// longestUserPause between two tries for one user.
const longestUserPause = 6 * time.Hour

// pause is how long one matter rests after failures, doubling.
type pause struct {
	failures int
	until    time.Time
}

// note sets the pause after an outcome.
func (p *pause) note(err error, now time.Time, first, longest time.Duration) {
	if err == nil {
		*p = pause{}
		return
	}
	p.failures++
	wait := min(first<<min(p.failures-1, 20), longest)
	p.until = now.Add(max(wait, fault.RetryAfter(err)) + rand.N(wait))
}

// troubleAfter is after how many failures in a row, of different users, it is the
// tenant that is in trouble.
const troubleAfter = eventJobs

// trouble is what stands in the way of all of a tenant's subscriptions: no rights, a
// quota that is used up, Graph being away.
type trouble struct {
	inRow int
	pause pause
}

// note counts an outcome. What is wrong with one user says nothing about the tenant.
func (t *trouble) note(err error, now time.Time, first time.Duration) {
	if err == nil {
		*t = trouble{}
		return
	}
	switch fault.KindOf(err) {
	case fault.NotFound, fault.Invalid, fault.Conflict, fault.Cancelled:
		return
	case fault.Throttled:
		t.inRow = troubleAfter // the quota is the tenant's
	default:
		t.inRow++
	}
	switch {
	case t.inRow < troubleAfter:
	case now.Before(t.pause.until):
		// The answer to a request that was under way when the pause began: it says
		// nothing about how long the trouble lasts, unless Graph names a time.
		if asked := now.Add(fault.RetryAfter(err)); asked.After(t.pause.until) {
			t.pause.until = asked
		}
	default:
		t.pause.note(err, now, first, longestPause)
	}
}

// tenantPause is for how long nothing is to be sent for the tenant.
func (k *eventKeeper) tenantPause(now time.Time) time.Duration {
	k.mu.Lock()
	defer k.mu.Unlock()
	return max(0, k.trouble.pause.until.Sub(now))
}

func (k *eventKeeper) inTrouble() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.trouble.inRow >= troubleAfter
}
