package msgraph

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"strings"
	"time"

	"offhook.dev/libs/core/fault"
	"offhook.dev/libs/secret"
)

// Token fetches (or recalls) an access token and says what it grants: the roles
// of an app, or the scopes of a delegated account, and until when. It reads the
// token without verifying it, which is right for what came from the login host
// itself and is only shown to a person.
// https://learn.microsoft.com/entra/identity-platform/access-token-claims-reference
func (c *Client) Token(ctx context.Context) (grants []string, expires time.Time, err error) {
	const op = "microsoft graph: get a token"
	token, err := c.tokens.Token(ctx)
	if err != nil {
		return nil, time.Time{}, classify(op, err)
	}
	read, err := claimsOf(token.Value)
	if err != nil {
		return nil, token.Expires, fault.New(fault.Unknown, op, err)
	}
	return append(read.Roles, strings.Fields(read.Scope)...), token.Expires, nil
}

// claims are what is read of an access token.
type claims struct {
	Roles []string `json:"roles"`
	Scope string   `json:"scp"`
	User  string   `json:"oid"`
	Name  string   `json:"upn"`
}

// claimsOf reads a token without verifying it.
func claimsOf(token secret.Value) (claims, error) {
	parts := strings.Split(token.Reveal(), ".")
	if len(parts) != 3 {
		return claims{}, errors.New("the token cannot be read")
	}
	var read claims
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil || json.Unmarshal(payload, &read) != nil {
		return claims{}, errors.New("the token cannot be read")
	}
	return read, nil
}
