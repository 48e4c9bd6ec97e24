package pbx_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"offhook.dev/libs/pbx"
)

// stopped is a context of a process that was stopped and continued: its deadline has
// passed, and its timers have not fired yet.
type stopped struct {
	context.Context
	deadline time.Time
}

func (s stopped) Deadline() (time.Time, bool) { return s.deadline, true }
func (stopped) Done() <-chan struct{}         { return nil }
func (stopped) Err() error                    { return nil }

// arrivals counts what arrives at a server, connections and whole requests.
func arrivals(t *testing.T) (url string, connections, requests *atomic.Int32) {
	connections, requests = new(atomic.Int32), new(atomic.Int32)
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		if _, err := io.ReadAll(r.Body); err == nil {
			requests.Add(1)
		}
	}))
	server.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			connections.Add(1)
		}
	}
	server.Start()
	t.Cleanup(server.Close)
	return server.URL, connections, requests
}

func send(t *testing.T, ctx context.Context, transport http.RoundTripper, url, body string) error {
	t.Helper()
	method, reader := http.MethodGet, io.Reader(http.NoBody)
	if body != "" {
		method, reader = http.MethodPatch, strings.NewReader(body)
	}
	r, err := http.NewRequestWithContext(ctx, method, url, reader)
	if err != nil {
		t.Fatal(err)
	}
	answer, err := (&http.Client{Transport: transport}).Do(r)
	if err == nil {
		_ = answer.Body.Close()
	}
	return err
}

func TestNothingLeavesAfterItsDeadline(t *testing.T) {
	for _, body := range []string{"", `{"CurrentProfileName":"Away"}`} {
		for name, c := range map[string]struct {
			late, punctual bool
			arrive         int32
		}{
			"in time":                           {false, true, 1},
			"late":                              {true, true, 0},
			"late, without Punctual: a control": {true, false, 1},
		} {
			t.Run(name+body, func(t *testing.T) {
				url, connections, requests := arrivals(t)
				bare := &http.Transport{}
				defer bare.CloseIdleConnections()
				transport := http.RoundTripper(bare)
				if c.punctual {
					transport = pbx.Punctual(bare)
				}
				ctx := stopped{t.Context(), time.Now().Add(time.Hour)}
				if c.late {
					ctx.deadline = time.Now().Add(-time.Millisecond)
				}
				err := send(t, ctx, transport, url, body)
				if late := errors.Is(err, pbx.ErrLate) && errors.Is(err, context.DeadlineExceeded); late != (c.arrive == 0) {
					t.Errorf("got %v", err)
				}
				if n := requests.Load(); n != c.arrive || n > 0 != (connections.Load() > 0) {
					t.Errorf("%d requests and %d connections arrived", n, connections.Load())
				}
			})
		}
	}
}

// Stopped while it connects: the request is late by the time that there is a connection,
// by which not a byte leaves.
func TestAStopWhileConnectingIsNoticed(t *testing.T) {
	url, connections, requests := arrivals(t)
	sent := new(tap)
	deadline := time.Now().Add(50 * time.Millisecond)
	bare := &http.Transport{DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := new(net.Dialer).DialContext(ctx, network, address)
		<-time.After(time.Until(deadline)) // the process stands still
		return &tapped{Conn: conn, tap: sent}, err
	}}
	ctx, left := pbx.Departing(stopped{t.Context(), deadline})
	err := send(t, ctx, pbx.Punctual(bare), url, `{"CurrentProfileName":"Away"}`)
	if !errors.Is(err, pbx.ErrLate) || requests.Load() != 0 || sent.writes() != 0 || connections.Load() != 1 || left.Load() {
		t.Errorf("%v; %d requests, %d connections, %d writes, left %v", err, requests.Load(), connections.Load(), sent.writes(), left.Load())
	}
}

// The head of a request, by itself, would cost the phone system another read, and both
// sides a packet.
func TestARequestThatIsInTimeLeavesWithOneWrite(t *testing.T) {
	url, _, _ := arrivals(t)
	sent := new(tap)
	transport := pbx.Punctual(&http.Transport{DialContext: sent.dial})
	ctx, left := pbx.Departing(stopped{t.Context(), time.Now().Add(time.Hour)})
	if err := send(t, ctx, transport, url, `{"CurrentProfileName":"Away"}`); err != nil || sent.writes() != 1 || !left.Load() {
		t.Errorf("%v; %d writes, left %v", err, sent.writes(), left.Load())
	}
}

// A request has not left where there is no connection for it, or one that takes nothing.
func TestWhatNothingTakesHasNotLeft(t *testing.T) {
	url, _, _ := arrivals(t)
	deaf := new(tap)
	deaf.setGone()
	for name, dial := range map[string]func(context.Context, string, string) (net.Conn, error){
		"no connection":                    func(context.Context, string, string) (net.Conn, error) { return nil, errGone },
		"a connection that does not write": deaf.dial,
	} {
		ctx, left := pbx.Departing(t.Context())
		if err := send(t, ctx, pbx.Punctual(&http.Transport{DialContext: dial}), url, "x"); !errors.Is(err, errGone) || left.Load() {
			t.Errorf("%s: %v, left %v", name, err, left.Load())
		}
	}
}

// tap counts what is written to connections.
type tap struct {
	mu    sync.Mutex
	count int
	gone  bool // the next write fails, without a byte
}

func (t *tap) writes() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.count
}

func (t *tap) setGone() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.gone = true
}

func (t *tap) dial(ctx context.Context, network, address string) (net.Conn, error) {
	conn, err := new(net.Dialer).DialContext(ctx, network, address)
	return &tapped{Conn: conn, tap: t}, err
}

type tapped struct {
	net.Conn
	tap *tap
}

func (c *tapped) Write(p []byte) (int, error) {
	c.tap.mu.Lock()
	gone := c.tap.gone
	c.tap.gone = false
	if !gone {
		c.tap.count++
	}
	c.tap.mu.Unlock()
	if gone {
		return 0, errGone
	}
	return c.Conn.Write(p)
}

// net/http sends a request a second time when the connection that it kept turns out to
// be closed; by then it may be late.
func TestTheRepetitionOverANewConnectionIsPunctualToo(t *testing.T) {
	for name, late := range map[string]bool{"in time": false, "late": true} {
		t.Run(name, func(t *testing.T) {
			url, _, requests := arrivals(t)
			sent, deadline := new(tap), time.Now().Add(time.Hour)
			dials := 0
			transport := pbx.Punctual(&http.Transport{DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
				if dials++; dials == 2 && late {
					<-time.After(time.Until(deadline)) // the process stands still between the two
				}
				return sent.dial(ctx, network, address)
			}})
			if err := send(t, t.Context(), transport, url, "x"); err != nil {
				t.Fatal(err)
			}
			sent.setGone()
			if late {
				deadline = time.Now().Add(20 * time.Millisecond)
			}
			ctx, left := pbx.Departing(stopped{t.Context(), deadline})
			err := send(t, ctx, transport, url, "x")
			if errors.Is(err, pbx.ErrLate) != late || (requests.Load() == 1) != late || left.Load() == late || dials != 2 {
				t.Errorf("%d requests and %d connections, left %v, %v", requests.Load(), dials, left.Load(), err)
			}
		})
	}
}

// A connection may go on as a websocket, which has no deadline.
func TestWhatFollowsAnAnswerHasNoDeadline(t *testing.T) {
	heard := make(chan string, 1)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		conn, both, err := w.(http.Hijacker).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		defer conn.Close()
		_, _ = both.WriteString("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: test\r\n\r\n")
		_ = both.Flush()
		line, _ := both.ReadString('\n')
		heard <- line
	}))
	defer server.Close()
	deadline := time.Now().Add(100 * time.Millisecond)
	r, err := http.NewRequestWithContext(stopped{t.Context(), deadline}, http.MethodGet, server.URL, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Connection", "Upgrade")
	r.Header.Set("Upgrade", "test")
	answer, err := pbx.Punctual(new(http.Transport)).RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	<-time.After(time.Until(deadline))
	if _, err := io.WriteString(answer.Body.(io.Writer), "hello\n"); err != nil || <-heard != "hello\n" {
		t.Errorf("after the deadline: %v", err)
	}
}
