package pbx

import (
	"math/rand/v2"
	"sync"
	"time"

	"offhook.dev/libs/core/fault"
)

// The breaker opens after breakAfter calls in a row without a usable answer. Whoever is
// kept away is told to come back after restFirst, twice as long each time a probe fails,
// at most restLongest. Whoever comes earlier than that can be the next probe: when the
// same time or probeLongest, whichever is less, is over but for a random part of up to a
// quarter. A request every three seconds is less than a phone system has to answer while
// it is well, so its return need not wait for those who were told half a minute.
const (
	breakAfter   = 5
	restFirst    = time.Second
	restLongest  = 30 * time.Second
	probeLongest = 3 * time.Second
)

// breaker keeps calls away from a phone system that does not answer, and counts
// how often it came back.
type breaker struct {
	mu         sync.Mutex
	failures   int           // calls without an answer, in a row
	rest       time.Duration // how long callers were told to wait last; 0: closed
	told       time.Time     // until when
	until      time.Time     // open until then; later: half open
	probing    bool          // half open, and the one probe is under way
	down       bool          // unreachable since the last answer
	generation uint64
}

// admit says whether a call may go out. Whoever is admitted must call settle.
func (b *breaker) admit(op string) (probe bool, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.rest == 0 {
		return false, nil
	}
	if time.Until(b.until) > 0 {
		return false, fault.After(fault.Unavailable, op, time.Until(b.told), errOpen)
	}
	if b.probing {
		return false, fault.After(fault.Unavailable, op, restFirst, errOpen)
	}
	b.probing = true
	return true, nil
}

// settle records what became of an admitted call. A call that the caller gave up
// says nothing about the phone system.
func (b *breaker) settle(probe bool, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if probe {
		b.probing = false
	}
	switch kind := fault.KindOf(err); {
	case err != nil && kind == fault.Cancelled:
	case err != nil && (kind == fault.Unavailable || kind == fault.Timeout):
		b.failures++
		b.down = b.down || kind == fault.Unavailable || b.failures >= breakAfter
		if probe || b.rest == 0 && b.failures >= breakAfter {
			b.rest = min(max(restFirst, 2*b.rest), restLongest)
			now := time.Now()
			gap := min(b.rest, probeLongest)
			b.told, b.until = now.Add(b.rest), now.Add(gap-rand.N(gap/4))
		}
	default:
		if b.down {
			b.generation++
		}
		b.failures, b.rest, b.down = 0, 0, false
	}
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
