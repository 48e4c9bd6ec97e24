package graphsim

import (
	"net/http"
	"strconv"
	"strings"
	"time"
)

// quota is one published limit of an app in a tenant
// (learn.microsoft.com/graph/throttling-limits, 2026-02).
type quota struct {
	name   string
	limit  int // 0: Switches.PresenceQuota
	window time.Duration
	covers func(method, path string) bool
}

var quotaTable = []quota{
	{"presence", 0, 30 * time.Second, func(_, path string) bool {
		return strings.HasPrefix(path, "/v1.0/communications/") || strings.HasSuffix(path, "/presence") || strings.Contains(path, "/presence/")
	}},
	{"subscriptions reauthorize", 1000, 20 * time.Second, func(_, path string) bool { return strings.HasSuffix(path, "/reauthorize") }},
	{"subscriptions list", 25, 20 * time.Second, func(method, path string) bool {
		return method == http.MethodGet && path == "/v1.0/subscriptions"
	}},
	{"subscriptions get", 500, 20 * time.Second, func(method, path string) bool {
		return method == http.MethodGet && strings.HasPrefix(path, "/v1.0/subscriptions/")
	}},
	{"subscriptions write", 500, 20 * time.Second, func(_, path string) bool { return strings.HasPrefix(path, "/v1.0/subscriptions") }},
}

// overQuota counts a request against the first quota that covers it and returns the
// 429 to answer when that is used up. Refused requests count as well: "retrying
// early keeps consuming quota".
func (t *Tenant) overQuota(c *call) *Fault {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.switches.Quotas {
		return nil
	}
	now := time.Now()
	for _, q := range quotaTable {
		if !q.covers(c.Method, c.URL.Path) {
			continue
		}
		limit := q.limit
		if limit == 0 {
			limit = t.switches.PresenceQuota
		}
		key := q.name + " " + c.app.ClientID
		recent := t.quotas[key]
		for len(recent) > 0 && now.Sub(recent[0]) >= q.window {
			recent = recent[1:]
		}
		recent = append(recent, now)
		t.quotas[key] = recent
		if len(recent) <= limit {
			return nil
		}
		wait := q.window - now.Sub(recent[len(recent)-limit])
		return &Fault{Kind: FaultStatus, Status: http.StatusTooManyRequests,
			RetryAfter: strconv.FormatFloat(max(wait.Seconds(), 0.001), 'f', 3, 64)}
	}
	return nil
}
