package freeswitch

import (
	"context"
	"maps"
	"strconv"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"offhook.dev/libs/core/fault"
	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/core/presence"
	"offhook.dev/libs/pbx"
	"offhook.dev/libs/pbx/freeswitch/esl"
	"offhook.dev/libs/pbx/freeswitchsim"
)

// watched is a watch and what it has told.
type watched struct {
	ended chan error

	mu       sync.Mutex
	syncs    int
	down     int
	calls    map[identity.Extension]int
	statuses map[identity.Extension]presence.Status
	told     []pbx.WatchEvent
}

func follow(t *testing.T, d pbx.Watcher) *watched {
	t.Helper()
	w := begin(t, d)
	w.until(t, "that this was all", func() bool { return w.syncs > 0 })
	return w
}

// begin is follow that does not wait for the first Synced.
func begin(t *testing.T, d pbx.Watcher) *watched {
	t.Helper()
	w := &watched{ended: make(chan error, 1), calls: map[identity.Extension]int{}, statuses: map[identity.Extension]presence.Status{}}
	ctx, cancel := context.WithCancel(t.Context())
	go func() { w.ended <- d.Watch(ctx, w.hear) }()
	t.Cleanup(func() {
		cancel()
		<-w.ended
	})
	return w
}

func (w *watched) hear(e pbx.WatchEvent) {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch e := e.(type) {
	case pbx.CallEvent:
		w.calls[e.Extension] = e.Calls
	case pbx.StatusEvent:
		w.statuses[e.Extension] = e.Status
	case pbx.Synced:
		w.syncs++
		return
	case pbx.Down:
		w.down++
	}
	w.told = append(w.told, e)
}

func (w *watched) until(t *testing.T, what string, so func() bool) {
	t.Helper()
	deadline := time.After(20 * time.Second)
	for {
		w.mu.Lock()
		done := so()
		w.mu.Unlock()
		if done {
			return
		}
		select {
		case err := <-w.ended:
			w.ended <- err
			t.Fatalf("the watch ended before it told %s: %v", what, err)
		case <-deadline:
			t.Fatalf("the watch never told %s: %v %v", what, w.calls, w.statuses)
		case <-time.After(time.Millisecond):
		}
	}
}

// beats waits until the watch has proved twice that it lives, so that everything from
// before is told.
func (w *watched) beats(t *testing.T) {
	t.Helper()
	w.mu.Lock()
	now := w.syncs
	w.mu.Unlock()
	w.until(t, "that it lives", func() bool { return w.syncs >= now+2 })
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

// quick makes beats and gathering short.
var quick = Config{Beat: 50 * time.Millisecond, Settle: 10 * time.Millisecond, Lag: time.Nanosecond}

// slow leaves it to events to tell.
var slow = Config{Beat: time.Hour, Settle: 10 * time.Millisecond}

func TestOnlyAConnectedChannelIsACall(t *testing.T) {
	sim := start(t, freeswitchsim.Config{})
	sim.StartCall("1000")
	sim.Ring("1001")
	w := follow(t, open(t, sim, slow))
	w.mu.Lock()
	if want := (map[identity.Extension]int{"1000": 1}); !maps.Equal(w.calls, want) {
		t.Errorf("in calls are %v", w.calls)
	}
	w.mu.Unlock()
	id := sim.Ring("1002")
	sim.Answer(id)
	w.until(t, "of a call that was answered", func() bool { return w.calls["1002"] == 1 })
	sim.Hold(id)
	sim.Unhold(id)
	sim.StartCall("1002")
	w.until(t, "of a second call", func() bool { return w.calls["1002"] == 2 })
	sim.Hangup(id)
	w.until(t, "of the end of the first", func() bool { return w.calls["1002"] == 1 })
	sim.EndCall("1002")
	w.until(t, "of the end of both", func() bool { return w.calls["1002"] == 0 })
	if w.mu.Lock(); w.calls["1001"] != 0 {
		t.Error("a phone that rings is in no call")
	}
	w.mu.Unlock()
}

// Listing the users of a large system takes long, and it is busy meanwhile: more happens
// than can be kept, and what the statuses and calls have come to is told all the same.
func TestAWatchHearsWhileTheUsersAreListed(t *testing.T) {
	sim := start(t, freeswitchsim.Config{})
	sim.Inject(freeswitchsim.Fault{Kind: freeswitchsim.Late, Delay: time.Hour, Only: "bgapi list_users"})
	w := begin(t, open(t, sim, slow))
	id := sim.Ring("1000")
	sim.Answer(id)
	w.until(t, "of a call while the users are listed", func() bool { return w.calls["1000"] == 1 })
	for sim.Commands("bgapi list_users") == 0 {
		<-time.After(time.Millisecond)
	}
	for range 1700 { // seven events each
		sim.StartCall("1001")
		sim.EndCall("1001")
	}
	sim.StartCall("1002")
	sim.Hangup(id)
	for range 10 {
		sim.Store("offhook", "1003", "lunch")
		sim.Store("offhook", "1003", "away")
	}
	w.until(t, "of the end of the call", func() bool { return w.calls["1000"] == 0 && w.calls["1002"] == 1 })
	if w.mu.Lock(); w.syncs != 0 || len(w.statuses) != 0 {
		t.Errorf("the list was not held: %d, %v", w.syncs, w.statuses)
	}
	w.mu.Unlock()
	sim.ClearFaults()
	w.until(t, "that this was all", func() bool { return w.syncs == 1 })
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.calls["1000"] != 0 || w.calls["1001"] != 0 || w.calls["1002"] != 1 || w.statuses["1003"] != presence.Away || len(w.statuses) != 4 {
		t.Errorf("calls %v, statuses %v", w.calls, w.statuses)
	}
}

// Whatever is not read of a watch's own connection in time would be lost or end it.
func TestAWatchOutlivesEventsDuringARoundTrip(t *testing.T) {
	sim := start(t, freeswitchsim.Config{})
	w := follow(t, open(t, sim, Config{Beat: 50 * time.Millisecond, Settle: 10 * time.Millisecond, Timeout: time.Hour}))
	sim.Inject(freeswitchsim.Fault{Kind: freeswitchsim.Slow, Delay: time.Hour, Only: "api show channels"})
	before := sim.Commands("api show channels")
	for sim.Commands("api show channels") == before {
		<-time.After(time.Millisecond)
	}
	for range 1700 {
		sim.StartCall("1001")
		sim.EndCall("1001")
	}
	sim.StartCall("1002")
	sim.Store("offhook", "1003", "lunch")
	sim.ClearFaults()
	w.until(t, "what happened meanwhile", func() bool { return w.calls["1002"] == 1 && w.statuses["1003"] == presence.Lunch })
	w.beats(t)
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.calls["1001"] != 0 || w.calls["1002"] != 1 {
		t.Errorf("calls %v", w.calls)
	}
}

// A watch that ends while the users are listed does not wait for the list, and leaves
// nobody behind who does.
func TestAWatchEndsWhileTheUsersAreListed(t *testing.T) {
	for name, c := range map[string]struct {
		end  func(*freeswitchsim.Sim, *Driver, context.CancelFunc)
		kind fault.Kind
	}{
		"its connection is cut": {func(sim *freeswitchsim.Sim, _ *Driver, _ context.CancelFunc) { sim.CutWatches() }, fault.Unavailable},
		"it is cancelled":       {func(_ *freeswitchsim.Sim, _ *Driver, cancel context.CancelFunc) { cancel() }, fault.Cancelled},
		"the driver is closed":  {func(_ *freeswitchsim.Sim, d *Driver, _ context.CancelFunc) { _ = d.Close() }, fault.Unavailable},
	} {
		t.Run(name, func(t *testing.T) {
			sim := start(t, freeswitchsim.Config{})
			d := open(t, sim, slow)
			sim.Inject(freeswitchsim.Fault{Kind: freeswitchsim.Late, Delay: time.Hour, Only: "bgapi list_users"})
			before := goleak.IgnoreCurrent()
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			ended := make(chan error, 1)
			go func() { ended <- d.Watch(ctx, func(pbx.WatchEvent) {}) }()
			for sim.Commands("bgapi list_users") == 0 {
				<-time.After(time.Millisecond)
			}
			c.end(sim, d, cancel)
			select {
			case err := <-ended:
				if fault.KindOf(err) != c.kind {
					t.Errorf("it ended with %v: %v", fault.KindOf(err), err)
				}
			case <-time.After(20 * time.Second):
				t.Fatal("it did not end")
			}
			sim.ClearFaults() // the simulator's own part of it
			if err := goleak.Find(before); err != nil {
				t.Error(err)
			}
		})
	}
}

// However many events there are, what is kept is of the size of the phone system.
func TestNewsIsOneForEach(t *testing.T) {
	n := newNews(Config{Domain: "x"})
	for i := range 50_000 {
		ext := strconv.Itoa(1000 + i%10)
		n.hear(esl.Event{Name: "PRESENCE_IN", From: ext + "@x"})
		n.hear(esl.Event{Name: "PRESENCE_PROBE", From: "1@x", To: ext + "@x"})
		n.hear(esl.Event{Name: "PRESENCE_IN", From: "park+1@elsewhere"})
		n.hear(esl.Event{Name: "CHANNEL_ANSWER", Channel: ext, PresenceID: ext + "@x"})
		n.hear(esl.Event{Name: "CHANNEL_DESTROY", Channel: "1000"})
	}
	calls, suspect, asked, err := n.take()
	if err != nil || len(calls) != 9 || len(suspect) != 10 || len(asked) != 10 {
		t.Errorf("%d calls, %d statuses, %d lamps: %v", len(calls), len(suspect), len(asked), err)
	}
	if calls, suspect, asked, err = n.take(); err != nil || len(calls)+len(suspect)+len(asked) != 0 {
		t.Errorf("again: %v, %v, %v, %v", calls, suspect, asked, err)
	}
	for i := range waiting + 1 {
		n.hear(esl.Event{Name: "PRESENCE_IN", From: strconv.Itoa(i) + "@x"})
	}
	if _, _, _, err = n.take(); err == nil {
		t.Error("somebody makes extensions up, and is believed")
	}
}

// A beat lists the channels anew: a hang-up that was lost is noticed, and a call that began
// without a word.
func TestABeatMendsWhatEventsHaveMissed(t *testing.T) {
	sim := start(t, freeswitchsim.Config{})
	sim.StartCall("1000")
	w := follow(t, open(t, sim, quick))
	sim.Vanish("1000")
	w.until(t, "that it is over", func() bool { return w.calls["1000"] == 0 })
}

// The list of channels lags behind the events: what an event has just said is not undone
// by a list that does not know it yet.
func TestAnEventCountsMoreThanALaggingList(t *testing.T) {
	c := newChannels(Config{Domain: "x", Lag: time.Second})
	now := time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC)
	up := func(id, state string) esl.Event {
		return esl.Event{Name: "CHANNEL_CALLSTATE", Channel: id, CallState: state, PresenceID: "1000@X"}
	}
	c.hear(up("a", "ACTIVE"), now)
	c.hear(up("b", "ACTIVE"), now.Add(-time.Minute))
	c.hear(up("c", "ACTIVE"), now.Add(-time.Minute))
	c.hear(up("c", "HANGUP"), now)
	listed := map[string]row{"c": {ID: "c", PresenceID: "1000@x", CallState: "ACTIVE"}, "d": {ID: "d", PresenceID: "1000@x", CallState: "ACTIVE"}}
	c.replace(listed, now.Add(500*time.Millisecond))
	if c.calls["1000"] != 2 { // a, which is new, and d; not b, which is gone, and not c, which has just ended
		t.Errorf("%+v", c.byID)
	}
	c.replace(nil, now.Add(time.Minute))
	if len(c.calls) != 0 || len(c.byID) != 0 {
		t.Errorf("later: %+v %v", c.byID, c.calls)
	}
}

func TestChannelsThatAreNobodys(t *testing.T) {
	c := newChannels(Config{Domain: "x"})
	for _, e := range []esl.Event{
		{Name: "CHANNEL_ANSWER", Channel: "a", PresenceID: "1000@elsewhere"},
		{Name: "CHANNEL_ANSWER", Channel: "b", ChannelName: "sofia/external/+4930123@198.51.100.7"},
		{Name: "CHANNEL_ANSWER", Channel: "c"},
		{Name: "CHANNEL_ANSWER", PresenceID: "1000@x"},
		{Name: "CHANNEL_ANSWER", Channel: "d", PresenceID: "10 00@x"},
		{Name: "CHANNEL_HANGUP_COMPLETE", Channel: "e", PresenceID: "1000@x"},
		{Name: "HEARTBEAT"},
	} {
		c.hear(e, time.Time{})
	}
	if len(c.calls) != 0 || len(c.news()) != 0 {
		t.Errorf("%v", c.calls)
	}
	c.hear(esl.Event{Name: "CHANNEL_ANSWER", Channel: "f", ChannelName: "sofia/internal/1000@X"}, time.Time{})
	if len(c.news()) != 1 || c.calls["1000"] != 1 {
		t.Errorf("%v", c.calls)
	}
}

// Every call fires events of presence, and so does every write: what is told is what has
// changed, once.
func TestStatusesAreToldOnceForManyEvents(t *testing.T) {
	sim := start(t, freeswitchsim.Config{})
	d := open(t, sim, Config{Beat: 50 * time.Millisecond, Settle: 10 * time.Millisecond})
	w := follow(t, d)
	for range 50 {
		sim.Store("offhook", "1000", "dnd")
		if err := d.SetStatus(t.Context(), "1001", presence.Lunch); err != nil {
			t.Fatal(err)
		}
		sim.StartCall("1002")
		sim.EndCall("1002")
	}
	w.until(t, "of both", func() bool { return w.statuses["1000"] == presence.DND && w.statuses["1001"] == presence.Lunch })
	w.beats(t)
	w.mu.Lock()
	defer w.mu.Unlock()
	n := 0
	for _, e := range w.told {
		if _, ok := e.(pbx.StatusEvent); ok {
			n++
		}
	}
	if n != 4+2 { // what was the case, and two changes
		t.Errorf("%d statuses: %v", n, w.told)
	}
}

func TestAPersonsChoiceUnderFusionPBX(t *testing.T) {
	sim := start(t, freeswitchsim.Config{Cached: true})
	c := slow
	c.Profile, c.Command = FusionPBX, script
	w := follow(t, open(t, sim, c))
	sim.Switch("1000", "true")
	w.until(t, "do not disturb", func() bool { return w.statuses["1000"] == presence.DND })
	sim.Switch("1000", "false")
	w.until(t, "available", func() bool { return w.statuses["1000"] == presence.Available })
}

// A phone that begins to watch is shown what is kept, and only what is to be lit.
func TestAPhoneThatBeginsToWatchIsShownTheLamp(t *testing.T) {
	for name, c := range map[string]struct {
		status presence.Status
		lamps  bool
		want   string
	}{
		"do not disturb":              {presence.DND, true, "confirmed"},
		"available":                   {presence.Available, true, ""},
		"do not disturb, never shown": {presence.DND, false, ""},
	} {
		t.Run(name, func(t *testing.T) {
			sim := start(t, freeswitchsim.Config{})
			d := open(t, sim, Config{Beat: 50 * time.Millisecond, Settle: 10 * time.Millisecond, NoLamps: !c.lamps})
			if err := d.SetStatus(t.Context(), "1000", c.status); err != nil {
				t.Fatal(err)
			}
			w := follow(t, d)
			sim.Watched("sip", "1000")
			if c.want != "" {
				w.until(t, "the lamp", func() bool { return sim.Lamp("sip", "1000").State == c.want })
			}
			w.beats(t)
			if state := sim.Lamp("sip", "1000").State; state != c.want {
				t.Errorf("it is %q", state)
			}
		})
	}
}

func TestWhatEndsAWatch(t *testing.T) {
	for kind, want := range map[freeswitchsim.FaultKind]fault.Kind{
		freeswitchsim.Drop: fault.Unavailable, freeswitchsim.Notice: fault.Unavailable, freeswitchsim.Garbage: fault.Unavailable,
		freeswitchsim.Huge: fault.Unavailable, freeswitchsim.Deny: fault.Denied, freeswitchsim.Usage: fault.Invalid, freeswitchsim.Hang: fault.Timeout,
		freeswitchsim.Truncated: fault.Unavailable, freeswitchsim.Unasked: fault.Unavailable, freeswitchsim.Forget: fault.Unavailable,
	} {
		t.Run(string(kind), func(t *testing.T) {
			sim := start(t, freeswitchsim.Config{})
			c := quick
			c.Timeout = 3 * time.Second
			w := follow(t, open(t, sim, c))
			sim.Inject(freeswitchsim.Fault{Kind: kind, Only: "read"})
			w.ends(t, want)
		})
	}
}

func TestAWatchBeginsAgainAfterARestart(t *testing.T) {
	sim := start(t, freeswitchsim.Config{})
	d := open(t, sim, quick)
	w := follow(t, d)
	sim.StartCall("1000")
	w.until(t, "of a call", func() bool { return w.calls["1000"] == 1 })
	if err := sim.Restart(); err != nil {
		t.Fatal(err)
	}
	w.ends(t, fault.Unavailable)
	for d.link.alive() {
		<-time.After(time.Millisecond)
	}
	again := follow(t, d)
	again.mu.Lock()
	defer again.mu.Unlock()
	if again.calls["1000"] != 0 || again.statuses["1000"] != presence.Unset {
		t.Errorf("%v %v", again.calls, again.statuses)
	}
}

// Behind a System a watch comes back by itself: it says that it was lost, and then tells
// what the restart has undone, the end of a call among it.
func TestAWatchBehindASystemComesBackAfterARestart(t *testing.T) {
	sim := start(t, freeswitchsim.Config{})
	system, err := pbx.NewSystem("hq", open(t, sim, quick), pbx.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { system.Close() }) // after the watch
	w := follow(t, system)
	if err := system.SetStatus(t.Context(), "1000", presence.DND); err != nil {
		t.Fatal(err)
	}
	sim.StartCall("1001")
	w.until(t, "of a status and a call", func() bool { return w.statuses["1000"] == presence.DND && w.calls["1001"] == 1 })
	if err := sim.Restart(); err != nil {
		t.Fatal(err)
	}
	w.until(t, "that it was lost, and what was undone", func() bool {
		return w.down > 0 && w.statuses["1000"] == presence.Unset && w.calls["1001"] == 0
	})
	sim.StartCall("1002")
	w.until(t, "of a call afterwards", func() bool { return w.calls["1002"] == 1 })
}

func TestNewUsersAreToldWithTheInventory(t *testing.T) {
	sim := start(t, freeswitchsim.Config{})
	c := quick
	c.Beat = 5 * time.Millisecond
	w := follow(t, open(t, sim, c))
	sim.Add("1100")
	w.until(t, "of the new one", func() bool { _, ok := w.statuses["1100"]; return ok })
	sim.Store("offhook", "1100", "away")
	w.until(t, "its status", func() bool { return w.statuses["1100"] == presence.Away })
}
