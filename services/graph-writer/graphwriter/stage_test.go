package graphwriter

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.opentelemetry.io/otel/metric"
	meter "go.opentelemetry.io/otel/metric/noop"
	tracer "go.opentelemetry.io/otel/trace/noop"

	"offhook.dev/libs/bus"
	"offhook.dev/libs/bus/bustest"
	"offhook.dev/libs/bus/embedded"
	"offhook.dev/libs/core/fault"
	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/graph"
	"offhook.dev/libs/hot"
	"offhook.dev/libs/run"
	"offhook.dev/libs/store"
	"offhook.dev/libs/topology"
	"offhook.dev/libs/wire"
)

const (
	contoso  = identity.Tenant("contoso")
	fabrikam = identity.Tenant("fabrikam")
	app      = "66666666-7777-8888-9999-000000000000"
	patience = 20 * time.Second
)

// somebody is the i-th user of contoso.
func somebody(i int) identity.Person {
	return identity.Person{Tenant: contoso, User: identity.User(fmt.Sprintf("00000000-0000-0000-0000-%012d", i))}
}

// teams is one tenant's Teams as Graph lets it be written and read: sessions and
// preferred presences that expire, the precedence among them, and a Teams client that
// the person uses. What is written is recorded, and a test may stand in the way.
type teams struct {
	mu     sync.Mutex // guards what follows
	people map[identity.User]*seat
	way    func(ctx context.Context, op string, user identity.User, request func() error) error
	asked  int // requests, those that failed included
}

// seat is one person in Teams.
type seat struct {
	client    string          // what the Teams client shows, "": it is closed
	sessions  map[string]life // by application
	preferred life
	writes    []string // "session Busy/InACall", "no session", "preferred Away/Away", "no preferred"
	reads     int
	lives     []time.Duration // that were asked for
}

type life struct {
	show string
	ends time.Time
}

func newTeams() *teams { return &teams{people: map[identity.User]*seat{}} }

// stand puts a test in the way of all requests; nil clears it.
func (f *teams) stand(way func(ctx context.Context, op string, user identity.User, request func() error) error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.way = way
}

// fails makes requests end with an error instead of having an effect.
func (f *teams) fails(err error) {
	f.stand(func(context.Context, string, identity.User, func() error) error { return err })
}

func (f *teams) requests() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.asked
}

func (f *teams) pass(ctx context.Context, op string, user identity.User, do func(*seat) error) error {
	request := func() error {
		f.mu.Lock()
		defer f.mu.Unlock()
		return do(f.seat(user))
	}
	f.mu.Lock()
	f.asked++
	way := f.way
	f.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return err
	}
	if way == nil {
		return request()
	}
	return way(ctx, op, user, request)
}

// seat returns a person's; f.mu is held.
func (f *teams) seat(user identity.User) *seat {
	s, ok := f.people[user]
	if !ok {
		s = &seat{client: "Available/Available", sessions: map[string]life{}}
		f.people[user] = s
	}
	return s
}

// with looks at or changes a person's seat, as the person or Microsoft would.
func (f *teams) with(i int, do func(*seat)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	do(f.seat(somebody(i).User))
}

// shown is what others see: the preferred presence over the highest session, and
// neither without a session.
func (s *seat) shown() string {
	now := time.Now()
	rank := func(show string) int {
		availability, _, _ := strings.Cut(show, "/")
		return slices.Index([]string{"Away", "Available", "Busy", "DoNotDisturb"}, availability)
	}
	best := s.client
	for _, each := range s.sessions {
		if each.ends.After(now) && rank(each.show) > rank(best) {
			best = each.show
		}
	}
	switch {
	case best == "":
		return "Offline/Offline"
	case s.preferred.ends.After(now):
		return s.preferred.show
	}
	return best
}

func (f *teams) SetPresence(ctx context.Context, user identity.User, id string, show graph.SessionPresence, lives time.Duration) error {
	const op = "set-session"
	if _, _, ok := show.Pair(); !ok || id != app || lives != lives.Truncate(time.Second) || lives < graph.MinSessionLife || lives > graph.MaxSessionLife {
		return fault.Errorf(fault.Invalid, op, "%s of %s for %v", show, id, lives)
	}
	return f.pass(ctx, op, user, func(s *seat) error {
		s.sessions[id] = life{string(show), time.Now().Add(lives)}
		s.writes, s.lives = append(s.writes, "session "+string(show)), append(s.lives, lives)
		return nil
	})
}

func (f *teams) ClearPresence(ctx context.Context, user identity.User, id string) error {
	return f.pass(ctx, "clear-session", user, func(s *seat) error {
		delete(s.sessions, id) // one that is not there is no error
		s.writes = append(s.writes, "no session")
		return nil
	})
}

func (f *teams) SetPreferredPresence(ctx context.Context, user identity.User, show graph.PreferredPresence, lives time.Duration) error {
	const op = "set-preferred"
	if _, _, ok := show.Pair(); !ok || lives != lives.Truncate(time.Second) || lives < time.Second {
		return fault.Errorf(fault.Invalid, op, "%s for %v", show, lives)
	}
	return f.pass(ctx, op, user, func(s *seat) error {
		s.preferred = life{string(show), time.Now().Add(lives)}
		s.writes, s.lives = append(s.writes, "preferred "+string(show)), append(s.lives, lives)
		return nil
	})
}

func (f *teams) ClearPreferredPresence(ctx context.Context, user identity.User) error {
	return f.pass(ctx, "clear-preferred", user, func(s *seat) error {
		s.preferred = life{}
		s.writes = append(s.writes, "no preferred")
		return nil
	})
}

func (f *teams) Presences(ctx context.Context, users []identity.User) (found []graph.Presence, missing []identity.User, err error) {
	err = f.pass(ctx, "read", users[0], func(*seat) error {
		for _, user := range users {
			s := f.seat(user)
			s.reads++
			availability, activity, _ := strings.Cut(s.shown(), "/")
			found = append(found, graph.Presence{User: user, Availability: availability, Activity: activity})
		}
		return nil
	})
	return found, nil, err
}

// stage is a broker and Teams, with everything that others would do.
type stage struct {
	t        testing.TB
	broker   *embedded.Server
	bus      *bus.Bus
	teams    *teams
	buckets  map[topology.Bucket]*store.Bucket
	sequence uint64 // of the last want
	opts     Options
	meter    metric.Meter
}

func newStage(t testing.TB) *stage {
	t.Helper()
	s := &stage{t: t, broker: bustest.Broker(t), teams: newTeams(), buckets: map[topology.Bucket]*store.Bucket{}, meter: meter.NewMeterProvider().Meter("")}
	s.bus = bustest.Connect(t, s.broker, "test")
	for _, name := range []topology.Bucket{topology.Pins, topology.Leases} {
		bucket, err := store.Open(t.Context(), s.bus.JetStream(), name)
		if err != nil {
			t.Fatal(err)
		}
		s.buckets[name] = bucket
	}
	// The minute pass is so far away that only what is meant to be prompt can be seen.
	s.opts = Options{MinutePass: time.Hour, Tenants: []TenantConfig{{ID: contoso, App: app, Writes: true, Client: s.client}}}
	return s
}

func (s *stage) client() (Client, error) { return s.teams, nil }

// make makes streams and buckets that are missing.
func (s *stage) make() {
	s.t.Helper()
	if err := s.bus.Apply(s.t.Context(), bus.Layout{}); err != nil {
		s.t.Fatal(err)
	}
}

// run runs the service until stop or the end of the test.
func (s *stage) run(instance string) (stop func()) {
	s.t.Helper()
	log := slog.New(slog.NewTextHandler(s.t.Output(), nil)).With("instance", instance)
	b, err := bus.Connect(s.t.Context(), bus.Options{InProcess: s.broker, Service: "graph-writer", Instance: instance, Log: log})
	if err != nil {
		s.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(s.t.Context()))
	ended := make(chan error, 1)
	go func() { ended <- Run(ctx, s.deps(b, instance), s.opts) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			s.t.Errorf("%s: %v", instance, err)
		}
		b.Close()
	})
	s.t.Cleanup(stop)
	return stop
}

func (s *stage) deps(b *bus.Bus, instance string) run.Deps {
	log := slog.New(slog.NewTextHandler(s.t.Output(), nil)).With("instance", instance)
	return run.Deps{Instance: instance, Bus: b, Hot: hot.InProcess(), Log: log, Health: run.NewHealth(),
		Tracer: tracer.NewTracerProvider().Tracer(""), Meter: s.meter}
}

// want is a want for the i-th person, newer than all before, that asks for nothing.
func (s *stage) want(i int) wire.TeamsWant {
	s.sequence++
	return wire.TeamsWant{Person: somebody(i), Reason: "call", Revision: wire.Revision{Epoch: 1, Sequence: s.sequence}, SeenAt: s.bus.Now()}
}

// calling is a want for a person in a call.
func (s *stage) calling(i int) wire.TeamsWant {
	w := s.want(i)
	w.Session, w.SessionUntil = call, s.bus.Now().Add(10*time.Minute)
	return w
}

// choosing is a want for a person who chose something on the phone.
func (s *stage) choosing(i int, show string) wire.TeamsWant {
	w := s.want(i)
	w.Preferred, w.PreferredUntil = show, s.bus.Now().Add(2*time.Hour)
	return w
}

func (s *stage) publish(w wire.TeamsWant) wire.TeamsWant {
	s.t.Helper()
	subject, data := w.Encode()
	if _, err := s.bus.Publish(s.t.Context(), bus.Message{Subject: subject, Data: data}); err != nil {
		s.t.Fatal(err)
	}
	return w
}

// pins is the entry in the bucket; ok is false if there is none.
func (s *stage) pins(i int) (e entry, ok bool) {
	s.t.Helper()
	stored, err := s.buckets[topology.Pins].Get(s.t.Context(), wire.PersonKey(somebody(i)))
	if err == nil {
		err = json.Unmarshal(stored.Value, &e)
	}
	if err != nil && fault.KindOf(err) != fault.NotFound {
		s.t.Fatal(err)
	}
	return e, err == nil
}

func (s *stage) put(i int, e entry) {
	s.t.Helper()
	data, err := json.Marshal(e)
	if err == nil {
		_, err = s.buckets[topology.Pins].Put(s.t.Context(), wire.PersonKey(somebody(i)), data)
	}
	if err != nil {
		s.t.Fatal(err)
	}
}

func (s *stage) outcomes(p identity.Person) (all []wire.TeamsOutcome) {
	s.t.Helper()
	err := s.bus.History(s.t.Context(), topology.Outcomes, wire.TeamsOutcomeSubject(p), func(m bus.Message) error {
		o, err := wire.DecodeTeamsOutcome(m.Data)
		all = append(all, o)
		return err
	})
	if err != nil && fault.KindOf(err) != fault.NotFound {
		s.t.Fatal(err)
	}
	return all
}

func (s *stage) eventually(ok func() string) {
	s.t.Helper()
	bustest.Eventually(s.t, patience, ok)
}

// ends waits for the first outcome of a want and fails if it is another one.
func (s *stage) ends(w wire.TeamsWant, want wire.Result) (o wire.TeamsOutcome) {
	s.t.Helper()
	s.eventually(func() string {
		for _, o = range s.outcomes(w.Person) {
			if o.Revision == w.Revision {
				return ""
			}
		}
		return fmt.Sprintf("no outcome of revision %d", w.Revision.Sequence)
	})
	if o.Result != want {
		s.t.Fatalf("%s (%s), want %s", o.Result, o.Detail, want)
	}
	return o
}

// shows waits until others see something of a person.
func (s *stage) shows(i int, want string) {
	s.t.Helper()
	s.eventually(func() (why string) {
		s.teams.with(i, func(seat *seat) {
			if shown := seat.shown(); shown != want {
				why = fmt.Sprintf("Teams shows %s, want %s", shown, want)
			}
		})
		return why
	})
}

// wrote compares everything that was written for a person.
func (s *stage) wrote(i int, want ...string) {
	s.t.Helper()
	s.teams.with(i, func(seat *seat) {
		if !slices.Equal(seat.writes, want) {
			s.t.Errorf("written %q, want %q", seat.writes, want)
		}
	})
}

// settled waits until nothing of the stream is with the consumer any more.
func (s *stage) settled() {
	s.t.Helper()
	s.eventually(func() string {
		c, err := s.bus.JetStream().Consumer(s.t.Context(), string(topology.Wants), "graph-writer-contoso-presence")
		if err != nil {
			return err.Error()
		}
		info, err := c.Info(s.t.Context())
		if err != nil {
			return err.Error()
		}
		if info.NumAckPending > 0 || info.NumPending > 0 {
			return fmt.Sprintf("%d wants not acked, %d not delivered", info.NumAckPending, info.NumPending)
		}
		return ""
	})
}

// passes waits until the minute pass, which has to be frequent, has gone over
// everything twice: it removes the entry of a witness of whom nothing shows any more.
func (s *stage) passes() {
	s.t.Helper()
	const witness = 999
	for range 2 {
		s.ends(s.publish(s.calling(witness)), wire.Applied)
		s.ends(s.publish(s.want(witness)), wire.Applied)
		s.eventually(func() string {
			if _, there := s.pins(witness); there {
				return "no pass yet"
			}
			return ""
		})
	}
}
