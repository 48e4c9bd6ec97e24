package presence_test

import (
	"testing"

	"offhook.dev/libs/core/presence"
)

// A line that shows nothing has been read, and nobody chose anything there.
func TestALineThatShowsNothingIsDecidedFor(t *testing.T) {
	o := presence.DefaultOptions()
	links := presence.LinksChanged{Revision: 1, Links: []presence.Link{{Line: lineOf(0), Revision: 7, Powers: systems[0]}}}
	v := presence.Decide(presence.Memory{}, links, o, at(0))
	v = presence.Decide(v.Memory, teams("Busy", at(1)), o, at(1))
	if len(v.Wants) != 0 {
		t.Fatalf("wanted before the line was read: %+v", v.Wants)
	}
	v = presence.Decide(v.Memory, phoneShows(presence.Unset, presence.Ours, 0, at(2)), o, at(2))
	if wanted(v, lineOf(0)) != "dnd" || v.Reason != presence.ByTeams {
		t.Errorf("wants %+v, %v", v.Wants, v.Reason)
	}
	v = presence.Decide(v.Memory, phoneShows(presence.Unset, presence.Person, 3, at(3)), o, at(3))
	if wanted(v, lineOf(0)) != "dnd" || v.Reason != presence.ByTeams {
		t.Errorf("nothing was taken for a choice: %+v, %v", v.Wants, v.Reason)
	}
}

func TestAChoiceIsHeardOfThoughNothingShows(t *testing.T) {
	o := presence.DefaultOptions()
	reading := phoneShows(presence.Unset, presence.Revert, 4, at(5))
	reading.LastPerson = &presence.Choice{Status: presence.Away, Observation: 3, At: at(4)}
	v := after(o, at(5), teams("Busy", at(1)), reading)
	if wanted(v, lineOf(0)) != "away" || v.Wants[0].DecidedOn != 3 {
		t.Errorf("wants %+v, not the away of observation 3", v.Wants)
	}
}
