package bus_test

import (
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"offhook.dev/libs/bus"
	"offhook.dev/libs/bus/bustest"
	"offhook.dev/libs/topology"
)

// Every service applies the topology at its start, while others work with its streams:
// what is as it should be is left alone, and what somebody changed is set right.
func TestApplyUpdatesOnlyWhatIsDifferent(t *testing.T) {
	b := bustest.Connect(t, bustest.Broker(t), "test")
	if err := b.Apply(t.Context(), bus.Layout{}); err != nil {
		t.Fatal(err)
	}
	updates := make(chan *nats.Msg, 100)
	s, err := b.JetStream().Conn().ChanSubscribe("$JS.EVENT.ADVISORY.STREAM.UPDATED.*", updates)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.Unsubscribe() }()
	applied := func(l bus.Layout) (updated []string) {
		t.Helper()
		if err := b.Apply(t.Context(), l); err != nil {
			t.Fatal(err)
		}
		// Told before the answer to the update was, on the same connection.
		if err := b.JetStream().Conn().Flush(); err != nil {
			t.Fatal(err)
		}
		for len(updates) > 0 {
			updated = append(updated, (<-updates).Subject[len("$JS.EVENT.ADVISORY.STREAM.UPDATED."):])
		}
		return updated
	}
	if got := applied(bus.Layout{}); len(got) > 0 {
		t.Errorf("updated although nothing was different: %q", got)
	}
	if got := applied(bus.Layout{LeaseTTL: 3 * time.Second}); len(got) != 1 || got[0] != "KV_leases" {
		t.Errorf("updated %q for another life of leases", got)
	}
	stream, err := b.JetStream().Stream(t.Context(), string(topology.Outcomes))
	if err != nil {
		t.Fatal(err)
	}
	byHand := stream.CachedInfo().Config
	byHand.MaxMsgs = 5
	if _, err := b.JetStream().UpdateStream(t.Context(), byHand); err != nil {
		t.Fatal(err)
	}
	if got := applied(bus.Layout{LeaseTTL: 3 * time.Second}); len(got) != 2 || got[1] != string(topology.Outcomes) { // the first is the hand's
		t.Errorf("updated %q after a hand had changed a stream", got)
	}
}
