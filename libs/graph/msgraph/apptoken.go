package msgraph

import (
	"context"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	azcloud "github.com/Azure/azure-sdk-for-go/sdk/azcore/cloud"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"

	"offhook.dev/libs/core/fault"
	"offhook.dev/libs/graph"
	"offhook.dev/libs/secret"
)

// source returns where the tokens come from.
func (c Config) source(wire http.RoundTripper) (graph.TokenSource, error) {
	if c.Tokens != nil {
		return c.Tokens, nil
	}
	options := azcore.ClientOptions{
		Cloud:     azcloud.Configuration{ActiveDirectoryAuthorityHost: c.Cloud.Login + "/"},
		Transport: loginClient(wire),
		Retry:     policy.RetryOptions{MaxRetries: -1}, // the sender's is the only retry
	}
	var credential azcore.TokenCredential
	var err error
	// Instance discovery asks Microsoft's public cloud whether the login host is
	// genuine: not there offline, and settled here by configuration and TLS.
	if c.Certificate != nil {
		credential, err = azidentity.NewClientCertificateCredential(c.Directory, c.ClientID,
			[]*x509.Certificate{c.Certificate.Certificate}, c.Certificate.Key,
			&azidentity.ClientCertificateCredentialOptions{ClientOptions: options, DisableInstanceDiscovery: true})
	} else {
		credential, err = azidentity.NewClientSecretCredential(c.Directory, c.ClientID, c.Secret.Reveal(),
			&azidentity.ClientSecretCredentialOptions{ClientOptions: options, DisableInstanceDiscovery: true})
	}
	if err != nil {
		return nil, fmt.Errorf("credential: %w", err)
	}
	return &appTokens{credential, c.Cloud.Scope()}, nil
}

// loginClient speaks to a login host.
func loginClient(wire http.RoundTripper) *http.Client {
	return &http.Client{Transport: wire, Timeout: tokenTimeout, CheckRedirect: refuseRedirect}
}

// appTokens is a TokenSource over azidentity, which caches and lets concurrent
// callers share one request.
type appTokens struct {
	credential azcore.TokenCredential
	scope      string
}

func (a *appTokens) Token(ctx context.Context) (graph.Token, error) {
	got, err := a.credential.GetToken(ctx, policy.TokenRequestOptions{Scopes: []string{a.scope}})
	if err != nil {
		return graph.Token{}, loginError(ctx, err)
	}
	return graph.Token{Value: secret.NewValue(got.Token), Expires: got.ExpiresOn}, nil
}

// loginError classifies what azidentity returns. Its own text is pages long.
func loginError(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	var failed *azidentity.AuthenticationFailedError
	if !errors.As(err, &failed) || failed.RawResponse == nil {
		return fault.New(fault.Unavailable, "", fmt.Errorf("login: %w", err))
	}
	body, _ := io.ReadAll(io.LimitReader(failed.RawResponse.Body, 64<<10)) // what there is of it
	return loginAnswer(failed.RawResponse.StatusCode, failed.RawResponse.Header, body)
}

// loginAnswer classifies an error answer of the token endpoint (RFC 6749 section
// 5.2 with Entra's error_codes).
// https://learn.microsoft.com/entra/identity-platform/reference-error-codes
func loginAnswer(status int, header http.Header, body []byte) error {
	var answer struct {
		Error string `json:"error"`
		Codes []int  `json:"error_codes"`
	}
	if json.Unmarshal(body, &answer) != nil || answer.Error == "" {
		answer.Error = http.StatusText(status)
	}
	cause := fmt.Errorf("login refused: %s", answer.Error)
	if len(answer.Codes) > 0 {
		cause = fmt.Errorf("login refused: %s (AADSTS%d)", answer.Error, answer.Codes[0])
	}
	switch answer.Error {
	case "invalid_grant", "interaction_required":
		// The refresh token was revoked, has ended, or a new rule asks for the person.
		cause = fmt.Errorf("%w; the account has to sign in again ("+graph.Authorize+")", cause)
	}
	delay, _ := retryAfter(header.Get("Retry-After"), time.Now())
	switch {
	case status == http.StatusTooManyRequests:
		return fault.After(fault.Throttled, "", delay, cause)
	case status >= 500 || answer.Error == "temporarily_unavailable":
		return fault.After(fault.Unavailable, "", delay, cause)
	}
	return fault.New(fault.Denied, "", cause)
}
