package graphsim

import (
	"bytes"
	"context"
	"crypto/tls"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"offhook.dev/libs/secret"
)

// Headers that the simulator adds to every POST of notifications, for tests that
// count: the numbers of its items in order, and which attempt it is. Graph has no
// such headers; the body is exactly Graph's.
const (
	HeaderItems   = "Graphsim-Items"
	HeaderAttempt = "Graphsim-Attempt"
)

// newPoster returns the client that posts notifications. It follows no redirects:
// the service does not say that it would, and a receiver must not rely on it.
func newPoster(c Config, authority *secret.Authority) *http.Client {
	roots := c.NotifyRoots
	if roots == nil {
		roots = authority.Pool()
	}
	return &http.Client{
		Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12},
			ForceAttemptHTTP2: true, MaxIdleConnsPerHost: c.Delivery.InFlight, IdleConnTimeout: time.Minute},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// post makes one attempt at a parcel, and puts it off where that failed.
func (s *Server) post(e *endpoint, p *parcel) {
	if p = s.pause(p); p == nil {
		return
	}
	body, err := s.collect(p.notices)
	if err != nil {
		s.settle(p, func(l *Tally) { l.Pending--; l.GivenUp++ })
		return
	}
	p.attempts++
	if p.attempts == 1 {
		p.first = time.Now()
	}
	s.settle(p, func(l *Tally) {
		l.Attempts++
		if p.attempts > 1 {
			l.Retried++
		}
	})
	s.markSent(p)
	began := time.Now()
	status := s.deliver(p, body)
	ended := time.Now()
	if s.ctx.Err() != nil {
		s.settle(p, func(l *Tally) { l.Other++ })
		return // closed: what was under way stays pending
	}
	s.posts.mu.Lock()
	e.health.add(timing{ended, ended.Sub(began) > s.config.Delivery.FirstAllowance || status == 0 && p.attempts == 1,
		p.attempts > 1 && ended.Sub(began) >= s.config.Delivery.RetryAllowance})
	s.posts.mu.Unlock()
	switch {
	case status >= 200 && status < 300:
		s.settle(p, func(l *Tally) { l.Pending--; l.Accepted++ })
		return
	case status >= 500:
		s.settle(p, func(l *Tally) { l.Refused++ })
	default:
		s.settle(p, func(l *Tally) { l.Other++ })
	}
	s.retry(p)
}

// deliver sends body and returns the status, or 0 if none came in time.
func (s *Server) deliver(p *parcel, body []byte) int {
	allowance := s.config.Delivery.FirstAllowance
	if p.attempts > 1 {
		allowance = s.config.Delivery.RetryAllowance
	}
	ctx, cancel := context.WithTimeout(s.ctx, allowance)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, p.url, bytes.NewReader(body))
	if err != nil {
		return 0
	}
	numbers := make([]string, len(p.notices))
	for i, n := range p.notices {
		numbers[i] = strconv.FormatUint(n.number, 10)
	}
	r.Header.Set("Content-Type", "application/json; charset=utf-8")
	r.Header.Set(HeaderItems, strings.Join(numbers, ","))
	r.Header.Set(HeaderAttempt, strconv.Itoa(p.attempts))
	response, err := s.poster.Do(r)
	if err != nil {
		return 0
	}
	defer response.Body.Close()
	_, _ = io.Copy(io.Discard, io.LimitReader(response.Body, 1<<20)) // so that the connection can be used again
	return response.StatusCode
}

// retry puts a parcel off, twice as long each time, or gives it up.
func (s *Server) retry(p *parcel) {
	wait := s.config.scaled(s.config.Delivery.Backoff << min(max(p.attempts, 1)-1, 4))
	if time.Since(p.first)+wait > s.config.scaled(s.config.Delivery.RetryFor) {
		s.settle(p, func(l *Tally) { l.Pending--; l.GivenUp++ })
		return
	}
	s.posts.later(wait, func() { s.posts.enqueue(p, 0) })
}

// pause puts off the notices whose subscription carries an expired token, until it
// is renewed or reauthorized, and returns what is left of the parcel or nil.
func (s *Server) pause(p *parcel) *parcel {
	now := s.now()
	rest := make([]*notice, 0, len(p.notices))
	for _, n := range p.notices {
		if !n.tenant.tokenExpired(n.sub.id, now) {
			rest = append(rest, n)
			continue
		}
		waiting := &parcel{url: p.url, endpoint: p.endpoint, notices: []*notice{n}, attempts: p.attempts, first: p.first}
		if waiting.first.IsZero() {
			waiting.first = time.Now()
		}
		s.settle(waiting, func(l *Tally) { l.Paused++ })
		s.retry(waiting)
	}
	if len(rest) == 0 {
		return nil
	}
	p.notices = rest
	return p
}

// tokenExpired says whether a live subscription carries an expired token.
func (t *Tenant) tokenExpired(id string, now time.Time) bool {
	t.mu.RLock()
	defer t.mu.RUnlock()
	sub := t.subscriptions[id]
	return sub != nil && now.After(sub.tokenExpires)
}

// settle books a change for every notice of a parcel.
func (s *Server) settle(p *parcel, change func(*Tally)) {
	for _, n := range p.notices {
		n.tenant.mu.Lock()
		n.tenant.ledger.note(n.sub.id, change)
		n.tenant.mu.Unlock()
	}
}

// markSent books the first attempt of each notice.
func (s *Server) markSent(p *parcel) {
	for _, n := range p.notices {
		if !n.sent {
			n.sent = true
			n.tenant.mu.Lock()
			n.tenant.ledger.note(n.sub.id, func(l *Tally) { l.Sent++ })
			n.tenant.mu.Unlock()
		}
	}
}
