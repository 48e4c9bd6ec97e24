package graph_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"offhook.dev/libs/graph"
)

// notes is a memory that forgets in time.
type notes struct {
	values map[string][]byte
	ends   map[string]time.Time
	err    error
}

func (n *notes) Get(_ context.Context, key string) ([]byte, bool, error) {
	value, ok := n.values[key]
	return value, ok && time.Now().Before(n.ends[key]), n.err
}

func (n *notes) Set(_ context.Context, key string, value []byte, ttl time.Duration) error {
	n.values[key], n.ends[key] = value, time.Now().Add(ttl)
	return n.err
}

func TestAPauseIsKnownToEveryoneAndEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		memory := &notes{values: map[string][]byte{}, ends: map[string]time.Time{}}
		one, other := graph.SharePauses(memory), graph.SharePauses(memory)
		const key = "contoso/presence"
		left := func(key string) time.Duration { return max(0, time.Until(other.Paused(t.Context(), key))) }
		if left(key) != 0 {
			t.Error("paused before anybody was asked")
		}
		one.Pause(t.Context(), key, time.Now().Add(1500*time.Millisecond))
		one.Pause(t.Context(), key, time.Now().Add(time.Second))
		one.Pause(t.Context(), key, time.Now().Add(-time.Second))
		if got := left(key); got != 1500*time.Millisecond {
			t.Errorf("%v are left of 1.5s: the later end counts", got)
		}
		if left("contoso/list") != 0 || left("fabrikam/presence") != 0 {
			t.Error("another quota is paused")
		}
		time.Sleep(1500 * time.Millisecond) // in the bubble's time
		if left(key) != 0 || len(memory.values) != 1 {
			t.Errorf("%v are left, %d keys", left(key), len(memory.values))
		}
		memory.values["graph:pause:"+key], memory.ends["graph:pause:"+key] = []byte("soon"), time.Now().Add(time.Hour)
		if left(key) != 0 {
			t.Error("what cannot be read is a pause")
		}
		memory.err = errors.New("away")
		one.Pause(t.Context(), key, time.Now().Add(time.Hour))
		if left(key) != 0 {
			t.Error("a memory that fails keeps requests back")
		}
	})
}
