// Package world is a whole installation for tests: a simulated tenant, a simulated
// 3CX, a broker, and all services of Offhook between them, configured by a file as
// an administrator would write it.
package world

import (
	"cmp"
	"context"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	"maps"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"offhook.dev/libs/bus"
	"offhook.dev/libs/bus/embedded"
	"offhook.dev/libs/config"
	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/core/presence"
	"offhook.dev/libs/graph/graphsim"
	"offhook.dev/libs/loopback"
	"offhook.dev/libs/pbx/pbxsim"
	"offhook.dev/libs/run"
	"offhook.dev/libs/secret"
	"offhook.dev/libs/topology"
	"offhook.dev/libs/wire"
	"offhook.dev/services/contact-sync/contactsync"
	"offhook.dev/services/graph-poller/poller"
	"offhook.dev/services/graph-writer/graphwriter"
	"offhook.dev/services/pbx-writer/writer"
	"offhook.dev/services/presence-mapper/mapper"
	"offhook.dev/services/user-sync/usersync"
	"offhook.dev/services/webhook-receiver/receiver"
)

const (
	directoryID = "11111111-2222-3333-4444-555555555555"
	// App is the application's client id.
	App      = clientID
	clientID = "66666666-7777-8888-9999-000000000000"
	refresh  = "the-first-refresh-token"
)

// Options of a World; the zero value has ten users, polling only.
type Options struct {
	Users int // 0: 10
	// Webhook also keeps a presence subscription.
	Webhook bool
	// Sweep is how often presences are read; 0: 500 ms.
	Sweep time.Duration
	// Directory is how often users and groups are read; 0: 15 min.
	Directory time.Duration
	// Damping towards less busy; 0: 50 ms.
	Damping time.Duration
	// Delivery and TimeScale of notifications.
	Delivery  graphsim.Delivery
	TimeScale float64
	Synced    bool          // fsync before acks, as in production
	Mode      presence.Mode // "": teams-to-pbx
	LogTo     io.Writer     // of everything that is logged; nil: the test's output, from warnings on
	Redis     string        // URL of a Redis; "": hot state stays in the process
	SpansTo   string        // URL of a collector of spans; "": they go nowhere
	// Sync is the tenant's section `users`, in YAML's flow style with braces; "": none.
	Sync string
	// Contacts is the tenant's section `contacts`, in YAML's flow style with braces; "": what
	// it is by default.
	Contacts string
	// Mailboxes is how often contacts are read; 0: once an hour.
	Mailboxes time.Duration
	// Extensions are how many of the users have one; 0: all.
	Extensions int
	// Systems are phone systems beside hq, which serve the tenant too.
	Systems []System
	// Others are tenants beside contoso that hq serves too, each with as many users. Their
	// extensions come after those of contoso.
	Others []string
}

// System is a further phone system, which the test runs.
type System struct {
	ID string
	// Entry is the rest of its entry in the configuration, in YAML's flow style
	// without braces: "driver: memory, options: {extensions: 3}".
	Entry string
	// Links are explicit pairs: extensions by user.
	Links map[string]identity.Extension
}

// World is a running installation.
type World struct {
	t         testing.TB
	Tenant    *graphsim.Tenant   // contoso
	Tenants   []*graphsim.Tenant // contoso, then the others
	Graph     *graphsim.Server
	PBX       *pbxsim.Sim
	Broker    *embedded.Server
	Config    config.Config
	File      string // the configuration file
	Dir       string
	Authority *secret.Authority
	webhook   string
	log       io.Writer
	parts     map[string]*runningPart
}

type runningPart struct {
	part run.Part
	stop context.CancelFunc
	done chan error
}

// New makes the outside world and the broker; Start starts services.
func New(t testing.TB, o Options) *World {
	t.Helper()
	if o.Users == 0 {
		o.Users = 10
	}
	if o.Sweep == 0 {
		o.Sweep = 500 * time.Millisecond
	}
	if o.Damping == 0 {
		o.Damping = 50 * time.Millisecond
	}
	w := &World{t: t, Dir: t.TempDir(), parts: map[string]*runningPart{}, log: t.Output()}
	if o.LogTo != nil {
		w.log = o.LogTo
	}
	var err error
	w.Authority, err = secret.NewAuthority("Offhook test", time.Now())
	must(t, err)
	app, err := secret.NewKeyPair("Offhook test app", time.Now(), 24*time.Hour)
	must(t, err)
	w.Graph, err = graphsim.Start(t.Context(), graphsim.Config{Authority: w.Authority, Tenants: o.tenants(app), Seed: 1, Delivery: o.Delivery, TimeScale: o.TimeScale})
	must(t, err)
	w.Tenants = w.Graph.Tenants()
	w.Tenant = w.Tenants[0]
	t.Cleanup(func() {
		for _, tenant := range w.Tenants {
			if v := tenant.Violations(); len(v) > 0 {
				t.Errorf("%s: %d things that Graph's clients must not do, the first: %+v", tenant.Domain(), len(v), v[0])
			}
		}
		_ = w.Graph.Close()
	})
	var people []pbxsim.Person
	for _, tenant := range w.Tenants {
		for _, u := range tenant.Users("", cmp.Or(o.Extensions, o.Users)) {
			people = append(people, pbxsim.Person{FirstName: u.GivenName, LastName: u.Surname, Mail: u.Mail, Number: Extension(len(people))})
		}
	}
	w.PBX, err = pbxsim.Start(pbxsim.Config{Listen: "127.0.0.1:0", Authority: w.Authority, System: "hq", Version: "20.0.9", People: people, Extensions: len(people), Seed: 1})
	must(t, err)
	t.Cleanup(w.PBX.Close)
	w.Broker, err = embedded.Start(embedded.Options{Dir: filepath.Join(w.Dir, "nats"), NoSync: !o.Synced, Host: "127.0.0.1", Port: -1})
	must(t, err)
	t.Cleanup(w.Broker.Close)
	w.configure(o, app)
	return w
}

// directory is the directory id of the i-th tenant.
func directory(i int) string {
	if i == 0 {
		return directoryID
	}
	return fmt.Sprintf("22222222-2222-3333-4444-%012d", i)
}

// tenants describes contoso and the others to the simulator.
func (o Options) tenants(app secret.KeyPair) (all []graphsim.TenantConfig) {
	for i, id := range append([]string{"contoso"}, o.Others...) {
		tenant := graphsim.TenantConfig{
			DirectoryID: directory(i), Domain: id + ".example", Users: o.Users,
			Apps: []graphsim.App{{ClientID: clientID, Certificates: []*x509.Certificate{app.Certificate}, PublicClient: true,
				Roles: append(graphsim.DefaultRoles(), "Presence.ReadWrite.All")}},
		}
		if o.Webhook && i == 0 {
			tenant.Accounts = []graphsim.Account{{User: "anna", RefreshToken: secret.NewValue(refresh)}}
		}
		all = append(all, tenant)
	}
	return all
}

// configure writes the files that an administrator would and loads them.
func (w *World) configure(o Options, app secret.KeyPair) {
	w.t.Helper()
	pair, err := app.PEM()
	must(w.t, err)
	client, password := w.PBX.Credentials()
	w.write("ca.pem", w.Authority.PEM())
	w.write("app.pem", pair)
	w.write("hq.secret", []byte(password.Reveal()))
	w.write("anna.token", []byte(refresh))
	tls, err := w.Authority.Issue("127.0.0.1", "localhost")
	must(w.t, err)
	key, err := x509.MarshalPKCS8PrivateKey(tls.PrivateKey)
	must(w.t, err)
	w.write("webhook.crt", pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: tls.Certificate[0]}))
	w.write("webhook.key", pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key}))
	w.webhook, err = loopback.Address(w.t.Context())
	must(w.t, err)

	public, accounts := "", ""
	if o.Webhook {
		public = "https://" + w.webhook
		accounts = "\n      accounts: [{name: anna, refresh_token_file: " + w.path("anna.token") + "}]"
	}
	names, links, systems := furtherSystems(o.Systems)
	level := "warn"
	if o.LogTo != nil {
		level = "debug"
	}
	tenants, served := "", "contoso"
	for i, id := range append([]string{"contoso"}, o.Others...) {
		if i > 0 { // accounts, further systems and links are contoso's
			accounts, names, links, served = "", "", "", served+", "+id
		}
		tenants += fmt.Sprintf(`
  - id: %[2]s
    microsoft365:
      directory_id: %[3]s
      client_id: `+clientID+`
      certificate_file: %[1]s/app.pem
      endpoints: {login: "%[4]s", graph: "%[4]s", ca_file: %[1]s/ca.pem}%[5]s
    presence: {mode: %[6]s, damping: %[7]s, stale_after: %[8]s, sweep: %[9]s}
    users: %[12]s
    contacts: %[13]s
    systems: [hq%[10]s]
    links: [%[11]s]`, w.Dir, id, directory(i), w.Graph.GraphURL(), accounts, cmp.Or(o.Mode, presence.TeamsToPBX), o.Damping, max(15*time.Minute, 4*o.Sweep), o.sweeps(), names, links, cmp.Or(o.Sync, "{policy: off}"), cmp.Or(o.Contacts, "{}"))
	}
	w.write("offhook.yaml", []byte(fmt.Sprintf(strings.TrimLeft(`
data_dir: %[1]s
nats: {url: "%[2]s"}
redis: {url: "%[3]s"}
webhook: {listen: "%[4]s", public_url: "%[5]s", tls: {cert_file: %[1]s/webhook.crt, key_file: %[1]s/webhook.key}}
telemetry: {metrics_listen: "127.0.0.1:0", log_level: %[6]s, otlp_endpoint: "%[7]s"}
tenants:%[8]s
systems:
  - id: hq
    driver: 3cx
    url: %[9]s
    client_id: %[10]s
    client_secret_file: %[1]s/hq.secret
    ca_file: %[1]s/ca.pem
    tenants: [%[11]s]
%[12]s`, "\n"), w.Dir, w.Broker.ClientURL(), o.Redis, w.webhook, public, level, o.SpansTo, tenants, w.PBX.URL(), client, served, systems)))
	w.File = w.path("offhook.yaml")
	w.Config, err = config.Load(w.File, nil, nil)
	must(w.t, err)
}

// sweeps says how often presences, the directory and contacts are read.
func (o Options) sweeps() string {
	return fmt.Sprintf("{presence: %s, users: %s, contacts: %s}", o.Sweep, cmp.Or(o.Directory, 15*time.Minute), cmp.Or(o.Mailboxes, time.Hour))
}

// furtherSystems writes the parts of the configuration that name further systems.
func furtherSystems(all []System) (names, links, systems string) {
	for _, s := range all {
		names += ", " + s.ID
		systems += fmt.Sprintf("  - {id: %s, tenants: [contoso], %s}\n", s.ID, s.Entry)
		for _, user := range slices.Sorted(maps.Keys(s.Links)) {
			links += fmt.Sprintf("{user: %s, system: %s, extension: %q}, ", user, s.ID, s.Links[user])
		}
	}
	return names, links, systems
}

// Parts are all services of the flow.
func Parts() []run.Part {
	return []run.Part{receiver.Part(), poller.Part(), usersync.Part(), Contacts(), mapper.Part(), writer.Part(), graphwriter.Part()}
}

// Contacts is contact-sync, which waits for a second of quiet before it deletes instead of
// half a minute.
func Contacts() run.Part {
	return run.NewPart(topology.ContactSync, func(c config.Config) (contactsync.Options, error) {
		o, err := contactsync.FromConfig(c)
		o.Linger = time.Second
		return o, err
	}, contactsync.Run)
}

// Start runs all services, each as a process of its own would. The others begin when the
// receiver listens: Graph asks it before it makes a subscription, and tests count refusals.
func (w *World) Start() {
	w.t.Helper()
	for _, part := range Parts() {
		w.Run(part)
		if part.Name == topology.WebhookReceiver {
			w.listens()
		}
	}
}

func (w *World) listens() {
	w.t.Helper()
	w.Eventually(30*time.Second, func() string {
		conn, err := new(net.Dialer).DialContext(w.t.Context(), "tcp", w.webhook)
		if err != nil {
			return err.Error()
		}
		_ = conn.Close()
		return ""
	})
}

// Run runs one service until Stop or the end of the test.
func (w *World) Run(part run.Part) {
	w.t.Helper()
	ctx, stop := context.WithCancel(context.WithoutCancel(w.t.Context()))
	p := &runningPart{part: part, stop: stop, done: make(chan error, 1)}
	w.parts[string(part.Name)] = p
	go func() {
		p.done <- run.Process(ctx, w.Config, run.Options{Name: string(part.Name), Instance: "test", LogTo: w.log, LogText: true, Broker: w.Broker}, part)
	}()
	w.t.Cleanup(func() { w.Stop(string(part.Name)) })
}

// Stop stops one service and fails the test if it broke.
func (w *World) Stop(name string) {
	w.t.Helper()
	p := w.parts[name]
	if p == nil {
		return
	}
	delete(w.parts, name)
	p.stop()
	if err := <-p.done; err != nil {
		w.t.Errorf("%s: %v", name, err)
	}
}

// In is the same installation, for a part of the test: what goes wrong is told there.
func (w *World) In(t testing.TB) *World {
	part := *w
	part.t = t
	return &part
}

// Extension returns the extension of the i-th user.
func Extension(i int) identity.Extension { return identity.Extension(fmt.Sprint(100 + i)) }

// Eventually waits until ok returns "" and fails with what it last said.
func (w *World) Eventually(patience time.Duration, ok func() string) {
	w.t.Helper()
	deadline := time.Now().Add(patience)
	for {
		why := ok()
		if why == "" {
			return
		}
		if time.Now().After(deadline) {
			w.t.Fatalf("after %v: %s", patience, why)
		}
		<-time.After(5 * time.Millisecond)
	}
}

// Shows waits until an extension shows a status.
func (w *World) Shows(ext identity.Extension, want presence.Status, patience time.Duration) {
	w.t.Helper()
	w.Eventually(patience, func() string {
		if shown, ok := w.PBX.Shown(ext); !ok || shown.Status != want {
			return fmt.Sprintf("extension %s shows %q, want %q", ext, shown.Status, want)
		}
		return ""
	})
}

// InTeams waits until Teams shows "availability/activity" for a user.
func (w *World) InTeams(user, want string, patience time.Duration) {
	w.t.Helper()
	w.Eventually(patience, func() string {
		is, err := w.Tenant.Presence(user)
		if got := is.Availability + "/" + is.Activity; err != nil || got != want {
			return fmt.Sprintf("Teams shows %s for %s (%v), want %s", got, user, err, want)
		}
		return ""
	})
}

// Heard waits until Offhook knows that Teams shows an availability for a user, and has
// decided on everything it knows.
func (w *World) Heard(user, availability string, patience time.Duration) {
	w.t.Helper()
	b, err := bus.Connect(w.t.Context(), bus.Options{InProcess: w.Broker, Service: "test", Instance: "test"})
	must(w.t, err)
	defer b.Close()
	is, err := w.Tenant.User(user)
	must(w.t, err)
	who := identity.Person{Tenant: "contoso", User: identity.User(is.ID)}
	w.Eventually(patience, func() string {
		m, err := b.Last(w.t.Context(), topology.Facts, wire.PresenceSubject(who))
		if err != nil {
			return err.Error()
		}
		if fact, err := wire.DecodePresence(m.Data); err != nil || fact.Reading.Availability != availability {
			return fmt.Sprintf("known of %s is %s (%v), not %s", user, fact.Reading.Availability, err, availability)
		}
		c, err := b.JetStream().Consumer(w.t.Context(), string(topology.Facts), string(topology.PresenceMapper)+"-facts")
		if err != nil {
			return err.Error()
		}
		if info := c.CachedInfo(); info.NumPending > 0 || info.NumAckPending > 0 {
			return "facts are waiting"
		}
		return ""
	})
}

// Settled waits until the first users are linked and their phones have been read.
func (w *World) Settled(users int) {
	w.t.Helper()
	b, err := bus.Connect(w.t.Context(), bus.Options{InProcess: w.Broker, Service: "test", Instance: "test"})
	must(w.t, err)
	defer b.Close()
	for i := range users {
		w.Eventually(30*time.Second, func() string {
			if _, err := b.Last(w.t.Context(), topology.Wants, wire.WantSubject(identity.Line{System: "hq", Extension: Extension(i)})); err != nil {
				return fmt.Sprintf("nothing is wanted of extension %s: %v", Extension(i), err)
			}
			return ""
		})
	}
}

// Set sets a presence in Teams.
func (w *World) Set(user, availability, activity string) {
	w.t.Helper()
	must(w.t, w.Tenant.SetPresence(user, availability, activity))
}

func (w *World) path(name string) string { return filepath.Join(w.Dir, name) }

func (w *World) write(name string, data []byte) {
	w.t.Helper()
	must(w.t, os.WriteFile(w.path(name), data, 0o600))
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
