package e2e

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"offhook.dev/libs/bus"
	"offhook.dev/libs/core/breaker"
	"offhook.dev/libs/core/fault"
	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/core/presence"
	"offhook.dev/libs/topology"
	"offhook.dev/libs/wire"
	"offhook.dev/services/e2e/world"
)

// Another program sets an extension to lunch whenever it shows anything else. With the
// policy `ignore` each of these is decided on anew, and written over: until the breaker
// stops it, after ten writes in a minute. Nobody else is concerned.
func TestAnotherProgramIsNotFoughtForEver(t *testing.T) {
	t.Parallel()
	w := world.New(t, world.Options{Users: 2})
	rewrite(t, w, "presence: {mode: teams-to-pbx,", "presence: {manual: {policy: ignore}, mode: teams-to-pbx,")
	w.Start()
	w.Settled(2)
	ext := world.Extension(0)

	ctx, cancel := context.WithCancel(t.Context())
	over := make(chan struct{})
	go func() {
		defer close(over)
		for tick := time.NewTicker(20 * time.Millisecond); ctx.Err() == nil; <-tick.C {
			if shown, _ := w.PBX.Shown(ext); shown.Status != presence.Lunch {
				w.PBX.SetStatus(ext, presence.Lunch)
			}
		}
	}()
	defer func() { cancel(); <-over }()

	b, err := bus.Connect(t.Context(), bus.Options{InProcess: w.Broker, Service: "test", Instance: "test"})
	must(t, err)
	defer b.Close()
	w.Set("anna", "Busy", "InAMeeting")
	began := time.Now()
	w.Eventually(3*time.Minute, func() string {
		last, err := lastOutcome(t.Context(), b, identity.Line{System: "hq", Extension: ext})
		slow := time.Since(began) > 2*breaker.Window && mostInAMinute(w, ext) < breaker.Most // too slow a machine for a fight
		if err != nil || !slow && (last.Result != wire.Failed || !strings.HasPrefix(last.Detail, "breaker: ")) {
			return fmt.Sprintf("the outcome is %s (%s, %v) after %d writes", last.Result, last.Detail, err, mostInAMinute(w, ext))
		}
		return ""
	})
	if most := mostInAMinute(w, ext); most > breaker.Most {
		t.Errorf("%d writes in a minute", most)
	}
	w.Set("ben", "Busy", "InAMeeting")
	w.Shows(world.Extension(1), presence.DND, 30*time.Second)
	w.Set("anna", "Away", "Away")
	w.Heard("anna", "Away", 30*time.Second)
	w.Set("ben", "Available", "Available")
	w.Shows(world.Extension(1), presence.Available, 30*time.Second)
	if most := mostInAMinute(w, ext); most > breaker.Most {
		t.Errorf("%d writes in a minute, although it had stopped", most)
	}
}

// mostInAMinute is the largest number of writes to an extension within any minute.
func mostInAMinute(w *world.World, ext identity.Extension) (most int) {
	var at []time.Time
	for _, write := range w.PBX.Writes() {
		if write.Extension == ext {
			at = append(at, write.At)
		}
	}
	for i, first := 0, 0; i < len(at); i++ {
		for at[i].Sub(at[first]) >= breaker.Window {
			first++
		}
		most = max(most, i-first+1)
	}
	return most
}

// lastOutcome is what came of the newest want of a line that has an outcome.
func lastOutcome(ctx context.Context, b *bus.Bus, line identity.Line) (wire.Outcome, error) {
	subject, _ := wire.Outcome{Line: line}.Encode()
	m, err := b.Last(ctx, topology.Outcomes, subject)
	if err != nil {
		if fault.KindOf(err) == fault.NotFound {
			err = nil
		}
		return wire.Outcome{}, err
	}
	return wire.DecodeOutcome(m.Data)
}
