package notification

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"offhook.dev/libs/core/fault"
)

// Publisher is the application id of Microsoft Graph Change Tracking: the only
// caller whose tokens vouch for a notification.
// https://learn.microsoft.com/graph/change-notifications-with-resource-data
const Publisher = "0bf30f3b-4a52-48df-9a82-234910c4a086"

const (
	leeway    = 5 * time.Minute // between Entra's clock and ours
	maxToken  = 16 << 10        // bytes of one token
	maxTokens = 16              // tokens of one post that are tried for one item
)

// Issuers are the iss of Entra's tokens with "{tenantid}" in place of the directory
// id: one form per token version.
type Issuers struct {
	V1 string // Microsoft's: https://sts.windows.net/{tenantid}/
	V2 string // Microsoft's: https://login.microsoftonline.com/{tenantid}/v2.0
}

// VerifierConfig says whose tokens are believed.
type VerifierConfig struct {
	Login  string       // https URL of the login host, without a path
	Client *http.Client // trusts the login host; fetches the keys
	// Issuers default to sts.windows.net for V1 and the login host for V2. The
	// issuers of national clouds are not documented.
	Issuers Issuers
	Now     func() time.Time // defaults to time.Now
}

// Binding is what a token must be bound to: the tenant and app of the stored
// subscription, never of the post.
type Binding struct {
	Directory string // directory id, a GUID
	App       string // our application id
}

// Verifier checks validation tokens against the keys of one login host. It is
// safe for concurrent use.
type Verifier struct {
	issuers Issuers
	keys    *keySet
	parser  *jwt.Parser
}

// NewVerifier makes a Verifier. It fetches keys when the first token needs them.
func NewVerifier(c VerifierConfig) *Verifier {
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Issuers.V1 == "" {
		c.Issuers.V1 = "https://sts.windows.net/{tenantid}/"
	}
	if c.Issuers.V2 == "" {
		c.Issuers.V2 = c.Login + "/{tenantid}/v2.0"
	}
	return &Verifier{
		issuers: c.Issuers,
		keys:    newKeySet(c.Login, c.Client, c.Now),
		parser: jwt.NewParser(
			// Pinned: neither alg none nor a MAC keyed with the public key gets anywhere.
			jwt.WithValidMethods([]string{"RS256"}),
			jwt.WithLeeway(leeway), jwt.WithExpirationRequired(), jwt.WithTimeFunc(c.Now)),
	}
}

// claims are those of a token that are looked at.
type claims struct {
	jwt.RegisteredClaims
	Version string `json:"ver"`
	Tenant  string `json:"tid"`
	AppID   string `json:"appid"` // caller, version 1.0
	AZP     string `json:"azp"`   // caller, version 2.0
}

// Verify returns nil if one of a post's tokens vouches for an item that is bound
// to want. A post may mix tenants and apps: tokens of others prove nothing here,
// and take nothing away. The error is fault.Denied if there is no such token, and
// fault.Unavailable if the keys could not be had: then the item must be tried
// again, not refused. It never quotes a token.
func (v *Verifier) Verify(ctx context.Context, tokens []string, want Binding) error {
	refused := errors.New("no validation token for this tenant and app")
	var unavailable error
	tried := 0
	for _, token := range tokens {
		if len(token) > maxToken || !v.concerns(token, want) {
			continue
		}
		if tried++; tried > maxTokens {
			break
		}
		err := v.verify(ctx, token, want)
		switch {
		case err == nil:
			return nil
		case ctx.Err() != nil:
			return fmt.Errorf("verify notification: %w", ctx.Err())
		case fault.KindOf(err) == fault.Unavailable:
			unavailable = err
		default:
			refused = err
		}
	}
	if unavailable != nil {
		return unavailable
	}
	return fault.New(fault.Denied, "verify notification", refused)
}

// concerns peeks at who a token claims to be for, so that one tenant's tokens
// cost another nothing.
func (v *Verifier) concerns(token string, want Binding) bool {
	var c claims
	if _, _, err := v.parser.ParseUnverified(token, &c); err != nil {
		return false
	}
	return strings.EqualFold(c.Tenant, want.Directory)
}

func (v *Verifier) verify(ctx context.Context, token string, want Binding) error {
	var c claims
	_, err := v.parser.ParseWithClaims(token, &c, func(t *jwt.Token) (any, error) {
		kid, _ := t.Header["kid"].(string)
		return v.keys.find(ctx, c.Version, kid)
	})
	switch {
	case err != nil:
		return refusal(err)
	case !audience(c.Audience, want.App):
		return errors.New("token is for another app")
	case !strings.EqualFold(c.Tenant, want.Directory):
		return errors.New("token is of another tenant")
	}
	issuer, caller := v.issuers.V1, c.AppID
	if c.Version == "2.0" {
		issuer, caller = v.issuers.V2, c.AZP
	}
	switch {
	case !strings.EqualFold(c.Issuer, strings.ReplaceAll(issuer, "{tenantid}", want.Directory)):
		return errors.New("token has another issuer")
	case !strings.EqualFold(caller, Publisher):
		return errors.New("token is not from Graph's change tracking")
	}
	return nil
}

// audience says whether a token is for our app, written as its bare id.
func audience(aud jwt.ClaimStrings, app string) bool {
	return app != "" && len(aud) == 1 && strings.EqualFold(aud[0], app)
}

// refusal keeps a classified cause and turns the parser's own into a sentence.
// Its messages are not passed on, since some quote the token.
func refusal(err error) error {
	var classified *fault.Error
	if errors.As(err, &classified) {
		return classified
	}
	for _, known := range []struct {
		cause error
		says  string
	}{
		{jwt.ErrTokenExpired, "token has expired"},
		{jwt.ErrTokenNotValidYet, "token is not valid yet"},
		{jwt.ErrTokenRequiredClaimMissing, "token never expires"},
		{jwt.ErrTokenSignatureInvalid, "token's signature is wrong"},
		{jwt.ErrTokenUnverifiable, "token names no known key"},
	} {
		if errors.Is(err, known.cause) {
			return errors.New(known.says)
		}
	}
	return errors.New("token is malformed")
}
