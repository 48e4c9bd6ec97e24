package graph

import (
	"context"
	"time"
)

// Pauses tells everyone who draws on a quota what Graph has asked one of them for: a
// Retry-After holds for the app in its tenant, and not for the one client that got
// it. Whoever got it remembers it by itself as well, so that a memory that fails or
// forgets costs the others one refusal each.
type Pauses interface {
	// Pause keeps requests of a quota ("tenant/api") from leaving before a time. An
	// earlier time than the one that is known changes nothing.
	Pause(ctx context.Context, key string, until time.Time)
	// Paused returns the time before which nothing may leave; it may be past or zero.
	Paused(ctx context.Context, key string) time.Time
}

// Memory is what Pauses are kept in: hot.Store is one.
type Memory interface {
	Get(ctx context.Context, key string) ([]byte, bool, error)
	Set(ctx context.Context, key string, value []byte, ttl time.Duration) error
}

// SharePauses makes Pauses of a memory that several clients, or several processes
// with clocks that agree, have in common.
func SharePauses(m Memory) Pauses { return sharedPauses{m} }

type sharedPauses struct{ memory Memory }

func pauseKey(key string) string { return "graph:pause:" + key }

// Pause implements Pauses. Of two who write at the same time one may be lost, which
// the refusal of the next request mends.
func (s sharedPauses) Pause(ctx context.Context, key string, until time.Time) {
	left := time.Until(until)
	if left < time.Millisecond || s.Paused(ctx, key).After(until) {
		return
	}
	_ = s.memory.Set(ctx, pauseKey(key), []byte(until.UTC().Format(time.RFC3339Nano)), left) // see Pauses
}

// Paused implements Pauses.
func (s sharedPauses) Paused(ctx context.Context, key string) time.Time {
	value, ok, err := s.memory.Get(ctx, pauseKey(key))
	if err != nil || !ok {
		return time.Time{}
	}
	until, err := time.Parse(time.RFC3339Nano, string(value))
	if err != nil {
		return time.Time{}
	}
	return until
}
