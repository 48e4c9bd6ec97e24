package bus

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"
	"go.opentelemetry.io/otel/trace/noop"

	"offhook.dev/libs/core/fault"
)

// publishTimeout bounds the wait for JetStream's ack.
const publishTimeout = 5 * time.Second

// Options says where the broker is and who is connecting.
type Options struct {
	// URL of the broker; ignored when InProcess is set.
	URL string
	// CredsFile holds the NATS credentials, or is empty.
	CredsFile string
	// InProcess connects to an embedded server without a socket.
	InProcess nats.InProcessConnProvider
	// Service and Instance name the connection and the parked messages.
	Service  string
	Instance string
	Log      *slog.Logger
	Tracer   trace.Tracer // nil: no traces
}

// Bus is a connection to the broker.
type Bus struct {
	nc      *nats.Conn
	js      jetstream.JetStream
	opts    Options
	log     *slog.Logger
	tracer  trace.Tracer
	clock   brokerClock
	streams sync.Map // topology.Stream -> jetstream.Stream

	mu          sync.Mutex // guards what follows
	reconnected []func()
	reconnects  uint64
	session     context.Context // ends when the connection comes back
	endSession  context.CancelFunc
}

// Connect connects and waits, within ctx, for JetStream to answer.
func Connect(ctx context.Context, o Options) (*Bus, error) {
	b := &Bus{opts: o, log: o.Log, tracer: o.Tracer}
	b.session, b.endSession = context.WithCancel(context.WithoutCancel(ctx))
	if b.log == nil {
		b.log = slog.New(slog.DiscardHandler)
	}
	if b.tracer == nil {
		b.tracer = noop.NewTracerProvider().Tracer("")
	}
	opts := []nats.Option{
		nats.Name("offhook-" + o.Service + "@" + o.Instance),
		nats.MaxReconnects(-1), nats.ReconnectWait(250 * time.Millisecond), nats.ReconnectJitter(100*time.Millisecond, time.Second),
		nats.RetryOnFailedConnect(true), nats.NoCallbacksAfterClientClose(),
		nats.DisconnectErrHandler(func(_ *nats.Conn, err error) {
			b.log.Warn("broker connection lost", "error", err)
		}),
		nats.ReconnectHandler(func(*nats.Conn) {
			b.log.Info("broker connection is back")
			b.cameBack()
		}),
	}
	if o.CredsFile != "" {
		opts = append(opts, nats.UserCredentials(o.CredsFile))
	}
	if o.InProcess != nil {
		opts = append(opts, nats.InProcessServer(o.InProcess))
	}
	nc, err := nats.Connect(o.URL, opts...)
	if err != nil {
		return nil, fault.New(fault.Unavailable, "bus: connect", err)
	}
	b.nc = nc
	if b.js, err = jetstream.New(nc, jetstream.WithDefaultTimeout(publishTimeout)); err != nil {
		nc.Close()
		return nil, fault.New(fault.Unknown, "bus: jetstream", err)
	}
	if err := b.waitReady(ctx); err != nil {
		nc.Close()
		return nil, err
	}
	return b, nil
}

func (b *Bus) waitReady(ctx context.Context) error {
	var last error
	for {
		if _, last = b.js.AccountInfo(ctx); last == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fault.New(fault.Unavailable, "bus: no JetStream at the broker", errors.Join(last, context.Cause(ctx)))
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// OnReconnect has do called, quickly, each time the connection came back: what was
// published or lost meanwhile has to be looked over.
func (b *Bus) OnReconnect(do func()) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.reconnected = append(b.reconnected, do)
}

// cameBack tells everybody that the connection is there again.
func (b *Bus) cameBack() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.reconnects++
	b.endSession()
	b.session, b.endSession = context.WithCancel(context.WithoutCancel(b.session))
	for _, do := range b.reconnected {
		do()
	}
}

// Reconnects counts how often the connection came back.
func (b *Bus) Reconnects() uint64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.reconnects
}

// untilReconnect ends when the connection comes back the next time.
func (b *Bus) untilReconnect() context.Context {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.session
}

// Connected says whether the broker is connected now.
func (b *Bus) Connected() bool { return b.nc.IsConnected() }

// JetStream returns the underlying context, for libs/store.
func (b *Bus) JetStream() jetstream.JetStream { return b.js }

// Conn returns the underlying connection, for health checks.
func (b *Bus) Conn() *nats.Conn { return b.nc }

// Close flushes what was published and closes the connection.
func (b *Bus) Close() { b.nc.Close() }

// Publish stores a message and returns its sequence in the stream.
func (b *Bus) Publish(ctx context.Context, m Message) (uint64, error) {
	sequence, _, err := b.PublishOnce(ctx, m)
	return sequence, err
}

// PublishOnce is Publish that also tells whether the broker knew the message's ID
// already and did not store it again.
func (b *Bus) PublishOnce(ctx context.Context, m Message) (sequence uint64, repeated bool, err error) {
	var opts []jetstream.PublishOpt
	if m.ID != "" {
		opts = append(opts, jetstream.WithMsgID(m.id()))
	}
	ack, err := b.publish(ctx, m, opts...)
	return ack.Sequence, ack.Duplicate, err
}

// PublishOver stores a message only if the newest one of its subject still has
// sequence last (0: there is none). Else it returns a fault of kind Conflict: the
// caller reads again and decides again.
func (b *Bus) PublishOver(ctx context.Context, m Message, last uint64) (uint64, error) {
	ack, err := b.publish(ctx, m, jetstream.WithExpectLastSequencePerSubject(last))
	return ack.Sequence, err
}

// Schedule stores a message on subject schedule that makes the broker publish
// m on m.Subject at the given time. A later Schedule on the same subject replaces
// it. The fire can come late or twice; it is only a reason to look again. It begins
// a chain of its own: what it leads to is the doing of the time, not of the message
// that looked ahead.
func (b *Bus) Schedule(ctx context.Context, schedule string, m Message, at time.Time) error {
	target := m.Subject
	m.Subject = schedule
	_, err := b.publish(Begin(ctx), m, jetstream.WithScheduleAt(at), jetstream.WithScheduleTarget(target))
	return err
}

func (b *Bus) publish(ctx context.Context, m Message, opts ...jetstream.PublishOpt) (jetstream.PubAck, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, publishTimeout, errors.New("no ack from the broker"))
	defer cancel()
	ctx, span := b.tracer.Start(ctx, "send "+flowOf(m.Subject), trace.WithSpanKind(trace.SpanKindProducer),
		trace.WithAttributes(attribute.String("messaging.system", "nats"), attribute.String("messaging.destination.name", m.Subject)))
	defer span.End()
	msg := &nats.Msg{Subject: m.Subject, Data: m.Data, Header: b.header(ctx, m)}
	ack, err := b.js.PublishMsg(ctx, msg, append(opts, jetstream.WithRetryAttempts(2))...)
	if err != nil {
		span.RecordError(err)
		return jetstream.PubAck{}, classify("bus: publish "+flowOf(m.Subject), err)
	}
	return *ack, nil
}

// header adds trace context, hop count and CloudEvents attributes.
func (b *Bus) header(ctx context.Context, m Message) nats.Header {
	h := nats.Header{}
	for k, v := range m.Header {
		h[k] = v
	}
	propagation.TraceContext{}.Inject(ctx, propagation.HeaderCarrier(h))
	h.Set(hopsHeader, fmt.Sprint(hopsFrom(ctx)))
	h.Set(ceSpecHeader, "1.0")
	h.Set(ceTypeHeader, "dev.offhook."+flowOf(m.Subject)+".v1")
	h.Set(ceSrcHeader, "/"+b.opts.Service+"/"+b.opts.Instance)
	h.Set(ceTimeHeader, b.Now().UTC().Format(time.RFC3339Nano))
	if m.ID != "" {
		h.Set(ceIDHeader, m.id())
	} else {
		h.Set(ceIDHeader, nats.NewInbox()[len("_INBOX."):])
	}
	return h
}

// classify turns the broker's errors into kinds.
func classify(op string, err error) error {
	var api *jetstream.APIError
	switch {
	case errors.As(err, &api) && (api.ErrorCode == jetstream.JSErrCodeStreamWrongLastSequence || api.ErrorCode == jetstream.JSErrCodeStreamWrongLastSequenceConstant):
		return fault.New(fault.Conflict, op, err)
	case errors.As(err, &api) && api.ErrorCode == streamStoreFailed:
		return fault.New(fault.Unavailable, op, err) // full: DiscardNew refused it
	case errors.Is(err, jetstream.ErrMsgNotFound), errors.Is(err, jetstream.ErrKeyNotFound), errors.Is(err, jetstream.ErrStreamNotFound):
		return fault.New(fault.NotFound, op, err)
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, nats.ErrTimeout):
		return fault.New(fault.Timeout, op, err)
	case errors.Is(err, context.Canceled):
		return fault.New(fault.Cancelled, op, err)
	}
	return fault.New(fault.Unavailable, op, err)
}

// streamStoreFailed is JSStreamStoreFailedF of nats-server 2.15 (server/errors.json),
// which nats.go 1.55 does not name: the stream refused to grow.
const streamStoreFailed jetstream.ErrorCode = 10077
