package presence

import (
	"strings"
	"testing"
	"time"
)

func TestTheDefaultTable(t *testing.T) {
	const release, keep = "release", "keep"
	for _, test := range []struct{ availability, activity, means string }{
		{"Available", "Available", "available"},
		{"available", "AVAILABLE", "available"},
		{"AvailableIdle", "Inactive", "available"},
		{"Available", "AvailableInactive", "available"},
		{"Available", "OutOfOffice", release},
		{"Busy", "Busy", "dnd"},
		{"Busy", "InAMeeting", "dnd"},
		{"Busy", "OutOfOffice", "dnd"},
		{"BusyIdle", "", "dnd"},
		{"DoNotDisturb", "Presenting", "dnd"},
		{"inACall", "", "dnd"},
		{"InAConferenceCall", "", "dnd"},
		{"inAMeeting", "", "dnd"},
		{"presenting", "", "dnd"},
		{"focusing", "", "dnd"},
		{"UrgentInterruptionsOnly", "", "dnd"},
		{"PresenceUnknown", "InACall", "dnd"},
		{"NeverSeen", "urgentInterruptionsOnly", "dnd"},
		{"BeRightBack", "BeRightBack", "away"},
		{"Away", "Away", "away"},
		{"Away", "InAMeeting", "away"},
		{"Offline", "OffWork", release},
		{"Offline", "Presenting", release},
		{"OffWork", "OffWork", release},
		{"PresenceUnknown", "PresenceUnknown", keep},
		{"NeverSeen", "NeverSeen", keep},
		{"NeverSeen", "Available", keep},
		{"", "", keep},
	} {
		if got := DefaultMapping().of(test.availability, test.activity); word(got) != test.means {
			t.Errorf("%s/%s means %s, not %s", test.availability, test.activity, word(got), test.means)
		}
	}
}

func word(m meaning) string {
	s := m.Status.String()
	if m.Keep {
		s = "keep"
	} else if m.Status == Unset {
		s = "release"
	}
	if m.After > 0 {
		s += " after " + m.After.String()
	}
	return s
}

func TestOverridesAreMergedAndTheNarrowestCounts(t *testing.T) {
	tenant, err := ParseMapping(map[string]string{"Away": "release", "*/Presenting": "business-trip", "Busy/InACall": "Lunch", "PresenceUnknown": "release"})
	if err != nil {
		t.Fatal(err)
	}
	user, err := tenant.With(map[string]string{"away": "Away  After 10m"})
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		mapping                       Mapping
		availability, activity, means string
	}{
		{tenant, "Away", "Away", "release"},
		{tenant, "DoNotDisturb", "Presenting", "business-trip"},
		{tenant, "busy", "inacall", "lunch"},
		{tenant, "Busy", "InAMeeting", "dnd"},
		{tenant, "PresenceUnknown", "InACall", "release"},
		{tenant, "BeRightBack", "", "away"},
		{user, "Away", "Away", "away after 10m0s"},
		{user, "Busy", "InACall", "lunch"},
		{DefaultMapping(), "Away", "Away", "away"},
		{Mapping{}, "Busy", "Busy", "keep"},
	} {
		if got := test.mapping.of(test.availability, test.activity); word(got) != test.means {
			t.Errorf("%s/%s means %s, not %s", test.availability, test.activity, word(got), test.means)
		}
	}
}

func TestParseMappingNamesEveryProblem(t *testing.T) {
	_, err := ParseMapping(map[string]string{
		"Busy": "dnd", "Away": "gone", "away": "away", "": "dnd", "*": "dnd", "Busy/": "dnd", "Do Not Disturb": "dnd", "Busy/InACall/Now": "dnd",
		"Offline": "away after soon", "Focusing": "keep after 10m", "Presenting": "dnd after -5s", "InACall": "", "InAMeeting": "dnd later",
	})
	if err == nil {
		t.Fatal("accepted")
	}
	problems := strings.Split(err.Error(), "\nmapping ")
	if len(problems) != 12 {
		t.Errorf("%d problems, not 12:\n%v", len(problems), err)
	}
	for _, key := range []string{`"Away"`, `"away"`, `""`, `"*"`, `"Busy/"`, `"Do Not Disturb"`, `"Busy/InACall/Now"`, `"Offline"`, `"Focusing"`, `"Presenting"`, `"InACall"`, `"InAMeeting"`} {
		if !strings.Contains("\n"+err.Error(), "\nmapping "+key+": ") {
			t.Errorf("nothing said about %s:\n%v", key, err)
		}
	}
	if strings.Contains(err.Error(), `mapping "Busy":`) {
		t.Errorf("a good entry was refused:\n%v", err)
	}
}

func TestLookingUpDoesNotAllocate(t *testing.T) {
	m := DefaultMapping()
	if n := testing.AllocsPerRun(100, func() { m.of("NeverSeen", "UrgentInterruptionsOnly") }); n > 0 {
		t.Errorf("%v allocations", n)
	}
}

func FuzzParseMapping(f *testing.F) {
	f.Add("Away", "away after 10m")
	f.Add("*/InACall", "Release")
	f.Add("?/X", "KEEP")
	f.Add("Ünknown", "dnd after 1h")
	f.Fuzz(func(t *testing.T, key, value string) {
		m, err := ParseMapping(map[string]string{key: value})
		if err != nil {
			return
		}
		got, ok := m.meanings[strings.ToLower(key)]
		if !ok || got.After < 0 || got.After > 24*time.Hour || got.Keep && (got.Status != Unset || got.After > 0) {
			t.Fatalf("%q: %q became %+v", key, value, got)
		}
		if again, err := ParseMapping(map[string]string{key: word(got)}); err != nil || again.meanings[strings.ToLower(key)] != got {
			t.Errorf("%q written as %q reads as %v, %v", value, word(got), again.meanings[strings.ToLower(key)], err)
		}
		availability, activity, refined := strings.Cut(key, "/")
		if refined && availability != "*" && availability != "?" && m.of(availability, activity) != got {
			t.Errorf("%q is not found", key)
		}
	})
}
