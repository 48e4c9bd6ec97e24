package bench

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"time"

	"golang.org/x/sync/errgroup"

	"offhook.dev/libs/bus"
	"offhook.dev/libs/bus/embedded"
	"offhook.dev/libs/config"
	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/graph/notification"
	"offhook.dev/libs/run"
	"offhook.dev/libs/secret"
	"offhook.dev/libs/store"
	"offhook.dev/libs/subscription"
	"offhook.dev/libs/topology"
	"offhook.dev/services/webhook-receiver/receiver"
)

func doorTable() Table {
	return Table{
		Name: "door", Run: measureDoor,
		What: "webhook-receiver: one basic item per POST over TLS, on disk before the 202. Floor: the same TLS, body read, same stream, same publish, no parsing.",
		Aim:  "at least 70 % of the floor at each concurrency",
	}
}

// concurrencies are how many connections post at a time.
var concurrencies = []int{1, 16, 64}

const (
	benchTenant    = "bench"
	benchDirectory = "11111111-2222-3333-4444-555555555555"
	benchApp       = "66666666-7777-8888-9999-000000000000"
	benchPath      = "/graph/"
)

// contender is a server that takes posts, with a broker of its own.
type contender struct {
	name    string
	broker  *embedded.Server
	bus     *bus.Bus // the bench's own connection
	service *running
	url     string
	bodies  [][]byte
	poster  *poster
	log     *os.File

	perSecond [][]float64     // by concurrency, of each round
	cpu       []time.Duration // by concurrency, of all rounds; the load's share is in it
	latency   []sample        // by concurrency, of all rounds
	got       []answers       // by concurrency
	backlog   int             // the most that waited in the queue after a step
}

// measureDoor loads receiver and floor in turn, so that what else runs on the
// machine meets both.
func measureDoor(ctx context.Context, b *Bench) (Report, error) {
	r := Report{Columns: []string{"concurrency", "receiver req/s", "p50", "p99", "CPU", "floor req/s", "p50", "p99", "CPU", "of the floor"}}
	var contenders []*contender
	defer func() {
		for _, c := range contenders {
			c.close()
		}
	}()
	for _, name := range []string{"receiver", "floor"} {
		c, err := b.open(ctx, name)
		if err != nil {
			return r, err
		}
		contenders = append(contenders, c)
	}
	for range b.Sizes.Rounds {
		for i, n := range concurrencies {
			for _, c := range contenders {
				if err := c.step(ctx, i, n, b.Sizes.Step); err != nil {
					return r, err
				}
			}
		}
	}
	door, floor := contenders[0], contenders[1]
	for i, n := range concurrencies {
		d, f := door.latency[i].sorted(), floor.latency[i].sorted()
		r.row(n, median(door.perSecond[i]), d.at(0.5), d.at(0.99), door.cpu[i]/time.Duration(max(len(d), 1)),
			median(floor.perSecond[i]), f.at(0.5), f.at(0.99), floor.cpu[i]/time.Duration(max(len(f), 1)), percent(ratio(door.perSecond[i], floor.perSecond[i])))
	}
	r.note("Requests a second are medians of %d rounds; the share of the floor is the median of the rounds' shares. CPU is of a POST with its client and the work behind the queue meanwhile.", b.Sizes.Rounds)
	return r, door.balance(ctx, &r, floor)
}

// ratio is the median of the rounds' ratios: the two of a round ran one after the
// other, under much the same conditions.
func ratio(ours, floors []float64) float64 {
	var shares []float64
	for i := range ours {
		shares = append(shares, ours[i]/floors[i])
	}
	return median(shares)
}

// balance checks that what was answered is what was stored.
func (c *contender) balance(ctx context.Context, r *Report, floor *contender) error {
	door, err := c.service.counted(ctx, "offhook_notifications_total")
	if err != nil {
		return err
	}
	opened, err := c.service.counted(ctx, "offhook_notification_items_total")
	if err != nil {
		return err
	}
	var all answers
	for i := range c.got {
		all.accepted.Add(c.got[i].accepted.Load())
		all.refused.Add(c.got[i].refused.Load())
		all.other.Add(c.got[i].other.Load())
	}
	stored, refused := door.of("stored"), door.of("refused", "flooded", "cut-off")
	r.note("Receiver: sent %d = stored %d + refused %d + invalid %d; opened behind the queue %d. At most %d waited in the queue (floor %d).",
		all.sent(), stored, refused, door.total()-stored-refused-door.of("repeated"), opened.total(), c.backlog, floor.backlog)
	r.check(all.sent() == door.total(), "%d sent (%v), %d counted by the door: %v", all.sent(), &all, door.total(), door)
	r.check(int(all.accepted.Load()) == stored, "%d answered 202, %d stored", all.accepted.Load(), stored)
	r.check(opened.total() >= stored, "%d stored, %d opened", stored, opened.total())
	return nil
}

// open starts a contender of its own broker.
func (b *Bench) open(ctx context.Context, name string) (*contender, error) {
	c := &contender{name: name, perSecond: make([][]float64, len(concurrencies)), cpu: make([]time.Duration, len(concurrencies)), latency: make([]sample, len(concurrencies)), got: make([]answers, len(concurrencies))}
	authority, err := secret.NewAuthority("Offhook bench", time.Now())
	if err != nil {
		return nil, err
	}
	certificate, err := authority.Issue("127.0.0.1")
	if err != nil {
		return nil, err
	}
	if c.log, err = b.logFile(); err != nil {
		return nil, err
	}
	if c.broker, c.bus, err = startBroker(ctx, b.path(name)); err != nil {
		return nil, err
	}
	c.poster = newPoster(authority.Pool(), concurrencies[len(concurrencies)-1])
	key, state, id := subscription.NewKey(), subscription.NewState(), "22222222-0000-4000-8000-000000000001"
	c.bodies = basicBodies(b.Sizes.Users, id, state.Reveal())
	listening := make(chan string, 1)
	part := run.Part{Name: topology.WebhookReceiver, Start: func(ctx context.Context, deps run.Deps, _ config.Config) error {
		if name == "floor" {
			return floor(ctx, deps.Bus, certificate, func(address string) { listening <- address })
		}
		record := subscription.Record{Tenant: benchTenant, Directory: benchDirectory, App: benchApp, Resource: "presence", ID: id, State: secret.Hash(state.Reveal()), Made: time.Now()}
		if err := putRecord(ctx, deps.Bus, key, record); err != nil {
			return err
		}
		return receiver.Run(ctx, deps, receiver.Options{
			Listen: "127.0.0.1:0", Certificate: certificate, VaultFile: b.path("vault.key"), PerSecond: 1_000_000,
			Logins:      map[identity.Tenant]receiver.Login{benchTenant: {URL: "https://127.0.0.1:1", Roots: authority.Pool()}},
			OnListening: func(address string) { listening <- address },
		})
	}}
	c.service = start(ctx, config.Config{Telemetry: config.Telemetry{MetricsListen: "127.0.0.1:0"}}, c.broker, c.log, part)
	select {
	case address := <-listening:
		c.url = "https://" + address + benchPath + key + "/notifications"
	case err := <-c.service.done:
		c.service.done <- err
		c.close()
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return c, nil
}

func putRecord(ctx context.Context, b *bus.Bus, key string, record subscription.Record) error {
	bucket, err := store.Open(ctx, b.JetStream(), topology.Subscriptions)
	if err != nil {
		return err
	}
	_, err = bucket.Put(ctx, subscription.KeyOf(key), record.Encode())
	return err
}

func (c *contender) close() {
	_ = c.service.halt() // stopping: what broke earlier has been reported
	c.poster.close()
	c.bus.Close()
	c.broker.Close()
	_ = c.log.Close()
}

// step loads the contender for a while and then waits until its queue is empty, so
// that the next step begins as this one did.
func (c *contender) step(ctx context.Context, i, workers int, d time.Duration) error {
	cpu := cpuTime()
	latency, got, took := saturate(ctx, workers, d, func(ctx context.Context, n uint64) (int, error) {
		return c.poster.post(ctx, c.url, c.bodies[n%uint64(len(c.bodies))])
	})
	c.cpu[i] += cpuTime() - cpu
	c.perSecond[i] = append(c.perSecond[i], float64(got.accepted.Load())/took.Seconds())
	c.latency[i] = append(c.latency[i], latency...)
	c.got[i].accepted.Add(got.accepted.Load())
	c.got[i].refused.Add(got.refused.Load())
	c.got[i].other.Add(got.other.Load())
	first := true
	why, err := settle(ctx, time.Minute, func() (string, error) {
		waiting, err := messages(ctx, c.bus, topology.Ingress)
		if first {
			c.backlog, first = max(c.backlog, waiting), false
		}
		if waiting == 0 || err != nil {
			return "", err
		}
		return fmt.Sprintf("%d posts wait in the queue", waiting), nil
	})
	if err == nil && why != "" {
		err = errors.New(why)
	}
	return errors.Join(err, c.service.broken())
}

// basicBodies makes one POST for each user, as Graph writes them.
func basicBodies(users int, id, state string) [][]byte {
	bodies := make([][]byte, users)
	for i := range bodies {
		user := fmt.Sprintf("33333333-0000-4000-8000-%012d", i)
		body, err := json.Marshal(map[string]any{"value": []any{map[string]any{
			"subscriptionId": id, "clientState": state, "changeType": "updated", "tenantId": benchDirectory, "organizationId": benchDirectory,
			"resource": "communications/presences('" + user + "')", "subscriptionExpirationDateTime": "2099-01-01T00:00:00.0000000Z",
			"resourceData": map[string]any{"@odata.type": "#Microsoft.Graph.presence", "@odata.id": "communications/presences('" + user + "')", "id": user},
		}}})
		if err != nil {
			panic("bench: basic item: " + err.Error()) // texts cannot fail
		}
		bodies[i] = body
	}
	return bodies
}

// floor is the least that keeps the promise of a 202: TLS as the receiver has it,
// the body read, stored in the same stream by the same publish, and a consumer that
// empties the queue without looking.
func floor(ctx context.Context, b *bus.Bus, certificate tls.Certificate, listening func(string)) error {
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	server := &http.Server{
		Handler: http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
			w.WriteHeader(keep(w, req, b))
		}),
		TLSConfig:   &tls.Config{Certificates: []tls.Certificate{certificate}, MinVersion: tls.VersionTLS12},
		ReadTimeout: 2500 * time.Millisecond, ReadHeaderTimeout: 2 * time.Second, WriteTimeout: 5 * time.Second, IdleTimeout: time.Minute,
		MaxHeaderBytes: 16 << 10,
	}
	g, ctx := errgroup.WithContext(ctx)
	stop := context.AfterFunc(ctx, func() { _ = server.Close() })
	defer stop()
	g.Go(func() error {
		return b.Consume(ctx, bus.Consumer{Stream: topology.Ingress, Durable: "floor", AnyOrder: true}, func(context.Context, bus.Message) error { return nil })
	})
	g.Go(func() error {
		if err := server.ServeTLS(listener, "", ""); !errors.Is(err, http.ErrServerClosed) {
			return err
		}
		return nil
	})
	listening(listener.Addr().String())
	return g.Wait()
}

// keep reads and stores one body.
func keep(w http.ResponseWriter, req *http.Request, b *bus.Bus) int {
	body, err := io.ReadAll(http.MaxBytesReader(w, req.Body, notification.MaxBody))
	if err != nil {
		return http.StatusServiceUnavailable
	}
	if _, err := b.Publish(req.Context(), bus.Message{Subject: "in." + benchTenant + ".presence", Data: body}); err != nil {
		return http.StatusServiceUnavailable
	}
	return http.StatusAccepted
}
