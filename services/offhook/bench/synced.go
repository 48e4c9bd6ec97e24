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
	"offhook.dev/libs/graph/graphsim"
	"offhook.dev/libs/links"
	"offhook.dev/libs/pbx/pbxsim"
	"offhook.dev/libs/secret"
	"offhook.dev/libs/store"
	"offhook.dev/libs/topology"
	"offhook.dev/libs/wire"
)

// directoryParts are the services where users become extensions: the first three make them,
// and the others keep who has which. contactParts are those that make phonebooks of contacts.
var (
	directoryParts = []topology.Service{topology.GraphPoller, topology.UserSync, topology.PBXWriter, topology.PresenceMapper, topology.ContactSync, topology.GraphWriter, topology.ControlAPI}
	contactParts   = []topology.Service{topology.GraphPoller, topology.ContactSync, topology.PBXWriter}
)

// synced is an installation that keeps a simulated 3CX as a simulated tenant is: each
// service and the broker are a process of their own.
type synced struct {
	bench    *Bench
	users    int
	graph    *graphsim.Server
	pbx      *pbxsim.Sim
	broker   *process
	bus      *bus.Bus
	links    *links.Mirror // who has which extension, as user-sync stores it
	parts    []topology.Service
	services []*process // of parts
	log      *os.File
	ctx      context.Context // of the processes
}

// longest bounds what is waited for here.
const longest = 2 * time.Hour

// inFlight is how many requests a 3CX gets at a time.
const inFlight = 2

// syncColumns are those of a table whose rows are of measure.
func syncColumns(what string, parts []topology.Service) []string {
	columns := []string{what, "run", "took", "requests", "writes", "of the budget", "waiting"}
	for _, part := range parts {
		columns = append(columns, string(part))
	}
	return append(columns, "broker")
}

const syncNote = "Of the budget: for how much of the time both requests that the phone system gets at once were under way. Waiting: how much of what a request took, from when pbx-writer wanted it to its answer, it waited for its turn. Memory is the most that each process ever had (RSS)."

// measure does something and adds a row of what it took until done returns "". what says
// of what and of how much.
func (p *synced) measure(r *Report, of int, what string, do func() error, done func() string) (writes int, err error) {
	before, began := p.pbx.Stats(), time.Now()
	running := slices.Clone(p.services)
	spent, waited := p.atPhoneSystem(), p.waiting()
	if err := do(); err != nil {
		return 0, err
	}
	if why, err := settle(p.ctx, longest, func() (string, error) { return done(), p.broken() }); err != nil || why != "" {
		return 0, errors.Join(err, errors.New(why))
	}
	took, after := time.Since(began), p.pbx.Stats()
	if !slices.Equal(running, p.services) {
		spent, waited = 0, 0 // other processes have counted from nothing
	}
	spent, waited = p.atPhoneSystem()-spent, p.waiting()-waited
	writes = changed(after.Changes) - changed(before.Changes)
	cells := []any{of, what, took, after.Requests - before.Requests, writes, percent(spent / inFlight / took.Seconds()), percent(waited / (waited + spent))}
	for _, s := range p.services {
		cells = append(cells, s.peak())
	}
	r.row(append(cells, p.broker.peak())...)
	return writes, nil
}

// atPhoneSystem is for how many seconds in all requests to the phone system were under
// way, and waiting for how many they waited for their turn; NaN if that cannot be read.
func (p *synced) atPhoneSystem() float64 { return p.seconds("offhook_pbx_request_seconds_sum") }
func (p *synced) waiting() float64       { return p.seconds("offhook_pbx_wait_seconds_sum") }

func (p *synced) seconds(metric string) float64 {
	writer := slices.Index(p.parts, topology.PBXWriter)
	if writer >= len(p.services) {
		return 0
	}
	seconds, err := p.services[writer].total(p.ctx, metric)
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

func (p *synced) open() (err error) {
	b := p.bench
	if p.log, err = b.logFile(); err != nil {
		return err
	}
	tenant := graphsim.TenantConfig{DirectoryID: benchDirectory, Domain: "contoso.example", Users: p.users,
		Apps: []graphsim.App{{ClientID: benchApp, Secret: secret.NewValue("simulated")}}}
	if p.graph, err = graphsim.Start(p.ctx, graphsim.Config{Seed: 1, Tenants: []graphsim.TenantConfig{tenant}}); err != nil {
		return err
	}
	if p.pbx, err = pbxsim.Start(pbxsim.Config{Listen: "127.0.0.1:0", Authority: p.graph.Authority(), System: "hq", Version: "20.0.9", Extensions: 1, FirstNumber: 10, Seed: 1}); err != nil {
		return err
	}
	if p.broker, err = b.spawn(p.ctx, p.log, "broker", b.path(fmt.Sprint("nats-", p.users))); err != nil {
		return err
	}
	if p.bus, err = bus.Connect(p.ctx, bus.Options{URL: p.broker.address, Service: "bench", Instance: "bench"}); err != nil {
		return err
	}
	_, password := p.pbx.Credentials()
	for name, data := range map[string][]byte{"ca.pem": p.graph.Authority().PEM(), "app.secret": []byte("simulated"), "hq.secret": []byte(password.Reveal())} {
		if err := os.WriteFile(b.path(name), data, 0o600); err != nil {
			return err
		}
	}
	return nil
}

// configure has people's contacts synchronised, or not.
func (p *synced) configure(contacts bool) error {
	b := p.bench
	return os.WriteFile(b.path("offhook.yaml"), fmt.Appendf(nil, strings.TrimLeft(`
data_dir: %[1]s
nats: {url: "%[4]s"}
telemetry: {metrics_listen: "127.0.0.1:0", log_level: info}
control: {listen: "127.0.0.1:0", grpc_listen: "127.0.0.1:0"}
tenants:
  - id: contoso
    microsoft365:
      directory_id: `+benchDirectory+`
      client_id: `+benchApp+`
      client_secret_file: %[1]s/app.secret
      endpoints: {login: "%[2]s", graph: "%[2]s", ca_file: %[1]s/ca.pem}
    presence: {mode: disabled}
    users: {policy: sync, start_extension: "100000", photos: false}
    contacts: {policy: sync, personal: %[5]t}
    systems: [hq]
systems:
  - {id: hq, driver: 3cx, url: "%[3]s", client_id: offhook, client_secret_file: %[1]s/hq.secret, ca_file: %[1]s/ca.pem, tenants: [contoso]}
`, "\n"), b.dir, p.graph.GraphURL(), p.pbx.URL(), p.broker.address, contacts), 0o600)
}

func (p *synced) start() error {
	for _, part := range p.parts {
		s, err := p.bench.spawn(p.ctx, p.log, "part", string(part), p.bench.path("offhook.yaml"))
		if err != nil {
			return err
		}
		p.services = append(p.services, s)
	}
	return nil
}

func (p *synced) halt() (err error) {
	for _, s := range p.services {
		err = errors.Join(err, s.halt())
	}
	p.services = nil
	return err
}

func (p *synced) broken() (err error) {
	for _, s := range append(slices.Clip(p.services), p.broker) {
		err = errors.Join(err, s.broken())
	}
	return err
}

// has says whether there are as many extensions as users, beside the one that was there, and
// everybody is linked with theirs.
func (p *synced) has() string {
	if made := p.pbx.Stats().Changes["create-user"]; made < p.users {
		return fmt.Sprintf("%d of %d extensions are made", made, p.users)
	}
	if err := p.follow(); err != nil {
		return err.Error()
	}
	if linked := len(p.links.People("")); linked < p.users {
		return fmt.Sprintf("%d of %d users are linked", linked, p.users)
	}
	return ""
}

// follow reads the links from now on.
func (p *synced) follow() error {
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

// anew starts all services anew.
func (p *synced) anew() error { return errors.Join(p.halt(), p.start()) }

// readAll is done once pbx-writer has read every status since it was started: before that it
// writes nothing.
func (p *synced) readAll(done func() string) func() string {
	return func() string {
		up, err := p.services[slices.Index(p.parts, topology.PBXWriter)].total(p.ctx, "offhook_pbx_up")
		if err != nil || up == 0 {
			return fmt.Sprint("pbx-writer has not read all statuses ", err)
		}
		return done()
	}
}

// nothing orders something, and says whether it ended well and with nothing to do.
func (p *synced) nothing(kind wire.SyncKind, op wire.SyncOp, end wire.SyncState) string {
	out, err := p.ordered(kind, op)
	switch {
	case err != nil:
		return err.Error()
	case out.State != end || out.Total > 0:
		return fmt.Sprintf("%s: %d to do, %s", out.State, out.Total, out.Detail)
	}
	return ""
}

// ordered orders something and waits for the end.
func (p *synced) ordered(kind wire.SyncKind, op wire.SyncOp) (out wire.SyncOutcome, err error) {
	id, err := p.order(kind, op)
	if err != nil {
		return out, err
	}
	why, err := settle(p.ctx, longest, func() (string, error) {
		m, err := p.bus.Last(p.ctx, topology.Outcomes, wire.SyncOutcomeSubject("contoso", id))
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

// order orders something, and returns the order's id.
func (p *synced) order(kind wire.SyncKind, op wire.SyncOp) (id string, err error) {
	id = fmt.Sprint(time.Now().UnixNano())
	subject, data := wire.SyncOrder{ID: id, Tenant: "contoso", Kind: kind, Op: op}.Encode()
	_, err = p.bus.Publish(p.ctx, bus.Message{Subject: subject, Data: data})
	return id, err
}

func (p *synced) close() error {
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
