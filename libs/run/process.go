package run

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"runtime/debug"
	"time"

	"github.com/nats-io/nats.go"
	"golang.org/x/sync/errgroup"

	"offhook.dev/libs/bus"
	"offhook.dev/libs/config"
	"offhook.dev/libs/hot"
	"offhook.dev/libs/topology"
)

// Part is one service of a process.
type Part struct {
	Name topology.Service
	// Start is the service: it blocks until ctx ends or something breaks.
	Start func(ctx context.Context, deps Deps, c config.Config) error
	// Check finds what only this service can judge of the configuration; nil: nothing.
	Check config.Check
	// Garbage is how much memory may be taken by what nobody needs any more, in percent of
	// what is needed, before the collector works; 0: as Go has it, 100. It counts where the
	// service has a process of its own, unless GOGC says something.
	Garbage int
}

// Checks are those of parts, for config.Load.
func Checks(parts ...Part) []config.Check {
	var all []config.Check
	for _, part := range parts {
		all = append(all, part.Check)
	}
	return all
}

// NewPart makes a Part of a service that takes what concerns it from the
// configuration.
func NewPart[O any](name topology.Service, from func(config.Config) (O, error), service func(context.Context, Deps, O) error) Part {
	return Part{Name: name, Start: func(ctx context.Context, deps Deps, c config.Config) error {
		options, err := from(c)
		if err != nil {
			return err
		}
		return service(ctx, deps, options)
	}}
}

// Ended makes an end that was asked for, by ending ctx, no error. ctx is the one that
// the service or the lease was given: an errgroup's own is over whenever a part
// fails, and would hide the cause.
func Ended(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return nil
	}
	return err
}

// Options of a process.
type Options struct {
	Name     string // of the process: the service, or "offhook"
	Instance string
	LogTo    io.Writer
	LogText  bool
	// Broker is an embedded broker; nil: the one at the configuration's nats.url.
	Broker nats.InProcessConnProvider
	// Replicas of each stream on a cluster; 0: 1.
	Replicas int
	// OnMetrics is called with the address of the metrics listener. May be nil.
	OnMetrics func(address string)
}

const (
	connectTimeout  = 2 * time.Minute
	clockPeriod     = time.Minute
	shutdownTimeout = 10 * time.Second
)

// garbage is what the process of some parts asks of the collector; 0: nothing.
func garbage(parts []Part) int {
	if len(parts) != 1 || os.Getenv("GOGC") != "" {
		return 0
	}
	return parts[0].Garbage
}

// Process runs parts in one process, each with a broker connection of its own, until
// ctx ends or one of them fails; the first to stop stops the rest.
func Process(ctx context.Context, c config.Config, o Options, parts ...Part) error {
	if percent := garbage(parts); percent > 0 {
		debug.SetGCPercent(percent)
	}
	level := slog.LevelInfo
	_ = level.UnmarshalText([]byte(c.Telemetry.LogLevel)) // validated when the file was loaded
	telemetry, err := NewTelemetry(ctx, TelemetryOptions{Process: o.Name, Instance: o.Instance, LogTo: o.LogTo, LogText: o.LogText, LogLevel: level, OTLPEndpoint: c.Telemetry.OTLPEndpoint})
	if err != nil {
		return err
	}
	defer func() {
		bounded, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownTimeout)
		defer cancel()
		telemetry.Close(bounded)
	}()
	health := NewHealth()
	health.Set(o.Name, errors.New("starting"))
	state, err := openHot(ctx, c, telemetry.Log)
	if err != nil {
		return err
	}
	defer func() { _ = state.Close() }()

	g, gctx := errgroup.WithContext(ctx)
	if err := serveHealth(gctx, g, c.Telemetry.MetricsListen, health, telemetry, o.OnMetrics); err != nil {
		return err
	}
	var buses []*bus.Bus
	defer func() {
		for _, b := range buses {
			b.Close()
		}
	}()
	for i, part := range parts {
		log := telemetry.Log.With("service", string(part.Name))
		b, err := connect(gctx, c, o, part.Name, telemetry, log)
		if err != nil {
			return Ended(ctx, err)
		}
		buses = append(buses, b)
		health.Ask(string(part.Name)+": broker", func() error {
			if !b.Connected() {
				return errors.New("not connected")
			}
			return nil
		})
		if i == 0 {
			if err := b.Apply(gctx, bus.Layout{Replicas: o.Replicas}); err != nil {
				return Ended(ctx, err)
			}
		}
		g.Go(func() error { return keepClock(gctx, b, log) })
		deps := Deps{
			Instance: o.Instance, Bus: b, Hot: state, Log: log, Health: health,
			Tracer: telemetry.Tracer(string(part.Name)), Meter: telemetry.Meter(string(part.Name)),
		}
		g.Go(func() error {
			err := part.Start(gctx, deps, c)
			switch {
			case gctx.Err() != nil:
				return err
			case err == nil:
				return fmt.Errorf("%s ended by itself", part.Name)
			}
			return fmt.Errorf("%s: %w", part.Name, err)
		})
	}
	health.Set(o.Name, nil)
	telemetry.Log.Info("started", "process", o.Name)
	err = g.Wait()
	if ctx.Err() != nil {
		return nil // asked to stop; what broke on the way down is in the log
	}
	return err
}

func openHot(ctx context.Context, c config.Config, log *slog.Logger) (hot.Store, error) {
	if c.Redis.URL.IsZero() {
		return hot.InProcess(), nil
	}
	return hot.Redis(ctx, c.Redis.URL.Reveal(), hot.Options{Log: log})
}

func connect(ctx context.Context, c config.Config, o Options, name topology.Service, t *Telemetry, log *slog.Logger) (*bus.Bus, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, connectTimeout, errors.New("the broker did not answer in time"))
	defer cancel()
	return bus.Connect(ctx, bus.Options{
		URL: c.NATS.URL.Reveal(), CredsFile: c.NATS.CredsFile, InProcess: o.Broker,
		Service: string(name), Instance: o.Instance, Log: log, Tracer: t.Tracer(string(name)),
	})
}

// keepClock follows the broker's time.
func keepClock(ctx context.Context, b *bus.Bus, log *slog.Logger) error {
	tick := time.NewTicker(clockPeriod)
	defer tick.Stop()
	for {
		if err := b.SyncClock(ctx); err != nil && ctx.Err() == nil {
			log.Warn("broker time", "error", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// serveHealth answers /livez, /readyz and /metrics.
func serveHealth(ctx context.Context, g *errgroup.Group, address string, h *Health, t *Telemetry, listening func(string)) error {
	if address == "" {
		return nil
	}
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return fmt.Errorf("metrics listener (telemetry.metrics_listen): %w", err)
	}
	mux := http.NewServeMux()
	h.Register(mux)
	t.Register(mux)
	server := &http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second, WriteTimeout: 10 * time.Second}
	g.Go(func() error {
		if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			return fmt.Errorf("metrics listener: %w", err)
		}
		return nil
	})
	g.Go(func() error {
		<-ctx.Done()
		return server.Close()
	})
	if listening != nil {
		listening(listener.Addr().String())
	}
	return nil
}
