package receiver

import (
	"context"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"offhook.dev/libs/core/fault"
	"offhook.dev/libs/store"
	"offhook.dev/libs/subscription"
)

// records mirrors the bucket `subscriptions`.
type records struct {
	bucket *store.Bucket

	mu    sync.RWMutex // guards known, misses
	known map[string]subscription.Record
	// misses are keys that the bucket did not have when it was asked: each is looked
	// up once, so that guessing costs the broker nothing.
	misses map[string]time.Time

	lookups *rate.Limiter // of the bucket, for keys that are not mirrored
}

const (
	maxMisses        = 10_000
	missFor          = time.Minute
	lookupsPerSecond = 100
)

func newRecords(bucket *store.Bucket) *records {
	return &records{bucket: bucket, known: map[string]subscription.Record{}, misses: map[string]time.Time{},
		lookups: rate.NewLimiter(lookupsPerSecond, lookupsPerSecond)}
}

func (r *records) run(ctx context.Context, current func()) error {
	return r.bucket.Watch(ctx, ">", func(e store.Entry) error {
		record, err := subscription.Decode(e.Value)
		r.mu.Lock()
		defer r.mu.Unlock()
		if e.Deleted || err != nil {
			delete(r.known, e.Key)
			return nil
		}
		r.known[e.Key] = record
		delete(r.misses, e.Key)
		return nil
	}, current)
}

// find returns the record of a path segment, and whether there is one. An error
// means that this cannot be known now.
func (r *records) find(ctx context.Context, path string) (subscription.Record, bool, error) {
	if !subscription.IsKey(path) {
		return subscription.Record{}, false, nil
	}
	return r.byKey(ctx, subscription.KeyOf(path))
}

// byKey is find by the bucket's key. A key that is not mirrored is looked up in the
// bucket once: Graph's handshake can be faster than the watch.
func (r *records) byKey(ctx context.Context, key string) (subscription.Record, bool, error) {
	r.mu.RLock()
	record, ok := r.known[key]
	missed, tried := r.misses[key]
	r.mu.RUnlock()
	if ok || tried && time.Since(missed) < missFor {
		return record, ok, nil
	}
	if !r.lookups.Allow() {
		return subscription.Record{}, false, fault.After(fault.Throttled, "look up subscription", time.Second, nil)
	}
	e, err := r.bucket.Get(ctx, key)
	switch {
	case err == nil:
		record, err = subscription.Decode(e.Value)
		return record, err == nil, nil
	case fault.KindOf(err) == fault.NotFound:
		r.missed(key)
		return subscription.Record{}, false, nil
	}
	return subscription.Record{}, false, err
}

func (r *records) missed(key string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.misses) >= maxMisses {
		clear(r.misses)
	}
	r.misses[key] = time.Now()
}

// flood is a token bucket for each known key.
type flood struct {
	perSecond, burst int

	mu     sync.Mutex // guards limits
	limits map[string]*rate.Limiter
}

func (f *flood) allow(path string) bool {
	key := subscription.KeyOf(path)
	f.mu.Lock()
	defer f.mu.Unlock()
	limit, ok := f.limits[key]
	if !ok {
		if len(f.limits) >= maxMisses { // keys rotate; the old ones need no memory
			clear(f.limits)
		}
		limit = rate.NewLimiter(rate.Limit(f.perSecond), f.burst)
		f.limits[key] = limit
	}
	return limit.Allow()
}
