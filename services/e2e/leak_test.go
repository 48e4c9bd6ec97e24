package e2e

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"offhook.dev/libs/bus"
	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/core/presence"
	"offhook.dev/libs/graph/graphsim"
	"offhook.dev/libs/logtest"
	"offhook.dev/libs/pbx/pbxsim"
	"offhook.dev/libs/run"
	"offhook.dev/libs/wire"
	"offhook.dev/services/e2e/world"
)

// Offhook keeps nothing of what meetings are about, where they are and with whom:
// not on the bus, not in a bucket, not in Redis, not in a log, not in a span, not on
// disk.
func TestNothingOfAMeetingIsKept(t *testing.T) {
	t.Parallel()
	places := &everywhere{t: t, log: &logtest.Log{}, spans: collectSpans(t, "127.0.0.1:0"), redis: startRedis(t)}
	o := world.Options{Webhook: true, LogTo: places.log, SpansTo: places.spans.url, Mode: presence.Both}
	if places.redis != nil {
		o.Redis = "redis://" + places.redis.address
	}
	places.w = world.New(t, o)
	w := places.w
	w.Set("anna", "Offline", "Offline")
	w.Start()
	w.Settled(1)
	now := time.Now()
	id := meeting(t, w, "anna", now.Add(-time.Minute), now.Add(time.Hour))
	w.Shows(world.Extension(0), presence.DND, 30*time.Second)
	if err := w.Tenant.MoveMeeting("anna", id, now.Add(-time.Hour), now.Add(-time.Minute)); err != nil {
		t.Fatal(err)
	}
	w.Shows(world.Extension(0), presence.Available, 30*time.Second)
	// What is in Redis ends by itself, so that it is looked at while they run: there is something.
	w.Eventually(30*time.Second, func() string {
		if n, searched := places.search("offhook:budget:")["redis"]; searched && n == 0 {
			return "control: there is no budget in Redis"
		}
		return ""
	})
	for _, part := range world.Parts() {
		w.Stop(string(part.Name)) // what they still have to tell is told now
	}
	for place, n := range places.search(graphsim.Marker) {
		if n != 0 {
			t.Errorf("found %d times in %s", n, place)
		}
	}
	// What is searched is not empty: each place names what it should.
	for place, text := range map[string]string{"streams": "m365.fact.calendar.", "log": "graph-poller", "spans": "offhook-graph-poller", "disk": "graph-poller"} {
		if n, searched := places.search(text)[place]; searched && n == 0 {
			t.Errorf("control: nothing of %q in %s", text, place)
		}
	}
	// And what is planted is found.
	places.plant(graphsim.Marker + " was here")
	for place, n := range places.search(graphsim.Marker) {
		if n == 0 {
			t.Errorf("control: what was planted in %s is not found", place)
		}
	}
}

// Contacts go by: what is on the bus while they do is gone once they are in a phonebook,
// and what nobody asked for (the notes of a contact) is nowhere at any time.
func TestNothingOfAContactIsKeptOnceItIsInAPhonebook(t *testing.T) {
	t.Parallel()
	places := &everywhere{t: t, log: &logtest.Log{}, spans: collectSpans(t, "127.0.0.1:0"), redis: startRedis(t)}
	o := world.Options{Users: 2, LogTo: places.log, SpansTo: places.spans.url, Mailboxes: 200 * time.Millisecond}
	if places.redis != nil {
		o.Redis = "redis://" + places.redis.address
	}
	places.w = world.New(t, o)
	w := places.w
	add := func(name string) {
		t.Helper()
		if _, err := w.Tenant.AddContact("anna", graphsim.Contact{GivenName: name, BusinessPhones: []string{"030 901820"}}); err != nil {
			t.Fatal(err)
		}
		w.Eventually(30*time.Second, func() string {
			for _, c := range w.PBX.Book(world.Extension(0)) {
				if c.FirstName == name {
					return ""
				}
			}
			return name + " is not in the phonebook"
		})
	}
	w.Start()
	const secret = "Zaphod"
	add(secret)
	add("Trillian") // what came of the first is known by now
	for _, part := range world.Parts() {
		w.Stop(string(part.Name))
	}
	for _, text := range []string{secret, graphsim.Marker} {
		for place, n := range places.search(text) {
			if n != 0 && (place != "disk" || text == graphsim.Marker) { // blocks of streams are cleared later
				t.Errorf("%s: found %d times in %s", text, n, place)
			}
		}
	}
	if n := places.search("outcome.contact.")["streams"]; n == 0 {
		t.Error("control: nothing of contacts was on the bus")
	}
}

// The answer of 3CX to the creation of an extension may carry its passwords, whatever is
// asked for. They are nowhere afterwards, also where answers break off and errors are told
// of that.
func TestNothingOfThePasswordsOfANewExtensionIsKept(t *testing.T) {
	t.Parallel()
	const secret = "canary"
	places := &everywhere{t: t, log: &logtest.Log{}, spans: collectSpans(t, "127.0.0.1:0"), redis: startRedis(t)}
	o := world.Options{Users: 6, Extensions: 2, Directory: 200 * time.Millisecond, LogTo: places.log, SpansTo: places.spans.url,
		Sync: `{policy: sync, start_extension: "200", hold: 24h, photos: false}`}
	if places.redis != nil {
		o.Redis = "redis://" + places.redis.address
	}
	places.w = world.New(t, o)
	w := places.w
	// So many that they meet creations too: a department and markers are written besides.
	w.PBX.Inject(pbxsim.Fault{Kind: pbxsim.Truncated, Only: "write", Times: 12})
	w.Start()
	for i := range 4 {
		w.Eventually(60*time.Second, func() string {
			if ext := identity.Extension(fmt.Sprint(200 + i)); len(w.PBX.Properties(ext)) != 1 {
				return string(ext) + " is not made"
			}
			return ""
		})
	}
	for _, part := range world.Parts() {
		w.Stop(string(part.Name))
	}
	if n := w.PBX.Stats().SecretsMade; n < 4 {
		t.Errorf("control: passwords were told %d times, want 4", n)
	}
	for place, n := range places.search(secret) {
		if n != 0 {
			t.Errorf("found %d times in %s", n, place)
		}
	}
	if n := places.search("outcome.extension.")["streams"]; n == 0 {
		t.Error("control: nothing of extensions was on the bus")
	}
	places.plant(secret + " was here")
	for place, n := range places.search(secret) {
		if n == 0 {
			t.Errorf("control: what was planted in %s is not found", place)
		}
	}
}

// everywhere is where something of a meeting could be.
type everywhere struct {
	t     *testing.T
	w     *world.World
	log   *logtest.Log
	spans *collector
	redis *redisServer // or nil: there is none on this machine
}

// search counts by place what holds a text: the messages of all streams, buckets
// included, lines of the log, exported spans, the keys and values of Redis, and the
// files of the installation.
func (e *everywhere) search(text string) map[string]int {
	e.t.Helper()
	found := map[string]int{"streams": 0, "log": strings.Count(e.log.String(), text), "spans": e.spans.count(text), "disk": 0}
	b := e.connect()
	defer b.Close()
	for name := range b.JetStream().StreamNames(e.t.Context()).Name() {
		found["streams"] += messagesWith(e.t, b.JetStream(), name, text)
	}
	if e.redis != nil {
		found["redis"] = bytes.Count(e.redis.dump(e.t), []byte(text))
	}
	err := filepath.WalkDir(e.w.Dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return nil // streams are rewritten while we look
		}
		if data, err := os.ReadFile(path); err == nil && bytes.Contains(data, []byte(text)) {
			found["disk"]++
		}
		return nil
	})
	if err != nil {
		e.t.Fatal(err)
	}
	return found
}

// plant puts a text where it must be found: a message, which is on disk as well, a
// line of the log, a value in Redis, and a span's attribute as a service would export it.
func (e *everywhere) plant(text string) {
	e.t.Helper()
	b := e.connect()
	defer b.Close()
	subject, data := wire.Hint{Kind: "event", Tenant: "contoso", ID: "planted", Cause: text, SeenAt: b.Now()}.Encode()
	if _, err := b.Publish(e.t.Context(), bus.Message{Subject: subject, Data: data}); err != nil {
		e.t.Fatal(err)
	}
	fmt.Fprintln(e.log, text)
	if e.redis != nil {
		e.redis.ask(e.t, `SET planted "`+text+`"`)
	}
	telemetry, err := run.NewTelemetry(e.t.Context(), run.TelemetryOptions{Process: "planted", Instance: "test", LogTo: e.log, OTLPEndpoint: e.spans.url})
	if err != nil {
		e.t.Fatal(err)
	}
	_, span := telemetry.Tracer("planted").Start(e.t.Context(), text)
	span.End()
	telemetry.Close(e.t.Context())
}

func (e *everywhere) connect() *bus.Bus {
	e.t.Helper()
	b, err := bus.Connect(e.t.Context(), bus.Options{InProcess: e.w.Broker, Service: "test", Instance: "search"})
	if err != nil {
		e.t.Fatal(err)
	}
	return b
}

func messagesWith(t *testing.T, js jetstream.JetStream, stream, text string) (found int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	s, err := js.Stream(ctx, stream)
	if err != nil {
		t.Fatal(err)
	}
	state := s.CachedInfo().State
	for sequence := state.FirstSeq; sequence <= state.LastSeq; sequence++ {
		m, err := s.GetMsg(ctx, sequence)
		if err != nil {
			continue // replaced since
		}
		if strings.Contains(fmt.Sprint(m.Subject, m.Header, string(m.Data)), text) {
			found++
		}
	}
	return found
}
