package calendar

import (
	"errors"
	"strings"
	"time"
)

// MaxLength is how long an entry may be: as long as the longest calendar view that
// Graph answers, 1,825 days. What is longer is taken for a slip of someone's pen.
const MaxLength = 1825 * 24 * time.Hour

// Entry is one event, or one occurrence of a series, reduced to what decides
// whether a phone may ring. What it is about, where and with whom is not in it.
type Entry struct {
	Start, End time.Time // instants; End does not belong to the entry
	ShowAs     string    // a Class in any case; an open set
	AllDay     bool
	Cancelled  bool
	Response   string // the person's own answer: "accepted", "declined", ...; "" is "none"
	// Sensitivity is "normal", "personal", "private" or "confidential"; "" is "normal".
	Sensitivity string
	Attendees   int // as many as Graph lists; 0 also where they were not asked for
}

// What can be wrong with an entry. The errors hold nothing of its contents.
var (
	ErrInverted = errors.New("it ends before it begins")
	ErrEmpty    = errors.New("it takes no time")
	ErrTooLong  = errors.New("it lasts longer than 1,825 days")
)

// Check returns ErrInverted, ErrEmpty or ErrTooLong for an entry that cannot be
// meant, else nil.
func (e Entry) Check() error {
	switch length := e.End.Sub(e.Start); {
	case length < 0:
		return ErrInverted
	case length == 0:
		return ErrEmpty
	case length > MaxLength:
		return ErrTooLong
	}
	return nil
}

// off says whether the entry takes nobody's time: cancelled by the organizer, or
// declined by the person.
func (e Entry) off() bool { return e.Cancelled || strings.EqualFold(e.Response, declined) }
