package pbxsim

import (
	"context"
	"maps"
	"net"
	"sync"
)

// Stats counts what reached the phone system since it was started.
type Stats struct {
	Requests      int `json:"requests"`       // to the interface, apart from signing in
	TokenRequests int `json:"token_requests"` // sign-ins
	Connections   int `json:"connections"`
	InFlight      int `json:"in_flight"`      // being answered now, sign-ins included
	MostInFlight  int `json:"most_in_flight"` // the largest that ever was
	SecretsServed int `json:"secrets_served"` // answers that carried a password, because the client asked for it or did not say what it needs
	SecretsMade   int `json:"secrets_made"`   // answers to creations, which carry the new passwords whatever the client does
	// Changes counts what was carried out, by what it was: create-user, update-user,
	// delete-user, create-group, set-property, create-contact, update-contact,
	// delete-contact.
	Changes map[string]int `json:"changes"`
}

type stats struct {
	mu sync.Mutex
	Stats
}

// Stats returns the counts.
func (s *Sim) Stats() Stats {
	s.stats.mu.Lock()
	defer s.stats.mu.Unlock()
	copied := s.stats.Stats
	copied.Changes = maps.Clone(copied.Changes)
	return copied
}

// connected numbers connections.
func (s *stats) connected(ctx context.Context, _ net.Conn) context.Context {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.Connections++
	return context.WithValue(ctx, connectionKey{}, uint64(s.Connections))
}

// arrived counts a request; the returned function counts its end.
func (s *stats) arrived(r request) (left func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if r.token() {
		s.TokenRequests++
	} else {
		s.Requests++
	}
	if r.watches() {
		return func() {} // a websocket is no request that somebody waits for
	}
	s.InFlight++
	s.MostInFlight = max(s.MostInFlight, s.InFlight)
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.InFlight--
	}
}

// changed counts something that was carried out.
func (s *stats) changed(op string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.Changes[op]++
}

func (s *stats) servedSecret() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.SecretsServed++
}

func (s *stats) madeSecrets() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.SecretsMade++
}
