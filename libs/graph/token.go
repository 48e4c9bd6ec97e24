package graph

import (
	"context"
	"time"

	"offhook.dev/libs/secret"
)

// Token is an access token for Graph.
type Token struct {
	Value   secret.Value
	Expires time.Time
}

// TokenSource gives access tokens: of an app, or of a delegated account. It
// caches; concurrent callers share one request. A source that has no token
// returns an error, never an empty Token. It is safe for concurrent use.
type TokenSource interface {
	Token(ctx context.Context) (Token, error)
}

// RefreshStore keeps the refresh token of one delegated account. Entra gives a
// new one with every use, so what was loaded is replaced by what came back.
type RefreshStore interface {
	Load(ctx context.Context) (secret.Value, error)
	// Save replaces the token so that a crash leaves the old or the new one, whole.
	Save(ctx context.Context, refresh secret.Value) error
}
