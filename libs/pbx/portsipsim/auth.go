package portsipsim

import (
	"crypto/rand"
	"encoding/json"
	"net/http"
	"strings"
	"time"

	"offhook.dev/libs/secret"
)

// token is an access or refresh token.
type token struct {
	user    *user // nil: the administrator
	refresh bool
	until   time.Time
}

// ForgetTokens ends all access tokens; with refresh also those to get others with.
func (s *Sim) ForgetTokens(refresh bool) {
	s.state.Lock()
	defer s.state.Unlock()
	for text, t := range s.world.tokens {
		if refresh || !t.refresh {
			delete(s.world.tokens, text)
		}
	}
}

// SetTwoFactor says whether signing in needs a second factor.
func (s *Sim) SetTwoFactor(on bool) {
	s.state.Lock()
	defer s.state.Unlock()
	s.world.config.TwoFactor = on
}

// bearer says who asks: a user, or the administrator. state is held.
func (s *Sim) bearer(r request) (who *user, self, ok bool) {
	text, found := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	t, live := s.world.tokens[text]
	if !found || !live || t.refresh || time.Now().After(t.until) {
		return nil, false, false
	}
	return t.user, t.user != nil, true
}

// account finds who has a login and a password. state is held.
func (s *Sim) account(login, password, domain string) (who *user, ok bool) {
	if domain != s.config.Domain {
		return nil, false
	}
	if login == s.config.Username {
		return nil, secret.HashEqual(password, secret.Hash(s.config.Password.Reveal()))
	}
	u := first(s.world.users, func(u *user) bool { return u.text("name") == login })
	return u, u != nil && u.fields["enabled"] == true && secret.HashEqual(password, secret.Hash(u.password))
}

// answerSignIn answers what needs no token.
func (s *Sim) answerSignIn(w http.ResponseWriter, r request, path string) {
	var order struct {
		Username, Password, Domain string
		RefreshToken               string `json:"refresh_token"`
	}
	if r.Method != http.MethodPost || json.Unmarshal(r.body, &order) != nil {
		s.refuse(w, http.StatusBadRequest, "VALIDATE_FAILED", "field validation failed")
		return
	}
	s.state.Lock()
	defer s.state.Unlock()
	switch path {
	case "/auth/sign_in":
		who, ok := s.account(order.Username, order.Password, order.Domain)
		switch {
		case !ok:
			s.refuse(w, http.StatusUnauthorized, "UNAUTHORIZED", "the password "+order.Password+" is wrong")
		case s.world.config.TwoFactor:
			writeJSON(w, http.StatusOK, map[string]any{"two_factor_enabled": true, "token": rand.Text()})
		default:
			s.grant(w, who)
		}
	case "/auth/refresh_token":
		t, ok := s.world.tokens[order.RefreshToken]
		if !ok || !t.refresh {
			s.refuse(w, http.StatusUnauthorized, "UNAUTHORIZED", "the refresh token is unknown")
			return
		}
		if s.config.RefreshOnce {
			delete(s.world.tokens, order.RefreshToken)
		}
		s.grant(w, t.user)
	default:
		s.refuse(w, http.StatusNotFound, "UNKNOWN", "no such resource")
	}
}

// grant answers with tokens. state is held.
func (s *Sim) grant(w http.ResponseWriter, who *user) {
	access, refresh := rand.Text(), rand.Text()
	s.world.tokens[access] = token{who, false, time.Now().Add(s.config.TokenLife)}
	s.world.tokens[refresh] = token{who, true, time.Time{}}
	writeJSON(w, http.StatusOK, map[string]any{"token_type": "Bearer", "access_token": access, "refresh_token": refresh,
		"expires_in": int(s.config.TokenLife / time.Second)})
}
