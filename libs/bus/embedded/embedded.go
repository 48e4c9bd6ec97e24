// Package embedded runs a nats-server inside this process: the broker of `offhook
// dev`, of small installations and of the tests. It is apart from libs/bus so that
// services that speak to a broker elsewhere do not carry a server with them.
package embedded

import (
	"cmp"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats-server/v2/server"
)

// startTimeout bounds the wait for a server to accept connections; recovery of a
// million subjects takes 1.4 to 3.9 s.
const startTimeout = 60 * time.Second

// maxPayload leaves room for the largest POST that is accepted (1 MiB) and its headers.
const maxPayload = 2 << 20

// Options of an embedded server.
type Options struct {
	// Dir holds the streams. It must be given; tests use t.TempDir.
	Dir string
	// Listen is host and port of a loopback listener for the nats command line and
	// for services in other processes; empty host: connections inside the process only.
	Host string
	Port int // -1: any free port
	// NoSync leaves out the fsync before each ack, for tests that do not cut the
	// power. Never in production: acknowledged notifications would be lost.
	NoSync bool
	// MaxPayload is the largest message, in bytes; 0: 2 MiB.
	MaxPayload int32
}

// Server is a running broker.
type Server struct{ *server.Server }

// Start runs a server until Close.
func Start(o Options) (*Server, error) {
	s, err := server.NewServer(&server.Options{
		ServerName: "offhook", JetStream: true, StoreDir: o.Dir, SyncAlways: !o.NoSync,
		DontListen: o.Host == "", Host: o.Host, Port: o.Port,
		NoSigs: true, NoLog: true, DisableJetStreamBanner: true,
		MaxPayload: cmp.Or(o.MaxPayload, maxPayload), JetStreamMaxMemory: 64 << 20, JetStreamMaxStore: 64 << 30,
	})
	if err != nil {
		return nil, fmt.Errorf("embedded broker: %w", err)
	}
	s.Start()
	if !s.ReadyForConnections(startTimeout) {
		s.Shutdown()
		return nil, errors.New("embedded broker: not ready in time (is another process using its data directory?)")
	}
	return &Server{s}, nil
}

// Close stops the server and waits until its files are closed.
func (s *Server) Close() {
	s.Shutdown()
	s.WaitForShutdown()
}
