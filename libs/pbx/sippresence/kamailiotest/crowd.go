package kamailiotest

import (
	"fmt"
	"net"
	"sync/atomic"
	"testing"

	"offhook.dev/libs/core/identity"
)

// Crowd is many phones behind one TCP connection that watch extensions.
type Crowd struct{ notified atomic.Int64 }

// Notified is how many NOTIFYs the phones have heard.
func (c *Crowd) Notified() int64 { return c.notified.Load() }

// Crowd makes n phones that watch the extensions in turn until the end of the test.
func (s *Server) Crowd(t testing.TB, n int, extensions []identity.Extension) *Crowd {
	t.Helper()
	wire, err := s.Dial(TCP)
	must(t, err)
	c, answers := new(Crowd), make(chan Message, 1)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for {
			m, err := wire.Read()
			switch {
			case err != nil:
				return
			case m.Status() != 0:
				answers <- m
			default:
				if _, err := wire.Write(m.Accept()); err != nil {
					return
				}
				c.notified.Add(1)
			}
		}
	}()
	t.Cleanup(func() { wire.Close(); <-ended })
	for i := range n {
		s.subscribeRaw(t, wire, answers, i, extensions[i%len(extensions)])
	}
	eventually(t, func() string {
		if heard := c.Notified(); heard < int64(n) {
			return fmt.Sprintf("%d of %d phones were told something", heard, n)
		}
		return ""
	})
	return c
}

// subscribeRaw makes phone number i watch an extension.
func (s *Server) subscribeRaw(t testing.TB, wire *Wire, answers <-chan Message, i int, ext identity.Extension) {
	t.Helper()
	uri := fmt.Sprintf("sip:%s@%s", ext, Domain)
	port := wire.LocalAddr().(*net.TCPAddr).Port
	for sequence, authorization := 1, ""; ; sequence++ {
		_, err := fmt.Fprintf(wire, "SUBSCRIBE %s SIP/2.0\r\nVia: SIP/2.0/TCP 127.0.0.1:%d;branch=z9hG4bK-%d-%d\r\nMax-Forwards: 70\r\n"+
			"From: <sip:phone%d@%s>;tag=phone%d\r\nTo: <%s>\r\nCall-ID: crowd-%d\r\nCSeq: %d SUBSCRIBE\r\n"+
			"Contact: <sip:phone%d@127.0.0.1:%d;transport=tcp>\r\nEvent: presence\r\nAccept: application/pidf+xml\r\nExpires: 3600\r\n%sContent-Length: 0\r\n\r\n",
			uri, port, i, sequence, i, Domain, i, uri, i, sequence, i, port, authorization)
		must(t, err)
		m := <-answers
		if m.Status() == 401 && authorization == "" {
			authorization = m.Answer("SUBSCRIBE", uri)
			continue
		}
		if status := m.Status(); status != 200 && status != 202 {
			t.Fatalf("phone %d of a crowd: %d", i, status)
		}
		return
	}
}
