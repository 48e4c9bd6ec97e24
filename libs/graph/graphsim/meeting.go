package graphsim

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"offhook.dev/libs/graph"
)

// Marker is in everything that a made-up meeting says: subject, body, place and
// people. Whoever finds it outside of the simulator has found a leak.
const Marker = "zqxconfidential"

// Meeting is an event of a calendar, or a series of events. Where it is all day,
// the dates of Start and End in Zone count, and End is the day after.
type Meeting struct {
	ID          string      `json:"id,omitempty"`     // the immutable one; given by AddMeeting
	Number      int         `json:"number,omitempty"` // of the calendar's meetings, from 1; given by AddMeeting
	Subject     string      `json:"subject,omitempty"`
	Body        string      `json:"body,omitempty"`
	Place       string      `json:"place,omitempty"`
	Attendees   []string    `json:"attendees"` // mail addresses; nil is two made-up ones
	Start       time.Time   `json:"start"`
	End         time.Time   `json:"end"`
	AllDay      bool        `json:"allDay,omitempty"`
	Zone        string      `json:"zone,omitempty"` // Windows' or IANA's name; "" is the mailbox's
	ShowAs      string      `json:"showAs"`         // "" is busy
	Sensitivity string      `json:"sensitivity"`    // "" is normal
	Response    string      `json:"response"`       // the person's own; "" is organizer
	Cancelled   bool        `json:"cancelled,omitempty"`
	Repeat      *Recurrence `json:"repeat,omitempty"` // nil is once
}

// The closed lists of event properties (CSDL, 2026-08).
var (
	freeBusy      = []string{"unknown", "free", "tentative", "busy", "oof", "workingElsewhere"}
	sensitivities = []string{"normal", "personal", "private", "confidential"}
	responses     = []string{"none", "organizer", "tentativelyAccepted", "accepted", "declined", "notResponded"}
)

// event is a Meeting at work. All of it is guarded by Tenant.mu.
type event struct {
	Meeting
	key        string // what both forms of its id have in common
	zone       *time.Location
	first      time.Time     // date of the (first) start in zone
	from, to   time.Duration // from midnight of a date to start and end
	exceptions map[string]exception
	spoiled    map[string]json.RawMessage
	stamp      uint64 // version
	changed    time.Time
}

// exception is what became of one occurrence of a series.
type exception struct {
	start, end time.Time
	cancelled  bool // still shown, as to those who were invited
	deleted    bool
}

// resolve computes what depends on times and zone.
func (e *event) resolve(standard string) error {
	name := e.Zone
	set(&name, standard)
	zone, err := graph.ParseZone(name)
	switch {
	case err != nil:
		return fmt.Errorf("meeting: %w", err)
	case e.Start.IsZero() || e.End.Before(e.Start):
		return fmt.Errorf("meeting: it ends at %s, before it begins at %s", e.End.Format(time.RFC3339), e.Start.Format(time.RFC3339))
	case !slices.Contains(freeBusy, e.ShowAs):
		return fmt.Errorf("meeting: showAs %q is none of %v", e.ShowAs, freeBusy)
	case !slices.Contains(sensitivities, e.Sensitivity):
		return fmt.Errorf("meeting: sensitivity %q is none of %v", e.Sensitivity, sensitivities)
	case !slices.Contains(responses, e.Response):
		return fmt.Errorf("meeting: response %q is none of %v", e.Response, responses)
	}
	e.Zone, e.zone = name, zone
	var last time.Time
	e.first, e.from = dateOf(e.Start, zone)
	last, e.to = dateOf(e.End, zone)
	if e.AllDay {
		if !last.After(e.first) {
			return fmt.Errorf("meeting: an all-day event ends on a later date than %s", e.first.Format(dayForm))
		}
		e.from, e.to = 0, 0
	}
	e.to += last.Sub(e.first)
	if e.Repeat == nil {
		return nil
	}
	if err := e.Repeat.validate(); err != nil {
		return fmt.Errorf("meeting: %w", err)
	}
	repeat := e.Repeat.withDefaults(e.first)
	e.Repeat = &repeat
	return nil
}

// edit changes what was given; nothing changes if the result is not valid.
func (e *event) edit(standard string, change func(*Meeting)) error {
	next := *e
	change(&next.Meeting)
	next.ID, next.Number = e.ID, e.Number
	if err := next.resolve(standard); err != nil {
		return err
	}
	*e = next
	for name := range e.exceptions {
		if !e.takesPlaceOn(name) {
			delete(e.exceptions, name)
		}
	}
	return nil
}

// invent makes up what was not said about a meeting, with Marker in it.
func (e *event) invent() {
	word := func(what string) string {
		sum := sha256.Sum256([]byte(e.key + what))
		return fmt.Sprintf("%s %s-%x", codenames[int(sum[0])%len(codenames)], Marker, sum[1:5])
	}
	set(&e.Subject, word("subject"))
	set(&e.Body, word("body"))
	set(&e.Place, "Room "+word("place"))
	if e.Attendees == nil {
		e.Attendees = []string{Marker + ".kim@partner.example", Marker + ".lou@partner.example"}
	}
	set(&e.ShowAs, "busy")
	set(&e.Sensitivity, "normal")
	set(&e.Response, "organizer")
}

var codenames = []string{"Nightjar", "Bluebell", "Harvest", "Lantern", "Quarry", "Meridian", "Saffron", "Tundra"}

// Occurrence is a stretch of time in a calendar: a single event, or one of a series.
type Occurrence struct {
	ID          string    `json:"id"` // the immutable one
	Number      int       `json:"number"`
	Date        string    `json:"date,omitempty"` // which of a series: the date on which the pattern has it
	Subject     string    `json:"subject"`
	Start       time.Time `json:"start"`
	End         time.Time `json:"end"`
	AllDay      bool      `json:"allDay"`
	ShowAs      string    `json:"showAs"`
	Sensitivity string    `json:"sensitivity"`
	Response    string    `json:"response"`
	Cancelled   bool      `json:"cancelled"`
	Attendees   int       `json:"attendees"`
	Exception   bool      `json:"exception,omitempty"` // moved or cancelled apart from its series

	event    *event
	from, to time.Time // dates, where it is all day
}

// occurrences lists what of an event overlaps [from, to). All-day ones begin and end
// with the dates of home, the mailbox's zone. t.mu is held.
func (e *event) occurrences(from, to time.Time, home *time.Location) []Occurrence {
	var found []Occurrence
	add := func(o Occurrence) {
		if o.Start.Before(to) && (o.End.After(from) || o.End.Equal(o.Start) && !o.Start.Before(from)) {
			found = append(found, o)
		}
	}
	if e.Repeat == nil {
		add(e.on(e.first, "", home))
		return found
	}
	longest := e.to + 2*aDay // no zone is further away
	for date := range e.Repeat.dates(e.first) {
		if date.Add(-2 * aDay).After(to) {
			break
		}
		if name := date.Format(dayForm); !date.Add(longest).Before(from) {
			if _, special := e.exceptions[name]; !special {
				add(e.on(date, name, home))
			}
		}
	}
	for name, x := range e.exceptions {
		date, _ := time.Parse(dayForm, name) // one of ours
		o := e.on(date, name, home)
		o.Exception, o.Cancelled = true, o.Cancelled || x.cancelled
		if !x.start.IsZero() {
			o.Start, o.End = x.start, x.end
			if e.AllDay {
				o.from, _ = dateOf(x.start, e.zone)
				o.to, _ = dateOf(x.end, e.zone)
				o.Start, o.End = instant(o.from, 0, home), instant(o.to, 0, home)
			}
		}
		if !x.deleted {
			add(o)
		}
	}
	return found
}

// on is the occurrence of a date; name is "" where there is only one.
func (e *event) on(date time.Time, name string, home *time.Location) Occurrence {
	o := Occurrence{ID: eventID(e.key, name, true), Number: e.Number, Date: name, Subject: e.Subject, AllDay: e.AllDay, ShowAs: e.ShowAs,
		Sensitivity: e.Sensitivity, Response: e.Response, Cancelled: e.Cancelled, Attendees: len(e.Attendees), event: e}
	if e.AllDay {
		o.from, o.to = date, date.Add(e.to)
		o.Start, o.End = instant(o.from, 0, home).UTC(), instant(o.to, 0, home).UTC()
		return o
	}
	if name == "" {
		o.Start, o.End = e.Start.UTC(), e.End.UTC() // which knows of two equal times which one is meant
		return o
	}
	o.Start = instant(date, e.from, e.zone).UTC()
	o.End = instant(date, e.to, e.zone).UTC()
	if o.End.Before(o.Start) { // it ends in an hour that clocks showed twice
		o.End = o.Start
	}
	return o
}

// takesPlaceOn says whether the pattern of a series has a date.
func (e *event) takesPlaceOn(name string) bool {
	date, err := time.Parse(dayForm, name)
	if err != nil || e.Repeat == nil {
		return false
	}
	for each := range e.Repeat.dates(e.first) {
		if !each.Before(date) {
			return each.Equal(date)
		}
	}
	return false
}

// eventID is the id of an event, or of a series' occurrence on a date. The
// immutable form stays when an event moves between folders; the other is what those
// get who do not ask (learn.microsoft.com/graph/outlook-immutable-id).
func eventID(key, date string, immutable bool) string {
	form := "AAMkAG"
	if immutable {
		form = "AAkALg"
	}
	return form + key + strings.ReplaceAll(date, "-", "") + "AAA="
}

// parseEventID is the opposite, for both forms.
func parseEventID(id string) (key, date string, ok bool) {
	rest, old := strings.CutPrefix(id, "AAMkAG")
	if !old {
		if rest, ok = strings.CutPrefix(id, "AAkALg"); !ok {
			return "", "", false
		}
	}
	rest, ok = strings.CutSuffix(rest, "AAA=")
	if len(rest) == eventKeyLength+8 {
		day := rest[eventKeyLength:]
		rest, date = rest[:eventKeyLength], day[:4]+"-"+day[4:6]+"-"+day[6:]
	}
	return rest, date, ok && len(rest) == eventKeyLength
}

const eventKeyLength = 40

func newEventKey(user string, number int) string {
	sum := sha256.Sum256(fmt.Appendf(nil, "event %s %d", user, number))
	return fmt.Sprintf("%x", sum[:eventKeyLength/2])
}
