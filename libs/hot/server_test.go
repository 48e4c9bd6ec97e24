package hot_test

import (
	"net"
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"offhook.dev/libs/loopback"
)

// server is a redis-server process on loopback, without persistence.
type server struct {
	addr    string
	dir     string
	binary  string
	process *exec.Cmd
}

// start runs a real redis-server, or returns nil where there is none. In CI there
// must be one: else nobody would notice that Redis itself is no longer tried.
func start(t *testing.T) *server {
	t.Helper()
	binary, err := exec.LookPath("redis-server")
	if err != nil {
		const missing = "no redis-server on PATH; get it with: apt-get install redis-server (or the redis package of your system)"
		if os.Getenv("CI") != "" {
			t.Fatal(missing)
		}
		t.Log(missing + ". Tried against miniredis only.")
		return nil
	}
	s := &server{addr: freeAddr(t), dir: t.TempDir(), binary: binary}
	s.run(t)
	t.Cleanup(func() { s.kill(t) })
	return s
}

func freeAddr(t *testing.T) string {
	t.Helper()
	address, err := loopback.Address(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return address
}

func (s *server) run(t *testing.T) {
	t.Helper()
	host, port, err := net.SplitHostPort(s.addr)
	if err != nil {
		t.Fatal(err)
	}
	s.process = exec.Command(s.binary, "--bind", host, "--port", port, "--dir", s.dir, "--save", "", "--appendonly", "no")
	if err := s.process.Start(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "redis-server answers", func() bool {
		client := s.client()
		defer client.Close()
		return client.Ping(t.Context()).Err() == nil
	})
}

// kill ends the process as a crash does. A second kill is none.
func (s *server) kill(t *testing.T) {
	t.Helper()
	if s.process == nil {
		return
	}
	if err := s.process.Process.Kill(); err != nil {
		t.Error(err)
	}
	_ = s.process.Wait() // "signal: killed" is what was asked for
	s.process = nil
}

func (s *server) client() *redis.Client {
	return redis.NewClient(&redis.Options{Addr: s.addr, MaxRetries: -1, DialerRetries: 1})
}

func (s *server) flush(t *testing.T) {
	t.Helper()
	client := s.client()
	defer client.Close()
	if err := client.FlushAll(t.Context()).Err(); err != nil {
		t.Fatal(err)
	}
}

func (s *server) keys(t *testing.T) []string {
	t.Helper()
	client := s.client()
	defer client.Close()
	keys, err := client.Keys(t.Context(), "*").Result()
	if err != nil {
		t.Fatal(err)
	}
	return keys
}

// eventually polls until true.
func eventually(t *testing.T, claim string, true func() bool) {
	t.Helper()
	deadline := time.Now().Add(10 * time.Second)
	for !true() {
		if time.Now().After(deadline) {
			t.Fatalf("not within 10 s: %s", claim)
		}
		pass(t, 20*time.Millisecond)
	}
}
