package notification_test

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"math/big"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"offhook.dev/libs/graph/notification"
	"offhook.dev/libs/secret"
)

const (
	directory = "11111111-1111-1111-1111-111111111111"
	foreign   = "22222222-2222-2222-2222-222222222222"
	app       = "33333333-3333-3333-3333-333333333333"
	anna      = "44444444-4444-4444-4444-444444444444"
	ben       = "55555555-5555-5555-5555-555555555555"
)

// pairs are made once: an RSA key costs more than all the tests that use it.
var pairs = sync.OnceValue(func() (made [3]secret.KeyPair) {
	for i := range made {
		pair, err := secret.NewKeyPair("test", time.Now(), time.Hour)
		if err != nil {
			panic(err)
		}
		made[i] = pair
	}
	return made
})

// login is a login host: it serves key sets, counts how often, and signs.
type login struct {
	*httptest.Server

	mu      sync.Mutex
	keys    map[string]*rsa.PublicKey
	fetches int
	status  int
}

func newLogin(t testing.TB) *login {
	t.Helper()
	l := &login{keys: map[string]*rsa.PublicKey{"k1": &pairs()[0].Key.PublicKey}, status: http.StatusOK}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /common/discovery/keys", l.serve)
	mux.HandleFunc("GET /common/discovery/v2.0/keys", l.serve)
	l.Server = httptest.NewTLSServer(mux)
	t.Cleanup(l.Close)
	return l
}

func (l *login) serve(w http.ResponseWriter, _ *http.Request) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.fetches++
	type key struct {
		Type string `json:"kty"`
		Use  string `json:"use"`
		ID   string `json:"kid"`
		N    string `json:"n"`
		E    string `json:"e"`
	}
	set := struct {
		Keys []key `json:"keys"`
	}{[]key{{Type: "EC", ID: "ec"}}}
	for id, k := range l.keys {
		set.Keys = append(set.Keys, key{"RSA", "sig", id,
			base64.RawURLEncoding.EncodeToString(k.N.Bytes()),
			base64.RawURLEncoding.EncodeToString(big.NewInt(int64(k.E)).Bytes())})
	}
	w.WriteHeader(l.status)
	json.NewEncoder(w).Encode(set)
}

func (l *login) count() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.fetches
}

func (l *login) publish(id string, key *rsa.PublicKey) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.keys[id] = key
}

func (l *login) answer(status int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.status = status
}

// genuine returns the claims of a good token of the given version.
func (l *login) genuine(version string, now time.Time) jwt.MapClaims {
	c := jwt.MapClaims{"ver": version, "tid": directory, "aud": app,
		"iat": now.Add(-time.Minute).Unix(), "nbf": now.Add(-time.Minute).Unix(), "exp": now.Add(time.Hour).Unix()}
	if version == "1.0" {
		c["iss"], c["appid"] = "https://sts.windows.net/"+directory+"/", notification.Publisher
	} else {
		c["iss"], c["azp"] = l.URL+"/"+directory+"/v2.0", notification.Publisher
	}
	return c
}

// sign makes a token. key is what the method wants.
func sign(t testing.TB, method jwt.SigningMethod, kid string, c jwt.MapClaims, key any) string {
	t.Helper()
	token := jwt.NewWithClaims(method, c)
	token.Header["kid"] = kid
	text, err := token.SignedString(key)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// sealed is encryptedContent as Graph makes it, with every step open to forgery.
type sealed struct {
	Data        []byte `json:"data"`
	Signature   []byte `json:"dataSignature"`
	Key         []byte `json:"dataKey"`
	Certificate string `json:"encryptionCertificateId"`
	Thumbprint  string `json:"encryptionCertificateThumbprint"`
}

func seal(t testing.TB, cert *x509.Certificate, id, plain string) sealed {
	t.Helper()
	padded := []byte(plain)
	n := aes.BlockSize - len(padded)%aes.BlockSize
	return sealRaw(t, cert, id, append(padded, bytes.Repeat([]byte{byte(n)}, n)...), 32)
}

// sealRaw encrypts whole blocks without padding them.
func sealRaw(t testing.TB, cert *x509.Certificate, id string, blocks []byte, keySize int) sealed {
	t.Helper()
	key := make([]byte, keySize)
	rand.Read(key)
	block, err := aes.NewCipher(key)
	if err != nil {
		t.Fatal(err)
	}
	data := make([]byte, len(blocks))
	cipher.NewCBCEncrypter(block, key[:aes.BlockSize]).CryptBlocks(data, blocks)
	mac := hmac.New(sha256.New, key)
	mac.Write(data)
	wrapped, err := rsa.EncryptOAEP(sha1.New(), rand.Reader, cert.PublicKey.(*rsa.PublicKey), key, nil)
	if err != nil {
		t.Fatal(err)
	}
	return sealed{data, mac.Sum(nil), wrapped, id, "ABC"}
}

// presenceItem is one item of a post about a user's presence.
func presenceItem(user string, content *sealed) map[string]any {
	item := map[string]any{
		"subscriptionId": "sub-1", "clientState": "state-1", "changeType": "updated", "tenantId": directory,
		"organizationId": directory, "resource": "communications/presences/" + user,
		"subscriptionExpirationDateTime": "2026-10-01T12:00:00.0000000Z",
		"resourceData":                   map[string]any{"@odata.type": "#microsoft.graph.presence", "id": user},
	}
	if content != nil {
		item["encryptedContent"] = content
	}
	return item
}

func encode(t testing.TB, v any) []byte {
	t.Helper()
	text, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return text
}
