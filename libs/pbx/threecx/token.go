package threecx

import (
	"context"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"offhook.dev/libs/core/fault"
	"offhook.dev/libs/pbx"
)

// tokens keeps the one access token of a service principal. Only one may be live,
// so there is one owner here, and one request for it however many callers wait.
type tokens struct {
	request func(context.Context) (token, error)

	turn    chan struct{} // holds one value; whoever has it owns what follows
	current token
	refused error     // the last refusal of the credentials
	until   time.Time // until when that is believed
}

// token is an access token and when to replace it.
type token struct {
	text    string
	replace time.Time
}

// refusedFor is how long a refusal of the credentials is believed without asking
// again: 3CX puts addresses that keep guessing on its block list.
const refusedFor = 30 * time.Second

func newTokens(request func(context.Context) (token, error)) *tokens {
	t := &tokens{request: request, turn: make(chan struct{}, 1)}
	t.turn <- struct{}{}
	return t
}

// get returns a live token that is not dead, asking for a new one if need be.
// dead is "" or a token that was refused.
func (t *tokens) get(ctx context.Context, dead string) (string, error) {
	const op = "threecx: sign in"
	select {
	case <-t.turn:
	case <-ctx.Done():
		return "", fault.New(fault.KindOf(ctx.Err()), op, context.Cause(ctx))
	}
	defer func() { t.turn <- struct{}{} }()

	now := time.Now()
	if t.current.text != "" && t.current.text != dead && now.Before(t.current.replace) {
		return t.current.text, nil
	}
	if now.Before(t.until) {
		return "", t.refused
	}
	fresh, err := t.request(ctx)
	if err != nil {
		if fault.KindOf(err) == fault.Denied {
			t.refused, t.until = err, now.Add(refusedFor)
		}
		return "", err
	}
	t.current = fresh
	return fresh.text, nil
}

// signIn asks for a token: OAuth 2.0 client credentials (RFC 6749 section 4.4).
// Its errors never quote the answer, which may repeat what was sent; whether it is about the
// licence is read from it all the same, because that is not mended with another secret.
func (w *wire) signIn(ctx context.Context) (token, error) {
	const op = "threecx: sign in"
	form := url.Values{
		"grant_type": {"client_credentials"}, "client_id": {w.config.ClientID},
		"client_secret": {w.config.ClientSecret.Reveal()},
	}
	asked := time.Now()
	answer, err := w.exchange(ctx, op, func(ctx context.Context) (*http.Request, error) {
		r, err := http.NewRequestWithContext(ctx, http.MethodPost, w.base.JoinPath("/connect/token").String(), strings.NewReader(form.Encode()))
		if err == nil {
			r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		}
		return r, err
	})
	if err != nil {
		// Nothing of the caller's was sent yet, so nothing of it can have happened.
		if fault.KindOf(err) == fault.Timeout && ctx.Err() == nil {
			err = fault.New(fault.Unavailable, op, err)
		}
		return token{}, err
	}
	switch {
	case answer.status == http.StatusBadRequest || answer.status == http.StatusUnauthorized:
		return token{}, fault.Errorf(fault.Denied, op, "client_id or client_secret is not accepted (HTTP %d)", answer.status)
	case answer.status == http.StatusForbidden && parseError(answer.body).aboutLicence():
		return token{}, fault.Errorf(fault.Denied, op, "%w (HTTP %d)", pbx.ErrLicence, answer.status)
	case answer.status != http.StatusOK:
		return token{}, refusal(op, false, answer.status, answer.header, nil, time.Now())
	}
	var grant struct {
		AccessToken string `json:"access_token"`
		ExpiresIn   int64  `json:"expires_in"`
	}
	if err := decode(op, answer.body, &grant); err != nil {
		return token{}, err
	}
	if grant.AccessToken == "" || strings.ContainsAny(grant.AccessToken, " \r\n") {
		return token{}, fault.Errorf(fault.Unavailable, op, "the answer holds no access token")
	}
	life := lifetime(grant.AccessToken, grant.ExpiresIn, asked)
	return token{grant.AccessToken, asked.Add(life - min(life/10, time.Minute))}, nil
}

// Bounds of a believable lifetime.
const (
	shortestLife = 10 * time.Second
	longestLife  = 24 * time.Hour
)

// lifetime returns how long a token lives from the moment it was asked for. The
// token's own claims decide: the distance from issue to expiry, which needs no
// agreement between two clocks, else the expiry. expires_in was in minutes up to
// 20.0.8 and is in seconds since; without claims, a small number means minutes.
// The signature is not checked: the token came over TLS from its issuer, and
// what it is good for is the issuer's to say.
func lifetime(text string, expiresIn int64, asked time.Time) time.Duration {
	var claims jwt.RegisteredClaims
	life := time.Duration(0)
	if _, _, err := jwt.NewParser().ParseUnverified(text, &claims); err == nil && claims.ExpiresAt != nil {
		switch {
		case claims.IssuedAt != nil:
			life = claims.ExpiresAt.Sub(claims.IssuedAt.Time)
		case claims.NotBefore != nil:
			life = claims.ExpiresAt.Sub(claims.NotBefore.Time)
		default:
			life = claims.ExpiresAt.Sub(asked)
		}
	} else if 0 < expiresIn && expiresIn <= 120 {
		life = time.Duration(expiresIn) * time.Minute
	} else if expiresIn > 0 {
		life = time.Duration(min(expiresIn, int64(longestLife/time.Second))) * time.Second
	}
	return min(max(life, shortestLife), longestLife)
}
