package portsip

import (
	"math"
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
// front that knows all ids. perSecond is the driver's; 0: as it is by default.
func flooded(t *testing.T, phones portsipsim.Config, perSecond float64) (*portsipsim.Sim, *pbx.System) {
	t.Helper()
	phones.Extensions = 64
	sim := start(t, phones)
	config := configFor(sim)
	config.Settle, config.Beat, config.PerSecond = 50*time.Millisecond, 50*time.Millisecond, perSecond
	d := open(t, config)
	system, err := pbx.NewSystem("branch", d, pbx.Options{Pace: pbx.Pace{InFlight: 16}})
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

// A phone system that takes 10,000 requests a minute takes a hundred in 0.6 s. A write is two
// requests, and a listing may be one for each user.
func TestTheDefaultRateStaysBelowTheVendorsLimit(t *testing.T) {
	if full := PerSecond * time.Minute.Seconds(); full > 10_000*3/4 {
		t.Errorf("%g requests a minute leave too few for others", full)
	}
	hundred := portsipsim.Config{Limit: 100, Window: 600 * time.Millisecond, ListsDND: true}
	oneByOne := hundred
	oneByOne.ListsDND = false
	for name, c := range map[string]struct {
		phones portsipsim.Config
		beside func(*testing.T, *pbx.System) // what is done while everything is written
	}{
		"while everything is written":                  {hundred, func(*testing.T, *pbx.System) {}},
		"and each user is asked again and again":       {oneByOne, listsOnAndOn},
		"and each user is watched with a quick beat":   {oneByOne, watchesQuickly},
		"and all are watched, with statuses in a list": {hundred, watchesQuickly},
	} {
		t.Run(name, func(t *testing.T) {
			sim, system := flooded(t, c.phones, 0)
			c.beside(t, system)
			flood(t, sim, system, 2)
			if stats := sim.Stats(); stats.Refused != 0 || stats.Requests < 2*2*64 {
				t.Errorf("%+v", stats)
			}
		})
	}
}

// listsOnAndOn lists all statuses until the end of the test.
func listsOnAndOn(t *testing.T, system *pbx.System) {
	var listing sync.WaitGroup
	t.Cleanup(listing.Wait)
	listing.Go(func() {
		for t.Context().Err() == nil {
			_ = system.Statuses(t.Context(), func(identity.Extension, presence.Status) error { return nil })
		}
	})
}

// watchesQuickly watches until the end of the test.
func watchesQuickly(t *testing.T, system *pbx.System) {
	var watching sync.WaitGroup
	t.Cleanup(watching.Wait)
	watching.Go(func() { _ = system.Watch(t.Context(), func(pbx.WatchEvent) {}) })
}

// The control of the test above, with a window that no machine is too slow for: writes end
// with being refused.
func TestWithoutARateTheVendorsLimitIsMet(t *testing.T) {
	sim, system := flooded(t, portsipsim.Config{Limit: 100, Window: 24 * time.Hour, ListsDND: true}, math.MaxFloat64)
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
	sim, system := flooded(t, portsipsim.Config{Limit: 40, Window: 200 * time.Millisecond, ListsDND: true}, math.MaxFloat64)
	flood(t, sim, system, 3)
	for _, ext := range sim.Numbers() {
		if !sim.DND(ext) {
			t.Errorf("%s does not show what was written last", ext)
		}
	}
}
