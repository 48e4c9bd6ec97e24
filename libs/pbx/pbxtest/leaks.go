package pbxtest

import (
	"context"
	"time"

	"go.uber.org/goleak"

	"offhook.dev/libs/core/fault"
)

// leavesNothing makes a case of something done to a driver, after which nothing of it may
// be left once it and its phone system are closed.
func leavesNothing(name string, do func(t T, h Harness)) suiteCase {
	return suiteCase{name, func(t T, open func() Harness) {
		before := goleak.IgnoreCurrent()
		h := open()
		defer h.Close()
		do(t, h)
		h.Inject(None) // before Close, which waits for what hangs
		if err := h.Driver().Close(); err != nil {
			t.Errorf("close: %v", err)
		}
		h.Close()
		if err := goleak.Find(before); err != nil {
			t.Errorf("after close: %v", err)
		}
	}}
}

// cancelledWhileHanging cancels calls of every kind while they wait for an answer. That
// they return is another case's claim.
func cancelledWhileHanging(t T, h Harness) {
	warm(t, h)
	s, _ := pair(h)
	set := errand{writeStatus, false, func(ctx context.Context) error { return h.Driver().SetStatus(ctx, h.Extensions()[0], s) }}
	errands := append(allErrands(t, h), set)
	h.Inject(Hang)
	for _, e := range errands {
		before := h.Requests()
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- e.run(ctx) }()
		for start := time.Now(); h.Requests() == before && time.Since(start) < underWay; {
			wait(time.Millisecond)
		}
		cancel()
		select {
		case <-ended:
		case <-time.After(10 * underWay):
			h.Inject(None)
			<-ended
			h.Inject(Hang)
		}
	}
}

// underWay is after what time a call has sent what it will send.
const underWay = 100 * time.Millisecond

// watchCancelled cancels a watch that has told everything. That it ends promptly is another
// case's claim: closing ends it, too.
func watchCancelled(t T, h Harness) {
	w := watched(t, h)
	if w == nil {
		return
	}
	w.inSync(t)
	w.cancel()
	select {
	case <-w.ended:
	case <-time.After(10 * underWay):
	}
}

// watchCancelledEarly cancels a watch that cannot have told everything, because nothing is
// answered any more.
func watchCancelledEarly(t T, h Harness) {
	if !powers(h).Watch.Any() {
		return
	}
	warm(t, h)
	h.Inject(Hang)
	before := h.Requests()
	w := watched(t, h)
	for start := time.Now(); h.Requests() == before && time.Since(start) < underWay; {
		wait(time.Millisecond)
	}
	w.cancel()
	w.end(t, "cancelled while it connected,", fault.Cancelled)
}
