package graph

import (
	"context"
	"strings"
	"time"

	"offhook.dev/libs/core/fault"
)

// API is a part of Graph with a quota of its own.
// https://learn.microsoft.com/graph/throttling-limits
type API string

// The quotas that Offhook's verbs draw on.
const (
	APIPresence      API = "presence"      // 1,500 to 10,000 in 30 s, per app and tenant
	APIDirectory     API = "directory"     // resource units in 10 s, by size of the tenant
	APISubscriptions API = "subscriptions" // 500 in 20 s, per app and tenant
	APIList          API = "list"          // subscriptions listed: 25 in 20 s
	APIMailbox       API = "mailbox"       // 130,000 in 10 s for the app in all tenants; each mailbox has its own, see MailboxConcurrency
)

// What Outlook grants one app in one mailbox.
// https://learn.microsoft.com/graph/throttling-limits#outlook-service-limits
const (
	MailboxConcurrency = 4      // requests at the same time
	MailboxRequests    = 10_000 // requests in MailboxWindow
	MailboxWindow      = 10 * time.Minute
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

// Limit is a rate: Events per Per in the long run, at most Burst at once.
type Limit struct {
	Events int
	Per    time.Duration
	Burst  int
}

// Share is whose part of a tenant's quotas a budget hands out. Readers have four
// fifths and writers one fifth, so that a sweep never keeps a write waiting and a
// storm of writes never blinds the sweep.
type Share string

// The two shares.
const (
	ShareReader Share = "reader"
	ShareWriter Share = "writer"
)

// quota is what is planned for as a whole: the lower of the published figures
// where the pages disagree, and for resource units those of a small tenant, of
// which a read of users costs up to two.
// https://learn.microsoft.com/graph/throttling-limits
func quota(api API) Limit {
	switch api {
	case APIPresence:
		return Limit{Events: 1500, Per: 30 * time.Second, Burst: 250}
	case APISubscriptions:
		return Limit{Events: 500, Per: 20 * time.Second, Burst: 65}
	case APIList:
		return Limit{Events: 25, Per: 20 * time.Second, Burst: 25}
	case APIMailbox:
		return Limit{Events: 12_500, Per: 10 * time.Second, Burst: 1250}
	}
	return Limit{Events: 1000, Per: 10 * time.Second, Burst: 125}
}

// Limit returns the share's part of an API's quota in one tenant.
func (s Share) Limit(api API) Limit {
	limit, fifths := quota(api), 1
	if s == ShareReader {
		fifths = 4
	}
	limit.Events, limit.Burst = limit.Events*fifths/5, limit.Burst*fifths/5
	return limit
}

// Take takes n events from the rate limiter of a key. It returns 0 if they were
// taken, else how long to wait before asking again.
type Take func(ctx context.Context, key string, l Limit, n int) (wait time.Duration, err error)

// Pace makes a Budget of a rate limiter: of hot.Store.Take, which several
// processes share where there is Redis. The shares have keys of their own, because
// all callers of one key must name the same limit.
func Pace(share Share, take Take) Budget { return paced{share, take} }

type paced struct {
	share Share
	take  Take
}

// Take implements Budget.
func (p paced) Take(ctx context.Context, key string, n int) error {
	api := API(key[strings.LastIndexByte(key, '/')+1:])
	bucket, limit := "graph:"+key, p.share.Limit(api)
	if p.share != ShareReader {
		bucket += ":" + string(p.share)
	}
	for {
		// A request of more than a burst would never be let through: it takes all of it.
		wait, err := p.take(ctx, bucket, limit, min(n, limit.Burst))
		if err != nil || wait == 0 {
			return err
		}
		if deadline, ok := ctx.Deadline(); ok && time.Until(deadline) < wait {
			return fault.After(fault.Throttled, "graph budget "+key, wait, nil)
		}
		timer := time.NewTimer(wait)
		select {
		case <-ctx.Done():
			timer.Stop()
			return fault.New(fault.KindOf(ctx.Err()), "graph budget "+key, context.Cause(ctx))
		case <-timer.C:
		}
	}
}
