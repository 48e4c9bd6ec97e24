package presence

import (
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"offhook.dev/libs/core/calendar"
)

func TestClassesAreAsStrongAsTheCalendarListsThem(t *testing.T) {
	now := time.Date(2026, 3, 2, 10, 0, 0, 0, time.UTC)
	var all []calendar.Interval
	for _, class := range calendarClasses {
		all = append(all, calendar.Interval{From: now, To: now.Add(time.Hour), Class: class})
	}
	slices.Reverse(all)
	if listed := calendar.At(all, now); !slices.Equal(listed, calendarClasses[:]) {
		t.Errorf("calendar.At lists %v, not %v", listed, calendarClasses)
	}
}

func TestTheCalendarsTable(t *testing.T) {
	now := time.Date(2026, 3, 2, 10, 0, 0, 0, time.UTC)
	changed, err := ParseCalendarMapping(map[string]string{"Tentative": "Away", "WORKINGELSEWHERE": "release", "oof": "none", "busy": "business-trip"})
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		says    string
		mapping CalendarMapping
		classes []calendar.Class
		want    Status
	}{
		{"busy is dnd", DefaultCalendarMapping(), []calendar.Class{calendar.Busy}, DND},
		{"elsewhere is dnd", DefaultCalendarMapping(), []calendar.Class{calendar.WorkingElsewhere}, DND},
		{"oof is stronger than busy", DefaultCalendarMapping(), []calendar.Class{calendar.Busy, calendar.OOF}, Away},
		{"free, tentative and unknown are nothing", DefaultCalendarMapping(), []calendar.Class{calendar.Free, calendar.Tentative, calendar.Unknown, "new"}, Unset},
		{"an override counts", changed, []calendar.Class{calendar.Tentative}, Away},
		{"release is nothing", changed, []calendar.Class{calendar.WorkingElsewhere}, Unset},
		{"a class that means nothing hides none", changed, []calendar.Class{calendar.OOF, calendar.Busy}, BusinessTrip},
		{"the zero mapping has no opinion", CalendarMapping{}, []calendar.Class{calendar.OOF}, Unset},
	} {
		var intervals []calendar.Interval
		for _, class := range test.classes {
			intervals = append(intervals, calendar.Interval{From: now, To: now.Add(time.Hour), Class: class})
		}
		if got, _ := test.mapping.at(intervals, now); got != test.want {
			t.Errorf("%s: %v, not %v", test.says, got, test.want)
		}
		if got, _ := test.mapping.at(intervals, now.Add(time.Hour)); got != Unset {
			t.Errorf("%s: %v at the end, which does not belong to it", test.says, got)
		}
	}
}

func TestThePhonesTable(t *testing.T) {
	changed, err := ParsePBXMapping(map[string]string{"Lunch": "berightback", "business-trip": "OFFLINE", "away": "nothing", "dnd": "Busy", "available": "Available"})
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		mapping PBXMapping
		status  Status
		shows   string
	}{
		{DefaultPBXMapping(), DND, "DoNotDisturb/DoNotDisturb"},
		{DefaultPBXMapping(), Away, "Away/Away"},
		{DefaultPBXMapping(), Available, "clear"},
		{DefaultPBXMapping(), Lunch, ""},
		{DefaultPBXMapping(), BusinessTrip, ""},
		{changed, Lunch, "BeRightBack/BeRightBack"},
		{changed, BusinessTrip, "Offline/OffWork"},
		{changed, Away, ""},
		{changed, DND, "Busy/Busy"},
		{changed, Available, "Available/Available"},
		{PBXMapping{}, DND, ""},
	} {
		if got := test.mapping.of(test.status); got != test.shows {
			t.Errorf("%v shows %q, not %q", test.status, got, test.shows)
		}
	}
}

func TestEveryProblemOfATableIsNamed(t *testing.T) {
	for name, test := range map[string]struct {
		parse     func(map[string]string) error
		given     map[string]string
		problems  []string // what is said about each key
		unharmful string
	}{
		"calendar": {func(m map[string]string) error { _, err := ParseCalendarMapping(m); return err },
			map[string]string{"busy": "dnd", "Busy": "away", "holiday": "away", "": "dnd", "oof": "gone", "tentative": "", "free": "keep", "unknown": "none"},
			[]string{`"busy": the same`, `"holiday": the key`, `"": the key`, `"oof": "gone"`, `"tentative": ""`, `"free": "keep"`}, `"unknown"`},
		"phone": {func(m map[string]string) error { _, err := ParsePBXMapping(m); return err },
			map[string]string{"dnd": "InACall", "away": "OutOfOffice", "lunch": "Presenting", "busy": "Busy", "": "Away", "available": "sleeping", "business-trip": "clear"},
			[]string{`"dnd": "inacall" cannot be a preferred presence: Teams shows it in calls only`, `"away": "outofoffice" cannot be`, `"lunch": "presenting" cannot be`,
				`"busy": the key`, `"": the key`, `"available": "sleeping" is none`}, `"business-trip"`},
	} {
		err := test.parse(test.given)
		if err == nil {
			t.Errorf("%s: accepted", name)
			continue
		}
		if lines := strings.Count(err.Error(), "\n") + 1; lines != len(test.problems) {
			t.Errorf("%s: %d problems, not %d:\n%v", name, lines, len(test.problems), err)
		}
		for _, problem := range test.problems {
			if !strings.Contains(err.Error(), "mapping "+problem) {
				t.Errorf("%s: nothing says %s:\n%v", name, problem, err)
			}
		}
		if strings.Contains(err.Error(), "mapping "+test.unharmful) {
			t.Errorf("%s: a good entry was refused:\n%v", name, err)
		}
	}
}

func TestWhatCannotBePreferredIsRefusedWithAReason(t *testing.T) {
	for word, why := range unpreferable {
		if preferable[word] != "" {
			t.Errorf("%s is preferable and not", word)
		}
		if _, err := ParsePBXMapping(map[string]string{"dnd": word}); err == nil || !strings.Contains(err.Error(), why) {
			t.Errorf("%s: %v", word, err)
		}
	}
}

func TestStrength(t *testing.T) {
	order := []Status{Unset, Available, Lunch, BusinessTrip, Away, DND}
	for i, a := range order {
		for j, b := range order {
			if a.stronger(b) != (i > j) {
				t.Errorf("%v stronger than %v: %v", a, b, a.stronger(b))
			}
		}
	}
}

func FuzzParseTables(f *testing.F) {
	f.Add("busy", "dnd")
	f.Add("DND", "DoNotDisturb")
	f.Add("lunch", " Clear ")
	f.Fuzz(func(t *testing.T, key, value string) {
		if m, err := ParseCalendarMapping(map[string]string{key: value}); err == nil && classNamed(key) < 0 {
			t.Errorf("%q was accepted: %v", key, m)
		}
		m, err := ParsePBXMapping(map[string]string{key: value})
		if err != nil {
			return
		}
		for _, shows := range m.shows {
			if shows != "" && shows != clears && !slices.Contains(slices.Collect(maps.Values(preferable)), shows) {
				t.Errorf("%q: %q shows %q", key, value, shows)
			}
		}
	})
}
