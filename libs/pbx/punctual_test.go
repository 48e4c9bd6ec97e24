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

// Stopped while it connects: the request is late by the time that its body is taken,
// of which not a byte leaves.
func TestAStopWhileConnectingIsNoticed(t *testing.T) {
	url, connections, requests := arrivals(t)
	sent := new(tap)
	deadline := time.Now().Add(50 * time.Millisecond)
	bare := &http.Transport{DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := new(net.Dialer).DialContext(ctx, network, address)
		<-time.After(time.Until(deadline)) // the process stands still
		return tapped{conn, sent}, err
	}}
	defer bare.CloseIdleConnections()
	err := send(t, stopped{t.Context(), deadline}, pbx.Punctual(bare), url, `{"CurrentProfileName":"Away"}`)
	if !errors.Is(err, pbx.ErrLate) || requests.Load() != 0 || strings.Contains(sent.text(), "Away") || connections.Load() != 1 {
		t.Errorf("%v; %d requests, %d connections, sent was %q", err, requests.Load(), connections.Load(), sent.text())
	}
}

// tap keeps what leaves by a connection.
type tap struct {
	mu  sync.Mutex
	all []byte
}

func (t *tap) text() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return string(t.all)
}

type tapped struct {
	net.Conn
	tap *tap
}

func (c tapped) Write(p []byte) (int, error) {
	c.tap.mu.Lock()
	c.tap.all = append(c.tap.all, p...)
	c.tap.mu.Unlock()
	return c.Conn.Write(p)
}

// net/http sends a request a second time when the connection that it kept turns out to
// be closed; by then it may be late.
func TestTheRepetitionOverANewConnectionIsPunctualToo(t *testing.T) {
	for name, c := range map[string]struct {
		left time.Duration
		late bool
	}{"in time": {time.Hour, false}, "late": {20 * time.Millisecond, true}} {
		t.Run(name, func(t *testing.T) {
			deadline, sent := time.Now().Add(c.left), ""
			twice := roundTrip(func(r *http.Request) (*http.Response, error) {
				if c.late {
					<-time.After(time.Until(deadline)) // the process stands still between the two
				}
				body, err := r.GetBody()
				if err != nil {
					return nil, err
				}
				all, err := io.ReadAll(body)
				sent = string(all)
				return nil, errors.Join(err, errGone)
			})
			err := send(t, stopped{t.Context(), deadline}, pbx.Punctual(twice), "http://pbx.example", "x")
			if errors.Is(err, pbx.ErrLate) != c.late || (sent == "x") == c.late {
				t.Errorf("sent %q, %v", sent, err)
			}
		})
	}
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }
