package pbx

import (
	"context"
	"errors"
	"maps"
	"math/rand/v2"
	"sync"
	"time"

	"offhook.dev/libs/core/fault"
	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/core/presence"
)

const (
	// watchSilence is how long a watch may be silent and still be believed.
	watchSilence = 3 * WatchBeat
	// syncTimeout bounds connecting and reading what is the case.
	syncTimeout = 30 * time.Second
	// watchLongest is the mean of the longest wait between two connections.
	watchLongest = 30 * time.Second
	// restDenied is the wait after a refusal that only a person can end.
	restDenied = time.Minute
	// settledAfter is how long a watch must have lived for its loss to be taken as
	// the first one. Two that take the connection from each other never get there.
	settledAfter = time.Minute
)

var (
	errSilent   = errors.New("the watch has been silent for too long")
	errEnded    = errors.New("the driver's watch ended without a reason")
	errClosing  = errors.New("the phone system was closed")
	errWatched  = errors.New("somebody watches this phone system already")
	errNotAsked = errors.New("nobody watches")
)

// Watch tells sink what Watcher.Watch does, for as long as ctx lives: it connects
// again by itself, at once at first and every half minute in the end (every minute
// where a person must act), says Down when the watch is lost, and after each
// connection tells of every call, of the end (0) of those that ended meanwhile,
// and Synced. However long sink takes, it hears of each extension's newest state
// only, by one goroutine at a time. Only one Watch runs at a time: Conflict.
func (s *System) Watch(ctx context.Context, sink Sink) error {
	op := s.named("watch")
	if s.watcher == nil {
		return fault.New(fault.Unsupported, op, errNoPower)
	}
	if !s.watching.begin() {
		return fault.New(fault.Conflict, op, errWatched)
	}
	defer s.watching.end()
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var delivery sync.WaitGroup
	defer delivery.Wait()
	defer cancel(nil) // before the wait
	delivery.Go(func() { s.deliver(ctx, cancel, sink) })
	for wait := firstWait; ; {
		lived, err := s.watchOnce(ctx)
		if ctx.Err() == nil {
			if lived >= settledAfter {
				wait = firstWait
			}
			delay := watchDelay(err, wait)
			wait = min(2*wait, watchLongest)
			if news := s.watching.lost(err); news {
				s.log.Warn("the watch is lost", "kind", fault.KindOf(err).String(), "error", err, "again_in", delay)
			}
			_ = pause(ctx, delay)
		}
		switch cause := context.Cause(ctx); {
		case cause == nil:
		case errors.Is(cause, errClosing):
			return fault.New(fault.Unavailable, op, cause)
		default:
			return fault.New(fault.KindOf(ctx.Err()), op, cause)
		}
	}
}

// watchDelay is how long to wait after a watch ended with err.
func watchDelay(err error, wait time.Duration) time.Duration {
	switch fault.KindOf(err) {
	case fault.Denied, fault.Unsupported, fault.Invalid:
		return restDenied
	}
	if asked := fault.RetryAfter(err); asked > 0 {
		return asked
	}
	return wait/2 + rand.N(wait)
}

// watchOnce is one connection. lived is how long it was synced.
//
// To the breaker a watch is a call that succeeds when it is synced. It may be the
// probe. A connection that is refused counts against the phone system; whatever
// else ends a watch does not, because the interface for requests may be well.
func (s *System) watchOnce(ctx context.Context) (lived time.Duration, err error) {
	op := s.named("watch")
	admitted, err := s.breaker.admit(op)
	if err != nil {
		return 0, err
	}
	bounded, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	patience := syncTimeout
	if admitted.probe {
		patience = tryTimeout // others wait for its result
	}
	watchdog := time.AfterFunc(patience, func() { cancel(errSilent) })
	defer watchdog.Stop()
	var synced time.Time
	err = s.watcher.Watch(bounded, func(e WatchEvent) {
		if _, ok := e.(Synced); ok {
			watchdog.Reset(watchSilence)
			if synced.IsZero() {
				synced = time.Now()
				s.breaker.settle(admitted, nil)
				s.log.Info("the watch is live")
			}
		}
		s.watching.record(e)
	})
	switch {
	case errors.Is(context.Cause(bounded), errSilent) && ctx.Err() == nil:
		err = fault.New(fault.Unavailable, op, errSilent)
	case err == nil:
		err = fault.New(fault.Unavailable, op, errEnded)
	}
	if !synced.IsZero() {
		return time.Since(synced), err
	}
	if admitted.probe || errors.Is(err, ErrRefused) {
		s.breaker.settle(admitted, err)
	}
	return 0, err
}

// deliver hands on what is new until ctx ends, and ends it when the System is
// closed.
func (s *System) deliver(ctx context.Context, cancel context.CancelCauseFunc, sink Sink) {
	for {
		for {
			e, ok := s.watching.next()
			if !ok || ctx.Err() != nil {
				break
			}
			s.telemetry.told(ctx, e)
			sink(e)
		}
		select {
		case <-s.watching.news:
		case <-s.closing:
			cancel(errClosing)
			return
		case <-ctx.Done():
			return
		}
	}
}

// Calls returns the table of calls that Watch keeps. Without a Watch it is as the
// last one left it, and not live.
func (s *System) Calls() Calls {
	w := s.watching
	w.mu.Lock()
	defer w.mu.Unlock()
	c := Calls{Live: w.live(), Confirmed: w.confirmed, Err: w.err, Active: maps.Clone(w.calls)}
	switch {
	case !w.running:
		c.Err = errNotAsked
	case w.synced && !c.Live: // this process was stopped
		c.Err = errSilent
	}
	return c
}

// Live says whether Calls is live and who watches was told so, and when the phone system
// last confirmed all of it. Between the loss of a connection and the Synced of the next
// one that is told, what the watcher has made of it is of the lost one.
func (s *System) Live() (confirmed time.Time, live bool) {
	s.watching.mu.Lock()
	defer s.watching.mu.Unlock()
	return s.watching.confirmed, s.watching.live() && !s.watching.isDown
}

// inCalls is how many extensions are in calls, 0 while nobody knows.
func (s *System) inCalls() int {
	s.watching.mu.Lock()
	defer s.watching.mu.Unlock()
	if !s.watching.live() {
		return 0
	}
	return len(s.watching.calls)
}

// watching is what is known by watching, and what of it was not told yet. Only the
// keys of untold calls are kept: told is always the newest.
type watching struct {
	news chan struct{} // holds one value when there may be something to tell

	mu        sync.Mutex
	running   bool
	synced    bool
	confirmed time.Time
	err       error                       // why it is not synced
	calls     map[identity.Extension]int  // no zeros
	mentioned map[identity.Extension]bool // since the connection was made; nil once synced

	untold   map[identity.Extension]bool
	statuses map[identity.Extension]presence.Status // untold
	down     error                                  // untold
	sync     bool                                   // untold
	told     fault.Kind                             // of the last Down
	isDown   bool                                   // said Down since the last Synced
}

func newWatching() *watching {
	return &watching{
		news: make(chan struct{}, 1), calls: make(map[identity.Extension]int), mentioned: make(map[identity.Extension]bool),
		untold: make(map[identity.Extension]bool), statuses: make(map[identity.Extension]presence.Status),
	}
}

// begin says whether nobody was watching. Whoever begins is told everything.
func (w *watching) begin() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.running {
		return false
	}
	w.running, w.isDown, w.err, w.down, w.sync = true, false, nil, nil, false
	clear(w.untold)
	clear(w.statuses)
	return true
}

func (w *watching) end() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.running = false
	w.unsync()
}

// live says whether what is known is confirmed. The clock decides as well, for a
// process that was stopped and runs on before its timers fire. mu is held.
func (w *watching) live() bool { return w.synced && time.Since(w.confirmed) < watchSilence }

// unsync is the loss of the connection. mu is held.
func (w *watching) unsync() {
	w.synced, w.sync, w.mentioned = false, false, make(map[identity.Extension]bool)
}

// record takes one event of the driver's.
func (w *watching) record(e WatchEvent) {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch e := e.(type) {
	case CallEvent:
		if w.synced && w.calls[e.Extension] == max(0, e.Calls) {
			return
		}
		w.untold[e.Extension] = true
		if w.mentioned != nil {
			w.mentioned[e.Extension] = true
		}
		if e.Calls > 0 {
			w.calls[e.Extension] = e.Calls
		} else {
			delete(w.calls, e.Extension)
		}
	case StatusEvent:
		w.statuses[e.Extension] = e.Status
	case Synced:
		if !w.synced {
			w.dropUnmentioned()
		}
		w.synced, w.sync, w.mentioned, w.err = true, true, nil, nil
		w.confirmed = time.Now()
	}
	w.signal()
}

// dropUnmentioned ends the calls that a new connection did not mention. mu is held.
func (w *watching) dropUnmentioned() {
	for ext := range w.calls {
		if !w.mentioned[ext] {
			delete(w.calls, ext)
			w.untold[ext] = true
		}
	}
}

// lost records the end of a connection, or that there is none. It is news unless
// the same was said before.
func (w *watching) lost(err error) (news bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.unsync()
	w.err = err
	if w.isDown && w.told == fault.KindOf(err) {
		return false
	}
	w.down, w.isDown, w.told = err, true, fault.KindOf(err)
	w.signal()
	return true
}

// next takes what is to be told next: that all is lost, then what changed, then
// that this was all.
func (w *watching) next() (WatchEvent, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if err := w.down; err != nil {
		w.down = nil
		return Down{err}, true
	}
	for ext := range w.untold {
		delete(w.untold, ext)
		return CallEvent{ext, w.calls[ext]}, true
	}
	for ext, status := range w.statuses {
		delete(w.statuses, ext)
		return StatusEvent{ext, status}, true
	}
	if w.sync {
		w.sync, w.isDown = false, false
		return Synced{}, true
	}
	return nil, false
}

// signal wakes deliver. mu is held.
func (w *watching) signal() {
	select {
	case w.news <- struct{}{}:
	default:
	}
}
