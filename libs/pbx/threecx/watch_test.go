package threecx

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"

	"offhook.dev/libs/core/fault"
	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/core/presence"
	"offhook.dev/libs/pbx"
	"offhook.dev/libs/pbx/pbxsim"
	"offhook.dev/libs/secret"
)

// ear listens to a watch.
type ear struct {
	t      *testing.T
	cancel context.CancelFunc
	ended  chan error

	mu     sync.Mutex
	synced int
	down   int
	calls  map[identity.Extension]int // no zeros
}

// listen runs a watch until the end of the test.
func listen(t *testing.T, w pbx.Watcher) *ear {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	e := &ear{t: t, cancel: cancel, ended: make(chan error, 1), calls: make(map[identity.Extension]int)}
	go func() { e.ended <- w.Watch(ctx, e.hear) }()
	return e
}

func (e *ear) hear(event pbx.WatchEvent) {
	e.mu.Lock()
	defer e.mu.Unlock()
	switch event := event.(type) {
	case pbx.CallEvent:
		if e.calls[event.Extension] = event.Calls; event.Calls == 0 {
			delete(e.calls, event.Extension)
		}
	case pbx.Synced:
		e.synced++
	case pbx.Down:
		e.down++
	}
}

// eventually waits until right returns "". mu is held while it runs.
func (e *ear) eventually(right func() string) {
	e.t.Helper()
	for start := time.Now(); ; <-time.After(time.Millisecond) {
		e.mu.Lock()
		why := right()
		e.mu.Unlock()
		if why == "" {
			return
		}
		if time.Since(start) > 10*time.Second {
			e.t.Fatal(why)
		}
	}
}

func (e *ear) sync() *ear {
	e.t.Helper()
	e.eventually(func() string {
		if e.synced == 0 {
			return "it never said that this was all"
		}
		return ""
	})
	return e
}

// hears waits until exactly these extensions are in calls.
func (e *ear) hears(want map[identity.Extension]int) {
	e.t.Helper()
	e.eventually(func() string {
		if !maps.Equal(e.calls, want) {
			return fmt.Sprintf("in calls are %v, want %v", e.calls, want)
		}
		return ""
	})
}

// ends waits for the end of the watch.
func (e *ear) ends(want fault.Kind) error {
	e.t.Helper()
	select {
	case err := <-e.ended:
		if err == nil || fault.KindOf(err) != want {
			e.t.Fatalf("the watch ended with %v, want %v", err, want)
		}
		return err
	case <-time.After(10 * time.Second):
		e.t.Fatal("the watch goes on")
		return nil
	}
}

// watcher opens a driver that watches. beat 0 is the longest: what is heard before it
// comes from events.
func watcher(t *testing.T, sim *pbxsim.Sim, beat time.Duration) pbx.Watcher {
	t.Helper()
	config := configFor(sim)
	if config.Beat = pbx.WatchBeat; beat > 0 {
		config.Beat = beat
	}
	d, err := Open(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	return d.(pbx.Watcher)
}

func call(t *testing.T, sim *pbxsim.Sim, from identity.Extension, to string) pbxsim.Call {
	t.Helper()
	c, err := sim.StartCall(from, to)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

type inCalls = map[identity.Extension]int

func TestCallsInsideAndWithTheOutsideAreHeard(t *testing.T) {
	sim := start(t, pbxsim.Config{})
	call(t, sim, "203", "") // before anybody watches
	e := listen(t, watcher(t, sim, 0)).sync()
	e.hears(inCalls{"203": 1})
	c := call(t, sim, "200", "201")
	call(t, sim, "200", "+4930555123")
	e.hears(inCalls{"200": 2, "201": 1, "203": 1})
	sim.HangUp(c.ID)
	e.hears(inCalls{"200": 1, "203": 1})
	sim.EndCalls("200")
	sim.EndCalls("203")
	e.hears(inCalls{})
}

// Whoever dials has the phone in hand; whose phone rings may be anywhere.
func TestAPhoneThatDialsIsInACallAndOneThatRingsIsNot(t *testing.T) {
	sim := start(t, pbxsim.Config{})
	e := listen(t, watcher(t, sim, 0)).sync()
	c, err := sim.Ring("200", "201")
	if err != nil {
		t.Fatal(err)
	}
	call(t, sim, "202", "") // heard after whatever the ringing brings
	e.hears(inCalls{"200": 1, "202": 1})
	sim.Answer(c.ID)
	e.hears(inCalls{"200": 1, "201": 1, "202": 1})
}

func TestWhateverHappensToEventsTheTruthIsHeard(t *testing.T) {
	for _, kind := range []pbxsim.FaultKind{pbxsim.EventLost, pbxsim.EventTwice, pbxsim.EventLate, pbxsim.EventGarbled} {
		t.Run(string(kind), func(t *testing.T) {
			sim := start(t, pbxsim.Config{})
			e := listen(t, watcher(t, sim, 0)).sync()
			call(t, sim, "200", "")
			e.hears(inCalls{"200": 1})
			sim.Inject(pbxsim.Fault{Kind: kind, Times: 1})
			sim.EndCalls("200")
			call(t, sim, "201", "")
			e.hears(inCalls{"201": 1})
			sim.Inject(pbxsim.Fault{Kind: kind, Times: 1})
			call(t, sim, "202", "")
			sim.EndCalls("201")
			e.hears(inCalls{"202": 1})
		})
	}
}

// The control of the above: an event that is lost is not heard, if nothing comes after
// it that shows the gap, until everything is read with the next beat.
func TestTheLastEventThatIsLostIsFoundByTheBeat(t *testing.T) {
	for _, beat := range []time.Duration{0, 50 * time.Millisecond} {
		t.Run(beat.String(), func(t *testing.T) {
			sim := start(t, pbxsim.Config{})
			e := listen(t, watcher(t, sim, beat)).sync()
			sim.Inject(pbxsim.Fault{Kind: pbxsim.EventLost, Times: 1})
			call(t, sim, "200", "")
			if beat > 0 {
				e.hears(inCalls{"200": 1})
				return
			}
			e.cancel()
			e.ends(fault.Cancelled)
			e.hears(inCalls{})
		})
	}
}

func TestOnlyExtensionsThatMayBeMonitoredAreHeard(t *testing.T) {
	sim := start(t, pbxsim.Config{Monitored: []identity.Extension{"200", "202"}})
	e := listen(t, watcher(t, sim, 0)).sync()
	call(t, sim, "200", "201")
	call(t, sim, "202", "")
	e.hears(inCalls{"200": 1, "202": 1})
}

func TestWithoutCallControlStatusesAreReadAndTheReasonIsSaid(t *testing.T) {
	for _, access := range []pbxsim.Access{pbxsim.Forbidden, pbxsim.Missing} {
		t.Run(string(access), func(t *testing.T) {
			sim := start(t, pbxsim.Config{CallControl: access})
			d, err := Open(t.Context(), configFor(sim))
			if err != nil {
				t.Fatal(err)
			}
			var said bytes.Buffer
			system, err := pbx.NewSystem("hq", d, pbx.Options{Logger: slog.New(slog.NewTextHandler(&said, nil))})
			if err != nil {
				t.Fatal(err)
			}
			defer system.Close()
			if why := system.Capabilities().NoWatch; why == "" || !strings.Contains(said.String(), why[:20]) {
				t.Errorf("the reason is %q, said was %q", why, said.String())
			}
			if err := system.SetStatus(t.Context(), "200", presence.DND); err != nil {
				t.Error(err)
			}
			if err := system.Watch(t.Context(), func(pbx.WatchEvent) {}); fault.KindOf(err) != fault.Unsupported {
				t.Errorf("watching: %v", err)
			}
		})
	}
}

func TestTroubleThatPassesIsNoReasonNotToWatch(t *testing.T) {
	sim := start(t, pbxsim.Config{})
	d := open(t, sim)
	for kind, lacks := range map[pbxsim.FaultKind]bool{
		pbxsim.Unavailable: false, pbxsim.Broken: false, pbxsim.Throttle: false, pbxsim.Garbage: false, pbxsim.Truncated: false,
		pbxsim.Deny: true, pbxsim.Unlicensed: true,
	} {
		sim.Inject(pbxsim.Fault{Kind: kind, Times: 1})
		if why := d.lookForCalls(t.Context()); (why != "") != lacks {
			t.Errorf("%s: %q", kind, why)
		}
	}
}

// What there is to watch is found out once: a 3CX that starts up must not be taken for one
// without Call Control until somebody restarts pbx-writer.
func TestOnlyAClearNoIsAReasonNotToWatch(t *testing.T) {
	for name, c := range map[string]struct {
		status int
		lacks  bool
	}{
		"it is not there":                      {http.StatusNotFound, true},
		"it is not there any more":             {http.StatusGone, true},
		"the client may not":                   {http.StatusForbidden, true},
		"the licence does not":                 {http.StatusPaymentRequired, true},
		"a page for people while it starts":    {http.StatusOK, false},
		"a way to another page meanwhile":      {http.StatusFound, false},
		"a proxy before one that is not there": {http.StatusBadGateway, false},
		"it is busy":                           {http.StatusServiceUnavailable, false},
	} {
		t.Run(name, func(t *testing.T) {
			d := scripted(t, callControl, func(w http.ResponseWriter, _ *http.Request) {
				w.WriteHeader(c.status)
				_, _ = w.Write([]byte("<html>3CX is starting</html>"))
			})
			if why := d.lookForCalls(t.Context()); (why != "") != c.lacks {
				t.Errorf("it says %q", why)
			}
		})
	}
}

// A watch that was begun too early hears of calls as soon as there is something to hear.
func TestAWatchOfAPhoneSystemThatStartsUpFailsAndIsTriedAgain(t *testing.T) {
	sim := start(t, pbxsim.Config{})
	d := open(t, sim)
	sim.Inject(pbxsim.Fault{Kind: pbxsim.Garbage, Times: 1})
	if d.noWatch = d.lookForCalls(t.Context()); d.noWatch != "" {
		t.Fatalf("it is not watched: %s", d.noWatch)
	}
	sim.Inject(pbxsim.Fault{Kind: pbxsim.Garbage, Times: 1})
	listen(t, watching{d}).ends(fault.Unavailable)
	e := listen(t, watching{d}).sync()
	call(t, sim, "200", "")
	e.hears(inCalls{"200": 1})
}

func TestARightThatIsTakenAwayEndsTheWatchAndNothingElse(t *testing.T) {
	sim := start(t, pbxsim.Config{})
	w := watcher(t, sim, 0)
	sim.Inject(pbxsim.Fault{Kind: pbxsim.Deny, Times: 1})
	listen(t, w).ends(fault.Denied)
	if _, err := w.(pbx.Driver).Status(t.Context(), "200"); err != nil {
		t.Error(err)
	}
}

// One token for everything: the watch takes the driver's, and a new one when that is
// dead, once.
func TestTheWatchSharesTheOneToken(t *testing.T) {
	sim := start(t, pbxsim.Config{OneToken: true})
	w := watcher(t, sim, 0)
	signedIn := sim.Stats().TokenRequests
	first := listen(t, w).sync()
	first.cancel()
	first.ends(fault.Cancelled)
	if n := sim.Stats().TokenRequests; n != signedIn {
		t.Errorf("the watch signed in %d times", n-signedIn)
	}
	sim.ForgetTokens()
	listen(t, w).sync()
	if _, err := w.(pbx.Driver).Status(t.Context(), "200"); err != nil {
		t.Error(err)
	}
	if n := sim.Stats().TokenRequests; n != signedIn+1 {
		t.Errorf("%d new tokens for one that was dead", n-signedIn)
	}
}

// A connection that is dead without having said so.
func TestAWebsocketThatDoesNotAnswerIsGivenUp(t *testing.T) {
	sim := start(t, pbxsim.Config{})
	config := configFor(sim)
	config.Beat, config.Timeout = 10*time.Millisecond, 2*time.Second
	d, err := Open(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	e := listen(t, d.(pbx.Watcher)).sync()
	sim.Mute(true)
	e.ends(fault.Unavailable)
}

func TestAfterARestartTheWatchOfASystemTellsTheTruth(t *testing.T) {
	sim := start(t, pbxsim.Config{})
	system, err := pbx.NewSystem("hq", watcher(t, sim, 0).(pbx.Driver), pbx.Options{})
	if err != nil {
		t.Fatal(err)
	}
	e := listen(t, system).sync()
	call(t, sim, "200", "201")
	e.hears(inCalls{"200": 1, "201": 1})
	if err := sim.Restart(0); err != nil {
		t.Fatal(err)
	}
	e.hears(inCalls{})
	call(t, sim, "202", "")
	e.hears(inCalls{"202": 1})
	if e.down == 0 {
		t.Error("it was never said that the watch was lost")
	}
	if err := system.Close(); err != nil {
		t.Error(err)
	}
	e.ends(fault.Unavailable)
}

// A phone system of which only the parts that a watch needs are there, and its
// websocket is what serve does.
func hostile(t *testing.T, serve func(context.Context, *websocket.Conn)) watching {
	t.Helper()
	mux := http.NewServeMux()
	mux.HandleFunc("/connect/token", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, `{"access_token":"t","expires_in":3600}`)
	})
	mux.HandleFunc("/callcontrol", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "[]") })
	mux.HandleFunc("/callcontrol/ws", func(w http.ResponseWriter, r *http.Request) {
		conn, err := websocket.Accept(w, r, nil)
		if err != nil {
			t.Error(err)
			return
		}
		defer func() { _ = conn.CloseNow() }()
		serve(conn.CloseRead(r.Context()), conn)
	})
	server := httptest.NewTLSServer(mux)
	t.Cleanup(server.Close)
	base, err := url.Parse(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	config := Config{ClientID: "offhook", ClientSecret: secret.NewValue("s3cret"), Timeout: 5 * time.Second, Beat: time.Hour}
	d := &Driver{wire: newWire(base, config), ids: make(map[identity.Extension]int32)}
	d.wire.client = server.Client()
	t.Cleanup(func() { d.Close() })
	return watching{d}
}

func TestAMessageWithoutEndEndsTheWatch(t *testing.T) {
	e := listen(t, hostile(t, func(ctx context.Context, conn *websocket.Conn) {
		_ = conn.Write(ctx, websocket.MessageText, bytes.Repeat([]byte("x"), messageLimit+1))
		<-ctx.Done()
	}))
	e.ends(fault.Unavailable)
}

func TestAFloodOfMessagesCostsNoMemoryAndFewReadings(t *testing.T) {
	const messages = 20_000
	in := newInbox()
	for i := range messages {
		in.add(fmt.Appendf(nil, `{"sequence":%d,"event":{"event_type":0,"entity":"/callcontrol/%d/participants/%d"}}`, i, 200+i%1000, i))
	}
	kinds, missed, ended := in.take()
	if !missed || len(kinds) > inboxLimit || ended != nil {
		t.Errorf("%d participants wait, missed %v, %v", len(kinds), missed, ended)
	}
	if _, missed, _ := in.take(); missed {
		t.Error("it is missed for ever")
	}
}

func TestMessages(t *testing.T) {
	at := place{"200", 12}
	for name, c := range map[string]struct {
		text string
		want message
		bad  bool
	}{
		"made or changed":       {text: `{"sequence":7,"event":{"event_type":0,"entity":"/callcontrol/200/participants/12","attached_data":null}}`, want: message{7, upset, at}},
		"removed":               {text: `{"sequence":8,"event":{"event_type":1,"entity":"/callcontrol/200/participants/12"}}`, want: message{8, remove, at}},
		"a device":              {text: `{"sequence":9,"event":{"event_type":0,"entity":"/callcontrol/200/devices/sip:1@2"}}`, want: message{sequence: 9}},
		"a tone":                {text: `{"sequence":1,"event":{"event_type":2,"entity":"/callcontrol/200/participants/12","attached_data":{}}}`, want: message{sequence: 1, kind: 2}},
		"a way elsewhere":       {text: `{"sequence":1,"event":{"event_type":0,"entity":"/callcontrol/../participants/12"}}`, want: message{sequence: 1}},
		"a route point":         {text: `{"sequence":1,"event":{"event_type":0,"entity":"/callcontrol/a b/participants/12"}}`, want: message{sequence: 1}},
		"no number":             {text: `{"event":{"event_type":0,"entity":"/callcontrol/200/participants/12"}}`, bad: true},
		"no event":              {text: `{"sequence":1}`, bad: true},
		"no type":               {text: `{"sequence":1,"event":{"entity":"/callcontrol/200/participants/12"}}`, bad: true},
		"no JSON":               {text: `{"sequence":1,`, bad: true},
		"a whole extension":     {text: `{"sequence":1,"event":{"event_type":1,"entity":"/callcontrol/200"}}`, bad: true},
		"an id that is no one":  {text: `{"sequence":1,"event":{"event_type":0,"entity":"/callcontrol/200/participants/x"}}`, bad: true},
		"another place":         {text: `{"sequence":1,"event":{"event_type":0,"entity":"/xapi/v1/Users(1)"}}`, bad: true},
		"an array":              {text: `[]`, bad: true},
		"a longer path than is": {text: `{"sequence":1,"event":{"event_type":0,"entity":"/callcontrol/200/participants/12/x"}}`, bad: true},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := parseMessage([]byte(c.text))
			if (err != nil) != c.bad || got != c.want {
				t.Errorf("got %+v, %v", got, err)
			}
		})
	}
}

// Nothing that comes can do more than name an extension and a participant.
func FuzzMessage(f *testing.F) {
	f.Add([]byte(`{"sequence":7,"event":{"event_type":0,"entity":"/callcontrol/200/participants/12"}}`))
	f.Add([]byte(`{"sequence":7,"event":{"event_type":1,"entity":"/callcontrol/../participants/12"}}`))
	f.Add([]byte(`{}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		m, err := parseMessage(data)
		if err != nil && m != (message{}) {
			t.Errorf("%+v with an error", m)
		}
		if m.place == (place{}) {
			return
		}
		if _, err := identity.ParseExtension(string(m.place.ext)); err != nil || strings.Contains(string(m.place.ext), "/") || strings.Trim(string(m.place.ext), ".") == "" && len(m.place.ext) < 3 {
			t.Errorf("it leads to %q", m.place.ext)
		}
	})
}
