package pbxsim

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/core/presence"
	"offhook.dev/libs/secret"
)

// Config of a Sim. Authority and System are needed, the rest has defaults.
type Config struct {
	Listen    string            // "127.0.0.1:0"
	Authority *secret.Authority // issues the server's certificate
	Hosts     []string          // further names in the certificate; it always has the loopback ones
	System    identity.System   // the name in control URLs
	Version   string            // "20.0.9"

	Extensions  int      // how many; at least as many as People
	People      []Person // who has the first extensions; the others get invented names
	FirstNumber int      // of those without a number of their own: 200
	Seed        uint64   // of the invented names
	Profiles    []Profile

	Licence         int  // how many extensions it allows; 0: any number
	PersonalMax     int  // how many entries a personal phonebook may have; 0: any number
	MaxText         int  // characters of a name, number or address: 255
	Refusal         int  // the status of what is understood and not allowed, such as a taken number: 400. Unconfirmed for the real one
	StrictDeletions bool // entries are only deleted together if all are there: unconfirmed for the real one

	ClientID     string        // "offhook"
	ClientSecret secret.Value  // "simulated"
	TokenLife    time.Duration // 1 h
	OneToken     bool          // a new token ends the one before: unconfirmed for the real one

	Schema  Access // whether the interface is described: /xapi/v1/swagger.yaml
	Actions string // the version whose actions and units it has, which it describes; "": Version

	CallControl Access
	Monitored   []identity.Extension // whose calls the client may see; nil: everybody's
}

// Person is who an extension belongs to.
type Person struct {
	FirstName, LastName, Mail string
	Number                    identity.Extension // "": the next free one
}

// Profile is the forwarding profile by which the 3CX face shows a status.
type Profile struct {
	Status        presence.Status
	Name          string // what the interface takes and returns
	CustomName    string // the administrator's label, "" for none
	CustomMessage string // the text that is shown with it, "" for none
}

// DefaultProfiles are the internal names of 3CX V20.
func DefaultProfiles() []Profile {
	return []Profile{
		{Status: presence.Available, Name: "Available"}, {Status: presence.Away, Name: "Away"}, {Status: presence.DND, Name: "Out of office"},
		{Status: presence.Lunch, Name: "Custom 1"}, {Status: presence.BusinessTrip, Name: "Custom 2"},
	}
}

// Sim is a running phone system. All methods may be called at any time.
type Sim struct {
	config      Config
	certificate tls.Certificate
	address     string // where it listens, also after Down and Up

	world  *world
	tokens *tokens
	faults *faults
	stats  *stats

	muted    atomic.Bool   // see Mute
	disorder atomic.Uint64 // which order an unordered listing takes

	mu       sync.Mutex
	server   *http.Server // nil while down
	serving  sync.WaitGroup
	handlers sync.WaitGroup
	closed   bool
	timers   []*time.Timer // of DownFor
}

// Start starts a phone system. It listens when Start returns.
func Start(config Config) (*Sim, error) {
	config.Listen = cmp.Or(config.Listen, "127.0.0.1:0")
	config.Version = cmp.Or(config.Version, "20.0.9")
	config.Actions = cmp.Or(config.Actions, config.Version)
	config.FirstNumber = cmp.Or(config.FirstNumber, 200)
	config.ClientID = cmp.Or(config.ClientID, "offhook")
	config.TokenLife = cmp.Or(config.TokenLife, time.Hour)
	config.MaxText = cmp.Or(config.MaxText, 255)
	config.Refusal = cmp.Or(config.Refusal, http.StatusBadRequest)
	if config.ClientSecret.IsZero() {
		config.ClientSecret = secret.NewValue("simulated")
	}
	if config.Profiles == nil {
		config.Profiles = DefaultProfiles()
	}
	if config.Authority == nil || config.System == "" {
		return nil, errors.New("phone system simulator: Authority and System are needed")
	}
	tokens, err := newTokens(config)
	if err != nil {
		return nil, err
	}
	certificate, err := config.Authority.Issue(append([]string{"127.0.0.1", "::1", "localhost"}, config.Hosts...)...)
	if err != nil {
		return nil, fmt.Errorf("phone system simulator: %w", err)
	}
	faults := newFaults()
	s := &Sim{
		config: config, certificate: certificate, address: config.Listen,
		world: newWorld(config, faults), tokens: tokens, faults: faults, stats: &stats{Stats: Stats{Changes: make(map[string]int)}},
	}
	return s, s.Up()
}

// URL returns the base address, https://host:port.
func (s *Sim) URL() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return "https://" + s.address
}

// Credentials returns what a client signs in with.
func (s *Sim) Credentials() (clientID string, clientSecret secret.Value) {
	return s.config.ClientID, s.config.ClientSecret
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
		return fmt.Errorf("phone system simulator: %w", err)
	}
	s.address = listener.Addr().String()
	s.world.watchers.cut(false)
	s.server = &http.Server{
		Handler:           http.HandlerFunc(s.serve),
		ReadHeaderTimeout: 10 * time.Second,
		ConnContext:       s.stats.connected,
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
	s.world.watchers.cut(true) // which the server has let go of
	s.handlers.Wait()
	s.serving.Wait()
}

// DownFor is Down, and Up after d.
func (s *Sim) DownFor(d time.Duration) {
	s.Down()
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.closed {
		s.timers = append(s.timers, time.AfterFunc(d, func() { _ = s.Up() }))
	}
}

// Restart is a crash and a quick start: connections, calls and tokens are gone, and
// so are the newest forgotten writes, which had not reached the disk yet.
func (s *Sim) Restart(forgotten int) error {
	s.Down()
	s.tokens.forget()
	s.world.revert(forgotten)
	return s.Up()
}

// Close ends the phone system and everything that it started.
func (s *Sim) Close() {
	s.mu.Lock()
	s.closed = true
	for _, timer := range s.timers {
		timer.Stop()
	}
	s.mu.Unlock()
	s.Down()
}

// serve is the front door: it counts, breaks what is to be broken, and passes the
// rest to the face.
func (s *Sim) serve(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	if s.server == nil {
		s.mu.Unlock()
		panic(http.ErrAbortHandler)
	}
	s.handlers.Add(1)
	s.mu.Unlock()
	defer s.handlers.Done()

	request, err := readRequest(r)
	if err != nil {
		refuse(w, http.StatusRequestEntityTooLarge, "TooLarge", err.Error())
		return
	}
	left := s.stats.arrived(request)
	defer left()
	s.faults.apply(w, request, func(w http.ResponseWriter) { s.face(w, request) })
}

// request is one HTTP request with its body read, so that the server notices when
// the client leaves.
type request struct {
	*http.Request
	body       []byte
	connection uint64
}

const bodyLimit = 1 << 20

func readRequest(r *http.Request) (request, error) {
	body, err := io.ReadAll(http.MaxBytesReader(nil, r.Body, bodyLimit))
	return request{r, body, connectionOf(r.Context())}, err
}

func (r request) token() bool { return r.URL.Path == "/connect/token" }
func (r request) write() bool { return !r.token() && r.Method != http.MethodGet }

type connectionKey struct{}

func connectionOf(ctx context.Context) uint64 {
	number, _ := ctx.Value(connectionKey{}).(uint64)
	return number
}
