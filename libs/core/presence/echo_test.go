package presence_test

import (
	"testing"
	"time"

	"offhook.dev/libs/core/presence"
)

// A sweep takes a while. It may have begun before Offhook showed a call in Teams, and
// be answered after that: its time is that of its begin, and what it shows is ours.
func TestAPollThatWasUnderWayWhenACallWasShownIsNoOpinion(t *testing.T) {
	o := presence.DefaultOptions()
	o.Mode = presence.Both
	v := linked(o)
	v = presence.Decide(v.Memory, teams("Away", at(1)), o, at(1))
	call := at(2)
	v = presence.Decide(v.Memory, presence.CallReading{Line: lineOf(0), Calls: 1, Since: call, SeenAt: call}, o, call)
	if v.Teams == nil || v.Teams.Session != "Busy/InACall" {
		t.Fatalf("a call shows %+v", v.Teams)
	}
	for name, test := range map[string]struct {
		reading presence.TeamsReading
		want    string
	}{
		"a poll that began shortly before":    {presence.TeamsReading{Source: presence.Poll, SeenAt: call.Add(-100 * time.Millisecond)}, "away"},
		"a poll that was over long before":    {presence.TeamsReading{Source: presence.Poll, SeenAt: call.Add(-50 * time.Second)}, "dnd"},
		"a notification of shortly before":    {presence.TeamsReading{Source: presence.Notification, SeenAt: call.Add(-100 * time.Millisecond)}, "dnd"},
		"a notification that came afterwards": {presence.TeamsReading{Source: presence.Notification, SeenAt: call.Add(100 * time.Millisecond)}, "away"},
	} {
		t.Run(name, func(t *testing.T) {
			test.reading.Availability, test.reading.Activity = "Busy", "InACall"
			v := presence.Decide(v.Memory, test.reading, o, call.Add(200*time.Millisecond))
			if got := wanted(v, lineOf(0)); got != test.want {
				t.Errorf("wanted is %q (%v), not %q", got, v.Reason, test.want)
			}
		})
	}
}

// Offhook shows a call in Teams as busy. Whoever presents meanwhile is not shown as busy, so
// that is no echo, and the phone does not ring.
func TestWhatTeamsShowsDuringACallIsOursOnlyIfItIsBusy(t *testing.T) {
	o := presence.DefaultOptions()
	o.Mode = presence.Both
	v := linked(o)
	v = presence.Decide(v.Memory, teams("Away", at(1)), o, at(1))
	v = presence.Decide(v.Memory, presence.CallReading{Line: lineOf(0), Calls: 1, Since: at(2), SeenAt: at(2)}, o, at(2))
	for _, c := range []struct{ availability, activity, want string }{
		{"Busy", "InACall", "away"},
		{"Busy", "InAMeeting", "away"}, // Graph words activities as it likes
		{"BusyIdle", "BusyIdle", "away"},
		{"DoNotDisturb", "Presenting", "dnd"},
		{"DoNotDisturb", "DoNotDisturb", "dnd"},
	} {
		t.Run(c.availability+"/"+c.activity, func(t *testing.T) {
			reading := presence.TeamsReading{Availability: c.availability, Activity: c.activity, Source: presence.Notification, SeenAt: at(3)}
			if v := presence.Decide(v.Memory, reading, o, at(3)); wanted(v, lineOf(0)) != c.want {
				t.Errorf("wanted is %q (%v), not %q", wanted(v, lineOf(0)), v.Reason, c.want)
			}
		})
	}
}

// In a meeting a person frees the phone of a do not disturb of their own, by choosing
// what would show anyway, and Offhook frees Teams at once. A sweep that was under way
// shows that: it is the consequence of the choice and nothing to judge it by.
func TestAPollThatWasUnderWayDoesNotJudgeTheChoiceThatItShows(t *testing.T) {
	o := presence.DefaultOptions()
	o.Mode, o.Damping = presence.Both, 0
	play := func(readings ...presence.TeamsReading) presence.Verdict {
		v := linked(o)
		v = presence.Decide(v.Memory, teams("Busy", at(1)), o, at(1))
		v = presence.Decide(v.Memory, phoneShows(presence.Away, presence.Person, 2, at(2)), o, at(2)) // pins Teams
		v = presence.Decide(v.Memory, teams("Away", at(3)), o, at(3))
		chosen := at(5)
		v = presence.Decide(v.Memory, phoneShows(presence.DND, presence.Person, 3, chosen), o, chosen)
		if v.Teams == nil || v.Teams.Preferred != "" {
			t.Fatalf("what would show anyway pins Teams: %+v", v.Teams)
		}
		for _, r := range readings {
			v = presence.Decide(v.Memory, r, o, chosen.Add(300*time.Millisecond))
		}
		return v
	}
	shows := func(availability string, source presence.Source, after time.Duration) presence.TeamsReading {
		return presence.TeamsReading{Availability: availability, Source: source, SeenAt: at(5).Add(after)}
	}
	under := shows("Available", presence.Poll, -200*time.Millisecond)
	for name, test := range map[string]struct {
		readings []presence.TeamsReading
		want     string
	}{
		"a poll that was under way":           {[]presence.TeamsReading{under}, "available"},
		"and comes again":                     {[]presence.TeamsReading{under, under}, "available"},
		"a notification of before is older":   {[]presence.TeamsReading{under, shows("Busy", presence.Notification, -100*time.Millisecond)}, "dnd"},
		"a notification of after it is newer": {[]presence.TeamsReading{under, shows("Busy", presence.Notification, 100*time.Millisecond)}, "dnd"},
	} {
		t.Run(name, func(t *testing.T) {
			v := play(test.readings...)
			if got := wanted(v, lineOf(0)); got != test.want {
				t.Errorf("wanted is %q (%v), not %q", got, v.Reason, test.want)
			}
			if v.Teams.Preferred != "" {
				t.Errorf("Teams is pinned to %s", v.Teams.Preferred)
			}
		})
	}
}
