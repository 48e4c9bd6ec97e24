package kamailiotest

import (
	"bytes"
	"cmp"
	"crypto/x509"
	_ "embed"
	"encoding/pem"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"offhook.dev/libs/loopback"
	"offhook.dev/libs/secret"
)

// The SIP domain of the server, and the one account that may publish for all
// extensions and watch them.
const (
	Domain   = "pbx.example.com"
	Username = "offhook"
	Password = "correct horse"
)

// The transports of the server.
const (
	UDP = "udp"
	TCP = "tcp"
	TLS = "tls"
)

// Storage is where the server keeps publications: lines of its configuration.
type Storage string

// The storages.
const (
	// Files is as with any database, which is Kamailio's default.
	Files Storage = `modparam("presence", "db_url", "text://@DIR@/db")`
	// Memory is documented as its mode without a database.
	Memory Storage = `modparam("presence", "db_url", "")
modparam("presence", "publ_cache", 2)`
)

// Nonces is for how many requests the server takes a nonce: lines of its configuration.
type Nonces string

// The ways with nonces.
const (
	// Lasting nonces are good for 300 s, which is Kamailio's default.
	Lasting Nonces = ""
	// Counted ones are good for 255 requests, each of which has a higher count than the one
	// before.
	Counted Nonces = `modparam("auth", "nonce_count", 1)`
	// OneTime ones are good for one request.
	OneTime Nonces = `modparam("auth", "one_time_nonce", 1)`
)

// Options of a Server. The zero value keeps publications in files.
type Options struct {
	Storage Storage
	Nonces  Nonces
	// NoDialogs leaves out Event: dialog, as a server without presence_dialoginfo does.
	NoDialogs bool
	// Memory is how much the server shares between its processes, in MiB; 0: 32.
	Memory int
	// Authority issues the certificate for TLS; nil: one of its own.
	Authority *secret.Authority
}

// advice is for who has no Kamailio.
const advice = "no kamailio: on Debian, apt-get install kamailio kamailio-presence-modules kamailio-xml-modules kamailio-tls-modules"

//go:embed kamailio.cfg
var configuration string

// Server is a running presence server.
type Server struct {
	// Authority issued the certificate.
	Authority *secret.Authority

	t       testing.TB
	program string
	dir     string
	memory  int            // in MiB
	ports   map[string]int // by transport
	output  bytes.Buffer   // read only after exited is closed
	running *exec.Cmd
	exited  chan struct{} // closed when running has ended
}

// Start runs a server until the end of the test. It returns nil where there is no
// Kamailio and CI is not set.
func Start(t testing.TB, o Options) *Server {
	t.Helper()
	program, err := find()
	if err != nil {
		absent(t)
		return nil
	}
	if o.Storage == "" {
		o.Storage = Files
	}
	if o.Authority == nil {
		o.Authority, err = secret.NewAuthority("kamailio", time.Now())
		must(t, err)
	}
	s := &Server{Authority: o.Authority, t: t, program: program, dir: t.TempDir(), memory: cmp.Or(o.Memory, 32), ports: map[string]int{UDP: freePort(t), TLS: freePort(t)}}
	s.ports[TCP] = s.ports[UDP]
	s.writeCertificate()
	dialogs := `loadmodule "presence_dialoginfo.so"`
	if o.NoDialogs {
		dialogs = ""
	}
	config := strings.NewReplacer("@STORAGE@", string(o.Storage), "@NONCES@", string(o.Nonces), "@DIALOGS@", dialogs).Replace(configuration)
	config = strings.NewReplacer("@PORT@", strconv.Itoa(s.ports[UDP]), "@TLSPORT@", strconv.Itoa(s.ports[TLS]),
		"@DIR@", s.dir, "@DOMAIN@", Domain, "@USER@", Username, "@PASSWORD@", Password).Replace(config)
	s.write("kamailio.cfg", []byte(config))
	s.Start()
	t.Cleanup(s.Stop)
	return s
}

// absent fails the test where somebody relies on it.
func absent(t testing.TB) {
	t.Helper()
	if os.Getenv("CI") != "" {
		t.Fatal(advice)
	}
	t.Log(advice + "; what needs it was not tested")
}

// find returns the program's path. Debian installs it where only root's PATH looks.
func find() (string, error) {
	if program, err := exec.LookPath("kamailio"); err == nil {
		return program, nil
	}
	return exec.LookPath("/usr/sbin/kamailio")
}

// Address is host:port of the server for a transport.
func (s *Server) Address(transport string) string {
	return fmt.Sprintf("127.0.0.1:%d", s.ports[transport])
}

// Restart ends the server and starts it without any publication or subscription,
// as a server without a database comes back.
func (s *Server) Restart() {
	s.t.Helper()
	s.Stop()
	s.Start()
}

func (s *Server) write(name string, data []byte) {
	s.t.Helper()
	must(s.t, os.WriteFile(filepath.Join(s.dir, name), data, 0o600))
}

func (s *Server) writeCertificate() {
	s.t.Helper()
	certificate, err := s.Authority.Issue("127.0.0.1")
	must(s.t, err)
	key, err := x509.MarshalPKCS8PrivateKey(certificate.PrivateKey)
	must(s.t, err)
	s.write("cert.pem", pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: certificate.Certificate[0]}))
	s.write("key.pem", pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key}))
}

// emptyTables makes the tables that come with the package.
func (s *Server) emptyTables() {
	s.t.Helper()
	must(s.t, os.MkdirAll(filepath.Join(s.dir, "db"), 0o700))
	for _, table := range []string{"version", "presentity", "active_watchers", "watchers"} {
		schema, err := os.ReadFile(filepath.Join("/usr/share/kamailio/dbtext/kamailio", table))
		must(s.t, err)
		s.write(filepath.Join("db", table), schema)
	}
}

// Start starts a server that was stopped, in a process group of its own, and waits
// until it listens. It knows no publication and no subscription.
func (s *Server) Start() {
	s.t.Helper()
	s.emptyTables()
	s.output.Reset()
	s.running = exec.Command(s.program, "-DD", "-E", "-m", strconv.Itoa(s.memory), "-M", "4", "-f", filepath.Join(s.dir, "kamailio.cfg"),
		"-Y", s.dir, "-P", filepath.Join(s.dir, "pid"))
	s.running.Stdout, s.running.Stderr = &s.output, &s.output
	s.running.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	must(s.t, s.running.Start())
	running, exited := s.running, make(chan struct{})
	s.exited = exited
	go func() { _ = running.Wait(); close(exited) }()
	eventually(s.t, func() string {
		select {
		case <-exited:
			s.t.Fatalf("kamailio ended:\n%s", &s.output)
		default:
		}
		conn, err := net.Dial("tcp", s.Address(TLS))
		if err != nil {
			return "kamailio does not listen: " + err.Error()
		}
		conn.Close()
		return ""
	})
}

// Stop ends the server and all its children. Twice is once.
func (s *Server) Stop() {
	select {
	case <-s.exited:
		return
	default:
	}
	_ = syscall.Kill(-s.running.Process.Pid, syscall.SIGTERM)
	select {
	case <-s.exited:
	case <-time.After(5 * time.Second):
		_ = syscall.Kill(-s.running.Process.Pid, syscall.SIGKILL)
		<-s.exited
	}
}

// freePort finds a port that is free for udp and tcp.
func freePort(t testing.TB) int {
	t.Helper()
	port, err := loopback.Port(t.Context())
	must(t, err)
	return port
}

// eventually polls until why returns "" and fails with what it last said.
func eventually(t testing.TB, why func() string) {
	t.Helper()
	deadline := time.Now().Add(10 * time.Second)
	for {
		said := why()
		if said == "" {
			return
		}
		if time.Now().After(deadline) {
			t.Fatal(said)
		}
		<-time.After(5 * time.Millisecond)
	}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
