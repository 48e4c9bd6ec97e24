package portsip

import (
	"context"
	"maps"
	"sync"
	"testing"
	"time"

	"offhook.dev/libs/core/fault"
	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/core/presence"
	"offhook.dev/libs/pbx"
	"offhook.dev/libs/pbx/portsipsim"
)

// watched is a watch and what it has told.
type watched struct {
	ended chan error

	mu  sync.Mutex // guards all
	all tale
}

// tale is what a watch has told.
type tale struct {
	syncs    int
	calls    map[identity.Extension]int
	statuses map[identity.Extension]presence.Status
	events   int                        // about calls
	ends     int                        // of these, that there is none
	after    map[identity.Extension]int // how often it had said that this was all before the newest about a call
}

func newWatched() *watched {
	return &watched{ended: make(chan error, 1), all: tale{calls: map[identity.Extension]int{}, statuses: map[identity.Extension]presence.Status{}, after: map[identity.Extension]int{}}}
}

// told is what it has told so far.
func (w *watched) told() tale {
	w.mu.Lock()
	defer w.mu.Unlock()
	all := w.all
	all.calls, all.statuses, all.after = maps.Clone(all.calls), maps.Clone(all.statuses), maps.Clone(all.after)
	return all
}

func watch(t *testing.T, d *Driver) *watched {
	t.Helper()
	w := newWatched()
	ctx, cancel := context.WithCancel(t.Context())
	go func() { w.ended <- d.Watch(ctx, w.hear) }()
	t.Cleanup(func() {
		cancel()
		<-w.ended
	})
	w.until(t, "that this was all", func(is tale) bool { return is.syncs > 0 })
	return w
}

// watchBehind watches through a System, until the end of the test.
func watchBehind(t *testing.T, d *Driver) *watched {
	t.Helper()
	system, err := pbx.NewSystem("hq", d, pbx.Options{})
	if err != nil {
		t.Fatal(err)
	}
	w := newWatched()
	ctx, cancel := context.WithCancel(t.Context())
	go func() { w.ended <- system.Watch(ctx, w.hear) }()
	t.Cleanup(func() {
		cancel()
		<-w.ended
		_ = system.Close()
	})
	return w
}

func (w *watched) hear(e pbx.WatchEvent) {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch e := e.(type) {
	case pbx.CallEvent:
		w.all.calls[e.Extension], w.all.after[e.Extension] = e.Calls, w.all.syncs
		w.all.events++
		if !e.Active() {
			w.all.ends++
		}
	case pbx.StatusEvent:
		w.all.statuses[e.Extension] = e.Status
	case pbx.Synced:
		w.all.syncs++
	}
}

func (w *watched) until(t *testing.T, what string, so func(tale) bool) {
	t.Helper()
	deadline := time.After(20 * time.Second)
	for {
		if so(w.told()) {
			return
		}
		select {
		case err := <-w.ended:
			w.ended <- err
			t.Fatalf("the watch ended before it told %s: %v", what, err)
		case <-deadline:
			t.Fatalf("the watch never told %s: %+v", what, w.told())
		case <-time.After(time.Millisecond):
		}
	}
}

// eventually waits until something is so.
func eventually(t *testing.T, what string, so func() bool) {
	t.Helper()
	deadline := time.After(20 * time.Second)
	for !so() {
		select {
		case <-deadline:
			t.Fatalf("it never came to this: %s", what)
		case <-time.After(time.Millisecond):
		}
	}
}

// ends waits for the end of a watch.
func (w *watched) ends(t *testing.T, kind fault.Kind) {
	t.Helper()
	select {
	case err := <-w.ended:
		w.ended <- err
		if fault.KindOf(err) != kind {
			t.Errorf("it ended with %v: %v", fault.KindOf(err), err)
		}
	case <-time.After(20 * time.Second):
		t.Error("it did not end")
	}
}

func quickly(sim *portsipsim.Sim, statuses Statuses) Config {
	config := configFor(sim)
	config.Settle, config.Beat, config.Statuses = 50*time.Millisecond, 50*time.Millisecond, statuses
	return config
}

func TestAWatchSubscribesToAllAndToThoseWhoCome(t *testing.T) {
	sim := start(t, portsipsim.Config{Extensions: 230}) // three commands
	w := watch(t, open(t, quickly(sim, "")))
	if n := sim.Subscribed(); n != 230 {
		t.Errorf("subscribed to %d", n)
	}
	admin := open(t, configFor(sim))
	if err := admin.CreateExtension(t.Context(), directoryExtension("600")); err != nil {
		t.Fatal(err)
	}
	w.until(t, "of the new one", func(is tale) bool { _, ok := is.statuses["600"]; return ok })
	sim.StartCall("600")
	w.until(t, "of its call", func(is tale) bool { return is.calls["600"] == 1 })
	sim.Remove("600")
	w.until(t, "that it is gone", func(is tale) bool { return is.calls["600"] == 0 })
}

func TestOnlyAConnectedCallIsOne(t *testing.T) {
	for _, minor := range []int{2, 3} { // 3 says ON_ACLL when asked
		sim := start(t, portsipsim.Config{Extensions: 4, Minor: minor})
		sim.StartCall("200")
		sim.Ring("201")
		w := watch(t, open(t, quickly(sim, "")))
		if want := (map[identity.Extension]int{"200": 1}); !maps.Equal(w.told().calls, want) {
			t.Errorf("22.%d: in calls are %v", minor, w.told().calls)
		}
		sim.Ring("202")
		sim.StartCall("202")
		w.until(t, "of a call that was answered", func(is tale) bool { return is.calls["202"] == 1 })
		sim.StartCall("202") // a second one is no news: how many there are is not told
		sim.StartCall("203")
		w.until(t, "of another", func(is tale) bool { return is.calls["203"] == 1 })
		sim.EndCalls("202")
		w.until(t, "of its end", func(is tale) bool { return is.calls["202"] == 0 })
		if w.told().events != 4 || w.told().calls["201"] != 0 {
			t.Errorf("22.%d: %d events, %v", minor, w.told().events, w.told().calls)
		}
	}
}

// An event is a reason to look: what is told is what is shown.
func TestAPresenceEventIsReadAgain(t *testing.T) {
	sim := start(t, portsipsim.Config{Extensions: 2})
	config := quickly(sim, ByPresence)
	config.Beat = time.Hour // only events can tell
	w := watch(t, open(t, config))
	sim.Switch("200", true)
	w.until(t, "do not disturb", func(is tale) bool { return is.statuses["200"] == presence.DND })
	sim.Choose("200", presence.Lunch) // hidden by the switch
	sim.Choose("201", presence.Away)
	w.until(t, "away", func(is tale) bool { return is.statuses["201"] == presence.Away })
	if w.told().statuses["200"] != presence.DND {
		t.Errorf("200 shows %v", w.told().statuses["200"])
	}
	sim.Switch("200", false)
	w.until(t, "lunch", func(is tale) bool { return is.statuses["200"] == presence.Lunch })
	for _, spelling := range []string{"AVAILABLE", "ONLINE", "ASLEEP", ""} {
		sim.Say(`{"event_type":"extension_presence","extension":"sip:200@x","presence":"` + spelling + `"}`)
	}
	sim.Switch("201", true)
	w.until(t, "the last", func(is tale) bool { return is.statuses["201"] == presence.DND })
	if w.told().statuses["200"] != presence.Lunch {
		t.Errorf("what was said and is not so was told: %v", w.told().statuses["200"])
	}
}

func TestASwitchThatIsNoEventIsFoundWithTheNextBeat(t *testing.T) {
	sim := start(t, portsipsim.Config{Extensions: 2, Quiet: true, FilterDND: true})
	w := watch(t, open(t, quickly(sim, "")))
	sim.Switch("200", true)
	w.until(t, "do not disturb", func(is tale) bool { return is.statuses["200"] == presence.DND })
	before := w.told().syncs
	w.until(t, "signs of life", func(is tale) bool { return is.syncs > before+2 })
}

func TestWhatMakesNoSenseEndsAWatch(t *testing.T) {
	for name, message := range map[string]string{
		"no JSON": "{", "no object": "7", "nobody knows what": "{}", "a list that is none": `{"event_type":"extension_status","status":7}`,
		"a call that is a number": `{"event_type":"extension_call","extension":"sip:200@x","call_status":7}`,
	} {
		t.Run(name, func(t *testing.T) {
			sim := start(t, portsipsim.Config{Extensions: 1})
			w := watch(t, open(t, quickly(sim, "")))
			sim.Say(message)
			w.ends(t, fault.Unavailable)
		})
	}
}

func TestWhatIsNotForUsIsOverheard(t *testing.T) {
	sim := start(t, portsipsim.Config{Extensions: 1})
	w := watch(t, open(t, quickly(sim, "")))
	for _, message := range []string{
		`{"event_type":"extension_agent_status","extension":"sip:200@x","agent_status":[{"queue_number":"8002","status":"READY"}]}`,
		`{"event_type":"extension_call","extension":"sip:777@x","call_status":"ON_CALL"}`,
		`{"event_type":"extension_call","extension":"","call_status":"ON_CALL"}`, `{"event_type":"queue_status","status":"x"}`,
		`{"command":"subscribe","id":"9","status":0}`, `{"event_type":"extension_status","status":[{"extension":"sip:200@x"},{}]}`,
	} {
		sim.Say(message)
	}
	sim.StartCall("200")
	w.until(t, "of a call", func(is tale) bool { return is.calls["200"] == 1 })
	if len(w.told().calls) != 1 {
		t.Errorf("told %v", w.told().calls)
	}
}

func TestARefusedWatchIsDenied(t *testing.T) {
	sim := start(t, portsipsim.Config{Extensions: 1})
	w := watch(t, open(t, quickly(sim, "")))
	sim.Say(`{"command":"subscribe","id":"2","status":-1,"error":"permission denied"}`)
	w.ends(t, fault.Denied)

	d := open(t, configFor(sim))
	d.config.Admin.Username, d.wire.config.Admin.Username = "nobody", "nobody"
	if err := d.Watch(t.Context(), func(pbx.WatchEvent) {}); fault.KindOf(err) != fault.Denied {
		t.Errorf("another name: %v", err)
	}
}

func TestAWatchBehindASystemComesBackAfterADrop(t *testing.T) {
	sim := start(t, portsipsim.Config{Extensions: 3, FilterDND: true})
	w := watchBehind(t, open(t, quickly(sim, "")))
	sim.StartCall("200")
	w.until(t, "of a call", func(is tale) bool { return is.calls["200"] == 1 })
	sim.CutWatches()
	sim.EndCalls("200")
	sim.StartCall("201")
	w.until(t, "what is so after the drop", func(is tale) bool { return is.calls["200"] == 0 && is.calls["201"] == 1 })
	if err := sim.Restart(); err != nil {
		t.Fatal(err)
	}
	w.until(t, "what is so after a restart", func(is tale) bool { return is.calls["201"] == 0 })
}

// What was told of a call is asked with each beat, for an event may be lost.
func TestTheLostEndOfACallIsSeenByAsking(t *testing.T) {
	for name, c := range map[string]struct {
		phones   portsipsim.Config
		statuses Statuses
	}{
		"where lists tell statuses": {phones: portsipsim.Config{FilterDND: true}},
		"where each user is asked":  {statuses: ByPresence},
		"22.3":                      {phones: portsipsim.Config{Minor: 3, ListsDND: true}},
	} {
		t.Run(name, func(t *testing.T) {
			c.phones.Extensions = 3
			sim := start(t, c.phones)
			sim.StartCall("200")
			w := watch(t, open(t, quickly(sim, c.statuses)))
			sim.StartCall("201")
			w.until(t, "of both calls", func(is tale) bool { return is.calls["200"] == 1 && is.calls["201"] == 1 })
			said := w.told().syncs
			w.until(t, "that they go on", func(is tale) bool { return is.syncs > said+2 })
			sim.InjectMessage(portsipsim.MessageFault{Kind: portsipsim.Lost, Only: "extension_call"})
			sim.EndCalls("200")
			sim.EndCalls("201")
			w.until(t, "of their ends", func(is tale) bool { return is.calls["200"] == 0 && is.calls["201"] == 0 })
			if n := w.told().events; n != 4 {
				t.Errorf("%d events about two calls", n)
			}
		})
	}
}

// That somebody is in no call is not believed of an answer that may be too early, nor of a
// phone system that never says the opposite: a call that events tell of is not ended by it.
func TestAnAnswerThatKnowsLessThanAnEventEndsNoCall(t *testing.T) {
	const call = `{"event_type":"extension_call","extension":"sip:200@x","call_status":"ON_CALL"}`
	for name, c := range map[string]struct {
		phones portsipsim.Config
		settle time.Duration
		want   int
	}{
		"which comes soon after the event":   {portsipsim.Config{}, time.Hour, 1},
		"from one that tells no calls":       {portsipsim.Config{NoCalls: true}, time.Millisecond, 1},
		"but a second one, a while after it": {portsipsim.Config{}, time.Millisecond, 0},
	} {
		t.Run(name, func(t *testing.T) {
			c.phones.Extensions, c.phones.FilterDND = 2, true
			sim := start(t, c.phones)
			sim.StartCall("201")
			config := quickly(sim, "")
			config.Settle = c.settle
			w := watch(t, open(t, config))
			sim.Say(call)
			w.until(t, "of the call", func(is tale) bool { return is.events > 1 })
			said := w.told().syncs
			w.until(t, "that this was all, more than once", func(is tale) bool { return is.syncs > said+3 })
			if is := w.told(); is.calls["200"] != c.want || is.calls["201"] != 1 {
				t.Errorf("in calls are %v", is.calls)
			}
		})
	}
}

// What is the case may be told late: until then nobody knows of whom nothing is said.
func TestALateSnapshotEndsNoCall(t *testing.T) {
	sim := start(t, portsipsim.Config{Extensions: 3, FilterDND: true})
	for name, c := range map[string]struct {
		kind portsipsim.EventFaultKind
		when func(t *testing.T) // the snapshot comes
	}{
		"after something else": {portsipsim.Late, func(t *testing.T) {
			eventually(t, "one is late", func() bool { return sim.LateMessages() == 1 })
		}},
		"with the next attempt": {portsipsim.Lost, func(*testing.T) {}},
	} {
		t.Run(name, func(t *testing.T) {
			config := quickly(sim, "")
			config.Timeout = 2 * time.Second // forty times Settle
			w := watchBehind(t, open(t, config))
			w.until(t, "that this was all", func(is tale) bool { return is.syncs > 0 })
			sim.StartCall("200")
			w.until(t, "of a call", func(is tale) bool { return is.calls["200"] == 1 })
			sim.InjectMessage(portsipsim.MessageFault{Kind: c.kind, Only: "extension_status", Times: 1})
			sim.CutWatches()
			w.until(t, "anything yet", func(tale) bool { return sim.Subscribed() == 3 })
			said := w.told().syncs
			sim.Choose("201", presence.Lunch) // which is told before what is the case
			c.when(t)
			w.until(t, "that this is all again", func(is tale) bool { return is.syncs > said })
			if is := w.told(); is.ends != 0 || is.calls["200"] != 1 {
				t.Errorf("the end of a call was told that goes on: %+v", is)
			}
			sim.ClearMessageFaults()
		})
	}
}

func TestAWatchOfWhichNothingIsSaidIsUnavailable(t *testing.T) {
	for name, c := range map[string]struct {
		says string
		live bool
	}{
		"of nobody":                     {"", false},
		"a presence, and not who calls": {`{"event_type":"extension_presence","extension":"sip:200@x","presence":"AWAY"}`, false},
		"of nobody known":               {`{"event_type":"extension_status","status":[{"extension":"sip:777@x","call_status":""}]}`, false},
		"of some":                       {`{"event_type":"extension_status","status":[{"extension":"sip:200@x","call_status":"ON_CALL"}]}`, true},
	} {
		t.Run(name, func(t *testing.T) {
			sim := start(t, portsipsim.Config{Extensions: 3, FilterDND: true})
			sim.InjectMessage(portsipsim.MessageFault{Kind: portsipsim.Lost, Only: "extension_status"})
			config := quickly(sim, "")
			config.Timeout, config.Beat = 3*time.Second, time.Hour
			d, w := open(t, config), newWatched()
			ctx, cancel := context.WithCancel(t.Context())
			go func() { w.ended <- d.Watch(ctx, w.hear) }()
			t.Cleanup(func() {
				cancel()
				<-w.ended
			})
			eventually(t, "all are subscribed to", func() bool { return sim.Subscribed() == 3 })
			if c.says != "" {
				sim.Say(c.says)
			}
			if c.live {
				w.until(t, "that this was all", func(is tale) bool { return is.syncs == 1 && is.calls["200"] == 1 })
				return
			}
			w.ends(t, fault.Unavailable)
			if n := w.told().syncs; n != 0 {
				t.Errorf("it was live %d times", n)
			}
		})
	}
}
