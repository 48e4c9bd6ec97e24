package hot

import (
	"bytes"
	"context"
	"sync"
	"time"
)

// sweepEvery is how long a key may stay in memory after its end, while the store
// is in use. Sweeping looks at every key, so it also waits until there are twice
// as many as the last time found worth keeping: a constant cost per call.
const (
	sweepEvery = time.Minute
	sweepLeast = 1024
)

// Local is a Store in the memory of one process. Memory is bounded by the keys
// that are alive: a budget that is full again and a value whose time is over are
// removed. It has no goroutine.
type Local struct {
	mu      sync.Mutex
	budgets map[string]time.Time // theoretical arrival time: when the bucket is full again
	values  map[string]value
	swept   time.Time // when sweep last ran
	next    int       // number of keys at which sweep runs even before sweepEvery is over
}

type value struct {
	data []byte
	ends time.Time
}

var _ Store = (*Local)(nil)

// InProcess returns an empty store in memory.
func InProcess() *Local {
	return &Local{
		budgets: make(map[string]time.Time), values: make(map[string]value),
		swept: time.Now(), next: sweepLeast,
	}
}

// Take is Store.Take.
func (s *Local) Take(ctx context.Context, key string, l Limit, n int) (time.Duration, error) {
	if err := check(ctx, key, l, n); err != nil {
		return 0, err
	}
	return s.take(key, l, n), nil
}

// take is Take for arguments that were checked.
func (s *Local) take(key string, l Limit, n int) time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	s.sweep(now)
	full := s.budgets[key]
	if full.Before(now) {
		full = now
	}
	// Each event moves the moment of fullness by one interval; it may lie at
	// most a whole burst ahead.
	full = full.Add(time.Duration(n) * l.interval())
	if wait := full.Sub(now) - time.Duration(l.Burst)*l.interval(); wait > 0 {
		return wait
	}
	s.budgets[key] = full
	return 0
}

// Get is Store.Get.
func (s *Local) Get(ctx context.Context, key string) ([]byte, bool, error) {
	if err := alive(ctx, "hot: get"); err != nil {
		return nil, false, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	v, ok := s.values[key]
	if !ok || !time.Now().Before(v.ends) {
		return nil, false, nil
	}
	return bytes.Clone(v.data), true, nil
}

// Set is Store.Set.
func (s *Local) Set(ctx context.Context, key string, data []byte, ttl time.Duration) error {
	if err := alive(ctx, "hot: set"); err != nil {
		return err
	}
	if err := checkTTL(key, ttl); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	s.sweep(now)
	s.values[key] = value{data: append([]byte{}, data...), ends: now.Add(ttl)}
	return nil
}

// Delete is Store.Delete.
func (s *Local) Delete(ctx context.Context, key string) error {
	if err := alive(ctx, "hot: delete"); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.values, key)
	return nil
}

// Close is Store.Close. There is nothing to free.
func (s *Local) Close() error { return nil }

// sweep removes what has ended, now and then. The caller holds the lock.
func (s *Local) sweep(now time.Time) {
	if len(s.budgets)+len(s.values) < s.next && now.Sub(s.swept) < sweepEvery {
		return
	}
	for key, full := range s.budgets {
		if !now.Before(full) {
			delete(s.budgets, key)
		}
	}
	for key, v := range s.values {
		if !now.Before(v.ends) {
			delete(s.values, key)
		}
	}
	s.swept, s.next = now, max(sweepLeast, 2*(len(s.budgets)+len(s.values)))
}
