// Package loopback finds addresses on this machine for servers that are told where to
// listen and cannot tell where they do: other programs, and services by their configuration.
package loopback

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"strconv"
	"sync"
)

// The ports to choose from. A system gives those from 32768 (Linux) or 49152 (RFC 6335
// section 6) on to whoever connects or listens without saying which: one of these that is
// found free and let go is somebody else's connection a moment later now and then.
const lowest, above = 10_000, 32_768

var (
	mu    sync.Mutex // guards given
	given = map[int]bool{}
)

// Address returns 127.0.0.1 with a free port.
func Address(ctx context.Context) (string, error) {
	port, err := Port(ctx)
	return at(port), err
}

// Port returns a port that is free on 127.0.0.1, for TCP and UDP. This process is given none
// twice, and nobody is given it who asks the system for any port.
func Port(ctx context.Context) (int, error) {
	mu.Lock()
	defer mu.Unlock()
	var taken error
	for range 100 {
		port := lowest + rand.IntN(above-lowest)
		if given[port] {
			continue
		}
		if taken = free(ctx, at(port)); taken == nil {
			given[port] = true
			return port, nil
		}
	}
	return 0, fmt.Errorf("no port found that is free on 127.0.0.1: %w", taken)
}

func at(port int) string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(port)) }

// free returns nil if nobody listens at an address.
func free(ctx context.Context, address string) error {
	var listen net.ListenConfig
	stream, err := listen.Listen(ctx, "tcp", address)
	if err != nil {
		return err
	}
	defer func() { _ = stream.Close() }()
	packets, err := listen.ListenPacket(ctx, "udp", address)
	if err != nil {
		return err
	}
	return packets.Close()
}
