package portsipsim

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"io"
	"maps"
	"net/http"
	"strings"
	"sync"
	"time"

	"offhook.dev/libs/pbx/simfault"
	"offhook.dev/libs/secret"
)

// Webhook is where the tenant's extension events are sent, as an administrator sets it in
// the portal (Company, Event URL, Extension Events).
type Webhook struct {
	URL         string
	Disabled    bool
	Auth        string // "DISABLE", "BASIC", "DIGEST", "BEARER"
	Username    string
	Password    secret.Value
	Token       secret.Value
	Authorities *x509.CertPool // who may have issued the receiver's certificate
	// Challenged: a credential is sent when the receiver has asked for it. Unconfirmed.
	Challenged bool
	// Untold: the tenant's settings are not told to who asks for them. Unconfirmed.
	Untold bool
}

// retries are the vendor's: how long it waits before it sends an event again that was not
// answered with 200.
var retries = []time.Duration{15 * time.Second, time.Minute, 3 * time.Minute, 8 * time.Minute, 15 * time.Minute}

// EventFaultKind is a way for an event not to arrive as it should.
type EventFaultKind string

// The kinds.
const (
	Lost            EventFaultKind = "lost"             // it is never sent
	Twice           EventFaultKind = "twice"            // it is sent again at once, with the same id
	Reordered       EventFaultKind = "reordered"        // it is sent after the next one
	Late            EventFaultKind = "late"             // it is sent when LateEvents lets it go
	WrongCredential EventFaultKind = "wrong-credential" // with a credential that is not the receiver's
	GarbageEvent    EventFaultKind = "garbage-event"    // something else is sent
)

// EventFault is one kind of misbehaviour, for some events.
type EventFault struct {
	Kind  EventFaultKind
	After int // how many events it lets pass first
	Times int // how many it meets; 0: all, until ClearEventFaults
}

// EventStats counts what became of events since the phone system was started.
type EventStats struct {
	Sent     int         // requests
	Answers  map[int]int // by status; 0: none
	Accepted int         // events that were answered with 200
	GivenUp  int         // events that will never be sent again
}

// hook sends events over HTTP.
type hook struct {
	retries []time.Duration
	faults  *simfault.Queue[EventFault]
	wake    chan struct{} // holds one value when there may be something to send
	parts   sync.WaitGroup

	mu     sync.Mutex         // guards what follows
	stop   context.CancelFunc // of what runs; nil before that
	closed bool
	to     Webhook
	client *http.Client
	queue  []delivery
	late   []delivery
	stats  EventStats
}

// delivery is one event on its way.
type delivery struct {
	body  []byte
	fault EventFaultKind
}

func newHook(waits []time.Duration) *hook {
	return &hook{retries: waits, faults: simfault.New[EventFault](), wake: make(chan struct{}, 1), client: &http.Client{}, stats: EventStats{Answers: map[int]int{}}}
}

// close ends everything that is on its way.
func (h *hook) close() {
	h.mu.Lock()
	h.closed = true
	if h.stop != nil {
		h.stop()
	}
	h.mu.Unlock()
	h.parts.Wait()
	h.client.CloseIdleConnections() // nobody sets another any more
}

// SetWebhook sets where extension events are sent from now on; the zero value: nowhere. They
// are sent until Close, or for as long as the context of the first SetWebhook lives.
func (s *Sim) SetWebhook(ctx context.Context, to Webhook) {
	client := &http.Client{Timeout: 10 * time.Second,
		Transport:     &http.Transport{TLSClientConfig: &tls.Config{RootCAs: to.Authorities, MinVersion: tls.VersionTLS12}},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	h := s.hook
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		return
	}
	h.client.CloseIdleConnections()
	h.to, h.client = to, client
	if h.stop == nil {
		ctx, h.stop = context.WithCancel(ctx)
		h.parts.Go(func() { h.run(ctx) })
	}
}

// settings are the tenant's settings as they are told, nil where they are not.
func (h *hook) settings() map[string]any {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.to.Untold {
		return nil
	}
	told := map[string]any{"enabled": h.to.URL != "" && !h.to.Disabled, "auth": "DISABLE"}
	if h.to.URL != "" {
		told["url"], told["auth"] = h.to.URL, h.to.Auth
	}
	if h.to.Username != "" {
		told["username"] = h.to.Username
	}
	return told
}

// InjectEvent adds a fault of the webhook.
func (s *Sim) InjectEvent(f EventFault) { s.hook.faults.Add(f, f.After, f.Times) }

// ClearEventFaults ends all faults of the webhook. LateEvents sends what is late.
func (s *Sim) ClearEventFaults() { s.hook.faults.Clear() }

// LateEvents sends the events that were held back, and says how many there were.
func (s *Sim) LateEvents() int {
	s.hook.mu.Lock()
	defer s.hook.mu.Unlock()
	n := len(s.hook.late)
	s.hook.queue, s.hook.late = append(s.hook.queue, s.hook.late...), nil
	s.hook.signal()
	return n
}

// SendEvent sends a body of any kind, as an event that no fault meets.
func (s *Sim) SendEvent(body string) {
	s.hook.mu.Lock()
	defer s.hook.mu.Unlock()
	s.hook.queue = append(s.hook.queue, delivery{body: []byte(body)})
	s.hook.signal()
}

// EventStats returns what became of events.
func (s *Sim) EventStats() EventStats {
	s.hook.mu.Lock()
	defer s.hook.mu.Unlock()
	stats := s.hook.stats
	stats.Answers = maps.Clone(stats.Answers)
	return stats
}

// signal wakes run. mu is held.
func (h *hook) signal() {
	select {
	case h.wake <- struct{}{}:
	default:
	}
}

// publish sends an event, with an id of its own. How that is named is not documented.
func (h *hook) publish(message map[string]any) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.to.URL == "" || h.to.Disabled {
		return
	}
	message = maps.Clone(message)
	message["uuid"] = rand.Text()
	d := delivery{body: jsonOf(message)}
	fault, _ := h.faults.Take(func(EventFault) bool { return true })
	switch d.fault = fault.Kind; fault.Kind {
	case Lost:
		h.stats.GivenUp++
		return
	case Late:
		h.late = append(h.late, d)
		return
	case Twice:
		h.queue = append(h.queue, d, d)
	case GarbageEvent:
		d.body = []byte("event_type=extension_call&extension=\xff")
		h.queue = append(h.queue, d)
	default:
		h.queue = append(h.queue, d)
	}
	if n := len(h.queue); n > 1 && h.queue[n-2].fault == Reordered {
		h.queue[n-2], h.queue[n-1] = h.queue[n-1], h.queue[n-2]
		h.queue[n-1].fault = ""
	}
	h.signal()
}

// run sends events in their order, each for the first time; what was not taken is sent again
// beside the others.
func (h *hook) run(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-h.wake:
		}
		for {
			d, ok := h.pop()
			if !ok {
				break
			}
			if !h.deliver(ctx, d) {
				h.parts.Go(func() { h.repeat(ctx, d) })
			}
		}
	}
}

// pop takes the next event that is not held back by Reordered: the last one waits for
// another.
func (h *hook) pop() (delivery, bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.queue) == 0 || len(h.queue) == 1 && h.queue[0].fault == Reordered {
		return delivery{}, false
	}
	d := h.queue[0]
	h.queue = h.queue[1:]
	d.fault = strip(d.fault)
	return d, true
}

// strip is what is left of a fault once an event is on its way.
func strip(f EventFaultKind) EventFaultKind {
	if f == WrongCredential {
		return f
	}
	return ""
}

// repeat sends an event again until it is taken or given up.
func (h *hook) repeat(ctx context.Context, d delivery) {
	d.fault = "" // the next time it is right
	for _, wait := range h.retries {
		timer := time.NewTimer(wait)
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case <-timer.C:
		}
		if h.deliver(ctx, d) {
			return
		}
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.stats.GivenUp++
}

// deliver sends an event once and says whether that was the end of it: 200 is success, and
// 404 is never to be tried again.
func (h *hook) deliver(ctx context.Context, d delivery) (done bool) {
	status := h.post(ctx, d)
	h.mu.Lock()
	defer h.mu.Unlock()
	switch h.stats.Answers[status]++; status {
	case http.StatusOK:
		h.stats.Accepted++
		return true
	case http.StatusNotFound:
		h.stats.GivenUp++
		return true
	}
	return false
}

// post sends one event and returns the status of the answer, 0 if there is none.
func (h *hook) post(ctx context.Context, d delivery) int {
	h.mu.Lock()
	to, client := h.to, h.client
	h.mu.Unlock()
	status, asked := h.send(ctx, client, to, d, !to.Challenged)
	if to.Challenged && status == http.StatusUnauthorized && strings.EqualFold(asked, to.Auth) {
		status, _ = h.send(ctx, client, to, d, true)
	}
	return status
}

// send sends one request. asked is the scheme of the credential that the receiver wants.
func (h *hook) send(ctx context.Context, client *http.Client, to Webhook, d delivery, prove bool) (status int, asked string) {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, to.URL, bytes.NewReader(d.body))
	if err != nil {
		return 0, ""
	}
	r.Header.Set("Content-Type", "application/json")
	wrong := ""
	if d.fault == WrongCredential {
		wrong = "x"
	}
	switch {
	case prove && to.Auth == "BEARER":
		r.Header.Set("Authorization", "Bearer "+to.Token.Reveal()+wrong)
	case prove && to.Auth == "BASIC":
		r.SetBasicAuth(to.Username, to.Password.Reveal()+wrong)
	} // DIGEST answers a challenge for a digest, and DISABLE proves nothing
	h.mu.Lock()
	h.stats.Sent++
	h.mu.Unlock()
	response, err := client.Do(r)
	if err != nil {
		return 0, ""
	}
	defer response.Body.Close()
	_, _ = io.Copy(io.Discard, io.LimitReader(response.Body, bodyLimit))
	asked, _, _ = strings.Cut(response.Header.Get("WWW-Authenticate"), " ")
	return response.StatusCode, asked
}
