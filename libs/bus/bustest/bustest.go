// Package bustest gives tests a real broker in a temporary directory and buses
// connected to it.
package bustest

import (
	"log/slog"
	"testing"
	"time"

	"offhook.dev/libs/bus"
	"offhook.dev/libs/bus/embedded"
	"offhook.dev/libs/topology"
)

// Broker starts an embedded server that ends with the test. It does not sync its
// files: tests that cut the power start their own.
func Broker(t testing.TB) *embedded.Server {
	t.Helper()
	server, err := embedded.Start(embedded.Options{Dir: t.TempDir(), NoSync: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Close)
	return server
}

// Connect connects as a service and makes the topology's streams and buckets.
func Connect(t testing.TB, server *embedded.Server, service string) *bus.Bus {
	t.Helper()
	b, err := bus.Connect(t.Context(), bus.Options{
		InProcess: server, Service: service, Instance: "test", Log: slog.New(slog.NewTextHandler(t.Output(), nil)),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.Close)
	if err := b.Apply(t.Context(), bus.Layout{}); err != nil {
		t.Fatal(err)
	}
	return b
}

// Written returns how often a bucket was ever written to.
func Written(t testing.TB, b *bus.Bus, bucket topology.Bucket) (times uint64) {
	t.Helper()
	for _, part := range bucket.Parts() {
		stream, err := b.JetStream().Stream(t.Context(), "KV_"+part)
		if err != nil {
			t.Fatal(err)
		}
		times += stream.CachedInfo().State.LastSeq
	}
	return times
}

// Eventually waits until ok returns "" and fails with what it last said after
// patience.
func Eventually(t testing.TB, patience time.Duration, ok func() string) {
	t.Helper()
	deadline := time.Now().Add(patience)
	for {
		why := ok()
		if why == "" {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("after %v: %s", patience, why)
		}
		<-time.After(2 * time.Millisecond)
	}
}

// Unrest calls write again and again beside the test, with 0 to n-1 in turn, until the
// test is over.
func Unrest(t testing.TB, n int, write func(i int) error) {
	t.Helper()
	for i := range n {
		if err := write(i); err != nil {
			t.Fatal(err)
		}
	}
	over, done := make(chan struct{}), make(chan error, 1)
	go func() {
		var err error
		for i := 0; err == nil; i++ {
			select {
			case <-over:
				done <- nil
				return
			default:
				err = write(i % n)
			}
		}
		done <- err
	}()
	t.Cleanup(func() {
		close(over)
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}
