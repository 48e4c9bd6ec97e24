package config

import (
	"slices"
	"time"
)

// farthest is how far ahead a schedule can be: a leap day may be eight years away.
const farthest = 9 * 366

// nextRun returns the first time of a schedule after a moment, by the clock of the
// moment's zone; zero if the schedule is none or never comes.
func nextRun(schedule string, after time.Time) time.Time {
	c, err := parseCron(schedule)
	if err != nil {
		return time.Time{}
	}
	year, month, day := after.Date()
	for ahead := range farthest {
		date := time.Date(year, month, day+ahead, 12, 0, 0, 0, time.UTC)
		if !c.on(date) {
			continue
		}
		for _, hour := range c.hours {
			for _, minute := range c.minutes {
				at := clockShows(date, hour, minute, after.Location())
				if at.After(after) {
					return at
				}
			}
		}
	}
	return time.Time{}
}

// on says whether the schedule has anything on a date.
func (c cron) on(date time.Time) bool {
	if !slices.Contains(c.months, int(date.Month())) {
		return false
	}
	day := slices.Contains(c.days, date.Day())
	weekday := slices.Contains(c.weekdays, int(date.Weekday())) || date.Weekday() == time.Sunday && slices.Contains(c.weekdays, 7)
	switch {
	case c.anyDay:
		return weekday
	case c.anyWeekday:
		return day
	}
	return day || weekday
}

// clockShows is when the clocks of a zone show a time of a date: the first time that
// they do, or when they are put forward over it.
func clockShows(date time.Time, hour, minute int, zone *time.Location) time.Time {
	at := time.Date(date.Year(), date.Month(), date.Day(), hour, minute, 0, 0, zone)
	begin, end := at.ZoneBounds()
	if shown := at.Hour()*60 + at.Minute(); shown != hour*60+minute { // which of its two neighbours is not said
		if at.Before(time.Date(date.Year(), date.Month(), date.Day(), hour, minute, 0, 0, time.FixedZone("", offset(at)))) {
			return end
		}
		return begin
	}
	if begin.IsZero() {
		return at
	}
	before := offset(begin.Add(-time.Second))
	if first := at.Add(time.Duration(offset(at)-before) * time.Second); first.Before(begin) && offset(first) == before {
		return first
	}
	return at
}

func offset(t time.Time) int {
	_, seconds := t.Zone()
	return seconds
}
