package receiver

import (
	"bytes"
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1" //nolint:gosec // Graph's choice
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"math/big"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"offhook.dev/libs/bus"
	"offhook.dev/libs/bus/bustest"
	"offhook.dev/libs/bus/embedded"
	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/graph/notification"
	"offhook.dev/libs/run"
	"offhook.dev/libs/secret"
	"offhook.dev/libs/store"
	"offhook.dev/libs/subscription"
	"offhook.dev/libs/topology"
	"offhook.dev/libs/wire"
)

const (
	directory = "11111111-1111-1111-1111-111111111111"
	elsewhere = "22222222-2222-2222-2222-222222222222"
	app       = "33333333-3333-3333-3333-333333333333"
	anna      = "44444444-4444-4444-4444-444444444444"
	ben       = "55555555-5555-5555-5555-555555555555"
	contoso   = identity.Tenant("contoso")
)

// signer is the key of the login host, made once: RSA keys cost time.
var signer = sync.OnceValue(func() *rsa.PrivateKey {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	return key
})

// login is a login host that serves the keys of validation tokens.
type login struct {
	*httptest.Server
	mu      sync.Mutex
	fetches int
	serve   func(w http.ResponseWriter) bool // false: the usual answer follows
}

func newLogin(t testing.TB) *login {
	l := &login{}
	l.Server = httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		l.mu.Lock()
		l.fetches++
		serve := l.serve
		l.mu.Unlock()
		if serve != nil && serve(w) {
			return
		}
		public := signer().PublicKey
		_ = json.NewEncoder(w).Encode(map[string]any{"keys": []map[string]string{{"kty": "RSA", "use": "sig", "kid": "k1",
			"n": base64.RawURLEncoding.EncodeToString(public.N.Bytes()), "e": base64.RawURLEncoding.EncodeToString(big.NewInt(int64(public.E)).Bytes())}}})
	}))
	t.Cleanup(l.Close)
	return l
}

func (l *login) answer(serve func(w http.ResponseWriter) bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.serve = serve
}

func (l *login) count() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.fetches
}

// token is a genuine validation token after the changes.
func (l *login) token(t testing.TB, changes map[string]any) string {
	return signed(t, jwt.SigningMethodRS256, signer(), l.claims(changes))
}

func (l *login) claims(changes map[string]any) jwt.MapClaims {
	now := time.Now()
	c := jwt.MapClaims{"ver": "2.0", "tid": directory, "aud": app, "azp": notification.Publisher, "iss": l.URL + "/" + directory + "/v2.0",
		"iat": now.Add(-time.Minute).Unix(), "nbf": now.Add(-time.Minute).Unix(), "exp": now.Add(time.Hour).Unix()}
	for name, value := range changes {
		c[name] = value
	}
	return c
}

func signed(t testing.TB, method jwt.SigningMethod, key any, c jwt.MapClaims) string {
	t.Helper()
	token := jwt.NewWithClaims(method, c)
	token.Header["kid"] = "k1"
	text, err := token.SignedString(key)
	must(t, err)
	return text
}

// stage is a broker, a login host and one tenant.
type stage struct {
	t      testing.TB
	dir    string
	broker *embedded.Server
	bus    *bus.Bus // the test's own
	login  *login
}

func newStage(t testing.TB) *stage {
	t.Helper()
	dir := t.TempDir()
	broker, err := embedded.Start(embedded.Options{Dir: filepath.Join(dir, "nats"), NoSync: true, MaxPayload: 1 << 20})
	must(t, err)
	t.Cleanup(broker.Close)
	return &stage{t: t, dir: dir, broker: broker, bus: bustest.Connect(t, broker, "test"), login: newLogin(t)}
}

// replica is one webhook-receiver with its own connection and counters.
type replica struct {
	*Receiver
	telemetry *run.Telemetry
}

// options of a replica with the vault of this name.
func (s *stage) options(vault string) Options {
	return Options{VaultFile: filepath.Join(s.dir, vault), Logins: map[identity.Tenant]Login{contoso: s.loginOf()}}
}

func (s *stage) loginOf() Login {
	return Login{URL: s.login.URL, Roots: s.login.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs}
}

func (s *stage) deps() (run.Deps, *run.Telemetry) {
	s.t.Helper()
	telemetry, err := run.NewTelemetry(s.t.Context(), run.TelemetryOptions{Process: "test", Instance: "test", LogTo: io.Discard})
	must(s.t, err)
	log := slog.New(slog.NewTextHandler(s.t.Output(), nil))
	return run.Deps{Instance: "test", Bus: bustest.Connect(s.t, s.broker, string(topology.WebhookReceiver)), Log: log,
		Tracer: telemetry.Tracer("test"), Meter: telemetry.Meter("test")}, telemetry
}

// replica returns a receiver whose mirrors are current and who has a certificate. It
// neither listens nor works off the queue: the test calls its door and open.
func (s *stage) replica(o Options) *replica {
	s.t.Helper()
	deps, telemetry := s.deps()
	return s.replicaWith(deps, telemetry, o)
}

func (s *stage) replicaWith(deps run.Deps, telemetry *run.Telemetry, o Options) *replica {
	s.t.Helper()
	r, err := newReceiver(s.t.Context(), deps, o)
	must(s.t, err)
	ctx, stop := context.WithCancel(s.t.Context())
	var mirrors sync.WaitGroup
	ready := make(chan struct{}, 2)
	current := func() { ready <- struct{}{} }
	mirrors.Go(func() { _ = r.records.run(ctx, current) })
	mirrors.Go(func() { _ = r.keys.run(ctx, current) })
	s.t.Cleanup(func() { stop(); mirrors.Wait() })
	<-ready
	<-ready
	must(s.t, r.keys.ensure(ctx))
	return &replica{r, telemetry}
}

// serve puts a handler behind TLS.
func (s *stage) serve(h http.Handler) *httptest.Server {
	server := httptest.NewTLSServer(h)
	s.t.Cleanup(server.Close)
	return server
}

// counted returns a counter of the replica by its result.
func counted(t testing.TB, telemetry *run.Telemetry, name, result string) int {
	t.Helper()
	families, err := telemetry.Registry.Gather()
	must(t, err)
	for _, family := range families {
		if family.GetName() != name {
			continue
		}
		for _, metric := range family.GetMetric() {
			for _, label := range metric.GetLabel() {
				if label.GetName() == "result" && label.GetValue() == result {
					return int(metric.GetCounter().GetValue())
				}
			}
		}
	}
	return 0
}

// noted counts what the door made of items, found what was inside of stored ones.
func (r *replica) noted(t testing.TB, result string) int {
	return counted(t, r.telemetry, "offhook_notifications_total", result)
}

func (r *replica) found(t testing.TB, result string) int {
	return counted(t, r.telemetry, "offhook_notification_items_total", result)
}

// lane is one subscription: its secrets and its record.
type lane struct {
	key    string
	state  string
	record subscription.Record
}

// subscribe stores the record of a subscription as graph-poller does.
func (s *stage) subscribe(change func(*subscription.Record)) lane {
	s.t.Helper()
	state := subscription.NewState().Reveal()
	l := lane{key: subscription.NewKey(), state: state, record: subscription.Record{
		Tenant: contoso, Directory: directory, App: app, Resource: "presence", Account: "anna", ID: "sub-1",
		State: secret.Hash(state), Handshake: time.Now().Add(time.Minute), Made: time.Now(),
	}}
	if change != nil {
		change(&l.record)
	}
	_, err := s.bucket(topology.Subscriptions).Put(s.t.Context(), subscription.KeyOf(l.key), l.record.Encode())
	must(s.t, err)
	return l
}

func (s *stage) bucket(name topology.Bucket) *store.Bucket {
	s.t.Helper()
	b, err := store.Open(s.t.Context(), s.bus.JetStream(), name)
	must(s.t, err)
	return b
}

// certificate is the one under which Graph is asked to encrypt.
func (s *stage) certificate() subscription.Certificate {
	s.t.Helper()
	e, err := s.bucket(topology.Certificates).Get(s.t.Context(), subscription.CurrentCertificate)
	must(s.t, err)
	var c subscription.Certificate
	must(s.t, json.Unmarshal(e.Value, &c))
	return c
}

// item is one notification about a user's presence, basic unless content is given.
func (l lane) item(user string, content any, changes map[string]any) map[string]any {
	item := map[string]any{"subscriptionId": l.record.ID, "clientState": l.state, "changeType": "updated", "tenantId": directory,
		"resource": "communications/presences/" + user}
	if content != nil {
		item["encryptedContent"] = content
	}
	for name, value := range changes {
		if item[name] = value; value == nil {
			delete(item, name)
		}
	}
	return item
}

// event is a lifecycle notification.
func (l lane) event() map[string]any {
	return l.item("", nil, map[string]any{"changeType": nil, "resource": nil, "lifecycleEvent": "reauthorizationRequired"})
}

func body(t testing.TB, tokens []string, items ...any) []byte {
	t.Helper()
	post := map[string]any{"value": items}
	if tokens != nil {
		post["validationTokens"] = tokens
	}
	text, err := json.Marshal(post)
	must(t, err)
	return text
}

// ingress is what the door stores for items.
func (l lane) ingress(t testing.TB, tokens []string, items ...any) []byte {
	t.Helper()
	in := wire.Ingress{Tenant: l.record.Tenant, Resource: "presence", Subscription: subscription.KeyOf(l.key), Tokens: tokens}
	for _, item := range items {
		raw, err := json.Marshal(item)
		must(t, err)
		in.Items = append(in.Items, raw)
	}
	_, data := in.Encode()
	return data
}

// busy is rich content about a user, as Graph encrypts it under a certificate.
func (s *stage) busy(c subscription.Certificate, user string) map[string]any {
	return s.seal(c, fmt.Sprintf(`{"id":%q,"availability":"Busy","activity":"InAMeeting"}`, user))
}

func (s *stage) seal(c subscription.Certificate, plain string) map[string]any {
	s.t.Helper()
	x509, err := c.X509()
	must(s.t, err)
	n := aes.BlockSize - len(plain)%aes.BlockSize
	padded := append([]byte(plain), bytes.Repeat([]byte{byte(n)}, n)...)
	key := make([]byte, 32)
	_, _ = rand.Read(key)
	block, err := aes.NewCipher(key)
	must(s.t, err)
	data := make([]byte, len(padded))
	cipher.NewCBCEncrypter(block, key[:aes.BlockSize]).CryptBlocks(data, padded)
	mac := hmac.New(sha256.New, key)
	mac.Write(data)
	wrapped, err := rsa.EncryptOAEP(sha1.New(), rand.Reader, x509.PublicKey.(*rsa.PublicKey), key, nil) //nolint:gosec // Graph's choice
	must(s.t, err)
	return map[string]any{"data": data, "dataSignature": mac.Sum(nil), "dataKey": wrapped, "encryptionCertificateId": c.ID}
}

// answer is what came back for a POST.
type answer struct {
	status int
	header http.Header
	body   string
}

func send(t testing.TB, server *httptest.Server, method, target, contentType string, data []byte) answer {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, server.URL+target, bytes.NewReader(data))
	must(t, err)
	if contentType != "" {
		req.Header.Set("Content-Type", contentType)
	}
	client := server.Client()
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	resp, err := client.Do(req)
	must(t, err)
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	must(t, err)
	return answer{resp.StatusCode, resp.Header, string(text)}
}

const jsonType = "application/json; charset=utf-8"

func (l lane) post(t testing.TB, server *httptest.Server, data []byte) answer {
	t.Helper()
	return send(t, server, http.MethodPost, "/graph/"+l.key+"/notifications", jsonType, data)
}

// held counts the messages of a stream.
func (s *stage) held(stream topology.Stream) int {
	s.t.Helper()
	return heldBy(s.t, s.bus, stream)
}

func heldBy(t testing.TB, b *bus.Bus, stream topology.Stream) int {
	t.Helper()
	js, err := b.JetStream().Stream(t.Context(), string(stream))
	must(t, err)
	info, err := js.Info(t.Context())
	must(t, err)
	return int(info.State.Msgs)
}

// fact returns the stored presence of a user as "Busy/InAMeeting", or "".
func (s *stage) fact(user string) string {
	s.t.Helper()
	m, err := s.bus.Last(s.t.Context(), topology.Facts, wire.PresenceSubject(identity.Person{Tenant: contoso, User: identity.User(user)}))
	if err != nil {
		return ""
	}
	fact, err := wire.DecodePresence(m.Data)
	must(s.t, err)
	return fact.Reading.Availability + "/" + fact.Reading.Activity
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
