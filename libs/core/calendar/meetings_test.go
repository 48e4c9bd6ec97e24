package calendar_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"offhook.dev/libs/core/calendar"
)

var eight = time.Date(2026, 11, 23, 8, 0, 0, 0, time.UTC)

// entry is an event from so many minutes after eight to so many.
func entry(showAs string, from, to int) calendar.Entry {
	return calendar.Entry{Start: eight.Add(time.Duration(from) * time.Minute), End: eight.Add(time.Duration(to) * time.Minute), ShowAs: showAs}
}

// written is a list of intervals as "busy 0-30 oof 10-20", minutes after eight.
func written(intervals []calendar.Interval) string {
	var parts []string
	for _, i := range intervals {
		parts = append(parts, fmt.Sprintf("%s %.0f-%.0f", i.Class, i.From.Sub(eight).Minutes(), i.To.Sub(eight).Minutes()))
	}
	return strings.Join(parts, " ")
}

// Meetings that overlap, lie in each other or follow each other are one stretch of
// time, which ends with the last of them.
func TestMeetingsThatMeetEndWithTheLast(t *testing.T) {
	for name, test := range map[string]struct {
		entries []calendar.Entry
		want    string
	}{
		"one in the other":              {[]calendar.Entry{entry("busy", 0, 120), entry("busy", 30, 60)}, "busy 0-120"},
		"three in each other":           {[]calendar.Entry{entry("busy", 40, 50), entry("busy", 0, 120), entry("busy", 30, 60)}, "busy 0-120"},
		"the second ends later":         {[]calendar.Entry{entry("busy", 0, 60), entry("busy", 30, 90)}, "busy 0-90"},
		"back to back":                  {[]calendar.Entry{entry("busy", 30, 60), entry("busy", 0, 30), entry("busy", 60, 90)}, "busy 0-90"},
		"a minute between":              {[]calendar.Entry{entry("busy", 0, 30), entry("busy", 31, 60)}, "busy 0-30 busy 31-60"},
		"away in a meeting is both":     {[]calendar.Entry{entry("busy", 0, 60), entry("oof", 20, 40)}, "busy 0-60 oof 20-40"},
		"a cancelled one ends nothing":  {[]calendar.Entry{entry("busy", 0, 60), {Start: eight, End: eight.Add(2 * time.Hour), ShowAs: "busy", Cancelled: true}}, "busy 0-60"},
		"one that is twice in the list": {[]calendar.Entry{entry("busy", 0, 60), entry("busy", 0, 60)}, "busy 0-60"},
	} {
		for range 2 { // in either order
			if got := written(calendar.Reduce(test.entries, calendar.Rules{})); got != test.want {
				t.Errorf("%s: %s, want %s", name, got, test.want)
			}
			slices.Reverse(test.entries)
		}
	}
}

// An all-day event counts as what it shows, unless a rule says otherwise: a birthday
// is no absence, and who wants can leave all of them out.
func TestAllDayEventsCountAsWhatTheyShowUnlessARuleSaysOtherwise(t *testing.T) {
	yes := true
	ignored, err := calendar.ParseRules([]calendar.Rule{{AllDay: &yes, ShowAs: "busy", As: "free"}})
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		shows string
		rules calendar.Rules
		want  calendar.Class
	}{
		{"free", calendar.Rules{}, calendar.Free}, {"busy", calendar.Rules{}, calendar.Busy}, {"oof", calendar.Rules{}, calendar.OOF},
		{"busy", ignored, calendar.Free}, {"oof", ignored, calendar.OOF},
	} {
		e := entry(test.shows, 0, 24*60)
		e.AllDay = true
		if got := test.rules.Class(e); got != test.want {
			t.Errorf("an all-day %s counts as %s, want %s", test.shows, got, test.want)
		}
	}
	if got := ignored.Class(entry("busy", 0, 60)); got != calendar.Busy {
		t.Errorf("control: a meeting of an hour counts as %s", got)
	}
}

// Tentative, not answered, elsewhere, away, private, alone: each can count as something
// of its own.
func TestEachKindOfEventCanCountAsItsOwn(t *testing.T) {
	none, one := 0, 1
	rules, err := calendar.ParseRules([]calendar.Rule{
		{Response: "notResponded", As: "free"}, {Response: "tentativelyAccepted", As: "tentative"}, {Sensitivity: "private", As: "oof"},
		{ShowAs: "workingElsewhere", As: "free"}, {ShowAs: "busy", AttendeesMax: &none, As: "tentative"}, {ShowAs: "tentative", AttendeesMin: &one, As: "busy"},
	})
	if err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		edit         func(*calendar.Entry)
		plain, ruled calendar.Class
	}{
		"accepted, with others": {func(e *calendar.Entry) { e.Response = "accepted" }, calendar.Busy, calendar.Busy},
		"not answered":          {func(e *calendar.Entry) { e.Response = "notResponded" }, calendar.Busy, calendar.Free},
		"answered with maybe":   {func(e *calendar.Entry) { e.Response = "tentativelyAccepted" }, calendar.Busy, calendar.Tentative},
		"declined":              {func(e *calendar.Entry) { e.Response = "declined" }, calendar.Free, calendar.Free},
		"private":               {func(e *calendar.Entry) { e.Sensitivity = "Private" }, calendar.Busy, calendar.OOF},
		"working elsewhere":     {func(e *calendar.Entry) { e.ShowAs = "workingElsewhere" }, calendar.WorkingElsewhere, calendar.Free},
		"out of office":         {func(e *calendar.Entry) { e.ShowAs = "oof" }, calendar.OOF, calendar.OOF},
		"alone":                 {func(e *calendar.Entry) { e.Attendees = 0 }, calendar.Busy, calendar.Tentative},
		"tentative":             {func(e *calendar.Entry) { e.ShowAs = "tentative" }, calendar.Tentative, calendar.Busy},
		"never seen":            {func(e *calendar.Entry) { e.ShowAs = "hibernating" }, calendar.Unknown, calendar.Unknown},
	} {
		e := entry("busy", 0, 60)
		e.Attendees = 3
		test.edit(&e)
		if plain, ruled := (calendar.Rules{}).Class(e), rules.Class(e); plain != test.plain || ruled != test.ruled {
			t.Errorf("%s: %s and by the rules %s, want %s and %s", name, plain, ruled, test.plain, test.ruled)
		}
	}
}
