package calendar

import (
	"strings"
	"time"
)

// Class is what a calendar says about a stretch of time: a showAs word of Graph,
// spelled as Graph and the configuration spell it.
// https://learn.microsoft.com/graph/api/resources/event (showAs)
type Class string

// The classes. Unknown is also whatever Graph may add one day.
const (
	Free             Class = "free"
	Tentative        Class = "tentative"
	Busy             Class = "busy"
	OOF              Class = "oof"
	WorkingElsewhere Class = "workingElsewhere"
	Unknown          Class = "unknown"
)

// classes has every class once, in the order in which Reduce and At list them.
var classes = [...]Class{OOF, Busy, WorkingElsewhere, Tentative, Unknown, Free}

// ParseClass reads a showAs word, compared without case. Anything else is Unknown,
// the empty word too.
func ParseClass(word string) Class {
	for _, c := range classes {
		if strings.EqualFold(word, string(c)) {
			return c
		}
	}
	return Unknown
}

// rank is the class's place in the order of listing. A word that is not a class
// has Unknown's.
func (c Class) rank() int {
	unknown := 0
	for i, known := range classes {
		switch known {
		case c:
			return i
		case Unknown:
			unknown = i
		}
	}
	return unknown
}

// Interval is a stretch of time of one class, half-open: From belongs to it, To
// does not. Both are instants; Reduce returns them in UTC.
type Interval struct {
	From  time.Time `json:"from"`
	To    time.Time `json:"to"`
	Class Class     `json:"class"`
}

// Contains says whether t is in the interval.
func (i Interval) Contains(t time.Time) bool { return !t.Before(i.From) && t.Before(i.To) }
