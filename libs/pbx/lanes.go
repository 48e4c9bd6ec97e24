package pbx

import (
	"cmp"
	"container/list"
	"context"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"offhook.dev/libs/core/fault"
)

// lane is the order of precedence in which requests wait for their turn.
type lane uint8

const (
	urgent lane = iota // one extension's status: somebody's phone rings or not
	// gather is a reading that others may join until its turn comes (Several). The writes
	// of those who have been read go first, and until they are done whoever else writes
	// joins: nearly every reading that leaves is full then. One is under way at a time.
	gather
	// survey is a listing of all statuses while it is young: one request of it tells of a
	// hundred extensions what has to be known before each is written, and would else be
	// asked one by one. It takes turns with urgent. Where the driver has the power Several
	// listings are bulk.
	survey
	bulk // other listings, and all that is done for extensions and phonebooks
	numLanes
)

var laneNames = [numLanes]string{urgent: "urgent", gather: "gather", survey: "survey", bulk: "bulk"}

// bulkShare is how many urgent requests in a row, and readings that are gathered, may
// overtake a waiting one.
// Writes need fresh listings, so a flood of them must not starve the sweep.
const bulkShare = 16

// grace is how long the writes may take to come that follow a reading of several. Whoever
// has been read writes down what is about to be done before it is; who has nothing to write
// is not waited for any longer.
const grace = 50 * time.Millisecond

// lanes admits requests: no more than limit at a time, urgent ones first, none
// before an hour that the phone system named. limit moves between 1 and max:
// halved when the phone system complains or slows down, raised by one after as
// many good answers as it is wide (additive increase, multiplicative decrease).
type lanes struct {
	max  float64
	rate *rate.Limiter // nil: no fixed rate

	mu        sync.Mutex
	limit     float64
	busy      int
	waiting   [numLanes]list.List // of chan struct{}, closed when admitted
	surveyed  bool                // the last admission was one of survey
	overtaken int                 // other admissions since a bulk request had to wait
	reading   bool                // one of gather is under way
	expected  int                 // urgent requests that are about to come
	until     time.Time           // then they are not expected any more
	notBefore time.Time           // Retry-After, for everybody
	// usual is the smoothed time of an answer by what was asked: making an extension
	// takes longer than reading a status.
	usual map[string]time.Duration
}

func newLanes(pace Pace) *lanes {
	l := &lanes{max: float64(pace.InFlight), limit: float64(pace.InFlight), usual: make(map[string]time.Duration)}
	if pace.PerSecond > 0 {
		l.rate = rate.NewLimiter(rate.Limit(pace.PerSecond), 1)
	}
	return l
}

// enter waits for a turn. Its error is Throttled if the phone system wants to be
// left alone for longer than patience or than ctx allows, else ctx's.
func (l *lanes) enter(ctx context.Context, op string, in lane, patience time.Duration) error {
	for {
		if err := l.quiet(ctx, op, patience); err != nil {
			return err
		}
		if err := l.turn(ctx, op, in); err != nil {
			return err
		}
		if l.silence() <= 0 {
			break
		}
		l.leave(in) // somebody ahead was told to slow down while this one queued
	}
	if err := l.pace(ctx, op); err != nil {
		l.leave(in)
		return err
	}
	return nil
}

// pace waits until a fixed rate allows one more request.
func (l *lanes) pace(ctx context.Context, op string) error {
	if l.rate == nil {
		return nil
	}
	if err := l.rate.Wait(ctx); err != nil {
		if ctx.Err() == nil { // the deadline is nearer than the next free moment
			return fault.New(fault.Throttled, op, err)
		}
		return fault.New(fault.KindOf(ctx.Err()), op, context.Cause(ctx))
	}
	return nil
}

// quiet waits for the end of a remembered Retry-After.
func (l *lanes) quiet(ctx context.Context, op string, patience time.Duration) error {
	for {
		wait := l.silence()
		if wait <= 0 {
			return nil
		}
		if wait > patience || !fits(ctx, wait) {
			return fault.After(fault.Throttled, op, wait, nil)
		}
		if err := pause(ctx, wait); err != nil {
			return fault.New(fault.KindOf(err), op, context.Cause(ctx))
		}
	}
}

// silence is how long the phone system still wants to be left alone.
func (l *lanes) silence() time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.notBefore.IsZero() {
		return 0
	}
	return time.Until(l.notBefore)
}

// turn waits in lane in until there is room.
func (l *lanes) turn(ctx context.Context, op string, in lane) error {
	admitted := make(chan struct{})
	l.mu.Lock()
	if in == urgent {
		l.expected = max(0, l.expected-1)
	}
	place := l.waiting[in].PushBack(admitted)
	l.admit()
	l.mu.Unlock()

	select {
	case <-admitted:
		return nil
	case <-ctx.Done():
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	select {
	case <-admitted: // both at once: hand the turn on
		l.gone(in)
	default:
		l.waiting[in].Remove(place)
	}
	l.admit()
	return fault.New(fault.KindOf(ctx.Err()), op, context.Cause(ctx))
}

// leave ends a turn of a lane.
func (l *lanes) leave(in lane) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.gone(in)
	l.admit()
}

// gone is the end of a turn; mu is held.
func (l *lanes) gone(in lane) {
	l.busy--
	if in == gather {
		l.reading = false
	}
}

// expect has no reading that can be joined leave before so many urgent requests have come,
// or grace is over.
func (l *lanes) expect(n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.expected, l.until = n, time.Now().Add(grace)
	time.AfterFunc(grace, func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.admit()
	})
}

// contended says whether urgent requests wait.
func (l *lanes) contended() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.waiting[urgent].Len()+l.waiting[gather].Len() > 0
}

func (l *lanes) free() bool { return l.busy < max(1, int(l.limit)) }

// admit lets in as many as there is room for. mu is held.
func (l *lanes) admit() {
	for l.free() {
		in := l.next()
		switch {
		case in == numLanes:
			return
		case in == bulk:
			l.overtaken = 0
		case in != survey && l.waiting[bulk].Len() > 0:
			l.overtaken++
		}
		l.surveyed, l.reading = in == survey, l.reading || in == gather
		close(l.waiting[in].Remove(l.waiting[in].Front()).(chan struct{}))
		l.busy++
	}
}

// next is the lane whose turn it is; numLanes: none's. mu is held.
func (l *lanes) next() lane {
	waits := func(in lane) bool { return l.waiting[in].Len() > 0 }
	one := numLanes // of those about one extension
	switch {
	case waits(urgent):
		one = urgent
	case waits(gather) && !l.reading && (l.expected == 0 || !time.Now().Before(l.until)):
		one = gather
	}
	switch {
	case waits(survey) && !(l.surveyed && one != numLanes):
		return survey
	case waits(bulk) && (one == numLanes || l.overtaken >= bulkShare):
		return bulk
	}
	return one
}

// How much slower than usual an answer must be to count as a complaint. The
// floor keeps a fast phone system's jitter from mattering. What is usual follows
// slow answers reluctantly: a phone system that became slower for good is worked
// at full width again only after hundreds of them.
const (
	slowFactor = 4
	slowFloor  = 250 * time.Millisecond
	learnUsual = 16
	learnSlow  = 256
)

// learn adapts the limit to one answer to op. took is 0 for what has no usual time, such
// as a listing.
func (l *lanes) learn(op string, err error, took time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err != nil {
		switch fault.KindOf(err) {
		case fault.Throttled, fault.Unavailable, fault.Timeout:
			l.limit = max(1, l.limit/2)
			if wait := fault.RetryAfter(err); wait > 0 {
				if until := time.Now().Add(wait); until.After(l.notBefore) {
					l.notBefore = until
				}
			}
		}
		return
	}
	if took > 0 {
		usual := cmp.Or(l.usual[op], took)
		if took > max(slowFloor, slowFactor*usual) {
			l.usual[op] = usual + (took-usual)/learnSlow
			l.limit = max(1, l.limit/2)
			return
		}
		l.usual[op] = usual + (took-usual)/learnUsual
	}
	l.limit = min(l.max, l.limit+1/l.limit)
	l.admit()
}

// fits says whether ctx lives longer than wait.
func fits(ctx context.Context, wait time.Duration) bool {
	deadline, ok := ctx.Deadline()
	return !ok || time.Until(deadline) > wait
}

// pause waits, or returns ctx's error.
func pause(ctx context.Context, wait time.Duration) error {
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
