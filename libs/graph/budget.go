package graph

import "context"

// API is a part of Graph with a quota of its own.
// https://learn.microsoft.com/graph/throttling-limits
type API string

// The quotas that Offhook's verbs draw on.
const (
	APIPresence      API = "presence"      // 1,500 to 10,000 in 30 s, per app and tenant
	APIDirectory     API = "directory"     // resource units in 10 s, by size of the tenant
	APISubscriptions API = "subscriptions" // 500 in 20 s, per app and tenant
	APIList          API = "list"          // subscriptions listed: 25 in 20 s
)

// Budget paces requests before they leave, so that several processes share one
// tenant's quota.
type Budget interface {
	// Take waits until n requests may leave under key ("tenant/api"), or returns
	// ctx's error, or a fault.Throttled with the time to come back.
	Take(ctx context.Context, key string, n int) error
}

// Unlimited is the Budget that never waits.
type Unlimited struct{}

// Take returns at once.
func (Unlimited) Take(ctx context.Context, _ string, _ int) error { return ctx.Err() }
