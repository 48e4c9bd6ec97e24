package presence

import (
	"testing"
	"time"
	_ "time/tzdata" // the zones of the tables, wherever the test runs
)

func TestManualMaxAtLocalTime(t *testing.T) {
	for name, test := range map[string]struct{ zone, clock, from, want string }{
		"later today":                              {"Europe/Berlin", "04:00", "2026-01-10T01:00:00Z", "2026-01-10T03:00:00Z"},
		"tomorrow":                                 {"Europe/Berlin", "04:00", "2026-01-10T03:30:00Z", "2026-01-11T03:00:00Z"},
		"the very moment is over":                  {"Europe/Berlin", "04:00", "2026-01-10T03:00:00Z", "2026-01-11T03:00:00Z"},
		"the night into summer time is short":      {"Europe/Berlin", "04:00", "2026-03-28T20:00:00Z", "2026-03-29T02:00:00Z"},
		"the night out of summer time is long":     {"Europe/Berlin", "04:00", "2026-10-24T20:00:00Z", "2026-10-25T03:00:00Z"},
		"a time that is jumped over: the jump":     {"Europe/Berlin", "02:30", "2026-03-28T20:00:00Z", "2026-03-29T01:00:00Z"},
		"the same, asked after the jump: tomorrow": {"Europe/Berlin", "02:30", "2026-03-29T01:00:00Z", "2026-03-30T00:30:00Z"},
		"a time that comes twice: the first":       {"Europe/Berlin", "02:30", "2026-10-24T20:00:00Z", "2026-10-25T00:30:00Z"},
		"between the two: tomorrow":                {"Europe/Berlin", "02:30", "2026-10-25T00:45:00Z", "2026-10-26T01:30:00Z"},
		"west of Greenwich":                        {"America/New_York", "02:30", "2026-03-08T05:00:00Z", "2026-03-08T07:00:00Z"},
		"twice, west of Greenwich":                 {"America/New_York", "01:30", "2026-11-01T04:00:00Z", "2026-11-01T05:30:00Z"},
		"a midnight that is jumped over":           {"Africa/Cairo", "00:00", "2026-04-23T12:00:00Z", "2026-04-23T22:00:00Z"},
		"half an hour of daylight saving":          {"Australia/Lord_Howe", "02:15", "2026-10-03T12:00:00Z", "2026-10-03T15:30:00Z"},
		"a zone without changes":                   {"Asia/Tokyo", "04:00", "2026-01-10T00:00:00Z", "2026-01-10T19:00:00Z"},
	} {
		t.Run(name, func(t *testing.T) {
			zone, err := time.LoadLocation(test.zone)
			if err != nil {
				t.Fatal(err)
			}
			clock, err := ParseClock(test.clock)
			if err != nil {
				t.Fatal(err)
			}
			from, _ := time.Parse(time.RFC3339, test.from)
			if got := clock.After(from, zone).Format(time.RFC3339); got != test.want {
				t.Errorf("%s after %s is %s, not %s", test.clock, test.from, got, test.want)
			}
		})
	}
}

// Every moment has a next one at most 49 hours later, and asking at that moment
// leads on.
func TestEveryDayHasExactlyOneMoment(t *testing.T) {
	for _, name := range []string{"UTC", "Europe/Berlin", "America/Sao_Paulo", "Africa/Cairo", "Australia/Lord_Howe", "Pacific/Apia"} {
		zone, err := time.LoadLocation(name)
		if err != nil {
			t.Fatal(err)
		}
		for clock := Clock(0); clock < 24*60; clock += 30 {
			begin := time.Date(2026, 1, 1, 12, 0, 0, 0, zone)
			moments := 0
			for at := begin; at.Before(begin.AddDate(1, 0, 0)); moments++ {
				next := clock.After(at, zone)
				if !next.After(at) || next.Sub(at) > 49*time.Hour {
					t.Fatalf("%s: %v after %v is %v", name, clock, at, next)
				}
				at = next
			}
			if moments < 365 || moments > 366 {
				t.Errorf("%s: %v came %d times in a year", name, clock, moments)
			}
		}
	}
}

func TestParseClock(t *testing.T) {
	for _, bad := range []string{"", "4:00", "04", "24:00", "04:60", "04:00:00", " 04:00", "-1:00"} {
		if c, err := ParseClock(bad); err == nil {
			t.Errorf("%q was read as %v", bad, c)
		}
	}
	for _, good := range []string{"00:00", "04:00", "23:59"} {
		if c, err := ParseClock(good); err != nil || c.String() != good {
			t.Errorf("%q was read as %v, %v", good, c, err)
		}
	}
	if got := Clock(60).After(time.Unix(0, 0), nil); !got.Equal(time.Unix(3600, 0)) {
		t.Errorf("without a zone it is not UTC: %v", got)
	}
}
