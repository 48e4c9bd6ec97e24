package portsipsim

import (
	"cmp"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"sync"
	"time"

	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/secret"
)

// Config of a Sim. Authority is needed, the rest has defaults.
type Config struct {
	Listen    string            // "127.0.0.1:0"
	Authority *secret.Authority // issues the server's certificate
	Hosts     []string          // further names in the certificate; it always has the loopback ones

	// Minor is the version: 22.Minor. With 3 AVAILABLE became ONLINE, also where a user
	// chooses it (the other spelling is refused, unless Taken says so), users told their
	// passwords where Retrieval says so, and had more members; with 6 display names got
	// shorter.
	Minor     int
	Retrieval bool // passwords of users are told to administrators

	Extensions  int // how many there are
	FirstNumber int // of those: 200
	Licence     int // the tenant's max_extensions: 1000

	Username  string        // of the tenant's administrator: "offhook"
	Password  secret.Value  // "Simulated1"; each user's is this and the number
	Domain    string        // "pbx.example.com"
	TokenLife time.Duration // 1 h
	// RefreshOnce: a refresh token can be used once. Unconfirmed.
	RefreshOnce bool
	TwoFactor   bool          // signing in needs a second factor
	Limit       int           // requests in a Window: 10,000
	Window      time.Duration // 1 min
	LimitStatus int           // with what more are refused: 429. Unconfirmed

	// What is not confirmed for the real one.

	Taken      string // how available is spelled in a choice: "" as it is told; AVAILABLE, ONLINE, or "either"
	Replace    bool   // a change of a user sets back what it does not name
	Linked     bool   // enable_dnd and the presence DO_NOT_DISTURB are one thing
	Quiet      bool   // a change of enable_dnd alone is no event
	ListsDND   bool   // lists of users tell enable_dnd
	FilterDND  bool   // lists of users can be filtered by enable_dnd; else such a filter does nothing
	Strict     bool   // a filter by what is not told is refused
	Nulls      bool   // members without a value are told as null
	FromOne    bool   // skip counts from one
	Absent     int    // the status for what is not there: 404
	Refusal    int    // the status for what is understood and not allowed: 400
	EchoBodies bool   // refusals quote what was sent
	NoAck      bool   // a subscription is answered by the events alone
	Newest     bool   // users and entries are listed newest first
	NoSwitch   bool   // the status of a user does not tell enable_dnd
	NoCalls    bool   // the status of a user tells no calls, events do
	NoMS365    bool   // the tenant has no Microsoft 365 integration, and no answer about it

	// Retries are the waits before an event is sent again to a Webhook: five, of 15 s to 15
	// min, as in the vendor's documents.
	Retries []time.Duration
}

// Sim is a running phone system. All methods may be called at any time.
type Sim struct {
	config      Config
	certificate tls.Certificate
	address     string // where it listens, also after Down and Up
	faults      *faults
	watchers    *watchers
	hook        *hook

	state sync.Mutex // guards what follows
	world world

	mu       sync.Mutex // guards what follows
	server   *http.Server
	serving  sync.WaitGroup
	handlers sync.WaitGroup
	closed   bool
}

// Start starts a phone system. It listens when Start returns.
func Start(config Config) (*Sim, error) {
	config.Listen = cmp.Or(config.Listen, "127.0.0.1:0")
	config.Minor = cmp.Or(config.Minor, 2)
	config.FirstNumber = cmp.Or(config.FirstNumber, 200)
	config.Licence = cmp.Or(config.Licence, 1000)
	config.Username = cmp.Or(config.Username, "offhook")
	config.Domain = cmp.Or(config.Domain, "pbx.example.com")
	config.TokenLife = cmp.Or(config.TokenLife, time.Hour)
	config.Limit = cmp.Or(config.Limit, 10_000)
	config.Window = cmp.Or(config.Window, time.Minute)
	config.LimitStatus = cmp.Or(config.LimitStatus, http.StatusTooManyRequests)
	config.Absent = cmp.Or(config.Absent, http.StatusNotFound)
	config.Refusal = cmp.Or(config.Refusal, http.StatusBadRequest)
	if config.Retries == nil {
		config.Retries = retries
	}
	if config.Password.IsZero() {
		config.Password = secret.NewValue("Simulated1")
	}
	if config.Authority == nil {
		return nil, errors.New("PortSIP simulator: Authority is needed")
	}
	certificate, err := config.Authority.Issue(append([]string{"127.0.0.1", "::1", "localhost"}, config.Hosts...)...)
	if err != nil {
		return nil, fmt.Errorf("PortSIP simulator: %w", err)
	}
	s := &Sim{config: config, certificate: certificate, address: config.Listen, faults: newFaults(), watchers: newWatchers(),
		hook: newHook(config.Retries), world: newWorld(config)}
	for i := range config.Extensions {
		s.world.invent(config.FirstNumber + i)
	}
	return s, s.Up()
}

// URL returns the base address, https://host:port.
func (s *Sim) URL() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return "https://" + s.address
}

// Credentials returns what the tenant's administrator signs in with.
func (s *Sim) Credentials() (username string, password secret.Value, domain string) {
	return s.config.Username, s.config.Password, s.config.Domain
}

// CredentialsOf returns what a user whose login is the number signs in with.
func (s *Sim) CredentialsOf(ext identity.Extension) (username string, password secret.Value) {
	return string(ext), secret.NewValue(s.config.Password.Reveal() + string(ext))
}

// Up listens again after Down, at the same address.
func (s *Sim) Up() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed || s.server != nil {
		return nil
	}
	listener, err := net.Listen("tcp", s.address)
	if err != nil {
		return fmt.Errorf("PortSIP simulator: %w", err)
	}
	s.address = listener.Addr().String()
	s.server = &http.Server{
		Handler:           http.HandlerFunc(s.serve),
		ReadHeaderTimeout: 10 * time.Second,
		ErrorLog:          log.New(io.Discard, "", 0), // connections cut on purpose
		TLSConfig:         &tls.Config{Certificates: []tls.Certificate{s.certificate}, MinVersion: tls.VersionTLS12},
	}
	server := s.server
	s.serving.Go(func() { _ = server.ServeTLS(listener, "", "") })
	return nil
}

// Down cuts all connections and refuses new ones.
func (s *Sim) Down() {
	s.mu.Lock()
	server := s.server
	s.server = nil
	s.mu.Unlock()
	if server != nil {
		_ = server.Close()
	}
	s.watchers.cut() // which the server has let go of
	s.handlers.Wait()
	s.serving.Wait()
}

// Restart is a stop and a quick start: connections, calls and tokens are gone.
func (s *Sim) Restart() error {
	s.Down()
	s.ForgetTokens(true)
	s.state.Lock()
	for _, u := range s.world.users {
		u.calls, u.ringing = 0, false
	}
	s.state.Unlock()
	return s.Up()
}

// Close ends the phone system and everything that it started.
func (s *Sim) Close() {
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	s.hook.close()
	s.Down()
}

// bodyLimit is the most that a request may hold.
const bodyLimit = 1 << 20

// request is a request, read to its end.
type request struct {
	*http.Request
	body []byte
}

func (r request) signsIn() bool { return len(r.URL.Path) > 10 && r.URL.Path[:10] == root+"/auth/" }
func (r request) write() bool   { return r.Method == http.MethodPost && !r.signsIn() }
func (r request) watches() bool { return r.URL.Path == "/wsi" }

// serve is the front door: it counts, breaks what is to be broken, and passes the
// rest to the interface.
func (s *Sim) serve(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	if s.server == nil {
		s.mu.Unlock()
		panic(http.ErrAbortHandler)
	}
	s.handlers.Add(1)
	s.mu.Unlock()
	defer s.handlers.Done()
	body, err := io.ReadAll(io.LimitReader(r.Body, bodyLimit+1))
	if err != nil || len(body) > bodyLimit {
		panic(http.ErrAbortHandler)
	}
	request := request{r, body}
	within := s.arrived(request)
	s.faults.apply(w, request, func(w http.ResponseWriter) {
		switch {
		case !within:
			s.refuse(w, s.config.LimitStatus, "TOO_MANY_REQUESTS", "too many requests")
		case request.watches():
			s.watch(w, request)
		default:
			s.answer(w, request)
		}
	})
}

// arrived counts a request and says whether it is within the limit.
func (s *Sim) arrived(r request) bool {
	s.state.Lock()
	defer s.state.Unlock()
	if r.signsIn() {
		s.world.stats.SignIns++
	} else {
		s.world.stats.Requests++
	}
	window := time.Now().Truncate(s.config.Window)
	if s.world.window != window {
		s.world.window, s.world.inWindow = window, 0
	}
	s.world.inWindow++
	within := s.world.inWindow <= s.config.Limit
	if !within {
		s.world.stats.Refused++
	}
	return within
}

// Stats counts what reached the phone system since it was started.
type Stats struct {
	Requests int // also websockets; not signing in
	SignIns  int // also refreshes
	Refused  int // of both, for Config.Limit
	Secrets  int // answers that told a password or PIN
}

// Stats returns the counts.
func (s *Sim) Stats() Stats {
	s.state.Lock()
	defer s.state.Unlock()
	return s.world.stats
}
