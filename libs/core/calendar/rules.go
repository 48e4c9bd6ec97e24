package calendar

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

const declined = "declined"

// The words that a Rule may use beside the classes.
// https://learn.microsoft.com/graph/api/resources/event (responseStatus, sensitivity)
var (
	responses     = []string{"none", "organizer", "tentativelyAccepted", "accepted", declined, "notResponded"}
	sensitivities = []string{"normal", "personal", "private", "confidential"}
)

// Rule refines what events count as: one that meets every condition counts as As.
// A condition that is left out is met by all. Words are compared without case.
type Rule struct {
	ShowAs       string `json:"show_as,omitempty"` // a Class
	AllDay       *bool  `json:"all_day,omitempty"`
	Response     string `json:"response,omitempty"`      // none, organizer, tentativelyAccepted, accepted or notResponded
	Sensitivity  string `json:"sensitivity,omitempty"`   // normal, personal, private or confidential
	AttendeesMin *int   `json:"attendees_min,omitempty"` // at least so many are listed
	AttendeesMax *int   `json:"attendees_max,omitempty"` // at most so many
	As           string `json:"as"`                      // a Class
}

// Rules says what an event counts as: the first rule that matches decides, without
// one the event's own showAs. Cancelled and declined events are free whatever the
// rules say. The zero Rules has no rule. Rules are immutable.
type Rules struct{ list []rule }

// rule is a Rule as it is applied.
type rule struct {
	Rule
	showAs, as Class
	broken     bool // it has a problem, and stands in its place for the numbers' sake
}

// ParseRules checks rules as they stand in a configuration. The error joins every
// problem, each with the number of its rule, from 1.
func ParseRules(list []Rule) (Rules, error) {
	var parsed Rules
	var problems []error
	for i, r := range list {
		r.AllDay, r.AttendeesMin, r.AttendeesMax = clone(r.AllDay), clone(r.AttendeesMin), clone(r.AttendeesMax)
		found := r.problems()
		next := rule{r, ParseClass(r.ShowAs), ParseClass(r.As), len(found) > 0}
		if first := slices.IndexFunc(parsed.list, func(earlier rule) bool { return earlier.covers(next) }); first >= 0 {
			found = append(found, fmt.Errorf("never counts, because rule %d takes every event that it is meant for", first+1))
		}
		for _, problem := range found {
			problems = append(problems, fmt.Errorf("rule %d: %w", i+1, problem))
		}
		parsed.list = append(parsed.list, next)
	}
	if len(problems) > 0 {
		return Rules{}, errors.Join(problems...)
	}
	return parsed, nil
}

func clone[T any](p *T) *T {
	if p == nil {
		return nil
	}
	return new(*p)
}

func (r Rule) problems() []error {
	var found []error
	report := func(err error) {
		if err != nil {
			found = append(found, err)
		}
	}
	var names []string
	for _, c := range classes {
		names = append(names, string(c))
	}
	report(oneOf("show_as", r.ShowAs, names))
	report(oneOf("response", r.Response, responses))
	report(oneOf("sensitivity", r.Sensitivity, sensitivities))
	report(oneOf("as", r.As, names))
	if r.As == "" {
		report(errors.New("as is missing: what the event counts as"))
	}
	if strings.EqualFold(r.Response, declined) {
		report(errors.New("response declined: such events are free before any rule"))
	}
	switch least, most := r.AttendeesMin, r.AttendeesMax; {
	case least != nil && *least < 0 || most != nil && *most < 0:
		report(errors.New("attendees_min and attendees_max are not below 0"))
	case least != nil && most != nil && *least > *most:
		report(fmt.Errorf("attendees_min %d is more than attendees_max %d", *least, *most))
	}
	return found
}

// oneOf refuses a word that is there and not among words.
func oneOf(key, word string, words []string) error {
	if word == "" || slices.ContainsFunc(words, func(w string) bool { return strings.EqualFold(w, word) }) {
		return nil
	}
	return fmt.Errorf("%s %q is not one of %s", key, word, strings.Join(words, ", "))
}

// covers says whether r matches whatever other matches.
func (r rule) covers(other rule) bool {
	return !r.broken && !other.broken &&
		(r.ShowAs == "" || other.ShowAs != "" && r.showAs == other.showAs) &&
		(r.AllDay == nil || other.AllDay != nil && *r.AllDay == *other.AllDay) &&
		(r.Response == "" || strings.EqualFold(r.Response, other.Response)) &&
		(r.Sensitivity == "" || strings.EqualFold(r.Sensitivity, other.Sensitivity)) &&
		(r.AttendeesMin == nil || other.AttendeesMin != nil && *r.AttendeesMin <= *other.AttendeesMin) &&
		(r.AttendeesMax == nil || other.AttendeesMax != nil && *r.AttendeesMax >= *other.AttendeesMax)
}

// Class returns what the entry counts as.
func (rs Rules) Class(e Entry) Class {
	if e.off() {
		return Free
	}
	class := ParseClass(e.ShowAs)
	for i := range rs.list {
		if r := &rs.list[i]; r.matches(&e, class) {
			return r.as
		}
	}
	return class
}

func (r *rule) matches(e *Entry, class Class) bool {
	return (r.ShowAs == "" || r.showAs == class) &&
		(r.AllDay == nil || *r.AllDay == e.AllDay) &&
		(r.Response == "" || is(e.Response, r.Response, "none")) &&
		(r.Sensitivity == "" || is(e.Sensitivity, r.Sensitivity, "normal")) &&
		(r.AttendeesMin == nil || e.Attendees >= *r.AttendeesMin) &&
		(r.AttendeesMax == nil || e.Attendees <= *r.AttendeesMax)
}

// is compares a word of an event, for which absent stands when there is none.
func is(word, wanted, absent string) bool {
	if word == "" {
		word = absent
	}
	return strings.EqualFold(word, wanted)
}

// AskAttendees says whether a rule depends on the number of attendees, so that
// they have to be read. Otherwise they should not be.
func (rs Rules) AskAttendees() bool {
	return slices.ContainsFunc(rs.list, func(r rule) bool { return r.AttendeesMin != nil || r.AttendeesMax != nil })
}
