package graphsim

import (
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"fmt"
	"math/big"
	"net/http"
	"strings"
	"sync"

	"github.com/golang-jwt/jwt/v5"
)

// keyring holds the keys that sign tokens, the one in use last. Entra publishes one
// set for all tenants, and validation tokens of notifications are signed by it too.
type keyring struct {
	mu   sync.RWMutex
	keys []signingKey
}

type signingKey struct {
	id  string
	key *rsa.PrivateKey
}

func (k *keyring) rotate() error {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return fmt.Errorf("signing key: %w", err)
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.keys = append(k.keys, signingKey{rand.Text(), key})
	return nil
}

// sign makes a token with the newest key.
func (k *keyring) sign(claims jwt.Claims) string {
	k.mu.RLock()
	newest := k.keys[len(k.keys)-1]
	k.mu.RUnlock()
	token := jwt.NewWithClaims(jwt.SigningMethodRS256, claims)
	token.Header["kid"] = newest.id
	signed, err := token.SignedString(newest.key)
	if err != nil {
		panic("graphsim: RS256 with a key of our own failed: " + err.Error()) // cannot happen
	}
	return signed
}

// find is a jwt.Keyfunc.
func (k *keyring) find(token *jwt.Token) (any, error) {
	k.mu.RLock()
	defer k.mu.RUnlock()
	for _, s := range k.keys {
		if token.Header["kid"] == s.id {
			return &s.key.PublicKey, nil
		}
	}
	return nil, fmt.Errorf("key %v is not one of ours", token.Header["kid"])
}

// set is the JSON Web Key Set (RFC 7517).
func (k *keyring) set() any {
	k.mu.RLock()
	defer k.mu.RUnlock()
	encode := base64.RawURLEncoding.EncodeToString
	keys := make([]map[string]string, 0, len(k.keys))
	for _, s := range k.keys {
		keys = append(keys, map[string]string{"kty": "RSA", "use": "sig", "kid": s.id, "x5t": s.id,
			"n": encode(s.key.N.Bytes()), "e": encode(big.NewInt(int64(s.key.E)).Bytes())})
	}
	return map[string]any{"keys": keys}
}

// RotateSigningKey makes a new key sign all tokens from now on. The old ones stay
// published, so that tokens in use remain valid.
func (s *Server) RotateSigningKey() error {
	if err := s.keys.rotate(); err != nil {
		return err
	}
	for _, t := range s.tenants {
		t.mu.Lock()
		clear(t.validation)
		t.mu.Unlock()
	}
	return nil
}

func (s *Server) serveKeys(w http.ResponseWriter, _ *http.Request) {
	writeJSON(w, http.StatusOK, s.keys.set())
}

// serveMetadata answers OpenID Connect discovery. "common" publishes issuers with
// the template {tenantid} in place of a directory.
func (s *Server) serveMetadata(version string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		ref := r.PathValue("tenant")
		id := "{tenantid}"
		if t := s.Tenant(ref); t != nil {
			id = t.id
		} else if ref != "common" && ref != "organizations" {
			writeLoginError(w, s.now(), errNoTenant(ref))
			return
		}
		base := "https://" + r.Host + "/" + ref
		issuer, prefix, keys := s.issuer(version, id), "/oauth2", "/discovery/keys"
		if version == "2.0" {
			// MSAL wants the issuer on the authority's own host.
			prefix, keys = "/oauth2/v2.0", "/discovery/v2.0/keys"
			if s.config.Issuers.V2 == "" {
				issuer = "https://" + r.Host + "/" + id + "/v2.0"
			}
		}
		writeJSON(w, http.StatusOK, map[string]any{
			"issuer": issuer, "jwks_uri": base + keys,
			"authorization_endpoint": base + prefix + "/authorize", "token_endpoint": base + prefix + "/token",
			"device_authorization_endpoint":         base + prefix + "/devicecode",
			"token_endpoint_auth_methods_supported": []string{"client_secret_post", "private_key_jwt"},
			"response_types_supported":              []string{"code", "id_token"},
			"subject_types_supported":               []string{"pairwise"},
			"id_token_signing_alg_values_supported": []string{"RS256"},
		})
	}
}

// issuer returns the iss claim of tokens of a version for a directory.
func (s *Server) issuer(version, directory string) string {
	template := s.config.Issuers.V1
	if version == "2.0" {
		template = s.config.Issuers.V2
		if template == "" {
			template = s.LoginURL() + "/{tenantid}/v2.0"
		}
	}
	return strings.ReplaceAll(template, "{tenantid}", directory)
}
