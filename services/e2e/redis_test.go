package e2e

import (
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"offhook.dev/libs/loopback"
	"offhook.dev/services/e2e/procs"
)

// redisServer is a real redis-server on loopback.
type redisServer struct {
	binary, address, dir string
	process              *exec.Cmd
}

// startRedis runs a redis-server until the end of the test, or returns nil where there
// is none.
func startRedis(t *testing.T) *redisServer {
	t.Helper()
	binary := procs.Debian(t, "redis-server")
	if binary == "" {
		return nil
	}
	address, err := loopback.Address(t.Context())
	must(t, err)
	s := &redisServer{binary: binary, address: address, dir: t.TempDir()}
	t.Cleanup(s.kill)
	s.run(t)
	return s
}

// run starts the process and waits until it listens.
func (s *redisServer) run(t *testing.T) {
	t.Helper()
	host, port, err := net.SplitHostPort(s.address)
	must(t, err)
	s.process = exec.Command(s.binary, "--bind", host, "--port", port, "--dir", s.dir, "--save", "", "--appendonly", "no", "--rdbcompression", "no")
	must(t, s.process.Start())
	for deadline := time.Now().Add(20 * time.Second); ; <-time.After(10 * time.Millisecond) {
		if connection, err := net.Dial("tcp", s.address); err == nil {
			_ = connection.Close()
			return
		}
		if time.Now().After(deadline) {
			t.Fatal("redis-server does not answer")
		}
	}
}

// kill ends the process as a crash does (SIGKILL). A second kill is none.
func (s *redisServer) kill() {
	if s.process == nil || s.process.Process == nil {
		return
	}
	_ = s.process.Process.Kill()
	_ = s.process.Wait() // "signal: killed" is what was asked for
	s.process = nil
}

// ask sends an inline command and returns the answer, which must be a status or a number
// (redis.io/docs/latest/develop/reference/protocol-spec).
func (s *redisServer) ask(t *testing.T, command string) string {
	t.Helper()
	connection, err := net.Dial("tcp", s.address)
	must(t, err)
	defer connection.Close()
	_, err = io.WriteString(connection, command+"\r\n")
	must(t, err)
	answer := make([]byte, 256)
	n, err := connection.Read(answer)
	if err != nil || !strings.ContainsRune("+:", rune(answer[0])) {
		t.Fatalf("redis: %s: %q, %v", command, answer[:n], err)
	}
	return strings.TrimSpace(string(answer[1:n]))
}

// dump is all that Redis holds, as it writes it to disk, uncompressed.
func (s *redisServer) dump(t *testing.T) []byte {
	t.Helper()
	s.ask(t, "SAVE")
	data, err := os.ReadFile(filepath.Join(s.dir, "dump.rdb"))
	must(t, err)
	return data
}
