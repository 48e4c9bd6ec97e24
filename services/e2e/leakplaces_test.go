package e2e

import (
	"bytes"
	"net"
	"sync"
	"testing"

	"google.golang.org/grpc"
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
