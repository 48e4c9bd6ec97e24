package writer

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"offhook.dev/libs/core/fault"
	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/core/presence"
	"offhook.dev/libs/pbx"
	"offhook.dev/libs/topology"
	"offhook.dev/libs/wire"
)

// record keeps every fact about calls that is published, in order: the stream has
// only the newest of each line.
type record struct {
	s   *stage
	mu  sync.Mutex
	all []wire.Call
}

func (s *stage) record() *record {
	s.t.Helper()
	r := &record{s: s}
	s.subscribe("pbx.fact.call.>", func(data []byte) error {
		fact, err := wire.DecodeCall(data)
		r.mu.Lock()
		defer r.mu.Unlock()
		r.all = append(r.all, fact)
		return err
	})
	return r
}

// statuses keeps every fact about statuses that is published, in order.
type statuses struct {
	mu  sync.Mutex
	all []presence.StatusReading
}

func (s *stage) recordStatuses() *statuses {
	s.t.Helper()
	r := &statuses{}
	s.subscribe("pbx.fact.status.>", func(data []byte) error {
		fact, err := wire.DecodeStatus(data)
		r.mu.Lock()
		defer r.mu.Unlock()
		r.all = append(r.all, fact.Reading)
		return err
	})
	return r
}

func (r *statuses) of(i int) (all []presence.Status) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, fact := range r.all {
		if fact.Line == lineOf(extension(i)) {
			all = append(all, fact.Status)
		}
	}
	return all
}

// subscribe hears everything that is published on a subject from now on.
func (s *stage) subscribe(subject string, hear func(data []byte) error) {
	s.t.Helper()
	sub, err := s.bus.Conn().Subscribe(subject, func(m *nats.Msg) {
		if err := hear(m.Data); err != nil {
			s.t.Error(err)
		}
	})
	if err == nil {
		err = s.bus.Conn().Flush()
	}
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { _ = sub.Unsubscribe() })
}

// heard waits until whoever subscribed has heard all that was published so far.
func (s *stage) heard() {
	s.t.Helper()
	done := make(chan struct{})
	err := s.bus.Conn().Flush()
	if err == nil {
		err = s.bus.Conn().Barrier(func() { close(done) })
	}
	if err != nil {
		s.t.Fatal(err)
	}
	<-done
}

// of returns what was told of an extension.
func (r *record) of(i int) (facts []wire.Call) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, fact := range r.all {
		if fact.Line == lineOf(extension(i)) {
			facts = append(facts, fact)
		}
	}
	return facts
}

func (r *record) count() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.all)
}

// tells waits until the n-th fact of an extension was told, from 1, and checks it.
func (r *record) tells(i, n, calls int) wire.Call {
	r.s.t.Helper()
	var fact wire.Call
	r.s.eventually(func() string {
		facts := r.of(i)
		if len(facts) < n {
			return fmt.Sprintf("%d facts about the calls of %s, want %d: %+v", len(facts), extension(i), n, facts)
		}
		fact = facts[n-1]
		return ""
	})
	if fact.Calls != calls {
		r.s.t.Fatalf("fact %d about %s tells of %d calls, want %d", n, extension(i), fact.Calls, calls)
	}
	return fact
}

// watched waits until the watch of a writer has told everything.
func (s *stage) watched() {
	s.t.Helper()
	s.eventually(func() string {
		if s.phones.watchers() == 0 {
			return "nobody watches"
		}
		return ""
	})
}

// unlink ends the pairing of the i-th person.
func (s *stage) unlink(i int) {
	s.t.Helper()
	entry, err := s.buckets[topology.Links].Get(s.t.Context(), wire.PersonKey(person(i)))
	if err == nil {
		err = s.buckets[topology.Links].Delete(s.t.Context(), entry.Key, entry.Revision)
	}
	if err != nil {
		s.t.Fatal(err)
	}
}

// refusing lets nobody watch; everything else passes.
func refusing(_ context.Context, op string, _ identity.Extension, request func() error) error {
	if op == "watch" {
		return fault.New(fault.Unavailable, "test", nil)
	}
	return request()
}

func TestACallIsToldAtItsStartAndAtItsEnd(t *testing.T) {
	s := newStage(t, 2)
	r := s.record()
	s.run("a")
	s.watched()
	before := s.bus.Now()
	s.phones.StartCall(extension(0))
	first := r.tells(0, 1, 1)
	if first.Since != first.SeenAt || first.SeenAt.Before(before.Add(-time.Second)) || first.SeenAt.After(s.bus.Now()) {
		t.Errorf("since %v, seen at %v, asked at %v", first.Since, first.SeenAt, before)
	}
	s.phones.StartCall(extension(0))
	if second := r.tells(0, 2, 2); second.Since != first.Since || !second.SeenAt.After(first.SeenAt) {
		t.Errorf("the first call began at %v, with the second they are on since %v, seen at %v", first.Since, second.Since, second.SeenAt)
	}
	s.phones.EndCall(extension(0))
	r.tells(0, 3, 1)
	s.phones.EndCall(extension(0))
	if last := r.tells(0, 4, 0); last.Since != last.SeenAt || !last.Since.After(first.Since) {
		t.Errorf("the last call ended at %v, seen at %v", last.Since, last.SeenAt)
	}
	if n := len(r.of(1)); n != 0 {
		t.Errorf("%d facts about a line that was never in a call", n)
	}
}

func TestACallThatGoesOnIsConfirmedWhenItIsTime(t *testing.T) {
	for _, c := range []struct {
		name  string
		every time.Duration
		facts int
	}{
		{"the interval is over", time.Nanosecond, 2},
		{"the interval is not over", time.Hour, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newStage(t, 2)
			s.opts.ConfirmCalls = c.every
			r := s.record()
			s.run("a")
			s.watched()
			s.phones.StartCall(extension(0))
			first := r.tells(0, 1, 1)
			s.phones.Sign()
			if c.facts > 1 {
				if again := r.tells(0, 2, 1); again.Since != first.Since || !again.SeenAt.After(first.SeenAt) {
					t.Errorf("confirmed as %+v after %+v", again, first)
				}
			}
			s.phones.StartCall(extension(1))
			r.tells(1, 1, 1) // told after whatever the sign brought
			if n := len(r.of(0)); n != c.facts {
				t.Errorf("%d facts, want %d", n, c.facts)
			}
		})
	}
}

func TestWhileTheWatchIsLostNothingIsToldAndThenTheTruth(t *testing.T) {
	s := newStage(t, 4)
	s.opts.ConfirmCalls, s.opts.MinutePass = time.Nanosecond, 20*time.Millisecond
	r := s.record()
	s.run("a")
	s.watched()
	s.phones.StartCall(extension(0))
	s.phones.StartCall(extension(1))
	r.tells(0, 1, 1)
	on := r.tells(1, 1, 1)

	s.phones.stand(refusing)
	s.phones.Cut()
	s.eventually(func() string {
		if s.phones.watchers() > 0 {
			return "still watched"
		}
		return ""
	})
	s.link(9, 3, 1)
	s.phones.Choose(extension(3), presence.BusinessTrip)
	s.tells(3, presence.BusinessTrip, presence.Person) // what the watch saw last has been told by now, if only that a call goes on
	s.heard()
	told, ended, goesOn := r.count(), len(r.of(0))+1, len(r.of(1))+1
	s.phones.EndCall(extension(0))
	s.phones.StartCall(extension(2))
	s.phones.Sign()
	if stream, err := s.bus.JetStream().Stream(t.Context(), string(topology.Facts)); err != nil || stream.Purge(t.Context()) != nil {
		t.Fatal("the stream cannot be purged", err) // what was told of calls would be told again, were somebody watching
	}
	// Statuses are none the worse for it, and several minute passes go by.
	for _, status := range []presence.Status{presence.Lunch, presence.Away, presence.DND} {
		s.phones.Choose(extension(3), status)
		s.tells(3, status, presence.Person)
	}
	s.heard()
	if n := r.count(); n != told {
		t.Fatalf("%d facts were told while nobody watched: %+v", n-told, r.all[told:])
	}

	s.phones.stand(nil)
	r.tells(0, ended, 0)
	if again := r.tells(1, goesOn, 1); again.Since != on.Since || !again.SeenAt.After(on.SeenAt) {
		t.Errorf("the call that goes on was %+v and is %+v", on, again)
	}
	r.tells(2, 1, 1)
	s.phones.StartCall(extension(3))
	r.tells(3, 1, 1)
	if n := len(r.of(0)); n != ended {
		t.Errorf("the end was told %d times", n-ended+1)
	}
}

func TestAStartedWriterTellsWhatIsSo(t *testing.T) {
	for _, name := range []string{"the same one again", "another one"} {
		t.Run(name, func(t *testing.T) {
			s := newStage(t, 3)
			r := s.record()
			stop := s.run("a")
			s.watched()
			s.phones.StartCall(extension(0))
			s.phones.StartCall(extension(1))
			r.tells(0, 1, 1)
			on := r.tells(1, 1, 1)
			if name == "another one" {
				s.run("b")
			}
			s.phones.stand(refusing) // so that what comes is news to the new owner alone
			stop()
			s.phones.EndCall(extension(0))
			s.phones.StartCall(extension(2))
			if name != "another one" {
				s.run("a")
			}
			s.phones.stand(nil)
			r.tells(0, 2, 0)
			if again := r.tells(1, 2, 1); again.Since != on.Since || !again.SeenAt.After(on.SeenAt) {
				t.Errorf("the call that goes on was %+v and is %+v", on, again)
			}
			r.tells(2, 1, 1)
		})
	}
}

func TestOnlyTheCallsOfLinkedLinesAreTold(t *testing.T) {
	s := newStage(t, 3)
	s.unlink(0)
	r := s.record()
	s.run("a")
	s.watched()
	s.phones.StartCall(extension(0))
	s.phones.StartCall(extension(1))
	on := r.tells(1, 1, 1)
	if n := len(r.of(0)); n != 0 {
		t.Fatalf("%d facts about a line of nobody's", n)
	}
	s.link(0, 0, 2)
	r.tells(0, 1, 1)
	s.unlink(1)
	if off := r.tells(1, 2, 0); !off.SeenAt.After(on.SeenAt) {
		t.Errorf("the line that was unlinked: %+v", off)
	}
	s.phones.EndCall(extension(1))
	s.phones.StartCall(extension(2))
	r.tells(2, 1, 1)
	if n := len(r.of(1)); n != 2 {
		t.Errorf("it was told %d times that an unlinked line is in no call", n-1)
	}
}

func TestWhatTheStreamLostOfCallsIsToldAgain(t *testing.T) {
	s := newStage(t, 1)
	s.opts.MinutePass = 50 * time.Millisecond
	r := s.record()
	s.run("a")
	s.watched()
	s.phones.StartCall(extension(0))
	first := r.tells(0, 1, 1)
	s.eventually(func() string { // what is heard need not be stored yet
		if _, stored := s.call(0); !stored {
			return "not stored"
		}
		return ""
	})
	stream, err := s.bus.JetStream().Stream(t.Context(), string(topology.Facts))
	if err == nil {
		err = stream.Purge(t.Context())
	}
	if err != nil {
		t.Fatal(err)
	}
	if again := r.tells(0, 2, 1); !again.SeenAt.After(first.SeenAt) {
		t.Errorf("told again as %+v", again)
	}
}

func TestACallThatCouldNotBeToldIsToldLater(t *testing.T) {
	s := newStage(t, 1)
	s.run("a")
	s.watched()
	if err := s.bus.JetStream().DeleteStream(t.Context(), string(topology.Facts)); err != nil {
		t.Fatal(err)
	}
	s.phones.StartCall(extension(0))
	s.make()
	s.eventually(func() string {
		if fact, _ := s.call(0); fact.Calls != 1 {
			return "not told"
		}
		return ""
	})
}

// call is the newest fact in the stream.
func (s *stage) call(i int) (wire.Call, bool) {
	m, err := s.bus.Last(s.t.Context(), topology.Facts, wire.CallSubject(lineOf(extension(i))))
	if err != nil {
		return wire.Call{}, false
	}
	fact, err := wire.DecodeCall(m.Data)
	return fact, err == nil
}

// A fact of somebody whose clock is ahead, or of an owner who came after us: it is not
// overwritten with what we knew before.
func TestAFactAboutACallIsNotReplacedByAnOlderOne(t *testing.T) {
	s := newStage(t, 2)
	ahead := wire.Call{Line: lineOf(extension(0)), Calls: 3, Since: s.bus.Now(), SeenAt: s.bus.Now().Add(time.Hour)}
	subject, data := ahead.Encode()
	if err := s.bus.Conn().Publish(subject, data); err != nil {
		t.Fatal(err)
	}
	s.eventually(func() string {
		if _, ok := s.call(0); !ok {
			return "not stored yet"
		}
		return ""
	})
	r := s.record()
	s.run("a")
	s.watched()
	s.phones.StartCall(extension(0))
	s.phones.StartCall(extension(1))
	r.tells(1, 1, 1)
	if fact, _ := s.call(0); fact.Calls != 3 || len(r.of(0)) != 0 {
		t.Errorf("the newer fact was replaced: %+v", r.of(0))
	}
}

func TestNobodyWatchesWithoutTheLease(t *testing.T) {
	s := newStage(t, 1)
	r := s.record()
	s.run("a")
	s.watched()
	key := topology.Join("pbx", string(hq))
	if _, err := s.buckets[topology.Leases].Put(t.Context(), key, []byte("somebody else")); err != nil {
		t.Fatal(err)
	}
	s.eventually(func() string {
		if n := s.phones.watchers(); n > 0 {
			return "still watched"
		}
		return ""
	})
	s.phones.StartCall(extension(0))
	stolen, err := s.buckets[topology.Leases].Get(t.Context(), key)
	if err != nil {
		t.Fatal(err)
	}
	if n := r.count(); n != 0 {
		t.Errorf("%d facts without the lease", n)
	}
	if err := s.buckets[topology.Leases].Delete(t.Context(), key, stolen.Revision); err != nil {
		t.Fatal(err)
	}
	r.tells(0, 1, 1)
}

func TestAStatusOfWhichTheWatchTellsIsReadAtOnce(t *testing.T) {
	s := newStage(t, 1)
	s.opts.Systems[0].Poll = time.Hour
	s.run("a")
	s.watched()
	s.phones.Choose(extension(0), presence.Lunch)
	s.tells(0, presence.Lunch, presence.Person)
}

// The news of a status that was shown before we wrote, and comes after it.
func TestLateNewsOfAStatusIsNobodysChoice(t *testing.T) {
	s := newStage(t, 1)
	s.opts.Systems[0].Poll = time.Hour
	s.run("a")
	s.watched()
	s.ends(s.covering(0, presence.DND), wire.Applied)
	before := s.tells(0, presence.DND, presence.Ours)
	statuses := s.recordStatuses()
	asked := s.phones.Requests()
	if n := s.phones.say(pbx.StatusEvent{Extension: extension(0), Status: presence.Available}); n != 1 {
		t.Fatalf("%d watch", n)
	}
	s.eventually(func() string {
		if s.phones.Requests() == asked {
			return "it was not read"
		}
		return ""
	})
	s.phones.Choose(extension(0), presence.Away) // what is seen next is told after the late news
	s.tells(0, presence.Away, presence.Person)
	s.ends(s.covering(0, presence.Available), wire.Applied)
	if n := s.ledger(0).Observation; before.LastPerson == nil || n <= before.Observation {
		t.Errorf("nothing was observed: %+v, then %d", before, n)
	}
	if got := statuses.of(0); !slices.Equal(got, []presence.Status{presence.Away, presence.Available}) {
		t.Errorf("after the late news %v were told", got)
	}
}
