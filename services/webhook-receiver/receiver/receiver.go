package receiver

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	"golang.org/x/sync/errgroup"
	"golang.org/x/time/rate"

	"offhook.dev/libs/bus"
	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/graph/notification"
	"offhook.dev/libs/run"
	"offhook.dev/libs/secret"
	"offhook.dev/libs/store"
	"offhook.dev/libs/subscription"
	"offhook.dev/libs/topology"
)

// Options of the service.
type Options struct {
	// Listen is the endpoint's address; "": nobody calls, and nothing listens. What is
	// in the queue is worked off all the same.
	Listen string
	// Certificate is the endpoint's own; TLS is always on.
	Certificate tls.Certificate
	// VaultFile holds the key that seals the notification certificates' private keys.
	VaultFile string
	// Logins tells, for each tenant, the https URL of its login host and who vouches
	// for it: where the keys of validation tokens come from.
	Logins map[identity.Tenant]Login
	// PerSecond bounds the POSTs of one subscription; 0: 2,000, with bursts of as many.
	PerSecond int
	// OnListening is called with the address once the endpoint answers. May be nil.
	OnListening func(address string)
}

// Login is a login host.
type Login struct {
	URL   string
	Roots *x509.CertPool // nil: the system's
}

// Receiver is the service.
type Receiver struct {
	bus     *bus.Bus
	opts    Options
	log     *slog.Logger
	records *records
	keys    *keys
	flood   *flood
	metrics *metrics
	now     func() time.Time // the broker's
	// complaint is logged rarely: a broker that is away would fill the log.
	complaint rate.Sometimes
	// refused and unassigned are what is wrong with items behind the queue, as rarely.
	refused, unassigned rate.Sometimes

	mu        sync.Mutex // guards verifiers
	verifiers map[Login]*notification.Verifier
}

// Run runs the service until ctx ends or something breaks.
func Run(ctx context.Context, deps run.Deps, opts Options) error {
	r, err := newReceiver(ctx, deps, opts)
	if err != nil {
		return err
	}
	g, gctx := errgroup.WithContext(ctx)
	ready := make(chan struct{}, 2)
	current := func() { ready <- struct{}{} }
	g.Go(func() error { return run.Ended(gctx, r.records.run(gctx, current)) })
	g.Go(func() error { return run.Ended(gctx, r.keys.run(gctx, current)) })
	g.Go(func() error { return r.start(gctx, g, ready) })
	return run.Ended(ctx, g.Wait())
}

func newReceiver(ctx context.Context, deps run.Deps, opts Options) (*Receiver, error) {
	opts.PerSecond = cmp.Or(opts.PerSecond, 2000)
	r := &Receiver{bus: deps.Bus, opts: opts, log: deps.Log, now: deps.Bus.Now, verifiers: map[Login]*notification.Verifier{}}
	r.complaint.Interval, r.refused.Interval, r.unassigned.Interval = 10*time.Second, 10*time.Second, 10*time.Minute
	r.flood = &flood{perSecond: opts.PerSecond, burst: opts.PerSecond, limits: map[string]*rate.Limiter{}}
	var err error
	if r.metrics, err = newMetrics(deps.Meter); err != nil {
		return nil, err
	}
	return r, r.openBuckets(ctx)
}

// start opens the endpoint, if there is one, when both mirrors are current: before that, a POST for a
// known subscription would look like a stranger's.
func (r *Receiver) start(ctx context.Context, g *errgroup.Group, ready <-chan struct{}) error {
	for range 2 {
		select {
		case <-ctx.Done():
			return nil
		case <-ready:
		}
	}
	if err := r.keys.ensure(ctx); err != nil {
		return run.Ended(ctx, err)
	}
	g.Go(func() error { return r.consume(ctx) })
	g.Go(func() error { return r.rotate(ctx) })
	if r.opts.Listen == "" {
		r.log.Info("nothing listens: without webhook.public_url and webhook.tls changes are found by polling only")
		return nil
	}
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", r.opts.Listen)
	if err != nil {
		return fmt.Errorf("webhook endpoint (webhook.listen): %w", err)
	}
	g.Go(func() error { return r.listen(ctx, listener) })
	if r.opts.OnListening != nil {
		r.opts.OnListening(listener.Addr().String())
	}
	return nil
}

func (r *Receiver) openBuckets(ctx context.Context) error {
	subscriptions, err := store.Open(ctx, r.bus.JetStream(), topology.Subscriptions)
	if err != nil {
		return err
	}
	certificates, err := store.Open(ctx, r.bus.JetStream(), topology.Certificates)
	if err != nil {
		return err
	}
	vault, err := secret.OpenVault(r.opts.VaultFile)
	if err != nil {
		return err
	}
	r.records = newRecords(subscriptions)
	r.keys = &keys{bucket: certificates, vault: vault, now: r.now, log: r.log}
	return nil
}

// listen serves until ctx ends, then lets requests under way finish.
func (r *Receiver) listen(ctx context.Context, listener net.Listener) error {
	server := &http.Server{
		Handler:   r.door(),
		TLSConfig: &tls.Config{Certificates: []tls.Certificate{r.opts.Certificate}, MinVersion: tls.VersionTLS12},
		// The body must be here while there is time to store it.
		ReadTimeout: answerWithin, ReadHeaderTimeout: 2 * time.Second, WriteTimeout: 5 * time.Second, IdleTimeout: time.Minute,
		MaxHeaderBytes: 16 << 10,
		// Strangers' handshakes would fill the log.
		ErrorLog: slog.NewLogLogger(r.log.Handler(), slog.LevelDebug),
	}
	stopped := make(chan error, 1)
	stop := context.AfterFunc(ctx, func() {
		patience, cancel := context.WithTimeout(context.WithoutCancel(ctx), 3*time.Second)
		defer cancel()
		err := server.Shutdown(patience)
		if errors.Is(err, context.DeadlineExceeded) { // somebody sends slowly
			err = server.Close()
		}
		stopped <- err
	})
	defer stop()
	if err := server.ServeTLS(listener, "", ""); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("webhook endpoint: %w", err)
	}
	return <-stopped
}

// rotate replaces the notification certificate when its time has come.
func (r *Receiver) rotate(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(time.Hour):
		}
		if err := r.keys.ensure(ctx); err != nil && ctx.Err() == nil {
			r.log.Warn("notification certificate", "error", err)
		}
	}
}

// verifier returns the one for a subscription's login host.
func (r *Receiver) verifier(record subscription.Record) *notification.Verifier {
	login := r.opts.Logins[record.Tenant]
	r.mu.Lock()
	defer r.mu.Unlock()
	v, ok := r.verifiers[login]
	if !ok {
		client := &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{
			TLSClientConfig: &tls.Config{RootCAs: login.Roots, MinVersion: tls.VersionTLS12}, IdleConnTimeout: time.Minute,
		}}
		v = notification.NewVerifier(notification.VerifierConfig{Login: login.URL, Client: client})
		r.verifiers[login] = v
	}
	return v
}

type metrics struct {
	notifications metric.Int64Counter
	handshakes    metric.Int64Counter
	items         metric.Int64Counter
}

func newMetrics(m metric.Meter) (*metrics, error) {
	var x metrics
	var errs [3]error
	x.notifications, errs[0] = m.Int64Counter("offhook_notifications", metric.WithDescription("Items that Graph posted, by what the door made of them."))
	x.handshakes, errs[1] = m.Int64Counter("offhook_handshakes", metric.WithDescription("Validation tokens that were posted, by what became of them."))
	x.items, errs[2] = m.Int64Counter("offhook_notification_items", metric.WithDescription("Stored items, by what was found inside."))
	return &x, errors.Join(errs[:]...)
}

func (x *metrics) count(ctx context.Context, result string, items int) {
	if items > 0 {
		x.notifications.Add(ctx, int64(items), metric.WithAttributes(attribute.String("result", result)))
	}
}

func (x *metrics) greeted(ctx context.Context, result string) {
	x.handshakes.Add(ctx, 1, metric.WithAttributes(attribute.String("result", result)))
}

func (x *metrics) opened(ctx context.Context, result string, items int) {
	x.items.Add(ctx, int64(items), metric.WithAttributes(attribute.String("result", result)))
}
