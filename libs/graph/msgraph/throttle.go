package msgraph

import (
	"context"
	"math"
	"math/rand/v2"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/graph"
)

const (
	// MaxWait is the longest a call waits by itself before it goes on. A longer
	// wait is returned as fault.Throttled with the time, so that the caller's queue
	// waits and not a goroutine.
	MaxWait = 10 * time.Second

	maxTries    = 4
	backoffBase = 500 * time.Millisecond
	maxDelay    = time.Hour // what a Retry-After is believed to
)

// retryAfter reads a Retry-After header: seconds, which Graph writes with a
// fraction ("2.128"), or an HTTP date (RFC 9110 section 10.2.3). false if it is
// absent or means nothing.
func retryAfter(value string, now time.Time) (time.Duration, bool) {
	value = strings.TrimSpace(value)
	if seconds, err := strconv.ParseFloat(value, 64); err == nil {
		if math.IsNaN(seconds) || seconds < 0 {
			return 0, false
		}
		return time.Duration(min(seconds, maxDelay.Seconds()) * float64(time.Second)), true
	}
	if at, err := http.ParseTime(value); err == nil {
		return min(max(at.Sub(now), 0), maxDelay), true
	}
	return 0, false
}

// backoff is the wait after the given try (1, 2, ...) where nobody said how
// long: exponential, with half of it left to chance so that clients part.
func backoff(try int) time.Duration {
	full := backoffBase << min(try-1, 10)
	return full/2 + rand.N(full/2)
}

// throttle remembers until when each quota is closed.
type throttle struct {
	tenant identity.Tenant
	shared graph.Pauses // or nil

	mu    sync.Mutex
	until map[graph.API]time.Time
}

func newThrottle(tenant identity.Tenant, shared graph.Pauses) *throttle {
	return &throttle{tenant: tenant, shared: shared, until: map[graph.API]time.Time{}}
}

// closeFor keeps the later of two ends: an early request only prolongs a throttle.
func (t *throttle) closeFor(ctx context.Context, api graph.API, delay time.Duration) {
	end := time.Now().Add(delay)
	t.mu.Lock()
	if end.After(t.until[api]) {
		t.until[api] = end
	}
	t.mu.Unlock()
	if t.shared != nil {
		t.shared.Pause(ctx, quotaKey(t.tenant, api), end)
	}
}

// remaining is how long nothing may leave; not positive once it is over.
func (t *throttle) remaining(ctx context.Context, api graph.API) time.Duration {
	t.mu.Lock()
	end := t.until[api]
	t.mu.Unlock()
	if t.shared != nil {
		if others := t.shared.Paused(ctx, quotaKey(t.tenant, api)); others.After(end) {
			end = others
		}
	}
	if end.IsZero() {
		return 0
	}
	return time.Until(end)
}

// quotaKey is what a tenant's quota is called in budgets and pauses.
func quotaKey(tenant identity.Tenant, api graph.API) string {
	return string(tenant) + "/" + string(api)
}
