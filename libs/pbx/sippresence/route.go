package sippresence

import (
	"context"
	"net"
	"sync/atomic"
	"time"

	"github.com/emiago/sipgo"
)

// routeLife is for how long a route is taken for the present one. Both addresses may
// change while we run.
const routeLife = time.Second

// route is how requests go to the server.
type route struct {
	host   string        // our address on the way
	server string        // the server's address and port
	client *sipgo.Client // names host in its requests
	until  time.Time     // when it is asked for again
}

// routes keeps the last route. The zero value has none.
type routes struct{ last atomic.Pointer[route] }

// get returns the last route if it was asked for just now, else asks for it: nothing is
// sent.
func (r *routes) get(ctx context.Context, ua *sipgo.UserAgent, server string) (*route, error) {
	now := time.Now()
	if last := r.last.Load(); last != nil && now.Before(last.until) {
		return last, nil
	}
	conn, err := new(net.Dialer).DialContext(ctx, "udp", server)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	host, _, err := net.SplitHostPort(conn.LocalAddr().String())
	if err != nil {
		return nil, err
	}
	client, err := sipgo.NewClient(ua, sipgo.WithClientNAT(), sipgo.WithClientHostname(host))
	if err != nil {
		return nil, err
	}
	next := &route{host: host, server: conn.RemoteAddr().String(), client: client, until: now.Add(routeLife)}
	r.last.Store(next)
	return next, nil
}

// failed makes the next request ask for a route: no answer came by way of this one.
func (r *routes) failed(way *route) { r.last.CompareAndSwap(way, nil) }
