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
