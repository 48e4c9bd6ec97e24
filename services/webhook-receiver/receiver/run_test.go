package receiver

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"testing"
	"time"

	"offhook.dev/libs/bus/bustest"
	"offhook.dev/libs/run"
	"offhook.dev/libs/secret"
)

// running is a whole webhook-receiver at work.
type running struct {
	t         testing.TB
	address   string
	client    *http.Client
	authority *secret.Authority
	telemetry *run.Telemetry
	stop      func() error // also called at the end of the test
}

// run starts the service as its main does.
func (s *stage) run(o Options) *running {
	s.t.Helper()
	authority, err := secret.NewAuthority("test", time.Now())
	must(s.t, err)
	return s.runWith(o, authority)
}

func (s *stage) runWith(o Options, authority *secret.Authority) *running {
	s.t.Helper()
	var err error
	o.Listen = "127.0.0.1:0"
	o.Certificate, err = authority.Issue("127.0.0.1", "localhost")
	must(s.t, err)
	listening := make(chan string, 1)
	o.OnListening = func(address string) { listening <- address }
	deps, telemetry := s.deps()
	ctx, cancel := context.WithCancel(context.WithoutCancel(s.t.Context()))
	ended := make(chan error, 1)
	go func() { ended <- Run(ctx, deps, o) }()
	at := &running{t: s.t, authority: authority, telemetry: telemetry, client: &http.Client{Transport: &http.Transport{
		TLSClientConfig: &tls.Config{RootCAs: authority.Pool(), MinVersion: tls.VersionTLS12}, ForceAttemptHTTP2: true}}}
	var result error
	done := false
	at.stop = func() error {
		if !done {
			at.client.CloseIdleConnections()
			cancel()
			result, done = <-ended, true
		}
		return result
	}
	s.t.Cleanup(func() { _ = at.stop() })
	select {
	case at.address = <-listening:
	case result = <-ended:
		done = true
		s.t.Fatalf("the service ended: %v", result)
	}
	return at
}

func (at *running) post(l lane, data []byte) int {
	at.t.Helper()
	req, err := http.NewRequestWithContext(at.t.Context(), http.MethodPost, "https://"+at.address+"/graph/"+l.key+"/notifications", bytes.NewReader(data))
	must(at.t, err)
	req.Header.Set("Content-Type", jsonType)
	resp, err := at.client.Do(req)
	must(at.t, err)
	defer resp.Body.Close()
	_, _ = io.Copy(io.Discard, resp.Body)
	return resp.StatusCode
}

func TestTheServiceTellsWhyItEnds(t *testing.T) {
	s := newStage(t)
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	defer taken.Close()
	o := s.options("vault")
	o.Listen = taken.Addr().String()
	deps, _ := s.deps()
	if err := Run(t.Context(), deps, o); err == nil {
		t.Error("an address in use is no error")
	}
	if err := s.run(s.options("vault")).stop(); err != nil {
		t.Errorf("asked to stop, it complains: %v", err)
	}
}

func TestSlowSendersAreCutOff(t *testing.T) {
	s := newStage(t)
	at := s.run(s.options("vault"))
	l := s.subscribe(nil)
	dial := func(t *testing.T) net.Conn {
		conn, err := tls.Dial("tcp", at.address, &tls.Config{RootCAs: at.authority.Pool(), MinVersion: tls.VersionTLS12})
		must(t, err)
		t.Cleanup(func() { _ = conn.Close() })
		must(t, conn.SetDeadline(time.Now().Add(10*time.Second)))
		return conn
	}
	t.Run("in the header", func(t *testing.T) {
		t.Parallel()
		conn := dial(t)
		_, err := fmt.Fprintf(conn, "POST /graph/%s/notifications HTTP/1.1\r\nHost: x\r\n", l.key)
		must(t, err)
		if _, err := io.ReadAll(conn); err != nil {
			t.Errorf("the connection is not closed: %v", err)
		}
	})
	t.Run("in the body, which Graph sends again", func(t *testing.T) {
		t.Parallel()
		conn := dial(t)
		_, err := fmt.Fprintf(conn, "POST /graph/%s/notifications HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n{", l.key)
		must(t, err)
		got, err := io.ReadAll(conn)
		if err != nil || !bytes.HasPrefix(got, []byte("HTTP/1.1 503 ")) {
			t.Errorf("%v; answered %.40q", err, got)
		}
		if n := counted(t, at.telemetry, "offhook_notifications_total", cutOff); n != 1 {
			t.Errorf("counted %d", n)
		}
	})
	t.Run("in the TLS handshake", func(t *testing.T) {
		t.Parallel()
		conn, err := net.Dial("tcp", at.address)
		must(t, err)
		defer conn.Close()
		must(t, conn.SetDeadline(time.Now().Add(10*time.Second)))
		if _, err := io.ReadAll(conn); errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("the connection is not closed: %v", err)
		}
	})
}

func TestWhatAStoppedReplicaStoredTheNextOneOpens(t *testing.T) {
	s := newStage(t)
	at := s.run(s.options("vault"))
	l := s.subscribe(nil)
	if got := at.post(l, body(t, nil, l.item(anna, nil, nil))); got != http.StatusAccepted {
		t.Fatalf("answered %d", got)
	}
	must(t, at.stop())
	again := s.run(s.options("vault")) // what the first did not open, the next one does
	bustest.Eventually(t, 10*time.Second, func() string {
		if s.hint("presence", anna) == "" {
			return "no hint"
		}
		return ""
	})
	must(t, again.stop())
}
