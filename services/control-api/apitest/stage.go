package apitest

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"sync"
	"testing"
	"time"

	"offhook.dev/libs/bus"
	"offhook.dev/libs/bus/bustest"
	"offhook.dev/libs/core/directory"
	"offhook.dev/libs/core/fault"
	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/core/presence"
	"offhook.dev/libs/hot"
	"offhook.dev/libs/links"
	"offhook.dev/libs/options"
	"offhook.dev/libs/run"
	"offhook.dev/libs/store"
	"offhook.dev/libs/topology"
	"offhook.dev/libs/wire"
	"offhook.dev/services/control-api/api"
)

// Stage is a running control API with its broker.
type Stage struct {
	Bus       *bus.Bus // to publish as the other services do
	Telemetry *run.Telemetry
	URL       string // http://127.0.0.1:port
	GRPC      string // host:port
	Stop      func() // ends the service and waits for it

	links   *store.Bucket
	options *store.Bucket
	memory  *store.Bucket
}

// tenants are those of the configuration.
func tenants() map[identity.Tenant]api.Tenant {
	return map[identity.Tenant]api.Tenant{"contoso": {Options: presence.DefaultOptions(), Hold: 30 * 24 * time.Hour}, "fabrikam": {Options: presence.DefaultOptions(), NoContacts: true,
		NoLanes: api.NoLanes{What: "Microsoft has no address at which it could tell of presences", Where: "webhook.public_url", Fix: "set it"}}}
}

// Start starts a broker and, after prepare (which may be nil) has published what
// there is from before, the service. It waits until the service is ready.
func Start(t testing.TB, prepare func(*Stage)) *Stage {
	t.Helper()
	broker := bustest.Broker(t)
	s := &Stage{Bus: bustest.Connect(t, broker, "test")}
	var err error
	if s.links, err = store.Open(t.Context(), s.Bus.JetStream(), topology.Links); err != nil {
		t.Fatal(err)
	}
	if s.options, err = store.Open(t.Context(), s.Bus.JetStream(), topology.Options); err != nil {
		t.Fatal(err)
	}
	if s.memory, err = store.Open(t.Context(), s.Bus.JetStream(), topology.Memory); err != nil {
		t.Fatal(err)
	}
	if prepare != nil {
		prepare(s)
	}
	s.Telemetry, err = run.NewTelemetry(t.Context(), run.TelemetryOptions{Process: "control-api", Instance: "test", LogTo: io.Discard})
	if err != nil {
		t.Fatal(err)
	}
	deps := run.Deps{
		Instance: "test", Bus: bustest.Connect(t, broker, "control-api"), Hot: hot.InProcess(), Log: s.Telemetry.Log,
		Tracer: s.Telemetry.Tracer("control-api"), Meter: s.Telemetry.Meter("control-api"), Health: run.NewHealth(),
	}
	ctx, cancel := context.WithCancel(t.Context())
	listening, ended := make(chan struct{}), make(chan error, 1)
	go func() {
		ended <- api.Run(ctx, deps, api.Options{
			Listen: "127.0.0.1:0", GRPCListen: "127.0.0.1:0", Tenants: tenants(), Ping: 50 * time.Millisecond, Backlog: 50 * time.Millisecond,
			OnListening: func(http, grpc string) { s.URL, s.GRPC = "http://"+http, grpc; close(listening) },
		})
	}()
	s.Stop = sync.OnceFunc(func() { // who calls it meanwhile waits too
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("control-api ended with: %v", err)
		}
	})
	t.Cleanup(s.Stop)
	select {
	case <-listening:
	case err := <-ended:
		ended <- nil
		t.Fatalf("control-api did not start: %v", err)
	}
	bustest.Eventually(t, 10*time.Second, func() string {
		answer, err := http.Get(s.URL + "/readyz")
		if err != nil {
			return err.Error()
		}
		defer answer.Body.Close()
		if body, _ := io.ReadAll(answer.Body); answer.StatusCode != http.StatusOK {
			return string(body)
		}
		return ""
	})
	return s
}

// Publish publishes messages and returns the sequence of the last.
func (s *Stage) Publish(t testing.TB, messages ...wire.Message) uint64 {
	t.Helper()
	var sequence uint64
	for _, m := range messages {
		subject, data := m.Encode()
		var err error
		if sequence, err = s.Bus.Publish(t.Context(), bus.Message{Subject: subject, Data: data}); err != nil {
			t.Fatal(err)
		}
	}
	return sequence
}

// Link pairs a person with lines and no others.
func (s *Stage) Link(t testing.TB, who identity.Person, lines ...identity.Line) {
	t.Helper()
	var record links.Record
	for i, line := range lines {
		record.Lines = append(record.Lines, links.Line{Line: line, Revision: uint64(i + 1), How: "mail"})
	}
	s.putLinks(t, who, record)
}

// Leaves makes a person one who left, and for whom extensions are kept.
func (s *Stage) Leaves(t testing.TB, who identity.Person, since time.Time, lines ...identity.Line) {
	t.Helper()
	var record links.Record
	for _, line := range lines {
		record = record.Put(directory.Record{Line: line, How: directory.Created, Left: since, WasEnabled: true})
	}
	s.putLinks(t, who, record)
}

func (s *Stage) putLinks(t testing.TB, who identity.Person, record links.Record) {
	t.Helper()
	value, err := json.Marshal(record)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.links.Put(t.Context(), wire.PersonKey(who), value); err != nil {
		t.Fatal(err)
	}
}

// Stored returns what the bucket of options holds, and its revision; 0 if nothing.
func (s *Stage) Stored(t testing.TB, key options.Key) (options.Record, uint64) {
	t.Helper()
	stored, err := s.options.Get(t.Context(), key.String())
	if fault.KindOf(err) == fault.NotFound {
		return options.Record{}, 0
	}
	if err != nil {
		t.Fatal(err)
	}
	record, err := options.Decode(stored.Value)
	if err != nil {
		t.Fatal(err)
	}
	return record, stored.Revision
}

// Store puts a value into the bucket of options, as another version of the service
// may have.
func (s *Stage) Store(t testing.TB, key options.Key, value string) {
	t.Helper()
	if _, err := s.options.Put(t.Context(), key.String(), []byte(value)); err != nil {
		t.Fatal(err)
	}
}

// Decided lets people have been decided under the options of the configuration with
// another mode, as presence-mapper remembers it.
func (s *Stage) Decided(t testing.TB, mode presence.Mode, people ...identity.Person) {
	t.Helper()
	for _, who := range people {
		o := tenants()[who.Tenant].Options
		o.Mode = mode
		s.DecidedUnder(t, o, o.Mode, who)
	}
}

// DecidedUnder lets people have been decided under options, and a mode that is theirs or
// that of a pause.
func (s *Stage) DecidedUnder(t testing.TB, o presence.Options, mode presence.Mode, people ...identity.Person) {
	t.Helper()
	value, err := json.Marshal(map[string]any{"memory": presence.Memory{Mode: mode}, "under": o.Fingerprint()})
	if err != nil {
		t.Fatal(err)
	}
	for _, who := range people {
		if _, err := s.memory.Put(t.Context(), wire.PersonKey(who), value); err != nil {
			t.Fatal(err)
		}
	}
}
