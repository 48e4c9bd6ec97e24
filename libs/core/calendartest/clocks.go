package calendartest

import (
	"sort"
	"time"
)

// Step is the unit of time of a calendar.
const Step = 5 * time.Minute

const (
	day    = int(24 * time.Hour / Step)
	before = 4 * day // what a Scene knows of the clocks beside its window
	after  = 9 * day
)

// Wall is what a clock on a wall shows, in steps since 1970-01-01T00:00.
type Wall int

func wallOf(year int, month time.Month, date int) Wall {
	return Wall(time.Date(year, month, date, 0, 0, 0, 0, time.UTC).Unix() / int64(Step/time.Second))
}

// weekday returns the day of the week, and which day it is, counted from 1970.
func (w Wall) weekday() (time.Weekday, int) {
	n := int(w) / day
	return time.Weekday((n + int(time.Thursday)) % 7), n
}

// String is the wall clock as Graph writes it.
func (w Wall) String() string {
	return time.Unix(int64(w)*int64(Step/time.Second), 0).UTC().Format("2006-01-02T15:04:05.0000000")
}

// clocks are what the clocks of a zone show, step by step: the highest they have
// shown so far, because to those who have lived through 02:30 it does not come again.
type clocks struct {
	zone *time.Location
	high []Wall
}

func readClocks(zone *time.Location, from time.Time, steps int) clocks {
	c := clocks{zone, make([]Wall, steps)}
	for i := range c.high {
		at := from.Add(time.Duration(i) * Step)
		_, offset := at.In(zone).Zone()
		shown := Wall((at.Unix() + int64(offset)) / int64(Step/time.Second))
		if i > 0 {
			shown = max(shown, c.high[i-1])
		}
		c.high[i] = shown
	}
	return c
}

// reached returns the first step at which the clocks have shown w.
func (c clocks) reached(w Wall) int {
	return sort.Search(len(c.high), func(i int) bool { return c.high[i] >= w })
}
