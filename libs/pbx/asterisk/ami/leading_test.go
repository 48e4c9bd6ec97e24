package ami

import (
	"context"
	"errors"
	"testing"
)

// led is a session on which the next caller reads for itself: one has been answered.
func led(t *testing.T, play func(*peer)) *Conn {
	t.Helper()
	c := dialed(t, nil, func(p *peer) {
		p.ok(p.next(), "")
		play(p)
	})
	if _, err := c.Do(t.Context(), NewAction("Ping")); err != nil {
		t.Fatal(err)
	}
	return c
}

func TestOneWhoReadsAndLeavesDisturbsNobody(t *testing.T) {
	arrived, release := make(chan struct{}), make(chan struct{})
	c := led(t, func(p *peer) {
		first := p.next()
		p.say("Response: Success\r\nActio")
		close(arrived)
		<-release
		p.say("nID: %s\r\nOf: the first\r\n\r\n", first["ActionID"])
		p.ok(p.next(), "Of: the second\r\n")
		p.next()
	})
	ctx, cancel := context.WithCancel(t.Context())
	go func() { <-arrived; cancel() }()
	if _, err := c.Do(ctx, NewAction("Ping")); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
	close(release)
	if m, err := c.Do(t.Context(), NewAction("Ping")); err != nil || m.Get("Of") != "the second" {
		t.Errorf("the next one: %v, %v", m, err)
	}
}

func TestOneWhoReadsNonsenseEndsTheConnection(t *testing.T) {
	c := led(t, func(p *peer) {
		m := p.next()
		p.say("<html>It works!</html>\r\n\r\n")
		p.ok(m, "")
		p.next()
	})
	if _, err := c.Do(t.Context(), NewAction("Ping")); !errors.Is(err, ErrMalformed) || !errors.Is(c.Err(), ErrMalformed) {
		t.Errorf("%v; the connection: %v", err, c.Err())
	}
}

func TestTheStandingReaderStaysWhereMoreMayCome(t *testing.T) {
	for name, c := range map[string]struct {
		hear     func(Message)
		underWay int
		want     bool
	}{
		"not if nothing is under way": {nil, 0, false},
		"for an answer":               {nil, 1, true},
		"for events":                  {func(Message) {}, 0, true},
	} {
		conn := &Conn{hear: c.hear, slots: make(chan struct{}, 2)}
		for range c.underWay {
			conn.slots <- struct{}{}
		}
		if got := conn.busy(); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}
