package e2e

import (
	"bytes"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"

	"offhook.dev/services/e2e/procs"
)

// collector is where spans are exported to: it keeps every export as it came over
// the wire, in which texts stand as they are.
type collector struct {
	url string

	mu      sync.Mutex // guards exports
	exports [][]byte   // of opentelemetry.io/docs/specs/otlp: ExportTraceServiceRequest
}

// collectSpans runs a collector at an address, with port 0 for any, until the end of
// the test.
func collectSpans(t *testing.T, address string) *collector {
	t.Helper()
	listener, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	c := &collector{url: "http://" + listener.Addr().String()}
	server := grpc.NewServer(grpc.ForceServerCodec(asItCame{}), grpc.UnknownServiceHandler(func(_ any, stream grpc.ServerStream) error {
		var export []byte
		if err := stream.RecvMsg(&export); err != nil {
			return err
		}
		c.mu.Lock()
		c.exports = append(c.exports, export)
		c.mu.Unlock()
		var empty []byte // everything was taken
		return stream.SendMsg(&empty)
	}))
	go func() { _ = server.Serve(listener) }() // ends with the server
	t.Cleanup(server.Stop)
	return c
}

func (c *collector) count(text string) (n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, export := range c.exports {
		n += bytes.Count(export, []byte(text))
	}
	return n
}

// asItCame is the codec of a server that does not look into messages.
type asItCame struct{}

func (asItCame) Name() string                       { return "as it came" }
func (asItCame) Marshal(v any) ([]byte, error)      { return *v.(*[]byte), nil }
func (asItCame) Unmarshal(data []byte, v any) error { *v.(*[]byte) = bytes.Clone(data); return nil }

// redisServer is a real redis-server on loopback.
type redisServer struct{ address, dir string }

// startRedis runs a redis-server until the end of the test, or returns nil where there
// is none.
func startRedis(t *testing.T) *redisServer {
	t.Helper()
	binary := procs.Debian(t, "redis-server")
	if binary == "" {
		return nil
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &redisServer{address: listener.Addr().String(), dir: t.TempDir()}
	_ = listener.Close() // the address is free now, as good as certainly
	host, port, err := net.SplitHostPort(s.address)
	if err != nil {
		t.Fatal(err)
	}
	process := exec.Command(binary, "--bind", host, "--port", port, "--dir", s.dir, "--save", "", "--appendonly", "no", "--rdbcompression", "no")
	if err := process.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = process.Process.Kill()
		_ = process.Wait() // "signal: killed" is what was asked for
	})
	for deadline := time.Now().Add(20 * time.Second); ; <-time.After(10 * time.Millisecond) {
		if connection, err := net.Dial("tcp", s.address); err == nil {
			_ = connection.Close()
			return s
		}
		if time.Now().After(deadline) {
			t.Fatal("redis-server does not answer")
		}
	}
}

// ask sends an inline command and fails unless the answer is a status or a number
// (redis.io/docs/latest/develop/reference/protocol-spec).
func (s *redisServer) ask(t *testing.T, command string) {
	t.Helper()
	connection, err := net.Dial("tcp", s.address)
	if err != nil {
		t.Fatal(err)
	}
	defer connection.Close()
	if _, err := io.WriteString(connection, command+"\r\n"); err != nil {
		t.Fatal(err)
	}
	answer := make([]byte, 256)
	n, err := connection.Read(answer)
	if err != nil || !strings.ContainsRune("+:", rune(answer[0])) {
		t.Fatalf("redis: %s: %q, %v", command, answer[:n], err)
	}
}

// dump is all that Redis holds, as it writes it to disk, uncompressed.
func (s *redisServer) dump(t *testing.T) []byte {
	t.Helper()
	s.ask(t, "SAVE")
	data, err := os.ReadFile(filepath.Join(s.dir, "dump.rdb"))
	if err != nil {
		t.Fatal(err)
	}
	return data
}
