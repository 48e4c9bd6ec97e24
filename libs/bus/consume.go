package bus

import (
	"context"
	"errors"
	"fmt"
	"hash/maphash"
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
	// AckWait after which an unanswered message is delivered again; 0: 60 s. A
	// handler must be done by then.
	AckWait time.Duration
	// NewestOnly acks a message unhandled when a newer one of its subject has
	// arrived: for wants, where a prefetched older one must not be carried out.
	NewestOnly bool
	// AnyOrder spreads messages over the workers without regard to their subject:
	// for messages that are ordered by their content.
	AnyOrder bool
}

// Handler deals with one message. The context carries its trace and ends when the
// consumer stops or AckWait is over.
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
	stop := context.AfterFunc(ctx, messages.Stop)
	defer stop()
	defer messages.Stop()

	w := newWorkers(ctx, b, c, handle)
	defer w.wait()
	for {
		msg, err := messages.Next()
		switch {
		case err == nil:
			w.dispatch(msg)
		case ctx.Err() != nil, errors.Is(err, jetstream.ErrMsgIteratorClosed):
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
	if c.AckWait == 0 {
		c.AckWait = 60 * time.Second
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
	lanes  []chan jetstream.Msg
	turn   int // next lane, where order does not matter
	done   sync.WaitGroup
	newest newest
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
	w := &workers{bus: b, c: c, handle: handle, ctx: ctx, seed: maphash.MakeSeed(), lanes: make([]chan jetstream.Msg, c.Workers), newest: newest{seen: map[string]uint64{}}}
	for i := range w.lanes {
		lane := make(chan jetstream.Msg, c.InFlight) // never blocks: MaxAckPending bounds what is out
		w.lanes[i] = lane
		w.done.Go(func() {
			for msg := range lane {
				w.one(msg)
			}
		})
	}
	return w
}

func (w *workers) dispatch(msg jetstream.Msg) {
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
	w.lanes[lane] <- msg
}

func (w *workers) wait() {
	for _, lane := range w.lanes {
		close(lane)
	}
	w.done.Wait()
}

// one handles one message and carries out the verdict.
func (w *workers) one(msg jetstream.Msg) {
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
	ctx, cancel := context.WithTimeoutCause(w.ctx, w.c.AckWait-w.c.AckWait/10, fmt.Errorf("handler of %s took too long", w.c.Durable))
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
