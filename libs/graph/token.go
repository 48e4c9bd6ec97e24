package graph

import (
	"context"
	"errors"
	"sync"
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

// Authorize is the command with which a person signs an account in. Whatever goes wrong
// until somebody does that names it.
const Authorize = "offhook authorize"

// RefreshStore keeps the refresh token of one delegated account. Entra gives a
// new one with every use, so what was loaded is replaced by what came back.
type RefreshStore interface {
	Load(ctx context.Context) (secret.Value, error)
	// Save replaces the token so that a crash leaves the old or the new one, whole.
	Save(ctx context.Context, refresh secret.Value) error
}

// RefreshKept returns a RefreshStore for a caller that keeps the token itself,
// encrypted in a database for example: it begins with first and reports every
// newer one to saved. An error of saved is tried again with the next token, and
// says meanwhile that the account cannot speak: the token on record may be dead.
func RefreshKept(first secret.Value, saved func(ctx context.Context, refresh secret.Value) error) RefreshStore {
	return &keptRefresh{latest: first, saved: saved}
}

type keptRefresh struct {
	saved  func(context.Context, secret.Value) error
	mu     sync.Mutex
	latest secret.Value
}

func (k *keptRefresh) Load(context.Context) (secret.Value, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.latest.IsZero() {
		return secret.Value{}, errors.New("there is no refresh token")
	}
	return k.latest, nil
}

func (k *keptRefresh) Save(ctx context.Context, refresh secret.Value) error {
	if err := k.saved(ctx, refresh); err != nil {
		return err
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.latest = refresh
	return nil
}
