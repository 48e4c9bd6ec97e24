package virtual

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"runtime"
	"slices"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"offhook.dev/libs/bus"
	"offhook.dev/libs/bus/embedded"
	"offhook.dev/libs/core/presence"
	"offhook.dev/libs/core/presencetest"
)

// number reads a number from the environment.
func number(t *testing.T, name string, otherwise int) int {
	n, err := strconv.Atoi(cmp.Or(os.Getenv(name), strconv.Itoa(otherwise)))
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return n
}

func randomSeed(t *testing.T) uint64 {
	seed := rand.Uint64()
	if s := os.Getenv("OFFHOOK_SEED"); s != "" {
		var err error
		if seed, err = strconv.ParseUint(s, 10, 64); err != nil {
			t.Fatalf("OFFHOOK_SEED: %v", err)
		}
	}
	t.Logf("OFFHOOK_SEED=%d repeats these lives", seed)
	return seed
}

// TestMain keeps a broker with streams alive outside of all bubbles: nats-server has a
// clock for the whole process, which the first stream starts and the last one stops.
func TestMain(m *testing.M) {
	os.Exit(outside(m.Run))
}

func outside(run func() int) int {
	dir, err := os.MkdirTemp("", "offhook-virtual")
	if err != nil {
		panic(err)
	}
	defer func() { _ = os.RemoveAll(dir) }()
	s, err := embedded.Start(embedded.Options{Dir: dir, NoSync: true})
	if err != nil {
		panic(err)
	}
	defer s.Close()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	b, err := bus.Connect(ctx, bus.Options{InProcess: s, Service: "test", Instance: "outside"})
	if err != nil {
		panic(err)
	}
	defer b.Close()
	if err := b.Apply(ctx, bus.Layout{}); err != nil {
		panic(err)
	}
	return run()
}

// lives lets a world of people live in virtual time and returns them.
func lives(t *testing.T, o options) (people []*inhabitant, crashes int) {
	w := livesIn(t, o)
	return w.people, w.crash
}

// livesIn is lives for who wants to see all of the world that was.
func livesIn(t *testing.T, o options) *world {
	return bubble(t, o, (*world).live)
}

// bubble makes a world in virtual time, starts its services, and does something there.
func bubble(t *testing.T, o options, do func(*world)) (was *world) {
	o.dir, o.log = t.TempDir(), slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelError}))
	runtime.GC() // pools may hold timers of the last bubble
	runtime.GC()
	// What has an age in a stream is compared with the clock of the process: in a bubble
	// that begins later nothing gets too old. Half an hour after manual_max comes round.
	year, month, day := time.Now().UTC().Date()
	start := time.Date(year, month, day+2, 4, 30, 0, 0, time.UTC)
	synctest.Test(t, func(t *testing.T) {
		time.Sleep(time.Until(start))
		w := newWorld(t, o)
		w.start()
		do(w)
		w.end()
		was = w
	})
	return was
}

// verdicts is what became of everybody.
type verdicts struct {
	moments, writes, most, dull, worlds int
	wrong, late                         []string
}

func judge(people []*inhabitant) (sum verdicts) {
	var mu sync.Mutex // guards sum
	var g sync.WaitGroup
	next := make(chan *inhabitant)
	for range runtime.GOMAXPROCS(0) {
		g.Go(func() {
			for p := range next {
				v := presencetest.Judge(p.life, p.seen)
				mu.Lock()
				sum.moments, sum.writes, sum.worlds = sum.moments+v.Moments, sum.writes+len(p.seen.Writes), sum.worlds+v.Worlds
				sum.most = max(sum.most, v.Most)
				if v.Dull {
					sum.dull++
				}
				if v.Wrong != "" {
					sum.wrong = append(sum.wrong, fmt.Sprintf("%s (%s): %s", p.who.User, p.life.Rules.Mode, v.Wrong))
				}
				for _, why := range []string{v.Late, v.Where} {
					if why != "" {
						sum.late = append(sum.late, fmt.Sprintf("%s (%s): %s", p.who.User, p.life.Rules.Mode, why))
					}
				}
				mu.Unlock()
			}
		})
	}
	for _, p := range people {
		next <- p
	}
	close(next)
	g.Wait()
	return sum
}

// OFFHOOK_PEOPLE and OFFHOOK_LIFE say how many people have lives of how many events;
// make soak has 1,000 with 200.
func TestAThousandLivesAtOnceAreRightAtEveryQuietMoment(t *testing.T) {
	o := options{seed: randomSeed(t), people: number(t, "OFFHOOK_PEOPLE", 40), events: number(t, "OFFHOOK_LIFE", 20), lost: 30, crashes: true}
	began := time.Now()
	people, crashes := lives(t, o)
	lived := time.Since(began)
	sum := judge(people)
	t.Logf("%d people with %d events each, %d crashes: %d wrong, at %d quiet moments; at most %d writes to a target after one change, %d in all; %.1f %% whose truth never changes; %d worlds; lived in %.1f s, judged in %.1f s",
		len(people), o.events, crashes, len(sum.wrong), sum.moments, sum.most, sum.writes, 100*float64(sum.dull)/float64(len(people)), sum.worlds, lived.Seconds(), (time.Since(began) - lived).Seconds())
	for i, wrong := range append(sum.wrong, sum.late...) {
		if t.Errorf("%s", wrong); i == 5 {
			break
		}
	}
	if sum.most > 1 {
		t.Errorf("%d writes to one target after one change", sum.most)
	}
	if sum.dull*20 > len(people) {
		t.Errorf("the truth of %d never changes", sum.dull)
	}
}

// Graph delivers nothing for ten minutes, and before and after that two of three
// notifications. Everybody is right within two sweeps all the same, which is the bound of
// the judge; how long it took is measured where only Teams and meetings change phones.
func TestWithoutANotificationEverybodyIsRightWithinTwoSweeps(t *testing.T) {
	const sweep = 10 * time.Second
	if bound := presencetest.Bound * presencetest.Tick; bound != 2*sweep {
		t.Fatalf("the judge allows %v, not two sweeps", bound)
	}
	o := options{seed: randomSeed(t), people: 32, events: 25, lost: 33, sweep: sweep, mute: &storm{20, 20 + int(10*time.Minute/presencetest.Tick)}}
	people, _ := lives(t, o)
	sum := judge(people)
	var took []time.Duration
	for _, p := range people {
		if p.life.Rules.Mode == string(presence.TeamsToPBX) {
			took = append(took, p.took...)
		}
	}
	slices.Sort(took)
	if len(took) == 0 {
		t.Fatal("nothing changed without a notification")
	}
	t.Logf("%d people with %d events each, %v of them without a notification: %d wrong, at %d quiet moments; at most %d writes to a target after one change; %d changes reached a phone without one, p50 %.1f s, max %.1f s",
		len(people), o.events, o.mute.lasts(), len(sum.wrong), sum.moments, sum.most, len(took), took[len(took)/2].Seconds(), took[len(took)-1].Seconds())
	for _, wrong := range append(sum.wrong, sum.late...) {
		t.Error(wrong)
	}
	if slowest := took[len(took)-1]; slowest > 2*sweep {
		t.Errorf("a change reached a phone after %v, not within two sweeps", slowest)
	}
}

// Graph answers one tenant with 429 all the time. Its people go wrong, so this is
// noticed; those of the others, on the same phone systems, are right as ever.
func TestATenantThatIsThrottledSlowsNobodyElse(t *testing.T) {
	const throttled = "contoso"
	people, _ := lives(t, options{seed: randomSeed(t), people: 32, events: 15, lost: 50, throttled: throttled})
	var its, others []*inhabitant
	for _, p := range people {
		if p.who.Tenant == throttled {
			its = append(its, p)
		} else {
			others = append(others, p)
		}
	}
	sum := judge(others)
	t.Logf("%d people of others: %d wrong, at %d quiet moments", len(others), len(sum.wrong), sum.moments)
	for _, wrong := range sum.wrong {
		t.Error(wrong)
	}
	if sum := judge(its); len(sum.wrong) == 0 {
		t.Errorf("none of the %d people of %s went wrong: it was not throttled", len(its), throttled)
	}
}

// The control: where notifications are lost and nobody sweeps, this is noticed.
func TestWithoutSweepsLivesGoWrong(t *testing.T) {
	people, _ := lives(t, options{seed: 1, people: 16, events: 10, lost: 50, sweep: 24 * time.Hour})
	if sum := judge(people); len(sum.wrong) == 0 {
		t.Error("nobody's life went wrong")
	}
}
