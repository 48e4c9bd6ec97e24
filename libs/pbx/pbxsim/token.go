package pbxsim

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"offhook.dev/libs/secret"
)

// tokens is the face's sign-in: OAuth 2.0 client credentials, JWTs signed ES256.
type tokens struct {
	config Config
	key    *ecdsa.PrivateKey
	unit   time.Duration // of expires_in: the vendor changed it with 20.0.9

	mu     sync.Mutex
	live   map[string]time.Time // until when
	issued int
}

func newTokens(config Config) (*tokens, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("token key: %w", err)
	}
	t := &tokens{config: config, key: key, unit: time.Second, live: make(map[string]time.Time)}
	if config.before9() {
		t.unit = time.Minute
	}
	return t, nil
}

// forget ends all tokens.
func (t *tokens) forget() {
	t.mu.Lock()
	defer t.mu.Unlock()
	clear(t.live)
}

// ForgetTokens ends all tokens, as an administrator does who revokes them.
func (s *Sim) ForgetTokens() { s.tokens.forget() }

func (t *tokens) valid(r request) bool {
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	t.mu.Lock()
	defer t.mu.Unlock()
	until, ok := t.live[token]
	return ok && strings.EqualFold(scheme, "Bearer") && time.Now().Before(until)
}

// issue answers POST /connect/token.
func (t *tokens) issue(w http.ResponseWriter, r request) {
	if r.Method != http.MethodPost {
		w.WriteHeader(http.StatusMethodNotAllowed)
		return
	}
	form, err := formOf(r)
	switch {
	case err != nil:
		oauthError(w, http.StatusBadRequest, "invalid_request")
	case form("grant_type") != "client_credentials":
		oauthError(w, http.StatusBadRequest, "unsupported_grant_type")
	case form("client_id") != t.config.ClientID ||
		!secret.HashEqual(form("client_secret"), secret.Hash(t.config.ClientSecret.Reveal())):
		oauthError(w, http.StatusUnauthorized, "invalid_client")
	default:
		token, err := t.make()
		if err != nil {
			w.WriteHeader(http.StatusInternalServerError)
			return
		}
		writeJSON(w, http.StatusOK, map[string]any{
			"token_type": "Bearer", "access_token": token, "refresh_token": nil,
			"expires_in": int64(t.config.TokenLife / t.unit),
		})
	}
}

func (t *tokens) make() (string, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.issued++
	now := time.Now()
	until := now.Add(t.config.TokenLife)
	token, err := jwt.NewWithClaims(jwt.SigningMethodES256, jwt.RegisteredClaims{
		ID: fmt.Sprint(t.issued), Subject: t.config.ClientID,
		IssuedAt: jwt.NewNumericDate(now), ExpiresAt: jwt.NewNumericDate(until),
	}).SignedString(t.key)
	if err != nil {
		return "", err
	}
	if t.config.OneToken {
		clear(t.live)
	}
	t.live[token] = until
	return token, nil
}

// formOf reads either kind of form.
func formOf(r request) (func(string) string, error) {
	copied := r.Request.Clone(r.Context())
	copied.Body = bodyOf(r.body)
	kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil {
		return nil, err
	}
	if kind == "multipart/form-data" {
		err = copied.ParseMultipartForm(bodyLimit)
	} else {
		err = copied.ParseForm()
	}
	return copied.PostFormValue, err
}

func oauthError(w http.ResponseWriter, status int, code string) {
	writeJSON(w, status, map[string]string{"error": code})
}

// before9 says whether what it has is older than 20.0.9, with which much was renamed.
func (c Config) before9() bool {
	var major, minor, patch int
	n, _ := fmt.Sscanf(c.Actions, "%d.%d.%d", &major, &minor, &patch)
	return n == 3 && major == 20 && minor == 0 && patch < 9
}

func bodyOf(data []byte) io.ReadCloser { return io.NopCloser(bytes.NewReader(data)) }
