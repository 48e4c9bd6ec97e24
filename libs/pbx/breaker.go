package pbx

import (
	"math/rand/v2"
	"sync"
	"time"

	"offhook.dev/libs/core/fault"
)

// The breaker opens after breakAfter calls in a row without a usable answer, for
// restFirst, twice as long each time a probe fails, at most restLongest; each time for up
// to a quarter less, at random. A request every three seconds is less than a phone system
// has to answer while it is well. Callers are told to come back when the next probe may
// be made: a want that waited for longer would hold its place in the queue although the
// phone system is back.
const (
	breakAfter  = 5
	restFirst   = time.Second
	restLongest = 3 * time.Second
)

// breaker keeps calls away from a phone system that does not answer, and counts
// how often it came back.
type breaker struct {
	mu         sync.Mutex
	failures   int           // calls without an answer, in a row
	rest       time.Duration // how long it was opened last; 0: closed
	until      time.Time     // open until then; later: half open
	probing    bool          // half open, and the one probe is under way
	down       bool          // unreachable since the last answer
	losses     uint64        // calls without an answer, ever
	generation uint64
}

// admission is of a call that may go out.
type admission struct {
	probe  bool
	losses uint64 // before it
}

// admit says whether a call may go out. Whoever is admitted must call settle.
func (b *breaker) admit(op string) (admission, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.rest == 0 {
		return admission{losses: b.losses}, nil
	}
	if wait := time.Until(b.until); wait > 0 {
		return admission{}, fault.After(fault.Unavailable, op, wait, errOpen)
	}
	if b.probing {
		return admission{}, fault.After(fault.Unavailable, op, restFirst, errOpen)
	}
	b.probing = true
	return admission{true, b.losses}, nil
}

// settle records what became of an admitted call, and says whether the phone system is
// back by it. A call that the caller gave up says nothing about the phone system, and an
// answer to what was asked before another call was lost does not say that it is back: what
// that answer tells may be from before it restarted.
func (b *breaker) settle(a admission, err error) (back bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if a.probe {
		b.probing = false
	}
	if err != nil {
		switch kind := fault.KindOf(err); kind {
		case fault.Cancelled:
			return false
		case fault.Unavailable, fault.Timeout:
			b.failures++
			b.losses++
			b.down = b.down || kind == fault.Unavailable || b.failures >= breakAfter
			if a.probe || b.rest == 0 && b.failures >= breakAfter {
				b.rest = min(max(restFirst, 2*b.rest), restLongest)
				b.until = time.Now().Add(b.rest - rand.N(b.rest/4))
			}
			return false
		}
	}
	if back = b.down; back {
		if a.losses != b.losses {
			return false
		}
		b.generation++
	}
	b.failures, b.rest, b.down = 0, 0, false
	return back
}

// open says whether calls are being kept away.
func (b *breaker) open() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.rest > 0
}

func (b *breaker) generationNow() uint64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.generation
}
