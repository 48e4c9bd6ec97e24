package graphsim_test

import (
	"bytes"
	"crypto/rsa"
	"crypto/sha1" //nolint:gosec // x5t
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"math/big"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"offhook.dev/libs/graph/graphsim"
	"offhook.dev/libs/secret"
)

const (
	contoso  = "11111111-1111-4111-8111-111111111111"
	fabrikam = "22222222-2222-4222-8222-222222222222"
	appID    = "aaaaaaaa-aaaa-4aaa-8aaa-aaaaaaaaaaaa"
	otherApp = "bbbbbbbb-bbbb-4bbb-8bbb-bbbbbbbbbbbb"
)

// appKeys are the certificates of the app registrations; made once, because RSA
// keys are slow to make.
var appKeys = sync.OnceValue(func() [2]secret.KeyPair {
	var pairs [2]secret.KeyPair
	for i := range pairs {
		pair, err := secret.NewKeyPair("test", time.Now(), 24*time.Hour)
		if err != nil {
			panic(err)
		}
		pairs[i] = pair
	}
	return pairs
})

// sim is a running simulator with a client that trusts it.
type sim struct {
	*graphsim.Server
	t      testing.TB
	client *http.Client
}

// start runs a simulator of two tenants of 50 users; edit changes its Config.
func start(t testing.TB, edit func(*graphsim.Config)) *sim {
	t.Helper()
	app := graphsim.App{ClientID: appID, Certificates: []*x509.Certificate{appKeys()[0].Certificate}, Secret: secret.NewValue("hush")}
	second := graphsim.App{ClientID: otherApp, Secret: secret.NewValue("hush"), PublicClient: true, Roles: []string{}}
	c := graphsim.Config{Seed: 1, Tenants: []graphsim.TenantConfig{
		{DirectoryID: contoso, Domain: "contoso.example", Users: 50, Apps: []graphsim.App{app, second},
			Accounts: []graphsim.Account{{User: "zoe", RefreshToken: secret.NewValue("first")}}},
		{DirectoryID: fabrikam, Domain: "fabrikam.example", Users: 3, Apps: []graphsim.App{app}},
	}}
	if edit != nil {
		edit(&c)
	}
	server, err := graphsim.Start(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := server.Close(); err != nil {
			t.Error(err)
		}
	})
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: server.Authority().Pool(), MinVersion: tls.VersionTLS12}, ForceAttemptHTTP2: true}
	t.Cleanup(transport.CloseIdleConnections)
	return &sim{server, t, &http.Client{Transport: transport}}
}

func (s *sim) contoso() *graphsim.Tenant { return s.Tenant("contoso") }

// reply is an answer that was read.
type reply struct {
	status int
	header http.Header
	body   map[string]any
}

// code returns error.code of Graph, or error of the login.
func (r reply) code() string {
	switch e := r.body["error"].(type) {
	case map[string]any:
		return fmt.Sprint(e["code"])
	case string:
		return e
	}
	return ""
}

func (r reply) message() string {
	if e, ok := r.body["error"].(map[string]any); ok {
		return fmt.Sprint(e["message"])
	}
	return fmt.Sprint(r.body["error_description"])
}

func (r reply) text(name string) string { text, _ := r.body[name].(string); return text }

func (r reply) values() []map[string]any {
	var list []map[string]any
	items, _ := r.body["value"].([]any)
	for _, item := range items {
		list = append(list, item.(map[string]any))
	}
	return list
}

func (s *sim) send(r *http.Request) reply {
	s.t.Helper()
	response, err := s.client.Do(r)
	if err != nil {
		s.t.Fatal(err)
	}
	defer response.Body.Close()
	data, err := io.ReadAll(response.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	got := reply{status: response.StatusCode, header: response.Header}
	if len(data) > 0 {
		if err := json.Unmarshal(data, &got.body); err != nil {
			s.t.Fatalf("%s %s: %v in %q", r.Method, r.URL, err, data)
		}
	}
	return got
}

// graph calls Graph with a token; path may be a whole URL (a link).
func (s *sim) graph(method, path, token string, body any) reply {
	s.t.Helper()
	if !strings.HasPrefix(path, "https://") {
		path = s.GraphURL() + "/v1.0" + path
	}
	var content io.Reader
	if body != nil {
		data, err := json.Marshal(body)
		if err != nil {
			s.t.Fatal(err)
		}
		content = bytes.NewReader(data)
	}
	r, err := http.NewRequestWithContext(s.t.Context(), method, path, content)
	if err != nil {
		s.t.Fatal(err)
	}
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("ConsistencyLevel", "eventual")
	return s.send(r)
}

func (s *sim) login(tenant string, form url.Values) reply {
	s.t.Helper()
	r, err := http.NewRequestWithContext(s.t.Context(), http.MethodPost, s.tokenURL(tenant), strings.NewReader(form.Encode()))
	if err != nil {
		s.t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return s.send(r)
}

func (s *sim) tokenURL(tenant string) string {
	return s.LoginURL() + "/" + tenant + "/oauth2/v2.0/token"
}

// secretForm asks for an application token with the app's secret.
func secretForm(client string) url.Values {
	return url.Values{"grant_type": {"client_credentials"}, "client_id": {client},
		"scope": {"https://graph.microsoft.com/.default"}, "client_secret": {"hush"}}
}

// appToken returns an application token of a tenant's first app.
func (s *sim) appToken(tenant string) string {
	s.t.Helper()
	got := s.login(tenant, secretForm(appID))
	if got.status != http.StatusOK {
		s.t.Fatalf("token: %d %s", got.status, got.message())
	}
	return got.text("access_token")
}

// userToken returns a delegated token of a new account.
func (s *sim) userToken(user string) string {
	s.t.Helper()
	if err := s.contoso().AddAccount(graphsim.Account{User: user, RefreshToken: secret.NewValue("refresh " + user)}); err != nil {
		s.t.Fatal(err)
	}
	got := s.login(contoso, url.Values{"grant_type": {"refresh_token"}, "client_id": {appID}, "client_secret": {"hush"},
		"refresh_token": {"refresh " + user}})
	if got.status != http.StatusOK {
		s.t.Fatalf("token: %d %s", got.status, got.message())
	}
	return got.text("access_token")
}

// id returns the object id of a contoso user.
func (s *sim) id(user string) string {
	s.t.Helper()
	u, err := s.contoso().User(user)
	if err != nil {
		s.t.Fatal(err)
	}
	return u.ID
}

// assertion makes client assertions; edit changes header and claims before signing.
func assertion(pair secret.KeyPair, method jwt.SigningMethod, audience string, edit func(header map[string]any, claims jwt.MapClaims)) string {
	now := time.Now()
	claims := jwt.MapClaims{"aud": audience, "iss": appID, "sub": appID, "jti": "1",
		"nbf": now.Unix(), "iat": now.Unix(), "exp": now.Add(10 * time.Minute).Unix()}
	token := jwt.NewWithClaims(method, claims)
	sum := sha256.Sum256(pair.Certificate.Raw)
	token.Header["x5t#S256"] = base64.RawURLEncoding.EncodeToString(sum[:])
	if edit != nil {
		edit(token.Header, claims)
	}
	signed, err := token.SignedString(pair.Key)
	if err != nil {
		panic(err)
	}
	return signed
}

func sha1Of(pair secret.KeyPair) []byte {
	sum := sha1.Sum(pair.Certificate.Raw)
	return sum[:]
}

func sha256Of(pair secret.KeyPair) []byte {
	sum := sha256.Sum256(pair.Certificate.Raw)
	return sum[:]
}

// commonKey is a jwt.Keyfunc over what the common endpoint publishes.
func (s *sim) commonKey(token *jwt.Token) (any, error) {
	r, err := http.NewRequestWithContext(s.t.Context(), http.MethodGet, s.LoginURL()+"/common/discovery/v2.0/keys", nil)
	if err != nil {
		return nil, err
	}
	keys, _ := s.send(r).body["keys"].([]any)
	for _, item := range keys {
		key := item.(map[string]any)
		if key["kid"] != token.Header["kid"] {
			continue
		}
		n, err := base64.RawURLEncoding.DecodeString(key["n"].(string))
		if err != nil {
			return nil, err
		}
		e, err := base64.RawURLEncoding.DecodeString(key["e"].(string))
		if err != nil {
			return nil, err
		}
		return &rsa.PublicKey{N: new(big.Int).SetBytes(n), E: int(new(big.Int).SetBytes(e).Int64())}, nil
	}
	return nil, fmt.Errorf("no key %v", token.Header["kid"])
}
