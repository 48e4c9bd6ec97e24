package bus

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"offhook.dev/libs/core/fault"
	"offhook.dev/libs/listing"
	"offhook.dev/libs/topology"
)

// Last returns the newest message of a subject, or a fault of kind NotFound.
func (b *Bus) Last(ctx context.Context, stream topology.Stream, subject string) (Message, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, publishTimeout, errors.New("no answer from the broker"))
	defer cancel()
	s, err := b.stream(ctx, stream)
	if err != nil {
		return Message{}, err
	}
	raw, err := s.GetLastMsgForSubject(ctx, subject)
	if err != nil {
		return Message{}, classify("bus: last of "+subject, err)
	}
	return Message{Subject: raw.Subject, Data: raw.Data, Header: raw.Header, Sequence: raw.Sequence, Time: raw.Time, Hops: hops(raw.Header)}, nil
}

// Subjects lists the subjects of a stream that match a filter and have a message, in no
// order. Unlike Each it can be asked of a Queue, which is read by one consumer only.
func (b *Bus) Subjects(ctx context.Context, stream topology.Stream, filter string) (subjects []string, err error) {
	s, err := b.stream(ctx, stream)
	if err != nil {
		return nil, err
	}
	info, err := s.Info(ctx, jetstream.WithSubjectFilter(filter))
	if err != nil {
		return nil, classify("bus: subjects of "+string(stream), err)
	}
	return slices.Collect(maps.Keys(info.State.Subjects)), nil
}

// stream returns a handle without asking the broker each time.
func (b *Bus) stream(ctx context.Context, name topology.Stream) (jetstream.Stream, error) {
	if s, ok := b.streams.Load(name); ok {
		return s.(jetstream.Stream), nil
	}
	s, err := b.js.Stream(ctx, string(name))
	if err != nil {
		return nil, classify("bus: stream "+string(name), err)
	}
	b.streams.Store(name, s)
	return s, nil
}

// Each calls do for the newest message of every subject that matches filter and
// returns when all that were there at the start have been seen.
func (b *Bus) Each(ctx context.Context, stream topology.Stream, filter string, do func(Message) error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	done := errors.New("done")
	err := b.follow(ctx, stream, jetstream.DeliverLastPerSubjectPolicy, []string{filter}, do, func() error { return done })
	if errors.Is(err, done) {
		return nil
	}
	return err
}

// History calls do for every message of the filter that the stream still holds,
// oldest first.
func (b *Bus) History(ctx context.Context, stream topology.Stream, filter string, do func(Message) error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	done := errors.New("done")
	err := b.follow(ctx, stream, jetstream.DeliverAllPolicy, []string{filter}, do, func() error { return done })
	if errors.Is(err, done) {
		return nil
	}
	return err
}

// Follow calls do for the newest message of every matching subject, then current
// once, then do for each new message until ctx ends or do fails. It keeps no
// position: it is for mirrors in memory, not for work.
//
// When the connection to the broker comes back it begins anew, with the newest
// message of every subject: a broker that was killed may have lost the last ones
// of a stream that is not synced. A mirror that holds on to what it has seen looks
// at Reconnects to know when to forget it.
func (b *Bus) Follow(ctx context.Context, stream topology.Stream, filters []string, do func(Message) error, current func()) error {
	return b.followAnew(ctx, stream, jetstream.DeliverLastPerSubjectPolicy, filters, do, current)
}

// Tail is Follow of a history from now on. What comes while the connection is away is
// not seen: it is for news of which the truth is elsewhere.
func (b *Bus) Tail(ctx context.Context, stream topology.Stream, filters []string, do func(Message) error) error {
	return b.followAnew(ctx, stream, jetstream.DeliverNewPolicy, filters, do, func() {})
}

func (b *Bus) followAnew(ctx context.Context, stream topology.Stream, from jetstream.DeliverPolicy, filters []string, do func(Message) error, current func()) error {
	var failed error
	first := sync.OnceFunc(current)
	for {
		round, cancel := context.WithCancel(ctx)
		stop := context.AfterFunc(b.untilReconnect(), cancel)
		err := b.follow(round, stream, from, filters, func(m Message) error {
			failed = do(m)
			return failed
		}, func() error { first(); return nil })
		stop()
		cancel()
		if failed != nil || ctx.Err() != nil {
			return err
		}
		b.log.Debug("following anew", "stream", stream, "cause", err)
		select {
		case <-ctx.Done():
		case <-time.After(followPause):
		}
	}
}

// followPause is how long Follow waits before it begins anew.
const followPause = 100 * time.Millisecond

func (b *Bus) follow(ctx context.Context, stream topology.Stream, from jetstream.DeliverPolicy, filters []string,
	do func(Message) error, current func() error) error {
	s, err := b.stream(ctx, stream)
	if err != nil {
		return err
	}
	consumer, err := s.OrderedConsumer(ctx, jetstream.OrderedConsumerConfig{FilterSubjects: filters, DeliverPolicy: from, InactiveThreshold: abandoned})
	if err != nil {
		return classify("bus: follow "+string(stream), err)
	}
	defer forget(ctx, s, consumer)
	messages, err := consumer.Messages()
	if err != nil {
		return classify("bus: follow "+string(stream), err)
	}
	stop := context.AfterFunc(ctx, messages.Stop)
	defer stop()
	defer messages.Stop()
	end := listing.NewEnd(s, filters, current)
	if from == jetstream.DeliverNewPolicy {
		end.Skip()
	}
	if info := consumer.CachedInfo(); info == nil || info.NumPending == 0 {
		if err := end.Look(ctx); err != nil {
			return err
		}
	}
	for {
		msg, err := next(messages, end)
		if errors.Is(err, nats.ErrTimeout) {
			if err := end.Look(ctx); err != nil {
				return err
			}
			continue
		}
		if err != nil {
			if ctx.Err() != nil {
				return fault.New(fault.Cancelled, "bus: follow "+string(stream), context.Cause(ctx))
			}
			return classify("bus: follow "+string(stream), err)
		}
		m, meta, err := received(msg)
		if err != nil {
			return err
		}
		if err := do(m); err != nil {
			return err
		}
		if err := end.Saw(ctx, m.Sequence, meta.NumPending); err != nil {
			return err
		}
	}
}

func next(messages jetstream.MessagesContext, end *listing.End) (jetstream.Msg, error) {
	if end.Reached() {
		return messages.Next()
	}
	return messages.Next(jetstream.NextMaxWait(listing.Patience))
}

// abandoned is after how long the broker forgets a reader that is gone without a
// word.
const abandoned = 30 * time.Second

// forget removes a reader at once: a broker has room for so many, and reading
// happens often.
func forget(ctx context.Context, s jetstream.Stream, consumer jetstream.Consumer) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
	defer cancel()
	if info := consumer.CachedInfo(); info != nil {
		_ = s.DeleteConsumer(ctx, info.Name) // else it is forgotten by itself
	}
}

// received turns a delivered message into ours.
func received(msg jetstream.Msg) (Message, *jetstream.MsgMetadata, error) {
	meta, err := msg.Metadata()
	if err != nil {
		return Message{}, nil, fault.New(fault.Invalid, fmt.Sprintf("bus: message on %s without metadata", msg.Subject()), err)
	}
	return Message{
		Subject: msg.Subject(), Data: msg.Data(), Header: msg.Headers(), Sequence: meta.Sequence.Stream,
		Time: meta.Timestamp, Delivered: meta.NumDelivered, Hops: hops(msg.Headers()),
	}, meta, nil
}
