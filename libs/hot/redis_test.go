package hot_test

import (
	"encoding/json"
	"io"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"

	"offhook.dev/libs/core/fault"
	"offhook.dev/libs/hot"
	"offhook.dev/libs/logtest"
)

var hourly = hot.Limit{Events: 4, Per: time.Hour, Burst: 8}

// journal is what a store logs.
type journal struct{ logtest.Log }

func (j *journal) logger() *slog.Logger { return slog.New(slog.NewJSONHandler(j, nil)) }

// levels returns the level of each line so far.
func (j *journal) levels(t *testing.T) []string {
	t.Helper()
	var levels []string
	for decoder := json.NewDecoder(strings.NewReader(j.String())); ; {
		var line struct{ Level string }
		if err := decoder.Decode(&line); err == io.EOF {
			return levels
		} else if err != nil {
			t.Fatal(err)
		}
		levels = append(levels, line.Level)
	}
}

// admit takes single events until one is refused, and returns how many there were.
func admit(t *testing.T, store hot.Store, key string) int {
	t.Helper()
	for n := range 1000 {
		wait, err := store.Take(t.Context(), key, hourly, 1)
		if err != nil {
			t.Fatal(err)
		}
		if wait > 0 {
			return n
		}
	}
	t.Fatal("1000 events were admitted")
	return 0
}

func TestKeysAreUnderOnePrefix(t *testing.T) {
	redis := miniredis.RunT(t)
	store := open(t, redis.Addr(), hot.Options{})
	admit(t, store, "graph:contoso")
	if err := store.Set(t.Context(), "board:contoso", []byte("v"), time.Minute); err != nil {
		t.Fatal(err)
	}
	want := []string{"offhook:budget:graph:contoso", "offhook:value:board:contoso"}
	if keys := redis.Keys(); !slices.Equal(keys, want) {
		t.Errorf("keys %q, want %q", keys, want)
	}
	for _, key := range want {
		if redis.TTL(key) <= 0 {
			t.Errorf("%s stays for ever", key)
		}
	}
}

func TestTwoProcessesShareOneBudget(t *testing.T) {
	redis := miniredis.RunT(t)
	first, second := open(t, redis.Addr(), hot.Options{Replicas: 2}), open(t, redis.Addr(), hot.Options{Replicas: 2})
	if n := admit(t, first, "k"); n != hourly.Burst {
		t.Errorf("the first process takes %d, want the whole burst of %d", n, hourly.Burst)
	}
	if n := admit(t, second, "k"); n != 0 {
		t.Errorf("the second process takes %d of an empty budget", n)
	}
}

// TestOutage: the store goes on without Redis, and says so once each way.
func TestOutage(t *testing.T) {
	redis := miniredis.RunT(t)
	var log journal
	store := open(t, redis.Addr(), hot.Options{Replicas: 4, Log: log.logger()})
	if err := store.Set(t.Context(), "k", []byte("v"), time.Hour); err != nil {
		t.Fatal(err)
	}
	redis.Close()

	if n := admit(t, store, "k"); n != hourly.Burst/4 {
		t.Errorf("one of four replicas takes %d on its own, want a quarter of %d", n, hourly.Burst)
	}
	if wait, err := store.Take(t.Context(), "whole", hourly, hourly.Burst); wait != 0 || err != nil {
		t.Errorf("a take of a whole burst is never granted: %v, %v", wait, err)
	}
	if data, found, err := store.Get(t.Context(), "k"); found || err != nil {
		t.Errorf("Get = %q, %v, %v; want nothing and no error", data, found, err)
	}
	if err := store.Set(t.Context(), "k", []byte("w"), time.Hour); err != nil {
		t.Errorf("Set: %v, want it dropped", err)
	}
	if err := store.Delete(t.Context(), "k"); fault.KindOf(err) != fault.Unavailable {
		t.Errorf("Delete: %v; a value that would be back must not count as deleted", err)
	}
	if levels := log.levels(t); !slices.Equal(levels, []string{"WARN"}) {
		t.Errorf("log %v, want one warning", levels)
	}

	if err := redis.Restart(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the store is back", func() bool {
		_, found, err := store.Get(t.Context(), "k")
		return found && err == nil
	})
	if n := admit(t, store, "k"); n != hourly.Burst {
		t.Errorf("after the outage %d are taken, want the shared burst of %d", n, hourly.Burst)
	}
	if levels := log.levels(t); !slices.Equal(levels, []string{"WARN", "INFO"}) {
		t.Errorf("log %v, want one warning and one all-clear", levels)
	}
}

func TestRedisThatIsNotThereYet(t *testing.T) {
	var log journal
	store := open(t, freeAddr(t), hot.Options{Log: log.logger()})
	if n := admit(t, store, "k"); n != hourly.Burst {
		t.Errorf("%d are taken, want %d", n, hourly.Burst)
	}
	if levels := log.levels(t); !slices.Equal(levels, []string{"WARN"}) {
		t.Errorf("log %v, want one warning at start", levels)
	}
}

// TestErrorReplyIsAnOutage: a Redis that answers with errors (read-only, out of
// memory, no rights) is as good as none.
func TestErrorReplyIsAnOutage(t *testing.T) {
	redis := miniredis.RunT(t)
	store := open(t, redis.Addr(), hot.Options{Replicas: 2})
	redis.SetError("READONLY You can't write against a read only replica.")
	if n := admit(t, store, "k"); n != hourly.Burst/2 {
		t.Errorf("%d are taken, want %d", n, hourly.Burst/2)
	}
}

// TestFlushAll: losing everything costs one burst and a miss, and no error.
func TestFlushAll(t *testing.T) {
	redis := miniredis.RunT(t)
	loss(t, open(t, redis.Addr(), hot.Options{}), redis.FlushAll)
	if s := start(t); s != nil {
		loss(t, open(t, s.addr, hot.Options{}), func() { s.flush(t) })
	}
}

func loss(t *testing.T, store hot.Store, lose func()) {
	t.Helper()
	for range 3 {
		if n := admit(t, store, "k"); n != hourly.Burst {
			t.Fatalf("%d are taken, want a full burst of %d", n, hourly.Burst)
		}
		if err := store.Set(t.Context(), "k", []byte("v"), time.Hour); err != nil {
			t.Fatal(err)
		}
		lose()
		if data, found, err := store.Get(t.Context(), "k"); found || err != nil {
			t.Fatalf("Get = %q, %v, %v; want nothing and no error", data, found, err)
		}
	}
}

// TestServerKilled: a Redis that crashes and returns empty is noticed both times,
// its forgotten scripts included.
func TestServerKilled(t *testing.T) {
	s := start(t)
	if s == nil {
		return
	}
	var log journal
	store := open(t, s.addr, hot.Options{Replicas: 2, Log: log.logger()})
	if n := admit(t, store, "before"); n != hourly.Burst {
		t.Errorf("%d are taken, want %d", n, hourly.Burst)
	}
	s.kill(t)
	if n := admit(t, store, "meanwhile"); n != hourly.Burst/2 {
		t.Errorf("without a server %d are taken, want %d", n, hourly.Burst/2)
	}
	s.run(t)
	eventually(t, "budgets are shared again", func() bool {
		if _, err := store.Take(t.Context(), "after", hourly, 1); err != nil {
			t.Fatal(err)
		}
		return slices.Contains(s.keys(t), "offhook:budget:after")
	})
	if levels := log.levels(t); !slices.Equal(levels, []string{"WARN", "INFO"}) {
		t.Errorf("log %v, want one warning and one all-clear", levels)
	}
}

func TestURLThatIsNone(t *testing.T) {
	for _, url := range []string{"", "localhost:6379", "http://:hunter2@localhost", "redis://:hunter2@localhost:port", "redis://:hunter2@localhost/x"} {
		_, err := hot.Redis(t.Context(), url, hot.Options{})
		if fault.KindOf(err) != fault.Invalid {
			t.Errorf("%q: %v, want an error of kind invalid", url, err)
		} else if strings.Contains(err.Error(), "hunter2") {
			t.Errorf("the error shows the password: %v", err)
		}
	}
}
