package presence_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"testing"
	"time"

	"offhook.dev/libs/core/calendar"
	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/core/presence"
	"offhook.dev/libs/core/presencetest"
)

// Histories for the oracle are counted in minutes from a quarter to four, so
// that the default manual_max of 04:00 comes round in the middle of them.
const (
	tick  = time.Minute
	ticks = 30
	maxAt = 15
	keep  = 10
)

var start = time.Date(2026, 3, 2, 3, 45, 0, 0, time.UTC)

func at(t int) time.Time { return start.Add(time.Duration(t) * tick) }

// seed returns the seed of a random test: OFFHOOK_SEED, else a new one. It is
// printed with every failure.
func seed(t *testing.T) uint64 {
	if s := os.Getenv("OFFHOOK_SEED"); s != "" {
		n, err := strconv.ParseUint(s, 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	n := rand.Uint64()
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("OFFHOOK_SEED=%d", n)
		}
	})
	return n
}

func one[T any](r *rand.Rand, of ...T) T { return of[r.IntN(len(of))] }

// systems are what the lines of a history can do.
var systems = []presence.Powers{
	{Write: presence.All, Read: presence.All, Ring: presence.SetOf(presence.Available, presence.Lunch, presence.BusinessTrip)},
	{Write: presence.All, Read: presence.All, Ring: presence.All &^ presence.SetOf(presence.DND)},
	{Write: presence.SetOf(presence.Available, presence.DND), Read: presence.All, Ring: presence.SetOf(presence.Available, presence.Lunch)},
}

// history is a random truth, and the powers of its lines.
func history(r *rand.Rand) (presencetest.History, []presence.Powers) {
	h := presencetest.History{Ticks: ticks, Blind: make([]bool, ticks), Rules: presencetest.Rules{
		Policy: one(r, "auto", "auto", "auto", "until-cleared", "ignore"), WholeUser: r.IntN(4) == 0,
		Base: one(r, "available", "available", "available", "lunch", "away"), MaxAt: maxAt,
		Damping: r.IntN(4), Keep: keep, Stale: one(r, 6, 15), AwayDelay: one(r, 0, 0, 4),
		Mode: one(r, "teams-to-pbx", "teams-to-pbx", "calendar"), Strongest: r.IntN(3) == 0, Absent: r.IntN(10) == 0,
		Wait: 2, CalendarFor: 24 * 60,
	}}
	if r.IntN(5) == 0 {
		h.Rules.PausedFrom = 1 + r.IntN(ticks-1)
		h.Rules.PausedTo = h.Rules.PausedFrom + 1 + r.IntN(10)
	}
	h.Calendars = calendars(r)
	var powers []presence.Powers
	for range 1 + r.IntN(2) {
		p := one(r, systems...)
		powers = append(powers, p)
		h.Lines = append(h.Lines, presencetest.Line{First: r.IntN(6), FirstStatus: one(r, "available", "available", "away", "dnd"),
			Rings: words(p.Ring), Writes: words(p.Write)})
	}
	values := [][2]string{{"Available", "Available"}, {"busy", "inAMeeting"}, {"Busy", "InACall"}, {"Away", "Away"}, {"Offline", "Offline"},
		{"PresenceUnknown", "PresenceUnknown"}, {"SomethingNew", "Available"}, {"SomethingNew", "Presenting"}, {"Available", "OutOfOffice"}, {"inACall", ""}}
	for t := range ticks {
		if r.IntN(6) == 0 {
			v := one(r, values...)
			h.Readings = append(h.Readings, presencetest.Reading{At: t, Availability: v[0], Activity: v[1]})
		}
		if r.IntN(10) == 0 && (t != h.Rules.PausedFrom || h.Rules.PausedTo == 0) {
			// Two choices at one moment, one of them a first reading, have no order.
			if c := choose(r, t, h.Lines); c.Offhook || t > h.Lines[0].First && t > h.Lines[len(h.Lines)-1].First {
				h.Choices = append(h.Choices, c)
			}
		}
	}
	switch from := r.IntN(ticks); r.IntN(4) {
	case 0:
		for t := from; t < ticks && r.IntN(20) > 0; t++ {
			h.Blind[t] = true
		}
	case 1:
		h.Denied = make([]bool, ticks)
		for t := from; t < ticks && r.IntN(12) > 0; t++ {
			h.Blind[t], h.Denied[t] = true, true
		}
		h.Readings = slices.DeleteFunc(h.Readings, func(reading presencetest.Reading) bool { return h.Denied[reading.At] })
	}
	if from := h.Rules.PausedFrom; h.Rules.PausedTo > 0 { // what happens at the moment of a pause has no order either
		h.Readings = slices.DeleteFunc(h.Readings, func(reading presencetest.Reading) bool { return reading.At == from })
		h.Calendars = slices.DeleteFunc(h.Calendars, func(c presencetest.Calendar) bool { return c.At == from })
	}
	return h, powers
}

// calendars are readings of a calendar, the first perhaps so long ago that it is soon
// believed no more.
func calendars(r *rand.Rand) (all []presencetest.Calendar) {
	if r.IntN(4) == 0 {
		return nil
	}
	first := one(r, 0, 0, -3, r.IntN(ticks), r.IntN(ticks)-24*60)
	for t := first; t < ticks; t = max(t, -1) + 1 + r.IntN(25) {
		c := presencetest.Calendar{At: t, Problem: r.IntN(8) == 0}
		for range r.IntN(4) {
			from := r.IntN(ticks) // nothing before the history
			c.Spans = append(c.Spans, presencetest.Span{From: from, To: from + 1 + r.IntN(12), Class: one(r, "busy", "busy", "oof", "workingElsewhere", "tentative", "free")})
		}
		all = append(all, c)
	}
	return all
}

// choose returns a choice of something that every line can show: what becomes of
// others depends on what the phone shows meanwhile, which no history tells.
func choose(r *rand.Rand, t int, lines []presencetest.Line) presencetest.Choice {
	writes := lines[0].Writes
	if last := lines[len(lines)-1].Writes; len(last) < len(writes) {
		writes = last
	}
	c := presencetest.Choice{At: t, Line: r.IntN(len(lines)), Status: one(r, writes...), Offhook: r.IntN(4) == 0}
	if c.Offhook {
		c.Line = r.IntN(len(lines)+1) - 1
		if r.IntN(2) == 0 {
			c.Until = t + 1 + r.IntN(20)
		} else if r.IntN(3) == 0 {
			c.Status = ""
		}
	}
	return c
}

func words(set presence.Set) (words []string) {
	for _, s := range set.Slice() {
		words = append(words, s.String())
	}
	return words
}

func status(word string) presence.Status {
	s, err := presence.ParseStatus(word)
	if err != nil {
		panic(err)
	}
	return s
}

func lineOf(i int) identity.Line {
	return identity.Line{System: "hq", Extension: identity.Extension(strconv.Itoa(204 + i))}
}

// options returns the rules of the history as options.
func options(h presencetest.History) presence.Options {
	o := presence.DefaultOptions()
	o.Mode, o.Base, o.TeamsAbsent = presence.Mode(h.Rules.Mode), status(h.Rules.Base), h.Rules.Absent
	if h.Rules.Strongest {
		o.Combine = presence.Strongest
	}
	o.Manual.Policy = presence.Policy(h.Rules.Policy)
	if h.Rules.WholeUser {
		o.Manual.Scope = presence.OnUser
	}
	o.Damping, o.StaleAfter = time.Duration(h.Rules.Damping)*tick, time.Duration(h.Rules.Stale)*tick
	if h.Rules.AwayDelay > 0 {
		delayed := fmt.Sprintf("away after %dm", h.Rules.AwayDelay)
		o.Teams, _ = o.Teams.With(map[string]string{"Away": delayed, "BeRightBack": delayed})
	}
	return o
}

// delivery is a fact and the tick at which it arrives.
type delivery struct {
	at   int
	fact presence.Fact
}

// deliveries returns the facts of the history, each arriving up to late ticks
// after it happened and, when late, some of them twice.
func deliveries(r *rand.Rand, h presencetest.History, powers []presence.Powers, late int) []delivery {
	var all []delivery
	add := func(t int, f presence.Fact) {
		all = append(all, delivery{min(t+r.IntN(late+1), ticks-1), f})
		if late > 0 && r.IntN(4) == 0 {
			all = append(all, delivery{min(t+r.IntN(late+1), ticks-1), f})
		}
	}
	links := presence.LinksChanged{Revision: 1}
	observations := make([]int64, len(h.Lines))
	for i, l := range h.Lines {
		links.Links = append(links.Links, presence.Link{Line: lineOf(i), Revision: 1, Powers: powers[i]})
		observations[i] = 1
		add(l.First, presence.StatusReading{Line: lineOf(i), Status: status(l.FirstStatus), Origin: presence.Person, SeenAt: at(l.First), Observation: 1})
	}
	for n, reading := range h.Readings {
		f := presence.TeamsReading{Availability: reading.Availability, Activity: reading.Activity, SeenAt: at(reading.At), Source: presence.Notification}
		if !h.Blind[reading.At] && n%2 == 0 {
			f.Source, f.Sequence = presence.Poll, fmt.Sprintf("%06d", reading.At)
		}
		add(reading.At, f)
	}
	for _, c := range h.Calendars {
		f := presence.CalendarReading{SeenAt: at(c.At), Problem: c.Problem}
		for _, s := range c.Spans {
			f.Intervals = append(f.Intervals, calendar.Interval{From: at(s.From), To: at(s.To), Class: calendar.Class(s.Class)})
		}
		r.Shuffle(len(f.Intervals), func(i, j int) { f.Intervals[i], f.Intervals[j] = f.Intervals[j], f.Intervals[i] })
		add(max(c.At, 0), f)
	}
	for _, c := range h.Choices {
		if c.Offhook {
			f := presence.Chosen{Status: status(c.Status), At: at(c.At), By: "anna"}
			if c.Line >= 0 {
				f.Line = lineOf(c.Line)
			}
			if c.Until > 0 {
				f.Until = at(c.Until)
			}
			add(c.At, f)
		} else {
			observations[c.Line]++
			n := observations[c.Line]
			add(c.At, presence.StatusReading{Line: lineOf(c.Line), Status: status(c.Status), Origin: presence.Person, SeenAt: at(c.At), Observation: n,
				LastPerson: &presence.Choice{Status: status(c.Status), Observation: n, At: at(c.At)}})
		}
	}
	r.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	if late == 0 { // in the order of the truth: at one moment Teams comes first
		slices.SortStableFunc(all, func(a, b delivery) int { return rank(a.fact) - rank(b.fact) })
	}
	all = append([]delivery{{0, links}}, all...)
	slices.SortStableFunc(all, func(a, b delivery) int { return a.at - b.at })
	return all
}

func rank(f presence.Fact) int {
	if _, teams := f.(presence.TeamsReading); teams {
		return 0
	}
	return 1
}

// decider is what is judged: Decide, or something deliberately wrong.
type decider func(presence.Memory, presence.Fact, presence.Options, time.Time) presence.Verdict

// judge plays a history and returns the first difference from the oracle, or "".
// Verdicts are compared at every tick at which no fact is under way. Between facts
// time passes only as Wake says.
func judge(r *rand.Rand, h presencetest.History, powers []presence.Powers, late int, decide decider) string {
	expected, held := presencetest.Expected(h), presencetest.Held(h)
	o, facts := options(h), deliveries(r, h, powers, late)
	var v presence.Verdict
	var before []presence.Status
	newest := -1 // the newest tick at which Teams could be read
	denied := func(t int) bool { return h.Denied != nil && h.Denied[t] }
	for t := range ticks {
		if !h.Blind[t] {
			newest = t
		}
		woken := !v.Wake.IsZero() && !v.Wake.After(at(t))
		told := len(facts) > 0 && facts[0].at == t
		changed := t > 0 && (newest == t && h.Blind[t-1] || denied(t) && !denied(t-1)) || t == 0 && denied(t)
		if h.Rules.PausedTo > 0 && t == h.Rules.PausedFrom {
			o.PausedUntil, changed = at(h.Rules.PausedTo), true
		}
		if woken || changed || told {
			if denied(t) {
				v = decide(v.Memory, presence.Sweep{Began: at(t), Ended: at(t), Denied: true}, o, at(t))
			} else if newest >= 0 {
				v = decide(v.Memory, presence.Sweep{Began: at(newest), Ended: at(newest), OK: true}, o, at(t))
			} else {
				v = decide(v.Memory, presence.Tick{}, o, at(t))
			}
		}
		for ; len(facts) > 0 && facts[0].at == t; facts = facts[1:] {
			v = decide(v.Memory, facts[0].fact, o, at(t))
		}
		if !v.Wake.IsZero() && !v.Wake.After(at(t)) {
			v = decide(v.Memory, presence.Tick{}, o, at(t))
		}
		paused := o.PausedUntil.After(at(t))
		ordered := late == 0 && !(told && t == h.Rules.PausedTo) // the end of a pause and a fact of that moment have no order
		if held[t] && (late > 0 || !paused) {
			if len(v.Wants) > 0 && !paused && ordered && held[max(t-1, 0)] && t > 0 && fmt.Sprint(statuses(v)) != fmt.Sprint(before) {
				return fmt.Sprintf("at tick %d, while nothing can be decided, %v are wanted after %v\n%+v", t, statuses(v), before, h)
			}
			before = statuses(v)
			continue // what is held is what was wanted before, and that depends on the order of the moment
		}
		before = statuses(v)
		if late > 0 && t < ticks-1 && slices.ContainsFunc(facts, func(d delivery) bool { return d.at <= t+late }) {
			continue
		}
		for i := range h.Lines {
			if got := wanted(v, lineOf(i)); got != expected[i][t] {
				return fmt.Sprintf("line %d at tick %d: wants %q (%v), the oracle %q\n%+v", i, t, got, v.Reason, expected[i][t], h)
			}
		}
	}
	return ""
}

func statuses(v presence.Verdict) (all []presence.Status) {
	for _, w := range v.Wants {
		all = append(all, w.Status)
	}
	return all
}

func wanted(v presence.Verdict, line identity.Line) string {
	for _, w := range v.Wants {
		if w.Line == line {
			return w.Status.String()
		}
	}
	return ""
}

// histories is how many each way of delivery is judged by: OFFHOOK_HISTORIES, else
// some thousand.
func histories(t *testing.T) int {
	s := os.Getenv("OFFHOOK_HISTORIES")
	if s == "" {
		return 600
	}
	n, err := strconv.Atoi(s)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func TestRandomHistoriesAgreeWithTheOracle(t *testing.T) {
	for name, late := range map[string]int{"in order": 0, "late, reordered and repeated": 2} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := rand.New(rand.NewPCG(seed(t), uint64(late)))
			for n := range histories(t) {
				h, powers := history(r)
				if wrong := judge(r, h, powers, late, presence.Decide); wrong != "" {
					t.Fatalf("history %d: %s", n, wrong)
				}
			}
		})
	}
}

// A judge that never condemns proves nothing: each of these deciders breaks one
// rule and must be found out.
func TestTheOracleFindsWrongDeciders(t *testing.T) {
	with := func(change func(*presence.Options)) decider {
		return func(m presence.Memory, f presence.Fact, o presence.Options, now time.Time) presence.Verdict {
			change(&o)
			return presence.Decide(m, f, o, now)
		}
	}
	wrong := map[string]struct {
		late   int
		decide decider
	}{
		"no damping":         {0, with(func(o *presence.Options) { o.Damping = 0 })},
		"opinions never end": {0, with(func(o *presence.Options) { o.StaleAfter = time.Hour })},
		"rule 2 never ends": {0, with(func(o *presence.Options) {
			if o.Manual.Policy == presence.Auto {
				o.Manual.Policy = presence.UntilCleared
			}
		})},
		"manual_max an hour late":       {0, with(func(o *presence.Options) { o.Manual.Max += 60 })},
		"choices are ignored":           {0, with(func(o *presence.Options) { o.Manual.Policy = presence.Ignore })},
		"choices count on all lines":    {0, with(func(o *presence.Options) { o.Manual.Scope = presence.OnUser })},
		"unknown values release":        {0, with(func(o *presence.Options) { o.Teams = mapped(o.Teams, "PresenceUnknown", "release") })},
		"out of office is available":    {0, with(func(o *presence.Options) { o.Teams = mapped(o.Teams, "Available/OutOfOffice", "available") })},
		"activity is not looked at":     {0, with(func(o *presence.Options) { o.Teams = mapped(o.Teams, "?/Presenting", "keep") })},
		"facts count as they arrive":    {2, asTheyArrive},
		"sleeps through every wake":     {0, sleepy},
		"wants without having read":     {0, hasty},
		"everything projected from dnd": {0, loud},
	}
	for name, w := range wrong {
		t.Run(name, func(t *testing.T) {
			r := rand.New(rand.NewPCG(1, 2)) // a control must not depend on luck
			for range 3_000 {
				h, powers := history(r)
				if judge(r, h, powers, w.late, w.decide) != "" {
					return
				}
			}
			t.Error("3,000 histories did not find it")
		})
	}
}

func mapped(m presence.Mapping, key, value string) presence.Mapping {
	m, err := m.With(map[string]string{key: value})
	if err != nil {
		panic(err)
	}
	return m
}

func asTheyArrive(m presence.Memory, f presence.Fact, o presence.Options, now time.Time) presence.Verdict {
	if reading, ok := f.(presence.TeamsReading); ok {
		reading.SeenAt, reading.Sequence = now, ""
		f = reading
	}
	return presence.Decide(m, f, o, now)
}

func sleepy(m presence.Memory, f presence.Fact, o presence.Options, now time.Time) presence.Verdict {
	v := presence.Decide(m, f, o, now)
	v.Wake = time.Time{}
	return v
}

func hasty(m presence.Memory, f presence.Fact, o presence.Options, now time.Time) presence.Verdict {
	v := presence.Decide(m, f, o, now)
	if len(v.Wants) == 0 {
		v.Wants = []presence.Want{{Line: lineOf(0), Status: presence.Available}}
	}
	return v
}

func loud(m presence.Memory, f presence.Fact, o presence.Options, now time.Time) presence.Verdict {
	v := presence.Decide(m, f, o, now)
	for i := range v.Wants {
		if v.Wants[i].Status == presence.DND {
			v.Wants[i].Status = presence.Available
		}
	}
	return v
}
