package presence_test

import (
	"strings"
	"testing"
	"time"

	"offhook.dev/libs/core/presence"
)

// Somebody who was presenting has stopped, and chooses do not disturb on the phone
// before Teams was read again. That Teams then shows available was so before the
// preferred presence was set: nobody has replaced it. A preferred presence that is taken
// for replaced is forgotten, and would show for two hours.
func TestAPreferredPresenceIsNotReplacedBeforeItWasSet(t *testing.T) {
	o := presence.DefaultOptions()
	o.Mode = presence.PBXToTeams
	dnd := "DoNotDisturb/DoNotDisturb"
	v := linked(o)
	v = presence.Decide(v.Memory, teams("DoNotDisturb", at(1)), o, at(1))
	chosen := at(2)
	v = presence.Decide(v.Memory, phoneShows(presence.DND, presence.Person, 2, chosen), o, chosen)
	if v.Teams == nil || v.Teams.Preferred != dnd {
		t.Fatalf("dnd is preferred as %+v", v.Teams)
	}
	set := presence.TeamsWritten{Preferred: dnd, At: chosen.Add(time.Second)}
	notified := presence.TeamsReading{Availability: "Available", SeenAt: chosen.Add(2 * time.Second), Source: presence.Notification}
	for name, test := range map[string]struct {
		word  []presence.Fact // of Teams' writer, before the reading
		began time.Duration   // the reading, after the choice
		lost  bool
	}{
		"it is not known to be set":                   {nil, 500 * time.Millisecond, false},
		"the reading began before it was set":         {[]presence.Fact{set}, 500 * time.Millisecond, false},
		"the word is that nothing is preferred":       {[]presence.Fact{presence.TeamsWritten{At: set.At}}, 2 * time.Second, false},
		"the reading began after it was set":          {[]presence.Fact{set}, 2 * time.Second, true},
		"a notification told it before":               {[]presence.Fact{set, notified}, 2500 * time.Millisecond, true},
		"the word comes twice, and late the 2nd time": {[]presence.Fact{set, presence.TeamsWritten{Preferred: dnd, At: chosen.Add(time.Minute)}}, 2 * time.Second, true},
	} {
		t.Run(name, func(t *testing.T) {
			v := v
			for _, word := range test.word {
				v = presence.Decide(v.Memory, word, o, chosen.Add(3*time.Second))
			}
			v = presence.Decide(v.Memory, teams("Available", chosen.Add(test.began)), o, chosen.Add(4*time.Second))
			if v.Teams.Disowned != test.lost {
				t.Errorf("taken for replaced is %t, not %t", v.Teams.Disowned, test.lost)
			}
		})
	}
}

// A notification says what shows at a moment that nobody knows: one that comes after
// what was preferred had been seen may still tell what showed before it. Only the poll
// that confirms it says that the person has replaced it.
func TestALateNotificationDoesNotReplaceAPreferredPresence(t *testing.T) {
	o := presence.DefaultOptions()
	o.Mode = presence.Both
	v := after(o, at(1), teams("Available", at(1)))
	v = presence.Decide(v.Memory, phoneShows(presence.Away, presence.Person, 2, at(2)), o, at(2))
	v = presence.Decide(v.Memory, presence.TeamsWritten{Preferred: v.Teams.Preferred, At: at(2).Add(time.Second)}, o, at(2).Add(time.Second))
	read := func(availability string, source presence.Source, after time.Duration) {
		t.Helper()
		seen := at(2).Add(after)
		v = presence.Decide(v.Memory, presence.TeamsReading{Availability: availability, SeenAt: seen, Source: source}, o, seen)
	}
	read("Away", presence.Poll, 2*time.Second)
	read("Available", presence.Notification, 3*time.Second)
	if v.Teams.Disowned || v.Teams.Preferred != "Away/Away" {
		t.Fatalf("a late notification ends what is preferred: %+v", v.Teams)
	}
	late := v
	read("Away", presence.Poll, 13*time.Second)
	if v.Teams.Disowned || v.Teams.Preferred != "Away/Away" {
		t.Errorf("the sweep sees what is preferred, which is taken for replaced: %+v", v.Teams)
	}
	v = late
	read("Available", presence.Poll, 13*time.Second)
	if !v.Teams.Disowned {
		t.Errorf("control: the sweep confirms the notification, and what is preferred is not taken for replaced: %+v", v.Teams)
	}
}

// Above all sessions Teams shows what is preferred: who is seen in a call by it, or free,
// has nothing preferred any more.
func TestASessionThatShowsSaysThatWhatWasPreferredIsReplaced(t *testing.T) {
	o := presence.DefaultOptions()
	o.Mode = presence.Both
	v := after(o, at(1), teams("Available", at(1)))
	v = presence.Decide(v.Memory, phoneShows(presence.DND, presence.Person, 2, at(2)), o, at(2))
	preferred := v.Teams.Preferred
	v = presence.Decide(v.Memory, presence.TeamsWritten{Preferred: preferred, At: at(2).Add(time.Second)}, o, at(2).Add(time.Second))
	v = presence.Decide(v.Memory, teams("DoNotDisturb", at(3)), o, at(3))
	v = presence.Decide(v.Memory, presence.CallReading{Line: lineOf(0), Calls: 1, SeenAt: at(4)}, o, at(4))
	v = presence.Decide(v.Memory, presence.TeamsWritten{Session: v.Teams.Session, Preferred: preferred, At: at(4)}, o, at(4))
	if v.Teams.Disowned || v.Teams.Preferred != preferred {
		t.Fatalf("%+v", v.Teams)
	}
	v = presence.Decide(v.Memory, teams("Busy", at(5)), o, at(5))
	if !v.Teams.Disowned {
		t.Errorf("what is preferred is not taken for replaced: %+v", v.Teams)
	}
}

// A poll that is under way while Offhook clears what it preferred may be answered after
// that: nobody has replaced it.
func TestAPollThatMayBeAnsweredAfterTheClearingProvesNothing(t *testing.T) {
	o := presence.DefaultOptions()
	o.Mode = presence.Both
	for name, test := range map[string]struct {
		began time.Duration // of the poll, after the clearing, and 0.1 s more after the choice that led to it
		lost  bool
	}{
		"it began before":        {-50 * time.Millisecond, false},
		"it was answered before": {-time.Minute, true},
	} {
		t.Run(name, func(t *testing.T) {
			v := linked(o)
			links := presence.LinksChanged{Revision: 2}
			for n := range 2 {
				links.Links = append(links.Links, presence.Link{Line: lineOf(n), Revision: 7, Powers: systems[0]})
			}
			v = presence.Decide(v.Memory, links, o, at(0))
			other := func(status presence.Status, observation int64, seen, now time.Time) {
				v = presence.Decide(v.Memory, presence.StatusReading{Line: lineOf(1), Status: status, Origin: presence.Person, SeenAt: seen, Observation: observation}, o, now)
			}
			other(presence.Lunch, 1, at(0), at(0))
			v = presence.Decide(v.Memory, teams("Available", at(1)), o, at(1))
			v = presence.Decide(v.Memory, phoneShows(presence.Away, presence.Person, 2, at(2)), o, at(2))
			v = presence.Decide(v.Memory, presence.TeamsWritten{Preferred: v.Teams.Preferred, At: at(2)}, o, at(2))
			v = presence.Decide(v.Memory, teams("Away", at(3)), o, at(3))
			cleared := at(10)
			other(presence.Available, 2, cleared.Add(-100*time.Millisecond), cleared)
			if v.Teams.Preferred != "" {
				t.Fatalf("a choice of available does not clear what is preferred: %+v", v.Teams)
			}
			v = presence.Decide(v.Memory, teams("Busy", cleared.Add(test.began)), o, cleared.Add(time.Second))
			ended := true
			for _, w := range v.Memory.Wants() {
				if w.Line == lineOf(0) && w.Status == presence.Away {
					ended = false
				}
			}
			if ended != test.lost {
				t.Errorf("the choice of away has ended is %t, not %t: %+v", ended, test.lost, v.Memory.Wants())
			}
		})
	}
}

// Where the same is preferred again before Teams was seen to show anything else, no reading
// tells of it: sweeps find no difference. It is ours all the same.
func TestWhatIsPreferredAgainIsOursThoughNothingNewWasRead(t *testing.T) {
	o := presence.DefaultOptions()
	o.Mode = presence.Both
	for _, again := range []bool{true, false} {
		v := linked(o)
		links := presence.LinksChanged{Revision: 2}
		for n := range 2 {
			links.Links = append(links.Links, presence.Link{Line: lineOf(n), Revision: 7, Powers: systems[0]})
		}
		v = presence.Decide(v.Memory, links, o, at(0))
		v = presence.Decide(v.Memory, presence.StatusReading{Line: lineOf(1), Status: presence.Available, Origin: presence.Ours, SeenAt: at(0), Observation: 1}, o, at(0))
		v = presence.Decide(v.Memory, teams("Available", at(1)), o, at(1))
		choose := func(status presence.Status, observation int64, when time.Time) {
			v = presence.Decide(v.Memory, phoneShows(status, presence.Person, observation, when), o, when)
			v = presence.Decide(v.Memory, presence.TeamsWritten{Preferred: v.Teams.Preferred, At: when.Add(time.Second)}, o, when.Add(time.Second))
		}
		choose(presence.DND, 2, at(2))
		v = presence.Decide(v.Memory, teams("DoNotDisturb", at(3)), o, at(3))
		choose(presence.Available, 3, at(10))
		if again {
			choose(presence.DND, 4, at(11))
		}
		for n := range 60 { // longer than the first one's mask, and than the log
			now := at(12).Add(time.Duration(n) * 10 * time.Second)
			v = presence.Decide(v.Memory, presence.Sweep{Began: now, Ended: now, OK: true}, o, now)
			v = presence.Decide(v.Memory, presence.CalendarReading{SeenAt: now, Problem: true}, o, now) // what is older is forgotten
			v = presence.Decide(v.Memory, presence.StatusReading{Line: lineOf(1), Status: presence.Available, Origin: presence.Ours, SeenAt: now, Observation: int64(n + 2)}, o, now)
		}
		want := presence.DND // control: Teams goes on to show it long after it was cleared
		if again {
			want = presence.Available
		}
		for _, w := range v.Memory.Wants() {
			if w.Line == lineOf(1) && w.Status != want {
				t.Errorf("preferred again %t: the other extension is to show %v, not %v (%s)", again, w.Status, want, w.Reason)
			}
		}
	}
}

// Whoever keeps a memory asks again for the word of Teams' writer as long as it is
// missing.
func TestAMemoryIsUnsureUntilTheWordOfTeamsWriter(t *testing.T) {
	o := presence.DefaultOptions()
	o.Mode = presence.Both
	unsure := func(v presence.Verdict, now time.Time, want bool) {
		t.Helper()
		if got := v.Memory.Unsure(now); got != want {
			t.Errorf("unsure is %t, not %t", got, want)
		}
	}
	v := after(o, at(1), teams("Available", at(1)))
	unsure(v, at(1), false)
	v = presence.Decide(v.Memory, presence.CallReading{Line: lineOf(0), Calls: 1, SeenAt: at(2)}, o, at(2))
	unsure(v, at(2), false) // whether a session shows yet is nothing to decide by
	v = presence.Decide(v.Memory, presence.CallReading{Line: lineOf(0), SeenAt: at(3)}, o, at(3))
	unsure(v, at(3), true)
	unsure(v, at(12), false) // it has run out
	v = presence.Decide(v.Memory, phoneShows(presence.DND, presence.Person, 2, at(4)), o, at(4))
	v = presence.Decide(v.Memory, presence.TeamsWritten{At: at(4)}, o, at(4))
	unsure(v, at(4), true) // cleared, but not set
	v = presence.Decide(v.Memory, presence.TeamsWritten{Preferred: v.Teams.Preferred, At: at(5)}, o, at(5))
	unsure(v, at(5), false)
}

// During a long call a person chooses on the phone more often than is remembered of
// Offhook's own doings in Teams. The session of the call is one of them, and the oldest; as
// long as it is wanted it is not forgotten, or the next decision would begin another.
func TestASessionIsOwnAsLongAsItIsWantedHoweverMuchIsChosen(t *testing.T) {
	o := presence.DefaultOptions()
	o.Mode = presence.Both
	v := linked(o)
	v = presence.Decide(v.Memory, teams("Available", at(1)), o, at(1))
	for n := range 80 {
		now := at(2).Add(time.Duration(n) * time.Minute)
		v = presence.Decide(v.Memory, presence.CallReading{Line: lineOf(0), Calls: 1, Since: at(2), SeenAt: now}, o, now)
		status := []presence.Status{presence.DND, presence.Away}[n%2]
		v = presence.Decide(v.Memory, phoneShows(status, presence.Person, int64(n+2), now), o, now)
		again := presence.Decide(v.Memory, presence.Tick{}, o, now)
		if again.Changed || inTeams(again) != inTeams(v) {
			t.Fatalf("after %d choices: decided again, memory changes; %s, then %s", n+1, inTeams(v), inTeams(again))
		}
	}
	if shows, want := inTeams(v), "Busy/InACall"; !strings.HasPrefix(shows, want) {
		t.Errorf("Teams is to show %s, not %s", want, shows)
	}
}
