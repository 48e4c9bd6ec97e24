package bus

import (
	"context"
	"errors"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"go.opentelemetry.io/otel/propagation"

	"offhook.dev/libs/core/fault"
	"offhook.dev/libs/topology"
)

// A queue whose messages take longer than an ack can wait, and in which one subject's
// must not hold up another's, is read by hand: Heads tells what waits, At fetches what
// is worked on, Remove takes away what is done. Nothing is ever acked, so whoever
// begins anew finds everything that is not done.

// unacked is how long the broker waits before it tells of a message again that is still
// there: it costs a few bytes, and the reader has it on its list anyway.
const unacked = time.Hour

// Heads calls do for every message of the filters that a Queue holds, in order and
// without its content, and then for each that comes. It begins anew, with all that are
// there, when the connection comes back or the reader is disturbed, until ctx ends or
// do fails; so do is told of a message again and again. One process at a time may read
// the same filters: the newest takes over from whoever uses the same durable name.
func (b *Bus) Heads(ctx context.Context, stream topology.Stream, durable string, filters []string, do func(Message) error) error {
	var failed error
	for {
		round, cancel := context.WithCancel(ctx)
		stop := context.AfterFunc(b.untilReconnect(), cancel)
		err := b.heads(round, stream, durable, filters, func(m Message) error {
			failed = do(m)
			return failed
		})
		stop()
		cancel()
		if failed != nil || ctx.Err() != nil {
			return err
		}
		b.log.Debug("reading a queue anew", "stream", stream, "cause", err)
		select {
		case <-ctx.Done():
		case <-time.After(followPause):
		}
	}
}

func (b *Bus) heads(ctx context.Context, stream topology.Stream, durable string, filters []string, do func(Message) error) error {
	s, err := b.stream(ctx, stream)
	if err != nil {
		return err
	}
	// A new consumer is told of everything, an old one only of what is due again.
	if err := s.DeleteConsumer(ctx, durable); err != nil && !errors.Is(err, jetstream.ErrConsumerNotFound) {
		return classify("bus: consumer "+durable, err)
	}
	consumer, err := s.CreateConsumer(ctx, jetstream.ConsumerConfig{
		Durable: durable, FilterSubjects: filters, AckPolicy: jetstream.AckExplicitPolicy, DeliverPolicy: jetstream.DeliverAllPolicy,
		AckWait: unacked, MaxAckPending: -1, MaxDeliver: -1, HeadersOnly: true,
		Metadata: map[string]string{"app": "offhook", "owner": b.opts.Service},
	})
	if err != nil {
		return classify("bus: consumer "+durable, err)
	}
	messages, err := consumer.Messages()
	if err != nil {
		return classify("bus: consumer "+durable, err)
	}
	stop := context.AfterFunc(ctx, messages.Stop)
	defer stop()
	defer messages.Stop()
	for {
		msg, err := messages.Next()
		switch {
		case err == nil:
		case ctx.Err() != nil:
			return fault.New(fault.Cancelled, "bus: consumer "+durable, context.Cause(ctx))
		case errors.Is(err, jetstream.ErrNoHeartbeat):
			b.log.Warn("no heartbeat from the broker", "consumer", durable)
			continue
		default:
			return classify("bus: consumer "+durable, err)
		}
		m, _, err := received(msg)
		if err != nil {
			return err
		}
		if err := do(m); err != nil {
			return err
		}
	}
}

// At fetches the message that has a sequence of a stream, or a fault of kind NotFound.
func (b *Bus) At(ctx context.Context, stream topology.Stream, sequence uint64) (Message, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, publishTimeout, errors.New("no answer from the broker"))
	defer cancel()
	s, err := b.stream(ctx, stream)
	if err != nil {
		return Message{}, err
	}
	raw, err := s.GetMsg(ctx, sequence)
	if err != nil {
		return Message{}, classify("bus: fetch from "+string(stream), err)
	}
	return Message{Subject: raw.Subject, Data: raw.Data, Header: raw.Header, Sequence: raw.Sequence, Time: raw.Time, Hops: hops(raw.Header)}, nil
}

// Remove takes a message out of a stream. One that is not there is no error.
func (b *Bus) Remove(ctx context.Context, stream topology.Stream, sequence uint64) error {
	ctx, cancel := context.WithTimeoutCause(ctx, publishTimeout, errors.New("no answer from the broker"))
	defer cancel()
	s, err := b.stream(ctx, stream)
	if err != nil {
		return err
	}
	if err = s.DeleteMsg(ctx, sequence); err == nil {
		return nil
	}
	if errors.Is(err, jetstream.ErrMsgDeleteUnsuccessful) { // the client drops the reason
		if _, gone := s.GetMsg(ctx, sequence); errors.Is(gone, jetstream.ErrMsgNotFound) {
			return nil
		}
	}
	return classify("bus: remove from "+string(stream), err)
}

// After makes what is published with ctx a consequence of a message that was fetched:
// of its trace, and one hop further.
func After(ctx context.Context, m Message) context.Context {
	ctx = propagation.TraceContext{}.Extract(ctx, propagation.HeaderCarrier(m.Header))
	return withHops(ctx, m.Hops+1)
}
