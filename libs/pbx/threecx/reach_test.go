package threecx

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"offhook.dev/libs/core/fault"
	"offhook.dev/libs/core/presence"
	"offhook.dev/libs/pbx"
	"offhook.dev/libs/pbx/pbxsim"
)

// guarded is a driver whose phone system has moved behind a firewall, which deals with
// every new connection in its own way.
func guarded(t *testing.T, deal func(net.Conn)) *Driver {
	t.Helper()
	d := open(t, start(t, pbxsim.Config{}))
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var (
		parts sync.WaitGroup
		mu    sync.Mutex
		conns []net.Conn
	)
	parts.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			mu.Lock()
			conns = append(conns, conn)
			mu.Unlock()
			deal(conn)
		}
	})
	t.Cleanup(func() {
		listener.Close()
		parts.Wait()
		for _, conn := range conns {
			conn.Close()
		}
	})
	d.remember(user{ID: firstID, ext: "200"})
	d.wire.base.Host = listener.Addr().String()
	return d
}

// Whether a phone system is down or blocks this address cannot be told apart from here,
// and both must be said. Nothing has happened in any of these cases: a write may be sent
// again.
func TestABlockedAddressIsSaidHoweverItIsBlocked(t *testing.T) {
	for name, deal := range map[string]func(net.Conn){
		"the connection is closed at once": func(c net.Conn) { c.Close() },
		"the connection is reset": func(c net.Conn) {
			_ = c.(*net.TCPConn).SetLinger(0)
			c.Close()
		},
		"it ends within the handshake": func(c net.Conn) {
			_, _ = io.ReadFull(c, make([]byte, 5))
			c.Close()
		},
		"it is reset within the handshake": func(c net.Conn) {
			_, _ = io.ReadFull(c, make([]byte, 5))
			_ = c.(*net.TCPConn).SetLinger(0)
			c.Close()
		},
		"nothing ever answers": func(net.Conn) {},
	} {
		t.Run(name, func(t *testing.T) {
			d := guarded(t, deal)
			if strings.HasPrefix(name, "nothing") {
				d.wire.config.Timeout = 50 * time.Millisecond
			}
			_, err := d.Status(t.Context(), "200")
			if fault.KindOf(err) != fault.Unavailable || !errors.Is(err, pbx.ErrRefused) {
				t.Errorf("a read: %v", err)
			}
			if err := d.SetStatus(t.Context(), "200", presence.DND); fault.KindOf(err) != fault.Unavailable || !errors.Is(err, pbx.ErrRefused) {
				t.Errorf("a write: %v", err)
			}
			d.wire.tokens.current = token{} // signing in meets the same
			if err := d.SetStatus(t.Context(), "200", presence.DND); fault.KindOf(err) != fault.Unavailable || !errors.Is(err, pbx.ErrRefused) {
				t.Errorf("a write that had no token: %v", err)
			}
			if _, err := d.wire.dial(t.Context()); fault.KindOf(err) != fault.Unavailable || !errors.Is(err, pbx.ErrRefused) {
				t.Errorf("a watch: %v", err)
			}
		})
	}
}

func TestACallerWhoHasNoTimeSaysNothingOfTheAddress(t *testing.T) {
	d := guarded(t, func(net.Conn) {})
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if err := d.SetStatus(ctx, "200", presence.DND); fault.KindOf(err) != fault.Timeout || errors.Is(err, pbx.ErrRefused) {
		t.Errorf("got %v", err)
	}
}

func TestWhatBecameOfARequestDependsOnWhetherItLeft(t *testing.T) {
	dropped := &net.OpError{Op: "dial", Err: os.ErrDeadlineExceeded} // what net.Dialer says after its timeout
	for name, c := range map[string]struct {
		err        error
		left, read bool
		kind       fault.Kind
		refused    bool
	}{
		"packets are dropped":                      {dropped, false, false, fault.Unavailable, true},
		"refused":                                  {&net.OpError{Op: "dial", Err: syscall.ECONNREFUSED}, false, false, fault.Unavailable, true},
		"a name that nobody knows":                 {&net.OpError{Op: "dial", Err: &net.DNSError{IsTimeout: true}}, false, true, fault.Unavailable, false},
		"another protocol":                         {tls.RecordHeaderError{Msg: "first record does not look like a TLS handshake"}, false, false, fault.Unavailable, false},
		"a read that was cut":                      {io.EOF, true, true, fault.Unavailable, true},
		"a write that was cut":                     {io.EOF, true, false, fault.Timeout, false},
		"a write that was reset":                   {syscall.ECONNRESET, true, false, fault.Timeout, false},
		"a write that was cut before it left":      {io.EOF, false, false, fault.Unavailable, true},
		"a write that failed, nobody knows how":    {errors.New("odd"), true, false, fault.Timeout, false},
		"an odd end before it left":                {errors.New("odd"), false, false, fault.Unavailable, false},
		"a write that would have left after hours": {pbx.ErrLate, false, false, fault.Timeout, false},
	} {
		err := failure(t.Context(), "op", c.left, c.read, c.err)
		if fault.KindOf(err) != c.kind || errors.Is(err, pbx.ErrRefused) != c.refused {
			t.Errorf("%s: got %v: %v", name, fault.KindOf(err), err)
		}
	}
}
