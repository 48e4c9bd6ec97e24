package msgraph

import (
	"context"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"offhook.dev/libs/core/fault"
	"offhook.dev/libs/graph"
	"offhook.dev/libs/secret"
)

// DelegatedScope asks for what a presence subscription needs, and for the next
// refresh token.
const DelegatedScope = "Presence.Read.All offline_access"

// DelegatedConfig says who has signed in.
type DelegatedConfig struct {
	Directory string // directory id, a GUID
	ClientID  string // application id; the registration allows public client flows
	Cloud     graph.Cloud
	Store     graph.RefreshStore
	Roots     *x509.CertPool // who vouches for the login host; nil is the system
}

// Delegated is the TokenSource of an account that has signed in once: it trades
// the stored refresh token for access tokens, and stores the new refresh token
// that comes with each before the access token is used.
// https://learn.microsoft.com/entra/identity-platform/v2-oauth2-auth-code-flow#refresh-the-access-token
type Delegated struct {
	config DelegatedConfig
	client *http.Client
	turn   chan struct{} // holds one value while nobody is at work; guards the rest
	token  graph.Token
	renew  time.Time    // when to ask for the next token
	latest secret.Value // the newest refresh token, which Store may have failed to take
}

// NewDelegated makes the source. It sends and reads nothing yet.
func NewDelegated(c DelegatedConfig) (*Delegated, error) {
	switch {
	case !guid.MatchString(c.Directory):
		return nil, fmt.Errorf("delegated account: directory id %q is not a GUID", c.Directory)
	case !guid.MatchString(c.ClientID):
		return nil, fmt.Errorf("delegated account: client id %q is not a GUID", c.ClientID)
	case c.Cloud.Login == "" || c.Store == nil:
		return nil, errors.New("delegated account: cloud and store are needed")
	}
	d := &Delegated{config: c, client: loginClient(newTransport(c.Roots)), turn: make(chan struct{}, 1)}
	d.turn <- struct{}{}
	return d, nil
}

// Close drops idle connections.
func (d *Delegated) Close() { d.client.CloseIdleConnections() }

// Token returns the access token, a new one when four fifths of its life are
// over. While the login host is away the old one serves to its end.
func (d *Delegated) Token(ctx context.Context) (graph.Token, error) {
	select {
	case <-d.turn:
		defer func() { d.turn <- struct{}{} }()
	case <-ctx.Done():
		return graph.Token{}, ctx.Err()
	}
	now := time.Now()
	if now.Before(d.renew) {
		return d.token, nil
	}
	err := d.refresh(ctx, now)
	if err == nil || fault.KindOf(err).Retryable() && now.Before(d.token.Expires.Add(-time.Minute)) {
		return d.token, nil
	}
	return graph.Token{}, err
}

func (d *Delegated) refresh(ctx context.Context, now time.Time) error {
	refresh := d.latest
	if refresh.IsZero() {
		var err error
		if refresh, err = d.config.Store.Load(ctx); err != nil {
			return fault.New(fault.Denied, "", fmt.Errorf("delegated account: %w", err))
		}
	}
	answer, err := d.trade(ctx, refresh)
	if err != nil {
		if fault.KindOf(err) == fault.Denied {
			d.latest = secret.Value{} // it is dead: Store may have a newer one, of a new sign-in
		}
		return err
	}
	if answer.Refresh != "" {
		d.latest = secret.NewValue(answer.Refresh)
		if err := d.config.Store.Save(ctx, d.latest); err != nil {
			return fault.New(fault.Unavailable, "", fmt.Errorf("delegated account: %w", err))
		}
	}
	life := time.Duration(answer.Seconds) * time.Second
	d.token = graph.Token{Value: secret.NewValue(answer.Access), Expires: now.Add(life)}
	d.renew = now.Add(life * 4 / 5)
	return nil
}

// tokenAnswer is a token response (RFC 6749 section 5.1).
type tokenAnswer struct {
	Access  string `json:"access_token"`
	Refresh string `json:"refresh_token"`
	Seconds int64  `json:"expires_in"`
}

func (d *Delegated) trade(ctx context.Context, refresh secret.Value) (tokenAnswer, error) {
	form := url.Values{"client_id": {d.config.ClientID}, "grant_type": {"refresh_token"},
		"refresh_token": {refresh.Reveal()}, "scope": {d.config.Cloud.Qualify(DelegatedScope)}}
	endpoint := d.config.Cloud.Login + "/" + d.config.Directory + "/oauth2/v2.0/token"
	status, header, body, err := postForm(ctx, d.client, endpoint, form)
	if err != nil {
		return tokenAnswer{}, err
	}
	if status != http.StatusOK {
		return tokenAnswer{}, loginAnswer(status, header, body)
	}
	var answer tokenAnswer
	if json.Unmarshal(body, &answer) != nil || answer.Access == "" || answer.Seconds <= 0 {
		return tokenAnswer{}, fault.New(fault.Unknown, "", errors.New("login answered without an access token"))
	}
	return answer, nil
}

// postForm posts to a login host and returns its answer, whatever the status.
func postForm(ctx context.Context, client *http.Client, endpoint string, form url.Values) (status int, header http.Header, body []byte, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, endpoint, strings.NewReader(form.Encode()))
	if err != nil {
		return 0, nil, nil, fault.New(fault.Invalid, "", err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	resp, err := client.Do(req)
	if err != nil && ctx.Err() != nil {
		return 0, nil, nil, ctx.Err()
	}
	if err != nil {
		return 0, nil, nil, fault.New(fault.Unavailable, "", fmt.Errorf("login: %w", err))
	}
	defer resp.Body.Close()
	if body, err = io.ReadAll(io.LimitReader(resp.Body, 1<<20)); err != nil {
		return 0, nil, nil, fault.New(fault.Unavailable, "", fmt.Errorf("login: %w", err))
	}
	return resp.StatusCode, resp.Header, body, nil
}
