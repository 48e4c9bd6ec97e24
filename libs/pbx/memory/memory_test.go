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
	given  int // how many free numbers

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

// Costs: a page of extensions has their statuses.
func (h *harness) Costs() map[pbxtest.Call]int { return map[pbxtest.Call]int{pbxtest.ListStatuses: 1} }

func (h *harness) Extensions() []identity.Extension {
	h.PhoneSystem.mu.Lock()
	defer h.PhoneSystem.mu.Unlock()
	return slices.Sorted(maps.Keys(h.extensions))
}

// Free numbers are far from the others.
func (h *harness) Free(n int) []identity.Extension {
	var free []identity.Extension
	for range n {
		h.given++
		free = append(free, identity.Extension(fmt.Sprint(5000+h.given)))
	}
	return free
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

// A senseless answer says nothing of a read, and leaves a write open.
func TestAWriteWithASenselessAnswerMayHaveHappened(t *testing.T) {
	h := newHarness(Powers)
	defer h.driver.Close()
	h.Intercept(func(_ context.Context, request func() error) error {
		if err := request(); err != nil {
			return err
		}
		return ErrGarbled
	})
	all := h.driver.(Full)
	ctx, ext := t.Context(), h.Extensions()[0]
	for name, write := range map[string]func() error{
		"a status":   func() error { return all.SetStatus(ctx, ext, presence.DND) },
		"a creation": func() error { return all.CreateExtension(ctx, directory.Extension{Number: "5000"}) },
		"a change": func() error {
			return all.UpdateExtension(ctx, ext, directory.Update{Fields: []directory.Field{directory.Mail}})
		},
		"deletions": func() error { _, err := all.DeleteExtensions(ctx, []identity.Extension{"5000"}); return err },
		"an entry":  func() error { _, err := all.CreateContact(ctx, "", directory.Contact{LastName: "Abel"}); return err },
		"one changed": func() error {
			return all.UpdateContact(ctx, "", directory.Contact{ID: h.Enter("", directory.Contact{})})
		},
		"ones deleted": func() error { _, err := all.DeleteContacts(ctx, "", []string{"1"}); return err },
		"a photo":      func() error { return all.SetPhoto(ctx, ext, nil, "") },
	} {
		if err := write(); fault.KindOf(err) != fault.Timeout {
			t.Errorf("%s: %v is %v", name, err, fault.KindOf(err))
		}
	}
	if _, err := all.Status(ctx, ext); fault.KindOf(err) != fault.Unavailable {
		t.Errorf("a read: %v is %v", err, fault.KindOf(err))
	}
}
