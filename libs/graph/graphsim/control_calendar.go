package graphsim

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"time"
)

// calendarOperations are those of the control interface about calendars and mailboxes.
func calendarOperations() map[string]controlOperation {
	return map[string]controlOperation{
		"GET users/{user}/calendar":                   controlCalendar,
		"GET users/{user}/meetings":                   func(t *Tenant, r *http.Request) (any, error) { return t.Meetings(r.PathValue("user")) },
		"POST users/{user}/meetings":                  controlAddMeeting,
		"PATCH users/{user}/meetings/{meeting}":       controlMoveMeeting,
		"DELETE users/{user}/meetings/{meeting}":      controlDeleteMeeting,
		"POST users/{user}/meetings/{meeting}/cancel": controlCancelMeeting,
		"PUT users/{user}/meetings/{meeting}/spoiled": controlSpoilMeeting,
		"GET users/{user}/mailbox":                    func(t *Tenant, r *http.Request) (any, error) { return t.Mailbox(r.PathValue("user")) },
		"PATCH users/{user}/mailbox":                  controlMailbox,
	}
}

// controlCalendar is the truth about a user's time, from yesterday for eight days
// unless the query says from and to.
func controlCalendar(t *Tenant, r *http.Request) (any, error) {
	now := t.server.now()
	from, to := now.Add(-aDay), now.Add(7*aDay)
	zone, err := t.homeOf(r.PathValue("user"))
	if err != nil {
		return nil, err
	}
	for name, bound := range map[string]*time.Time{"from": &from, "to": &to} {
		if text := r.FormValue(name); text != "" {
			if *bound, err = parseWhen(text, now, zone); err != nil {
				return nil, fmt.Errorf("%s: %w", name, err)
			}
		}
	}
	return t.Calendar(r.PathValue("user"), from, to)
}

// homeOf is the zone of a user's mailbox.
func (t *Tenant) homeOf(user string) (*time.Location, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	p := t.lookup(user)
	if p == nil {
		return nil, t.noUser(user)
	}
	return p.mail().home(), nil
}

// parseWhen reads a time as people give it: RFC 3339, or what a clock in zone shows
// ("2026-12-31T10:00", "2026-12-31", "10:00" for today), or how far from now ("+5s").
func parseWhen(text string, now time.Time, zone *time.Location) (time.Time, error) {
	if ahead, ok := strings.CutPrefix(text, "+"); ok {
		d, err := time.ParseDuration(ahead)
		if err == nil {
			return now.Add(d), nil
		}
	}
	if at, err := time.Parse(time.RFC3339Nano, text); err == nil {
		return at, nil
	}
	for _, form := range []string{"2006-01-02T15:04:05", "2006-01-02T15:04", "2006-01-02 15:04", dayForm} {
		if wall, err := time.Parse(form, text); err == nil {
			return onWall(wall, zone), nil
		}
	}
	for _, form := range []string{"15:04:05", "15:04"} {
		if clock, err := time.Parse(form, text); err == nil {
			today, _ := dateOf(now, zone)
			hour, minute, second := clock.Clock()
			return instant(today, time.Duration(hour)*time.Hour+time.Duration(minute)*time.Minute+time.Duration(second)*time.Second, zone), nil
		}
	}
	return time.Time{}, fmt.Errorf("%q is no time; say 10:00, 2026-12-31T10:00, +5s or 2026-12-31T10:00:00Z", text)
}

// onWall is when clocks in zone show wall, which is given as if UTC.
func onWall(wall time.Time, zone *time.Location) time.Time {
	date := wall.Truncate(aDay)
	return instant(date, wall.Sub(date), zone)
}

// meetingTimes is when a meeting is, as people say it.
type meetingTimes struct {
	Start string   `json:"start"`
	End   string   `json:"end"` // or
	For   duration `json:"for"` // how long; of an all-day meeting so many days, one by default
}

// read returns start and end. Times without an offset are those of zone.
func (m meetingTimes) read(now time.Time, zone *time.Location, allDay bool) (start, end time.Time, err error) {
	if m.Start == "" {
		m.Start = "+0s"
	}
	if start, err = parseWhen(m.Start, now, zone); err != nil {
		return start, end, fmt.Errorf("start: %w", err)
	}
	switch {
	case m.End != "" && m.For != 0:
		return start, end, fmt.Errorf("give end or for, not both")
	case m.End != "":
		if end, err = parseWhen(m.End, now, zone); err != nil {
			return start, end, fmt.Errorf("end: %w", err)
		}
		return start, end, nil
	case allDay:
		set(&m.For, duration(aDay))
		date, _ := dateOf(start, zone)
		days := int((time.Duration(m.For) + aDay/2) / aDay) // a day may have 23 hours
		return start, onWall(date.AddDate(0, 0, days), zone), nil
	}
	set(&m.For, duration(30*time.Minute))
	return start, start.Add(time.Duration(m.For)), nil
}

// meetingBody is a Meeting as the control interface takes it.
type meetingBody struct {
	meetingTimes
	AllDay      bool        `json:"allDay"`
	Zone        string      `json:"zone"`
	Subject     string      `json:"subject"`
	Body        string      `json:"body"`
	Place       string      `json:"place"`
	Attendees   []string    `json:"attendees"`
	ShowAs      string      `json:"showAs"`
	Sensitivity string      `json:"sensitivity"`
	Response    string      `json:"response"`
	Cancelled   bool        `json:"cancelled"`
	Repeat      *Recurrence `json:"repeat"`
}

func controlAddMeeting(t *Tenant, r *http.Request) (any, error) {
	body, err := read[meetingBody](r, `{"start":"10:00","for":"30m","showAs":"busy","repeat":{"every":"week","days":[1,3]}}`)
	if err != nil {
		return nil, err
	}
	zone, err := t.zoneOf(r.PathValue("user"), body.Zone)
	if err != nil {
		return nil, err
	}
	start, end, err := body.read(t.server.now(), zone, body.AllDay)
	if err != nil {
		return nil, fmt.Errorf("meeting: %w", err)
	}
	id, err := t.AddMeeting(r.PathValue("user"), Meeting{Start: start, End: end, AllDay: body.AllDay, Zone: body.Zone, Subject: body.Subject, Body: body.Body,
		Place: body.Place, Attendees: body.Attendees, ShowAs: body.ShowAs, Sensitivity: body.Sensitivity, Response: body.Response, Cancelled: body.Cancelled, Repeat: body.Repeat})
	if err != nil {
		return nil, err
	}
	return t.Meeting(r.PathValue("user"), id)
}

func controlMoveMeeting(t *Tenant, r *http.Request) (any, error) {
	body, err := read[meetingTimes](r, `{"start":"11:00","for":"30m"}`)
	if err != nil {
		return nil, err
	}
	user, ref := r.PathValue("user"), r.PathValue("meeting")
	m, err := t.Meeting(user, ref)
	if err != nil {
		return nil, err
	}
	zone, err := t.zoneOf(user, m.Zone)
	if err != nil {
		return nil, err
	}
	if body.End == "" && body.For == 0 { // as long as before
		body.For = duration(m.End.Sub(m.Start))
	}
	start, end, err := body.read(t.server.now(), zone, m.AllDay)
	if err != nil {
		return nil, fmt.Errorf("meeting: %w", err)
	}
	if err := t.MoveMeeting(user, ref, start, end); err != nil {
		return nil, err
	}
	return t.Meeting(user, ref)
}

func controlCancelMeeting(t *Tenant, r *http.Request) (any, error) {
	return nil, t.CancelMeeting(r.PathValue("user"), r.PathValue("meeting"))
}

func controlDeleteMeeting(t *Tenant, r *http.Request) (any, error) {
	return nil, t.DeleteMeeting(r.PathValue("user"), r.PathValue("meeting"))
}

func controlSpoilMeeting(t *Tenant, r *http.Request) (any, error) {
	properties, err := read[map[string]json.RawMessage](r, `{"end":null}`)
	if err != nil {
		return nil, err
	}
	return nil, t.SpoilMeeting(r.PathValue("user"), r.PathValue("meeting"), properties)
}

func controlMailbox(t *Tenant, r *http.Request) (any, error) {
	user := r.PathValue("user")
	next, err := t.Mailbox(user)
	if err != nil {
		return nil, err
	}
	decoder := json.NewDecoder(r.Body)
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&next); err != nil {
		return nil, fmt.Errorf("body of PATCH %s: %w; send JSON like {\"timeZone\":\"Tokyo Standard Time\"}", r.URL.Path, err)
	}
	if err := t.EditMailbox(user, func(m *Mailbox) { *m = next }); err != nil {
		return nil, err
	}
	return t.Mailbox(user)
}
