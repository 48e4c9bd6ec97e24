package writer

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"os"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"offhook.dev/libs/core/presencetest"
)

// tally is what many histories came to.
type tally struct {
	mu        sync.Mutex // guards what follows
	histories int
	moments   int
	worlds    int
	writes    int
	most      int
	dull      int
	wrong     []string
	late      []string
}

func (c *tally) add(seed uint64, seen presencetest.Seen, v presencetest.Verdict) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.histories++
	c.moments += v.Moments
	c.worlds += v.Worlds
	c.writes += len(seen.Writes)
	if v.Dull {
		c.dull++
	}
	c.most = max(c.most, v.Most)
	if v.Where != "" {
		c.late = append(c.late, fmt.Sprintf("history %d: %s", seed, v.Where))
	}
	if v.Wrong != "" {
		c.wrong = append(c.wrong, fmt.Sprintf("history %d: %s", seed, v.Wrong))
	}
	if v.Late != "" {
		c.late = append(c.late, fmt.Sprintf("history %d: %s", seed, v.Late))
	}
}

// live runs histories of a number of events each, on all processors, until one is
// wrong and stop says that this is enough. log hears what happens in them, or is nil.
func live(all []uint64, events int, without guards, stop bool, log func(string)) *tally {
	var c tally
	var next, found atomic.Int64
	n := len(all)
	var g sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		g.Go(func() {
			for i := int(next.Add(1)) - 1; i < n && (!stop || found.Load() == 0); i = int(next.Add(1)) - 1 {
				h := newHistory(rand.New(rand.NewPCG(all[i], 0)), events, without)
				if h.log = log; log != nil {
					log(fmt.Sprintf("rules %+v; meetings %v; Graph refuses %v; lines %v", h.life.Rules, h.life.Meetings, h.life.Refused, h.life.Lines))
				}
				seen := h.run()
				v := presencetest.Judge(h.life, seen)
				c.add(all[i], seen, v)
				if v.Wrong != "" {
					found.Add(1)
				}
			}
		})
	}
	g.Wait()
	return &c
}

// number reads a number from the environment.
func number(t *testing.T, name string, otherwise int) int {
	n, err := strconv.Atoi(cmp.Or(os.Getenv(name), strconv.Itoa(otherwise)))
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return n
}

// told logs what happens in the histories that OFFHOOK_HISTORY names.
func told(t *testing.T) func(string) {
	if os.Getenv("OFFHOOK_HISTORY") == "" {
		return nil
	}
	return func(what string) { t.Log(what) }
}

// lives are the seeds of n histories; of those that OFFHOOK_HISTORY names, where it
// does, as "history" of a line that says what was wrong.
func lives(t *testing.T, n int) (all []uint64) {
	for _, s := range strings.FieldsFunc(os.Getenv("OFFHOOK_HISTORY"), func(r rune) bool { return r == ',' }) {
		seed, err := strconv.ParseUint(s, 10, 64)
		if err != nil {
			t.Fatalf("OFFHOOK_HISTORY: %v", err)
		}
		all = append(all, seed)
	}
	if len(all) > 0 {
		return all
	}
	return seeds(historySeed(t), n)
}

func historySeed(t *testing.T) uint64 {
	seed := rand.Uint64()
	if s := os.Getenv("OFFHOOK_SEED"); s != "" {
		var err error
		if seed, err = strconv.ParseUint(s, 10, 64); err != nil {
			t.Fatalf("OFFHOOK_SEED: %v", err)
		}
	}
	t.Logf("OFFHOOK_SEED=%d repeats this", seed)
	return seed
}

// OFFHOOK_LIVES and OFFHOOK_LIFE say how many histories of how many events; make soak
// has 100,000 of 200.
func TestRandomHistoriesOfBothSidesAreRightAtEveryQuietMoment(t *testing.T) {
	n, events := number(t, "OFFHOOK_LIVES", 300), number(t, "OFFHOOK_LIFE", 60)
	began := time.Now()
	c := live(lives(t, n), events, guards{}, false, told(t))
	t.Logf("%d histories of %d events: %d wrong, at %d quiet moments; at most %d writes to a target after one change, %d in all; %d written late; %.2f %% whose truth never changes; %d worlds; %.1f s",
		c.histories, events, len(c.wrong), c.moments, c.most, c.writes, len(c.late), 100*float64(c.dull)/float64(c.histories), c.worlds, time.Since(began).Seconds())
	for i, wrong := range append(c.wrong, c.late...) {
		if t.Errorf("%s", wrong); i == 5 {
			break
		}
	}
	if c.most > 1 {
		t.Errorf("%d writes to one target after one change", c.most)
	}
	if c.dull*20 > c.histories {
		t.Errorf("the truth of %d of %d histories never changes", c.dull, c.histories)
	}
}

// Histories that were once wrong, or that the judge once found wrong, because it did not
// know that this may happen.
func TestHistoriesInWhichMuchHappensWithinATickAreRight(t *testing.T) {
	for claim, seed := range map[string]uint64{
		"a choice clears what was preferred, and Teams is read before the tick is over":  13040356835007205282,
		"a choice comes right before the end of a mask":                                  6946913385311791462,
		"and before Teams shows what it led to":                                          1456892212157696171,
		"a call comes right before the end of the last one's mask":                       3968468889280887373,
		"what was preferred is replaced, and its mask ends":                              5174718391848664287,
		"Graph writes again when somebody chooses, and what it wrote is read after that": 11413180477508169954,
		"and the choice replaces it, before it is read":                                  17444755943076546926,
		"and before it is replaced somebody believes what was before":                    6684355608759742478,
		"somebody presents during a call, which Teams shows as busy":                     6284544514296877013,
		"a notification of before comes after what was preferred has been read":          14567375544855267860,
		"and another one": 11028560254467095821,
		"a notification tells of what is replaced before it is read": 12647261869884356613,
		"and another": 5415097569650769515,
		"a call begins before it is read, which may look the same":                                  14103901629317566410,
		"what was preferred is cleared while Teams is read":                                         17725673113664088636,
		"before a notification is read a call shows that nothing is preferred any more":             15918669586654054693,
		"a call shows what somebody preferred, who chooses the same at that moment":                 1226880712653326149,
		"the same is preferred again before Teams is seen to show anything else":                    16507362734710271454,
		"what was preferred is cleared before a notification is read":                               4258051750550373426,
		"a choice comes right before the end of a mask, after a choice in Teams that was read late": 13713204406609240979,
		"somebody chooses right before what a mask hid comes out, which shows the same":             17783158015244958366,
		"a call shows what somebody preferred when a meeting ends":                                  2723926900371683984,
	} {
		t.Run(claim, func(t *testing.T) {
			c := live([]uint64{seed}, 200, guards{}, false, nil)
			for _, wrong := range append(c.wrong, c.late...) {
				t.Error(wrong)
			}
			if c.most > 1 {
				t.Errorf("%d writes to one target after one change", c.most)
			}
		})
	}
}

func foundOut(t *testing.T, without guards) {
	const n = 2_000
	if c := live(seeds(1, n), 30, without, true, nil); len(c.wrong) == 0 {
		t.Errorf("%d histories did not find it", n)
	} else {
		t.Logf("found by %d histories: %s", c.histories, c.wrong[0])
	}
}

// Without each of its guards the simulation goes wrong: else it would prove nothing.
func TestWithoutEchoSuppressionHistoriesGoWrong(t *testing.T) { foundOut(t, guards{echo: true}) }
func TestWithoutKnowingWhatWasClearedHistoriesGoWrong(t *testing.T) {
	foundOut(t, guards{cleared: true})
}
func TestWithoutTheFenceHistoriesGoWrong(t *testing.T)  { foundOut(t, guards{fence: true}) }
func TestWithoutTheSweepHistoriesGoWrong(t *testing.T)  { foundOut(t, guards{sweep: true}) }
func TestWithoutTheLedgerHistoriesGoWrong(t *testing.T) { foundOut(t, guards{ledger: true}) }
