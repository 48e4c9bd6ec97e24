package presence_test

import (
	"testing"
	"time"

	"offhook.dev/libs/core/calendar"
	"offhook.dev/libs/core/presence"
)

// Where nothing changes nobody notes the sweeps. The next to be noted may have begun a
// moment after the last one that is known was StaleAfter old: Teams was read all the
// time in between, and its opinion has not ended.
func TestAnOpinionDoesNotEndBecauseTheSweepsThatConfirmedItWereNotNoted(t *testing.T) {
	o := presence.DefaultOptions()
	swept := func(v presence.Verdict, began, now time.Time) presence.Verdict {
		v = presence.Decide(v.Memory, presence.Sweep{Began: began, Ended: began, OK: true}, o, now)
		return presence.Decide(v.Memory, presence.Tick{}, o, now)
	}
	away := presence.CalendarReading{SeenAt: at(1), Intervals: []calendar.Interval{{From: at(0), To: at(600), Class: "oof"}}}
	end := at(1).Add(o.StaleAfter)
	moment := 100 * time.Millisecond
	for name, test := range map[string]struct {
		noted []time.Time // when somebody looks, with a sweep of shortly before
		want  string
		why   presence.Reason
	}{
		"the wake, and a sweep just after it was due": {[]time.Time{end.Add(2 * moment)}, "available", presence.ByTeams},
		"a mapper that was away for an hour":          {[]time.Time{end.Add(time.Hour)}, "available", presence.ByTeams},
	} {
		t.Run(name, func(t *testing.T) {
			v := after(o, at(1), away, teams("Available", at(1)))
			for _, now := range test.noted {
				v = swept(v, now.Add(-moment), now)
			}
			if got := wanted(v, lineOf(0)); got != test.want || v.Reason != test.why {
				t.Errorf("wanted is %q (%v), not %q (%v)", got, v.Reason, test.want, test.why)
			}
		})
	}
	t.Run("what was found stale was stale", func(t *testing.T) {
		v := after(o, at(1), away, teams("Available", at(1)))
		v = presence.Decide(v.Memory, presence.Tick{}, o, end)
		if got := wanted(v, lineOf(0)); got != "away" {
			t.Fatalf("wanted is %q without a reading, not away", got)
		}
		v = presence.Decide(v.Memory, presence.Sweep{Began: end.Add(moment), Ended: end.Add(moment), OK: true}, o, end.Add(2*moment))
		if got := wanted(v, lineOf(0)); got != "away" || v.Reason != presence.Damped {
			t.Errorf("wanted is %q (%v), not away (damped)", got, v.Reason)
		}
	})
	t.Run("what overrode it stands", func(t *testing.T) {
		v := after(o, at(1), teams("Busy", at(1)))
		v = presence.Decide(v.Memory, phoneShows(presence.Lunch, presence.Person, 2, at(1)), o, at(1))
		v = swept(v, end.Add(time.Hour-moment), end.Add(time.Hour))
		if got := wanted(v, lineOf(0)); got != "lunch" {
			t.Errorf("wanted is %q, not lunch", got)
		}
	})
}
