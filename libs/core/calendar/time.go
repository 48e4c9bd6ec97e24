package calendar

import (
	"errors"
	"strings"
	"time"
)

// What can be wrong with a time. The errors do not quote it, nor its zone, which
// may have a name of its owner's making.
var (
	ErrNoZone      = errors.New("the time has no zone")
	ErrUnknownZone = errors.New("the zone is neither UTC nor named as in the IANA database")
	ErrNotATime    = errors.New("the time is not of the form 2006-01-02T15:04:05.0000000 without an offset")
)

const (
	wallClock = "2006-01-02T15:04:05"
	midnight  = "T00:00:00"
)

// ParseTime reads Graph's dateTimeTimeZone: a wall clock and the name of the zone
// in which it hangs. It returns an instant in UTC, or ErrNotATime, ErrNoZone or
// ErrUnknownZone.
//
// Only UTC and names of the IANA database are known here, the latter as far as Go
// finds that database. Windows' names never come where Graph was asked with
// Prefer: outlook.timezone="UTC"; whoever has a table of them uses ParseTimeIn.
// https://learn.microsoft.com/graph/api/resources/datetimetimezone
func ParseTime(dateTime, zone string) (time.Time, error) {
	location, err := location(zone)
	if err != nil {
		return time.Time{}, err
	}
	return ParseTimeIn(dateTime, location)
}

// ParseTimeIn is ParseTime with a known zone; nil is ErrNoZone. A wall clock that
// comes twice is taken the first time, one that is jumped over means the jump.
func ParseTimeIn(dateTime string, zone *time.Location) (time.Time, error) {
	if zone == nil {
		return time.Time{}, ErrNoZone
	}
	wall, err := parseWall(dateTime)
	if err != nil {
		return time.Time{}, err
	}
	return reaches(wall, zone), nil
}

// ParseDate reads the start or end of an all-day event, as ParseTime, and returns
// the beginning of that date in the mailbox's zone (nil: UTC).
//
// An all-day event is a date, not an instant: Graph shows it from midnight to
// midnight of whichever zone it was asked for, and the person lives it in their
// own. Hence the zone beside the midnight says nothing, though it has to be there.
// Should Graph convert an all-day event after all, it is no midnight any more, and
// then its zone counts.
// https://github.com/microsoftgraph/microsoft-graph-docs/issues/1802
func ParseDate(dateTime, zone string, mailbox *time.Location) (time.Time, error) {
	switch rest, found := strings.CutPrefix(dateTime[min(len(dateTime), len("2006-01-02")):], midnight); {
	case !found || strings.Trim(rest, ".,0") != "":
		return ParseTime(dateTime, zone)
	case zone == "":
		return time.Time{}, ErrNoZone
	case mailbox == nil:
		mailbox = time.UTC
	}
	return ParseTimeIn(dateTime, mailbox)
}

func location(zone string) (*time.Location, error) {
	switch {
	case zone == "":
		return nil, ErrNoZone
	case strings.EqualFold(zone, "UTC"):
		return time.UTC, nil
	case strings.EqualFold(zone, "Local"): // to Go this is the zone of the machine
		return nil, ErrUnknownZone
	}
	found, err := time.LoadLocation(zone)
	if err != nil {
		return nil, ErrUnknownZone
	}
	return found, nil
}

// parseWall returns what a clock shows as if it hung in UTC.
func parseWall(dateTime string) (time.Time, error) {
	wall, err := time.Parse(wallClock, dateTime) // which takes fractions too
	if err != nil || len(dateTime) < len(wallClock) || dateTime[:len(wallClock)] != wall.Format(wallClock) {
		return time.Time{}, ErrNotATime // as for an hour of one digit
	}
	return wall, nil
}

// reaches returns the first moment, in UTC, at which clocks in zone show wall or
// more. time.Date would do but for the hours around a change of the clocks, where
// it leaves open which of two moments it means, and with it, on which day an
// all-day event begins.
func reaches(wall time.Time, zone *time.Location) time.Time {
	const farthest = 24 * time.Hour // no zone is as far from UTC
	at := wall.Add(-farthest)
	for {
		local := at.In(zone)
		_, offset := local.Zone()
		_, change := local.ZoneBounds()
		shown := wall.Add(-time.Duration(offset) * time.Second)
		switch {
		case shown.Before(at): // the clocks jumped over it
			return at
		case change.IsZero() || shown.Before(change):
			return shown
		}
		at = change.UTC()
	}
}
