package pbxtest

import (
	"context"
	"time"

	"go.uber.org/goleak"

	"offhook.dev/libs/core/fault"
	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/core/presence"
)

// prompt is how long a cancelled call may take to return, on a busy machine.
const prompt = 3 * time.Second

// warm lets the driver learn what it needs to know once (ids, tokens).
func warm(t T, h Harness) {
	t.Helper()
	err := h.Driver().Statuses(t.Context(), func(identity.Extension, presence.Status) error { return nil })
	if err != nil {
		t.Fatalf("statuses: %v", err)
	}
}

func oneRequest(t T, h Harness) {
	warm(t, h)
	ext := h.Extensions()[0]
	s, _ := pair(h)
	before := h.Requests()
	if _, err := h.Driver().Status(t.Context(), ext); err != nil {
		t.Fatalf("status: %v", err)
	}
	if sent := h.Requests() - before; sent != 1 {
		t.Errorf("a read was %d requests", sent)
	}
	before = h.Requests()
	set(t, h, ext, s)
	if sent := h.Requests() - before; sent != 1 {
		t.Errorf("a write was %d requests", sent)
	}
}

func noRepetition(t T, h Harness) {
	warm(t, h)
	s, _ := pair(h)
	for _, f := range []Fault{Down, Throttle, Deny} {
		h.Inject(f)
		before := h.Requests()
		if h.Driver().SetStatus(t.Context(), h.Extensions()[0], s) == nil {
			t.Errorf("%s: the write succeeded", f)
		}
		if sent := h.Requests() - before; sent > 1 {
			t.Errorf("%s: the write was sent %d times", f, sent)
		}
	}
}

func throttled(t T, h Harness) {
	warm(t, h)
	h.Inject(Throttle)
	_, err := h.Driver().Status(t.Context(), h.Extensions()[0])
	wantKind(t, err, fault.Throttled, "status")
	if delay := fault.RetryAfter(err); delay < ThrottleDelay-time.Second || delay > ThrottleDelay {
		t.Errorf("the phone system asked for %v, the error says %v", ThrottleDelay, delay)
	}
}

func denied(t T, h Harness) {
	warm(t, h)
	h.Inject(Deny)
	_, err := h.Driver().Status(t.Context(), h.Extensions()[0])
	wantKind(t, err, fault.Denied, "status")
}

func turnedAway(t T, h Harness) {
	warm(t, h)
	ext := h.Extensions()[0]
	h.Choose(ext, presence.Available)
	h.Inject(Down)
	wantKind(t, h.Driver().SetStatus(t.Context(), ext, other(h, presence.Available)), fault.Unavailable, "set status")
	if shown := h.Shown(ext); shown != presence.Available {
		t.Errorf("the phone system shows %v", shown)
	}
}

func lostAnswer(t T, h Harness) {
	warm(t, h)
	ext := h.Extensions()[0]
	h.Choose(ext, presence.Available)
	s := other(h, presence.Available)
	h.Inject(LostAnswer)
	ctx, cancel := context.WithTimeout(t.Context(), prompt) // some protocols can only wait
	defer cancel()
	wantKind(t, h.Driver().SetStatus(ctx, ext, s), fault.Timeout, "set status")
	if shown := h.Shown(ext); shown != s {
		t.Errorf("the harness lost the write: %v is shown", shown)
	}
}

func garbage(t T, h Harness) {
	warm(t, h)
	h.Inject(Garbage)
	_, err := h.Driver().Status(t.Context(), h.Extensions()[0])
	wantKind(t, err, fault.Unavailable, "status")
	err = h.Driver().Statuses(t.Context(), func(identity.Extension, presence.Status) error { return nil })
	wantKind(t, err, fault.Unavailable, "statuses")
}

func cancelled(t T, h Harness) {
	warm(t, h)
	s, _ := pair(h)
	h.Inject(Hang)
	before := h.Requests()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	result := make(chan error, 1)
	go func() { result <- h.Driver().SetStatus(ctx, h.Extensions()[0], s) }()
	for start := time.Now(); h.Requests() == before && time.Since(start) < prompt; {
		wait(time.Millisecond)
	}
	cancel()
	select {
	case err := <-result:
		wantKind(t, err, fault.Cancelled, "set status")
	case <-time.After(prompt):
		t.Errorf("still waiting %v after it was cancelled", prompt)
		h.Inject(None)
		<-result
	}
}

func deadline(t T, h Harness) {
	warm(t, h)
	h.Inject(Hang)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	_, err := h.Driver().Status(ctx, h.Extensions()[0])
	wantKind(t, err, fault.Timeout, "status")
}

func recovers(t T, h Harness) {
	warm(t, h)
	ext := h.Extensions()[2]
	_, s := pair(h)
	for _, f := range []Fault{Throttle, Deny, Down, Garbage} {
		h.Inject(f)
		if _, err := h.Driver().Status(t.Context(), ext); err == nil {
			t.Errorf("%s: the read succeeded", f)
		}
	}
	h.Inject(None)
	h.Choose(ext, s)
	if got, err := h.Driver().Status(t.Context(), ext); err != nil || got != s {
		t.Errorf("after the faults ended: read %v (%v) instead of %v", got, err, s)
	}
}

func closeTwice(t T, h Harness) {
	warm(t, h)
	for range 2 {
		if err := h.Driver().Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	}
}

func noGoroutine(t T, open func() Harness) {
	before := goleak.IgnoreCurrent()
	h := open()
	warm(t, h)
	if err := h.Driver().Close(); err != nil {
		t.Errorf("close: %v", err)
	}
	h.Close()
	if err := goleak.Find(before); err != nil {
		t.Errorf("after close: %v", err)
	}
}

// other is a status that can be written and is not s.
func other(h Harness, s presence.Status) presence.Status {
	for _, candidate := range powers(h).Powers.Write.Slice() {
		if candidate != s {
			return candidate
		}
	}
	return s
}

// wait is one step of polling a condition.
func wait(step time.Duration) { <-time.After(step) }
