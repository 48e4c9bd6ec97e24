package api_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"offhook.dev/libs/bus"
	"offhook.dev/libs/bus/bustest"
	"offhook.dev/libs/topology"
)

func TestMetricsSayHowFreshPresenceIsAndWhatWaits(t *testing.T) {
	s := scene(t)
	if err := s.Bus.Park(t.Context(), topology.Facts, bus.Message{Subject: "pbx.fact.status.hq.100"}, errors.New("no sense")); err != nil {
		t.Fatal(err)
	}
	// A consumer that is behind by all 3 facts of statuses and presences, whoever reads.
	ctx, cancel := context.WithCancel(t.Context())
	seen := make(chan struct{}, 10)
	ended := make(chan error, 1)
	go func() {
		ended <- s.Bus.Consume(ctx, bus.Consumer{Stream: topology.Facts, Durable: "behind", Filters: []string{"m365.fact.presence.*.*", "pbx.fact.status.*.*"}},
			func(ctx context.Context, _ bus.Message) error { seen <- struct{}{}; <-ctx.Done(); return ctx.Err() })
	}()
	<-seen
	bustest.Eventually(t, 10*time.Second, func() string {
		got := map[string]float64{}
		families, err := s.Telemetry.Registry.Gather()
		if err != nil {
			return err.Error()
		}
		for _, f := range families {
			for _, m := range f.Metric {
				key := f.GetName()
				for _, l := range m.Label {
					key += " " + l.GetValue()
				}
				got[key] = m.GetGauge().GetValue()
			}
		}
		age := got["offhook_presence_age_seconds contoso"]
		if got["offhook_parked"] != 1 || got["offhook_consumer_pending behind FACTS"] != 3 || age < 1790 || age > 1860 {
			return fmt.Sprint(got)
		}
		if _, known := got["offhook_presence_age_seconds fabrikam"]; known {
			return "a tenant that was never swept has an age"
		}
		return ""
	})
	cancel()
	<-ended
}
