package bench

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"offhook.dev/libs/bus"
	"offhook.dev/libs/bus/embedded"
	"offhook.dev/libs/config"
	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/graph"
	"offhook.dev/libs/graph/graphsim"
	"offhook.dev/libs/links"
	"offhook.dev/libs/loopback"
	"offhook.dev/libs/run"
	"offhook.dev/libs/secret"
	"offhook.dev/libs/store"
	"offhook.dev/libs/subscription"
	"offhook.dev/libs/topology"
	"offhook.dev/libs/wire"
	"offhook.dev/services/graph-poller/poller"
	"offhook.dev/services/webhook-receiver/receiver"
)

// mostLanes is how many accounts hold a presence subscription, where there are users
// enough: one for each ten thousand.
const mostLanes = 10

func coverageTable() Table {
	return Table{
		Name: "coverage",
		What: "Everyone is swept every 10 s, and accounts hold subscriptions of 650 besides, while 5 % of all users change in a minute: graph-poller and webhook-receiver with a simulated tenant in the same process. Age is how long ago a value was last confirmed, at random moments; arrival is from the change to the stored fact. Floor: one period of the sweep for arrival without a lane.",
		Aim:  "100,000 users within 1,500 requests in 30 s; 5 % of them changing in a minute all arrive.",
		Run: func(ctx context.Context, b *Bench) (Report, error) {
			r := Report{Columns: []string{"users", "of", "age p50", "p99", "max", "changes", "arrival p50", "p99", "max", "missing"}}
			for _, users := range b.Sizes.Covered {
				if err := b.coverage(ctx, &r, users); err != nil {
					return r, fmt.Errorf("%d users: %w", users, err)
				}
			}
			return r, nil
		},
	}
}

// covered is a poller and a receiver with a simulated tenant, and what was heard of it.
type covered struct {
	sim    *graphsim.Server
	broker *embedded.Server
	bus    *bus.Bus
	users  []identity.User
	lanes  subscription.Lanes
	count  int // of lanes

	mu      sync.Mutex // guards what follows
	changed map[identity.User]posting
	arrived map[string]sample // by lane, "" for none
	sweeps  []wire.Sweep
}

// posting is a change that has not arrived yet.
type posting struct {
	at    time.Time
	shows string
}

func (b *Bench) coverage(ctx context.Context, r *Report, users int) (err error) {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	c := &covered{changed: map[identity.User]posting{}, arrived: map[string]sample{}, count: min(max(users/10_000, 1), mostLanes)}
	conf, err := c.open(ctx, b, users)
	if err != nil {
		return errors.Join(err, c.close())
	}
	defer func() { err = errors.Join(err, c.close()) }()
	before := heapInUse()
	log, err := b.logFile()
	if err != nil {
		return err
	}
	defer func() { _ = log.Close() }()
	services := []*running{start(ctx, conf, c.broker, log, receiver.Part()), start(ctx, conf, c.broker, log, sweeper())}
	following, end := context.WithCancel(ctx)
	g, following := errgroup.WithContext(following)
	g.Go(func() error { return asked(following, c.follow(following)) })
	lanes, err := store.Open(ctx, c.bus.JetStream(), topology.Lanes)
	if err == nil {
		g.Go(func() error { return asked(following, c.lanes.Run(following, lanes)) })
		err = c.measure(ctx, b, r, before)
	}
	end()
	err = errors.Join(err, g.Wait())
	for _, s := range services {
		err = errors.Join(err, s.halt())
	}
	return err
}

// asked drops the error of something that was asked to end.
func asked(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return nil
	}
	return err
}

// sweeper is graph-poller without calendars: presences are what is measured.
func sweeper() run.Part {
	return run.Part{Name: topology.GraphPoller, Start: func(ctx context.Context, d run.Deps, c config.Config) error {
		o, err := poller.FromConfig(c, d.Hot, d.Meter)
		if err != nil {
			return err
		}
		for i := range o.Tenants {
			o.Tenants[i].Calendar, o.Tenants[i].Subscribe = false, false
		}
		return poller.Run(ctx, d, o)
	}}
}

// open makes the tenant, the broker, the links and the configuration.
func (c *covered) open(ctx context.Context, b *Bench, users int) (conf config.Config, err error) {
	tenant := graphsim.TenantConfig{DirectoryID: benchDirectory, Domain: "contoso.example", Users: c.count,
		Apps: []graphsim.App{{ClientID: benchApp, Secret: secret.NewValue("simulated"), PublicClient: true}}}
	few, err := graphsim.Start(ctx, graphsim.Config{Seed: 1, Tenants: []graphsim.TenantConfig{tenant}})
	if err != nil {
		return conf, err
	}
	var accounts []string
	for i, u := range few.Tenant("contoso").Users("", c.count) { // the first of many are the same
		name := fmt.Sprint("lane-", i+1)
		file := b.path(name + ".token")
		if err := os.WriteFile(file, []byte("first "+name), 0o600); err != nil {
			return conf, errors.Join(err, few.Close())
		}
		tenant.Accounts = append(tenant.Accounts, graphsim.Account{User: u.UserPrincipalName, RefreshToken: secret.NewValue("first " + name)})
		accounts = append(accounts, fmt.Sprintf("{name: %s, refresh_token_file: %s}", name, file))
	}
	if err := few.Close(); err != nil {
		return conf, err
	}
	tenant.Users = users
	if c.sim, err = graphsim.Start(ctx, graphsim.Config{Seed: 1, Tenants: []graphsim.TenantConfig{tenant}}); err != nil {
		return conf, err
	}
	for _, id := range c.sim.Tenant("contoso").UserIDs() {
		c.users = append(c.users, identity.User(id))
	}
	// Nothing here is about the disk, and a link for everybody is written first.
	if c.broker, err = embedded.Start(embedded.Options{Dir: b.path(fmt.Sprint("nats-", users)), NoSync: true}); err != nil {
		return conf, err
	}
	if c.bus, err = bus.Connect(ctx, bus.Options{InProcess: c.broker, Service: "bench", Instance: "bench"}); err != nil {
		return conf, err
	}
	if err := errors.Join(c.bus.Apply(ctx, bus.Layout{}), c.link(ctx)); err != nil {
		return conf, err
	}
	return c.configure(ctx, b, accounts)
}

func (c *covered) link(ctx context.Context) error {
	linked, err := store.Open(ctx, c.bus.JetStream(), topology.Links)
	if err != nil {
		return err
	}
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(64)
	for i, user := range c.users {
		g.Go(func() error {
			line := identity.Line{System: "hq", Extension: identity.Extension(fmt.Sprint(100_000 + i))}
			data, err := json.Marshal(links.Record{Lines: []links.Line{{Line: line, Revision: 1, How: "mail"}}})
			if err == nil {
				_, err = linked.Put(ctx, wire.PersonKey(identity.Person{Tenant: "contoso", User: user}), data)
			}
			return err
		})
	}
	return g.Wait()
}

func (c *covered) configure(ctx context.Context, b *Bench, accounts []string) (config.Config, error) {
	address, err := loopback.Address(ctx)
	if err != nil {
		return config.Config{}, err
	}
	certificate, key, err := servingPEM(c.sim.Authority())
	if err != nil {
		return config.Config{}, err
	}
	files := map[string][]byte{"ca.pem": c.sim.Authority().PEM(), "app.secret": []byte("simulated"), "webhook.crt": certificate, "webhook.key": key}
	files["offhook.yaml"] = fmt.Appendf(nil, strings.TrimLeft(`
data_dir: %[1]s
webhook: {listen: "%[2]s", public_url: "https://%[2]s", tls: {cert_file: %[1]s/webhook.crt, key_file: %[1]s/webhook.key}}
telemetry: {metrics_listen: "127.0.0.1:0", log_level: warn}
tenants:
  - id: contoso
    microsoft365:
      directory_id: `+benchDirectory+`
      client_id: `+benchApp+`
      client_secret_file: %[1]s/app.secret
      endpoints: {login: "%[3]s", graph: "%[3]s", ca_file: %[1]s/ca.pem}
      accounts: [%[4]s]
    systems: [hq]
systems:
  - {id: hq, driver: memory, tenants: [contoso]}
`, "\n"), b.dir, address, c.sim.GraphURL(), strings.Join(accounts, ", "))
	for name, data := range files {
		if err := os.WriteFile(b.path(name), data, 0o600); err != nil {
			return config.Config{}, err
		}
	}
	return config.Load(b.path("offhook.yaml"), nil, nil)
}

// follow hears facts as they are stored.
func (c *covered) follow(ctx context.Context) error {
	filters := []string{topology.Wildcard("m365.fact.presence.<tenant>.<user>"), topology.Wildcard("m365.fact.sweep.<tenant>.<shard>")}
	return c.bus.Follow(ctx, topology.Facts, filters, func(m bus.Message) error {
		now := time.Now()
		c.mu.Lock()
		defer c.mu.Unlock()
		if strings.HasPrefix(m.Subject, "m365.fact.sweep.") {
			sweep, err := wire.DecodeSweep(m.Data)
			if err == nil && sweep.OK {
				c.sweeps = append(c.sweeps, sweep)
			}
			return err
		}
		fact, err := wire.DecodePresence(m.Data)
		if change, ok := c.changed[fact.Person.User]; err == nil && ok && change.shows == fact.Reading.Availability {
			delete(c.changed, fact.Person.User)
			lane := c.lanes.On(fact.Person)
			c.arrived[lane] = append(c.arrived[lane], now.Sub(change.at))
		}
		return err
	}, func() {})
}

// measure waits until everyone is covered, changes people, and tells what was heard.
func (c *covered) measure(ctx context.Context, b *Bench, r *Report, before uint64) error {
	if why, err := settle(ctx, 5*time.Minute, func() (string, error) { return c.covers(), nil }); err != nil || why != "" {
		return errors.Join(err, errors.New(why))
	}
	grown := int64(heapInUse()) - int64(before)
	asked, cpu, began := reads(c.sim), cpuTime(), time.Now()
	lasts := max(3*b.Sizes.Duration, 12*time.Second)
	changes, err := c.change(ctx, lasts)
	if err != nil {
		return err
	}
	took := time.Since(began)
	requests, cpu := float64(reads(c.sim)-asked), cpuTime()-cpu
	_, err = settle(ctx, 30*time.Second, func() (string, error) {
		c.mu.Lock()
		defer c.mu.Unlock()
		return map[bool]string{false: "some have not arrived"}[len(c.changed) == 0], nil
	})
	if err != nil {
		return err
	}
	c.tell(r, began, took, changes)
	r.note("%d users, %d lanes: %.0f requests for presences in 30 s of at most 1,500; %s more memory than before, %.1f KB a user, broker and simulator included; CPU %.0f %% of one, with the simulator's.",
		len(c.users), c.count, requests/took.Seconds()*30, text(size(grown)), float64(grown)/1e3/float64(len(c.users)), 100*cpu.Seconds()/took.Seconds())
	r.check(requests/took.Seconds()*30 <= 1_500, "%.0f requests in 30 s", requests/took.Seconds()*30)
	r.check(len(c.changed) == 0, "%d of %d changes did not arrive", len(c.changed), changes)
	return nil
}

// covers says who is not covered yet, or "".
func (c *covered) covers() string {
	c.mu.Lock()
	swept := 0
	shards := map[string]int{}
	for _, s := range c.sweeps {
		shards[s.Shard] = s.Users
	}
	c.mu.Unlock()
	for _, n := range shards {
		swept += n
	}
	on := 0
	for _, s := range c.sim.Tenant("contoso").Subscriptions() {
		on += s.Users
	}
	if want := min(c.count*graph.MaxPresences, len(c.users)); swept < len(c.users) || on < want {
		return fmt.Sprintf("%d of %d users are swept, %d of %d on lanes", swept, len(c.users), on, want)
	}
	return ""
}

// change lets 5 % of all users a minute show something else.
func (c *covered) change(ctx context.Context, lasts time.Duration) (changes int, err error) {
	dice := rand.New(rand.NewPCG(1, 1))
	shows := map[identity.User]int{}
	words := []string{"Available", "Busy", "Away"}
	tick := time.NewTicker(time.Duration(float64(time.Minute) / (0.05 * float64(len(c.users)))))
	defer tick.Stop()
	for end := time.Now().Add(lasts); time.Now().Before(end); changes++ {
		select {
		case <-ctx.Done():
			return changes, context.Cause(ctx)
		case <-tick.C:
		}
		user := c.users[dice.IntN(len(c.users))]
		c.mu.Lock()
		_, waiting := c.changed[user]
		shows[user] = (shows[user] + 1 + dice.IntN(2)) % len(words)
		word := words[shows[user]]
		if !waiting {
			c.changed[user] = posting{time.Now(), word}
		}
		c.mu.Unlock()
		if waiting { // of two changes within a sweep the first may never be seen
			changes--
			shows[user] = slices.Index(words, c.changed[user].shows)
			continue
		}
		if err := c.sim.Tenant("contoso").SetPresence(string(user), word, word); err != nil {
			return changes, err
		}
	}
	return changes, nil
}

// tell adds a row for those without a lane and for each lane.
func (c *covered) tell(r *Report, began time.Time, took time.Duration, changes int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	dice := rand.New(rand.NewPCG(2, 2))
	by := map[string][]identity.User{}
	for _, user := range c.users {
		lane := c.lanes.On(identity.Person{Tenant: "contoso", User: user})
		by[lane] = append(by[lane], user)
	}
	for lane, users := range by {
		var ages sample
		for range 2_000 {
			at := began.Add(time.Duration(dice.Int64N(int64(took))))
			ages = append(ages, c.age(users[dice.IntN(len(users))], at))
		}
		ages.sorted()
		arrived := c.arrived[lane].sorted()
		name := lane
		if lane == "" {
			name = "without a lane"
		}
		missing := 0
		for _, user := range users {
			if _, is := c.changed[user]; is {
				missing++
			}
		}
		r.row(len(users), name, ages.at(0.5), ages.at(0.99), ages.at(1), len(arrived)+missing, arrived.at(0.5), arrived.at(0.99), arrived.at(1), missing)
	}
	slices.SortFunc(r.Rows, func(a, b []string) int { return strings.Compare(a[1], b[1]) })
	r.note("%d changes.", changes)
}

// age is how long before a moment somebody was last read.
func (c *covered) age(user identity.User, at time.Time) time.Duration {
	var newest time.Time
	for _, s := range c.sweeps {
		if wire.InShard(user, s.Shard) && !s.Ended.After(at) && s.Began.After(newest) {
			newest = s.Began
		}
	}
	return at.Sub(newest)
}

func (c *covered) close() error {
	if c.bus != nil {
		c.bus.Close()
	}
	if c.broker != nil {
		c.broker.Close()
	}
	if c.sim != nil {
		return c.sim.Close()
	}
	return nil
}

func heapInUse() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapInuse
}
