package graphsim

import (
	"fmt"
	"iter"
	"slices"
	"strings"
	"time"
)

// Recurrence says on which dates a series takes place, as Graph's
// patternedRecurrence does (learn.microsoft.com/graph/api/resources/patternedrecurrence).
// Its dates and times of day are those of the series' time zone.
type Recurrence struct {
	Every    string         `json:"every"`              // "day", "week" or "month"
	Interval int            `json:"interval,omitempty"` // every so many of them; 0 is 1
	Days     []time.Weekday `json:"days,omitempty"`     // of "week", 0 is Sunday; none is the day of the first occurrence. Of "month" with Index
	Day      int            `json:"day,omitempty"`      // of "month": the day of the month, in a shorter one its last; 0 is that of the first occurrence
	Index    string         `json:"index,omitempty"`    // of "month", instead of Day: which of Days, "first" to "fourth" or "last"
	Until    string         `json:"until,omitempty"`    // last date, "2026-12-31"; "" is no end
	Count    int            `json:"count,omitempty"`    // how many occurrences; 0 is no limit
}

const (
	dayForm = "2006-01-02"
	aDay    = 24 * time.Hour
)

func (r Recurrence) withDefaults(first time.Time) Recurrence {
	set(&r.Interval, 1)
	if (r.Every == "week" || r.Index != "") && len(r.Days) == 0 {
		r.Days = []time.Weekday{first.Weekday()}
	}
	if r.Every == "month" && r.Index == "" {
		set(&r.Day, first.Day())
	}
	return r
}

// indexes are what Recurrence.Index may be, in order (weekIndex in CSDL).
var indexes = []string{"first", "second", "third", "fourth", "last"}

func (r Recurrence) validate() error {
	switch {
	case r.Every != "day" && r.Every != "week" && r.Every != "month":
		return fmt.Errorf("recurrence every %q: only day, week and month are known", r.Every)
	case r.Interval < 0 || r.Interval > 99 || r.Count < 0 || r.Count > 999:
		return fmt.Errorf("recurrence: interval %d and count %d are not 0 to 99 and 0 to 999", r.Interval, r.Count)
	case r.Until != "" && r.Count > 0:
		return fmt.Errorf("recurrence: give until or count, not both")
	case len(r.Days) > 0 && r.Every != "week" && r.Index == "":
		return fmt.Errorf("recurrence: days belong to every week, or with an index to every month")
	case (r.Day != 0 || r.Index != "") && r.Every != "month":
		return fmt.Errorf("recurrence: day and index belong to every month")
	case r.Day < 0 || r.Day > 31:
		return fmt.Errorf("recurrence: day %d is not 1 to 31", r.Day)
	case r.Day != 0 && r.Index != "":
		return fmt.Errorf("recurrence: give day or index, not both")
	case r.Index != "" && !slices.Contains(indexes, r.Index):
		return fmt.Errorf("recurrence index %q is none of %v", r.Index, indexes)
	}
	if _, err := time.Parse(dayForm, r.Until); r.Until != "" && err != nil {
		return fmt.Errorf("recurrence until %q is not a date like 2026-12-31", r.Until)
	}
	for _, day := range r.Days {
		if day < time.Sunday || day > time.Saturday {
			return fmt.Errorf("recurrence: day %d is not 0 (Sunday) to 6", day)
		}
	}
	return nil
}

// dates yields the dates of the pattern from first on, in order, without end unless
// it has one. A date is its midnight in UTC. Weeks begin on Sunday, Graph's default
// for firstDayOfWeek.
func (r Recurrence) dates(first time.Time) iter.Seq[time.Time] {
	return func(yield func(time.Time) bool) {
		week := first.AddDate(0, 0, -int(first.Weekday()))
		for day, n := first, 0; r.Count == 0 || n < r.Count; day = day.AddDate(0, 0, 1) {
			if r.Until != "" && day.Format(dayForm) > r.Until || day.Year() > 9000 {
				return
			}
			if !r.has(day, first, week) {
				continue
			}
			if n++; !yield(day) {
				return
			}
		}
	}
}

// has says whether the pattern has a date; week is the first one's Sunday.
func (r Recurrence) has(day, first, week time.Time) bool {
	switch r.Every {
	case "day":
		return int(day.Sub(first)/aDay)%r.Interval == 0
	case "week":
		return int(day.Sub(week)/(7*aDay))%r.Interval == 0 && slices.Contains(r.Days, day.Weekday())
	}
	months := 12*(day.Year()-first.Year()) + int(day.Month()-first.Month())
	if months%r.Interval != 0 {
		return false
	}
	last := time.Date(day.Year(), day.Month()+1, 0, 0, 0, 0, 0, time.UTC).Day()
	if r.Index == "" {
		return day.Day() == min(r.Day, last)
	}
	return slices.Contains(r.Days, day.Weekday()) && r.counts(day, last)
}

// counts says whether a date is the one that Index means among those of its month
// whose weekday is in Days; last is the month's last day.
func (r Recurrence) counts(day time.Time, last int) bool {
	before, after := 0, 0
	for other := 1; other <= last; other++ {
		if weekday := day.AddDate(0, 0, other-day.Day()).Weekday(); !slices.Contains(r.Days, weekday) {
			continue
		}
		if other < day.Day() {
			before++
		} else if other > day.Day() {
			after++
		}
	}
	if r.Index == "last" {
		return after == 0
	}
	return before == slices.Index(indexes, r.Index)
}

// instant is when clocks in zone show offset after midnight of a date. A time that
// clocks skip is read with the clock that was not put forward yet; of one that they
// show twice it is the first.
func instant(date time.Time, offset time.Duration, zone *time.Location) time.Time {
	wall := date.Add(offset)
	before, after := shift(wall.Add(-aDay), zone), shift(wall.Add(aDay), zone)
	first, second := wall.Add(-before), wall.Add(-after)
	if shift(first, zone) == before || shift(second, zone) != after {
		return first
	}
	return second
}

// shift is how far clocks in zone are ahead of UTC at an instant.
func shift(at time.Time, zone *time.Location) time.Duration {
	_, seconds := at.In(zone).Zone()
	return time.Duration(seconds) * time.Second
}

// dateOf is the date that a calendar in zone shows, and what the clock beside it does.
func dateOf(at time.Time, zone *time.Location) (date time.Time, offset time.Duration) {
	wall := at.Add(shift(at, zone)).UTC()
	date = wall.Truncate(aDay)
	return date, wall.Sub(date)
}

// body is patternedRecurrence.
func (r Recurrence) body(first time.Time, zone string) map[string]any {
	kind := map[string]string{"day": "daily", "week": "weekly", "month": "absoluteMonthly"}[r.Every]
	index := "first"
	if r.Index != "" {
		kind, index = "relativeMonthly", r.Index
	}
	pattern := map[string]any{"type": kind, "interval": r.Interval,
		"month": 0, "dayOfMonth": r.Day, "firstDayOfWeek": "sunday", "index": index}
	days := []string{}
	for _, day := range r.Days {
		days = append(days, strings.ToLower(day.String()))
	}
	pattern["daysOfWeek"] = days
	span := map[string]any{"type": "noEnd", "startDate": first.Format(dayForm), "endDate": "0001-01-01",
		"recurrenceTimeZone": zone, "numberOfOccurrences": 0}
	switch {
	case r.Until != "":
		span["type"], span["endDate"] = "endDate", r.Until
	case r.Count > 0:
		span["type"], span["numberOfOccurrences"] = "numbered", r.Count
	}
	return map[string]any{"pattern": pattern, "range": span}
}
