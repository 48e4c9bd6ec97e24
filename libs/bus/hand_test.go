package bus_test

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"offhook.dev/libs/bus"
	"offhook.dev/libs/bus/bustest"
	"offhook.dev/libs/core/fault"
	"offhook.dev/libs/topology"
)

// A process that dies with all of InFlight in hand once held up everybody else for as long
// as the slowest handler was allowed to take: for ten minutes, where changes are many.
func TestWhatADeadProcessHadInHandComesAgainLongBeforePatienceIsOver(t *testing.T) {
	broker := bustest.Broker(t)
	dying, heir := bustest.Connect(t, broker, "dying"), bustest.Connect(t, broker, "heir")
	c := bus.Consumer{Stream: topology.Wants, Durable: "test", InFlight: 4, Workers: 2, Patience: time.Hour, AckWait: 500 * time.Millisecond}
	for i := range 6 {
		publish(t, heir, fmt.Sprintf("pbx.want.status.hq.%d", 100+i), "x")
	}
	var held atomic.Int64
	go func() {
		_ = dying.Consume(context.WithoutCancel(t.Context()), c, func(context.Context, bus.Message) error { held.Add(1); select {} })
	}()
	bustest.Eventually(t, 10*time.Second, func() string {
		if held.Load() == 0 {
			return "it has nothing in hand"
		}
		return ""
	})
	dying.Close() // as the kernel does for who was killed: the broker sees the connection end
	var done atomic.Int64
	consume(t, heir, c, func(context.Context, bus.Message) error { done.Add(1); return nil })
	bustest.Eventually(t, 30*time.Second, func() string {
		if n := done.Load(); n < 6 {
			return fmt.Sprintf("%d of 6 came to the heir", n)
		}
		return ""
	})
}

func TestASlowHandlerKeepsWhatItHasInHand(t *testing.T) {
	b := bustest.Connect(t, bustest.Broker(t), "test")
	const wait = 300 * time.Millisecond
	for i := range 4 {
		publish(t, b, fmt.Sprintf("pbx.want.status.hq.%d", 100+i), "x")
	}
	var deliveries atomic.Int64
	consume(t, b, bus.Consumer{Stream: topology.Wants, Durable: "test", Workers: 1, Patience: time.Hour, AckWait: wait}, func(ctx context.Context, _ bus.Message) error {
		deliveries.Add(1)
		select {
		case <-ctx.Done():
		case <-time.After(2 * wait): // the last has waited for eight times as long as an answer may take
		}
		return nil
	})
	bustest.Eventually(t, 30*time.Second, func() string {
		consumer, err := b.JetStream().Consumer(t.Context(), string(topology.Wants), "test")
		if err != nil {
			return err.Error()
		}
		if is := consumer.CachedInfo(); is.NumPending > 0 || is.NumAckPending > 0 || deliveries.Load() == 0 {
			return fmt.Sprintf("%d wait and %d are in hand", is.NumPending, is.NumAckPending)
		}
		return ""
	})
	if n := deliveries.Load(); n != 4 {
		t.Errorf("%d deliveries of 4 messages", n)
	}
}

func TestAHandlerIsToldWhenPatienceIsOver(t *testing.T) {
	b := bustest.Connect(t, bustest.Broker(t), "test")
	publish(t, b, want101, "x")
	ended := make(chan error, 10)
	consume(t, b, bus.Consumer{Stream: topology.Wants, Durable: "test", Patience: 50 * time.Millisecond}, func(ctx context.Context, _ bus.Message) error {
		<-ctx.Done()
		ended <- context.Cause(ctx)
		return nil
	})
	if err := <-ended; err == nil || err.Error() != "handler of test took too long" {
		t.Error(err)
	}
}

// consume consumes until the end of the test.
func consume(t *testing.T, b *bus.Bus, c bus.Consumer, handle bus.Handler) {
	t.Helper()
	ctx, stop := context.WithCancel(context.WithoutCancel(t.Context()))
	ended := make(chan error, 1)
	go func() { ended <- b.Consume(ctx, c, handle) }()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil && fault.KindOf(err) != fault.Cancelled {
			t.Error(err)
		}
	})
}

// What had come to a process and not to a handler yet once waited for AckWait.
func TestWhoIsAskedToEndGivesBackWhatHasCome(t *testing.T) {
	b := bustest.Connect(t, bustest.Broker(t), "test")
	c := bus.Consumer{Stream: topology.Wants, Durable: "test", InFlight: 64, Workers: 1, AckWait: time.Hour}
	for i := range 50 {
		publish(t, b, fmt.Sprintf("pbx.want.status.hq.%d", 100+i), "x")
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		ended <- b.Consume(ctx, c, func(context.Context, bus.Message) error { stop(); return nil })
	}()
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	seen := make(chan string, 100)
	consume(t, b, c, func(_ context.Context, m bus.Message) error { seen <- m.Subject; return nil })
	for n := range 49 {
		select {
		case <-seen:
		case <-time.After(20 * time.Second):
			t.Fatalf("%d of 49 came back", n)
		}
	}
}
