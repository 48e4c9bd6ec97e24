package presence

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"offhook.dev/libs/core/calendar"
)

// calendarFor is how long the intervals of a reading are believed without another
// (docs/presence.md).
const calendarFor = 24 * time.Hour

// calendarClasses has every class once, the strongest first: the order of calendar.At.
var calendarClasses = [...]calendar.Class{calendar.OOF, calendar.Busy, calendar.WorkingElsewhere, calendar.Tentative, calendar.Unknown, calendar.Free}

// CalendarMapping says what a class of the calendar means for a phone. It is
// immutable; the zero CalendarMapping has no opinion on anything, start from
// DefaultCalendarMapping. Of several classes at once the strongest that means
// something counts, in the order of calendar.At: oof before busy.
type CalendarMapping struct {
	says [len(calendarClasses)]Status // Unset: nothing
}

// DefaultCalendarMapping returns the table of docs/presence.md.
func DefaultCalendarMapping() CalendarMapping {
	var m CalendarMapping
	m.says[classIndex(calendar.Busy)], m.says[classIndex(calendar.WorkingElsewhere)], m.says[classIndex(calendar.OOF)] = DND, DND, Away
	return m
}

// ParseCalendarMapping returns the default table with overrides: a status, or "none"
// or "release" for no opinion, for each class. The error joins every problem, each
// naming its key.
func ParseCalendarMapping(overrides map[string]string) (CalendarMapping, error) {
	return DefaultCalendarMapping().With(overrides)
}

// With returns m with overrides, as ParseCalendarMapping.
func (m CalendarMapping) With(overrides map[string]string) (CalendarMapping, error) {
	err := eachOverride(overrides, func(key, value string) error {
		class := classNamed(key)
		if class < 0 {
			return fmt.Errorf("the key is none of %q", calendarClasses)
		}
		if value == "none" || value == "release" {
			m.says[class] = Unset
			return nil
		}
		status, err := ParseStatus(value)
		if err != nil || status == Unset {
			return fmt.Errorf("%q is not a status, none or release", value)
		}
		m.says[class] = status
		return nil
	})
	if err != nil {
		return CalendarMapping{}, err
	}
	return m, nil
}

// eachOverride calls set with each key and its value in lower case, in the order of
// the keys. The error joins what set finds wrong and keys that differ in case only.
func eachOverride(overrides map[string]string, set func(key, value string) error) error {
	var problems []error
	written := make(map[string]string)
	for _, key := range slices.Sorted(maps.Keys(overrides)) {
		folded := strings.ToLower(key)
		if first, twice := written[folded]; twice {
			problems = append(problems, fmt.Errorf("mapping %q: the same as %q, and only one can count", key, first))
			continue
		}
		written[folded] = key
		if err := set(folded, strings.ToLower(strings.TrimSpace(overrides[key]))); err != nil {
			problems = append(problems, fmt.Errorf("mapping %q: %w", key, err))
		}
	}
	return errors.Join(problems...)
}

// classNamed returns the place of a class named in any case, or -1.
func classNamed(name string) int {
	return slices.IndexFunc(calendarClasses[:], func(c calendar.Class) bool { return strings.EqualFold(string(c), name) })
}

// classIndex returns the place of a class. What is none is Unknown.
func classIndex(class calendar.Class) int {
	for i, c := range calendarClasses {
		if c == class {
			return i
		}
	}
	return classIndex(calendar.Unknown)
}

// at returns what the intervals mean at t, and the one that decides; Unset and nil
// if they mean nothing. It is asked many times per decision and does not allocate.
func (m *CalendarMapping) at(intervals []calendar.Interval, t time.Time) (says Status, by *calendar.Interval) {
	strongest := len(calendarClasses)
	for i := range intervals {
		if !intervals[i].Contains(t) {
			continue
		}
		if class := classIndex(intervals[i].Class); class < strongest && m.says[class] != Unset {
			strongest, says, by = class, m.says[class], &intervals[i]
		}
	}
	return says, by
}

// strength orders statuses for the option strongest.
var strength = [...]int{Unset: 0, Available: 1, Lunch: 2, BusinessTrip: 3, Away: 4, DND: 5}

// stronger says whether s is stronger than o. What is no status is the weakest.
func (s Status) stronger(o Status) bool {
	of := func(s Status) int {
		if int(s) < len(strength) {
			return strength[s]
		}
		return 0
	}
	return of(s) > of(o)
}
