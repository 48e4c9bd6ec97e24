package presence_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"offhook.dev/libs/core/calendar"
	"offhook.dev/libs/core/presence"
	"offhook.dev/libs/core/presencetest"
)

// Histories of both directions are counted in half minutes, so that the mask and the
// lives of what is shown in Teams are whole ticks, and are long enough for a
// preferred presence to be refreshed and to run out.
const half = 30 * time.Second

func moment(t int) time.Time { return start.Add(time.Duration(t) * half) }

// bothWays is a random truth of somebody whose calls and choices go to Teams. Teams
// shows what the generator pleases, so that every order of readings comes about.
func bothWays(r *rand.Rand) (presencetest.History, []presence.Powers) {
	length := one(r, 40, 40, 120, 600)
	h := presencetest.History{Ticks: length, Blind: make([]bool, length), Rules: presencetest.Rules{
		Mode: one(r, "both", "both", "both", "pbx-to-teams"), Strongest: r.IntN(4) == 0, Policy: one(r, "auto", "auto", "until-cleared", "ignore"),
		WholeUser: r.IntN(4) == 0, Base: "available", MaxAt: 30, Damping: r.IntN(3), Keep: 20, Stale: 30, Wait: 4, CalendarFor: 48 * 60,
		Mask: 3, CallFor: 20, PreferredFor: 240, VisibleIn: 4,
	}}
	if r.IntN(5) == 0 {
		h.Rules.PausedFrom = 2 + r.IntN(length-2)
		h.Rules.PausedTo = h.Rules.PausedFrom + 1 + r.IntN(20)
	}
	var powers []presence.Powers
	for range 1 + r.IntN(2) {
		p := systems[r.IntN(2)]
		powers = append(powers, p)
		h.Lines = append(h.Lines, presencetest.Line{FirstStatus: one(r, "available", "available", "dnd"), Rings: words(p.Ring), Writes: words(p.Write)})
	}
	h.Calendars = []presencetest.Calendar{{At: 0, Problem: r.IntN(2) == 0}}
	for range r.IntN(3) {
		from := r.IntN(length)
		h.Calendars[0].Spans = append(h.Calendars[0].Spans, presencetest.Span{From: from, To: from + 1 + r.IntN(30), Class: one(r, "busy", "oof")})
	}
	values := [][2]string{{"Available", "Available"}, {"Busy", "InACall"}, {"Busy", "InAMeeting"}, {"DoNotDisturb", "DoNotDisturb"},
		{"donotdisturb", "Presenting"}, {"Away", "Away"}, {"Offline", "Offline"}, {"Offline", "OffWork"}, {"Available", "OutOfOffice"}, {"New", ""}}
	calls := make([]int, len(h.Lines))
	busy := 4 + r.IntN(length/8)
	for t := range length {
		ordered := h.Rules.PausedTo > 0 && (t == h.Rules.PausedFrom || t == h.Rules.PausedTo) // nothing has an order where a pause begins or ends
		if t == 0 || !ordered && r.IntN(busy) == 0 {
			v := one(r, values...)
			h.Readings = append(h.Readings, presencetest.Reading{At: t, Availability: v[0], Activity: v[1]})
		}
		if t > 0 && !ordered && r.IntN(busy) == 0 {
			h.Choices = append(h.Choices, choose(r, t, h.Lines))
		}
		if l := r.IntN(len(h.Lines)); !ordered && (calls[l] > 0 && r.IntN(8) == 0 || r.IntN(2*busy) == 0) {
			calls[l] = r.IntN(3)
			h.Calls = append(h.Calls, presencetest.Call{At: t, Line: l, Calls: calls[l]})
		}
	}
	h.Refused = make([]bool, length)
	for range r.IntN(4) * r.IntN(2) {
		from := r.IntN(length)
		for t := from; t < min(length, from+1+r.IntN(30)); t++ {
			h.Refused[t] = true
		}
	}
	ends := func(t int) bool {
		return t == h.Rules.MaxAt || slices.ContainsFunc(h.Choices, func(c presencetest.Choice) bool { return c.Until == t })
	}
	h.Readings = slices.DeleteFunc(h.Readings, func(reading presencetest.Reading) bool { return reading.At > 0 && ends(reading.At) })
	return h, powers
}

// judgeBoth plays a history in the order of the truth and returns the first
// difference from the oracle, or "".
func judgeBoth(h presencetest.History, powers []presence.Powers, decide decider) string {
	o := options(h)
	o.Damping, o.StaleAfter = time.Duration(h.Rules.Damping)*half, time.Duration(h.Rules.Stale)*half
	o.Manual.Max = presence.Clock(4 * 60)
	lines, teams := presencetest.Everything(h)
	held := presencetest.Held(h)
	facts := inOrder(h, powers)
	var v presence.Verdict
	for t := range h.Ticks {
		now := moment(t)
		paused := h.Rules.PausedTo > 0 && t == h.Rules.PausedFrom
		if paused {
			o.PausedUntil = moment(h.Rules.PausedTo)
		}
		news := facts[t]
		if _, ok := append(news, nil)[0].(presence.TeamsReading); ok && !paused {
			v = decide(v.Memory, news[0], o, now) // what Teams shows at a moment comes before what ends then
			news = news[1:]
		}
		if paused || !v.Wake.IsZero() && !v.Wake.After(now) || len(facts[t]) > 0 {
			v = decide(v.Memory, presence.Sweep{Began: now, Ended: now, OK: true}, o, now)
		}
		for _, f := range news {
			v = decide(v.Memory, f, o, now)
		}
		if v.Teams != nil && !h.Refused[t] {
			v = decide(v.Memory, presence.TeamsWritten{Session: v.Teams.Session, Preferred: v.Teams.Preferred, At: now}, o, now)
		}
		if got, want := inTeams(v), expectedInTeams(teams[t]); got != want {
			return fmt.Sprintf("at tick %d Teams should show %s, the oracle: %s\n%s", t, got, want, told(h))
		}
		for i := range h.Lines {
			if got := wanted(v, lineOf(i)); got != lines[i][t] && !held[t] {
				return fmt.Sprintf("line %d at tick %d: wants %q (%v), the oracle %q\n%s", i, t, got, v.Reason, lines[i][t], told(h))
			}
		}
	}
	return ""
}

// inOrder returns the facts of each tick: at one moment Teams comes first and choices
// come last.
func inOrder(h presencetest.History, powers []presence.Powers) [][]presence.Fact {
	facts := make([][]presence.Fact, h.Ticks)
	links := presence.LinksChanged{Revision: 1}
	observations := make([]int64, len(h.Lines))
	for i := range h.Lines {
		links.Links = append(links.Links, presence.Link{Line: lineOf(i), Revision: 1, Powers: powers[i]})
	}
	facts[0] = append(facts[0], links)
	for i, l := range h.Lines {
		observations[i] = 1
		facts[0] = append(facts[0], presence.StatusReading{Line: lineOf(i), Status: status(l.FirstStatus), Origin: presence.Person, SeenAt: moment(0), Observation: 1})
	}
	for _, reading := range h.Readings {
		facts[reading.At] = append(facts[reading.At], presence.TeamsReading{Availability: reading.Availability, Activity: reading.Activity, SeenAt: moment(reading.At), Source: presence.Poll})
	}
	for _, c := range h.Calendars {
		f := presence.CalendarReading{SeenAt: moment(c.At), Problem: c.Problem}
		for _, s := range c.Spans {
			f.Intervals = append(f.Intervals, calendar.Interval{From: moment(s.From), To: moment(s.To), Class: calendar.Class(s.Class)})
		}
		facts[c.At] = append(facts[c.At], f)
	}
	for _, c := range h.Calls {
		facts[c.At] = append(facts[c.At], presence.CallReading{Line: lineOf(c.Line), Calls: c.Calls, SeenAt: moment(c.At)})
	}
	for _, c := range h.Choices {
		if c.Offhook {
			f := presence.Chosen{Status: status(c.Status), At: moment(c.At), By: "anna"}
			if c.Line >= 0 {
				f.Line = lineOf(c.Line)
			}
			if c.Until > 0 {
				f.Until = moment(c.Until)
			}
			facts[c.At] = append(facts[c.At], f)
			continue
		}
		observations[c.Line]++
		facts[c.At] = append(facts[c.At], presence.StatusReading{Line: lineOf(c.Line), Status: status(c.Status), Origin: presence.Person, SeenAt: moment(c.At), Observation: observations[c.Line]})
	}
	return facts
}

func inTeams(v presence.Verdict) string {
	if v.Teams == nil {
		return "nothing"
	}
	w := *v.Teams
	return fmt.Sprint(w.Session, " ", stamp(w.SessionUntil), " ", w.Preferred, " ", stamp(w.PreferredUntil), " disowned ", w.Disowned, " released ", w.Released)
}

func expectedInTeams(t presencetest.Teams) string {
	if !t.Ever {
		return "nothing"
	}
	at := func(set string, tick int) string {
		if set == "" {
			return "-"
		}
		return stamp(moment(tick))
	}
	return fmt.Sprint(t.Session, " ", at(t.Session, t.SessionUntil), " ", t.Preferred, " ", at(t.Preferred, t.PreferredUntil), " disowned ", t.Disowned, " released ", t.Released)
}

func stamp(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return t.Format("15:04:05")
}

func TestRandomHistoriesOfBothDirectionsAgreeWithTheOracle(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(seed(t), 0))
	for n := range histories(t) {
		h, powers := bothWays(r)
		if wrong := judgeBoth(h, powers, presence.Decide); wrong != "" {
			t.Fatalf("history %d: %s", n, wrong)
		}
	}
}

// The judge of both directions must find out each of these.
func TestTheOracleFindsDecidersThatAreWrongAboutTeams(t *testing.T) {
	readings := func(change func(*presence.TeamsReading)) decider {
		return func(m presence.Memory, f presence.Fact, o presence.Options, now time.Time) presence.Verdict {
			if reading, ok := f.(presence.TeamsReading); ok {
				change(&reading)
				f = reading
			}
			return presence.Decide(m, f, o, now)
		}
	}
	memories := func(change func(*presence.Memory)) decider {
		return func(m presence.Memory, f presence.Fact, o presence.Options, now time.Time) presence.Verdict {
			m.OwnTeams = slices.Clone(m.OwnTeams)
			change(&m)
			return presence.Decide(m, f, o, now)
		}
	}
	with := func(change func(*presence.Options)) decider {
		return func(m presence.Memory, f presence.Fact, o presence.Options, now time.Time) presence.Verdict {
			change(&o)
			return presence.Decide(m, f, o, now)
		}
	}
	for name, decide := range map[string]decider{
		"nothing is masked": memories(func(m *presence.Memory) {
			m.OwnTeams = slices.DeleteFunc(m.OwnTeams, func(w presence.OwnTeams) bool { return !w.Preferred })
		}),
		"the mask never ends": memories(func(m *presence.Memory) {
			for i := range m.OwnTeams {
				m.OwnTeams[i].Until = m.OwnTeams[i].Until.Add(5 * time.Minute)
			}
		}),
		"the mask counts from the want": memories(func(m *presence.Memory) {
			for i := range m.OwnTeams {
				m.OwnTeams[i].Lasts = time.Time{}
			}
		}),
		"what was cleared is never known": func(m presence.Memory, f presence.Fact, o presence.Options, now time.Time) presence.Verdict {
			if _, word := f.(presence.TeamsWritten); word {
				f = presence.Tick{}
			}
			return presence.Decide(m, f, o, now)
		},
		"fought for":                    memories(func(m *presence.Memory) { m.Pinned = time.Time{} }),
		"signed out is replaced":        readings(func(r *presence.TeamsReading) { r.Activity = "OffWork" }),
		"resets in Teams are not heard": with(func(o *presence.Options) { o.PBX = presence.PBXMapping{} }),
		"what Offhook shows in Teams is a person's": func(m presence.Memory, f presence.Fact, o presence.Options, now time.Time) presence.Verdict {
			m.OwnTeams = nil
			return presence.Decide(m, f, o, now)
		},
		"pauses are not kept": with(func(o *presence.Options) { o.PausedUntil = time.Time{} }),
		"nobody looks again":  sleepy,
		"clear means nothing": with(func(o *presence.Options) { o.PBX = phoneMapped(map[string]string{"available": "nothing"}) }),
		"lunch goes to Teams": with(func(o *presence.Options) { o.PBX = phoneMapped(map[string]string{"lunch": "BeRightBack"}) }),
		"calls are not ended": func(m presence.Memory, f presence.Fact, o presence.Options, now time.Time) presence.Verdict {
			if call, ok := f.(presence.CallReading); ok && call.Calls == 0 {
				f = presence.Tick{}
			}
			return presence.Decide(m, f, o, now)
		},
		"both is pbx-to-teams": with(func(o *presence.Options) { o.Mode = presence.PBXToTeams }),
	} {
		t.Run(name, func(t *testing.T) {
			r := rand.New(rand.NewPCG(1, 2)) // a control must not depend on luck
			for range 2_000 {
				h, powers := bothWays(r)
				if judgeBoth(h, powers, decide) != "" {
					return
				}
			}
			t.Error("2,000 histories did not find it")
		})
	}
}

func phoneMapped(overrides map[string]string) presence.PBXMapping {
	m, err := presence.ParsePBXMapping(overrides)
	if err != nil {
		panic(err)
	}
	return m
}

// told returns the history in as many words as are needed.
func told(h presencetest.History) string {
	return fmt.Sprintf("readings %v\ncalendars %v\ncalls %v\nchoices %+v\nlines %+v\nrules %+v", h.Readings, h.Calendars, h.Calls, h.Choices, h.Lines, h.Rules)
}
