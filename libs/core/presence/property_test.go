package presence_test

import (
	"fmt"
	"math/rand/v2"
	"reflect"
	"testing"
	"time"

	"offhook.dev/libs/core/calendar"
	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/core/presence"
)

// undated returns what a verdict says, without when each status was decided:
// that is when the fact arrived.
func undated(v presence.Verdict) string {
	wants := append([]presence.Want(nil), v.Wants...)
	for i := range wants {
		wants[i].Since = time.Time{}
	}
	return fmt.Sprintf("%v %v %+v %v", wants, v.Reason, v.Claims, v.Wake)
}

func TestDecidingTwiceIsDecidingOnceAndChangesNoArgument(t *testing.T) {
	r := rand.New(rand.NewPCG(seed(t), 0))
	for range 500 {
		h, powers := history(r)
		o := options(h)
		var v presence.Verdict
		for _, d := range deliveries(r, h, powers, 2) {
			given := v.Memory
			before := stored(t, given)
			v = presence.Decide(given, d.fact, o, at(d.at))
			if !reflect.DeepEqual(stored(t, given), before) {
				t.Fatalf("%+v changed the memory that was handed in", d.fact)
			}
			again := presence.Decide(stored(t, v.Memory), d.fact, o, at(d.at))
			if again.Changed || undated(again) != undated(v) || !reflect.DeepEqual(again.Wants, v.Wants) {
				t.Fatalf("%+v again: changed %v, %s\nat first: %s", d.fact, again.Changed, undated(again), undated(v))
			}
			if !reflect.DeepEqual(v.Wants, v.Memory.Wants()) {
				t.Fatalf("the verdict wants %v, its memory %v", v.Wants, v.Memory.Wants())
			}
		}
	}
}

// The same holds of what is shown in Teams, and being late never changes what is
// decided then: whoever looks at Wake and whoever looks later agree.
func TestBothDirectionsDecideOnceAndNeverMissAWake(t *testing.T) {
	r := rand.New(rand.NewPCG(seed(t), 0))
	for range 300 {
		h, powers := bothWays(r)
		o := options(h)
		var v presence.Verdict
		for tick, facts := range inOrder(h, powers) {
			now := moment(tick)
			for _, f := range facts {
				v = presence.Decide(v.Memory, f, o, now)
				again := presence.Decide(stored(t, v.Memory), f, o, now)
				if again.Changed || undated(again) != undated(v) || inTeams(again) != inTeams(v) || again.Wake != v.Wake {
					t.Fatalf("%+v again: changed %v, %s %s\nat first: %s %s\n%s", f, again.Changed, undated(again), inTeams(again), undated(v), inTeams(v), told(h))
				}
				if want, ok := v.Memory.TeamsWant(); ok != (v.Teams != nil) || ok && want != *v.Teams {
					t.Fatalf("the verdict wants %v in Teams, its memory %v", v.Teams, want)
				}
			}
			if !v.Wake.IsZero() {
				early := now.Add(time.Duration(r.Int64N(int64(v.Wake.Sub(now)))))
				if tick := presence.Decide(v.Memory, presence.Tick{}, o, early); tick.Changed || undated(tick) != undated(v) {
					t.Fatalf("at %v, before Wake %v: %s %s\n was %s %s\n%s", early, v.Wake, undated(tick), inTeams(tick), undated(v), inTeams(v), told(h))
				}
			}
			for !v.Wake.IsZero() && !v.Wake.After(moment(tick+1)) {
				woken := v.Wake
				if !woken.After(now) {
					t.Fatalf("Wake %v is not after %v", woken, now)
				}
				now = woken
				v = presence.Decide(v.Memory, presence.Tick{}, o, now)
			}
		}
	}
}

// within is a handful of facts that the package promises to put into order: links,
// first readings, and up to four choices and Teams readings with sequences that
// may contradict their times.
func within(r *rand.Rand) []presence.Fact {
	facts := []presence.Fact{
		presence.LinksChanged{Revision: 1, Links: []presence.Link{{Line: lineOf(0), Revision: 1, Powers: one(r, systems...)}}},
		presence.StatusReading{Line: lineOf(0), Status: presence.Available, Origin: presence.Person, SeenAt: at(0), Observation: 1},
	}
	values := [][2]string{{"Available", "Available"}, {"Busy", "InACall"}, {"Away", "Away"}, {"Offline", ""}, {"New", ""}}
	for n := range 3 {
		when := at(1 + r.IntN(20))
		switch r.IntN(4) {
		case 0:
			facts = append(facts, presence.StatusReading{Line: lineOf(0), Status: one(r, presence.Statuses()...), Origin: presence.Person, SeenAt: when, Observation: when.Unix()*10 + int64(n)})
		case 1:
			facts = append(facts, presence.Chosen{Status: one(r, presence.Statuses()...), At: when})
		default:
			v := one(r, values...)
			facts = append(facts, presence.TeamsReading{Availability: v[0], Activity: v[1], SeenAt: when, Source: one(r, presence.Poll, presence.Notification),
				Sequence: one(r, "", fmt.Sprint(n), fmt.Sprint(9-n))})
		}
	}
	return facts
}

// beside is what is remembered outside the log.
func beside(r *rand.Rand) []presence.Fact {
	var facts []presence.Fact
	for n := range 3 {
		seen := at(1 + 6*n + r.IntN(6)) // no two readings begin at one moment
		from := seen.Add(time.Duration(r.IntN(40)-20) * time.Minute)
		facts = append(facts, presence.CalendarReading{SeenAt: seen, Problem: r.IntN(6) == 0, Intervals: []calendar.Interval{
			{From: from, To: from.Add(time.Duration(1+r.IntN(30)) * time.Minute), Class: one(r, calendar.Busy, calendar.OOF, calendar.Tentative)},
			{From: at(5), To: at(15), Class: calendar.WorkingElsewhere}}},
			presence.CallReading{Line: lineOf(0), Calls: r.IntN(3), SeenAt: at(1 + r.IntN(20))})
	}
	if r.IntN(4) == 0 {
		facts = append(facts, presence.Sweep{Began: at(20), Ended: at(20), Denied: true})
	}
	return facts
}

func TestOrderAndRepetitionOfFactsDoNotMatter(t *testing.T) {
	r := rand.New(rand.NewPCG(seed(t), 0))
	for range 5_000 {
		facts, o := append(within(r), beside(r)...), presence.DefaultOptions()
		o.Mode = one(r, presence.TeamsToPBX, presence.TeamsToPBX, presence.Calendar)
		o.Manual.Policy = one(r, presence.Auto, presence.Auto, presence.UntilCleared, presence.Ignore)
		verdict := func(facts []presence.Fact) string {
			var m presence.Memory
			for _, f := range facts {
				m = presence.Decide(m, f, o, at(21)).Memory
			}
			return undated(presence.Decide(m, presence.Tick{}, o, at(22)))
		}
		shuffled := append(append([]presence.Fact(nil), facts...), facts[r.IntN(len(facts))])
		r.Shuffle(len(shuffled), func(i, j int) { shuffled[i], shuffled[j] = shuffled[j], shuffled[i] })
		if a, b := verdict(facts), verdict(shuffled); a != b {
			t.Fatalf("%+v\n gives %s\n%+v\n gives %s", facts, a, shuffled, b)
		}
	}
}

// Wake is the earliest moment at which anything can change: until then ticking
// changes nothing, and following it always comes to rest.
func TestWakeIsNeitherLateNorInThePastNorEndless(t *testing.T) {
	r := rand.New(rand.NewPCG(seed(t), 0))
	for range 1_000 {
		h, powers := history(r)
		o := options(h)
		var v presence.Verdict
		var now time.Time
		for _, d := range deliveries(r, h, powers, 2) {
			if !v.Wake.IsZero() && at(d.at).After(now) {
				end := v.Wake
				if at(d.at).Before(end) {
					end = at(d.at)
				}
				early := now.Add(time.Duration(r.Int64N(int64(end.Sub(now)))))
				if tick := presence.Decide(v.Memory, presence.Tick{}, o, early); tick.Changed || undated(tick) != undated(v) {
					t.Fatalf("at %v, before Wake %v: %s\n was %s", early, v.Wake, undated(tick), undated(v))
				}
			}
			now = at(d.at)
			v = presence.Decide(v.Memory, d.fact, o, now)
		}
		for n := 0; !v.Wake.IsZero(); n++ {
			if !v.Wake.After(now) || n > 50 {
				t.Fatalf("after %d wakes at %v: Wake %v", n, now, v.Wake)
			}
			now = v.Wake
			v = presence.Decide(v.Memory, presence.Tick{}, o, now)
		}
	}
}

func TestNothingIsWantedBeforeBothSidesAreRead(t *testing.T) {
	r := rand.New(rand.NewPCG(seed(t), 0))
	for range 1_000 {
		h, powers := history(r)
		h.Rules.Mode, h.Rules.Absent = "teams-to-pbx", false
		o := options(h)
		var v presence.Verdict
		teams, lines := false, map[identity.Line]bool{}
		for _, d := range deliveries(r, h, powers, 2) {
			switch f := d.fact.(type) {
			case presence.TeamsReading:
				teams = true
			case presence.StatusReading:
				lines[f.Line] = true
			}
			v = presence.Decide(v.Memory, d.fact, o, at(d.at))
			if !teams && (len(v.Wants) > 0 || v.Reason != presence.NotReadYet) {
				t.Fatalf("wants %v, %v, before Teams was read", v.Wants, v.Reason)
			}
			for _, w := range v.Wants {
				if !lines[w.Line] {
					t.Fatalf("wants %v before the line was read", w)
				}
			}
		}
	}
}

// Whatever Teams does, a phone goes silent at once and rings again exactly after
// the damping, counted from the first moment at which it should ring.
func TestDampingIsBoundedAndOnlyTowardsRinging(t *testing.T) {
	r := rand.New(rand.NewPCG(seed(t), 0))
	for range 200 {
		o := presence.DefaultOptions()
		o.Damping = time.Duration(r.IntN(30)) * time.Second
		v := linked(o)
		v = presence.Decide(v.Memory, teams("Available", at(1)), o, at(1))
		v = presence.Decide(v.Memory, teams("Busy", at(2)), o, at(2))
		if wanted(v, lineOf(0)) != "dnd" {
			t.Fatalf("towards busy: %+v", v.Wants)
		}
		v = presence.Decide(v.Memory, teams("Available", at(3)), o, at(3))
		if o.Damping > 0 && (wanted(v, lineOf(0)) != "dnd" || v.Reason != presence.Damped || !v.Wake.Equal(at(3).Add(o.Damping))) {
			t.Fatalf("damping %v: %+v, wake %v", o.Damping, v.Wants, v.Wake)
		}
		v = presence.Decide(v.Memory, presence.Tick{}, o, at(3).Add(o.Damping))
		if wanted(v, lineOf(0)) != "available" {
			t.Fatalf("after damping %v: %+v", o.Damping, v.Wants)
		}
	}
}

// linked returns the verdict on a person with one line of a 3CX, read once, and no
// calendar.
func linked(o presence.Options) presence.Verdict {
	v := presence.Decide(presence.Memory{}, presence.LinksChanged{Revision: 1, Links: []presence.Link{{Line: lineOf(0), Revision: 7, Powers: systems[0]}}}, o, at(0))
	v = presence.Decide(v.Memory, presence.CalendarReading{SeenAt: at(0), Problem: true}, o, at(0))
	return presence.Decide(v.Memory, phoneShows(presence.Available, presence.Person, 1, at(0)), o, at(0))
}

func teams(availability string, seen time.Time) presence.TeamsReading {
	return presence.TeamsReading{Availability: availability, SeenAt: seen, Source: presence.Poll}
}

func phoneShows(s presence.Status, origin presence.Origin, observation int64, seen time.Time) presence.StatusReading {
	return presence.StatusReading{Line: lineOf(0), Status: s, Origin: origin, SeenAt: seen, Observation: observation}
}
