package ami

import (
	"context"
	"errors"
	"math/rand/v2"
	"strconv"
	"sync"
	"testing"
	"time"
)

// echo answers each action with its value, sometimes late and in two pieces, with an event
// now and then in between.
func echo(p *peer) {
	for i := 0; ; i++ {
		m := p.next()
		if m == nil {
			return
		}
		answer := "Response: Success\r\nActionID: " + m["ActionID"] + "\r\nValue: " + m["Value"] + "\r\n\r\n"
		if i%5 == 0 {
			p.say("Event: Number\r\nN: %d\r\n\r\n", i)
		}
		cut := rand.N(len(answer))
		p.say("%s", answer[:cut])
		if i%7 == 0 {
			<-time.After(rand.N(2 * time.Millisecond))
		}
		p.say("%s", answer[cut:])
	}
}

// Callers, alone and many at a time, some of whom leave early: each hears its own answer,
// and the connection lives on.
func TestEachOfACrowdHearsItsOwnAnswer(t *testing.T) {
	for name, hear := range map[string]func(Message){"": nil, "with events": func(Message) {}} {
		t.Run(name, func(t *testing.T) {
			c := dialed(t, func(c *Config) { c.Hear = hear }, echo)
			call := func(value string, patience time.Duration) {
				ctx, cancel := context.WithTimeout(t.Context(), patience)
				defer cancel()
				m, err := c.Do(ctx, NewAction("Echo", "Value", value))
				switch {
				case err == nil && m.Get("Value") != value:
					t.Errorf("%s was answered with %s", value, m.Get("Value"))
				case err != nil && !errors.Is(err, context.DeadlineExceeded), err != nil && patience > time.Minute:
					t.Errorf("%s: %v", value, err)
				}
			}
			for _, callers := range []int{1, 2, 8, 1} {
				var crowd sync.WaitGroup
				for caller := range callers {
					crowd.Go(func() {
						for i := range 200 {
							patience := time.Hour
							if i%3 == 0 {
								patience = rand.N(time.Millisecond)
							}
							call(strconv.Itoa(caller)+"-"+strconv.Itoa(i), patience)
						}
					})
				}
				crowd.Wait()
			}
			if c.Err() != nil {
				t.Errorf("the connection: %v", c.Err())
			}
		})
	}
}

// A connection that is closed, by either side, ends everybody's waiting.
func TestNobodyOfACrowdOutlivesAConnection(t *testing.T) {
	for name, closing := range map[string]func(*Conn, *peer){
		"closed by this side":  func(c *Conn, _ *peer) { c.Close() },
		"closed by the other":  func(_ *Conn, p *peer) { p.conn.Close() },
		"closed by both sides": func(c *Conn, p *peer) { p.conn.Close(); c.Close() },
	} {
		for _, callers := range []int{1, 8} {
			t.Run(name+" on "+strconv.Itoa(callers), func(t *testing.T) {
				for range 20 {
					peers := make(chan *peer, 1)
					c := dialed(t, nil, func(p *peer) { peers <- p; echo(p) })
					var crowd sync.WaitGroup
					answered := make(chan struct{}, 1)
					for range callers {
						crowd.Go(func() {
							for {
								if _, err := c.Do(t.Context(), NewAction("Echo", "Value", "x")); err != nil {
									var lost *LostError
									if !errors.As(err, &lost) {
										t.Error(err)
									}
									return
								}
								select {
								case answered <- struct{}{}:
								default:
								}
							}
						})
					}
					p := <-peers
					<-answered
					closing(c, p)
					crowd.Wait()
				}
			})
		}
	}
}
