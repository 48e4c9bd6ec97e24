package bus_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"offhook.dev/libs/bus"
	"offhook.dev/libs/bus/bustest"
	"offhook.dev/libs/core/fault"
	"offhook.dev/libs/topology"
)

const want101 = "pbx.want.status.hq.101"

func publish(t *testing.T, b *bus.Bus, subject, data string) uint64 {
	t.Helper()
	sequence, err := b.Publish(t.Context(), bus.Message{Subject: subject, Data: []byte(data)})
	if err != nil {
		t.Fatal(err)
	}
	return sequence
}

func TestPublishOverRefusesWhatSomebodyElseReplaced(t *testing.T) {
	b := bustest.Connect(t, bustest.Broker(t), "test")
	seen := publish(t, b, want101, "one")
	publish(t, b, want101, "two, by somebody else")
	_, err := b.PublishOver(t.Context(), bus.Message{Subject: want101, Data: []byte("three")}, seen)
	if fault.KindOf(err) != fault.Conflict {
		t.Fatalf("publish over a replaced message: %v, want a conflict", err)
	}
	last, err := b.Last(t.Context(), topology.Wants, want101)
	if err != nil || string(last.Data) != "two, by somebody else" {
		t.Fatalf("last = %q, %v", last.Data, err)
	}
	if _, err := b.PublishOver(t.Context(), bus.Message{Subject: want101, Data: []byte("three")}, last.Sequence); err != nil {
		t.Fatalf("publish over the newest: %v", err)
	}
	if _, err := b.PublishOver(t.Context(), bus.Message{Subject: "pbx.want.status.hq.102", Data: []byte("first")}, 0); err != nil {
		t.Fatalf("publish over nothing: %v", err)
	}
}

// Two series of contacts that were launched within the same microsecond, which is their id,
// were one message to the broker: the second was lost for a minute.
func TestAnIDIsThatOfItsSubject(t *testing.T) {
	b := bustest.Connect(t, bustest.Broker(t), "test")
	for i, c := range []struct {
		subject  string
		repeated bool
	}{{want101, false}, {want101, true}, {"pbx.want.status.hq.102", false}, {"pbx.want.status.hq.102", true}} {
		_, repeated, err := b.PublishOnce(t.Context(), bus.Message{Subject: c.subject, Data: []byte("x"), ID: "of the same moment"})
		if err != nil || repeated != c.repeated {
			t.Errorf("%d, on %s: repeated %v, %v", i, c.subject, repeated, err)
		}
	}
}

func TestLastOfAnUnknownSubjectIsNotFound(t *testing.T) {
	b := bustest.Connect(t, bustest.Broker(t), "test")
	if _, err := b.Last(t.Context(), topology.Wants, want101); fault.KindOf(err) != fault.NotFound {
		t.Fatalf("last of nothing: %v, want not found", err)
	}
}

func TestEachVisitsTheNewestOfEverySubjectOnceAndEnds(t *testing.T) {
	b := bustest.Connect(t, bustest.Broker(t), "test")
	if err := b.Each(t.Context(), topology.Wants, "pbx.want.status.>", func(bus.Message) error { return errors.New("nothing is there") }); err != nil {
		t.Fatalf("each of an empty stream: %v", err)
	}
	for ext := 100; ext < 400; ext++ {
		for version := range 2 {
			publish(t, b, fmt.Sprintf("pbx.want.status.hq.%d", ext), fmt.Sprint(version))
		}
	}
	seen := map[string]string{}
	if err := b.Each(t.Context(), topology.Wants, "pbx.want.status.hq.*", func(m bus.Message) error { seen[m.Subject] += string(m.Data); return nil }); err != nil {
		t.Fatal(err)
	}
	if len(seen) != 300 || seen["pbx.want.status.hq.399"] != "1" {
		t.Fatalf("%d subjects, 399 has %q; want 300 and the newest once", len(seen), seen["pbx.want.status.hq.399"])
	}
}

func TestASubjectThatIsRewrittenWhileItIsListedIsListed(t *testing.T) {
	b := bustest.Connect(t, bustest.Broker(t), "test")
	const subjects, rounds = 4, 200
	bustest.Unrest(t, subjects, func(i int) error {
		_, err := b.Publish(context.WithoutCancel(t.Context()), bus.Message{Subject: fmt.Sprint("pbx.want.status.hq.", i)})
		return err
	})
	for round := range rounds {
		seen := map[string]bool{}
		if err := b.Each(t.Context(), topology.Wants, "pbx.want.status.>", func(m bus.Message) error { seen[m.Subject] = true; return nil }); err != nil {
			t.Fatal(err)
		}
		if len(seen) != subjects {
			t.Errorf("round %d: %d of %d", round, len(seen), subjects)
		}
	}
}

func TestABacklogOnOneSubjectReachesASlowConsumerAsItsNewestOnly(t *testing.T) {
	b := bustest.Connect(t, bustest.Broker(t), "test")
	for i := range 1000 {
		publish(t, b, want101, fmt.Sprint(i))
	}
	var got []string
	ctx, cancel := context.WithCancel(t.Context())
	err := b.Consume(ctx, bus.Consumer{Stream: topology.Wants, Durable: "hq-status", Filters: []string{"pbx.want.status.hq.*"}},
		func(_ context.Context, m bus.Message) error { got = append(got, string(m.Data)); cancel(); return nil })
	if err != nil || len(got) != 1 || got[0] != "999" {
		t.Fatalf("handled %q, %v; want the newest alone", got, err)
	}
}

func TestAHandlerLearnsThatItsMessageWasOvertaken(t *testing.T) {
	b := bustest.Connect(t, bustest.Broker(t), "test")
	publish(t, b, want101, "old")
	ctx, cancel := context.WithCancel(t.Context())
	var handled atomic.Bool
	err := b.Consume(ctx, bus.Consumer{Stream: topology.Wants, Durable: "hq-status", NewestOnly: true, Filters: []string{"pbx.want.status.hq.*"}},
		func(_ context.Context, m bus.Message) error {
			if m.Overtaken() {
				t.Errorf("%q is overtaken before anything newer has come", m.Data)
			}
			switch string(m.Data) {
			case "old":
				publish(t, b, want101+"2", "of another line")
				publish(t, b, want101, "new")
				bustest.Eventually(t, 10*time.Second, func() string {
					if !m.Overtaken() {
						return "the handler of the old message is not told of the new one"
					}
					return ""
				})
			case "new":
				handled.Store(true)
				cancel()
			}
			return nil
		})
	if err != nil || !handled.Load() {
		t.Fatalf("the new one was handled: %v; %v", handled.Load(), err)
	}
}

func TestMessagesOfOneSubjectAreHandledInOrderAndOneAtATime(t *testing.T) {
	b := bustest.Connect(t, bustest.Broker(t), "test")
	for i := range 200 {
		publish(t, b, fmt.Sprintf("decision.contoso.user%d", i%5), fmt.Sprint(i))
	}
	var mu sync.Mutex
	running, last, total := map[string]bool{}, map[string]uint64{}, 0
	var broken string
	ctx, cancel := context.WithCancel(t.Context())
	err := b.Consume(ctx, bus.Consumer{Stream: topology.Decisions, Durable: "order"}, func(_ context.Context, m bus.Message) error {
		mu.Lock()
		if running[m.Subject] || m.Sequence <= last[m.Subject] {
			broken = m.Subject
		}
		running[m.Subject], last[m.Subject] = true, m.Sequence
		mu.Unlock()
		defer func() {
			mu.Lock()
			defer mu.Unlock()
			running[m.Subject] = false
			if total++; total == 200 {
				cancel()
			}
		}()
		return nil
	})
	if err != nil || broken != "" || total != 200 {
		t.Fatalf("order broken on %q, %d handled, %v", broken, total, err)
	}
}

func TestVerdicts(t *testing.T) {
	cases := []struct {
		name       string
		fails      error // of the first delivery
		deliveries int64
		parked     bool
	}{
		{"success is delivered once", nil, 1, false},
		{"stale is done with", fault.New(fault.Stale, "test", nil), 1, false},
		{"unavailable comes again", fault.After(fault.Unavailable, "test", time.Millisecond, nil), 2, false},
		{"an unclassified error comes again", errors.New("who knows"), 2, false},
		{"invalid is parked", fault.New(fault.Invalid, "test", errors.New("no\r\nsense")), 1, true},
		{"unsupported is parked", fault.New(fault.Unsupported, "test", nil), 1, true},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			b := bustest.Connect(t, bustest.Broker(t), "test")
			publish(t, b, want101, "payload")
			var deliveries atomic.Int64
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			ended := make(chan error, 1)
			go func() {
				ended <- b.Consume(ctx, bus.Consumer{Stream: topology.Wants, Durable: "c", Filters: []string{"pbx.want.status.>"}}, func(_ context.Context, m bus.Message) error {
					if deliveries.Add(1); m.Delivered == 1 {
						return c.fails
					}
					return nil
				})
			}()
			bustest.Eventually(t, 10*time.Second, func() string {
				if n := deliveries.Load(); n != c.deliveries {
					return fmt.Sprintf("%d deliveries, want %d", n, c.deliveries)
				}
				if _, err := b.Last(t.Context(), topology.ParkedMsg, "parked.WANTS.test"); c.parked && err != nil {
					return "not parked: " + err.Error()
				}
				return ""
			})
			cancel()
			if err := <-ended; err != nil {
				t.Fatal(err)
			}
			parked, err := b.Last(t.Context(), topology.ParkedMsg, "parked.WANTS.test")
			if c.parked != (err == nil) {
				t.Fatalf("parked = %v, want %v", err == nil, c.parked)
			}
			if c.parked && (string(parked.Data) != "payload" || parked.Header.Get("Offhook-Parked-Subject") != want101 || parked.Header.Get("Offhook-Parked-Reason") == "") {
				t.Fatalf("parked %q with %v: not replayable", parked.Data, parked.Header)
			}
		})
	}
}

func TestAMessageThatTooManyOthersLedToIsParked(t *testing.T) {
	b := bustest.Connect(t, bustest.Broker(t), "test")
	publish(t, b, want101, "loop")
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	rounds := 0
	done := make(chan error, 1)
	go func() {
		done <- b.Consume(ctx, bus.Consumer{Stream: topology.Wants, Durable: "loop", Filters: []string{"pbx.want.status.>"}}, func(ctx context.Context, m bus.Message) error {
			rounds++ // one subject, one worker
			_, err := b.Publish(ctx, bus.Message{Subject: want101, Data: m.Data})
			return err
		})
	}()
	bustest.Eventually(t, 10*time.Second, func() string {
		if _, err := b.Last(t.Context(), topology.ParkedMsg, "parked.WANTS.test"); err != nil {
			return "not parked: " + err.Error()
		}
		return ""
	})
	cancel()
	if err := <-done; err != nil || rounds != bus.MaxHops+1 {
		t.Fatalf("%d rounds, %v; want %d and then silence", rounds, err, bus.MaxHops+1)
	}
}

// A meeting that was read after four messages begins hours later: what that leads to
// is the doing of the time, and must not be taken for the fifth message of a loop.
func TestAFireBeginsAChainOfItsOwn(t *testing.T) {
	b := bustest.Connect(t, bustest.Broker(t), "test")
	publish(t, b, want101, "looks ahead")
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	var led, fired int
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error {
		return b.Consume(ctx, bus.Consumer{Stream: topology.Wants, Durable: "ahead", Filters: []string{"pbx.want.status.>"}}, func(ctx context.Context, m bus.Message) error {
			if led = m.Hops; led < bus.MaxHops {
				_, err := b.Publish(ctx, bus.Message{Subject: want101, Data: m.Data})
				return err
			}
			return b.Schedule(ctx, "timer.contoso.anna", bus.Message{Subject: "fire.contoso.anna"}, time.Now())
		})
	})
	g.Go(func() error {
		return b.Consume(ctx, bus.Consumer{Stream: topology.Timers, Durable: "fires", Filters: []string{"fire.>"}}, func(_ context.Context, m bus.Message) error {
			fired = m.Hops
			cancel()
			return nil
		})
	})
	if err := g.Wait(); err != nil || led != bus.MaxHops || fired != 0 {
		t.Fatalf("%d messages led to the schedule, %d to the fire, %v; want %d and 0", led, fired, err, bus.MaxHops)
	}
}

func TestScheduleFiresOnceAndTheLastOneWins(t *testing.T) {
	b := bustest.Connect(t, bustest.Broker(t), "test")
	fire := func(data string, in time.Duration) {
		t.Helper()
		if err := b.Schedule(t.Context(), "timer.contoso.anna", bus.Message{Subject: "fire.contoso.anna", Data: []byte(data)}, time.Now().Add(in)); err != nil {
			t.Fatal(err)
		}
	}
	fire("an hour", time.Hour)
	fire("now", 10*time.Millisecond)
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	var got []string
	err := b.Consume(ctx, bus.Consumer{Stream: topology.Timers, Durable: "fires", Filters: []string{"fire.>"}}, func(_ context.Context, m bus.Message) error {
		got = append(got, string(m.Data))
		cancel()
		return nil
	})
	if err != nil || len(got) != 1 || got[0] != "now" {
		t.Fatalf("fired %q, %v; want the last schedule alone", got, err)
	}
}

func TestAFullQueueRefusesInsteadOfDropping(t *testing.T) {
	b := bustest.Connect(t, bustest.Broker(t), "test")
	var refused error
	for i := 0; i <= 10_000 && refused == nil; i++ {
		_, refused = b.Publish(t.Context(), bus.Message{Subject: "in.contoso.presence", Data: []byte("x")})
	}
	if fault.KindOf(refused) != fault.Unavailable {
		t.Fatalf("the message after the last place: %v, want unavailable", refused)
	}
	if _, err := b.Publish(t.Context(), bus.Message{Subject: "in.fabrikam.presence", Data: []byte("x")}); err != nil {
		t.Fatalf("another tenant is refused as well: %v", err)
	}
}

func TestBrokerTimeIsCloseToOursOnOneMachine(t *testing.T) {
	b := bustest.Connect(t, bustest.Broker(t), "test")
	publish(t, b, want101, "x")
	m, err := b.Last(t.Context(), topology.Wants, want101)
	if err != nil {
		t.Fatal(err)
	}
	if d := b.Now().Sub(m.Time); d < -100*time.Millisecond || d > 2*time.Second {
		t.Fatalf("broker clock is off by %v", d)
	}
}

func TestReadingLeavesNoConsumersBehind(t *testing.T) {
	b := bustest.Connect(t, bustest.Broker(t), "test")
	publish(t, b, want101, "x")
	for range 20 {
		if err := b.Each(t.Context(), topology.Wants, "pbx.want.status.>", func(bus.Message) error { return nil }); err != nil {
			t.Fatal(err)
		}
	}
	stream, err := b.JetStream().Stream(t.Context(), string(topology.Wants))
	if err != nil {
		t.Fatal(err)
	}
	bustest.Eventually(t, 5*time.Second, func() string {
		if info, err := stream.Info(t.Context()); err != nil || info.State.Consumers > 0 {
			return fmt.Sprintf("%d consumers, %v", info.State.Consumers, err)
		}
		return ""
	})
}

// Found by a writer whose minute pass hung: the facts were purged between the count
// and the delivery.
func TestEachEndsWhenWhatWasThereVanishes(t *testing.T) {
	b := bustest.Connect(t, bustest.Broker(t), "test")
	stream, err := b.JetStream().Stream(t.Context(), string(topology.Wants))
	if err != nil {
		t.Fatal(err)
	}
	for i := range 3000 {
		publish(t, b, fmt.Sprintf("pbx.want.status.hq.%d", i), "x")
	}
	purged := false
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	err = b.Each(ctx, topology.Wants, "pbx.want.status.>", func(bus.Message) error {
		if !purged {
			purged = true
			return stream.Purge(ctx)
		}
		return nil
	})
	if err != nil {
		t.Fatalf("each of what vanished: %v", err)
	}
}
