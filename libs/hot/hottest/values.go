package hottest

import (
	"testing"
	"time"
)

func set(t *testing.T, h Harness, key, value string, ttl time.Duration) {
	t.Helper()
	if err := h.Store.Set(t.Context(), key, []byte(value), ttl); err != nil {
		t.Fatalf("Set(%s): %v", key, err)
	}
}

// want fails unless key holds value; "" is no value.
func want(t *testing.T, h Harness, key, value string) {
	t.Helper()
	data, found, err := h.Store.Get(t.Context(), key)
	if err != nil || found != (value != "") || string(data) != value {
		t.Fatalf("Get(%s) = %q, %v, %v; want %q", key, data, found, err, value)
	}
}

func values(t *testing.T, h Harness) {
	want(t, h, "k", "")
	set(t, h, "k", "one", time.Minute)
	set(t, h, "other", "three", time.Minute)
	want(t, h, "k", "one")
	set(t, h, "k", "two\x00\xff", time.Minute)
	want(t, h, "k", "two\x00\xff")
	for range 2 { // deleting what is not there is no error
		if err := h.Store.Delete(t.Context(), "k"); err != nil {
			t.Fatal(err)
		}
		want(t, h, "k", "")
	}
	want(t, h, "other", "three")
	set(t, h, "empty", "", time.Minute)
	if data, found, err := h.Store.Get(t.Context(), "empty"); err != nil || !found || len(data) != 0 {
		t.Errorf("an empty value: %q, %v, %v", data, found, err)
	}
}

func expiry(t *testing.T, h Harness) {
	set(t, h, "short", "a", 80*time.Millisecond)
	set(t, h, "long", "b", time.Hour)
	want(t, h, "short", "a")
	h.Advance(80 * time.Millisecond)
	want(t, h, "short", "")
	want(t, h, "long", "b")
	set(t, h, "long", "c", 80*time.Millisecond)
	h.Advance(80 * time.Millisecond)
	want(t, h, "long", "") // the later time to live counts, not the longer
}

func copies(t *testing.T, h Harness) {
	mine := []byte("value")
	if err := h.Store.Set(t.Context(), "k", mine, time.Minute); err != nil {
		t.Fatal(err)
	}
	mine[0] = 'X'
	theirs, _, err := h.Store.Get(t.Context(), "k")
	if err != nil {
		t.Fatal(err)
	}
	want(t, h, "k", "value")
	theirs[0] = 'Y'
	want(t, h, "k", "value")
}

func names(t *testing.T, h Harness) {
	set(t, h, "k", "value", time.Minute)
	mustTake(t, h, "k", slow, slow.Burst)
	want(t, h, "k", "value")
	if err := h.Store.Delete(t.Context(), "k"); err != nil {
		t.Fatal(err)
	}
	mustWait(t, h, "k", slow, 1)
}
