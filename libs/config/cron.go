package config

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// cronField is one of the five fields of a schedule, as in crontab(5): numbers or
// names, lists, ranges and steps. Both 0 and 7 are Sunday.
type cronField struct {
	name     string
	min, max int
	names    []string // of min and those after it
}

var cronFields = [5]cronField{
	{"minute", 0, 59, nil},
	{"hour", 0, 23, nil},
	{"day of month", 1, 31, nil},
	{"month", 1, 12, []string{"jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"}},
	{"day of week", 0, 7, []string{"sun", "mon", "tue", "wed", "thu", "fri", "sat"}},
}

// longestMonth is the largest day of each month, leap years included.
var longestMonth = [13]int{0, 31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31}

// checkCron returns why text is no schedule, or nil.
func checkCron(text string) error {
	c, err := parseCron(text)
	// A day of week makes any date possible: cron takes either.
	if err != nil || !c.anyWeekday {
		return err
	}
	for _, month := range c.months {
		if slices.Min(c.days) <= longestMonth[month] {
			return nil
		}
	}
	return errors.New("no such day exists in these months")
}

// cron is a schedule taken apart. Where both days and weekdays are narrowed, either is
// enough.
type cron struct {
	minutes, hours, days, months, weekdays []int
	anyDay, anyWeekday                     bool // "*"
}

func parseCron(text string) (cron, error) {
	parts := strings.Fields(text)
	if len(parts) != len(cronFields) {
		return cron{}, fmt.Errorf("it has %d fields, not 5", len(parts))
	}
	var sets [5][]int
	for i, field := range cronFields {
		set, err := field.parse(parts[i])
		if err != nil {
			return cron{}, fmt.Errorf("%s: %w", field.name, err)
		}
		slices.Sort(set)
		sets[i] = set
	}
	return cron{sets[0], sets[1], sets[2], sets[3], sets[4], parts[2] == "*", parts[4] == "*"}, nil
}

func (f cronField) parse(text string) ([]int, error) {
	var set []int
	for item := range strings.SplitSeq(text, ",") {
		span, stepText, stepped := strings.Cut(item, "/")
		low, high, err := f.span(span, stepped)
		if err != nil {
			return nil, err
		}
		step := 1
		if stepped {
			if step, err = strconv.Atoi(stepText); err != nil || step < 1 || step > f.max {
				return nil, fmt.Errorf("%s is no step", show(stepText))
			}
		}
		for n := low; n <= high; n += step {
			set = append(set, n)
		}
	}
	return set, nil
}

// span returns the ends of "*", "5" and "5-10"; "5/2" begins at 5 and goes on to
// the end.
func (f cronField) span(text string, stepped bool) (low, high int, err error) {
	if text == "*" {
		return f.min, f.max, nil
	}
	from, to, ranged := strings.Cut(text, "-")
	if low, err = f.number(from); err != nil {
		return 0, 0, err
	}
	high = low
	if ranged {
		if high, err = f.number(to); err != nil {
			return 0, 0, err
		}
	} else if stepped {
		high = f.max
	}
	if high < low {
		return 0, 0, fmt.Errorf("%s runs backwards", show(text))
	}
	return low, high, nil
}

func (f cronField) number(text string) (int, error) {
	if i := slices.Index(f.names, strings.ToLower(text)); i >= 0 {
		return f.min + i, nil
	}
	n, err := strconv.ParseUint(text, 10, 8)
	if err != nil || int(n) < f.min || int(n) > f.max {
		return 0, fmt.Errorf("%s is not between %d and %d", show(text), f.min, f.max)
	}
	return int(n), nil
}
