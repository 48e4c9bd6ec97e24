package asterisk

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"offhook.dev/libs/core/fault"
	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/core/presence"
	"offhook.dev/libs/pbx"
	"offhook.dev/libs/pbx/asterisk/ami"
	"offhook.dev/libs/pbx/asterisksim"
)

// told is what a watch has told.
type told struct {
	mu       sync.Mutex
	hold     sync.Mutex // a sink waits while it is held
	calls    map[identity.Extension]int
	statuses map[identity.Extension]presence.Status
	events   map[identity.Extension]int // how often a status was told
	synced   int
	down     int
}

func newTold() *told {
	return &told{calls: make(map[identity.Extension]int), statuses: make(map[identity.Extension]presence.Status), events: make(map[identity.Extension]int)}
}

func (w *told) sink(e pbx.WatchEvent) {
	w.hold.Lock()
	defer w.hold.Unlock()
	w.mu.Lock()
	defer w.mu.Unlock()
	switch e := e.(type) {
	case pbx.CallEvent:
		w.calls[e.Extension] = e.Calls
	case pbx.StatusEvent:
		w.statuses[e.Extension] = e.Status
		w.events[e.Extension]++
	case pbx.Synced:
		w.synced++
	case pbx.Down:
		w.down++
	}
}

// until waits for something to be told.
func (w *told) until(t *testing.T, what string, right func() bool) {
	t.Helper()
	for limit := time.After(30 * time.Second); ; {
		w.mu.Lock()
		ok := right()
		w.mu.Unlock()
		if ok {
			return
		}
		select {
		case <-limit:
			t.Fatalf("it was never told that %s", what)
		case <-time.After(time.Millisecond):
		}
	}
}

// watching runs a watch until the test ends.
func watching(t *testing.T, watch func(context.Context, pbx.Sink) error) *told {
	t.Helper()
	w := newTold()
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- watch(ctx, w.sink) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; fault.KindOf(err) != fault.Cancelled {
			t.Errorf("the watch ended with %v", err)
		}
	})
	w.until(t, "this was all", func() bool { return w.synced > 0 })
	return w
}

// What changes while nobody takes what is told is told once, as it is in the end.
func TestManyChangesAreFewEvents(t *testing.T) {
	const changes = 1000
	sim := start(t, asterisksim.Config{Extensions: 3})
	d := open(t, sim, Config{Presence: true, Settle: 20 * time.Millisecond})
	w := watching(t, d.Watch)
	before := sim.Stats().Actions
	w.hold.Lock()
	for i := range changes {
		sim.Press("200", i%2 == 0)
		sim.Choose("201", fmt.Sprintf("away,,Meeting %d", i))
		sim.SetDevice("PJSIP/202", []string{"INUSE", "NOT_INUSE"}[i%2])
	}
	sim.Press("200", true)
	sim.Choose("201", "away,lunch,Lunch")
	sim.StartCall("202")
	w.hold.Unlock()
	w.until(t, "all is as it is", func() bool {
		return w.statuses["200"] == presence.DND && w.statuses["201"] == presence.Lunch && w.calls["202"] == 1
	})
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.events["200"] > changes/10 || w.events["201"] > changes/10 {
		t.Errorf("%d changes of each were told as %v events", changes, w.events)
	}
	if n := sim.Stats().Actions - before; n > changes {
		t.Errorf("%d actions were needed", n)
	}
}

func TestAPhoneIsInACallOrNot(t *testing.T) {
	sim := start(t, asterisksim.Config{Extensions: 3})
	sim.SetEntry("AMPUSER/201/device", "201&1201")
	w := watching(t, open(t, sim, Config{}).Watch)
	for _, c := range []struct {
		phone, state string
		calls        int // of 201
	}{
		{"PJSIP/201", "RINGING", 0}, {"PJSIP/201", "INUSE", 1}, {"PJSIP/1201", "RINGING", 1}, {"PJSIP/1201", "RINGINUSE", 2},
		{"PJSIP/201", "ONHOLD", 2}, {"PJSIP/201", "NOT_INUSE", 1}, {"PJSIP/1201", "BUSY", 1}, {"PJSIP/1201", "UNAVAILABLE", 0},
		{"PJSIP/201", "InUse", 1}, {"PJSIP/201", "Not in use", 0}, {"PJSIP/201", "Ring+Inuse", 1}, {"PJSIP/201", "INVALID", 0},
	} {
		sim.SetDevice(c.phone, c.state)
		sim.StartCall("200") // after which the one before must have been told
		w.until(t, "200 is in a call", func() bool { return w.calls["200"] == 1 })
		sim.EndCall("200")
		w.until(t, "200 is in none", func() bool { return w.calls["200"] == 0 })
		w.until(t, fmt.Sprintf("201 is in %d calls with %s %s", c.calls, c.phone, c.state), func() bool { return w.calls["201"] == c.calls })
	}
	// Do-not-disturb is no call, although hints then say "busy".
	sim.Press("201", true)
	w.until(t, "201 is not to be disturbed", func() bool { return w.statuses["201"] == presence.DND })
	w.until(t, "201 is in no call", func() bool { return w.calls["201"] == 0 })
}

// A channel that is up is a call, also where the state of its device was never told.
func TestChannelsCountWhenEverythingIsRead(t *testing.T) {
	sim := start(t, asterisksim.Config{Extensions: 3})
	sim.StartCall("200")
	sim.SetDevice("PJSIP/200", "UNKNOWN")
	w := watching(t, open(t, sim, Config{Beat: 50 * time.Millisecond}).Watch)
	w.until(t, "200 is in a call", func() bool { return w.calls["200"] == 1 })
	sim.EndCall("200")
	w.until(t, "200 is in none", func() bool { return w.calls["200"] == 0 })
}

func TestAWatchMeetsWhoIsNew(t *testing.T) {
	sim := start(t, asterisksim.Config{Extensions: 2})
	w := watching(t, open(t, sim, Config{Beat: 20 * time.Millisecond}).Watch)
	sim.Hire("250")
	w.until(t, "250 is available", func() bool { return w.statuses["250"] == presence.Available })
	sim.StartCall("250")
	w.until(t, "250 is in a call", func() bool { return w.calls["250"] == 1 })
	sim.Dismiss("250")
	w.until(t, "250 is in none", func() bool { return w.calls["250"] == 0 })
}

// Events of others, with whatever is in them, change nothing and break nothing.
func TestEventsOfOthersAreNothing(t *testing.T) {
	sim := start(t, asterisksim.Config{Extensions: 2, Interleave: true})
	w := watching(t, open(t, sim, Config{}).Watch)
	for _, text := range []string{
		"Event: Newchannel\r\nChannel: PJSIP/200-00000001\r\nCallerIDName: J\xf6rg\r\n\r\n",
		"Event: DeviceStateChange\r\nDevice: Custom:DND999\r\nState: BUSY\r\n\r\n",
		"Event: DeviceStateChange\r\n\r\n", "Event: PresenceStateChange\r\nPresentity: \r\n\r\n",
		"Event: DeviceStateChange\r\nDevice: PJSIP/200\r\nState: \r\n\r\n",
		"Event: X\r\nAppData: one\r\ntwo\r\n\x00\r\n\r\n", "Response: Success\r\nActionID: 1\r\n\r\n", "\r\n\r\n",
	} {
		sim.Emit(text)
	}
	sim.StartCall("201")
	w.until(t, "201 is in a call", func() bool { return w.calls["201"] == 1 })
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.calls) != 1 || len(w.statuses) != 2 {
		t.Errorf("told %v, %v", w.calls, w.statuses)
	}
}

func TestWhatMakesNoSenseEndsAWatch(t *testing.T) {
	for name, text := range map[string]string{"a page of the web": "<html>It works!</html>\r\n\r\n", "an event without a name": "Event: \r\nX: y\r\n\r\n"} {
		t.Run(name, func(t *testing.T) {
			sim := start(t, asterisksim.Config{Extensions: 1})
			d, w := open(t, sim, Config{}), newTold()
			ended := make(chan error, 1)
			go func() { ended <- d.Watch(t.Context(), w.sink) }()
			w.until(t, "this was all", func() bool { return w.synced > 0 })
			sim.Emit(text)
			if err := <-ended; fault.KindOf(err) != fault.Unavailable {
				t.Errorf("got %v", err)
			}
		})
	}
}

func TestAFloodOfNamesEndsAWatch(t *testing.T) {
	n := newNews()
	for i := range waiting + 1 {
		m, err := ami.Parse(fmt.Sprintf("Event: DeviceStateChange\nDevice: X/%d\nState: INUSE", i))
		if err != nil {
			t.Fatal(err)
		}
		n.hear(m)
		if i == waiting-1 {
			if n.flood {
				t.Error("too early")
			}
		}
	}
	if _, _, err := n.take(); fault.KindOf(err) != fault.Unavailable {
		t.Errorf("got %v", err)
	}
}

// After a crash the watch says so, comes back, and tells what everybody shows: what was
// forgotten is in it, and so is the end of the calls.
func TestAWatchTellsWhatACrashHasUndone(t *testing.T) {
	sim := start(t, asterisksim.Config{Extensions: 3})
	d := open(t, sim, Config{})
	system, err := pbx.NewSystem("hq", d, pbx.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { system.Close() }) // after the watch
	w := watching(t, system.Watch)
	if err := system.SetStatus(t.Context(), "200", presence.DND); err != nil {
		t.Fatal(err)
	}
	sim.StartCall("201")
	w.until(t, "200 is not to be disturbed", func() bool { return w.statuses["200"] == presence.DND && w.calls["201"] == 1 })
	before := 0
	w.until(t, "", func() bool { before = w.synced; return true })
	crash(t, sim, d)
	w.until(t, "it was down", func() bool { return w.down > 0 })
	w.until(t, "200 is available, and 201 in no call", func() bool {
		return w.synced > before && w.statuses["200"] == presence.Available && w.calls["201"] == 0
	})
}
