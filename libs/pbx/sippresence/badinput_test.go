package sippresence

import (
	"bufio"
	"fmt"
	"net"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"offhook.dev/libs/core/fault"
	"offhook.dev/libs/core/presence"
	"offhook.dev/libs/pbx"
)

// peer is a server that says what no SIP server should, over TCP. To each PUBLISH answer
// writes whatever it likes; with false the connection is closed after that.
type peer struct {
	listener net.Listener
	serving  sync.WaitGroup
}

func newPeer(t *testing.T, answer func(conn net.Conn, request string) bool) *peer {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &peer{listener: listener}
	p.serving.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			p.serving.Go(func() {
				defer conn.Close()
				in := bufio.NewReader(conn)
				for request := ""; ; {
					line, err := in.ReadString('\n')
					if err != nil {
						return
					}
					if request += line; line != "\r\n" {
						continue
					}
					if length := contentLength.FindStringSubmatch(request); length != nil {
						n := 0
						fmt.Sscan(length[1], &n)
						if _, err := in.Discard(n); err != nil {
							return
						}
					}
					if strings.HasPrefix(request, "PUBLISH") && !answer(conn, request) {
						return
					}
					request = ""
				}
			})
		}
	})
	return p
}

var contentLength = regexp.MustCompile(`(?mi)^Content-Length: *(\d+)`)

// close must come after the driver's, which ends the connections.
func (p *peer) close() { p.listener.Close(); p.serving.Wait() }

// response answers a request with more headers.
func response(status, request string, more ...string) string {
	var kept strings.Builder
	for line := range strings.SplitSeq(request, "\r\n") {
		name, _, _ := strings.Cut(line, ":")
		switch name {
		case "Via", "From", "To", "Call-ID", "CSeq":
			kept.WriteString(line + "\r\n")
		}
	}
	return "SIP/2.0 " + status + "\r\n" + kept.String() + strings.Join(more, "") + "Content-Length: 0\r\n\r\n"
}

// good accepts a PUBLISH.
func good(request string) string {
	return response("200 OK", request, "SIP-ETag: a\r\n", "Expires: 3600\r\n")
}

// Whatever a server says first, an error has a kind, and the next write works: on the same
// connection or on another.
func TestMisbehaviourIsClassified(t *testing.T) {
	for name, c := range map[string]struct {
		first func(conn net.Conn, request string) bool
		kind  fault.Kind // of the first write; 0: it works
	}{
		"a response that is cut short": {func(conn net.Conn, request string) bool {
			fmt.Fprint(conn, good(request)[:40])
			return false
		}, fault.Timeout},
		"a response to a request that was never sent": {func(conn net.Conn, request string) bool {
			fmt.Fprint(conn, strings.NewReplacer("branch=z9hG4bK", "branch=z9hG4bKnever").Replace(response("403 Forbidden", request)), good(request))
			return true
		}, 0},
		"responses in pieces": {func(conn net.Conn, request string) bool {
			for _, b := range []byte(good(request)) {
				if _, err := conn.Write([]byte{b}); err != nil {
					return false
				}
			}
			return true
		}, 0},
		"a response twice": {func(conn net.Conn, request string) bool {
			fmt.Fprint(conn, good(request), good(request))
			return true
		}, 0},
		"another charset": {func(conn net.Conn, request string) bool {
			fmt.Fprint(conn, response("403 Verboten f\xfcr alle", request))
			return true
		}, fault.Denied},
		"nothing but a closed connection": {func(net.Conn, string) bool { return false }, fault.Timeout},
		"another protocol": {func(conn net.Conn, _ string) bool {
			fmt.Fprint(conn, "HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")
			return false
		}, fault.Timeout},
		"a line without end": {func(conn net.Conn, request string) bool {
			fmt.Fprint(conn, "SIP/2.0 200 ", strings.Repeat("O", 1<<20))
			return false
		}, fault.Timeout},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var mu sync.Mutex
			first := true
			p := newPeer(t, func(conn net.Conn, request string) bool {
				mu.Lock()
				begins := first
				first = false
				mu.Unlock()
				if begins {
					return c.first(conn, request)
				}
				fmt.Fprint(conn, good(request))
				return true
			})
			d := openPeer(t, p)
			err := d.SetStatus(t.Context(), "201", presence.DND)
			if (err == nil) != (c.kind == 0) || err != nil && fault.KindOf(err) != c.kind {
				t.Errorf("got %v, want %v", err, c.kind)
			}
			if err != nil && strings.ContainsFunc(err.Error(), func(r rune) bool { return r < ' ' || r == '\ufffd' }) {
				t.Errorf("%q", err)
			}
			eventually(t, "another write works", func() bool { return d.SetStatus(t.Context(), "202", presence.DND) == nil })
		})
	}
}

func openPeer(t *testing.T, p *peer) pbx.Driver {
	t.Helper()
	d, err := Open(t.Context(), Config{Server: p.listener.Addr().String(), Transport: TCP, Domain: domain, Expires: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close(); p.close() })
	return d
}
