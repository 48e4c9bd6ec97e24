package bus

import (
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"

	"offhook.dev/libs/core/fault"
	"offhook.dev/libs/topology"
)

// Consumer describes a share of a stream's messages.
type Consumer struct {
	Stream topology.Stream
	// Durable names the consumer; all replicas of a service use one name and share
	// its messages.
	Durable string
	Filters []string
	// InFlight is how many messages may be with handlers at once; 0: 64.
	InFlight int
	// Workers handle messages in parallel; 0: 8. Messages of one subject always go
	// to the same worker, one after the other.
	Workers int
	// Patience is how long a handler may take; 0: 54 s. Its context ends then.
	Patience time.Duration
	// AckWait is after how long a message is delivered again that nobody has in hand any
	// more, because the process died: the broker is told of those in hand three times in
	// it. 0: 15 s. Until then they take places of InFlight.
	AckWait time.Duration
	// NewestOnly acks a message unhandled when a newer one of its subject has
	// arrived: for wants, where a prefetched older one must not be carried out.
	NewestOnly bool
	// AnyOrder spreads messages over the workers without regard to their subject:
	// for messages that are ordered by their content.
	AnyOrder bool
}

// Handler deals with one message. The context carries its trace and ends when the
// consumer stops or Patience is over.
type Handler func(ctx context.Context, m Message) error

// Consume hands messages to the handler until ctx ends (then it returns nil) or
// the consumer cannot be used (a fault).
func (b *Bus) Consume(ctx context.Context, c Consumer, handle Handler) error {
	c = c.withDefaults()
	s, err := b.stream(ctx, c.Stream)
	if err != nil {
		return err
	}
	consumer, err := s.CreateOrUpdateConsumer(ctx, jetstream.ConsumerConfig{
		Durable: c.Durable, FilterSubjects: c.Filters, AckPolicy: jetstream.AckExplicitPolicy,
		AckWait: c.AckWait, MaxAckPending: c.InFlight, MaxDeliver: -1, DeliverPolicy: jetstream.DeliverAllPolicy,
		Metadata: map[string]string{"app": "offhook", "owner": b.opts.Service},
	})
	if err != nil {
		return classify("bus: consumer "+c.Durable, err)
	}
	messages, err := consumer.Messages(jetstream.PullMaxMessages(c.InFlight))
	if err != nil {
		return classify("bus: consumer "+c.Durable, err)
	}
	// Drained, not stopped: what has come already is given back at once, for somebody else.
	stop := context.AfterFunc(ctx, messages.Drain)
	defer stop()
	defer messages.Stop()

	w := newWorkers(ctx, b, c, handle)
	defer w.wait()
	for {
		msg, err := messages.Next()
		switch {
		case err == nil:
			w.dispatch(msg)
		case errors.Is(err, jetstream.ErrMsgIteratorClosed), ctx.Err() != nil:
			return nil
		case errors.Is(err, jetstream.ErrNoHeartbeat):
			b.log.Warn("no heartbeat from the broker", "consumer", c.Durable)
		default:
			return classify("bus: consumer "+c.Durable, err)
		}
	}
}

func (c Consumer) withDefaults() Consumer {
	if c.InFlight == 0 {
		c.InFlight = 64
	}
	if c.Workers == 0 {
		c.Workers = 8
	}
	if c.Patience == 0 {
		c.Patience = 54 * time.Second
	}
	if c.AckWait == 0 {
		c.AckWait = 15 * time.Second
	}
	return c
}

// workers spread messages by subject, so that one subject's messages stay in order.
type workers struct {
	bus    *Bus
	c      Consumer
	handle Handler
	ctx    context.Context // ends with Consume; handlers get it with a deadline
	seed   maphash.Seed
	lanes  []waiting
	turn   int // next lane, where order does not matter
	done   sync.WaitGroup
	newest newest
	inHand inHand

	stopped chan struct{} // closed when no message is in hand any more
	telling sync.WaitGroup
}

// inHand are the messages that wait for a worker or are with one.
type inHand struct {
	mu  sync.Mutex // guards all
	all map[jetstream.Msg]bool
}

func (h *inHand) put(msg jetstream.Msg, in bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if in {
		h.all[msg] = true
	} else {
		delete(h.all, msg)
	}
}

// tell lets the broker know that the messages are in hand still.
func (h *inHand) tell() {
	h.mu.Lock()
	all := slices.Collect(maps.Keys(h.all))
	h.mu.Unlock()
	for _, msg := range all {
		_ = msg.InProgress() // answered meanwhile, or told again before long
	}
}

// newest remembers the newest sequence of each subject that is with the workers.
type newest struct {
	mu   sync.Mutex // guards seen
	seen map[string]uint64
}

func (n *newest) arrived(subject string, sequence uint64) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.seen[subject] = max(n.seen[subject], sequence)
}

// superseded says whether a newer message of the subject has arrived, and forgets
// the subject when this was the newest.
func (n *newest) superseded(subject string, sequence uint64) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.seen[subject] > sequence {
		return true
	}
	delete(n.seen, subject)
	return false
}

// overtaken says whether a newer message of the subject has arrived.
func (n *newest) overtaken(subject string, sequence uint64) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.seen[subject] > sequence
}

func newWorkers(ctx context.Context, b *Bus, c Consumer, handle Handler) *workers {
	w := &workers{bus: b, c: c, handle: handle, ctx: ctx, seed: maphash.MakeSeed(), lanes: make([]waiting, c.Workers),
		newest: newest{seen: map[string]uint64{}}, inHand: inHand{all: map[jetstream.Msg]bool{}}, stopped: make(chan struct{})}
	w.telling.Go(w.tell)
	return w
}

// tell tells the broker of the messages in hand until there are none any more.
func (w *workers) tell() {
	every := time.NewTicker(w.c.AckWait / 3)
	defer every.Stop()
	for {
		select {
		case <-w.stopped:
			return
		case <-every.C:
			w.inHand.tell()
		}
	}
}

func (w *workers) dispatch(msg jetstream.Msg) {
	w.inHand.put(msg, true)
	if w.c.NewestOnly {
		if meta, err := msg.Metadata(); err == nil {
			w.newest.arrived(msg.Subject(), meta.Sequence.Stream)
		}
	}
	lane := w.turn
	if w.c.AnyOrder {
		w.turn = (w.turn + 1) % len(w.lanes)
	} else {
		lane = int(maphash.String(w.seed, msg.Subject()) % uint64(len(w.lanes)))
	}
	if w.lanes[lane].add(msg) {
		w.done.Go(func() { w.work(&w.lanes[lane]) })
	}
}

// work handles what waits for one worker until nothing does.
func (w *workers) work(lane *waiting) {
	for msg := lane.next(); msg != nil; msg = lane.next() {
		w.one(msg)
	}
}

// wait waits for the workers. Nothing is dispatched any more.
func (w *workers) wait() {
	w.done.Wait()
	close(w.stopped)
	w.telling.Wait()
}

// one handles one message and carries out the verdict.
func (w *workers) one(msg jetstream.Msg) {
	defer w.inHand.put(msg, false)
	if w.ctx.Err() != nil {
		_ = msg.Nak() // stopping: somebody else may have it at once; if this is lost, AckWait returns it
		return
	}
	m, _, err := received(msg)
	if err != nil {
		w.bus.log.Error("message without metadata", "subject", msg.Subject(), "error", err)
		return
	}
	if w.c.NewestOnly && w.newest.superseded(m.Subject, m.Sequence) {
		w.carryOut(w.ctx, msg, m, ack, 0, nil)
		return
	}
	if w.c.NewestOnly {
		m.overtaken = func() bool { return w.newest.overtaken(m.Subject, m.Sequence) }
	}
	ctx, cancel := context.WithTimeoutCause(w.ctx, w.c.Patience, fmt.Errorf("handler of %s took too long", w.c.Durable))
	defer cancel()
	ctx = propagation.TraceContext{}.Extract(ctx, propagation.HeaderCarrier(m.Header))
	ctx = withHops(ctx, m.Hops+1)
	ctx, span := w.bus.tracer.Start(ctx, "process "+flowOf(m.Subject), trace.WithSpanKind(trace.SpanKindConsumer),
		trace.WithAttributes(attribute.String("messaging.system", "nats"), attribute.String("messaging.destination.name", m.Subject),
			attribute.Int64("messaging.nats.delivered", int64(m.Delivered))))
	defer span.End()

	if m.Hops > MaxHops {
		err = fault.Errorf(fault.Invalid, "bus: loop guard", "%d messages led to this one, more than %d", m.Hops, MaxHops)
	} else {
		err = w.handle(ctx, m)
	}
	do, delay := verdict(err, m.Delivered)
	if err != nil {
		span.RecordError(err)
		span.SetAttributes(attribute.String("offhook.verdict", do.String()))
	}
	w.carryOut(ctx, msg, m, do, delay, err)
}

func (w *workers) carryOut(ctx context.Context, msg jetstream.Msg, m Message, do verb, delay time.Duration, cause error) {
	log := w.bus.log.With("consumer", w.c.Durable, "subject", flowOf(m.Subject), "sequence", m.Sequence, "delivered", m.Delivered)
	var err error
	switch do {
	case ack:
		err = msg.Ack()
	case retry:
		log.Info("message will be tried again", "after", delay, "kind", fault.KindOf(cause), "cause", cause)
		err = msg.NakWithDelay(delay)
	case park:
		// Parked first, then terminated: if parking fails, it is tried again.
		if err = w.bus.Park(ctx, w.c.Stream, m, cause); err != nil {
			log.Error("message could not be parked", "error", err, "cause", cause)
			err = msg.NakWithDelay(backoff(m.Delivered))
			break
		}
		log.Warn("message parked", "kind", fault.KindOf(cause), "cause", cause)
		err = msg.TermWithReason(fault.KindOf(cause).String())
	case halt:
		log.Warn("consumer halted", "for", delay, "kind", fault.KindOf(cause), "cause", cause)
		err = msg.NakWithDelay(delay)
		w.pause(delay)
	}
	if err != nil && w.ctx.Err() == nil {
		log.Warn("verdict not delivered to the broker; the message comes again", "verdict", do.String(), "error", err)
	}
}

// pause keeps this worker from working for d. The others run into the same denial
// and pause as well, each at the cost of one message tried.
func (w *workers) pause(d time.Duration) {
	select {
	case <-w.ctx.Done():
	case <-time.After(d):
	}
}

// Begin makes what is published with ctx the start of a chain of its own: a person's
// choice is nobody's consequence, whatever was under way when it was seen.
func Begin(ctx context.Context) context.Context { return withHops(ctx, 0) }

type hopsKey struct{}

// withHops notes on the context how many messages led to what it is used for.
// This is tracing, not business: nothing is decided by it but the loop guard.
func withHops(ctx context.Context, n int) context.Context {
	return context.WithValue(ctx, hopsKey{}, n)
}

func hopsFrom(ctx context.Context) int {
	n, _ := ctx.Value(hopsKey{}).(int)
	return n
}
