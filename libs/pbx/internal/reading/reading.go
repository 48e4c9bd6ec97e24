// Package reading decides who reads a connection over which requests are answered.
//
// A goroutine of its own that reads and wakes whoever waits costs each answer a second
// wake-up. So that one goes aside once nothing is under way, and a caller that finds
// nobody reading reads until it has its answer: what arrives wakes the one who wants it.
// As soon as others wait as well, the standing reader is called back, which hands out what
// came together in one go; and it comes back by itself when nobody has asked for Idle, so
// that an end of the connection is seen while there are no requests.
package reading

import (
	"context"
	"errors"
	"os"
	"sync"
	"time"
)

// Idle is how long a standing reader stays aside while nobody asks for anything. What
// comes by itself meanwhile is read no later than twice that long afterwards.
const Idle = 5 * time.Millisecond

// Duty is that of reading one connection. One goroutine has to Stand.
type Duty struct {
	conn Conn
	next func() error
	busy func() bool

	bounded time.Time // the deadline of reads, of whoever has the duty; zero: none

	mu    sync.Mutex
	taken bool          // somebody reads, or is about to
	led   uint64        // how often a caller has read
	back  chan struct{} // has one in it while the standing reader is called back
}

// Conn is what is asked of a connection: that a Read can be interrupted.
type Conn interface {
	SetReadDeadline(time.Time) error
}

// New makes the duty of reading conn. next reads one message and hands it out; where the
// read deadline passes within one, the next call must go on with it. busy says whether
// more is expected than one who has just been answered waits for: while it does, the
// standing reader stays. Who is going to Lead must make it true before.
func New(conn Conn, next func() error, busy func() bool) *Duty {
	return &Duty{conn: conn, next: next, busy: busy, taken: true, back: make(chan struct{}, 1)}
}

// Stand reads, but for the time in which callers do, until next fails, whose error it
// returns, or until done is closed.
func (d *Duty) Stand(done <-chan struct{}) error {
	for {
		if err := d.next(); err != nil {
			return err
		}
		if seen, aside := d.stepAside(); aside {
			if !d.rest(seen, done) {
				return nil
			}
			d.unbound()
		}
	}
}

func (d *Duty) stepAside() (led uint64, aside bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.taken = d.busy()
	return d.led, !d.taken
}

// rest waits until the standing reader has to read again: false if it never has to.
func (d *Duty) rest(seen uint64, done <-chan struct{}) bool {
	tick := time.NewTicker(Idle)
	defer tick.Stop()
	for {
		select {
		case <-d.back:
			return true
		case <-done:
			return false
		case <-tick.C:
			var free bool
			if seen, free = d.comeBack(seen); free {
				return true
			}
		}
	}
}

// comeBack takes the duty if nobody has had it since led was seen.
func (d *Duty) comeBack(seen uint64) (led uint64, free bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	free = !d.taken && d.led == seen
	d.taken = d.taken || free
	return d.led, free
}

// Lead reads until answered is closed, if nobody else reads; else it returns at once, and
// the answer will be handed out by who does. So it will where the answer takes longer than
// Idle: who asked can then wait for something else as well. An error is next's: after it
// nobody reads any more, and the connection has to be ended (done, of Stand).
func (d *Duty) Lead(ctx context.Context, answered <-chan struct{}) error {
	if ctx.Err() != nil || !d.take() {
		return nil
	}
	d.bound()
	err := d.until(answered)
	slow := errors.Is(err, os.ErrDeadlineExceeded)
	if slow {
		err = nil
	}
	if err == nil { // what follows nonsense must not be taken for an answer
		d.pass(slow)
	}
	return err
}

// bound has reads end after Idle at the soonest and twice that at the latest: to set a
// deadline costs as much as the rest that is done here, so one is for several callers.
func (d *Duty) bound() {
	if now := time.Now(); d.bounded.Sub(now) < Idle {
		d.bounded = now.Add(2 * Idle)
		_ = d.conn.SetReadDeadline(d.bounded)
	}
}

// unbound takes the deadline away.
func (d *Duty) unbound() {
	if !d.bounded.IsZero() {
		d.bounded = time.Time{}
		_ = d.conn.SetReadDeadline(d.bounded)
	}
}

func (d *Duty) until(answered <-chan struct{}) error {
	for {
		select {
		case <-answered: // perhaps by who has just passed the duty
			return nil
		default:
		}
		if err := d.next(); err != nil {
			return err
		}
	}
}

// take takes the duty, if it is free.
func (d *Duty) take() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.taken {
		return false
	}
	d.taken = true
	d.led++
	return true
}

// pass gives the duty up: to the standing reader, if more is expected.
func (d *Duty) pass(expected bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.taken = expected || d.busy(); d.taken {
		d.back <- struct{}{} // there is room: only who has the duty can pass it
	}
}
