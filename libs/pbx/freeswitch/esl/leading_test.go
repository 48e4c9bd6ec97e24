package esl

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"sync"
	"testing"

	"offhook.dev/libs/secret"
)

const (
	greeting = "Content-Type: auth/request\n\n"
	accepted = "Content-Type: command/reply\nReply-Text: +OK accepted\n\n"
)

// led is a connection on which the next caller reads for itself: one has been answered.
// play is the other side from there on; read reads a command.
func led(t *testing.T, play func(conn net.Conn, read func())) *Conn {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var playing sync.WaitGroup
	t.Cleanup(func() { _ = listener.Close(); playing.Wait() })
	playing.Go(func() {
		conn, err := listener.Accept()
		if err != nil {
			return
		}
		defer conn.Close()
		in := bufio.NewReader(conn)
		read := func() {
			for line := ""; line != "\n" && err == nil; {
				line, err = in.ReadString('\n')
			}
		}
		_, _ = io.WriteString(conn, greeting)
		for range 3 { // the password, the events, and one command
			read()
			_, _ = io.WriteString(conn, accepted)
		}
		play(conn, read)
		read() // until it ends
	})
	c, err := Dial(t.Context(), Config{Address: listener.Addr().String(), Password: secret.NewValue("x")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	if _, err := c.Do(t.Context(), SendEvent("X")); err != nil {
		t.Fatal(err)
	}
	return c
}

func TestOneWhoReadsAndLeavesDisturbsNobody(t *testing.T) {
	arrived, release := make(chan struct{}), make(chan struct{})
	c := led(t, func(conn net.Conn, read func()) {
		read()
		_, _ = io.WriteString(conn, "Content-Type: api/response\nContent-Length: 5\n\nfir")
		close(arrived)
		<-release
		_, _ = io.WriteString(conn, "st")
		read()
		_, _ = io.WriteString(conn, "Content-Type: api/response\nContent-Length: 6\n\nsecond")
	})
	ctx, cancel := context.WithCancel(t.Context())
	go func() { <-arrived; cancel() }()
	if _, err := c.Do(ctx, API("status")); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
	close(release)
	if replies, err := c.Do(t.Context(), API("status")); err != nil || replies[0] != "second" {
		t.Errorf("the next one: %q, %v", replies, err)
	}
}

func TestOneWhoReadsNonsenseEndsTheConnection(t *testing.T) {
	c := led(t, func(conn net.Conn, read func()) {
		read()
		_, _ = io.WriteString(conn, "HTTP/1.1 400 Bad Request\n\n"+accepted)
	})
	if _, err := c.Do(t.Context(), API("status")); !errors.Is(err, ErrSenseless) || !errors.Is(c.Err(), ErrSenseless) {
		t.Errorf("%v; the connection: %v", err, c.Err())
	}
}

func TestTheStandingReaderStaysWhereMoreMayCome(t *testing.T) {
	for name, c := range map[string]struct {
		events   []string
		underWay int
		jobs     map[string]chan Reply
		want     bool
	}{
		"not if nothing is under way": {nil, 0, nil, false},
		"for an answer":               {nil, 1, nil, true},
		"for a job":                   {nil, 0, map[string]chan Reply{"7": nil}, true},
		"for events":                  {[]string{"HEARTBEAT"}, 0, nil, true},
	} {
		conn := &Conn{config: Config{Events: c.events}, slots: make(chan struct{}, 2), jobs: c.jobs}
		for range c.underWay {
			conn.slots <- struct{}{}
		}
		if got := conn.busy(); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}
