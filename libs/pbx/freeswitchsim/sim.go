package freeswitchsim

import (
	"cmp"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"sync"

	"offhook.dev/libs/secret"
)

// Config of a Sim. The zero value, with Extensions, is good.
type Config struct {
	Listen      string            // host:port; "" any port of 127.0.0.1
	Authority   *secret.Authority // whose certificate the TLS proxy in front has; nil: there is none
	Hosts       []string          // names in that certificate instead of the loopback ones
	Password    secret.Value      // of the event socket; zero: "Simulated1"
	User        string            // of the directory, who signs in with the same password; "": nobody does
	Domain      string            // "" is pbx.example.com
	Extensions  int               // how many there are
	FirstNumber int               // 0 is 1000

	Variable  string // of the directory, for do-not-disturb; "" is do_not_disturb
	Cached    bool   // the directory is cached: a changed variable shows when its key is deleted
	Memcache  bool   // that cache is mod_memcache; otherwise files
	Leaves    bool   // the script that writes leaves the cache as it is; otherwise it deletes the key, as the documented one does
	Overheard bool   // the event that deletes a file elsewhere is heard by the machine that fires it
	OldDump   bool   // hash_dump takes no realm, and tells limits when asked for db (before 1.2)
	NoHash    bool   // mod_hash is not loaded
	Groups    bool   // list_users tells each user once for each of two groups
	Unlisted  bool   // list_users tells nobody: the directory cannot be enumerated
	Quiet     bool   // what people choose is no event
	NameOnly  bool   // channels have no presence id, only a name
	Forbidden bool   // the access list refuses everybody
}

// Sim is a simulated FreeSWITCH. Safe for concurrent use.
type Sim struct {
	config      Config
	certificate tls.Certificate
	faults      *faults

	mu       sync.Mutex // guards the following
	address  string
	listener net.Listener // nil while it is down
	closed   bool
	down     chan struct{} // closed by Down, and made anew by Up
	peers    map[*peer]bool
	serving  sync.WaitGroup

	state sync.Mutex // guards world
	world world
}

// Start runs a simulated FreeSWITCH until Close.
func Start(config Config) (*Sim, error) {
	config.Listen = cmp.Or(config.Listen, "127.0.0.1:0")
	config.Domain = cmp.Or(config.Domain, "pbx.example.com")
	config.FirstNumber = cmp.Or(config.FirstNumber, 1000)
	config.Variable = cmp.Or(config.Variable, "do_not_disturb")
	if config.Password.IsZero() {
		config.Password = secret.NewValue("Simulated1")
	}
	s := &Sim{config: config, address: config.Listen, faults: newFaults(), peers: make(map[*peer]bool), world: newWorld(config)}
	if config.Authority != nil {
		hosts := config.Hosts
		if hosts == nil {
			hosts = []string{"127.0.0.1", "::1", "localhost"}
		}
		var err error
		if s.certificate, err = config.Authority.Issue(hosts...); err != nil {
			return nil, fmt.Errorf("FreeSWITCH simulator: %w", err)
		}
	}
	return s, s.Up()
}

// URL returns the address, tcp://host:port, or tls:// where there is a proxy.
func (s *Sim) URL() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.config.Authority != nil {
		return "tls://" + s.address
	}
	return "tcp://" + s.address
}

// Credentials returns what signs in: user is "" or user@domain.
func (s *Sim) Credentials() (user string, password secret.Value, domain string) {
	return s.config.User, s.config.Password, s.config.Domain
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
		return fmt.Errorf("FreeSWITCH simulator: %w", err)
	}
	s.address = listener.Addr().String()
	if s.config.Authority != nil {
		listener = tls.NewListener(listener, &tls.Config{Certificates: []tls.Certificate{s.certificate}, MinVersion: tls.VersionTLS12})
	}
	s.listener, s.down = listener, make(chan struct{})
	down := s.down
	s.serving.Go(func() {
		for {
			conn, err := listener.Accept()
			if errors.Is(err, net.ErrClosed) {
				return
			}
			if err == nil {
				s.serve(conn, down)
			}
		}
	})
	return nil
}

// serve talks to a connection, in a goroutine of its own.
func (s *Sim) serve(conn net.Conn, down <-chan struct{}) {
	p := newPeer(s, conn, down)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.listener == nil {
		_ = conn.Close()
		return
	}
	s.peers[p] = true
	s.serving.Go(func() {
		p.serve()
		_ = conn.Close()
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.peers, p)
	})
}

// Down cuts all connections and refuses new ones.
func (s *Sim) Down() {
	s.mu.Lock()
	if s.listener != nil {
		_ = s.listener.Close()
		s.listener = nil
		close(s.down)
		for p := range s.peers {
			_ = p.conn.Close()
		}
	}
	s.mu.Unlock()
	s.serving.Wait()
}

// Restart is a stop and a quick start: connections, channels, lamps and what mod_hash
// holds are gone.
func (s *Sim) Restart() error {
	s.Down()
	s.state.Lock()
	s.world.forget()
	s.state.Unlock()
	return s.Up()
}

// CutWatches breaks the connections that are told of channels.
func (s *Sim) CutWatches() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for p := range s.peers {
		if p.hears("CHANNEL_CALLSTATE") {
			_ = p.conn.Close()
		}
	}
}

// Connections counts those who have signed in or try to.
func (s *Sim) Connections() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.peers)
}

// Close ends it and everything that it started.
func (s *Sim) Close() {
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	s.Down()
}

// fire tells an event to everybody who asked for it. The state is held, so that events
// are in the order of what they tell.
func (s *Sim) fire(name string, headers map[string]string) {
	s.mu.Lock()
	var told []*peer
	for p := range s.peers {
		if p.hears(name) {
			told = append(told, p)
		}
	}
	s.mu.Unlock()
	for _, p := range told {
		p.event(name, headers)
	}
}
