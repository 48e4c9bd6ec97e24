package calendartest

import "strings"

// words are those that an answer may hold, the strongest first.
var words = []string{"oof", "busy", "workingElsewhere", "tentative", "unknown"}

// Expected returns what is the case at each step of the window: words, the
// strongest first.
func Expected(c Calendar) [][]string {
	var taken [][steps]bool
	for range words {
		taken = append(taken, [steps]bool{})
	}
	for _, e := range c.Events {
		for i, word := range words {
			if countsAs(e, c.Rules) == word {
				e.takes(&taken[i])
			}
		}
	}
	expected := make([][]string, steps)
	for t := range expected {
		for i, word := range words {
			if taken[i][t] {
				expected[t] = append(expected[t], word)
			}
		}
	}
	return expected
}

// takes marks the steps at which the event has begun by the clocks of its zone,
// and has not ended by them.
func (e Event) takes(marks *[steps]bool) {
	for t, shown := range e.clocks.high[before : before+steps] {
		if e.From <= shown && shown < e.To {
			marks[t] = true
		}
	}
}

// countsAs applies the rules from the last to the first, so that the first one that
// has something to say has the last word.
func countsAs(e Event, rules []Rule) string {
	own := "unknown"
	for _, word := range append([]string{"free"}, words...) {
		if strings.EqualFold(e.ShowAs, word) {
			own = word
		}
	}
	verdict := own
	for n := len(rules); n > 0; n-- {
		if r := rules[n-1]; r.speaksOf(e, own) {
			verdict = r.As
		}
	}
	if e.Cancelled || strings.ToLower(e.Response) == "declined" {
		verdict = "free"
	}
	return verdict
}

func (r Rule) speaksOf(e Event, own string) bool {
	differs := func(condition, value string) bool {
		return condition != "" && !strings.EqualFold(condition, value)
	}
	response, sensitivity := e.Response, e.Sensitivity
	if response == "" {
		response = "none"
	}
	if sensitivity == "" {
		sensitivity = "normal"
	}
	switch {
	case differs(r.ShowAs, own), differs(r.Response, response), differs(r.Sensitivity, sensitivity):
		return false
	case r.AllDay != nil && *r.AllDay != e.AllDay:
		return false
	case r.AttendeesMin != nil && e.Attendees < *r.AttendeesMin:
		return false
	case r.AttendeesMax != nil && e.Attendees > *r.AttendeesMax:
		return false
	}
	return true
}
