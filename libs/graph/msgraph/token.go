package msgraph

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"strings"
	"time"

	"offhook.dev/libs/core/fault"
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
	parts := strings.Split(token.Value.Reveal(), ".")
	if len(parts) != 3 {
		return nil, token.Expires, fault.New(fault.Unknown, op, errors.New("the token cannot be read"))
	}
	var claims struct {
		Roles []string `json:"roles"`
		Scope string   `json:"scp"`
	}
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil || json.Unmarshal(payload, &claims) != nil {
		return nil, token.Expires, fault.New(fault.Unknown, op, errors.New("the token cannot be read"))
	}
	return append(claims.Roles, strings.Fields(claims.Scope)...), token.Expires, nil
}
