package graphsim

import (
	"strconv"
	"time"
)

// onTheWay is how long after an answer of "later" requests of the same scope are not
// held against anybody: they may have been sent before the answer was read.
const onTheWay = time.Second

// respite is what Graph has asked for with a Retry-After.
type respite struct{ from, until time.Time }

// scope names what a Retry-After holds for, "" is nothing. Published limits are for
// an app in this tenant, Outlook's for an app in a mailbox
// (learn.microsoft.com/graph/throttling-limits).
func (c *call) scope(need permissions) string {
	if need.mailbox {
		c.tenant.mu.RLock()
		defer c.tenant.mu.RUnlock()
		if p := c.tenant.exact(c.PathValue("user")); p != nil {
			return "mailbox " + p.id + " " + c.app.ClientID
		}
		return ""
	}
	for _, q := range quotaTable {
		if q.covers(c.Method, c.URL.Path) {
			return q.name + " " + c.app.ClientID
		}
	}
	if c.Pattern == "POST /v1.0/$batch" {
		return "" // each request inside has a scope of its own
	}
	return "directory " + c.app.ClientID
}

// checkRespite records a violation where a request comes before the end of what an
// earlier answer of its scope asked for.
func (t *Tenant) checkRespite(c *call, scope string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	r, asked := t.respites[scope]
	now := t.server.now()
	switch {
	case !asked:
	case !now.Before(r.until):
		delete(t.respites, scope)
	case now.Sub(r.from) > onTheWay:
		t.violate("early-retry", "%s %s came %v before the end of a Retry-After (%s)", c.Method, c.URL.Path, r.until.Sub(now).Round(time.Millisecond), scope)
	}
}

// rest notes what the answer f asks for. An earlier end never replaces a later one.
func (t *Tenant) rest(c *call, scope string, f Fault) {
	now := t.server.now()
	wait, asked := f.wait()
	if !asked || scope == "" {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if c.Context().Value(insideBatch{}) != nil && t.switches.BatchThrottled == "outer" {
		return // the client does not see this answer
	}
	old, had := t.respites[scope]
	if until := now.Add(wait); !had || until.After(old.until) {
		t.respites[scope] = respite{now, until}
	}
}

// wait is how long the header that f sets asks for.
func (f Fault) wait() (time.Duration, bool) {
	if f.RetryDate > 0 { // written in whole seconds
		return time.Until(time.Now().Add(f.RetryDate).Truncate(time.Second)), true
	}
	seconds, err := strconv.ParseFloat(f.RetryAfter, 64)
	return time.Duration(seconds * float64(time.Second)), err == nil && seconds > 0
}
