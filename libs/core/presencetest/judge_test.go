package presencetest

import (
	"math/rand/v2"
	"slices"
	"testing"
)

// judged is a life of a few events in a mode, and what is seen where everything happens
// at once: what is right.
func judged(mode string, events ...Event) (Life, Seen) {
	l := Life{Ticks: 80, Events: events, Rules: Rules{
		Mode: mode, Policy: "auto", Base: "available", MaxAt: 999, Damping: 1, Keep: 120, Stale: 180, Wait: 24, CalendarFor: 17_280,
		Mask: 18, CallFor: 120, PreferredFor: 1_440, VisibleIn: 24,
	}}
	every := []string{"available", "away", "dnd", "lunch", "business-trip"}
	l.Lines = []Line{{FirstStatus: "available", Rings: []string{"available", "lunch", "business-trip"}, Writes: every}}
	seen := NewSeen(l)
	seen.Missed = make([]bool, len(events))
	w := l.play(make([]int, len(events)))
	copy(seen.Lines[0], w.lines[0])
	copy(seen.Teams, w.shown)
	return l, seen
}

// shows makes the phone show a status from a tick until before another.
func (s *Seen) shows(status string, from, to int) {
	for t := from; t < to; t++ {
		s.Lines[0][t] = status
	}
}

// The judge accepts what may be, and finds out what may not.
func TestJudge(t *testing.T) {
	busy := Event{At: 10, Kind: Shows, Says: "Busy/InAMeeting"}
	away := Event{At: 30, Kind: Shows, Says: "Away/Away"}
	lunch := Event{At: 20, Kind: Chooses, Says: "lunch"}
	call, hungUp := Event{At: 10, Kind: Talks, Calls: 1}, Event{At: 20, Kind: Talks}
	type test struct {
		events []Event
		mode   string
		seen   func(*Seen)
		right  bool
	}
	for name, test := range map[string]test{
		"everything at once":                 {[]Event{busy, lunch, away}, "teams-to-pbx", func(*Seen) {}, true},
		"fifteen seconds late":               {[]Event{busy}, "teams-to-pbx", func(s *Seen) { s.shows("available", 10, 13) }, true},
		"later than a sweep and ten seconds": {[]Event{busy}, "teams-to-pbx", func(s *Seen) { s.shows("available", 10, 15) }, false},
		"a status that nobody made":          {[]Event{busy}, "teams-to-pbx", func(s *Seen) { s.shows("away", 40, 41) }, false},
		"another change within a sweep hides one": {[]Event{busy, lunch, {At: 30, Kind: Shows}, {At: 32, Kind: Shows, Says: "Busy/InACall"}}, "teams-to-pbx", func(s *Seen) {
			s.shows("lunch", 30, 80) // which being offline would have ended
		}, true},
		"the last of two changes stays, so it is seen": {[]Event{away, {At: 32, Kind: Shows, Says: "Busy/InACall"}}, "teams-to-pbx", func(s *Seen) {
			s.shows("away", 30, 80)
		}, false},
		"a change alone is seen": {[]Event{busy, lunch}, "teams-to-pbx", func(s *Seen) { s.shows("available", 10, 20) }, false},
		"a choice that no reading showed a person's": {[]Event{busy, lunch}, "teams-to-pbx", func(s *Seen) {
			s.Missed[1] = true
			s.shows("dnd", 20, 80)
		}, true},
		"a choice that was read and written over": {[]Event{busy, lunch}, "teams-to-pbx", func(s *Seen) { s.shows("dnd", 20, 80) }, false},
		"what is masked comes out with the mask":  {[]Event{call, hungUp, {At: 30, Kind: Shows, Says: "Busy/InACall"}}, "both", func(*Seen) {}, true},
		"or in the tick before, in which it ended": {[]Event{call, hungUp, {At: 30, Kind: Shows, Says: "Busy/InACall"}}, "both", func(s *Seen) {
			s.shows("dnd", 37, 38)
		}, true},
		"a choice that lets a meeting come out of what Offhook preferred overrides it": {[]Event{
			{At: 6, Kind: Prefers, Says: "Away/Away"}, busy, {At: 20, Kind: Chooses, Says: "dnd"}, {At: 40, Kind: Chooses, Says: "lunch"},
		}, "both", func(s *Seen) { s.shows("lunch", 40, 80) }, true},
		"or does not, where it was read later": {[]Event{
			{At: 6, Kind: Prefers, Says: "Away/Away"}, busy, {At: 20, Kind: Chooses, Says: "dnd"}, {At: 40, Kind: Chooses, Says: "lunch"},
		}, "both", func(s *Seen) { s.shows("dnd", 42, 80) }, true},
		"a meeting that begins after the choice is not overridden": {[]Event{
			{At: 6, Kind: Prefers, Says: "Away/Away"}, {At: 20, Kind: Chooses, Says: "lunch"}, {At: 40, Kind: Prefers}, {At: 50, Kind: Shows, Says: "Busy/InAMeeting"},
		}, "both", func(s *Seen) { s.shows("lunch", 50, 80) }, false},
		"not earlier": {[]Event{call, hungUp, {At: 30, Kind: Shows, Says: "Busy/InACall"}}, "both", func(s *Seen) {
			s.shows("dnd", 36, 38)
		}, false},
	} {
		t.Run(name, func(t *testing.T) {
			l, seen := judged(test.mode, test.events...)
			test.seen(&seen)
			if v := Judge(l, seen); (v.Wrong == "") != test.right {
				t.Errorf("right is %t, not %t: %s\nthe phone shows %q", v.Wrong == "", test.right, v.Wrong, slices.Compact(seen.Lines[0]))
			}
		})
	}
}

// What a call's session had hidden comes out when its mask ends, although a reading is
// under way that tells otherwise; then that does, after its damping.
func TestJudgeCountsWritesAtTheEndOfAMask(t *testing.T) {
	call := []Event{{At: 4, Kind: Talks, Calls: 1}, {At: 10, Kind: Talks}}
	for name, test := range map[string]struct {
		says   string // in Teams, when the mask ends
		writes int
		most   int
	}{
		"a reading that was under way":         {"Available/Available", 3, 1},
		"but no more":                          {"Available/Available", 4, 2},
		"the end of the mask, and no reading":  {"", 2, 1},
		"no reading, and three for two causes": {"", 3, 2},
	} {
		t.Run(name, func(t *testing.T) {
			l, _ := judged("both", call...)
			end := 10 + l.Rules.Mask
			last := Event{At: end - 1, Kind: Shows, Says: test.says}
			if test.says == "" {
				last = Event{At: end - 1, Kind: Chooses, Says: "dnd"}
			}
			l, seen := judged("both", append(call, last)...)
			for i := range test.writes {
				seen.Writes = append(seen.Writes, Write{At: end + i, Target: "line 0"})
			}
			if v := Judge(l, seen); v.Most != test.most {
				t.Errorf("most %d, not %d (%+v)", v.Most, test.most, v)
			}
		})
	}
}

// One write to a target for each change, and none long after.
func TestJudgeCountsWrites(t *testing.T) {
	busy, back := Event{At: 10, Kind: Shows, Says: "Busy/InAMeeting"}, Event{At: 12, Kind: Shows, Says: "Available/Available"}
	for name, test := range map[string]struct {
		events []Event
		writes []int
		most   int
		late   bool
	}{
		"one":                     {[]Event{busy}, []int{11}, 1, false},
		"two after one change":    {[]Event{busy}, []int{11, 12}, 2, false},
		"two after two changes":   {[]Event{busy, back}, []int{11, 14}, 1, false},
		"three after two changes": {[]Event{busy, back}, []int{11, 13, 14}, 2, false},
		"a timer, and a reading that was under way, put right": {[]Event{busy, {At: 11, Kind: Boundary}}, []int{11, 12, 13}, 1, false},
		"but no more": {[]Event{busy, {At: 11, Kind: Boundary}}, []int{11, 12, 13, 14}, 2, false},
		"a timer and a choice, which is no reading of Teams": {[]Event{{At: 10, Kind: Chooses, Says: "dnd"}, {At: 11, Kind: Boundary}}, []int{11, 12, 13}, 2, false},
		"a timer alone":             {[]Event{{At: 10, Kind: Boundary}}, []int{11, 12}, 2, false},
		"when nothing was to do":    {[]Event{busy}, []int{11, 50}, 2, true},
		"long after and only once":  {[]Event{busy}, []int{50}, 1, true},
		"none where one should be?": {[]Event{busy}, nil, 0, false}, // what shows is judged apart
	} {
		t.Run(name, func(t *testing.T) {
			l, seen := judged("teams-to-pbx", test.events...)
			for _, at := range test.writes {
				seen.Writes = append(seen.Writes, Write{At: at, Target: "line 0"})
			}
			if v := Judge(l, seen); v.Wrong != "" || v.Most != test.most || (v.Late != "") != test.late {
				t.Errorf("wrong %q, most %d, late %q; not %d, %t", v.Wrong, v.Most, v.Late, test.most, test.late)
			}
		})
	}
}

// A mask begins when Graph has cleared what it hides, which it may refuse for a while.
func TestAMaskBeginsWhenWhatItHidesIsCleared(t *testing.T) {
	l, _ := judged("both", Event{At: 10, Kind: Talks, Calls: 1}, Event{At: 20, Kind: Talks})
	w := l.play(make([]int, len(l.Events)))
	if got := w.unmasked(); !slices.Equal(got, []int{20 + l.Rules.Mask}) {
		t.Errorf("unmasked at %v", got)
	}
	l.Refused = []Span{{From: 15, To: 30}}
	w = l.play(make([]int, len(l.Events)))
	if got := w.unmasked(); !slices.Equal(got, []int{30 + l.Rules.Mask}) {
		t.Errorf("unmasked at %v although Graph refused until 30", got)
	}
}

// Two refusals leave time to write again what would run out.
func TestRefusalsAreApart(t *testing.T) {
	for seed := range uint64(200) {
		l := Life{Ticks: 400}
		l.Refuse(rand.New(rand.NewPCG(seed, 0)), 20)
		for i, a := range l.Refused {
			for _, b := range l.Refused[:i] {
				if a.From < b.To+settled && b.From < a.To+settled {
					t.Errorf("seed %d: %v and %v", seed, a, b)
				}
			}
		}
	}
}

// When Graph answers again, what happened in Teams meanwhile can be read or hidden by what is
// written in the same tick. Where nothing is to be written it is read.
func TestWhatHappenedWhileGraphWasAwayIsReadUnlessItIsHiddenAtOnce(t *testing.T) {
	for name, test := range map[string]struct {
		calls int // at the phone, since Graph is away
		right bool
	}{"a call is written": {1, true}, "nothing is": {0, false}} {
		t.Run(name, func(t *testing.T) {
			l, _ := judged("both",
				Event{At: 10, Kind: Shows, Says: inACall}, Event{At: 18, Kind: Talks, Calls: test.calls}, Event{At: 26, Kind: Chooses, Says: "available"},
				Event{At: 32, Kind: Shows}, Event{At: 40, Kind: Boundary, Says: writesAgain}, Event{At: 85, Kind: Shows, Says: "DoNotDisturb/Presenting"})
			l.Ticks, l.Refused, l.Hidden = 130, []Span{{From: 16, To: 40}}, []Span{{From: 16, To: 40}}
			seen := NewSeen(l)
			seen.Missed = make([]bool, len(l.Events))
			w := l.play(make([]int, len(l.Events)))
			copy(seen.Lines[0], w.lines[0])
			copy(seen.Teams, w.shown)
			if slices.Contains(w.lines[0][89:], "available") {
				t.Fatalf("who saw Teams close does not silence the phone: %q", w.lines[0])
			}
			seen.shows("available", 26, l.Ticks) // what was chosen over a call in Teams stands if Teams was never seen without one
			if v := Judge(l, seen); (v.Wrong == "") != test.right {
				t.Errorf("judged %q", v.Wrong)
			}
		})
	}
}
