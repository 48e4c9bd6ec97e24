package portsip

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"time"

	"offhook.dev/libs/core/fault"
	"offhook.dev/libs/secret"
)

// Account is what somebody signs in with.
type Account struct {
	Username string
	Password secret.Value
}

// session keeps the tokens of one account: there is one request for them however many
// callers wait.
type session struct {
	wire    *wire
	account Account

	turn    chan struct{} // holds one value; whoever has it owns what follows
	current tokens
	refused error     // the last refusal of the credentials
	until   time.Time // until when that is believed
}

// tokens are an access token, when to replace it, and what to do that with.
type tokens struct {
	access  string
	replace time.Time
	refresh string // "": by signing in again
}

// refusedFor is how long a refusal of the credentials is believed without asking
// again: a phone system may lock out those who keep guessing.
const refusedFor = 30 * time.Second

// opSignIn names signing in, and refreshing, in errors.
const opSignIn = "portsip: sign in"

func newSession(w *wire, account Account) *session {
	s := &session{wire: w, account: account, turn: make(chan struct{}, 1)}
	s.turn <- struct{}{}
	return s
}

// token returns a live access token that is not dead, asking for a new one if need be.
// dead is "" or a token that was refused.
func (s *session) token(ctx context.Context, dead string) (string, error) {
	select {
	case <-s.turn:
	case <-ctx.Done():
		return "", fault.New(fault.KindOf(ctx.Err()), opSignIn, context.Cause(ctx))
	}
	defer func() { s.turn <- struct{}{} }()

	now := time.Now()
	if s.current.access != "" && s.current.access != dead && now.Before(s.current.replace) {
		return s.current.access, nil
	}
	if now.Before(s.until) {
		return "", s.refused
	}
	fresh, err := s.renew(ctx)
	if err != nil {
		if fault.KindOf(err) == fault.Denied {
			s.refused, s.until = err, now.Add(refusedFor)
		}
		return "", err
	}
	s.current = fresh
	return fresh.access, nil
}

// renew uses the refresh token, if there is one, and signs in where that is not
// accepted any more. A refresh token is used once: whether it may be twice is not
// documented.
func (s *session) renew(ctx context.Context) (tokens, error) {
	if refresh := s.current.refresh; refresh != "" {
		s.current.refresh = ""
		fresh, err := s.ask(ctx, "/auth/refresh_token", map[string]string{"refresh_token": refresh})
		if err == nil || !refused(err) {
			return fresh, err
		}
	}
	return s.ask(ctx, "/auth/sign_in", map[string]string{"username": s.account.Username, "password": s.account.Password.Reveal(), "domain": s.wire.config.Domain})
}

// ask asks for tokens. Its errors never quote the answer, which may repeat what was
// sent.
func (s *session) ask(ctx context.Context, path string, order map[string]string) (tokens, error) {
	body, err := json.Marshal(order)
	if err != nil {
		return tokens{}, fault.New(fault.Invalid, opSignIn, err)
	}
	asked := time.Now()
	a, err := s.wire.exchange(ctx, opSignIn, http.MethodPost, path, nil, body, "")
	if err != nil {
		// Nothing of the caller's was sent yet, so nothing of it can have happened.
		if fault.KindOf(err) == fault.Timeout && ctx.Err() == nil {
			err = fault.New(fault.Unavailable, opSignIn, err)
		}
		return tokens{}, err
	}
	if a.status != http.StatusOK {
		if kind := fault.FromHTTP(a.status); a.status >= 400 && a.status < 500 && kind != fault.Throttled && kind != fault.Timeout {
			return tokens{}, fault.Errorf(fault.Denied, opSignIn, "%w: user name, password or domain of %q is not accepted (HTTP %d)", errAccount, printable(s.account.Username, 64), a.status)
		}
		a.body = nil
		return tokens{}, refusal(opSignIn, false, a, time.Now())
	}
	return parseTokens(a.body, asked)
}

var (
	// errAccount is in the chain where an account cannot sign in, whatever it was for.
	errAccount = errors.New("the account cannot sign in")
	// errTwoFactor is in the chain where it would have to show a second factor.
	errTwoFactor = errors.New("it has two-factor authentication, which a service cannot pass: " +
		"create an account for Offhook alone and leave two-factor authentication off for it (docs/drivers/portsip.md)")
)

// parseTokens reads what signing in and refreshing answer.
func parseTokens(body []byte, asked time.Time) (tokens, error) {
	var grant struct {
		TwoFactor    bool   `json:"two_factor_enabled"`
		AccessToken  string `json:"access_token"`
		RefreshToken string `json:"refresh_token"`
		ExpiresIn    int64  `json:"expires_in"`
	}
	if err := decode(opSignIn, body, &grant); err != nil {
		return tokens{}, err
	}
	if grant.AccessToken == "" && grant.TwoFactor {
		return tokens{}, fault.Errorf(fault.Denied, opSignIn, "%w: %w", errAccount, errTwoFactor)
	}
	if grant.AccessToken == "" || strings.ContainsFunc(grant.AccessToken, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return tokens{}, fault.Errorf(fault.Unavailable, opSignIn, "the answer holds no access token")
	}
	life := time.Duration(min(max(grant.ExpiresIn, 0), int64(longestLife/time.Second))) * time.Second
	life = max(life, shortestLife)
	return tokens{grant.AccessToken, asked.Add(life - min(life/10, time.Minute)), grant.RefreshToken}, nil
}

// Bounds of a believable lifetime: expires_in is in seconds, 1,800 or 3,600 as seen.
const (
	shortestLife = 10 * time.Second
	longestLife  = 24 * time.Hour
)
