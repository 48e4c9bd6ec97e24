package bench

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"runtime/pprof"
	"strconv"

	"github.com/nats-io/nats.go/jetstream"

	"offhook.dev/libs/bus"
	"offhook.dev/libs/bus/embedded"
	"offhook.dev/libs/config"
	"offhook.dev/libs/run"
	"offhook.dev/libs/topology"
)

// running is one service at work, as a process of its own would run it but for the
// process.
type running struct {
	part    run.Part
	stop    context.CancelFunc
	done    chan error
	metrics chan string // the address of its metrics, once
	address string
}

// start runs a service until halt. What it costs is found under its name in CPU
// profiles.
func start(ctx context.Context, c config.Config, broker *embedded.Server, log io.Writer, part run.Part) *running {
	ctx, stop := context.WithCancel(ctx)
	r := &running{part: part, stop: stop, done: make(chan error, 1), metrics: make(chan string, 1)}
	go pprof.Do(ctx, pprof.Labels(stageLabel, string(part.Name)), func(ctx context.Context) {
		r.done <- run.Process(ctx, c, run.Options{
			Name: string(part.Name), Instance: "bench", LogTo: log, Broker: broker,
			OnMetrics: func(address string) { r.metrics <- address },
		}, part)
	})
	return r
}

// halt stops the service and waits for it.
func (r *running) halt() error {
	r.stop()
	if err := <-r.done; err != nil {
		return fmt.Errorf("%s: %w", r.part.Name, err)
	}
	return nil
}

// broken returns what ended a service that was not asked to end, or nil.
func (r *running) broken() error {
	select {
	case err := <-r.done:
		r.done <- err // halt still reads it
		return fmt.Errorf("%s ended: %w", r.part.Name, err)
	default:
		return nil
	}
}

// counters are the values of one metric by one label.
type counters map[string]int

// since takes off what was counted before.
func (c counters) since(before counters) counters {
	d := maps.Clone(c)
	for k, n := range before {
		d[k] -= n
	}
	return d
}

// of adds up some labels' values.
func (c counters) of(labels ...string) (sum int) {
	for _, l := range labels {
		sum += c[l]
	}
	return sum
}

func (c counters) total() (sum int) {
	for _, n := range c {
		sum += n
	}
	return sum
}

var seriesForm = regexp.MustCompile(`^([a-z_]+)\{(?:.*,)?result="([^"]*)".*\} ([0-9.e+]+)$`)

// counted reads a metric with the label `result` from the service, over HTTP as
// Prometheus does.
func (r *running) counted(ctx context.Context, metric string) (counters, error) {
	if r.address == "" {
		select {
		case r.address = <-r.metrics:
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+r.address+"/metrics", nil)
	if err != nil {
		return nil, err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, errors.Join(err, r.broken())
	}
	defer func() { _ = resp.Body.Close() }()
	return parseCounters(resp.Body, metric)
}

func parseCounters(text io.Reader, metric string) (counters, error) {
	found := counters{}
	lines := bufio.NewScanner(text)
	for lines.Scan() {
		m := seriesForm.FindStringSubmatch(lines.Text())
		if m == nil || m[1] != metric {
			continue
		}
		n, err := strconv.ParseFloat(m[3], 64)
		if err != nil {
			return nil, fmt.Errorf("metric %s: %w", metric, err)
		}
		found[m[2]] += int(n)
	}
	return found, lines.Err()
}

// startBroker starts a broker that syncs before it acks, as in production, and
// connects to it.
func startBroker(ctx context.Context, dir string) (*embedded.Server, *bus.Bus, error) {
	var s *embedded.Server
	var err error
	pprof.Do(ctx, pprof.Labels(stageLabel, "broker"), func(context.Context) {
		s, err = embedded.Start(embedded.Options{Dir: dir})
	})
	if err != nil {
		return nil, nil, err
	}
	b, err := bus.Connect(ctx, bus.Options{InProcess: s, Service: "bench", Instance: "bench"})
	if err != nil {
		s.Close()
		return nil, nil, err
	}
	return s, b, nil
}

// state returns what a stream holds and has ever taken.
func state(ctx context.Context, b *bus.Bus, stream string) (jetstream.StreamState, error) {
	s, err := b.JetStream().Stream(ctx, stream) // asks for the state, too
	if err != nil {
		return jetstream.StreamState{}, fmt.Errorf("stream %s: %w", stream, err)
	}
	return s.CachedInfo().State, nil
}

// messages returns how many messages a stream holds.
func messages(ctx context.Context, b *bus.Bus, stream topology.Stream) (int, error) {
	s, err := state(ctx, b, string(stream))
	return int(s.Msgs), err
}

// logFile takes the services' logs: writing them is part of their work.
func (b *Bench) logFile() (*os.File, error) {
	return os.OpenFile(filepath.Join(b.dir, "services.log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
}
