package writer

import (
	"context"
	"math/rand/v2"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/time/rate"

	"offhook.dev/libs/core/fault"
	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/core/presence"
	"offhook.dev/libs/pbx"
	"offhook.dev/libs/pbx/memory"
	"offhook.dev/libs/wire"
)

// journal is the order in which a phone system is written to.
type journal struct {
	mu     sync.Mutex // guards what follows
	writes []presence.Status
	first  time.Time
	last   time.Time
}

func (j *journal) note(s presence.Status) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.last = time.Now(); len(j.writes) == 0 {
		j.first = j.last
	}
	j.writes = append(j.writes, s)
}

// count is how many writes there were.
func (j *journal) count() int {
	j.mu.Lock()
	defer j.mu.Unlock()
	return len(j.writes)
}

// early counts the writes that let a phone ring before the last one that silences one.
func (j *journal) early() (early int) {
	ringing := 0
	for _, s := range j.writes {
		if memory.Powers.Ring.Has(s) {
			ringing++
		} else {
			early = ringing
		}
	}
	return early
}

// recorded is the driver of a phone system that takes so many writes a second, and notes
// them in their order.
type recorded struct {
	memory.Full
	j    *journal
	pace *rate.Limiter
}

func (d recorded) SetStatus(ctx context.Context, ext identity.Extension, s presence.Status) error {
	if err := d.pace.Wait(ctx); err != nil {
		return fault.New(fault.Unavailable, "test", err)
	}
	err := d.Full.SetStatus(ctx, ext, s)
	if err == nil {
		d.j.note(s)
	}
	return err
}

// While a phone system is away people change twenty times each. When it is back it is
// written to once for everybody whose phone shows something else, phones that must not
// ring before any that may, and what waited has cost no memory. OFFHOOK_OUTAGE says
// how many people there are; make soak has 10,000, which is 200,000 changes.
// OFFHOOK_PACE says how many writes a second the phone system takes; 0: as many as there
// are. With a pace this is a measurement, and how long it takes is judged; without one no
// test fails for time.
func TestAfterAnOutageEverybodyIsWrittenOnceAndSilencedFirst(t *testing.T) {
	people, pace := number(t, "OFFHOOK_OUTAGE", 800), number(t, "OFFHOOK_PACE", 0)
	dice := rand.New(rand.NewPCG(historySeed(t), 0))
	s := newStage(t, people)
	j, limit := &journal{}, rate.NewLimiter(rate.Inf, 1)
	if pace > 0 {
		limit = rate.NewLimiter(rate.Limit(pace), 1)
	}
	s.opts.Systems[0].Open = func(ctx context.Context) (pbx.Driver, error) {
		d, err := s.phones.open(ctx)
		return recorded{d.(memory.Full), j, limit}, err
	}
	s.opts.MinutePass = time.Duration(people) * 300 * time.Microsecond // an outage outlasts many
	s.opts.Systems[0].Poll = 500 * time.Millisecond
	s.opts.Systems[0].Pace = pbx.Pace{InFlight: 8}
	s.run("a")
	on := make([]int64, people)
	for i := range people {
		on[i] = s.tells(i, presence.Available, presence.Person).Observation
	}
	var asked atomic.Int64
	gone := time.Now()
	s.phones.stand(func(context.Context, string, identity.Extension, func() error) error {
		asked.Add(1)
		return fault.New(fault.Unavailable, "test", nil)
	})
	before := inUse()
	last := make([]wire.Want, people)
	const changes = 20
	for range changes {
		for _, i := range dice.Perm(people) {
			last[i] = s.wanted(i, presence.Statuses()[1+dice.IntN(4)])
			last[i].DecidedOn = on[i]
			s.publish(last[i])
		}
	}
	grown := int64(inUse()) - int64(before)
	back := time.Now()
	s.phones.stand(nil)
	// A few until it is known to be away, then one every two to three seconds.
	if most := 50 + int64(back.Sub(gone)/(2*time.Second)); asked.Load() > most {
		t.Errorf("asked %d times while it was away for %v, want %d at most", asked.Load(), back.Sub(gone), most)
	}
	s.convergesOn(last, j)
	silent, ringing := 0, 0
	for i, w := range last {
		if got := s.phones.written(extension(i)); len(got) > 1 {
			t.Errorf("line %d written %v, want the newest once", i, got)
		}
		if memory.Powers.Ring.Has(w.Status) {
			ringing++
		} else {
			silent++
		}
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	writes, took := len(j.writes), j.last.Sub(j.first)
	t.Logf("%d changes of %d people while it was away for %v, in which it was asked %d times; %d writes, the first %v after it was back, then %v in all (%.0f a second); %d phones to silence, %d to ring, %d rang before the last was silent; heap %+d KiB",
		changes*people, people, back.Sub(gone).Round(time.Millisecond), asked.Load(), writes, j.first.Sub(back).Round(time.Millisecond), took.Round(time.Millisecond), float64(writes)/took.Seconds(), silent, ringing, j.early(), grown>>10)
	if pace > 0 {
		ideal := time.Duration(writes) * time.Second / time.Duration(pace)
		ratio := j.last.Sub(back).Seconds() / ideal.Seconds()
		t.Logf("at %d writes a second %d writes take %v at least: converged in %.3f times that from the first write, in %.3f times from its return", pace, writes, ideal, took.Seconds()/ideal.Seconds(), ratio)
		if ratio > 1.1 {
			t.Errorf("converged in %.3f times the least that is possible, want 1.1 at most (on a machine with nothing else to do)", ratio)
		}
	}
	if j.early() > 0 {
		t.Errorf("%d phones rang before the last one was silent", j.early())
	}
	if most := int64(64<<20 + 4096*people); grown > most {
		t.Errorf("the heap has grown by %d bytes", grown)
	}
}

// convergesOn waits until every line shows what is wanted, for as long as there is
// progress: a phone system that was away is asked again within a few seconds.
func (s *stage) convergesOn(wants []wire.Want, j *journal) {
	s.t.Helper()
	count, since := -1, time.Now()
	for {
		wrong := slices.IndexFunc(wants, func(w wire.Want) bool { return s.phones.Shown(w.Line.Extension) != w.Status })
		if wrong < 0 {
			return
		}
		if now := j.count(); now != count {
			count, since = now, time.Now()
		}
		if time.Since(since) > 90*time.Second {
			s.t.Fatalf("no progress after %d writes; %s shows %s, want %s", count, wants[wrong].Line.Extension, s.phones.Shown(wants[wrong].Line.Extension), wants[wrong].Status)
		}
		<-time.After(20 * time.Millisecond)
	}
}

func inUse() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapInuse
}
