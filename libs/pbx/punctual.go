package pbx

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"net/http/httptrace"
	"sync/atomic"
	"time"
)

// ErrLate is what a request fails with that would have left after its deadline: it
// has no effect. It is a context.DeadlineExceeded.
var ErrLate = fmt.Errorf("the deadline passed before the request was sent: %w", context.DeadlineExceeded)

// Punctual is a copy of a transport that sends nothing after the deadline of a request's
// context, whether or not the context has noticed yet. A process that was stopped and
// continued runs on before its timers fire; by then its lease may belong to somebody
// else. The clock is read before anything is done, and again by the connection whenever
// it is about to send: what has left by then is at most the beginning of a request that is
// longer than a buffer, which no server can act upon. The error is ErrLate.
//
// It is the connection that looks, and not the body, because net/http sends the head of a
// request by itself whose body is of a kind that it does not know. It speaks HTTP/1.1:
// a connection has one request at a time.
func Punctual(t *http.Transport) http.RoundTripper {
	t = t.Clone()
	dial := t.DialContext
	if dial == nil {
		dial = new(net.Dialer).DialContext
	}
	t.DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := dial(ctx, network, address)
		if err != nil {
			return nil, err
		}
		return &punctualConn{Conn: conn}, nil
	}
	return punctual{t}
}

// Departing returns a context for one request through Punctual, and whether the request,
// or a part of it, may have left. net/http looks for a second connection only where nothing
// was written to the first, or where the request may be sent twice; then it has not left yet.
func Departing(ctx context.Context) (context.Context, *atomic.Bool) {
	left := new(atomic.Bool)
	return context.WithValue(ctx, departing{}, left), left
}

// departing is the key of what Departing returns.
type departing struct{}

type punctual struct{ *http.Transport }

// RoundTrip implements http.RoundTripper.
func (p punctual) RoundTrip(r *http.Request) (*http.Response, error) {
	ctx := r.Context()
	deadline, bounded := ctx.Deadline()
	left, watched := ctx.Value(departing{}).(*atomic.Bool)
	if !bounded && !watched {
		return p.Transport.RoundTrip(r)
	}
	if bounded && late(deadline) {
		if r.Body != nil {
			_ = r.Body.Close()
		}
		return nil, ErrLate
	}
	if !watched {
		left = new(atomic.Bool)
	}
	e := &errand{deadline: deadline, left: left}
	return p.Transport.RoundTrip(r.WithContext(httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		GetConn:              func(string) { left.Store(false) },
		GotConn:              e.begin,
		GotFirstResponseByte: e.end,
	})))
}

// errand is what one request has a connection do.
type errand struct {
	deadline time.Time // zero: none
	left     *atomic.Bool
	conn     atomic.Pointer[punctualConn] // the one that is at it
}

// begin is called with the connection before the request is written to it.
func (e *errand) begin(info httptrace.GotConnInfo) {
	conn := info.Conn
	if secured, ok := conn.(*tls.Conn); ok {
		conn = secured.NetConn()
	}
	if c, ok := conn.(*punctualConn); ok {
		e.conn.Store(c)
		c.errand.Store(e)
	}
}

// end is called with the first byte of the answer. What is sent from then on has no
// deadline: a connection may go on as a websocket.
func (e *errand) end() {
	if c := e.conn.Load(); c != nil {
		c.errand.CompareAndSwap(e, nil)
	}
}

// punctualConn looks at the clock for the request that it sends.
type punctualConn struct {
	net.Conn
	errand atomic.Pointer[errand] // nil: a handshake, or something without a deadline
}

// Write sends nothing if it is late.
func (c *punctualConn) Write(p []byte) (int, error) {
	e := c.errand.Load()
	if e == nil {
		return c.Conn.Write(p)
	}
	if !e.deadline.IsZero() && late(e.deadline) {
		return 0, ErrLate
	}
	before := e.left.Swap(true)
	n, err := c.Conn.Write(p)
	if n == 0 {
		e.left.Store(before)
	}
	return n, err
}

func late(deadline time.Time) bool { return !time.Now().Before(deadline) }
