package api

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	"offhook.dev/libs/bus"
	"offhook.dev/libs/core/fault"
	"offhook.dev/libs/topology"
)

// backlog is what waits on the broker, as it was when it was last looked at.
type backlog struct {
	mu      sync.Mutex // guards what follows
	parked  uint64
	pending map[consumer]uint64
}

// consumer names a durable consumer.
type consumer struct{ stream, name string }

// read asks the broker. Ordered consumers belong to somebody's mirror and come and
// go with it: only durable ones are work that can be behind.
func (l *backlog) read(ctx context.Context, b *bus.Bus) error {
	pending := map[consumer]uint64{}
	var parked uint64
	for _, info := range topology.Streams() {
		stream, err := b.JetStream().Stream(ctx, string(info.Name))
		if err != nil {
			return fault.New(fault.Unavailable, "api: backlog of "+string(info.Name), err)
		}
		if info.Name == topology.ParkedMsg {
			parked = stream.CachedInfo().State.Msgs
		}
		if err := addPending(ctx, stream, info.Name, pending); err != nil {
			return err
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.parked, l.pending = parked, pending
	return nil
}

func addPending(ctx context.Context, stream jetstream.Stream, name topology.Stream, pending map[consumer]uint64) error {
	list := stream.ListConsumers(ctx)
	for info := range list.Info() {
		if info.Config.Durable != "" {
			pending[consumer{string(name), info.Name}] = info.NumPending + uint64(info.NumAckPending)
		}
	}
	if err := list.Err(); err != nil {
		return fault.New(fault.Unavailable, "api: consumers of "+string(name), err)
	}
	return nil
}

// keep reads every interval until ctx ends.
func (l *backlog) keep(ctx context.Context, b *bus.Bus, every time.Duration, failed func(error)) {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		if err := l.read(ctx, b); err != nil && ctx.Err() == nil {
			failed(err)
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// quantiles of ages that are told of each lane; 1 is the oldest.
var quantiles = map[string]float64{"0.5": 0.5, "0.99": 0.99, "1": 1}

// observe registers the metrics; they are computed when they are scraped.
func observe(meter metric.Meter, m *model, l *backlog) (metric.Registration, error) {
	age, err1 := meter.Float64ObservableGauge("offhook_presence_age", metric.WithUnit("s"),
		metric.WithDescription("Since the last good sweep of a tenant's stalest shard began."))
	stale, err4 := meter.Int64ObservableGauge("offhook_presence_stale",
		metric.WithDescription("Users whose Teams presence was last confirmed more than three sweeps ago."))
	lanes, err5 := meter.Float64ObservableGauge("offhook_lane_age", metric.WithUnit("s"),
		metric.WithDescription("Since the Teams values of the users on the lane of an account were last confirmed, by quantile; account \"\": of those who are swept only."))
	parked, err2 := meter.Int64ObservableGauge("offhook_parked", metric.WithDescription("Messages set aside for a person."))
	pending, err3 := meter.Int64ObservableGauge("offhook_consumer_pending",
		metric.WithDescription("Messages that a consumer has not dealt with yet, delivered or not."))
	if err := errors.Join(err1, err2, err3, err4, err5); err != nil {
		return nil, err
	}
	return meter.RegisterCallback(func(_ context.Context, o metric.Observer) error {
		for tenant, d := range m.presenceAges() {
			o.ObserveFloat64(age, d.Seconds(), metric.WithAttributes(attribute.String("tenant", string(tenant))))
		}
		for tenant, n := range m.staleness() {
			o.ObserveInt64(stale, int64(n), metric.WithAttributes(attribute.String("tenant", string(tenant))))
		}
		for lane, ages := range m.laneAges() {
			for name, quantile := range quantiles {
				o.ObserveFloat64(lanes, ages[int(quantile*float64(len(ages)-1))].Seconds(), metric.WithAttributes(
					attribute.String("tenant", string(lane.tenant)), attribute.String("account", lane.account), attribute.String("quantile", name)))
			}
		}
		l.mu.Lock()
		defer l.mu.Unlock()
		if l.pending == nil {
			return nil // not looked yet
		}
		o.ObserveInt64(parked, int64(l.parked))
		for c, n := range l.pending {
			o.ObserveInt64(pending, int64(n), metric.WithAttributes(attribute.String("stream", c.stream), attribute.String("consumer", c.name)))
		}
		return nil
	}, age, stale, lanes, parked, pending)
}
