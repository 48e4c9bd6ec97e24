package loopback

import (
	"net"
	"testing"
)

// A server that starts and stops at its port finds it as it left it: Kamailio once did not,
// because a connection of another test had been given the port in between.
func TestAPortIsGivenOnceAndIsNoneThatTheSystemGives(t *testing.T) {
	seen := map[int]bool{}
	for range 300 {
		port, err := Port(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if seen[port] || port < lowest || port >= above {
			t.Fatalf("%d, after %d others", port, len(seen))
		}
		seen[port] = true
		if err := free(t.Context(), at(port)); err != nil {
			t.Fatalf("given and not free: %v", err)
		}
	}
}

func TestWhatIsTakenIsNotFree(t *testing.T) {
	for _, transport := range []string{"tcp", "udp"} {
		address, err := Address(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		var by interface{ Close() error }
		if transport == "tcp" {
			by, err = net.Listen("tcp", address)
		} else {
			by, err = net.ListenPacket("udp", address)
		}
		if err != nil {
			t.Fatal(err)
		}
		if free(t.Context(), address) == nil {
			t.Errorf("%s: taken, and free", transport)
		}
		if err := by.Close(); err != nil {
			t.Error(err)
		}
	}
}
