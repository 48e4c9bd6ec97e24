package writer

import (
	"context"
	"fmt"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"offhook.dev/libs/bus/bustest"
	"offhook.dev/libs/core/fault"
	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/core/presence"
	"offhook.dev/libs/pbx/memory"
	"offhook.dev/libs/topology"
	"offhook.dev/libs/wire"
)

// onWrites lets f decide what becomes of each write; everything else passes.
func onWrites(f func(request func() error) error) func(context.Context, string, identity.Extension, func() error) error {
	return func(_ context.Context, op string, _ identity.Extension, request func() error) error {
		if op == "set-status" {
			return f(request)
		}
		return request()
	}
}

// started runs a writer until the first fact of extension 0 and makes it show dnd.
func started(t *testing.T) (s *stage, stop func()) {
	t.Helper()
	s = newStage(t, 1)
	stop = s.run("a")
	s.ends(s.covering(0, presence.DND), wire.Applied)
	s.tells(0, presence.DND, presence.Ours)
	return s, stop
}

func TestAFailingPhoneSystemGetsTheWantAsSoonAsItCan(t *testing.T) {
	lost := fault.New(fault.Timeout, "test", memory.ErrLost)
	for _, c := range []struct {
		name  string
		fails func(request func() error) error
		times int32
	}{
		{"an answer that is lost after the write", func(r func() error) error { _ = r(); return lost }, 1},
		{"an answer that is lost before the write", func(func() error) error { return lost }, 1},
		{"too many requests, come back in a moment", func(func() error) error {
			return fault.After(fault.Throttled, "test", 300*time.Millisecond, nil)
		}, 2},
		{"a storm of 503", func(func() error) error { return fault.New(fault.Unavailable, "test", nil) }, 8},
	} {
		t.Run(c.name, func(t *testing.T) {
			s, _ := started(t)
			var failed atomic.Int32
			s.phones.stand(onWrites(func(request func() error) error {
				if failed.Add(1) <= c.times {
					return c.fails(request)
				}
				return request()
			}))
			w := s.publish(s.wanted(0, presence.Away))
			s.ends(w, wire.Applied)
			s.shows(0, presence.Away)
			s.tells(0, presence.Away, presence.Ours)
			if got := s.phones.written(extension(0)); !slices.Equal(got, []presence.Status{presence.DND, presence.Away}) {
				t.Errorf("written %v, want each once", got)
			}
		})
	}
}

func TestAPersonWhoChoosesWhatWasRefusedIsAPerson(t *testing.T) {
	s, _ := started(t)
	s.phones.stand(onWrites(func(func() error) error {
		s.phones.Choose(extension(0), presence.Lunch) // before any reading could show that nothing happened
		return fault.New(fault.Denied, "test", nil)
	}))
	s.publish(s.wanted(0, presence.Lunch))
	s.tells(0, presence.Lunch, presence.Person)
}

func TestAfterARestartOfThePhoneSystemWhatItForgotIsWrittenAgain(t *testing.T) {
	for _, c := range []struct {
		name  string
		shows presence.Status
		ends  presence.Status
		fact  presence.Origin
	}{
		{"it forgot our last write", presence.Available, presence.DND, presence.Ours},
		{"it forgot nothing", presence.DND, presence.DND, presence.Ours},
		{"a person was quicker", presence.Lunch, presence.Lunch, presence.Person},
	} {
		t.Run(c.name, func(t *testing.T) {
			s, _ := started(t)
			s.phones.restart(map[identity.Extension]presence.Status{extension(0): c.shows})
			if c.shows != c.ends { // what it forgot first shows, then is mended
				s.shows(0, c.ends)
				if got := s.phones.written(extension(0)); len(got) != 2 {
					t.Errorf("written %v, want twice", got)
				}
			}
			s.tells(0, c.ends, c.fact)
			if fact, _ := s.fact(0); c.fact == presence.Ours && fact.LastPerson.Status != presence.Available {
				t.Errorf("a person was made up: %+v", fact.LastPerson)
			}
		})
	}
}

func TestAPhoneSystemThatWasDownGetsTheNewestOfEachLineOnce(t *testing.T) {
	const lines, changes = 50, 20
	s := newStage(t, lines)
	s.run("a")
	on := make([]int64, lines)
	for i := range lines {
		on[i] = s.tells(i, presence.Available, presence.Person).Observation
	}
	s.phones.stand(func(context.Context, string, identity.Extension, func() error) error {
		return fault.New(fault.Unavailable, "test", nil)
	})
	last := make([]wire.Want, lines)
	for n := range changes {
		for i := range lines {
			last[i] = s.wanted(i, presence.Statuses()[1+(n+i)%4])
			last[i].DecidedOn = on[i]
			s.publish(last[i])
		}
	}
	s.phones.stand(nil)
	for i, w := range last {
		s.ends(w, wire.Applied)
		s.shows(i, w.Status)
		if got := s.phones.written(extension(i)); len(got) != 1 {
			t.Errorf("line %d written %v, want the newest once", i, got)
		}
	}
	s.settled()
	if info, err := s.bus.JetStream().Stream(t.Context(), string(topology.ParkedMsg)); err != nil || info.CachedInfo().State.Msgs != 0 {
		t.Errorf("%d wants parked, %v", info.CachedInfo().State.Msgs, err)
	}
}

// A phone system turns a write away and asks for two seconds. The want that has come
// meanwhile is written, the older one is not tried again first.
func TestAWantThatIsOvertakenWhileThePhoneSystemIsBusyIsNotWritten(t *testing.T) {
	s := newStage(t, 1)
	s.run("a")
	seen := s.tells(0, presence.Available, presence.Person)
	old, next := s.wanted(0, presence.Away), s.wanted(0, presence.DND)
	old.DecidedOn, next.DecidedOn = seen.Observation, seen.Observation
	s.phones.stand(func(_ context.Context, op string, _ identity.Extension, request func() error) error {
		if op != "set-status" {
			return request()
		}
		s.phones.stand(nil)
		s.publish(next)
		s.delivered("pbx-writer-hq-status", next)
		return fault.After(fault.Throttled, "test", 2*time.Second, nil)
	})
	s.publish(old)
	s.ends(old, wire.Stale)
	s.ends(next, wire.Applied)
	if got := s.phones.written(extension(0)); !slices.Equal(got, []presence.Status{presence.DND}) {
		t.Errorf("written %v, want the newest alone", got)
	}
}

// delivered waits until a consumer was sent a want. How many are pending does not tell: the
// broker counts what was stored a moment later.
func (s *stage) delivered(consumer string, w wire.Want) {
	subject, _ := w.Encode()
	stored, err := s.bus.Last(s.t.Context(), topology.Wants, subject)
	if err != nil {
		s.t.Errorf("%s: %v", subject, err)
	}
	s.eventually(func() string {
		c, err := s.bus.JetStream().Consumer(s.t.Context(), string(topology.Wants), consumer)
		if err != nil {
			return err.Error()
		}
		if n := c.CachedInfo().Delivered.Stream; n < stored.Sequence {
			return fmt.Sprintf("%d was sent last", n)
		}
		return ""
	})
}

// A line whose requests hang does not hold up the others.
func TestAHangingRequestEndsByItselfAndHoldsUpNobodyElse(t *testing.T) {
	s := newStage(t, 2)
	s.run("a")
	first, second := s.covering(0, presence.DND), s.wanted(1, presence.DND)
	s.ends(first, wire.Applied)
	second.DecidedOn = s.tells(1, presence.Available, presence.Person).Observation
	release := make(chan struct{})
	t.Cleanup(func() { close(release) })
	s.phones.stand(func(ctx context.Context, op string, ext identity.Extension, request func() error) error {
		if op == "set-status" && ext == extension(0) {
			select {
			case <-ctx.Done():
				return ctx.Err()
			case <-release:
				return memory.ErrLost
			}
		}
		return request()
	})
	s.publish(s.wanted(0, presence.Away))
	s.ends(s.publish(second), wire.Applied)
	s.shows(1, presence.DND)
}

// What can be lost between a write and the end of its handling, and what must come
// of it: nothing is written twice, nothing lost, each want has one outcome.
func TestAWantWhoseEndWasLostEndsOnce(t *testing.T) {
	for _, stream := range []topology.Stream{topology.Outcomes, topology.Facts} {
		t.Run(string(stream)+" is away", func(t *testing.T) {
			s, _ := started(t)
			if err := s.bus.JetStream().DeleteStream(t.Context(), string(stream)); err != nil {
				t.Fatal(err)
			}
			w := s.publish(s.wanted(0, presence.Away))
			s.shows(0, presence.Away)
			s.make()
			s.ends(w, wire.Applied)
			s.tells(0, presence.Away, presence.Ours)
			s.settled()
			once(t, s, w)
			if got := s.phones.written(extension(0)); len(got) != 2 {
				t.Errorf("written %v, want each once", got)
			}
		})
	}
}

func once(t *testing.T, s *stage, w wire.Want) {
	t.Helper()
	count := 0
	for _, o := range s.outcomes(w.Line) {
		if o.Revision == w.Revision {
			count++
		}
	}
	if count != 1 {
		t.Errorf("%d outcomes of one want", count)
	}
}

func TestAChoiceSeenWhileTheBrokerCouldNotBeToldIsToldLater(t *testing.T) {
	s, _ := started(t)
	if err := s.bus.JetStream().DeleteStream(t.Context(), string(topology.Facts)); err != nil {
		t.Fatal(err)
	}
	s.phones.Choose(extension(0), presence.Lunch)
	s.eventually(func() string {
		if p := s.ledger(0).Person; p == nil || p.Status != presence.Lunch {
			return "not seen yet"
		}
		return ""
	})
	s.make()
	s.tells(0, presence.Lunch, presence.Person)
}

func TestTheMinutePassTellsFactsAgainThatTheStreamLost(t *testing.T) {
	s := newStage(t, 1)
	s.opts.MinutePass = 50 * time.Millisecond
	s.run("a")
	s.tells(0, presence.Available, presence.Person)
	stream, err := s.bus.JetStream().Stream(t.Context(), string(topology.Facts))
	if err == nil {
		err = stream.Purge(t.Context())
	}
	if err != nil {
		t.Fatal(err)
	}
	s.tells(0, presence.Available, presence.Person)
}

// kill is a moment at which the writer dies: what is in the ledger and on the phone
// system then.
func TestKilledAtAnySeamTheNextStartEndsTheWant(t *testing.T) {
	now := time.Now().Add(-time.Minute)
	want := wire.Revision{Epoch: 1, Sequence: 100}
	before := effect{Status: presence.Available, Over: presence.DND, Revision: wire.Revision{Epoch: 1, Sequence: 1}, Began: now.Add(-2 * time.Second), Ended: now.Add(-time.Second)}
	intent := effect{Status: presence.DND, Over: presence.Available, Revision: want, Began: now}
	done := intent
	done.Ended = now.Add(time.Millisecond)
	for _, c := range []struct {
		name   string
		ledger entry
		shows  presence.Status
		writes int
	}{
		{"before the intent", entry{Effect: &before}, presence.Available, 1},
		{"between intent and effect", entry{Effect: &before, Intent: &intent}, presence.Available, 1},
		{"between effect and ledger", entry{Effect: &before, Intent: &intent}, presence.DND, 0},
		{"between ledger and fact", entry{Effect: &done}, presence.DND, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newStage(t, 1)
			s.put(topology.Ledger, wire.LineKey(lineOf(extension(0))), c.ledger)
			s.phones.Choose(extension(0), c.shows)
			w := s.wanted(0, presence.DND)
			w.Revision = want
			s.publish(w)
			s.run("a")
			s.ends(w, wire.Applied)
			s.shows(0, presence.DND)
			fact := s.tells(0, presence.DND, presence.Ours)
			if fact.LastPerson != nil {
				t.Errorf("a person was made up: %+v", fact.LastPerson)
			}
			s.settled()
			once(t, s, w)
			if got := s.phones.written(extension(0)); len(got) != c.writes {
				t.Errorf("written %v, want %d writes", got, c.writes)
			}
		})
	}
}

// A service that is stopped in the middle of a write, whether it happened or not,
// and started again.
func TestStoppedInTheMiddleOfAWriteAndStartedAgain(t *testing.T) {
	for _, happens := range []bool{true, false} {
		t.Run(fmt.Sprintf("the write happened: %v", happens), func(t *testing.T) {
			s, stop := started(t)
			asked := make(chan struct{})
			s.phones.stand(func(ctx context.Context, op string, _ identity.Extension, request func() error) error {
				if op != "set-status" {
					return request()
				}
				if happens {
					_ = request()
				}
				close(asked)
				<-ctx.Done()
				return ctx.Err()
			})
			w := s.publish(s.wanted(0, presence.Away))
			<-asked
			stop()
			s.phones.stand(nil)
			if s.ledger(0).Intent == nil {
				t.Fatal("no intent in the ledger")
			}
			s.run("a")
			s.shows(0, presence.Away)
			s.tells(0, presence.Away, presence.Ours)
			// The want itself can be with the stopped consumer until AckWait is over; the
			// state does not wait for it.
			s.eventually(func() string {
				if e := s.ledger(0); e.Intent != nil || e.Effect.Revision != w.Revision {
					return "the ledger does not know that it happened"
				}
				return ""
			})
			if got := s.phones.written(extension(0)); len(got) != 2 {
				t.Errorf("written %v", got)
			}
		})
	}
}

func TestOfTwoWritersOneOwnsAndTheOtherTakesOver(t *testing.T) {
	s := newStage(t, 1)
	var writers, most atomic.Int32
	s.phones.stand(func(_ context.Context, op string, _ identity.Extension, request func() error) error {
		if op == "watch" { // is a connection, and no request
			return request()
		}
		most.Store(max(most.Load(), writers.Add(1)))
		defer writers.Add(-1)
		return request()
	})
	s.opts.Systems[0].Pace.InFlight = 1
	stop := s.run("a")
	s.ends(s.covering(0, presence.DND), wire.Applied)
	s.run("b")
	s.ends(s.publish(s.wanted(0, presence.Away)), wire.Applied)
	stop()
	s.ends(s.publish(s.wanted(0, presence.Lunch)), wire.Applied)
	s.shows(0, presence.Lunch)
	if s.ledger(0).Person.Status != presence.Available {
		t.Error("the new owner took the former one's writes for a person's")
	}
	if most.Load() != 1 {
		t.Errorf("%d requests at once from writers of one lane each", most.Load())
	}
}

func TestTheLedgerOfANewerOwnerIsNotTouched(t *testing.T) {
	s, _ := started(t)
	newer := s.ledger(0)
	newer.Fence += 1000
	s.put(topology.Ledger, wire.LineKey(lineOf(extension(0))), newer)
	s.publish(s.wanted(0, presence.Away))
	refused := func() bool { return slices.Equal(s.phones.written(extension(0)), []presence.Status{presence.DND}) }
	// A person's choice can be seen and not be stored either.
	seen := s.phones.Requests()
	s.eventually(func() string {
		if s.phones.Requests() < seen+20 {
			return "not read often enough"
		}
		return ""
	})
	if !refused() || s.ledger(0).Fence != newer.Fence {
		t.Errorf("written %v under fence %d", s.phones.written(extension(0)), s.ledger(0).Fence)
	}
}

func TestALedgerThatChangedUnderAnOlderFenceIsTakenOver(t *testing.T) {
	s, _ := started(t)
	older := s.ledger(0)
	s.put(topology.Ledger, wire.LineKey(lineOf(extension(0))), older) // as a save whose ack was lost
	s.ends(s.publish(s.wanted(0, presence.Away)), wire.Applied)
	s.shows(0, presence.Away)
}

// A lease that somebody else holds: this writer stops writing, and takes up its work
// when the lease is free again.
func TestAStolenLeaseEndsTheWorkUntilItIsFreeAgain(t *testing.T) {
	s, _ := started(t)
	key := topology.Join("pbx", string(hq))
	if _, err := s.buckets[topology.Leases].Put(t.Context(), key, []byte("somebody else")); err != nil {
		t.Fatal(err)
	}
	// Lost at the next renewal: from then on nobody asks the phone system anything.
	quiet, since := s.phones.Requests(), time.Now()
	s.eventually(func() string {
		if now := s.phones.Requests(); now != quiet {
			quiet, since = now, time.Now()
		}
		if time.Since(since) < 500*time.Millisecond {
			return "the phone system is still asked"
		}
		return ""
	})
	w := s.publish(s.wanted(0, presence.Away))
	stolen, err := s.buckets[topology.Leases].Get(t.Context(), key)
	if err != nil {
		t.Fatal(err)
	}
	if got := s.phones.written(extension(0)); len(got) != 1 {
		t.Errorf("written %v without the lease", got)
	}
	if err := s.buckets[topology.Leases].Delete(t.Context(), key, stolen.Revision); err != nil {
		t.Fatal(err)
	}
	s.ends(w, wire.Applied)
	s.shows(0, presence.Away)
}

// Intent and effect: with the notification and the memory these are the four synced
// writes that a change may cost (docs/design.md). Readings that show our write cost none.
func TestAChangeCostsTwoWritesOfTheLedger(t *testing.T) {
	s, _ := started(t)
	written := func() uint64 { return bustest.Written(t, s.bus, topology.Ledger) }
	for _, status := range []presence.Status{presence.Away, presence.Available, presence.DND} {
		before := written()
		s.ends(s.publish(s.wanted(0, status)), wire.Applied)
		s.tells(0, status, presence.Ours)
		asked := s.phones.Requests()
		s.eventually(func() string {
			if s.phones.Requests() < asked+3 {
				return "not read again"
			}
			return ""
		})
		if cost := written() - before; cost != 2 {
			t.Errorf("%s cost %d writes of the ledger, want 2", status, cost)
		}
	}
}
