package threecx

import (
	"strconv"
	"sync"
	"testing"
	"time"

	"offhook.dev/libs/core/fault"
	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/core/presence"
	"offhook.dev/libs/pbx"
	"offhook.dev/libs/pbx/pbxsim"
)

// A pbx.System in front of the driver, on the wire.

func TestAFloodOfWritesArrivesTwoAtATimeEachOnce(t *testing.T) {
	sim := start(t, pbxsim.Config{})
	system, err := pbx.NewSystem("hq", open(t, sim), pbx.Options{})
	if err != nil {
		t.Fatal(err)
	}
	sim.Inject(pbxsim.Fault{Kind: pbxsim.Latency, Delay: 2 * time.Millisecond}) // so that two can meet
	var writers sync.WaitGroup
	for i := range users {
		writers.Go(func() {
			if err := system.SetStatus(t.Context(), identity.Extension(strconv.Itoa(200+i)), presence.DND); err != nil {
				t.Error(err)
			}
		})
	}
	writers.Wait()
	if n := len(sim.Writes()); n != users {
		t.Errorf("%d writes arrived, %d were made", n, users)
	}
	if n := sim.Stats().MostInFlight; n != 2 {
		t.Errorf("%d were in flight", n)
	}
	// net/http may dial while a connection is on its way back.
	if n := sim.Stats().Connections; n > maxConnections {
		t.Errorf("%d connections for two in flight", n)
	}
}

// A watch has much to read meanwhile, and tokens end.
func TestWhileCallsAreHeardNoMoreThanTwoAreInFlightEither(t *testing.T) {
	sim := start(t, pbxsim.Config{})
	config := configFor(sim)
	config.Beat = 5 * time.Millisecond
	driver, err := Open(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	system, err := pbx.NewSystem("hq", driver, pbx.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer system.Close()
	ear := listen(t, system).sync()
	sim.Inject(pbxsim.Fault{Kind: pbxsim.Latency, Delay: 2 * time.Millisecond}) // so that they can meet
	before := sim.Stats().Requests
	var writers sync.WaitGroup
	for i := range users {
		writers.Go(func() {
			if i == users/2 { // once: a new token that is dead already would be a refusal
				sim.ForgetTokens()
			}
			if err := system.SetStatus(t.Context(), identity.Extension(strconv.Itoa(200+i)), presence.DND); err != nil {
				t.Error(err)
			}
			call(t, sim, identity.Extension(strconv.Itoa(200+i)), "")
		})
	}
	writers.Wait()
	want := make(inCalls)
	for i := range users {
		want[identity.Extension(strconv.Itoa(200+i))] = 1
	}
	ear.hears(want)
	if n := sim.Stats().MostInFlight; n != 2 {
		t.Errorf("%d were in flight", n)
	}
	if n := sim.Stats().Requests - before; n < 2*users+10 { // an id and a status each, and what the watch reads
		t.Errorf("only %d requests: the watch has read nothing meanwhile", n)
	}
}

func TestAWriteIsNotDoneTwiceWhenItsAnswerIsLost(t *testing.T) {
	sim := start(t, pbxsim.Config{})
	system, err := pbx.NewSystem("hq", open(t, sim), pbx.Options{})
	if err != nil {
		t.Fatal(err)
	}
	sim.Inject(pbxsim.Fault{Kind: pbxsim.LostAnswer, Times: 1, Only: "write"})
	if err := system.SetStatus(t.Context(), "200", presence.DND); fault.KindOf(err) != fault.Timeout {
		t.Errorf("got %v", err)
	}
	if n := len(sim.Writes()); n != 1 {
		t.Errorf("%d writes", n)
	}
}

func TestARestartIsNoticed(t *testing.T) {
	sim := start(t, pbxsim.Config{})
	system, err := pbx.NewSystem("hq", open(t, sim), pbx.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := system.SetStatus(t.Context(), "200", presence.DND); err != nil {
		t.Fatal(err)
	}
	before := system.Generation()
	sim.Down()
	if _, err := system.Status(t.Context(), "200"); fault.KindOf(err) != fault.Unavailable {
		t.Errorf("while down: %v", err)
	}
	if err := sim.Restart(1); err != nil {
		t.Fatal(err)
	}
	status, err := system.Status(t.Context(), "200")
	if err != nil || status != presence.Available || system.Generation() != before+1 {
		t.Errorf("after a restart that forgot the write: %v, %v, generation %d", status, err, system.Generation())
	}
}
