package cli

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"offhook.dev/libs/bus/embedded"
	"offhook.dev/libs/config"
	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/graph/graphsim"
	"offhook.dev/libs/run"
	"offhook.dev/services/contact-sync/contactsync"
	"offhook.dev/services/control-api/api"
	"offhook.dev/services/graph-poller/poller"
	"offhook.dev/services/graph-writer/graphwriter"
	"offhook.dev/services/pbx-writer/writer"
	"offhook.dev/services/presence-mapper/mapper"
	"offhook.dev/services/simulator/simulator"
	"offhook.dev/services/user-sync/usersync"
	"offhook.dev/services/webhook-receiver/receiver"
)

// parts are all services, in the order in which they are started.
func parts() []run.Part {
	return []run.Part{receiver.Part(), poller.Part(), usersync.Part(), contactsync.Part(), mapper.Part(), writer.Part(), graphwriter.Part(), api.Part()}
}

type devOptions struct {
	users   int
	dataDir string
	seed    uint64
	verbose bool
}

func (a *app) newDev() *cobra.Command {
	var o devOptions
	c := &cobra.Command{
		Use:   "dev",
		Short: "Run everything in one process, against a simulated tenant and phone system",
		Long: "Runs all services, a broker, a simulated Microsoft 365 tenant and a simulated 3CX in this\n" +
			"process. Everything listens on loopback only. Without --data-dir all is gone on exit.",
		Example: "  offhook dev\n  offhook dev --users 200 --data-dir ./data",
		Args:    cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			return a.dev(c.Context(), c.OutOrStdout(), c.ErrOrStderr(), o)
		},
	}
	c.Flags().IntVar(&o.users, "users", 25, "how many users the tenant has")
	c.Flags().StringVar(&o.dataDir, "data-dir", "", "`folder` that keeps the state (default: a temporary one)")
	c.Flags().Uint64Var(&o.seed, "seed", 1, "varies names")
	c.Flags().BoolVarP(&o.verbose, "verbose", "v", false, "log what the services do")
	return c
}

// dev is the whole of `offhook dev`.
func (a *app) dev(ctx context.Context, out, log io.Writer, o devOptions) error {
	began := a.now()
	dir, cleanup, err := devDir(o.dataDir)
	if err != nil {
		return err
	}
	defer cleanup()
	simDir := filepath.Join(dir, "simulator")
	if err := os.MkdirAll(simDir, 0o700); err != nil {
		return err
	}
	sim, err := simulator.Start(ctx, simulator.Options{Dir: simDir, Users: o.users, Seed: o.seed})
	if err != nil {
		return err
	}
	defer sim.Close()
	broker, err := embedded.Start(embedded.Options{Dir: filepath.Join(dir, "nats"), Host: "127.0.0.1", Port: -1})
	if err != nil {
		return err
	}
	defer broker.Close()
	shareProcessors()
	c, addresses, err := devConfig(dir, sim, o.verbose)
	if err != nil {
		return err
	}
	file := DevFile{API: "http://" + addresses.http, Sim: sim.Control}
	if err := WriteDevFile(file); err != nil {
		return err
	}
	defer func() { _ = RemoveDevFile(file) }()

	ctx, stop := context.WithCancel(ctx)
	defer stop()
	var greeting sync.WaitGroup
	defer greeting.Wait()
	greeting.Go(func() {
		if devReady(ctx, sim, file, o.users) {
			devBanner(out, sim, addresses, broker.ClientURL(), o, a.now().Sub(began))
		}
	})
	return run.Process(ctx, c, run.Options{Name: "offhook", Instance: "dev", LogTo: log, LogText: true, Broker: broker}, parts()...)
}

func devDir(dataDir string) (dir string, cleanup func(), err error) {
	if dataDir != "" {
		dir, err = filepath.Abs(dataDir)
		if err == nil {
			err = os.MkdirAll(dir, 0o700)
		}
		return dir, func() {}, err
	}
	dir, err = os.MkdirTemp("", "offhook-dev-")
	return dir, func() { _ = os.RemoveAll(dir) }, err
}

// devAddresses are where a development installation listens.
type devAddresses struct{ http, grpc, metrics, webhook string }

// devConfig writes a configuration as an administrator would and loads it. The
// usual ports are taken if they are free, so that no flag is needed; any otherwise.
func devConfig(dir string, sim *simulator.Simulator, verbose bool) (config.Config, devAddresses, error) {
	var at devAddresses
	for into, usual := range map[*string]string{&at.http: "8080", &at.grpc: "9090", &at.metrics: "9464", &at.webhook: "8443"} {
		address, err := loopback(usual)
		if err != nil {
			return config.Config{}, at, err
		}
		*into = address
	}
	level := "error"
	if verbose {
		level = "info"
	}
	text := sim.ConfigYAML(fmt.Sprintf(`data_dir: %[1]s
control: {listen: "%[2]s", grpc_listen: "%[3]s"}
webhook: {listen: "%[4]s", public_url: "https://%[4]s", tls: {cert_file: %[5]s, key_file: %[6]s}}
telemetry: {metrics_listen: "%[7]s", log_level: %[8]s}`,
		dir, at.http, at.grpc, at.webhook, filepath.Join(sim.Dir, simulator.WebhookCertFile), filepath.Join(sim.Dir, simulator.WebhookKeyFile), at.metrics, level))
	name := filepath.Join(dir, "offhook.yaml")
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		return config.Config{}, at, err
	}
	c, err := config.Load(name, nil, nil)
	return c, at, err
}

// loopback returns the usual port if it is free, else any.
func loopback(port string) (string, error) {
	for _, p := range []string{port, "0"} {
		l, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", p))
		if err == nil {
			defer l.Close()
			return l.Addr().String(), nil
		}
	}
	return "", fmt.Errorf("no free port on 127.0.0.1")
}

// devReady waits until every user is linked and their presence is subscribed to.
func devReady(ctx context.Context, sim *simulator.Simulator, f DevFile, users int) bool {
	c := client{base: f.API}
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		var entries []api.Status
		if c.get(ctx, "/api/v1/status", nil, &entries) == nil && settled(entries) >= users && subscribed(sim) {
			return true
		}
		select {
		case <-ctx.Done():
			return false
		case <-tick.C:
		}
	}
}

// subscribed says whether Graph tells of presences already.
func subscribed(sim *simulator.Simulator) bool {
	return slices.ContainsFunc(sim.Graph.Tenant(simulator.TenantID).Subscriptions(), func(s graphsim.Subscription) bool {
		return strings.Contains(s.Resource, "presences")
	})
}

// settled counts the lines that show what they should.
func settled(entries []api.Status) int {
	n := 0
	for _, e := range entries {
		if e.Wanted != "" && e.Wanted == e.Shown {
			n++
		}
	}
	return n
}

func devBanner(out io.Writer, sim *simulator.Simulator, at devAddresses, broker string, o devOptions, took time.Duration) {
	var names []string
	for _, u := range sim.Graph.Tenant(simulator.TenantID).Users("", 3) {
		names = append(names, strings.ToLower(u.GivenName))
	}
	kept := "all is gone on exit (keep it with --data-dir)"
	if o.dataDir != "" {
		kept = "state is kept in " + o.dataDir
	}
	fmt.Fprintf(out, `
  DEVELOPMENT MODE: simulated tenant and phone system, loopback only; %s

  API        http://%s/api/v1/status      gRPC %s
  Metrics    http://%s/metrics
  Webhook    https://%s/graph/...
  Broker     %s
  Simulator  %s/sim/v1/      %d users (%s, ...), 3CX with extensions from %s

  ready in %.1f s. In a second terminal:

    offhook watch
    offhook sim presence set anna Busy/InAMeeting
    offhook explain anna

`, kept, at.http, at.grpc, at.metrics, at.webhook, broker, sim.Control, o.users, strings.Join(names, ", "), identity.Extension("100"), took.Seconds())
}
