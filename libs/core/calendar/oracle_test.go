package calendar_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
	_ "time/tzdata" // the zones of the scenes, wherever the test runs

	"offhook.dev/libs/core/calendar"
	"offhook.dev/libs/core/calendartest"
)

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

func scenes(t testing.TB) []*calendartest.Scene {
	all, err := calendartest.Scenes()
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// reader is what is judged: the whole way from what Graph sends to what is the case.
type reader struct {
	read   func(calendartest.Sent, *time.Location) (calendar.Entry, error)
	reduce func([]calendar.Entry, calendar.Rules) []calendar.Interval
	at     func([]calendar.Interval, time.Time) []calendar.Class
	next   func([]calendar.Interval, time.Time) (time.Time, bool)
}

func right() reader {
	return reader{read, calendar.Reduce, calendar.At, calendar.NextBoundary}
}

func read(s calendartest.Sent, zone *time.Location) (calendar.Entry, error) {
	start, wrongStart := calendar.ParseTime(s.Start, s.StartZone)
	end, wrongEnd := calendar.ParseTime(s.End, s.EndZone)
	if s.AllDay {
		start, wrongStart = calendar.ParseDate(s.Start, s.StartZone, zone)
		end, wrongEnd = calendar.ParseDate(s.End, s.EndZone, zone)
	}
	return calendar.Entry{Start: start, End: end, ShowAs: s.ShowAs, AllDay: s.AllDay, Cancelled: s.Cancelled,
		Response: s.Response, Sensitivity: s.Sensitivity, Attendees: s.Attendees}, errors.Join(wrongStart, wrongEnd)
}

func rules(c calendartest.Calendar) calendar.Rules {
	var list []calendar.Rule
	for _, r := range c.Rules {
		list = append(list, calendar.Rule{ShowAs: r.ShowAs, AllDay: r.AllDay, Response: r.Response, Sensitivity: r.Sensitivity,
			AttendeesMin: r.AttendeesMin, AttendeesMax: r.AttendeesMax, As: r.As})
		if _, err := calendar.ParseRules(list); err != nil { // the second one may never count
			list = list[:len(list)-1]
		}
	}
	parsed, err := calendar.ParseRules(list)
	if err != nil {
		panic(err)
	}
	return parsed
}

// intervals is the calendar as the reader sees it.
func (r reader) intervals(c calendartest.Calendar) []calendar.Interval {
	var entries []calendar.Entry
	for _, s := range c.Sent {
		if e, err := r.read(s, c.Scene.Zone); err == nil {
			entries = append(entries, e)
		}
	}
	return r.reduce(entries, rules(c))
}

// judge returns what is wrong with a reader's view of a calendar, or "".
func judge(c calendartest.Calendar, r reader) string {
	intervals := r.intervals(c)
	if wrong := untidy(intervals); wrong != "" {
		return fmt.Sprintf("%s\n%v\n%+v", wrong, intervals, c.Sent)
	}
	expected := calendartest.Expected(c)
	for step := 0; ; {
		now := c.Scene.Time(step)
		if got := r.at(intervals, now); !same(got, expected[step]) {
			return fmt.Sprintf("at %v it is %v, the oracle says %v\n%v\n%+v", now, got, expected[step], intervals, c.Sent)
		}
		change := step + 1
		for change < c.Scene.Steps() && slices.Equal(expected[change], expected[step]) {
			change++
		}
		next, found := r.next(intervals, now)
		if change == c.Scene.Steps() {
			if found && next.Before(c.Scene.Time(change)) {
				return fmt.Sprintf("after %v it changes at %v, the oracle sees no change\n%v\n%+v", now, next, intervals, c.Sent)
			}
			return ""
		}
		if !found || !next.Equal(c.Scene.Time(change)) {
			return fmt.Sprintf("after %v it changes at %v (%v), the oracle says %v\n%v\n%+v", now, next, found, c.Scene.Time(change), intervals, c.Sent)
		}
		step = change
	}
}

func same(got []calendar.Class, expected []string) bool {
	return slices.EqualFunc(got, expected, func(c calendar.Class, s string) bool { return string(c) == s })
}

// untidy says why intervals are not what Reduce promises whatever the entries are.
func untidy(intervals []calendar.Interval) string {
	last := map[calendar.Class]time.Time{}
	for n, i := range intervals {
		end, seen := last[i.Class]
		switch {
		case n > 0 && i.From.Before(intervals[n-1].From):
			return "not sorted"
		case !i.From.Before(i.To):
			return "an interval takes no time"
		case i.Class == calendar.Free:
			return "free was not dropped"
		case seen && !i.From.After(end):
			return "two intervals of a class should be one"
		case i.From.Location() != time.UTC || i.To.Location() != time.UTC:
			return "not in UTC"
		}
		last[i.Class] = i.To
	}
	return ""
}

const shards = 4

func TestRandomCalendarsAgreeWithTheOracle(t *testing.T) {
	const calendars = 100_000
	all, from := scenes(t), seed(t)
	for shard := range uint64(shards) {
		t.Run(fmt.Sprint(shard), func(t *testing.T) {
			t.Parallel()
			r := rand.New(rand.NewPCG(from, shard))
			taken := 0
			for n := range calendars / shards {
				c := calendartest.Generate(r, all)
				if wrong := judge(c, right()); wrong != "" {
					t.Fatalf("OFFHOOK_SEED=%d, calendar %d of shard %d in %v: %s", from, n, shard, c.Scene.Zone, wrong)
				}
				taken += len(c.Events)
			}
			if taken < calendars/shards {
				t.Errorf("only %d events: the calendars are too empty to prove anything", taken)
			}
		})
	}
}

// A judge that never condemns proves nothing: each of these readers breaks one rule
// and must be found out.
func TestTheOracleFindsWrongReaders(t *testing.T) {
	all := scenes(t)
	for name, w := range wrongReaders() {
		t.Run(name, func(t *testing.T) {
			r := rand.New(rand.NewPCG(1, 2)) // a control must not depend on luck
			for range 4_000 {
				if judge(calendartest.Generate(r, all), w) != "" {
					return
				}
			}
			t.Error("4,000 calendars did not find it")
		})
	}
}

func wrongReaders() map[string]reader {
	with := func(change func(*reader)) reader {
		r := right()
		change(&r)
		return r
	}
	// entry is a reader that mistakes one thing in every event.
	entry := func(mistake func(*calendar.Entry)) reader {
		return with(func(r *reader) {
			r.read = func(s calendartest.Sent, zone *time.Location) (calendar.Entry, error) {
				e, err := read(s, zone)
				mistake(&e)
				return e, err
			}
		})
	}
	reduce := func(reduce func([]calendar.Entry, calendar.Rules) []calendar.Interval) reader {
		return with(func(r *reader) { r.reduce = reduce })
	}
	return map[string]reader{
		"all-day events in UTC": with(func(r *reader) {
			r.read = func(s calendartest.Sent, _ *time.Location) (calendar.Entry, error) { return read(s, time.UTC) }
		}),
		"all-day events by the zone beside them": with(func(r *reader) {
			r.read = func(s calendartest.Sent, zone *time.Location) (calendar.Entry, error) {
				e, err := read(s, zone)
				start, wrongStart := calendar.ParseTime(s.Start, s.StartZone)
				end, wrongEnd := calendar.ParseTime(s.End, s.EndZone)
				e.Start, e.End = start, end
				return e, errors.Join(err, wrongStart, wrongEnd)
			}
		}),
		"all-day events by time.Date, which may begin the day before": with(func(r *reader) {
			r.read = func(s calendartest.Sent, zone *time.Location) (calendar.Entry, error) {
				e, err := read(s, zone)
				if s.AllDay && err == nil {
					e.Start, _ = time.ParseInLocation("2006-01-02", s.Start[:10], zone)
				}
				return e, err
			}
		}),
		"days of 24 hours": entry(func(e *calendar.Entry) {
			if e.AllDay {
				e.End = e.Start.Add(e.End.Sub(e.Start).Round(24 * time.Hour))
			}
		}),
		"the zone of a time is not looked at": with(func(r *reader) {
			r.read = func(s calendartest.Sent, zone *time.Location) (calendar.Entry, error) {
				s.StartZone, s.EndZone = "UTC", "UTC"
				return read(s, zone)
			}
		}),
		"cancelled events count":               entry(func(e *calendar.Entry) { e.Cancelled = false }),
		"declined events count":                entry(func(e *calendar.Entry) { e.Response = strings.Replace(e.Response, "declined", "accepted", 1) }),
		"attendees are never read":             entry(func(e *calendar.Entry) { e.Attendees = 0 }),
		"all-day is never read":                entry(func(e *calendar.Entry) { e.AllDay = false }),
		"a missing sensitivity is private":     entry(func(e *calendar.Entry) { e.Sensitivity = orElse(e.Sensitivity, "private") }),
		"a missing response is an acceptance":  entry(func(e *calendar.Entry) { e.Response = orElse(e.Response, "accepted") }),
		"what is not known is free":            entry(func(e *calendar.Entry) { e.ShowAs = strings.Replace(e.ShowAs, "somethingNew", "free", 1) }),
		"words are compared with case":         entry(func(e *calendar.Entry) { e.ShowAs = strings.Replace(e.ShowAs, "Busy", "other", 1) }),
		"events end at the end of their hour":  entry(func(e *calendar.Entry) { e.End = e.End.Add(time.Hour - 1).Truncate(time.Hour) }),
		"the end belongs to the event":         entry(func(e *calendar.Entry) { e.End = e.End.Add(1) }),
		"events begin a second early":          entry(func(e *calendar.Entry) { e.Start = e.Start.Add(-time.Second) }),
		"inverted events are turned round":     entry(func(e *calendar.Entry) { e.Start, e.End = earlier(e.Start, e.End), later(e.Start, e.End) }),
		"ten years are shortened, not refused": entry(func(e *calendar.Entry) { e.End = earlier(e.End, e.Start.Add(calendar.MaxLength)) }),
		"what begins and ends together lasts a minute": entry(func(e *calendar.Entry) {
			if e.Start.Equal(e.End) {
				e.End = e.End.Add(time.Minute)
			}
		}),
		"no rules": reduce(func(entries []calendar.Entry, _ calendar.Rules) []calendar.Interval {
			return calendar.Reduce(entries, calendar.Rules{})
		}),
		"one bad event costs all": reduce(func(entries []calendar.Entry, rules calendar.Rules) []calendar.Interval {
			if slices.ContainsFunc(entries, func(e calendar.Entry) bool { return e.Check() != nil }) {
				return nil
			}
			return calendar.Reduce(entries, rules)
		}),
		"nothing is merged":                        reduce(naive(false, func(_, _ calendar.Interval) bool { return false })),
		"back-to-back is not merged":               reduce(naive(true, func(a, b calendar.Interval) bool { return a.Class == b.Class && b.From.Before(a.To) })),
		"classes are merged":                       reduce(naive(true, func(a, b calendar.Interval) bool { return !b.From.After(a.To) })),
		"only neighbours are merged":               reduce(naive(true, func(a, b calendar.Interval) bool { return a.Class == b.Class && !b.From.After(a.To) })),
		"what is nested ends what it is nested in": reduce(nestedEnds),
		"free is kept": reduce(func(entries []calendar.Entry, rules calendar.Rules) []calendar.Interval {
			out := calendar.Reduce(entries, rules)
			if len(out) > 0 {
				out[len(out)-1].Class = calendar.Free
			}
			return out
		}),
		"only the strongest is the case": with(func(r *reader) {
			r.at = func(i []calendar.Interval, t time.Time) []calendar.Class {
				found := calendar.At(i, t)
				return found[:min(1, len(found))]
			}
		}),
		"only ends are boundaries": with(func(r *reader) {
			r.next = func(intervals []calendar.Interval, t time.Time) (next time.Time, found bool) {
				for _, i := range intervals {
					if i.To.After(t) && (!found || i.To.Before(next)) {
						next, found = i.To, true
					}
				}
				return next, found
			}
		}),
		"the present is a boundary too": with(func(r *reader) {
			r.next = func(intervals []calendar.Interval, t time.Time) (time.Time, bool) {
				return calendar.NextBoundary(intervals, t.Add(-1))
			}
		}),
	}
}

func orElse(word, other string) string {
	if word == "" {
		return other
	}
	return word
}

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

// naive is a Reduce that merges an event into the one before where joins says so.
func naive(extend bool, joins func(a, b calendar.Interval) bool) func([]calendar.Entry, calendar.Rules) []calendar.Interval {
	return func(entries []calendar.Entry, rules calendar.Rules) []calendar.Interval {
		var out []calendar.Interval
		for _, e := range slices.SortedFunc(slices.Values(entries), func(a, b calendar.Entry) int { return a.Start.Compare(b.Start) }) {
			next := calendar.Interval{From: e.Start.UTC(), To: e.End.UTC(), Class: rules.Class(e)}
			if e.Check() != nil || next.Class == calendar.Free {
				continue
			}
			if n := len(out); n > 0 && joins(out[n-1], next) {
				if extend {
					out[n-1].To = later(out[n-1].To, next.To)
				}
				continue
			}
			out = append(out, next)
		}
		return out
	}
}

func nestedEnds(entries []calendar.Entry, rules calendar.Rules) []calendar.Interval {
	var out []calendar.Interval
	for _, e := range slices.SortedFunc(slices.Values(entries), func(a, b calendar.Entry) int { return a.Start.Compare(b.Start) }) {
		class, extended := rules.Class(e), false
		for i := range out {
			if out[i].Class == class && e.Check() == nil && !e.Start.After(out[i].To) {
				out[i].To, extended = e.End, true
			}
		}
		if !extended && e.Check() == nil && class != calendar.Free {
			out = append(out, calendar.Interval{From: e.Start, To: e.End, Class: class})
		}
	}
	return out
}
