package portsip

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"strings"
	"sync"
	"syscall"
	"time"

	"offhook.dev/libs/core/fault"
	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/secret"
)

// Bounds of one request to the webhook. A message about one extension has some 250 bytes. What
// of a longer one is not read is still taken off the connection, up to a limit: closing while
// something lies there unread resets the connection, and the answer is lost with it.
const (
	eventLimit   = 1 << 20
	drainLimit   = 16 << 20 // from who has the credential
	refusedLimit = 1 << 20  // from anybody
	eventHeaders = 16 << 10
	eventTime    = 10 * time.Second
	idleTime     = 2 * time.Minute
)

// door is where a phone system brings events while a Watch lasts. It keeps of whom something
// was heard until that is taken, so that it answers at once and a hundred events about one
// extension are one.
type door struct {
	hook     Webhook
	secret   string // the hash
	username string // the hash
	server   *http.Server
	serving  sync.WaitGroup
	visits   sync.WaitGroup // its connections
	news     chan struct{}  // holds one value when there may be something to take
	broken   chan error     // why it serves no more

	mu     sync.Mutex
	known  map[identity.Extension]bool // who is worth hearing of; guarded by mu, as the rest
	heard  claims
	missed bool // something could not be read
}

func newDoor(hook Webhook) *door {
	return &door{hook: hook, secret: secret.Hash(hook.Secret.Reveal()), username: secret.Hash(hook.Username),
		news: make(chan struct{}, 1), broken: make(chan error, 1), heard: claims{}}
}

// openDoor listens. Conflict: the address is taken; Denied, Invalid: it cannot be had.
func openDoor(ctx context.Context, hook Webhook) (*door, error) {
	d := newDoor(hook)
	if hook.Elsewhere {
		return d, nil
	}
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", hook.Listen)
	if err != nil {
		return nil, unheard(hook.Listen, err)
	}
	d.server = &http.Server{
		Handler: d, ReadHeaderTimeout: eventTime, ReadTimeout: eventTime, WriteTimeout: eventTime, IdleTimeout: idleTime,
		MaxHeaderBytes: eventHeaders, ErrorLog: log.New(io.Discard, "", 0), // handshakes of strangers
		Protocols: new(http.Protocols), ConnState: d.visit,
	}
	d.server.Protocols.SetHTTP1(true) // in which a connection is one goroutine
	serve := func() error { return d.server.Serve(listener) }
	if hook.Certificate != nil {
		d.server.TLSConfig = &tls.Config{Certificates: []tls.Certificate{*hook.Certificate}, MinVersion: tls.VersionTLS12}
		serve = func() error { return d.server.ServeTLS(listener, "", "") }
	}
	d.serving.Go(func() { d.broken <- serve() })
	if hook.OnListening != nil {
		hook.OnListening(listener.Addr().String())
	}
	return d, nil
}

// unheard classifies why nobody can listen at an address.
func unheard(address string, err error) error {
	kind, advice := fault.Unavailable, "options.webhook.listen"
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		kind, advice = fault.Conflict, "something listens there already, perhaps another phone system's webhook: options.webhook.listen"
	case errors.Is(err, syscall.EACCES):
		kind, advice = fault.Denied, "Offhook may not listen there; take a port above 1023: options.webhook.listen"
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		kind, advice = fault.Invalid, "it is no address of this machine: options.webhook.listen"
	}
	return fault.Errorf(kind, opWatch, "events cannot be taken at %s (%s): %w", address, advice, err)
}

// close stops listening, and waits until nobody is in the door any more.
func (d *door) close() {
	if d.server == nil {
		return
	}
	_ = d.server.Close()
	d.serving.Wait()
	d.visits.Wait()
}

// visit counts connections, each from before it is served until that has ended.
func (d *door) visit(_ net.Conn, state http.ConnState) {
	switch state {
	case http.StateNew:
		d.visits.Add(1)
	case http.StateClosed:
		d.visits.Done()
	}
}

// ServeHTTP takes an event. Whatever comes with the right credential is answered with 200,
// also what nobody understands: sent again it would be no better. Nothing is ever answered
// with 404, after which PortSIP gives an event up.
func (d *door) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch {
	case r.Method != http.MethodPost:
		w.Header().Set("Allow", http.MethodPost)
		refuse(w, r, http.StatusMethodNotAllowed)
		return
	case !d.admits(r):
		w.Header().Set("WWW-Authenticate", d.challenge())
		refuse(w, r, http.StatusUnauthorized)
		return
	}
	body, err := io.ReadAll(io.LimitReader(r.Body, eventLimit+1))
	if err != nil {
		d.note(nil, errMessage)
		return // the client has left
	}
	if len(body) > eventLimit {
		_, _ = io.CopyN(io.Discard, r.Body, drainLimit)
		d.note(nil, errMessage)
		return
	}
	d.note(parseClaims(body))
}

// refuse answers so that also a client that sends all that it has before it listens, and then
// closes, learns what is wrong.
func refuse(w http.ResponseWriter, r *http.Request, status int) {
	_, _ = io.CopyN(io.Discard, r.Body, refusedLimit)
	w.WriteHeader(status)
}

// challenge says what a request must prove. A client that only answers when it is asked
// needs it.
func (d *door) challenge() string {
	if d.hook.Username != "" {
		return `Basic realm="Offhook", charset="UTF-8"`
	}
	return `Bearer realm="Offhook"`
}

// admits says in constant time whether a request has the credential.
func (d *door) admits(r *http.Request) bool {
	if d.hook.Username != "" {
		username, password, ok := r.BasicAuth()
		right := secret.HashEqual(username, d.username)
		return secret.HashEqual(password, d.secret) && right && ok
	}
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	return secret.HashEqual(strings.TrimSpace(token), d.secret) && strings.EqualFold(scheme, "Bearer")
}

// note keeps what was heard, of those who are known, or that something was missed.
func (d *door) note(heard claims, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.missed = d.missed || err != nil
	for ext, claimed := range heard {
		if d.known[ext] {
			d.heard[ext] = claimed
		}
	}
	if len(d.heard) > 0 {
		select {
		case d.news <- struct{}{}:
		default:
		}
	}
}

// admit says of whom it is worth hearing.
func (d *door) admit(known map[identity.Extension]bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.known = known
}

// take returns what was heard since it was taken last.
func (d *door) take() claims {
	d.mu.Lock()
	defer d.mu.Unlock()
	heard := d.heard
	d.heard = claims{}
	return heard
}

// takeMissed says whether something could not be read since it was asked last.
func (d *door) takeMissed() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	missed := d.missed
	d.missed = false
	return missed
}
