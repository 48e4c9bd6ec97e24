package api

import (
	"context"

	"github.com/nats-io/nats.go/jetstream"

	"offhook.dev/libs/bus"
	"offhook.dev/libs/core/fault"
	"offhook.dev/libs/topology"
)

// missed calls do for the changes among the outcomes after sequence `after` up to
// and including upTo that w wants, oldest first. Outcomes that the stream does not
// hold any more are gone; a sequence that it has not reached yet is nothing to do.
func missed(ctx context.Context, b *bus.Bus, m *model, w *watcher, after, upTo uint64, do func(event) error) error {
	if after >= upTo {
		return nil
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	consumer, err := b.JetStream().OrderedConsumer(ctx, string(topology.Outcomes), jetstream.OrderedConsumerConfig{
		FilterSubjects: outcomes(),
		DeliverPolicy:  jetstream.DeliverByStartSequencePolicy, OptStartSeq: after + 1,
	})
	if err != nil {
		return fault.New(fault.Unavailable, "api: missed outcomes", err)
	}
	if info, err := consumer.Info(ctx); err != nil || info.NumPending == 0 {
		return err
	}
	messages, err := consumer.Messages()
	if err != nil {
		return fault.New(fault.Unavailable, "api: missed outcomes", err)
	}
	defer messages.Stop()
	stop := context.AfterFunc(ctx, messages.Stop)
	defer stop()
	for {
		msg, err := messages.Next()
		if err != nil {
			return fault.New(fault.Unavailable, "api: missed outcomes", err)
		}
		meta, err := msg.Metadata()
		if err != nil {
			return fault.New(fault.Invalid, "api: missed outcomes", err)
		}
		sequence := meta.Sequence.Stream
		if sequence > upTo {
			return nil
		}
		if o, err := decodeOutcome(msg.Subject(), msg.Data()); err == nil && o.isChange() && w.wants(o.person()) {
			if err := do(event{sequence, m.changed(o)}); err != nil {
				return err
			}
		}
		if sequence == upTo || meta.NumPending == 0 {
			return nil
		}
	}
}
