package portsip

import (
	"sync"
	"testing"
	"time"

	"offhook.dev/libs/core/fault"
	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/core/presence"
	"offhook.dev/libs/pbx"
	"offhook.dev/libs/pbx/portsipsim"
)

// flooded is a phone system that takes so many requests in a window, with a System in
// front that knows all ids.
func flooded(t *testing.T, limit int, window time.Duration, perSecond float64) (*portsipsim.Sim, *pbx.System) {
	t.Helper()
	sim := start(t, portsipsim.Config{Extensions: 64, ListsDND: true, Limit: limit, Window: window})
	config := configFor(sim)
	config.Partial = true
	d := open(t, config)
	system, err := pbx.NewSystem("branch", d, pbx.Options{Pace: pbx.Pace{InFlight: 16, PerSecond: perSecond}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { system.Close() })
	if err := system.Statuses(t.Context(), func(identity.Extension, presence.Status) error { return nil }); err != nil {
		t.Fatal(err)
	}
	return sim, system
}

// flood writes every extension's status so many times, all extensions at once, and repeats
// what was refused as one too many, as the bus does.
func flood(t *testing.T, sim *portsipsim.Sim, system *pbx.System, times int) {
	var writers sync.WaitGroup
	for _, ext := range sim.Numbers() {
		writers.Go(func() {
			for i := 0; i < times; {
				status := presence.DND
				if (times-i)%2 == 0 { // the last one is DND
					status = presence.Available
				}
				err := system.SetStatus(t.Context(), ext, status)
				if kind := fault.KindOf(err); err != nil && (kind == fault.Throttled || kind == fault.Unavailable) {
					continue
				}
				if err != nil {
					t.Errorf("%s: %v", ext, err)
				}
				i++
			}
		})
	}
	writers.Wait()
}

// A phone system that takes 10,000 requests a minute takes a hundred in 0.6 s.
func TestTheDefaultRateStaysBelowTheVendorsLimit(t *testing.T) {
	const limit, window = 100, 600 * time.Millisecond
	if full := PerSecond * time.Minute.Seconds(); full > 10_000*3/4 {
		t.Errorf("%g requests a minute leave too few for others", full)
	}
	sim, system := flooded(t, limit, window, PerSecond)
	flood(t, sim, system, 3)
	if stats := sim.Stats(); stats.Refused != 0 || stats.Requests < 3*64 {
		t.Errorf("%+v", stats)
	}
}

// The control of the test above, with a window that no machine is too slow for: writes end
// with being refused.
func TestWithoutARateTheVendorsLimitIsMet(t *testing.T) {
	sim, system := flooded(t, 100, 24*time.Hour, 0)
	for range 200 {
		if err := system.SetStatus(t.Context(), "200", presence.DND); err != nil {
			if fault.KindOf(err) != fault.Throttled {
				t.Error(err)
			}
			break
		}
	}
	if sim.Stats().Refused == 0 {
		t.Error("none was refused")
	}
}

func TestAFloodBeyondTheLimitComesToRestWithEverythingWritten(t *testing.T) {
	sim, system := flooded(t, 40, 200*time.Millisecond, 0)
	flood(t, sim, system, 3)
	for _, ext := range sim.Numbers() {
		if !sim.DND(ext) {
			t.Errorf("%s does not show what was written last", ext)
		}
	}
}
