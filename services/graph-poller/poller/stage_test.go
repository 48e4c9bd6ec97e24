package poller

import (
	"context"
	"crypto/rsa"
	"crypto/tls"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"offhook.dev/libs/bus"
	"offhook.dev/libs/bus/bustest"
	"offhook.dev/libs/bus/embedded"
	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/core/presence"
	"offhook.dev/libs/graph"
	"offhook.dev/libs/graph/graphsim"
	"offhook.dev/libs/graph/msgraph"
	"offhook.dev/libs/hot"
	"offhook.dev/libs/links"
	"offhook.dev/libs/run"
	"offhook.dev/libs/secret"
	"offhook.dev/libs/store"
	"offhook.dev/libs/subscription"
	"offhook.dev/libs/topology"
	"offhook.dev/libs/wire"
)

const (
	app     = "33333333-3333-3333-3333-333333333333"
	contoso = identity.Tenant("contoso")
	never   = time.Hour // longer than any test
)

// directories of the simulated tenants, by their ids in Offhook.
var directories = map[identity.Tenant]string{
	contoso:    "11111111-1111-1111-1111-111111111111",
	"fabrikam": "22222222-2222-2222-2222-222222222222",
}

// stage is a broker and simulated tenants.
type stage struct {
	t      testing.TB
	broker *embedded.Server
	bus    *bus.Bus
	graph  *graphsim.Server
	state  hot.Store // what services have in common beside the broker
	vault  string    // file of graph-poller's key

	log       *slog.Logger   // of services that are started; nil: the test's
	telemetry *run.Telemetry // of the service that was started last
}

func newStage(t testing.TB, users int, change func(*graphsim.Config)) *stage {
	t.Helper()
	c := graphsim.Config{Seed: 1}
	for _, id := range []identity.Tenant{contoso, "fabrikam"} {
		c.Tenants = append(c.Tenants, graphsim.TenantConfig{
			DirectoryID: directories[id], Domain: string(id) + ".example", Users: users,
			Apps:     []graphsim.App{{ClientID: app, Secret: secret.NewValue("app-secret"), PublicClient: true}},
			Accounts: []graphsim.Account{{User: "anna", RefreshToken: secret.NewValue("first " + string(id))}},
		})
	}
	if change != nil {
		change(&c)
	}
	server, err := graphsim.Start(t.Context(), c)
	must(t, err)
	t.Cleanup(func() {
		for _, tenant := range server.Tenants() {
			if v := tenant.Violations(); len(v) > 0 {
				t.Errorf("%s: %d things that Graph's clients must not do, the first: %+v", tenant.Domain(), len(v), v[0])
			}
		}
		_ = server.Close()
	})
	s := &stage{t: t, broker: bustest.Broker(t), graph: server, state: hot.InProcess(), vault: filepath.Join(t.TempDir(), "vault.key")}
	t.Cleanup(func() { _ = s.state.Close() })
	s.bus = s.connect("test")
	return s
}

// connect connects as a service. Leases live as long as in production: with
// bustest's shorter life the service loses each of its leases between two renewals,
// and starting over mends what a test wants to see mended otherwise.
func (s *stage) connect(service topology.Service) *bus.Bus {
	s.t.Helper()
	b := bustest.Connect(s.t, s.broker, string(service))
	must(s.t, b.Apply(s.t.Context(), bus.Layout{}))
	return b
}

func (s *stage) tenant() *graphsim.Tenant { return s.graph.Tenant(string(contoso)) }

// users are the ids of the tenant's users.
func (s *stage) users() []identity.User {
	var users []identity.User
	for _, id := range s.tenant().UserIDs() {
		users = append(users, identity.User(id))
	}
	slices.Sort(users)
	return users
}

func (s *stage) client(id identity.Tenant, change func(*msgraph.Config)) *msgraph.Client {
	s.t.Helper()
	cloud, err := graph.CloudNamed("")
	must(s.t, err)
	cloud, err = cloud.At(s.graph.LoginURL(), s.graph.GraphURL())
	must(s.t, err)
	c := msgraph.Config{Tenant: id, Directory: directories[id], ClientID: app, Cloud: cloud, Roots: s.graph.Authority().Pool(), Pauses: graph.SharePauses(s.state), Secret: secret.NewValue("app-secret")}
	if change != nil {
		change(&c)
	}
	client, err := msgraph.New(c)
	must(s.t, err)
	s.t.Cleanup(client.Close)
	return client
}

// account is a delegated client of anna's.
func (s *stage) account(id identity.Tenant) graph.Subscriber {
	return s.accountOf(id, "first "+string(id))
}

// accountOf is a client that acts as the account with a refresh token.
func (s *stage) accountOf(id identity.Tenant, refresh string) graph.Subscriber {
	s.t.Helper()
	return s.client(id, func(c *msgraph.Config) {
		file := filepath.Join(s.t.TempDir(), "refresh")
		must(s.t, os.WriteFile(file, []byte(refresh), 0o600))
		tokens, err := msgraph.NewDelegated(msgraph.DelegatedConfig{Directory: c.Directory, ClientID: app, Cloud: c.Cloud, Store: graph.RefreshFile(file), Roots: c.Roots})
		must(s.t, err)
		s.t.Cleanup(tokens.Close)
		c.Secret, c.Tokens = secret.Value{}, tokens
	})
}

// watched is the real client with a look at what is asked of it.
type watched struct {
	Client
	before func(context.Context) // called before a page of users is read; may be nil

	mu    sync.Mutex
	asked [][]identity.User
	pages []graph.Cursor
}

func (w *watched) Presences(ctx context.Context, users []identity.User) ([]graph.Presence, []identity.User, error) {
	w.mu.Lock()
	w.asked = append(w.asked, slices.Clone(users))
	w.mu.Unlock()
	return w.Client.Presences(ctx, users)
}

func (w *watched) Users(ctx context.Context, at graph.Cursor) (graph.UserPage, error) {
	w.mu.Lock()
	w.pages = append(w.pages, at)
	w.mu.Unlock()
	if w.before != nil {
		w.before(ctx)
	}
	return w.Client.Users(ctx, at)
}

// requests returns who was named by each presence request so far.
func (w *watched) requests() [][]identity.User {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.asked)
}

func (w *watched) read() []graph.Cursor {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.pages)
}

// config is a tenant that sweeps when the test says so and reads users once.
func (s *stage) config(sweep time.Duration) (TenantConfig, *watched) {
	s.t.Helper()
	w := &watched{Client: s.client(contoso, nil)}
	return TenantConfig{ID: contoso, Directory: directories[contoso], App: app, Client: func() (Client, error) { return w, nil },
		Mode: presence.TeamsToPBX, Presence: true, Sweep: sweep, Users: never}, w
}

// run starts the service as its main does and returns what stops it.
func (s *stage) run(tenants ...TenantConfig) (stop func()) {
	s.t.Helper()
	telemetry, err := run.NewTelemetry(s.t.Context(), run.TelemetryOptions{Process: "test", Instance: "test", LogTo: io.Discard})
	must(s.t, err)
	s.telemetry = telemetry
	log := s.log
	if log == nil {
		log = slog.New(slog.NewTextHandler(s.t.Output(), nil))
	}
	deps := run.Deps{Instance: "test", Bus: s.connect(topology.GraphPoller), Log: log, Tracer: telemetry.Tracer("test"), Meter: telemetry.Meter("test")}
	ctx, cancel := context.WithCancel(context.WithoutCancel(s.t.Context()))
	ended := make(chan error, 1)
	go func() { ended <- Run(ctx, deps, Options{Tenants: tenants, VaultFile: s.vault}) }()
	var once sync.Once
	stop = func() {
		once.Do(func() {
			cancel()
			if err := <-ended; err != nil {
				s.t.Errorf("the service ended with %v", err)
			}
		})
	}
	s.t.Cleanup(stop)
	return stop
}

func (s *stage) bucket(name topology.Bucket) *store.Bucket {
	s.t.Helper()
	b, err := store.Open(s.t.Context(), s.bus.JetStream(), name)
	must(s.t, err)
	return b
}

// link gives users an extension, as user-sync does; unlink takes it away.
func (s *stage) link(id identity.Tenant, users ...identity.User) {
	s.t.Helper()
	b := s.bucket(topology.Links)
	for i, user := range users {
		line := links.Line{Line: identity.Line{System: "hq", Extension: identity.Extension(fmt.Sprint(1000 + i))}, Revision: uint64(i + 1), How: "mail"}
		value, err := json.Marshal(links.Record{Lines: []links.Line{line}})
		must(s.t, err)
		_, err = b.Put(s.t.Context(), wire.PersonKey(identity.Person{Tenant: id, User: user}), value)
		must(s.t, err)
	}
}

// stored is a presence fact of the stream, with its sequence; ok is false if there is none.
func (s *stage) stored(id identity.Tenant, user identity.User) (reading presence.TeamsReading, sequence uint64, ok bool) {
	s.t.Helper()
	m, err := s.bus.Last(s.t.Context(), topology.Facts, wire.PresenceSubject(identity.Person{Tenant: id, User: user}))
	if err != nil {
		return reading, 0, false
	}
	fact, err := wire.DecodePresence(m.Data)
	must(s.t, err)
	return fact.Reading, m.Sequence, true
}

// wrong names the first user whose stored fact is not the simulator's truth, or "".
func (s *stage) wrong(id identity.Tenant, users []identity.User) string {
	s.t.Helper()
	facts := map[identity.User]presence.TeamsReading{}
	must(s.t, s.bus.Each(s.t.Context(), topology.Facts, "m365.fact.presence."+string(id)+".*", func(m bus.Message) error {
		fact, err := wire.DecodePresence(m.Data)
		facts[fact.Person.User] = fact.Reading
		return err
	}))
	tenant := s.graph.Tenant(string(id))
	for _, user := range users {
		truth, err := tenant.Presence(string(user))
		must(s.t, err)
		fact, ok := facts[user]
		if !ok || fact.Availability != truth.Availability || fact.Activity != truth.Activity {
			return fmt.Sprintf("%s is stored as %q/%q, the truth is %s/%s", user, fact.Availability, fact.Activity, truth.Availability, truth.Activity)
		}
	}
	return ""
}

// sweep returns the newest sweep fact, or its zero value.
func (s *stage) sweep(id identity.Tenant) wire.Sweep {
	s.t.Helper()
	m, err := s.bus.Last(s.t.Context(), topology.Facts, "m365.fact.sweep."+topology.Join(string(id), wire.ShardAll))
	if err != nil {
		return wire.Sweep{}
	}
	sweep, err := wire.DecodeSweep(m.Data)
	must(s.t, err)
	return sweep
}

// swept waits for a sweep that began after now.
func (s *stage) swept(id identity.Tenant) wire.Sweep {
	s.t.Helper()
	now := s.bus.Now()
	var sweep wire.Sweep
	s.eventually("no further sweep", func() bool { sweep = s.sweep(id); return sweep.Began.After(now) })
	return sweep
}

func (s *stage) eventually(what string, ok func() bool) {
	s.t.Helper()
	bustest.Eventually(s.t, 15*time.Second, func() string {
		if ok() {
			return ""
		}
		return what
	})
}

func (s *stage) set(user identity.User, availability, activity string) {
	s.t.Helper()
	must(s.t, s.tenant().SetPresence(string(user), availability, activity))
}

// endpoint stands for webhook-receiver: it answers handshakes for keys that are in
// the bucket, and hands notifications on.
func (s *stage) endpoint(handle func(w http.ResponseWriter, r *http.Request, body []byte)) *httptest.Server {
	s.t.Helper()
	return s.serve(s.expected(), handle)
}

// expected says for which keys handshakes are answered: those in the bucket.
func (s *stage) expected() func(key string) bool {
	s.t.Helper()
	records := s.bucket(topology.Subscriptions)
	return func(key string) bool {
		e, err := records.Get(s.t.Context(), subscription.KeyOf(key))
		if err != nil {
			return false
		}
		record, err := subscription.Decode(e.Value)
		return err == nil && time.Now().Before(record.Handshake)
	}
}

// serve is an endpoint that answers handshakes for the keys that expected names.
func (s *stage) serve(expected func(key string) bool, handle func(w http.ResponseWriter, r *http.Request, body []byte)) *httptest.Server {
	s.t.Helper()
	certificate, err := s.graph.Authority().Issue("127.0.0.1")
	must(s.t, err)
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		key := strings.Split(r.URL.Path, "/")[2]
		if token := r.URL.Query().Get("validationToken"); token != "" {
			if !expected(key) {
				w.WriteHeader(http.StatusAccepted)
				return
			}
			w.Header().Set("Content-Type", "text/plain")
			_, _ = io.WriteString(w, token)
			return
		}
		body, _ := io.ReadAll(r.Body)
		if handle != nil {
			handle(w, r, body)
			return
		}
		w.WriteHeader(http.StatusAccepted)
	}))
	server.TLS = s.tls(certificate)
	server.StartTLS()
	s.t.Cleanup(server.Close)
	return server
}

func (s *stage) tls(certificate tls.Certificate) *tls.Config {
	return &tls.Config{Certificates: []tls.Certificate{certificate}, MinVersion: tls.VersionTLS12}
}

// certify names a notification certificate, as webhook-receiver does.
func (s *stage) certify(id string) *rsa.PrivateKey {
	s.t.Helper()
	pair, err := secret.NewKeyPair("test", time.Now(), never)
	must(s.t, err)
	value, err := json.Marshal(subscription.Certificate{ID: id, Made: time.Now(),
		PEM: string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: pair.Certificate.Raw}))})
	must(s.t, err)
	_, err = s.bucket(topology.Certificates).Put(s.t.Context(), subscription.CurrentCertificate, value)
	must(s.t, err)
	return pair.Key
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
