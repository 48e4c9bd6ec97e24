package mapper

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"sync"
	"testing"
	"time"

	meter "go.opentelemetry.io/otel/metric/noop"
	tracer "go.opentelemetry.io/otel/trace/noop"

	"offhook.dev/libs/bus"
	"offhook.dev/libs/bus/bustest"
	"offhook.dev/libs/bus/embedded"
	"offhook.dev/libs/core/calendar"
	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/core/presence"
	"offhook.dev/libs/hot"
	"offhook.dev/libs/links"
	"offhook.dev/libs/run"
	"offhook.dev/libs/store"
	"offhook.dev/libs/topology"
	"offhook.dev/libs/wire"
)

const patience = 10 * time.Second

var powers = presence.Powers{Write: presence.All, Read: presence.All, Ring: presence.SetOf(presence.Available, presence.Lunch)}

func person(i int) identity.Person {
	return identity.Person{Tenant: "contoso", User: identity.User(fmt.Sprintf("00000000-0000-0000-0000-%012d", i))}
}

func lineOf(i int) identity.Line {
	return identity.Line{System: "hq", Extension: identity.Extension(fmt.Sprint(200 + i))}
}

// stage is a broker with everything that others would say to the mapper.
type stage struct {
	t       testing.TB
	broker  *embedded.Server
	bus     *bus.Bus
	links   *store.Bucket
	memory  *store.Bucket
	options presence.Options
	newest  uint64        // sequence of the newest fact that was published
	pass    time.Duration // 0: so rare that only what is meant to be prompt can be seen
}

func newStage(t testing.TB) *stage {
	t.Helper()
	s := &stage{t: t, broker: bustest.Broker(t), options: presence.DefaultOptions(), pass: time.Hour}
	s.options.Damping = 0
	s.bus = bustest.Connect(t, s.broker, "test")
	s.make()
	var err [2]error
	s.links, err[0] = store.Open(t.Context(), s.bus.JetStream(), topology.Links)
	s.memory, err[1] = store.Open(t.Context(), s.bus.JetStream(), topology.Memory)
	if err != [2]error{} {
		t.Fatal(err)
	}
	return s
}

// silenced is a stage with a service whose person 0 is busy in Teams, and whose phone was
// silenced for it. first is what the phone showed before.
func silenced(t testing.TB) (s *stage, first presence.StatusReading) {
	t.Helper()
	s = newStage(t)
	s.run("a")
	first = s.ready(0)
	s.wants(0, presence.Available)
	s.teams(0, "Busy", s.bus.Now())
	s.wants(0, presence.DND)
	s.phone(0, presence.DND, presence.Ours, s.bus.Now(), first.LastPerson)
	return s, first
}

// make makes streams and buckets that are missing, with the lease's true TTL.
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
	b, err := bus.Connect(s.t.Context(), bus.Options{InProcess: s.broker, Service: "presence-mapper", Instance: instance, Log: log})
	if err != nil {
		s.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(s.t.Context()))
	ended := make(chan error, 1)
	deps := run.Deps{Instance: instance, Bus: b, Hot: hot.InProcess(), Log: log, Health: run.NewHealth(),
		Tracer: tracer.NewTracerProvider().Tracer(""), Meter: meter.NewMeterProvider().Meter("")}
	options := s.options
	opts := Options{MinutePass: s.pass, Presence: func(identity.Person) presence.Options { return options }}
	go func() { ended <- Run(ctx, deps, opts) }()
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

// link pairs the i-th person with the i-th line.
func (s *stage) link(i int, revision uint64) {
	s.t.Helper()
	data, err := json.Marshal(links.Record{Lines: []links.Line{{Line: lineOf(i), Revision: revision, Powers: powers, How: "mail"}}})
	if err == nil {
		_, err = s.links.Put(s.t.Context(), wire.PersonKey(person(i)), data)
	}
	if err != nil {
		s.t.Fatal(err)
	}
}

func (s *stage) publish(m wire.Message) {
	s.t.Helper()
	subject, data := m.Encode()
	sequence, err := s.bus.Publish(s.t.Context(), bus.Message{Subject: subject, Data: data})
	if err != nil {
		s.t.Fatal(err)
	}
	if about(bus.Message{Subject: subject}) != "" {
		s.newest = sequence
	}
}

// teams says what Teams shows for a person, seen at a time.
func (s *stage) teams(i int, availability string, seen time.Time) {
	s.t.Helper()
	s.publish(wire.Presence{Person: person(i), Reading: presence.TeamsReading{Availability: availability, Activity: availability, SeenAt: seen, Source: presence.Notification}})
}

// phone says what a line shows. A person's status is a choice of that time.
func (s *stage) phone(i int, status presence.Status, origin presence.Origin, seen time.Time, last *presence.Choice) presence.StatusReading {
	s.t.Helper()
	r := presence.StatusReading{Line: lineOf(i), Status: status, Origin: origin, SeenAt: seen, Observation: seen.UnixMicro(), LastPerson: last}
	if origin == presence.Person {
		r.LastPerson = &presence.Choice{Status: status, Observation: r.Observation, At: seen}
	}
	s.publish(wire.Status{Reading: r})
	return r
}

// calendar says when a person is busy, out of office or elsewhere, as read at a time.
func (s *stage) calendar(i int, seen time.Time, intervals ...calendar.Interval) {
	s.t.Helper()
	s.publish(wire.Calendar{Person: person(i), From: seen, To: seen.Add(36 * time.Hour), Intervals: intervals, SeenAt: seen})
}

// ready links the i-th person, whose line shows available, whom Teams shows so, and
// whose calendar is empty.
func (s *stage) ready(i int) presence.StatusReading {
	s.t.Helper()
	s.link(i, 1)
	now := s.bus.Now()
	s.teams(i, "Available", now)
	s.calendar(i, now)
	return s.phone(i, presence.Available, presence.Person, now, nil)
}

func (s *stage) want(i int) (wire.Want, bool) {
	m, err := s.bus.Last(s.t.Context(), topology.Wants, wire.WantSubject(lineOf(i)))
	if err != nil {
		return wire.Want{}, false
	}
	w, err := wire.DecodeWant(m.Data)
	return w, err == nil
}

func (s *stage) eventually(ok func() string) {
	s.t.Helper()
	bustest.Eventually(s.t, patience, ok)
}

// wants waits until a status is wanted.
func (s *stage) wants(i int, status presence.Status) (w wire.Want) {
	s.t.Helper()
	s.eventually(func() string {
		var ok bool
		if w, ok = s.want(i); !ok || w.Status != status {
			return fmt.Sprintf("wanted on %s is %q, not %q", lineOf(i), w.Status, status)
		}
		return ""
	})
	return w
}

// record is what the mapper remembers of a person.
func (s *stage) record(i int) (r record) {
	e, err := s.memory.Get(s.t.Context(), wire.PersonKey(person(i)))
	if err != nil {
		return record{}
	}
	r, _ = decodeRecord(e.Value)
	return r
}

// afterAMeeting begins with somebody whose meeting in Teams has ended, and whose phone is to
// ring again as soon as damping allows.
func (s *stage) afterAMeeting(damping time.Duration) {
	s.t.Helper()
	s.options.Damping = damping
	s.run("a")
	s.ready(0)
	s.teams(0, "Busy", s.bus.Now())
	s.wants(0, presence.DND)
	s.teams(0, "Available", s.bus.Now())
}

// written counts how often the bucket memory was written.
func (s *stage) written() uint64 {
	s.t.Helper()
	return bustest.Written(s.t, s.bus, topology.Memory)
}

// idle waits until every fact has been dealt with. That none is pending does not say so:
// the consumer hears of a new one a moment after it was stored.
func (s *stage) idle() {
	s.t.Helper()
	s.eventually(func() string {
		c, err := s.bus.JetStream().Consumer(s.t.Context(), string(topology.Facts), "presence-mapper-facts")
		if err != nil {
			return err.Error()
		}
		if info := c.CachedInfo(); info.Delivered.Stream < s.newest || info.NumAckPending > 0 || info.NumPending > 0 {
			return "facts are waiting"
		}
		return ""
	})
}

func (s *stage) decisions(i int) (all []wire.Decision) {
	s.t.Helper()
	err := s.bus.History(s.t.Context(), topology.Decisions, wire.DecisionSubject(person(i)), func(m bus.Message) error {
		d, err := wire.DecodeDecision(m.Data)
		all = append(all, d)
		return err
	})
	if err != nil {
		s.t.Fatal(err)
	}
	return all
}
