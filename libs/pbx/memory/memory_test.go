package memory

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"offhook.dev/libs/core/directory"
	"offhook.dev/libs/core/fault"
	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/core/presence"
	"offhook.dev/libs/pbx"
	"offhook.dev/libs/pbx/pbxtest"
)

func TestConformance(t *testing.T) {
	dndOnly := presence.Powers{Write: presence.SetOf(presence.Available, presence.DND), Read: presence.All,
		Ring: presence.SetOf(presence.Available)}
	for name, powers := range map[string]presence.Powers{"all powers": Powers, "only dnd can be written": dndOnly} {
		t.Run(name, func(t *testing.T) {
			pbxtest.Run(t, func() pbxtest.Harness { return newHarness(powers) })
		})
	}
}

// harness makes the phone system misbehave at its one seam.
type harness struct {
	*PhoneSystem
	driver pbx.Driver

	mu      sync.Mutex
	changed chan struct{} // closed when the fault changes
}

// extensions is more than a page, so that listings have a seam.
const extensions = pageSize + 5

func newHarness(powers presence.Powers) *harness {
	var all []directory.Extension
	for i := range extensions {
		all = append(all, directory.Extension{Number: identity.Extension(fmt.Sprint(200 + i)), Enabled: true})
	}
	system := NewPhoneSystem(all...)
	return &harness{PhoneSystem: system, driver: Open(system, powers), changed: make(chan struct{})}
}

func (h *harness) Driver() pbx.Driver         { return h.driver }
func (h *harness) Absent() identity.Extension { return "999" }
func (h *harness) Close()                     {}

func (h *harness) Extensions() []identity.Extension {
	h.PhoneSystem.mu.Lock()
	defer h.PhoneSystem.mu.Unlock()
	return slices.Sorted(maps.Keys(h.extensions))
}

func (h *harness) Inject(f pbxtest.Fault) {
	h.mu.Lock()
	defer h.mu.Unlock()
	close(h.changed)
	h.changed = make(chan struct{})
	changed := h.changed
	if f == pbxtest.None {
		h.Intercept(nil)
		return
	}
	h.Intercept(func(ctx context.Context, request func() error) error {
		switch f {
		case pbxtest.Throttle:
			return Refusal{Code: "busy", Wait: pbxtest.ThrottleDelay}
		case pbxtest.Deny:
			return Refusal{Code: "forbidden"}
		case pbxtest.Down:
			return Refusal{Code: "closed"}
		case pbxtest.Garbage:
			return ErrGarbled
		case pbxtest.LostAnswer:
			if err := request(); err != nil {
				return err
			}
			return ErrLost
		case pbxtest.Hang:
			select {
			case <-ctx.Done():
				return ctx.Err()
			case <-changed:
				return ErrLost
			}
		}
		return request()
	})
}

// A watch that nothing happens on gives a sign of life now and then.
func TestAQuietWatchGivesSignsOfLife(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHarness(Powers)
		defer h.driver.Close()
		ctx, cancel := context.WithTimeout(t.Context(), 4*pbx.WatchBeat+time.Second)
		defer cancel()
		signs := 0
		err := h.driver.(pbx.Watcher).Watch(ctx, func(e pbx.WatchEvent) {
			if _, ok := e.(pbx.Synced); ok {
				signs++
			}
		})
		if fault.KindOf(err) != fault.Timeout || signs != 5 {
			t.Errorf("%d signs of life, %v", signs, err)
		}
	})
}

func TestNativeSyncIsReported(t *testing.T) {
	h := newHarness(Powers)
	want := pbx.SyncState{Users: true, Presence: true}
	h.SetSync(want)
	if got, err := h.driver.(pbx.NativeSync).NativeSync(t.Context()); err != nil || got != want {
		t.Errorf("got %+v, %v", got, err)
	}
}

func TestAClosedDriverFails(t *testing.T) {
	h := newHarness(Powers)
	h.driver.Close()
	if err := h.driver.SetStatus(t.Context(), "200", presence.DND); fault.KindOf(err) != fault.Unavailable {
		t.Errorf("after close: %v", err)
	}
}
