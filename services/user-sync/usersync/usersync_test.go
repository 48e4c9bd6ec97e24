package usersync

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"sync"
	"testing"
	"time"

	"go.opentelemetry.io/otel/metric/noop"

	"offhook.dev/libs/bus"
	"offhook.dev/libs/bus/bustest"
	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/core/presence"
	"offhook.dev/libs/links"
	"offhook.dev/libs/run"
	"offhook.dev/libs/store"
	"offhook.dev/libs/topology"
	"offhook.dev/libs/wire"
)

// stage is a running service with a directory to fill.
type stage struct {
	t      *testing.T
	bus    *bus.Bus
	bucket *store.Bucket
	mirror *links.Mirror
}

func newStage(t *testing.T) *stage {
	t.Helper()
	s := &stage{t: t, bus: bustest.Connect(t, bustest.Broker(t), "user-sync"), mirror: links.NewMirror()}
	if err := s.bus.Apply(t.Context(), bus.Layout{}); err != nil { // with the lease's true TTL
		t.Fatal(err)
	}
	var err error
	if s.bucket, err = store.Open(t.Context(), s.bus.JetStream(), topology.Links); err != nil {
		t.Fatal(err)
	}
	return s
}

func (s *stage) run() {
	s.t.Helper()
	s.start(Options{Serves: map[identity.System][]identity.Tenant{"hq": {"contoso"}}, Settle: time.Millisecond})
}

// start runs the service until stop is called, or the test ends.
func (s *stage) start(opts Options) (stop func()) {
	s.t.Helper()
	ctx, cancel := context.WithCancel(context.WithoutCancel(s.t.Context()))
	ended, mirrored := make(chan error, 1), make(chan error, 1)
	deps := run.Deps{Instance: "test", Bus: s.bus, Meter: noop.Meter{}, Log: slog.New(slog.NewTextHandler(s.t.Output(), nil)), Health: run.NewHealth()}
	go func() { ended <- Run(ctx, deps, opts) }()
	go func() { mirrored <- s.mirror.Run(ctx, s.bucket, nil) }()
	stop = sync.OnceFunc(func() {
		cancel()
		<-mirrored
		if err := <-ended; err != nil {
			s.t.Error(err)
		}
	})
	s.t.Cleanup(stop)
	return stop
}

func (s *stage) publish(all ...wire.Message) {
	s.t.Helper()
	for _, m := range all {
		subject, data := m.Encode()
		// The phone system may still answer while the test ends.
		if _, err := s.bus.Publish(context.WithoutCancel(s.t.Context()), bus.Message{Subject: subject, Data: data}); err != nil {
			s.t.Fatal(err)
		}
	}
}

// owned waits until a line belongs to a person and returns the link.
func (s *stage) owned(ext identity.Extension, who identity.Person) (owner links.Owner) {
	s.t.Helper()
	bustest.Eventually(s.t, 10*time.Second, func() string {
		if owner, _ = s.mirror.Who(lineOf(ext)); owner.Person != who {
			return fmt.Sprintf("%s belongs to %q, want %q", ext, owner.Person, who)
		}
		return ""
	})
	return owner
}

func TestAnExtensionBelongsToWhoeverHasItsAddress(t *testing.T) {
	s := newStage(t)
	s.run()
	powers := presence.Powers{Write: presence.All, Read: presence.All}
	line := extension("101", "anna@x")
	line.Powers = powers
	s.publish(user(person(1), "anna@x"), line)
	first := s.owned("101", person(1))
	if of := s.mirror.Of(person(1)); first.Revision == 0 || len(of) != 1 || of[0].Powers != powers || of[0].How != "mail" {
		t.Errorf("links %+v of revision %d", of, first.Revision)
	}

	// The address moves to somebody else: the pair stays. Another extension is the
	// sign that the first change has been dealt with.
	s.publish(user(person(1), "married@x"), user(person(2), "anna@x"), user(person(3), "carl@x"), extension("103", "carl@x"))
	s.owned("103", person(3))
	if still := s.owned("101", person(1)); still != first {
		t.Errorf("the link was made anew: %+v after %+v", still, first)
	}

	// She leaves: it goes to whoever has its address now, under a newer link.
	s.publish(wire.User{Person: person(1), Gone: true})
	if moved := s.owned("101", person(2)); moved.Revision <= first.Revision {
		t.Errorf("the link of the new owner is of revision %d, not above %d", moved.Revision, first.Revision)
	}

	// The extension is deleted: nobody has it.
	s.publish(wire.Inventory{Line: lineOf("101"), Gone: true})
	s.owned("101", identity.Person{})
}

// The clock of the one who made the last link was ahead.
func TestTheLinkOfANewOwnerIsNewerWhateverTheClockSays(t *testing.T) {
	s := newStage(t)
	ahead := links.Record{Lines: []links.Line{{Line: lineOf("101"), Revision: 1 << 60, How: "mail"}}}
	data, err := json.Marshal(ahead)
	if err == nil {
		_, err = s.bucket.Put(t.Context(), wire.PersonKey(person(1)), data)
	}
	if err != nil {
		t.Fatal(err)
	}
	s.publish(wire.User{Person: person(1), Gone: true}, user(person(2), "anna@x"), extension("101", "anna@x"))
	s.run()
	if owner := s.owned("101", person(2)); owner.Revision <= 1<<60 {
		t.Errorf("revision %d", owner.Revision)
	}
}

func TestARecordThatCannotBeReadIsMadeAnew(t *testing.T) {
	s := newStage(t)
	for i := range 2 {
		if _, err := s.bucket.Put(t.Context(), wire.PersonKey(person(1+i)), []byte("{")); err != nil {
			t.Fatal(err)
		}
	}
	s.publish(user(person(1), "anna@x"), extension("101", "anna@x"))
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	deps := run.Deps{Instance: "test", Bus: s.bus, Meter: noop.Meter{}, Log: slog.New(slog.NewTextHandler(t.Output(), nil)), Health: run.NewHealth()}
	go func() { ended <- Run(ctx, deps, Options{Serves: small().serves, Settle: time.Millisecond}) }()
	bustest.Eventually(t, 10*time.Second, func() string {
		e, err := s.bucket.Get(t.Context(), wire.PersonKey(person(1)))
		var r links.Record
		if err != nil || json.Unmarshal(e.Value, &r) != nil || len(r.Lines) != 1 {
			return "not made anew"
		}
		if _, err := s.bucket.Get(t.Context(), wire.PersonKey(person(2))); err == nil {
			return "not removed"
		}
		return ""
	})
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}
