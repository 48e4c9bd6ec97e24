package coverage_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"offhook.dev/libs/core/coverage"
)

// hearing is as in production (graph-poller).
var hearing = coverage.Hearing{Late: 90 * time.Second, Settle: 30 * time.Second, Few: 3, Again: 10 * time.Minute, AgainMost: time.Hour}

// play lets a lane live through a script: "30 found" is a sweep's finding 30 s after
// the subscription was made, "41 heard" a notification, "60 look" the keeper's look,
// which makes a silent subscription anew. It returns the seconds at which that happened.
func play(t *testing.T, script string) string {
	t.Helper()
	var s coverage.Silence
	start := time.Date(2026, 10, 1, 12, 0, 0, 0, time.UTC)
	s.Begins(start)
	var acted []string
	for step := range strings.SplitSeq(script, ",") {
		var second int
		var what string
		if _, err := fmt.Sscan(step, &second, &what); err != nil {
			t.Fatalf("%q: %v", step, err)
		}
		at := start.Add(time.Duration(second) * time.Second)
		switch what {
		case "found":
			s.Finds(at, hearing)
		case "heard":
			s.Hears(at)
		case "look":
			if s.Is(at, hearing) {
				s.Acts(at, hearing)
				s.Begins(at)
				acted = append(acted, fmt.Sprint(second))
			}
		default:
			t.Fatalf("%q", step)
		}
	}
	return strings.Join(acted, " ")
}

func TestWhenALaneIsSilent(t *testing.T) {
	for _, c := range []struct{ name, script, want string }{
		{"three changes and not a word", "40 found,50 found,60 found,149 look,150 look", "150"},
		{"two changes may be chance", "40 found,50 found,10000 look", ""},
		{"nobody changed: nothing to tell", "10000 look", ""},
		{"the lane tells of each before the sweep", "39 heard,49 heard,59 heard,500 look", ""},
		{"the lane is a minute late, as Microsoft allows", "40 found,50 found,60 found,100 heard,110 heard,120 heard,500 look", ""},
		{"one word is enough: it lives", "40 found,50 found,60 found,140 heard,150 look,500 look", ""},
		{"a word before the changes does not count for them", "35 heard,40 found,50 found,60 found,150 look", "150"},
		{"it falls silent after days of talking", "86400 heard,86410 found,86420 found,86430 found,86519 look,86520 look", "86520"},
		{"changes of before the subscription are found after it is made", "0 found,10 found,29 found,500 look", ""},
		{"words of before the subscription prove nothing", "-5 heard,40 found,50 found,60 found,150 look", "150"},
		{"many changes at once are judged a while later", "40 found,40 found,40 found,41 look,129 look,130 look", "130"},
		{"findings that arrive in disorder", "60 found,40 found,50 found,149 look,150 look", "150"},
		{"made anew and silent again: later and later", "40 found,40 found,40 found,130 look," + // next at 730 at the earliest
			"200 found,200 found,200 found,400 look,729 look,730 look," + // then at 1930
			"800 found,800 found,800 found,1929 look,1930 look", "130 730 1930"},
		{"a word after it was made anew: the next silence is found at once", "40 found,40 found,40 found,130 look,170 heard," +
			"180 found,181 found,182 found,272 look", "130 272"},
	} {
		if got := play(t, c.script); got != c.want {
			t.Errorf("%s: made anew at %q, want %q", c.name, got, c.want)
		}
	}
}

// However sweeps and notifications interleave, a lane that tells of every change within
// the minute that Microsoft names is never made anew, and one that tells of nothing is,
// soon after the third change.
func TestNoLaneThatSpeaksIsTakenForSilent(t *testing.T) {
	r := rand.New(rand.NewPCG(seed(t), 0))
	found := 0
	for range 2_000 {
		var speaks, mute coverage.Silence
		start := time.Date(2026, 10, 1, 12, 0, 0, 0, time.UTC)
		speaks.Begins(start)
		mute.Begins(start)
		heard := map[int]int{} // second: how many notifications
		silent := false
		for second := range 1800 {
			now := start.Add(time.Duration(second) * time.Second)
			if r.IntN(60) == 0 { // somebody changes; a notification comes within a minute
				heard[second+r.IntN(60)]++
			}
			if heard[second] > 0 {
				speaks.Hears(now)
			} else if second%10 == 0 && r.IntN(3) == 0 { // a sweep was there first
				speaks.Finds(now, hearing)
				heard[second+1+r.IntN(59)]++
				mute.Finds(now, hearing)
			}
			if speaks.Is(now, hearing) {
				t.Fatalf("taken for silent in second %d", second)
			}
			silent = silent || mute.Is(now, hearing)
		}
		if silent {
			found++
		}
	}
	if found < 1_990 {
		t.Errorf("of 2000 lanes that told of nothing %d were found", found)
	}
}

func TestMakingAnewIsNeverALoop(t *testing.T) {
	var s coverage.Silence
	now := time.Date(2026, 10, 1, 12, 0, 0, 0, time.UTC)
	s.Begins(now)
	times := 0
	for range 24 * 3600 { // a day in which everybody changes and nothing is told
		now = now.Add(time.Second)
		s.Finds(now, hearing)
		if s.Is(now, hearing) {
			s.Acts(now, hearing)
			s.Begins(now)
			times++
		}
	}
	if times < 20 || times > 30 {
		t.Errorf("made anew %d times in a day, want about once an hour in the end", times)
	}
}
