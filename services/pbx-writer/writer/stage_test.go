package writer

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"testing"
	"time"

	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/metric/noop"
	tracer "go.opentelemetry.io/otel/trace/noop"

	"offhook.dev/libs/bus"
	"offhook.dev/libs/bus/bustest"
	"offhook.dev/libs/bus/embedded"
	"offhook.dev/libs/core/directory"
	"offhook.dev/libs/core/fault"
	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/core/presence"
	"offhook.dev/libs/hot"
	"offhook.dev/libs/links"
	"offhook.dev/libs/pbx"
	"offhook.dev/libs/pbx/memory"
	"offhook.dev/libs/run"
	"offhook.dev/libs/store"
	"offhook.dev/libs/topology"
	"offhook.dev/libs/wire"
)

const (
	hq       = identity.System("hq")
	contoso  = identity.Tenant("contoso")
	patience = 10 * time.Second
)

func lineOf(ext identity.Extension) identity.Line { return identity.Line{System: hq, Extension: ext} }

// person is the i-th user of contoso.
func person(i int) identity.Person {
	return identity.Person{Tenant: contoso, User: identity.User(fmt.Sprintf("00000000-0000-0000-0000-%012d", i))}
}

// phones is a phone system in memory with a tap on the line to it: what is written
// is recorded, and a test may stand in the way.
type phones struct {
	*memory.PhoneSystem
	mu     sync.Mutex // guards what follows
	writes map[identity.Extension][]presence.Status
	hidden map[identity.Extension]presence.Status // known, and in no listing
	way    func(ctx context.Context, op string, ext identity.Extension, request func() error) error
	sinks  map[*pbx.Sink]bool // of those who watch
}

// tap is the driver of phones.
type tap struct {
	memory.Full
	phones *phones
}

func newPhones(count int) *phones {
	var all []directory.Extension
	for i := range count {
		all = append(all, directory.Extension{Number: extension(i), Enabled: true})
	}
	return &phones{PhoneSystem: memory.NewPhoneSystem(all...), writes: map[identity.Extension][]presence.Status{}, sinks: map[*pbx.Sink]bool{}}
}

func extension(i int) identity.Extension { return identity.Extension(fmt.Sprint(200 + i)) }

func (p *phones) open(context.Context) (pbx.Driver, error) {
	return &tap{memory.Open(p.PhoneSystem, memory.Powers), p}, nil
}

// stand puts a test in the way of all requests; nil clears it.
func (p *phones) stand(way func(ctx context.Context, op string, ext identity.Extension, request func() error) error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.way = way
}

func (p *phones) pass(ctx context.Context, op string, ext identity.Extension, request func() error) error {
	p.mu.Lock()
	way := p.way
	p.mu.Unlock()
	if way == nil {
		return request()
	}
	return way(ctx, op, ext, request)
}

func (p *phones) written(ext identity.Extension) []presence.Status {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]presence.Status(nil), p.writes[ext]...)
}

// restart lets the phone system be away for a moment and come back showing old
// values, as one does that saves them now and then.
func (p *phones) restart(old map[identity.Extension]presence.Status) {
	refused := make(chan struct{})
	var once sync.Once
	p.stand(func(context.Context, string, identity.Extension, func() error) error {
		once.Do(func() { close(refused) })
		return fault.New(fault.Unavailable, "restarting", nil)
	})
	<-refused
	for ext, s := range old {
		p.Choose(ext, s)
	}
	p.stand(nil)
}

func (d *tap) Status(ctx context.Context, ext identity.Extension) (s presence.Status, err error) {
	d.phones.mu.Lock()
	hidden, ok := d.phones.hidden[ext]
	d.phones.mu.Unlock()
	if ok {
		return hidden, nil
	}
	err = d.phones.pass(ctx, "status", ext, func() error { s, err = d.Full.Status(ctx, ext); return err })
	return s, err
}

func (d *tap) Statuses(ctx context.Context, yield func(identity.Extension, presence.Status) error) error {
	return d.phones.pass(ctx, "statuses", "", func() error { return d.Full.Statuses(ctx, yield) })
}

func (d *tap) SetStatus(ctx context.Context, ext identity.Extension, s presence.Status) error {
	return d.phones.pass(ctx, "set-status", ext, func() error {
		err := d.Full.SetStatus(ctx, ext, s)
		if err == nil {
			d.phones.mu.Lock()
			d.phones.writes[ext] = append(d.phones.writes[ext], s)
			d.phones.mu.Unlock()
		}
		return err
	})
}

func (d *tap) Watch(ctx context.Context, sink pbx.Sink) error {
	return d.phones.pass(ctx, "watch", "", func() error {
		var mu sync.Mutex // a sink is called by one goroutine at a time
		one := func(e pbx.WatchEvent) {
			mu.Lock()
			defer mu.Unlock()
			sink(e)
		}
		key := (*pbx.Sink)(&one)
		d.phones.watching(key, true)
		defer d.phones.watching(key, false)
		return d.Full.Watch(ctx, one)
	})
}

func (p *phones) watching(sink *pbx.Sink, on bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.sinks[sink] = on; !on {
		delete(p.sinks, sink)
	}
}

// say tells those who watch something, true or not, and returns how many they are.
func (p *phones) say(e pbx.WatchEvent) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	for sink := range p.sinks {
		(*sink)(e)
	}
	return len(p.sinks)
}

// watchers is how many watch.
func (p *phones) watchers() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.sinks)
}

// stage is a broker and a phone system, with everything that others would do.
type stage struct {
	t        testing.TB
	broker   *embedded.Server
	bus      *bus.Bus
	phones   *phones
	buckets  map[topology.Bucket]*store.Bucket
	sequence uint64 // of the last want
	opts     Options
	meter    metric.Meter
	log      io.Writer   // what the service logs
	health   *run.Health // of the service that was run last
}

func newStage(t testing.TB, extensions int) *stage {
	t.Helper()
	s := &stage{t: t, broker: bustest.Broker(t), phones: newPhones(extensions), buckets: map[topology.Bucket]*store.Bucket{}, meter: noop.Meter{}, log: t.Output()}
	s.bus = bustest.Connect(t, s.broker, "test")
	s.make()
	for _, name := range []topology.Bucket{topology.Links, topology.Ledger, topology.Leases} {
		bucket, err := store.Open(t.Context(), s.bus.JetStream(), name)
		if err != nil {
			t.Fatal(err)
		}
		s.buckets[name] = bucket
	}
	// The minute pass is so far away that only what is meant to be prompt can be seen.
	s.opts = Options{MinutePass: time.Hour, Systems: []SystemConfig{{ID: hq, Tenants: []identity.Tenant{contoso}, Poll: 20 * time.Millisecond, Open: s.phones.open}}}
	for i := range extensions {
		s.link(i, i, 1)
	}
	return s
}

// make makes streams and buckets that are missing, with the lease's true TTL.
func (s *stage) make() {
	s.t.Helper()
	if err := s.bus.Apply(s.t.Context(), bus.Layout{}); err != nil {
		s.t.Fatal(err)
	}
}

// link pairs a person with an extension.
func (s *stage) link(who, ext int, revision uint64) {
	s.t.Helper()
	record := links.Record{Lines: []links.Line{{Line: lineOf(extension(ext)), Revision: revision, Powers: memory.Powers, How: "configured"}}}
	s.put(topology.Links, wire.PersonKey(person(who)), record)
}

func (s *stage) put(bucket topology.Bucket, key string, value any) {
	s.t.Helper()
	data, err := json.Marshal(value)
	if err == nil {
		_, err = s.buckets[bucket].Put(s.t.Context(), key, data)
	}
	if err != nil {
		s.t.Fatal(err)
	}
}

// run runs the service until stop or the end of the test.
func (s *stage) run(instance string) (stop func()) {
	s.t.Helper()
	log := slog.New(slog.NewTextHandler(s.log, nil)).With("instance", instance)
	b, err := bus.Connect(s.t.Context(), bus.Options{InProcess: s.broker, Service: "pbx-writer", Instance: instance, Log: log})
	if err != nil {
		s.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(s.t.Context()))
	ended := make(chan error, 1)
	s.health = run.NewHealth()
	deps := run.Deps{Instance: instance, Bus: b, Hot: hot.InProcess(), Log: log, Health: s.health,
		Tracer: tracer.NewTracerProvider().Tracer(""), Meter: s.meter}
	opts := s.opts
	opts.Systems = append([]SystemConfig(nil), opts.Systems...)
	go func() { ended <- Run(ctx, deps, opts) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			s.t.Errorf("%s: %v", instance, err)
		}
		b.Close()
	})
	s.t.Cleanup(stop)
	return stop
}

// wanted is a want for the i-th person and extension, newer than all before.
func (s *stage) wanted(i int, status presence.Status) wire.Want {
	s.sequence++
	return wire.Want{Person: person(i), Line: lineOf(extension(i)), Status: status, Reason: "teams", LinkRevision: 1,
		Revision: wire.Revision{Epoch: 1, Sequence: s.sequence}, SeenAt: s.bus.Now()}
}

func (s *stage) publish(w wire.Want) wire.Want {
	s.t.Helper()
	subject, data := w.Encode()
	if _, err := s.bus.Publish(s.t.Context(), bus.Message{Subject: subject, Data: data}); err != nil {
		s.t.Fatal(err)
	}
	return w
}

// covering is a want that knows of whatever the phone system was seen to show.
func (s *stage) covering(i int, status presence.Status) wire.Want {
	s.t.Helper()
	w := s.wanted(i, status)
	s.eventually(func() string {
		fact, ok := s.fact(i)
		if !ok {
			return "no fact yet"
		}
		w.DecidedOn = fact.Observation
		return ""
	})
	return s.publish(w)
}

// fact is the newest in the stream.
func (s *stage) fact(i int) (presence.StatusReading, bool) {
	m, err := s.bus.Last(s.t.Context(), topology.Facts, wire.StatusSubject(lineOf(extension(i))))
	if err != nil {
		return presence.StatusReading{}, false
	}
	fact, err := wire.DecodeStatus(m.Data)
	return fact.Reading, err == nil
}

// ledger is the entry in the bucket.
func (s *stage) ledger(i int) (e entry) {
	s.t.Helper()
	stored, err := s.buckets[topology.Ledger].Get(s.t.Context(), wire.LineKey(lineOf(extension(i))))
	if err == nil {
		err = json.Unmarshal(stored.Value, &e)
	}
	if err != nil && fault.KindOf(err) != fault.NotFound {
		s.t.Fatal(err)
	}
	return e
}

func (s *stage) outcomes(l identity.Line) (all []wire.Outcome) {
	s.t.Helper()
	filter := "outcome." + wire.LineKey(l)
	err := s.bus.History(s.t.Context(), topology.Outcomes, filter, func(m bus.Message) error {
		o, err := wire.DecodeOutcome(m.Data)
		all = append(all, o)
		return err
	})
	if err != nil && fault.KindOf(err) != fault.NotFound {
		s.t.Fatal(err)
	}
	return all
}

func (s *stage) eventually(ok func() string) {
	s.t.Helper()
	bustest.Eventually(s.t, patience, ok)
}

// ends waits for the outcome of a want and fails if it is another one.
func (s *stage) ends(w wire.Want, want wire.Result) wire.Outcome {
	s.t.Helper()
	o := s.outcome(w)
	if o.Result != want {
		s.t.Fatalf("%s %s (%s), want %s", w.Line, o.Result, o.Detail, want)
	}
	return o
}

// outcome waits for the first outcome of a want.
func (s *stage) outcome(w wire.Want) (o wire.Outcome) {
	s.t.Helper()
	s.eventually(func() string {
		for _, o = range s.outcomes(w.Line) {
			if o.Revision == w.Revision {
				return ""
			}
		}
		return fmt.Sprintf("no outcome of %s to %s", w.Line, w.Status)
	})
	return o
}

// shows waits until an extension shows a status.
func (s *stage) shows(i int, want presence.Status) {
	s.t.Helper()
	s.eventually(func() string {
		if shown := s.phones.Shown(extension(i)); shown != want {
			return fmt.Sprintf("%s shows %q, want %q", extension(i), shown, want)
		}
		return ""
	})
}

// tells waits for a fact.
func (s *stage) tells(i int, status presence.Status, origin presence.Origin) (fact presence.StatusReading) {
	s.t.Helper()
	s.eventually(func() (why string) {
		var ok bool
		if fact, ok = s.fact(i); !ok || fact.Status != status || fact.Origin != origin {
			return fmt.Sprintf("the fact is %s/%s, want %s/%s", fact.Status, cmp.Or(fact.Origin, "none"), status, origin)
		}
		return ""
	})
	return fact
}

// settled waits until nothing of the stream is with the consumer any more.
func (s *stage) settled() {
	s.t.Helper()
	s.eventually(func() string {
		c, err := s.bus.JetStream().Consumer(s.t.Context(), string(topology.Wants), "pbx-writer-hq-status")
		if err != nil {
			return err.Error()
		}
		info, err := c.Info(s.t.Context())
		if err != nil {
			return err.Error()
		}
		if info.NumAckPending > 0 || info.NumPending > 0 {
			return fmt.Sprintf("%d wants not acked, %d not delivered", info.NumAckPending, info.NumPending)
		}
		return ""
	})
}

// answer makes the phone system know an extension that its listings leave out.
func (p *phones) answer(ext identity.Extension, status presence.Status) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.hidden = map[identity.Extension]presence.Status{ext: status}
}
