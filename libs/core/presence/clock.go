package presence

import (
	"fmt"
	"time"
)

// Clock is a local time of day in minutes after midnight.
type Clock int

// ParseClock accepts "00:00" to "23:59".
func ParseClock(s string) (Clock, error) {
	t, err := time.Parse("15:04", s)
	if err != nil || len(s) != len("15:04") {
		return 0, fmt.Errorf("time of day %q is not of the form 04:00", s)
	}
	return Clock(t.Hour()*60 + t.Minute()), nil
}

// String returns the clock as ParseClock reads it.
func (c Clock) String() string { return fmt.Sprintf("%02d:%02d", int(c)/60, int(c)%60) }

// After returns the first moment after t at which clocks in zone show c. Where
// they jump over c that day it is the moment of the jump, and where they show it
// twice the first time, so that every day has exactly one.
func (c Clock) After(t time.Time, zone *time.Location) time.Time {
	if zone == nil {
		zone = time.UTC
	}
	year, month, day := t.In(zone).Date()
	for ; ; day++ {
		if at := c.on(year, month, day, zone); at.After(t) {
			return at.UTC()
		}
	}
}

func (c Clock) on(year int, month time.Month, day int, zone *time.Location) time.Time {
	at := time.Date(year, month, day, int(c)/60, int(c)%60, 0, 0, zone)
	begin, end := at.ZoneBounds()
	if at.Hour()*60+at.Minute() != int(c) {
		// time.Date answers a time that does not exist with one shortly before or
		// after the jump, by its own choice.
		if end.IsZero() || at.Sub(begin) < end.Sub(at) {
			return begin
		}
		return end
	}
	if !begin.IsZero() {
		_, offset := at.Zone()
		_, before := begin.Add(-time.Second).Zone()
		if first := at.Add(time.Duration(offset-before) * time.Second); before > offset && first.Before(begin) {
			return first
		}
	}
	return at
}
