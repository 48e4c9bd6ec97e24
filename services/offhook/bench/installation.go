package bench

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"runtime/pprof"
	"slices"
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
	"offhook.dev/libs/topology"
	"offhook.dev/services/contact-sync/contactsync"
	"offhook.dev/services/graph-poller/poller"
	"offhook.dev/services/graph-writer/graphwriter"
	"offhook.dev/services/pbx-writer/writer"
	"offhook.dev/services/presence-mapper/mapper"
	"offhook.dev/services/simulator/simulator"
	"offhook.dev/services/user-sync/usersync"
	"offhook.dev/services/webhook-receiver/receiver"
)

// installation is all of Offhook between a simulated tenant and a simulated 3CX. Its
// notifications go to a tape instead of the receiver: the bench plays them.
type installation struct {
	ctx      context.Context // of the services: ends with close
	stop     context.CancelFunc
	sim      *simulator.Simulator
	broker   *embedded.Server
	bus      *bus.Bus // the bench's own connection
	config   config.Config
	tape     *tape
	log      *os.File
	receiver *running
	others   []*running
	lines    map[string]identity.Extension // by user id
}

// install starts everything and waits until every user is linked and subscribed to.
// Everything is as configured by default but for damping, which is off, so that a
// change towards ringing takes no other way than one towards silence.
func (b *Bench) install(ctx context.Context) (*installation, error) {
	in := &installation{lines: map[string]identity.Extension{}}
	in.ctx, in.stop = context.WithCancel(ctx)
	if err := in.open(b); err != nil {
		in.close()
		return nil, err
	}
	return in, nil
}

func (in *installation) open(b *Bench) error {
	var err error
	if in.log, err = b.logFile(); err != nil {
		return err
	}
	dir := b.path("simulator")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	pprof.Do(in.ctx, pprof.Labels(stageLabel, simulators), func(ctx context.Context) {
		in.sim, err = simulator.Start(ctx, simulator.Options{Dir: dir, Users: b.Sizes.Users, Seed: 1})
	})
	if err != nil {
		return err
	}
	// The simulator gives the n-th user the n-th extension, from 100.
	for i, id := range in.tenant().UserIDs() {
		in.lines[id] = identity.Extension(fmt.Sprint(100 + i))
	}
	if in.tape, err = newTape(in.ctx, in.sim.Graph.Authority()); err != nil {
		return err
	}
	if in.broker, in.bus, err = startBroker(in.ctx, b.path("nats")); err != nil {
		return err
	}
	if err := in.configure(b); err != nil {
		return err
	}
	in.receiver = in.start(receiver.Part())
	for _, part := range []run.Part{poller.Part(), usersync.Part(), contactsync.Part(), mapper.Part(), writer.Part(), graphwriter.Part()} {
		in.others = append(in.others, in.start(part))
	}
	return in.await(2*time.Minute, in.ready)
}

func (in *installation) start(part run.Part) *running {
	return start(in.ctx, in.config, in.broker, in.log, part)
}

func (in *installation) tenant() *graphsim.Tenant { return in.sim.Graph.Tenant(simulator.TenantID) }

// configure writes the file that an administrator would and loads it.
func (in *installation) configure(b *Bench) error {
	address, err := loopback.Address(in.ctx)
	if err != nil {
		return err
	}
	text := in.sim.ConfigYAML(fmt.Sprintf(`data_dir: %s
webhook: {listen: "%s", public_url: "%s", tls: {cert_file: %s, key_file: %s}}
telemetry: {metrics_listen: "127.0.0.1:0"}`, b.dir, address, in.tape.url,
		filepath.Join(in.sim.Dir, simulator.WebhookCertFile), filepath.Join(in.sim.Dir, simulator.WebhookKeyFile)))
	file := b.path("offhook.yaml")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		return err
	}
	if in.config, err = config.Load(file, nil, nil); err != nil {
		return err
	}
	in.config.Tenants[0].Presence.Damping = 0
	in.config.Tenants[0].Presence.Calendar.Subscribe = false // presences are what is measured
	return nil
}

// answersAfter lets Graph and its login answer late.
func (in *installation) answersAfter(latency time.Duration) error {
	in.tenant().ClearFaults()
	if latency == 0 {
		return nil
	}
	for _, path := range []string{"", "/oauth2/", "/discovery/"} {
		if _, err := in.tenant().Fault(graphsim.Fault{Kind: graphsim.FaultLatency, Path: path, Delay: latency}); err != nil {
			return err
		}
	}
	return nil
}

// ready says what is missing before the tape can be recorded, or "".
func (in *installation) ready() (string, error) {
	subscriptions := in.tenant().Subscriptions() // that of /users is another one
	if !slices.ContainsFunc(subscriptions, func(s graphsim.Subscription) bool { return s.Users == len(in.lines) }) {
		return fmt.Sprintf("not everyone is subscribed to: %+v", subscriptions), nil
	}
	return "", nil
}

// await waits until ok says "", as long as all services live.
func (in *installation) await(patience time.Duration, ok func() (string, error)) error {
	why, err := settle(in.ctx, patience, func() (string, error) {
		for _, r := range append(in.others, in.receiver) {
			if err := r.broken(); err != nil {
				return "", err
			}
		}
		return ok()
	})
	if err == nil && why != "" {
		err = fmt.Errorf("after %v: %s", patience, why)
	}
	return err
}

// target is where the subscription's notifications are played to.
func (in *installation) target() string {
	return "https://" + in.config.Webhook.Listen + in.tape.path()
}

// newReceiver replaces the receiver by one that has just started and knows nothing.
func (in *installation) newReceiver() error {
	if err := in.receiver.halt(); err != nil {
		return err
	}
	in.receiver = in.start(receiver.Part())
	return in.await(time.Minute, func() (string, error) {
		conn, err := new(net.Dialer).DialContext(in.ctx, "tcp", in.config.Webhook.Listen)
		if err != nil {
			return err.Error(), nil //nolint:nilerr // not listening yet
		}
		return "", conn.Close()
	})
}

// wrong lists the extensions that do not show what they should.
func (in *installation) wrong(want map[identity.Extension]presence.Status) []pbxsim.Shown {
	var list []pbxsim.Shown
	for _, shown := range in.sim.PBX.Truth() {
		if status, ok := want[shown.Number]; ok && shown.Status != status {
			list = append(list, shown)
		}
	}
	return list
}

// close stops everything in reverse order.
func (in *installation) close() {
	in.stop()
	for _, r := range append(in.others, in.receiver) {
		if r != nil {
			_ = r.halt() // asked to stop; what broke earlier has been reported
		}
	}
	if in.broker != nil {
		in.bus.Close()
		in.broker.Close()
	}
	if in.tape != nil {
		in.tape.close()
	}
	if in.sim != nil {
		_ = in.sim.Close() // nothing is left to lose
	}
	if in.log != nil {
		_ = in.log.Close()
	}
}

// drained waits until the receiver's queue is empty.
func (in *installation) drained() error {
	return in.await(2*time.Minute, func() (string, error) {
		waiting, err := messages(in.ctx, in.bus, topology.Ingress)
		if waiting == 0 || err != nil {
			return "", err
		}
		return fmt.Sprintf("%d posts wait in the queue", waiting), nil
	})
}
