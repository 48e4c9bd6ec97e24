package msgraph_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"offhook.dev/libs/core/fault"
	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/graph"
	"offhook.dev/libs/graph/msgraph"
	"offhook.dev/libs/secret"
)

const (
	directory = "11111111-1111-1111-1111-111111111111"
	appID     = "33333333-3333-3333-3333-333333333333"
)

// newLoginStage is a Graph whose host is its login host too; token answers the
// requests for tokens, which come with a count of those before.
func newLoginStage(t testing.TB, token func(n int, form url.Values, w http.ResponseWriter)) *stage {
	t.Helper()
	var mu sync.Mutex
	tokens := 0
	var host *stage
	host = newStage(t, func(n int, w http.ResponseWriter, r *http.Request) {
		switch {
		case strings.HasSuffix(r.URL.Path, "/openid-configuration"):
			base := host.URL + "/" + directory
			reply(w, http.StatusOK, fmt.Sprintf(`{"issuer":"%s/v2.0","authorization_endpoint":"%s/oauth2/v2.0/authorize","token_endpoint":"%s/oauth2/v2.0/token"}`, base, base, base))
		case strings.HasSuffix(r.URL.Path, "/token"):
			form, err := url.ParseQuery(host.seen()[n].body)
			if err != nil {
				t.Error(err)
			}
			mu.Lock()
			count := tokens
			tokens++
			mu.Unlock()
			token(count, form, w)
		default:
			reply(w, http.StatusOK, annaBusy)
		}
	})
	return host
}

func (s *stage) tokenRequests() int {
	n := 0
	for _, a := range s.seen() {
		if strings.HasSuffix(a.path, "/token") {
			n++
		}
	}
	return n
}

func byCertificate(t testing.TB) func(*msgraph.Config) {
	t.Helper()
	pair, err := secret.NewKeyPair("app", time.Now(), time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	return func(c *msgraph.Config) {
		c.Tokens, c.Certificate, c.Directory, c.ClientID = nil, &pair, directory, appID
	}
}

func TestTheCredentialIsACertificateAssertionInTodaysForm(t *testing.T) {
	var form url.Values
	host := newLoginStage(t, func(_ int, f url.Values, w http.ResponseWriter) {
		form = f
		reply(w, http.StatusOK, `{"token_type":"Bearer","expires_in":3600,"access_token":"app-token"}`)
	})
	client := host.client(t, byCertificate(t))
	if _, _, err := client.Presences(t.Context(), []identity.User{anna}); err != nil {
		t.Fatal(err)
	}
	// MSAL adds the OpenID scopes, which Entra ignores for an app.
	if form.Get("grant_type") != "client_credentials" || form.Get("scope") != "https://graph.microsoft.com/.default openid offline_access profile" {
		t.Errorf("asked as %q for %q", form.Get("grant_type"), form.Get("scope"))
	}
	first, _, _ := strings.Cut(form.Get("client_assertion"), ".")
	raw, err := base64.RawURLEncoding.DecodeString(first)
	if err != nil {
		t.Fatal(err)
	}
	var header map[string]any
	if err := json.Unmarshal(raw, &header); err != nil || header["alg"] != "PS256" || header["x5t#S256"] == nil {
		t.Errorf("assertion header %v, %v; want PS256 with x5t#S256", header, err)
	}
	seen := host.seen()
	if got := seen[len(seen)-1].header.Get("Authorization"); got != "Bearer app-token" {
		t.Errorf("Authorization %q", got)
	}
}

func TestManyCallsShareOneTokenRequest(t *testing.T) {
	host := newLoginStage(t, func(_ int, _ url.Values, w http.ResponseWriter) {
		reply(w, http.StatusOK, `{"token_type":"Bearer","expires_in":3600,"access_token":"app-token"}`)
	})
	client := host.client(t, byCertificate(t))
	var calls sync.WaitGroup
	for range 20 {
		calls.Go(func() {
			if _, _, err := client.Presences(t.Context(), []identity.User{anna}); err != nil {
				t.Error(err)
			}
		})
	}
	calls.Wait()
	if n := host.tokenRequests(); n != 1 {
		t.Errorf("%d token requests for 20 calls, want 1", n)
	}
}

func TestALoginThatIsRefusedSendsNothingToGraph(t *testing.T) {
	tests := []struct {
		name, body string
		status     int
		header     string
		kind       fault.Kind
		says       string
		tries      int
	}{
		{"a wrong certificate", `{"error":"invalid_client","error_description":"AADSTS700027: secret-looking text","error_codes":[700027]}`, 401, "", fault.Denied, "invalid_client (AADSTS700027)", 1},
		{"an unknown app", `{"error":"unauthorized_client","error_codes":[700016]}`, 400, "", fault.Denied, "AADSTS700016", 1},
		{"throttled for long", `{"error":"temporarily_unavailable"}`, 429, "120", fault.Throttled, "temporarily_unavailable", 1},
		{"not JSON, and away", `<html>`, 503, "0.01", fault.Unavailable, "Service Unavailable", 4},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			host := newLoginStage(t, func(_ int, _ url.Values, w http.ResponseWriter) {
				if test.header != "" {
					w.Header().Set("Retry-After", test.header)
				}
				reply(w, test.status, test.body)
			})
			client := host.client(t, byCertificate(t))
			_, _, err := client.Presences(t.Context(), []identity.User{anna})
			if fault.KindOf(err) != test.kind || !strings.Contains(err.Error(), test.says) || strings.Contains(err.Error(), "secret-looking") {
				t.Errorf("%v (%v), want %v saying %q", err, fault.KindOf(err), test.kind, test.says)
			}
			if n := host.tokenRequests(); n != test.tries {
				t.Errorf("%d token requests, want %d", n, test.tries)
			}
			for _, a := range host.seen() {
				if strings.HasPrefix(a.path, "/v1.0/") {
					t.Errorf("a request left without a token: %s", a.path)
				}
			}
			if _, _, err := client.Token(t.Context()); fault.KindOf(err) != test.kind {
				t.Errorf("Token says %v", err)
			}
		})
	}
}

// keeper is a RefreshStore in memory whose next saves may fail.
type keeper struct {
	mu    sync.Mutex
	value string
	saved []string
	fails int
}

func (k *keeper) Load(context.Context) (secret.Value, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	return secret.NewValue(k.value), nil
}

func (k *keeper) Save(_ context.Context, refresh secret.Value) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.fails > 0 {
		k.fails--
		return errors.New("disk full")
	}
	k.value = refresh.Reveal()
	k.saved = append(k.saved, k.value)
	return nil
}

// delegated makes a source at a stage that gives refresh token n+1 for n.
func delegated(t testing.TB, host *stage, store graph.RefreshStore) *msgraph.Delegated {
	t.Helper()
	source, err := msgraph.NewDelegated(msgraph.DelegatedConfig{Directory: directory, ClientID: appID, Cloud: cloudAt(t, host.URL),
		Store: store, Roots: host.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(source.Close)
	return source
}

func rotating(life int) func(int, url.Values, http.ResponseWriter) {
	return func(n int, form url.Values, w http.ResponseWriter) {
		if form.Get("grant_type") != "refresh_token" || form.Get("refresh_token") != fmt.Sprint("refresh-", n) {
			reply(w, http.StatusBadRequest, `{"error":"invalid_grant","error_codes":[70000]}`)
			return
		}
		reply(w, http.StatusOK, fmt.Sprintf(`{"access_token":"access-%d","refresh_token":"refresh-%d","expires_in":%d}`, n, n+1, life))
	}
}

func TestADelegatedAccountSharesItsTokenAndKeepsTheNewRefreshToken(t *testing.T) {
	host := newLoginStage(t, rotating(3600))
	path := filepath.Join(t.TempDir(), "lane")
	if err := os.WriteFile(path, []byte("refresh-0"), 0o600); err != nil {
		t.Fatal(err)
	}
	source := delegated(t, host, graph.RefreshFile(path))
	var calls sync.WaitGroup
	for range 20 {
		calls.Go(func() {
			token, err := source.Token(t.Context())
			if err != nil || token.Value.Reveal() != "access-0" || time.Until(token.Expires) < 50*time.Minute {
				t.Errorf("token until %v, %v", token.Expires, err)
			}
		})
	}
	calls.Wait()
	if n := host.tokenRequests(); n != 1 {
		t.Errorf("%d token requests for 20 calls, want 1", n)
	}
	stored, err := os.ReadFile(path)
	if err != nil || string(stored) != "refresh-1" {
		t.Errorf("stored %q, %v; want the new refresh token", stored, err)
	}
	// Another process, or this one after a restart, goes on from there.
	next, err := delegated(t, host, graph.RefreshFile(path)).Token(t.Context())
	if err != nil || next.Value.Reveal() != "access-1" {
		t.Errorf("after a restart: %v", err)
	}
}

func TestATokenIsUsedOnlyAfterItsRefreshTokenIsStored(t *testing.T) {
	host := newLoginStage(t, rotating(3600))
	store := &keeper{value: "refresh-0", fails: 1}
	source := delegated(t, host, store)
	if _, err := source.Token(t.Context()); fault.KindOf(err) != fault.Unavailable {
		t.Fatalf("%v, want unavailable", err)
	}
	token, err := source.Token(t.Context())
	if err != nil || token.Value.Reveal() != "access-1" || store.value != "refresh-2" {
		t.Errorf("%v; stored %q: the account is lost, though the newest refresh token was in memory", err, store.value)
	}
}

func TestARevokedAccountIsDenied(t *testing.T) {
	host := newLoginStage(t, rotating(3600))
	client := host.client(t, func(c *msgraph.Config) { c.Tokens = delegated(t, host, &keeper{value: "stolen"}) })
	_, err := client.Subscription(t.Context(), "s")
	if fault.KindOf(err) != fault.Denied || !strings.Contains(err.Error(), "AADSTS70000") || strings.Contains(err.Error(), "stolen") {
		t.Errorf("%v, want denied", err)
	}
}

func TestADelegatedConfigurationIsChecked(t *testing.T) {
	good := msgraph.DelegatedConfig{Directory: directory, ClientID: appID, Cloud: cloudAt(t, "https://127.0.0.1:1"), Store: &keeper{}}
	if _, err := msgraph.NewDelegated(good); err != nil {
		t.Fatal(err)
	}
	for says, change := range map[string]func(*msgraph.DelegatedConfig){
		"directory id": func(c *msgraph.DelegatedConfig) { c.Directory = "../x" },
		"client id":    func(c *msgraph.DelegatedConfig) { c.ClientID = "" },
		"store":        func(c *msgraph.DelegatedConfig) { c.Store = nil },
	} {
		bad := good
		change(&bad)
		if _, err := msgraph.NewDelegated(bad); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%v, want an error about %s", err, says)
		}
	}
}
