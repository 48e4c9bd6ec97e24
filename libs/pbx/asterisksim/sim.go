package asterisksim

import (
	"cmp"
	"crypto/tls"
	"fmt"
	"net"
	"sync"
	"time"

	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/pbx/simfault"
	"offhook.dev/libs/secret"
)

// Config of a Sim. The zero value is good but for Authority, which TLS needs.
type Config struct {
	Listen    string            // "127.0.0.1:0"
	Authority *secret.Authority // issues the certificate; nil: plain TCP
	Hosts     []string          // names in the certificate instead of the loopback ones

	Version   string // of Asterisk: "20.9.3"
	Interface string // the version of AMI: "9.0.0"

	Extensions  int // how many there are
	FirstNumber int // of those: 200

	Username string       // "offhook"
	Secret   secret.Value // "Simulated1"
	Write    string       // classes of actions that are allowed: "system,call,reporting"
	Read     string       // classes of events that are allowed: "system,call,reporting"
	One      bool         // allowmultiplelogin = no

	Plain      bool // no FreePBX: there is no AMPUSER, and feature codes leave the database alone
	NoLamps    bool // FreePBX without USEDEVSTATE: feature codes leave the states alone
	NoMark     bool // the end of a list has no EventList: Complete
	Interleave bool // events of others come within lists and before answers
	NoMail     bool // no voicemail: the action is not there

	Work time.Duration // how long the processor is busy with each action
}

// Sim is a running Asterisk. All methods may be called at any time.
type Sim struct {
	config      Config
	certificate tls.Certificate
	address     string // where it listens, also after Down and Up
	write, read class
	faults      *simfault.Queue[Fault]

	state sync.Mutex // guards what follows
	world world
	stats Stats

	mu       sync.Mutex // guards what follows
	listener net.Listener
	sessions map[*session]bool
	serving  sync.WaitGroup
	closed   bool
}

// Stats counts what reached the Asterisk since it was started.
type Stats struct {
	Actions  int // apart from signing in
	SignIns  int // that succeeded
	Refused  int // sign-ins that did not
	Overlong int // lines that were longer than the buffer
}

// Start starts an Asterisk. It listens when Start returns.
func Start(config Config) (*Sim, error) {
	config.Listen = cmp.Or(config.Listen, "127.0.0.1:0")
	config.Version = cmp.Or(config.Version, "20.9.3")
	config.Interface = cmp.Or(config.Interface, "9.0.0")
	config.FirstNumber = cmp.Or(config.FirstNumber, 200)
	config.Username = cmp.Or(config.Username, "offhook")
	config.Write = cmp.Or(config.Write, "system,call,reporting")
	config.Read = cmp.Or(config.Read, "system,call,reporting")
	if config.Secret.IsZero() {
		config.Secret = secret.NewValue("Simulated1")
	}
	s := &Sim{config: config, address: config.Listen, write: classes(config.Write), read: classes(config.Read),
		faults: simfault.New[Fault](), world: newWorld(), sessions: make(map[*session]bool)}
	if config.Authority != nil {
		hosts := config.Hosts
		if hosts == nil {
			hosts = []string{"127.0.0.1", "::1", "localhost"}
		}
		var err error
		if s.certificate, err = config.Authority.Issue(hosts...); err != nil {
			return nil, fmt.Errorf("simulated Asterisk: %w", err)
		}
	}
	for i := range config.Extensions {
		s.world.invent(config.FirstNumber+i, config.Plain)
	}
	s.world.flush()
	return s, s.Up()
}

// URL returns the address, tls://host:port or tcp://host:port.
func (s *Sim) URL() string {
	if s.config.Authority == nil {
		return "tcp://" + s.Address()
	}
	return "tls://" + s.Address()
}

// Address returns host:port.
func (s *Sim) Address() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.address
}

// Credentials returns what a manager signs in with.
func (s *Sim) Credentials() (username string, password secret.Value) {
	return s.config.Username, s.config.Secret
}

// Stats returns the counts.
func (s *Sim) Stats() Stats {
	s.state.Lock()
	defer s.state.Unlock()
	return s.stats
}

// Up listens again after Down, at the same address.
func (s *Sim) Up() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed || s.listener != nil {
		return nil
	}
	listener, err := net.Listen("tcp", s.address)
	if err != nil {
		return fmt.Errorf("simulated Asterisk: %w", err)
	}
	s.listener, s.address = listener, listener.Addr().String()
	s.serving.Go(func() { s.accept(listener) })
	return nil
}

func (s *Sim) accept(listener net.Listener) {
	for {
		conn, err := listener.Accept()
		if err != nil {
			return
		}
		if s.config.Authority != nil {
			conn = tls.Server(conn, &tls.Config{Certificates: []tls.Certificate{s.certificate}, MinVersion: tls.VersionTLS12})
		}
		session := newSession(s, conn)
		s.mu.Lock()
		if s.listener != listener {
			s.mu.Unlock()
			_ = conn.Close()
			return
		}
		s.sessions[session] = true
		s.serving.Go(func() {
			session.serve()
			s.mu.Lock()
			delete(s.sessions, session)
			s.mu.Unlock()
		})
		s.mu.Unlock()
	}
}

// Down cuts every connection and refuses new ones, without a word.
func (s *Sim) Down() {
	s.mu.Lock()
	if s.listener != nil {
		_ = s.listener.Close()
		s.listener = nil
	}
	for session := range s.sessions {
		_ = session.conn.Close()
	}
	s.mu.Unlock()
	s.faults.Release()
	s.serving.Wait()
}

// Crash is Down, after which everything is as it was when the database was last written
// to disk (Flush), and nobody is in a call. Up starts it again.
func (s *Sim) Crash() {
	s.Down()
	s.state.Lock()
	defer s.state.Unlock()
	s.world.crash()
}

// Restart is Crash and Up so fast that nobody is refused: every connection is cut, and
// what was not on disk is forgotten.
func (s *Sim) Restart() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.state.Lock()
	defer s.state.Unlock()
	s.world.crash()
	for session := range s.sessions {
		_ = session.conn.Close()
	}
}

// Flush writes the database to disk. An Asterisk does it about once a second; a Sim when
// it is told to.
func (s *Sim) Flush() {
	s.state.Lock()
	defer s.state.Unlock()
	s.world.flush()
}

// CutWatches breaks the connections of those who are told of events.
func (s *Sim) CutWatches() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for session := range s.sessions {
		if session.told() != 0 {
			_ = session.conn.Close()
		}
	}
}

// Close ends the Asterisk. Twice is once.
func (s *Sim) Close() {
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	s.Down()
}

// publish tells everybody who may know and wants to.
func (s *Sim) publish(of class, text string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for session := range s.sessions {
		if session.told()&of != 0 {
			session.tell(text)
		}
	}
}

// Numbers are the extensions that there are.
func (s *Sim) Numbers() []identity.Extension {
	s.state.Lock()
	defer s.state.Unlock()
	return append([]identity.Extension(nil), s.world.numbers...)
}
