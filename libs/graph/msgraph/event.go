package msgraph

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"offhook.dev/libs/graph"
)

// event is what is read of an event. It has no member for anything that a person
// wrote, so that nothing of it can get further.
type event struct {
	Start       moment     `json:"start"`
	End         moment     `json:"end"`
	ShowAs      string     `json:"showAs"`
	AllDay      bool       `json:"isAllDay"`
	Cancelled   bool       `json:"isCancelled"`
	Sensitivity string     `json:"sensitivity"`
	Attendees   []struct{} `json:"attendees"`
	Status      struct {
		Response string `json:"response"`
	} `json:"responseStatus"`
}

// moment is Graph's dateTimeTimeZone.
// https://learn.microsoft.com/graph/api/resources/datetimetimezone
type moment struct {
	DateTime string `json:"dateTime"` // without an offset
	Zone     string `json:"timeZone"` // Windows' name or IANA's
}

// entryOf reads one event. Its errors quote nothing.
func entryOf(raw json.RawMessage, zone *time.Location) (graph.CalendarEntry, error) {
	var e event
	if json.Unmarshal(raw, &e) != nil {
		return graph.CalendarEntry{}, errors.New("an event cannot be read")
	}
	start, err := e.Start.read()
	if err != nil {
		return graph.CalendarEntry{}, fmt.Errorf("the start of an event %w", err)
	}
	end, err := e.End.read()
	if err != nil {
		return graph.CalendarEntry{}, fmt.Errorf("the end of an event %w", err)
	}
	if e.AllDay && zone != nil && isDate(start) && isDate(end) {
		start, end = dateIn(start, zone), dateIn(end, zone)
	}
	switch length := end.Sub(start); {
	case length < 0:
		return graph.CalendarEntry{}, errors.New("an event ends before it begins")
	case length == 0:
		return graph.CalendarEntry{}, errors.New("an event takes no time")
	case length > graph.MaxCalendarWindow:
		return graph.CalendarEntry{}, errors.New("an event lasts longer than a calendar view")
	}
	return graph.CalendarEntry{
		Start: start.UTC(), End: end.UTC(), ShowAs: e.ShowAs, AllDay: e.AllDay, Cancelled: e.Cancelled,
		Response: e.Status.Response, Sensitivity: e.Sensitivity, Attendees: len(e.Attendees),
	}, nil
}

// read honours the zone that came with the time: Graph may answer in another than
// it was asked for.
func (m moment) read() (time.Time, error) {
	zone, err := graph.ParseZone(m.Zone)
	if err != nil {
		return time.Time{}, errors.New("is in no known time zone")
	}
	at, err := time.ParseInLocation("2006-01-02T15:04:05", m.DateTime, zone) // takes fractions too
	if err != nil {
		return time.Time{}, errors.New("is not a time")
	}
	return at, nil
}

// isDate says whether a time of an all-day event stands for a date: midnight, UTC,
// which is how Graph shows them when it is asked for UTC. Where it has converted
// them instead, the time is right as it is.
func isDate(t time.Time) bool {
	return t.Location() == time.UTC && t.Equal(t.Truncate(24*time.Hour))
}

// dateIn is the beginning of a date in a zone.
func dateIn(t time.Time, zone *time.Location) time.Time {
	year, month, day := t.Date()
	return time.Date(year, month, day, 0, 0, 0, 0, zone)
}
