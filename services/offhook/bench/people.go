package bench

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"offhook.dev/libs/bus"
	"offhook.dev/libs/bus/embedded"
	"offhook.dev/libs/config"
	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/graph/graphsim"
	"offhook.dev/libs/pbx/pbxsim"
	"offhook.dev/libs/run"
	"offhook.dev/libs/secret"
	"offhook.dev/libs/topology"
	"offhook.dev/libs/wire"
	"offhook.dev/services/graph-poller/poller"
	"offhook.dev/services/pbx-writer/writer"
	"offhook.dev/services/user-sync/usersync"
)

func peopleTable() Table {
	return Table{
		Name: "people",
		What: "A directory becomes extensions: graph-poller, user-sync and pbx-writer between a simulated tenant and a simulated 3CX in the same process, broker synced, two requests to the phone system at a time. First: from nothing. Again: all services anew, nothing changed. 1 %: so many change their name at once.",
		Aim:  "100,000 users; a second run writes nothing; memory at most 1 KB for a user, broker and simulators apart.",
		Run: func(ctx context.Context, b *Bench) (Report, error) {
			r := Report{Columns: []string{"users", "run", "took", "requests", "writes", "heap"}}
			for _, users := range b.Sizes.People {
				if err := b.people(ctx, &r, users); err != nil {
					return r, fmt.Errorf("%d users: %w", users, err)
				}
			}
			return r, nil
		},
	}
}

// peopled is the installation of one row.
type peopled struct {
	graph    *graphsim.Server
	pbx      *pbxsim.Sim
	broker   *embedded.Server
	bus      *bus.Bus
	config   config.Config
	services []*running
	log      *os.File
	ctx      context.Context // of the services
}

func (b *Bench) people(ctx context.Context, r *Report, users int) (err error) {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	p := &peopled{ctx: ctx}
	defer func() { err = errors.Join(err, p.close()) }()
	if err := p.open(b, users); err != nil {
		return err
	}
	heap := heapInUse()
	row := func(what string, do func() error, done func() string) error {
		before, began := p.pbx.Stats(), time.Now()
		if err := do(); err != nil {
			return err
		}
		if why, err := settle(ctx, 2*time.Hour, func() (string, error) { return done(), p.broken() }); err != nil || why != "" {
			return errors.Join(err, errors.New(why))
		}
		took, after := time.Since(began), p.pbx.Stats()
		writes := changed(after.Changes) - changed(before.Changes)
		r.row(users, what, took, after.Requests-before.Requests, writes, size(int64(heapInUse())-int64(heap)))
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

func changed(counts map[string]int) (sum int) {
	for _, n := range counts {
		sum += n
	}
	return sum
}

func (p *peopled) open(b *Bench, users int) (err error) {
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
	if p.broker, p.bus, err = startBroker(p.ctx, b.path(fmt.Sprint("nats-", users))); err != nil {
		return err
	}
	_, password := p.pbx.Credentials()
	files := map[string][]byte{"ca.pem": p.graph.Authority().PEM(), "app.secret": []byte("simulated"), "hq.secret": []byte(password.Reveal())}
	files["offhook.yaml"] = fmt.Appendf(nil, strings.TrimLeft(`
data_dir: %[1]s
telemetry: {metrics_listen: "127.0.0.1:0", log_level: warn}
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
`, "\n"), b.dir, p.graph.GraphURL(), p.pbx.URL())
	for name, data := range files {
		if err := os.WriteFile(b.path(name), data, 0o600); err != nil {
			return err
		}
	}
	p.config, err = config.Load(b.path("offhook.yaml"), nil, nil)
	return err
}

func (p *peopled) start() error {
	for _, part := range []run.Part{poller.Part(), usersync.Part(), writer.Part()} {
		p.services = append(p.services, start(p.ctx, p.config, p.broker, p.log, part))
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
	for _, s := range p.services {
		err = errors.Join(err, s.broken())
	}
	return err
}

// has says whether there are as many extensions as users, beside the one that was there.
func (p *peopled) has(users int) string {
	if made := p.pbx.Stats().Changes["create-user"]; made < users {
		return fmt.Sprintf("%d of %d extensions are made", made, users)
	}
	return ""
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
		p.broker.Close()
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
