package bench

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"slices"
	"strings"
	"time"

	"offhook.dev/libs/bus"
	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/graph/graphsim"
	"offhook.dev/libs/links"
	"offhook.dev/libs/pbx/pbxsim"
	"offhook.dev/libs/secret"
	"offhook.dev/libs/store"
	"offhook.dev/libs/topology"
	"offhook.dev/libs/wire"
)

func peopleTable() Table {
	return Table{
		Name: "people",
		What: "A directory becomes extensions: graph-poller, user-sync, pbx-writer and a broker that syncs, each a process of its own, between a simulated tenant and a simulated 3CX, two requests to the phone system at a time. First: from nothing. Again: all services anew, nothing changed. 1 %: so many change their name at once. Memory is the most that each process ever had (RSS).",
		Aim:  "100,000 users; a second run writes nothing; the memory of the services grows by at most 1 KB for a user.",
		Run: func(ctx context.Context, b *Bench) (Report, error) {
			r := Report{Columns: []string{"users", "run", "took", "requests", "writes", "of the budget"}}
			for _, part := range peopleParts {
				r.Columns = append(r.Columns, string(part))
			}
			r.Columns = append(r.Columns, "broker")
			for _, users := range b.Sizes.People {
				if err := b.people(ctx, &r, users); err != nil {
					return r, fmt.Errorf("%d users: %w", users, err)
				}
			}
			r.note("Of the budget: for how much of the time both requests that the phone system gets at once were under way.")
			return r, nil
		},
	}
}

// peopleParts are the services at work here.
var peopleParts = []topology.Service{topology.GraphPoller, topology.UserSync, topology.PBXWriter}

// peopled is the installation of one row.
type peopled struct {
	bench    *Bench
	graph    *graphsim.Server
	pbx      *pbxsim.Sim
	broker   *process
	bus      *bus.Bus
	links    *links.Mirror // who has which extension, as user-sync stores it
	services []*process
	log      *os.File
	ctx      context.Context // of the processes
}

// inFlight is how many requests a 3CX gets at a time.
const inFlight = 2

func (b *Bench) people(ctx context.Context, r *Report, users int) (err error) {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	p := &peopled{ctx: ctx, bench: b}
	defer func() { err = errors.Join(err, p.close()) }()
	if err := p.open(users); err != nil {
		return err
	}
	row := func(what string, do func() error, done func() string) error {
		before, spent, began := p.pbx.Stats(), 0.0, time.Now()
		if what != "again" && len(p.services) > 0 {
			spent = p.atPhoneSystem(ctx)
		}
		if err := do(); err != nil {
			return err
		}
		if why, err := settle(ctx, 2*time.Hour, func() (string, error) { return done(), p.broken() }); err != nil || why != "" {
			return errors.Join(err, errors.New(why))
		}
		took, after := time.Since(began), p.pbx.Stats()
		writes := changed(after.Changes) - changed(before.Changes)
		cells := []any{users, what, took, after.Requests - before.Requests, writes,
			percent((p.atPhoneSystem(ctx) - spent) / inFlight / took.Seconds())}
		for _, s := range p.services {
			cells = append(cells, s.peak())
		}
		r.row(append(cells, p.broker.peak())...)
		if what == "again" {
			r.check(writes == 0, "%d writes although nothing changed", writes)
		}
		return nil
	}
	if err := row("first", p.start, func() string { return p.has(users) }); err != nil {
		return err
	}
	r.check(p.right(users) == "", "%s", p.right(users))
	if err := row("again", func() error { return errors.Join(p.halt(), p.start()) }, p.settled); err != nil {
		return err
	}
	few := max(1, users/100)
	tenant := p.graph.Tenant("contoso")
	return row("1 %", func() error {
		for i, id := range tenant.UserIDs()[:few] {
			if err := tenant.EditUser(id, func(u *graphsim.User) { u.Surname = fmt.Sprint("Changed", i) }); err != nil {
				return err
			}
		}
		return p.order(ctx)
	}, func() string { return p.renamed(few) })
}

// atPhoneSystem is for how many seconds in all requests to the phone system were under
// way; NaN if that cannot be read.
func (p *peopled) atPhoneSystem(ctx context.Context) float64 {
	seconds, err := p.services[slices.Index(peopleParts, topology.PBXWriter)].total(ctx, "offhook_pbx_request_seconds_sum")
	if err != nil {
		return math.NaN()
	}
	return seconds
}

func changed(counts map[string]int) (sum int) {
	for _, n := range counts {
		sum += n
	}
	return sum
}

func (p *peopled) open(users int) (err error) {
	b := p.bench
	if p.log, err = b.logFile(); err != nil {
		return err
	}
	tenant := graphsim.TenantConfig{DirectoryID: benchDirectory, Domain: "contoso.example", Users: users,
		Apps: []graphsim.App{{ClientID: benchApp, Secret: secret.NewValue("simulated")}}}
	if p.graph, err = graphsim.Start(p.ctx, graphsim.Config{Seed: 1, Tenants: []graphsim.TenantConfig{tenant}}); err != nil {
		return err
	}
	if p.pbx, err = pbxsim.Start(pbxsim.Config{Listen: "127.0.0.1:0", Authority: p.graph.Authority(), System: "hq", Version: "20.0.9", Extensions: 1, FirstNumber: 10, Seed: 1}); err != nil {
		return err
	}
	if p.broker, err = b.spawn(p.ctx, p.log, "broker", b.path(fmt.Sprint("nats-", users))); err != nil {
		return err
	}
	if p.bus, err = bus.Connect(p.ctx, bus.Options{URL: p.broker.address, Service: "bench", Instance: "bench"}); err != nil {
		return err
	}
	_, password := p.pbx.Credentials()
	files := map[string][]byte{"ca.pem": p.graph.Authority().PEM(), "app.secret": []byte("simulated"), "hq.secret": []byte(password.Reveal())}
	files["offhook.yaml"] = fmt.Appendf(nil, strings.TrimLeft(`
data_dir: %[1]s
nats: {url: "%[4]s"}
telemetry: {metrics_listen: "127.0.0.1:0", log_level: info}
tenants:
  - id: contoso
    microsoft365:
      directory_id: `+benchDirectory+`
      client_id: `+benchApp+`
      client_secret_file: %[1]s/app.secret
      endpoints: {login: "%[2]s", graph: "%[2]s", ca_file: %[1]s/ca.pem}
    presence: {mode: disabled}
    users: {policy: sync, start_extension: "100000", photos: false}
    contacts: {personal: false}
    systems: [hq]
systems:
  - {id: hq, driver: 3cx, url: "%[3]s", client_id: offhook, client_secret_file: %[1]s/hq.secret, ca_file: %[1]s/ca.pem, tenants: [contoso]}
`, "\n"), b.dir, p.graph.GraphURL(), p.pbx.URL(), p.broker.address)
	for name, data := range files {
		if err := os.WriteFile(b.path(name), data, 0o600); err != nil {
			return err
		}
	}
	return nil
}

func (p *peopled) start() error {
	for _, part := range peopleParts {
		s, err := p.bench.spawn(p.ctx, p.log, "part", string(part), p.bench.path("offhook.yaml"))
		if err != nil {
			return err
		}
		p.services = append(p.services, s)
	}
	return nil
}

func (p *peopled) halt() (err error) {
	for _, s := range p.services {
		err = errors.Join(err, s.halt())
	}
	p.services = nil
	return err
}

func (p *peopled) broken() (err error) {
	for _, s := range append(slices.Clip(p.services), p.broker) {
		err = errors.Join(err, s.broken())
	}
	return err
}

// has says whether there are as many extensions as users, beside the one that was there, and
// everybody is linked with theirs.
func (p *peopled) has(users int) string {
	if made := p.pbx.Stats().Changes["create-user"]; made < users {
		return fmt.Sprintf("%d of %d extensions are made", made, users)
	}
	if err := p.follow(); err != nil {
		return err.Error()
	}
	if linked := len(p.links.People("")); linked < users {
		return fmt.Sprintf("%d of %d users are linked", linked, users)
	}
	return ""
}

// follow reads the links from now on.
func (p *peopled) follow() error {
	if p.links != nil {
		return nil
	}
	bucket, err := store.Open(p.ctx, p.bus.JetStream(), topology.Links)
	if err != nil {
		return err
	}
	p.links = links.NewMirror()
	go func() { _ = p.links.Run(p.ctx, bucket, nil) }() // until ctx ends; what it lacks is waited for
	return p.links.Current(p.ctx)
}

// right says what is wrong with the extensions: every user has one, under numbers that
// nobody else has.
func (p *peopled) right(users int) string {
	mails := map[string]identity.Extension{}
	for _, e := range p.pbx.Truth() {
		if e.Mail == "" || e.Number == "10" {
			continue
		}
		if other, twice := mails[e.Mail]; twice {
			return fmt.Sprintf("%s has %s and %s", e.Mail, other, e.Number)
		}
		mails[e.Mail] = e.Number
	}
	if len(mails) != users {
		return fmt.Sprintf("%d users have extensions, not %d", len(mails), users)
	}
	return ""
}

// settled says whether a plan, asked for now, has nothing to do.
func (p *peopled) settled() string {
	out, err := p.plan(p.ctx, wire.SyncPlan)
	switch {
	case err != nil:
		return err.Error()
	case out.State != wire.SyncPlanned || out.Total > 0:
		return fmt.Sprintf("%s: %s", out.State, out.Detail)
	}
	return ""
}

// plan orders something of user-sync and waits for the end.
func (p *peopled) plan(ctx context.Context, op wire.SyncOp) (out wire.SyncOutcome, err error) {
	id := fmt.Sprint(time.Now().UnixNano())
	subject, data := wire.SyncOrder{ID: id, Tenant: "contoso", Kind: wire.SyncUsers, Op: op}.Encode()
	if _, err := p.bus.Publish(ctx, bus.Message{Subject: subject, Data: data}); err != nil {
		return out, err
	}
	why, err := settle(ctx, 10*time.Minute, func() (string, error) {
		m, err := p.bus.Last(ctx, topology.Outcomes, wire.SyncOutcomeSubject("contoso", id))
		if err != nil {
			return err.Error(), nil
		}
		if out, err = wire.DecodeSyncOutcome(m.Data); err != nil || !out.State.Ended(op) {
			return fmt.Sprint(out.State, err), nil
		}
		return "", nil
	})
	if why != "" {
		err = errors.Join(err, errors.New(why))
	}
	return out, err
}

// order has the directory read now.
func (p *peopled) order(ctx context.Context) error {
	subject, data := wire.SyncOrder{ID: fmt.Sprint(time.Now().UnixNano()), Tenant: "contoso", Kind: wire.SyncUsers, Op: wire.SyncRead}.Encode()
	_, err := p.bus.Publish(ctx, bus.Message{Subject: subject, Data: data})
	return err
}

func (p *peopled) renamed(few int) string {
	renamed := 0
	for _, e := range p.pbx.Truth() {
		if strings.HasPrefix(e.LastName, "Changed") {
			renamed++
		}
	}
	if renamed < few {
		return fmt.Sprintf("%d of %d have their new names", renamed, few)
	}
	return ""
}

func (p *peopled) close() error {
	err := p.halt()
	if p.bus != nil {
		p.bus.Close()
	}
	if p.broker != nil {
		err = errors.Join(err, p.broker.halt())
	}
	if p.pbx != nil {
		p.pbx.Close()
	}
	if p.graph != nil {
		err = errors.Join(err, p.graph.Close())
	}
	if p.log != nil {
		err = errors.Join(err, p.log.Close())
	}
	return err
}
