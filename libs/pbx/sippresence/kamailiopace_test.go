package sippresence

import (
	"os"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/core/presence"
	"offhook.dev/libs/pbx/pbxbench"
	"offhook.dev/libs/pbx/sippresence/kamailiotest"
)

// publications is how many are refreshed on a real Kamailio: OFFHOOK_PUBLICATIONS, or few
// enough for every day.
func publications(t *testing.T) int {
	t.Helper()
	text := os.Getenv("OFFHOOK_PUBLICATIONS")
	if text == "" {
		return 400
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 {
		t.Fatalf("OFFHOOK_PUBLICATIONS is %q", text)
	}
	return n
}

// Many publications that are all due at once, as after a start or when the server was away,
// are prolonged on a real Kamailio at the keeper's pace: none dies meanwhile, and none has
// to be published anew.
func TestManyAreRefreshedOnAKamailio(t *testing.T) {
	t.Parallel()
	server := kamailiotest.Start(t, kamailiotest.Options{Memory: 256})
	if server == nil {
		return
	}
	n := publications(t)
	relay := newRelay(t, server.Address("udp"))
	t.Cleanup(relay.close)
	config := kamailio{server}.config(UDP)
	config.Server = relay.address()
	config.Expires = (time.Duration(n)*keeperGap*4 + time.Minute).Truncate(time.Second) // nothing is due by itself while this runs
	d := open(t, config).(*driver)
	each := func(do func(identity.Extension) error) {
		var failed atomic.Int64
		pbxbench.InTurns(n, 16, func(i int) bool {
			if err := do(identity.Extension(strconv.Itoa(10000 + i))); err != nil && failed.Add(1) < 5 {
				t.Error(err)
			}
			return failed.Load() < 5
		})
	}
	each(func(ext identity.Extension) error { return d.SetStatus(t.Context(), ext, presence.DND) })
	before, began := relay.transactions(), time.Now()
	for _, r := range d.table.all() {
		d.table.mu.Lock()
		d.table.schedule(r, began)
		d.table.mu.Unlock()
	}
	patience := time.After(2 * config.Expires)
	for sent := 0; sent < n; sent = relay.transactions() - before {
		if allowed := 1 + int(time.Since(began)/keeperGap); sent > allowed {
			t.Fatalf("%d were sent, %d are allowed", sent, allowed)
		}
		select {
		case <-patience:
			t.Fatalf("%d of %d were refreshed", sent, n)
		case <-time.After(10 * time.Millisecond):
		}
	}
	took := time.Since(began)
	eventually(t, "the last one is answered", func() bool {
		for _, r := range d.table.all() {
			if held := d.table.held(r); held.Expires.Before(began.Add(config.Expires)) {
				return false
			}
		}
		return len(d.table.all()) == n
	})
	// A publication that had died would be two transactions; so are those that are under way
	// when a nonce ends.
	if sent := relay.transactions() - before; sent < n || sent > n+keeperLanes {
		t.Errorf("%d refreshes were %d transactions", n, sent)
	}
	each(func(ext identity.Extension) error {
		status, err := d.Status(t.Context(), ext)
		if err == nil && status != presence.DND {
			t.Errorf("%s shows %v", ext, status)
		}
		return err
	})
	t.Logf("%d publications were refreshed in %v, %.1f a second", n, took, float64(n)/took.Seconds())
}

// As many as come out of their meetings, or go into them, at the same time are seen to at
// once: the last lamp is right when the last status is, but for a moment.
func TestManyLampsAreLitOnAKamailio(t *testing.T) {
	t.Parallel()
	server := kamailiotest.Start(t, kamailiotest.Options{Memory: 256})
	if server == nil {
		return
	}
	n := publications(t)
	config := kamailio{server}.config(UDP)
	config.Lamps = presence.SetOf(presence.DND)
	d := open(t, config).(*driver)
	last := identity.Extension(strconv.Itoa(10000 + n - 1))
	lamp := server.WatchCalls(t, last)
	for _, c := range []struct {
		status presence.Status
		colour kamailiotest.Colour
	}{{presence.DND, kamailiotest.Red}, {presence.Available, kamailiotest.Dark}} {
		began := time.Now()
		pbxbench.InTurns(n, 2, func(i int) bool {
			if err := d.SetStatus(t.Context(), identity.Extension(strconv.Itoa(10000+i)), c.status); err != nil {
				t.Error(err)
				return false
			}
			return true
		})
		written := time.Since(began)
		for i := range n {
			quiet(t, d, identity.Extension(strconv.Itoa(10000+i)))
		}
		lamp.Sees(t, c.colour)
		took := time.Since(began)
		t.Logf("%d statuses were written in %v, their lamps were %s %v later", n, written, c.colour, took-written)
		if allowed := written + time.Duration(n)*keeperGap/4 + time.Second; took > allowed {
			t.Errorf("it took %v, %v are allowed", took, allowed)
		}
	}
}
