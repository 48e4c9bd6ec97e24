package writer

import (
	"context"
	"math/rand/v2"
	"runtime"
	"sync"
	"testing"
	"time"

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

// recorded is a driver that notes writes in their order.
type recorded struct {
	full
	j *journal
}

func (d recorded) SetStatus(ctx context.Context, ext identity.Extension, s presence.Status) error {
	err := d.full.SetStatus(ctx, ext, s)
	if err == nil {
		d.j.note(s)
	}
	return err
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

// While a phone system is away people change twenty times each. When it is back it is
// written to once for everybody whose phone shows something else, phones that must not
// ring before those that may, and what waited has cost no memory. OFFHOOK_OUTAGE says
// how many people there are; make soak has 10,000, which is 200,000 changes.
// OFFHOOK_PACE says how many requests a second the phone system is asked at most; 0: as
// many as it answers.
func TestAfterAnOutageEverybodyIsWrittenOnceAndSilencedFirst(t *testing.T) {
	people := number(t, "OFFHOOK_OUTAGE", 800)
	dice := rand.New(rand.NewPCG(historySeed(t), 0))
	s := newStage(t, people)
	j := &journal{}
	s.opts.Systems[0].Open = func(ctx context.Context) (pbx.Driver, error) {
		d, err := s.phones.open(ctx)
		return recorded{d.(full), j}, err
	}
	s.opts.Systems[0].Poll = 500 * time.Millisecond
	pace := number(t, "OFFHOOK_PACE", 0)
	s.opts.Systems[0].Pace = pbx.Pace{InFlight: 8, PerSecond: float64(pace)}
	s.run("a")
	on := make([]int64, people)
	for i := range people {
		on[i] = s.tells(i, presence.Available, presence.Person).Observation
	}
	s.phones.stand(func(context.Context, string, identity.Extension, func() error) error {
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
	silent, ringing := 0, 0
	for i, w := range last {
		s.shows(i, w.Status)
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
	writes := len(j.writes)
	took := j.last.Sub(j.first)
	t.Logf("%d changes of %d people; %d writes, the first %v after it was back, then %v in all (%.0f a second); %d phones to silence, %d to ring, %d rang before the last was silent; heap %+d KiB",
		changes*people, people, writes, j.first.Sub(back).Round(time.Millisecond), took.Round(time.Millisecond), float64(writes)/took.Seconds(), silent, ringing, j.early(), grown>>10)
	if pace > 0 {
		t.Logf("%.2f times writes / pace: each costs a read as well, unless a listing is young enough", took.Seconds()*float64(pace)/float64(writes))
	}
	// Those in the consumer's hands when it came back, and the last few of the pass.
	if most := 64 + 2*atOnce; j.early() > most {
		t.Errorf("%d phones rang before the last one was silent, more than the %d in flight", j.early(), most)
	}
	if most := int64(64<<20 + 4096*people); grown > most {
		t.Errorf("the heap has grown by %d bytes", grown)
	}
}

func inUse() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapInuse
}
