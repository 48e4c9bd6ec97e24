package hot_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/alicebob/miniredis/v2"

	"offhook.dev/libs/hot"
	"offhook.dev/libs/hot/hottest"
)

func TestInProcess(t *testing.T) {
	hottest.Run(t, func(t *testing.T, test func(*testing.T, hottest.Harness)) {
		synctest.Test(t, func(t *testing.T) {
			test(t, hottest.Harness{Store: hot.InProcess(), Now: time.Now, Advance: time.Sleep})
		})
	})
}

func TestRedisInMemory(t *testing.T) {
	hottest.Run(t, func(t *testing.T, test func(*testing.T, hottest.Harness)) {
		server := miniredis.RunT(t)
		now := time.Unix(1_800_000_000, 0)
		server.SetTime(now)
		test(t, hottest.Harness{
			Store: open(t, server.Addr(), hot.Options{}),
			Now:   func() time.Time { return now },
			Advance: func(d time.Duration) {
				// Its clock and its expiries are two things, and it counts in microseconds.
				now = now.Add(d.Truncate(time.Microsecond) + time.Microsecond)
				server.SetTime(now)
				server.FastForward(d)
			},
		})
	})
}

func TestRedisServer(t *testing.T) {
	server := start(t)
	if server == nil {
		return
	}
	hottest.Run(t, func(t *testing.T, test func(*testing.T, hottest.Harness)) {
		store := open(t, server.addr, hot.Options{})
		server.flush(t)
		test(t, hottest.Harness{Store: store, Now: time.Now, Advance: func(d time.Duration) { pass(t, d) }})
	})
}

// pass lets real time pass: a real server has no other.
func pass(t *testing.T, d time.Duration) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), d+2*time.Millisecond)
	defer cancel()
	<-ctx.Done()
}

func open(t *testing.T, addr string, o hot.Options) *hot.Shared {
	t.Helper()
	store, err := hot.Redis(t.Context(), "redis://"+addr, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := store.Close(); err != nil {
			t.Error(err)
		}
	})
	return store
}
