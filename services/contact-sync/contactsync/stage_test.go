package contactsync

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	meter "go.opentelemetry.io/otel/metric/noop"
	tracer "go.opentelemetry.io/otel/trace/noop"

	"offhook.dev/libs/books"
	"offhook.dev/libs/bus"
	"offhook.dev/libs/bus/bustest"
	"offhook.dev/libs/bus/embedded"
	"offhook.dev/libs/core/directory"
	"offhook.dev/libs/core/fault"
	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/core/plan"
	"offhook.dev/libs/hot"
	"offhook.dev/libs/links"
	"offhook.dev/libs/run"
	"offhook.dev/libs/store"
	"offhook.dev/libs/topology"
	"offhook.dev/libs/wire"
)

const (
	contoso  = identity.Tenant("contoso")
	hq       = identity.System("hq")
	branch   = identity.System("branch")
	patience = 30 * time.Second
)

func person(i int) identity.Person {
	return identity.Person{Tenant: contoso, User: identity.User(fmt.Sprintf("00000000-0000-0000-0000-%012d", i))}
}

// stage is a broker with everything that others do: mailboxes that are read, phone
// systems with a writer each, links and facts.
type stage struct {
	t         testing.TB
	broker    *embedded.Server
	bus       *bus.Bus
	opts      Options
	systems   map[identity.System]*phones
	mailboxes map[identity.Person]*outlook
	stores    map[topology.Bucket]*store.Bucket
	health    *run.Health
	serial    int
	running   *life // started last
	log       *slog.Logger
}

// newStage has a tenant whose phone system hq has both kinds of phonebooks.
func newStage(t testing.TB) *stage {
	t.Helper()
	return newStageOn(t, bustest.Broker(t))
}

func newStageOn(t testing.TB, broker *embedded.Server) *stage {
	t.Helper()
	s := &stage{t: t, broker: broker, bus: bustest.Connect(t, broker, "test"), systems: map[identity.System]*phones{}, mailboxes: map[identity.Person]*outlook{},
		stores: map[topology.Bucket]*store.Bucket{}, health: run.NewHealth(), log: slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelInfo}))}
	s.opts = Options{
		Tenants: []Tenant{{ID: contoso, Personal: true, Shared: true, Region: "DE", Policy: plan.Sync, Brake: plan.Brake{Count: 3, Percent: 5}, Hold: time.Hour, Systems: []identity.System{hq, branch}}},
		Tick:    20 * time.Millisecond, Reread: 10 * time.Millisecond, Progress: 10 * time.Millisecond, Settle: 5 * time.Second, Linger: 1,
	}
	for _, name := range []topology.Bucket{topology.Links, topology.Books, topology.BookPlans, topology.Leases} {
		bucket, err := store.Open(t.Context(), s.bus.JetStream(), name)
		if err != nil {
			t.Fatal(err)
		}
		s.stores[name] = bucket
	}
	return s
}

func (s *stage) must(err error) {
	s.t.Helper()
	if err != nil {
		s.t.Fatal(err)
	}
}

func (s *stage) publish(m wire.Message) {
	s.t.Helper()
	subject, data := m.Encode()
	// Readers publish until they have ended, which is after the test's context has.
	_, err := s.bus.Publish(context.WithoutCancel(s.t.Context()), bus.Message{Subject: subject, Data: data})
	s.must(err)
}

// system adds a phone system, with a writer that works for it.
func (s *stage) system(id identity.System, change func(*wire.System)) *phones {
	s.t.Helper()
	p := s.systems[id]
	if p == nil {
		p = &phones{s: s, id: id, books: map[directory.Book]map[string]directory.Contact{}, flying: map[string]int{}}
		s.systems[id] = p
		s.background("writer of "+string(id), p.work)
	}
	fact := wire.System{System: id, CompanyBook: true, PersonalBooks: true, Numbers: []directory.NumberKind{directory.MobileNumber, directory.BusinessNumber, directory.HomeNumber}, SeenAt: s.bus.Now()}
	if change != nil {
		change(&fact)
	}
	s.publish(fact)
	return p
}

// background runs something until the test ends.
func (s *stage) background(name string, do func(context.Context) error) {
	ctx, cancel := context.WithCancel(context.WithoutCancel(s.t.Context()))
	ended := make(chan error, 1)
	go func() {
		defer close(ended) // also where it failed the test and went no further
		ended <- do(ctx)
	}()
	s.t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil && fault.KindOf(err) != fault.Cancelled {
			s.t.Errorf("%s: %v", name, err)
		}
	})
}

// link gives somebody extensions; none takes them away.
func (s *stage) link(who identity.Person, lines ...identity.Line) {
	s.t.Helper()
	var record links.Record
	for _, line := range lines {
		record.Lines = append(record.Lines, links.Line{Line: line, Revision: uint64(s.bus.Now().UnixMicro()), How: "mail", Since: s.bus.Now()})
	}
	value, err := jsonOf(record)
	s.must(err)
	_, err = s.stores[topology.Links].Put(s.t.Context(), wire.PersonKey(who), value)
	s.must(err)
}

// life is the service running.
type life struct {
	s      *stage
	cancel context.CancelFunc
	ended  chan error
	dead   chan struct{} // closed when an effect killed it
}

// start runs the service; it ends with the test.
func (s *stage) start() *life {
	s.t.Helper()
	return s.startDying(nil)
}

// startAs runs another replica.
func (s *stage) startAs(instance string) *life {
	s.t.Helper()
	return s.startReplica(instance, nil)
}

// startDying runs the service until die says that it dies, asked before and after each
// effect. Whatever it would do afterwards does not happen.
func (s *stage) startDying(die func(effect string) bool) *life {
	s.t.Helper()
	return s.startReplica("test", die)
}

func (s *stage) startReplica(instance string, die func(effect string) bool) *life {
	s.t.Helper()
	ctx, cancel := context.WithCancel(context.WithoutCancel(s.t.Context()))
	l := &life{s: s, cancel: cancel, ended: make(chan error, 1), dead: make(chan struct{})}
	opts := s.opts
	var mu sync.Mutex
	died := false
	opts.effects = func(name string) error {
		mu.Lock()
		defer mu.Unlock()
		if !died && die != nil && die(name) {
			died = true
			close(l.dead)
		}
		if died {
			return errors.New("died at " + name)
		}
		return nil
	}
	deps := run.Deps{Instance: instance, Bus: s.bus, Log: s.log, Health: s.health, Hot: hot.InProcess(), Meter: meter.NewMeterProvider().Meter(""), Tracer: tracer.NewTracerProvider().Tracer("")}
	go func() { l.ended <- Run(ctx, deps, opts) }()
	s.t.Cleanup(l.stop)
	s.running = l
	return l
}

// restart runs the service anew under other options.
func (s *stage) restart(change func(*Options)) {
	s.t.Helper()
	s.running.stop()
	change(&s.opts)
	s.start()
}

// stop ends the service and waits for its end.
func (l *life) stop() {
	l.cancel()
	if err, open := <-l.ended; open {
		close(l.ended)
		if err != nil {
			l.s.t.Error(err)
		}
	}
}

// eventually waits until say returns "".
func (s *stage) eventually(say func() string) {
	s.t.Helper()
	bustest.Eventually(s.t, patience, say)
}

// synced waits until every phonebook has what the mailboxes have, and nothing is under
// way any more.
func (s *stage) synced() {
	s.t.Helper()
	s.eventually(func() string { return strings.Join(append(s.differences(), s.unfinished()...), "; ") })
}

// unfinished lists what still waits in the streams.
func (s *stage) unfinished() (found []string) {
	for _, name := range []topology.Stream{topology.Pages, topology.Changes} {
		stream, err := s.bus.JetStream().Stream(s.t.Context(), string(name))
		s.must(err)
		info, err := stream.Info(s.t.Context())
		s.must(err)
		if info.State.Msgs > 0 {
			found = append(found, fmt.Sprintf("%d messages wait in %s", info.State.Msgs, name))
		}
	}
	err := s.stores[topology.Books].Each(s.t.Context(), books.LacksFilter, func(e store.Entry) error {
		found = append(found, e.Key+" is to be read")
		return nil
	})
	s.must(err)
	return found
}

// state returns what is told of the tenant, once it satisfies want.
func (s *stage) state(want func(books.State) string) (state books.State) {
	s.t.Helper()
	s.eventually(func() string {
		e, err := s.stores[topology.BookPlans].Get(s.t.Context(), books.StateKey(contoso))
		if err != nil {
			return err.Error()
		}
		state, err = books.DecodeState(e.Value)
		s.must(err)
		if why := want(state); why != "" {
			return fmt.Sprintf("%s: %+v", why, state)
		}
		return ""
	})
	return state
}

// stands waits until a book stands as it should.
func (s *stage) stands(who identity.Person, where directory.Book, why string) books.Standing {
	s.t.Helper()
	var found books.Standing
	s.state(func(state books.State) string {
		for _, a := range state.Attention {
			if a.Mailbox == who.User && a.Book == where {
				found = a
			}
		}
		if found.Why != why {
			return fmt.Sprintf("%s stands as %q, want %q", where, found.Why, why)
		}
		return ""
	})
	return found
}

// stored reads a book as it is at rest.
func (s *stage) stored(who identity.Person, where directory.Book) *book {
	s.t.Helper()
	e, err := s.stores[topology.Books].Get(s.t.Context(), bookKey(who, where))
	if fault.KindOf(err) == fault.NotFound && err != nil {
		return nil
	}
	s.must(err)
	b, err := decodeBook(e.Value)
	s.must(err)
	return b
}
