package pbxtest

import (
	"context"
	"fmt"
	"maps"
	"sync"
	"time"

	"go.uber.org/goleak"

	"offhook.dev/libs/core/fault"
	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/core/presence"
	"offhook.dev/libs/pbx"
)

// watch is one Watch of the driver under test and what it has told.
type watch struct {
	cancel context.CancelFunc
	ended  chan error

	mu       sync.Mutex
	synced   bool
	calls    map[identity.Extension]int
	statuses map[identity.Extension]presence.Status
	before   told // what it had told when it was synced for the first time
}

type told struct {
	calls    map[identity.Extension]int
	statuses map[identity.Extension]presence.Status
}

// watched starts a watch; nil if the driver declares none. The case's harness ends
// it with the driver, at the latest.
func watched(t T, h Harness) *watch {
	watcher, ok := h.Driver().(pbx.Watcher)
	if !ok || !powers(h).Watch.Any() {
		return nil // not declared: implementedIsDeclared sees to it
	}
	ctx, cancel := context.WithCancel(t.Context())
	w := &watch{cancel: cancel, ended: make(chan error, 1),
		calls: make(map[identity.Extension]int), statuses: make(map[identity.Extension]presence.Status)}
	go func() { w.ended <- watcher.Watch(ctx, w.hear) }()
	return w
}

func (w *watch) hear(e pbx.WatchEvent) {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch e := e.(type) {
	case pbx.CallEvent:
		w.calls[e.Extension] = e.Calls
	case pbx.StatusEvent:
		w.statuses[e.Extension] = e.Status
	case pbx.Synced:
		if !w.synced {
			w.synced, w.before = true, told{maps.Clone(w.calls), maps.Clone(w.statuses)}
		}
	}
}

// until waits for what a watch has to have told; right returns what is missing.
// mu is held while it runs.
func (w *watch) until(t T, right func() string) bool {
	t.Helper()
	for start := time.Now(); ; wait(time.Millisecond) {
		w.mu.Lock()
		missing := right()
		w.mu.Unlock()
		switch {
		case missing == "":
			return true
		case time.Since(start) > patience:
			t.Errorf("the watch never told: %s", missing)
			return false
		}
	}
}

// patience is how long a watch may take to tell something, on a busy machine.
const patience = 5 * time.Second

func (w *watch) inSync(t T) bool {
	t.Helper()
	return w.until(t, func() string {
		if !w.synced {
			return "that this was all"
		}
		return ""
	})
}

func (w *watch) inCalls(t T, ext identity.Extension, n int) bool {
	t.Helper()
	return w.until(t, func() string {
		if w.calls[ext] != n {
			return fmt.Sprintf("that %s is in %d calls (it said %d)", ext, n, w.calls[ext])
		}
		return ""
	})
}

// end waits for the end of a watch, promptly, with an error of one of some kinds.
func (w *watch) end(t T, after string, kinds ...fault.Kind) {
	t.Helper()
	select {
	case err := <-w.ended:
		for _, kind := range kinds {
			if err != nil && fault.KindOf(err) == kind {
				return
			}
		}
		t.Errorf("%s the watch ended with %s, which is none of %v", after, describe(err), kinds)
	case <-time.After(prompt):
		t.Errorf("%s the watch went on for %v", after, prompt)
	}
}

func watchTellsOfCalls(t T, h Harness) {
	w := watched(t, h)
	if w == nil || !powers(h).Watch.Calls {
		return
	}
	defer w.cancel()
	phones, ext, other := h.(Watchable), h.Extensions()[0], h.Extensions()[3]
	if !w.inSync(t) {
		return
	}
	phones.StartCall(ext)
	w.inCalls(t, ext, 1)
	phones.StartCall(other)
	w.inCalls(t, other, 1)
	phones.EndCall(ext)
	w.inCalls(t, ext, 0)
	w.inCalls(t, other, 1)
}

func watchTellsOfStatuses(t T, h Harness) {
	w := watched(t, h)
	if w == nil || !powers(h).Watch.Status {
		return
	}
	defer w.cancel()
	ext := h.Extensions()[1]
	if !w.inSync(t) {
		return
	}
	for _, s := range powers(h).Powers.Read.Slice() {
		h.Choose(ext, s)
		ok := w.until(t, func() string {
			if w.statuses[ext] != s {
				return fmt.Sprintf("that %s shows %v (it said %v)", ext, s, w.statuses[ext])
			}
			return ""
		})
		if !ok {
			return
		}
	}
}

func watchSyncs(t T, h Harness) {
	ext := h.Extensions()[2]
	if phones, ok := h.(Watchable); ok {
		phones.StartCall(ext)
	}
	w := watched(t, h)
	if w == nil {
		return
	}
	defer w.cancel()
	if !w.inSync(t) {
		return
	}
	if powers(h).Watch.Calls && w.before.calls[ext] != 1 {
		t.Errorf("it said that this was all, and had said of %s that it is in %d calls", ext, w.before.calls[ext])
	}
	for _, ext := range h.Extensions() {
		if s, ok := w.before.statuses[ext]; powers(h).Watch.Status && (!ok || s != h.Shown(ext)) {
			t.Errorf("it said that this was all, and had said of %s that it shows %v", ext, s)
		}
	}
}

func watchResumes(t T, h Harness) {
	w := watched(t, h)
	if w == nil || !powers(h).Watch.Calls {
		return
	}
	defer w.cancel()
	phones, ended, began := h.(Watchable), h.Extensions()[0], h.Extensions()[1]
	if !w.inSync(t) {
		return
	}
	phones.StartCall(ended)
	if !w.inCalls(t, ended, 1) {
		return
	}
	phones.Cut()
	w.end(t, "cut,", fault.Unavailable)
	phones.EndCall(ended)
	phones.StartCall(began)
	again := watched(t, h)
	defer again.cancel()
	again.inSync(t)
	again.inCalls(t, began, 1)
	again.inCalls(t, ended, 0)
}

func watchIsCancelled(t T, h Harness) {
	w := watched(t, h)
	if w == nil {
		return
	}
	w.inSync(t)
	w.cancel()
	w.end(t, "cancelled,", fault.Cancelled)
}

func watchIsClosed(t T, open func() Harness) {
	before := goleak.IgnoreCurrent()
	h := open()
	defer h.Close()
	w := watched(t, h)
	if w == nil {
		_ = h.Driver().Close()
		return
	}
	w.inSync(t)
	if err := h.Driver().Close(); err != nil {
		t.Errorf("close: %v", err)
	}
	w.end(t, "closed,", fault.Unavailable)
	w.cancel()
	h.Close()
	if err := goleak.Find(before); err != nil {
		t.Errorf("after close: %v", err)
	}
}
