package graphsim_test

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1" //nolint:gosec // Graph's
	"crypto/sha256"
	"crypto/tls"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"offhook.dev/libs/graph/graphsim"
	"offhook.dev/libs/secret"
)

// receiver is a notification endpoint that remembers what it was sent.
type receiver struct {
	*httptest.Server
	t testing.TB

	mu     sync.Mutex
	posts  []post
	echo   func(w http.ResponseWriter, token string) // the handshake
	answer func(attempt string) int                  // status of a POST; nil is 202
	asked  []string                                  // paths of handshakes
}

// post is one POST of notifications.
type post struct {
	path    string
	attempt string
	numbers []string
	items   []map[string]any
	tokens  []any
	body    map[string]any
}

func listen(t testing.TB, authority *secret.Authority) *receiver {
	t.Helper()
	certificate, err := authority.Issue("127.0.0.1")
	check(t, err)
	r := &receiver{t: t}
	r.Server = httptest.NewUnstartedServer(http.HandlerFunc(r.serve))
	r.Server.TLS = &tls.Config{Certificates: []tls.Certificate{certificate}, MinVersion: tls.VersionTLS12}
	r.Server.EnableHTTP2 = true
	r.Server.StartTLS()
	t.Cleanup(r.Server.Close)
	return r
}

func (r *receiver) serve(w http.ResponseWriter, q *http.Request) {
	r.mu.Lock()
	echo, answer := r.echo, r.answer
	r.mu.Unlock()
	if token := q.URL.Query().Get("validationToken"); token != "" {
		r.mu.Lock()
		r.asked = append(r.asked, q.URL.Path)
		r.mu.Unlock()
		if echo == nil {
			w.Header().Set("Content-Type", "text/plain")
			_, _ = io.WriteString(w, token)
			return
		}
		echo(w, token)
		return
	}
	data, err := io.ReadAll(q.Body)
	if err != nil {
		return // the sender gave up before all was sent: nothing was posted
	}
	p := post{path: q.URL.Path, attempt: q.Header.Get(graphsim.HeaderAttempt), numbers: strings.Split(q.Header.Get(graphsim.HeaderItems), ",")}
	if err := json.Unmarshal(data, &p.body); err != nil {
		r.t.Errorf("not JSON: %q", data)
	}
	for _, item := range p.body["value"].([]any) {
		p.items = append(p.items, item.(map[string]any))
	}
	p.tokens, _ = p.body["validationTokens"].([]any)
	r.mu.Lock()
	r.posts = append(r.posts, p)
	r.mu.Unlock()
	status := http.StatusAccepted
	if answer != nil {
		status = answer(p.attempt)
	}
	w.WriteHeader(status)
}

func (r *receiver) set(change func(*receiver)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	change(r)
}

func (r *receiver) all() []post {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]post(nil), r.posts...)
}

// eventually waits until ok, and fails after ten seconds.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(10 * time.Second); !ok(); <-tick.C {
		if time.Now().After(deadline) {
			t.Fatalf("not within ten seconds: %s", what)
		}
	}
}

// wait returns the posts once there are n.
func (r *receiver) wait(n int) []post {
	r.t.Helper()
	eventually(r.t, fmt.Sprintf("%d posts", n), func() bool { return len(r.all()) >= n })
	return r.all()
}

// presenceSub is the body of a basic presence subscription.
func presenceSub(url string, ids ...string) map[string]any {
	return map[string]any{"changeType": "updated", "notificationUrl": url, "clientState": "state",
		"resource":           "/communications/presences?$filter=id in ('" + strings.Join(ids, "','") + "')",
		"expirationDateTime": time.Now().Add(58 * time.Minute).UTC().Format(time.RFC3339)}
}

// richSub is the same with resource data encrypted for pair.
func richSub(url string, pair secret.KeyPair, ids ...string) map[string]any {
	body := presenceSub(url, ids...)
	body["includeResourceData"] = true
	body["encryptionCertificate"] = base64.StdEncoding.EncodeToString(pair.Certificate.Raw)
	body["encryptionCertificateId"] = "key-1"
	return body
}

// subscribe creates a subscription and returns its id.
func (s *sim) subscribe(token string, body map[string]any) string {
	s.t.Helper()
	got := s.graph("POST", "/subscriptions", token, body)
	if got.status != http.StatusCreated {
		s.t.Fatalf("subscribe: %d %s %s", got.status, got.code(), got.message())
	}
	return got.text("id")
}

// open decrypts as Microsoft's page says, independently of the simulator's code.
func open(item map[string]any, key *rsa.PrivateKey) (map[string]any, error) {
	sealed, ok := item["encryptedContent"].(map[string]any)
	if !ok {
		return nil, errors.New("no encryptedContent")
	}
	raw := make(map[string][]byte)
	for _, name := range []string{"data", "dataSignature", "dataKey"} {
		decoded, err := base64.StdEncoding.DecodeString(fmt.Sprint(sealed[name]))
		if err != nil {
			return nil, err
		}
		raw[name] = decoded
	}
	symmetric, err := rsa.DecryptOAEP(sha1.New(), rand.Reader, key, raw["dataKey"], nil)
	if err != nil {
		return nil, err
	}
	mac := hmac.New(sha256.New, symmetric)
	mac.Write(raw["data"])
	if !hmac.Equal(mac.Sum(nil), raw["dataSignature"]) {
		return nil, errors.New("the signature is wrong")
	}
	block, err := aes.NewCipher(symmetric)
	if err != nil {
		return nil, err
	}
	plain := make([]byte, len(raw["data"]))
	cipher.NewCBCDecrypter(block, symmetric[:16]).CryptBlocks(plain, raw["data"])
	var content map[string]any
	err = json.Unmarshal(plain[:len(plain)-int(plain[len(plain)-1])], &content)
	return content, err
}

// checkLaw holds at every moment; see graphsim.Tally.
func checkLaw(t *testing.T, tenant *graphsim.Tenant) {
	t.Helper()
	ledger := tenant.Ledger()
	tallies := map[string]graphsim.Tally{"total": ledger.Total}
	for id, tally := range ledger.Subscriptions {
		tallies[id] = tally
	}
	for name, l := range tallies {
		if l.Due+l.Doubled != l.Silenced+l.Lost+l.Dropped+l.Accepted+l.GivenUp+l.Pending {
			t.Errorf("%s: the law is broken: %+v", name, l)
		}
	}
}
