package ami

import (
	"context"
	"errors"
	"net"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// patience ends what would never end.
const patience = 20 * time.Second

// writes counts the writes of a connection.
type writes struct {
	net.Conn
	n atomic.Int64
}

func (w *writes) Write(b []byte) (int, error) {
	w.n.Add(1)
	return w.Conn.Write(b)
}

// numbered are actions with the values 0 to n-1.
func numbered(n int) []Action {
	var all []Action
	for i := range n {
		all = append(all, NewAction("Echo", "Value", strconv.Itoa(i)))
	}
	return all
}

func TestSeveralLeaveWithOneWriteInTheirOrder(t *testing.T) {
	c := led(t, func(p *peer) {
		for i := range 5 {
			m := p.next()
			if m["Value"] != strconv.Itoa(i) {
				p.t.Errorf("action %d is %v", i, m)
			}
			p.ok(m, "")
		}
		p.next()
	})
	counting := &writes{Conn: c.conn}
	c.conn = counting
	for i, err := range c.DoAll(t.Context(), numbered(5)) {
		if err != nil {
			t.Errorf("%d: %v", i, err)
		}
	}
	if n := counting.n.Load(); n != 1 {
		t.Errorf("%d writes", n)
	}
	if n := len(c.slots); n != 0 {
		t.Errorf("%d are still in flight", n)
	}
}

// What becomes of one of several is told of that one.
func TestEachOfSeveralHasAnErrorOfItsOwn(t *testing.T) {
	c := dialed(t, nil, func(p *peer) {
		first, refused, last := p.next(), p.next(), p.next()
		p.ok(last, "")
		p.say("Response: Error\r\nActionID: %s\r\nMessage: Permission denied\r\n\r\n", refused["ActionID"])
		p.ok(first, "")
		p.ok(p.next(), "")
		p.next()
	})
	errs := c.DoAll(t.Context(), []Action{
		NewAction("DBPut", "Key", "200"),
		NewAction("DBPut", "Val", "YES\r\n\r\nAction: Originate"),
		NewAction("Setvar", "Variable", "X"),
		NewAction("Setvar", "Variable", strings.Repeat("a", LineLimit)),
		NewAction("DBDel"),
	})
	var refusal *Refusal
	if len(errs) != 5 || errs[0] != nil || !errors.Is(errs[1], ErrUnsendable) || !errors.As(errs[2], &refusal) || refusal.Action != "Setvar" ||
		!errors.Is(errs[3], ErrUnsendable) || errs[4] != nil {
		t.Errorf("got %q", errs)
	}
	if none := c.DoAll(t.Context(), nil); len(none) != 0 {
		t.Errorf("of none: %v", none)
	}
	if errs := c.DoAll(t.Context(), numbered(1)); len(errs) != 1 || errs[0] != nil {
		t.Errorf("afterwards: %v", errs)
	}
}

func TestSeveralThatMayNotLeaveDoNot(t *testing.T) {
	c := dialed(t, nil, func(p *peer) {
		if m := p.next(); m != nil {
			p.t.Errorf("it sent %v", m)
		}
	})
	late, cancel := context.WithDeadline(t.Context(), time.Now().Add(-time.Second))
	defer cancel()
	for _, err := range c.DoAll(late, numbered(3)) {
		if !errors.Is(err, ErrLate) {
			t.Errorf("late: %v", err)
		}
	}
	c.Close()
	errs := c.DoAll(t.Context(), numbered(20))
	for _, err := range errs {
		var lost *LostError
		if !errors.As(err, &lost) || lost.Sent {
			t.Errorf("on a connection that is closed: %v", err)
		}
	}
	if len(errs) != 20 || len(c.slots) != 0 {
		t.Errorf("%d errors, %d are in flight", len(errs), len(c.slots))
	}
}

// Callers of several at a time never have more in flight than there is room for, and none
// waits for a place that another holds who waits as well.
func TestSeveralShareTheRoomThatThereIs(t *testing.T) {
	for _, room := range []int{1, 2, 5} {
		t.Run(strconv.Itoa(room), func(t *testing.T) {
			const callers, each = 6, 7
			c := dialed(t, func(c *Config) { c.InFlight = room }, func(p *peer) {
				for done := 0; done < callers*each; {
					waiting := []map[string]string{p.next()}
					for p.in.Buffered() > 0 {
						waiting = append(waiting, p.next())
					}
					if len(waiting) > room {
						p.t.Errorf("%d are in flight", len(waiting))
					}
					for _, m := range waiting {
						p.ok(m, "")
					}
					done += len(waiting)
				}
				p.next()
			})
			var all sync.WaitGroup
			for range callers {
				all.Go(func() {
					for i, err := range c.DoAll(t.Context(), numbered(each)) {
						if err != nil {
							t.Errorf("%d: %v", i, err)
						}
					}
				})
			}
			all.Wait()
		})
	}
}

// Who finds one place goes on with that, and does not wait for a second one: if two did,
// each with the other's, both would wait for ever.
func TestSeveralGoOneByOneWhereThereIsNoMoreRoom(t *testing.T) {
	c := dialed(t, func(c *Config) { c.InFlight = 4 }, echo)
	for range 3 {
		c.slots <- struct{}{} // somebody's who is not answered
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if errs := c.DoAll(ctx, numbered(3)); len(errs) != 3 || errors.Join(errs...) != nil {
		t.Errorf("got %v", errs)
	}
}

// One caller leaves half of the room to others.
func TestSeveralOfOneLeaveRoomForOthers(t *testing.T) {
	release := make(chan struct{})
	c := dialed(t, func(c *Config) { c.InFlight = 4 }, func(p *peer) {
		first, second := p.next(), p.next()
		p.ok(p.next(), "Of: another\r\n")
		<-release
		p.ok(first, "")
		p.ok(second, "")
		for range 3 {
			p.ok(p.next(), "")
		}
		p.next()
	})
	counting := &writes{Conn: c.conn}
	c.conn = counting
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	ended := make(chan []error)
	go func() { ended <- c.DoAll(ctx, numbered(5)) }()
	for counting.n.Load() == 0 {
		<-time.After(time.Millisecond)
	}
	if m, err := c.Do(ctx, NewAction("Ping")); err != nil || m.Get("Of") != "another" {
		t.Errorf("another: %v, %v", m, err)
	}
	close(release)
	if errs := <-ended; errors.Join(errs...) != nil || len(errs) != 5 {
		t.Errorf("the five: %v", errs)
	}
	if n := counting.n.Load(); n != 4 { // two, another, two and one
		t.Errorf("%d writes", n)
	}
}

// When a caller leaves, or the connection ends, what was answered stays answered.
func TestSeveralOfWhichSomeAreAnswered(t *testing.T) {
	for name, c := range map[string]struct {
		cut  bool
		want func(error) bool
	}{
		"given up": {false, func(err error) bool { return errors.Is(err, context.Canceled) }},
		"cut":      {true, func(err error) bool { var lost *LostError; return errors.As(err, &lost) && lost.Sent }},
	} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			heard, release := make(chan struct{}), make(chan struct{})
			conn := dialed(t, func(c *Config) { c.Hear = func(Message) { close(heard) } }, func(p *peer) {
				first, second := p.next(), p.next()
				p.ok(second, "")
				if p.say("Event: Told\r\n\r\n"); c.cut {
					return
				}
				<-release
				p.ok(first, "")
				p.next()
			})
			go func() {
				if <-heard; !c.cut {
					cancel()
				}
			}()
			errs := conn.DoAll(ctx, numbered(2))
			if len(errs) != 2 || !c.want(errs[0]) || errs[1] != nil {
				t.Errorf("got %v", errs)
			}
			if !c.cut && (conn.Err() != nil || len(conn.slots) != 1) {
				t.Errorf("the connection: %v, in flight %d", conn.Err(), len(conn.slots))
			}
			close(release)
		})
	}
}

// The crowd, of callers with several actions and some patience.
func TestACrowdOfSeveral(t *testing.T) {
	c := dialed(t, nil, echo)
	var crowd sync.WaitGroup
	for caller := range 6 {
		crowd.Go(func() {
			for i := range 150 {
				patience := time.Hour
				if i%3 == 0 {
					patience = time.Duration(i) * 20 * time.Microsecond
				}
				ctx, cancel := context.WithTimeout(t.Context(), patience)
				for _, err := range c.DoAll(ctx, numbered(1+(caller+i)%5)) {
					if err != nil && (patience == time.Hour || !errors.Is(err, context.DeadlineExceeded)) {
						t.Errorf("%v", err)
					}
				}
				cancel()
			}
		})
	}
	crowd.Wait()
	if c.Err() != nil {
		t.Errorf("the connection: %v", c.Err())
	}
}
