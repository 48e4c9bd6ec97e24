package calendartest

import (
	"fmt"
	"time"
)

// scenes are stretches of time in which clocks do what they do somewhere in the
// world.
var scenes = []struct {
	zone             string
	year, month, day int // the window's first date
}{
	{"Europe/Berlin", 2026, 3, 28},
	{"Europe/Berlin", 2026, 10, 24},
	{"Europe/Berlin", 2026, 11, 23}, // nothing happens
	{"America/New_York", 2026, 3, 7},
	{"America/New_York", 2026, 10, 31},
	{"America/Havana", 2026, 3, 7}, // a midnight is jumped over
	{"America/Havana", 2026, 10, 31},
	{"Africa/Cairo", 2026, 4, 23}, // the same
	{"Africa/Cairo", 2026, 10, 28},
	{"America/Santiago", 2026, 9, 5},
	{"Australia/Lord_Howe", 2026, 4, 4}, // half an hour
	{"Australia/Lord_Howe", 2026, 10, 3},
	{"Pacific/Chatham", 2026, 9, 26}, // three quarters of an hour off
	{"Asia/Kolkata", 2026, 3, 28},
	{"Pacific/Apia", 2011, 12, 28}, // a day is jumped over
	{"UTC", 2026, 12, 30},
}

// steps is the length of a window: four days.
const steps = 4 * day

// Scene is four days in the life of a mailbox's zone, and what the clocks show
// then, there and elsewhere.
type Scene struct {
	Zone  *time.Location // the mailbox's
	From  time.Time      // of the window
	first Wall           // the date on which the window begins
	at    time.Time      // of the first step of the clocks
	home  clocks
	utc   clocks
	away  []clocks // of those who invite from elsewhere
}

// Scenes returns every scene. It needs the time zone database.
func Scenes() ([]*Scene, error) {
	var all []*Scene
	for _, s := range scenes {
		zone, err := time.LoadLocation(s.zone)
		if err != nil {
			return nil, fmt.Errorf("zones of the test calendars: %w", err)
		}
		from := time.Date(s.year, time.Month(s.month), s.day, 0, 0, 0, 0, time.UTC)
		made := &Scene{Zone: zone, From: from, first: wallOf(s.year, time.Month(s.month), s.day), at: from.Add(-time.Duration(before) * Step)}
		read := func(zone *time.Location) clocks { return readClocks(zone, made.at, before+steps+after) }
		made.home, made.utc = read(zone), read(time.UTC)
		for _, name := range []string{"America/Los_Angeles", "Europe/London", "Asia/Kathmandu"} {
			zone, err := time.LoadLocation(name)
			if err != nil {
				return nil, fmt.Errorf("zones of the test calendars: %w", err)
			}
			made.away = append(made.away, read(zone))
		}
		all = append(all, made)
	}
	return all, nil
}

// Steps is the number of steps of the window.
func (s *Scene) Steps() int { return steps }

// Time returns the beginning of a step of the window.
func (s *Scene) Time(step int) time.Time { return s.From.Add(time.Duration(step) * Step) }
