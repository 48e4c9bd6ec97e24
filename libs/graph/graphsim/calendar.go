package graphsim

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"offhook.dev/libs/graph"
)

// AddMeeting puts a meeting into a user's calendar, tells the subscriptions, and
// returns its id. What m leaves out is made up, with Marker in it.
func (t *Tenant) AddMeeting(user string, m Meeting) (id string, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	p := t.lookup(user)
	if p == nil {
		return "", t.noUser(user)
	}
	box := p.mail()
	e := &event{Meeting: m, key: newEventKey(p.id, box.numbers+1), exceptions: make(map[string]exception)}
	e.invent()
	if err := e.resolve(box.standard()); err != nil {
		return "", fmt.Errorf("calendar of %q: %w", user, err)
	}
	box.numbers++
	e.Number, e.ID = box.numbers, eventID(e.key, "", true)
	box.events, box.byKey[e.key] = append(box.events, e), e
	t.touchEvent(p, e, "created")
	return e.ID, nil
}

// EditMeeting changes a meeting, of a series all occurrences; the exceptions stay
// where the pattern still has their dates. Its id and number do not change.
func (t *Tenant) EditMeeting(user, ref string, edit func(*Meeting)) error {
	return t.changeMeeting(user, ref, func(box *mailbox, e *event, _ string) error { return e.edit(box.standard(), edit) })
}

// MoveMeeting gives a meeting other times. ref may name one occurrence of a series.
func (t *Tenant) MoveMeeting(user, ref string, start, end time.Time) error {
	if end.Before(start) {
		return fmt.Errorf("calendar of %q: a meeting cannot end before it begins", user)
	}
	return t.changeMeeting(user, ref, func(box *mailbox, e *event, date string) error {
		if date == "" {
			return e.edit(box.standard(), func(m *Meeting) { m.Start, m.End = start, end })
		}
		x := e.exceptions[date]
		x.start, x.end, x.deleted = start, end, false
		e.exceptions[date] = x
		return nil
	})
}

// CancelMeeting lets a meeting stand as cancelled, as those see it who were invited.
// ref may name one occurrence of a series.
func (t *Tenant) CancelMeeting(user, ref string) error {
	return t.changeMeeting(user, ref, func(_ *mailbox, e *event, date string) error {
		if date == "" {
			e.Cancelled = true
			return nil
		}
		x := e.exceptions[date]
		x.cancelled = true
		e.exceptions[date] = x
		return nil
	})
}

// SpoilMeeting replaces properties of a meeting on the wire by what no Exchange
// should send, and the truth does not know: JSON by name, null included. nil ends it.
func (t *Tenant) SpoilMeeting(user, ref string, properties map[string]json.RawMessage) error {
	return t.changeMeeting(user, ref, func(_ *mailbox, e *event, _ string) error {
		e.spoiled = properties
		return nil
	})
}

// DeleteMeeting removes a meeting. ref may name one occurrence of a series.
func (t *Tenant) DeleteMeeting(user, ref string) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	p, e, date, err := t.meeting(user, ref)
	if err != nil {
		return err
	}
	if date != "" {
		e.exceptions[date] = exception{deleted: true}
		t.touchEvent(p, e, "updated")
		return nil
	}
	box := p.mailbox
	delete(box.byKey, e.key)
	box.events = slices.DeleteFunc(box.events, func(each *event) bool { return each == e })
	t.touchEvent(p, e, "deleted")
	return nil
}

func (t *Tenant) changeMeeting(user, ref string, change func(box *mailbox, e *event, date string) error) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	p, e, date, err := t.meeting(user, ref)
	if err != nil {
		return err
	}
	if err := change(p.mailbox, e, date); err != nil {
		return fmt.Errorf("calendar of %q: %w", user, err)
	}
	t.touchEvent(p, e, "updated")
	return nil
}

// meeting finds a meeting by id or number; an occurrence of a series by its id or as
// number@date. t.mu is held.
func (t *Tenant) meeting(user, ref string) (p *person, e *event, date string, err error) {
	if p = t.lookup(user); p == nil {
		return nil, nil, "", t.noUser(user)
	}
	box := p.mail()
	number, day, dated := strings.Cut(ref, "@")
	if n, failed := strconv.Atoi(number); failed == nil {
		if i := slices.IndexFunc(box.events, func(e *event) bool { return e.Number == n }); i >= 0 {
			e, date = box.events[i], day
		}
	} else if key, day, ok := parseEventID(ref); ok {
		e, date, dated = box.byKey[key], day, day != ""
	}
	if e == nil || dated && !e.takesPlaceOn(date) {
		return nil, nil, "", fmt.Errorf("meeting %q of %s: %w (give an id, a number, or number@2026-12-31 for one of a series)", ref, p.local, ErrNotFound)
	}
	return p, e, date, nil
}

// touchEvent records that an event is new, changed or gone. t.mu is held.
func (t *Tenant) touchEvent(p *person, e *event, change string) {
	now := t.server.now()
	e.stamp, e.changed = t.nextStamp(now), now
	p.mailbox.log = append(p.mailbox.log, eventChange{e.stamp, e.key})
	t.notifyEvent(p, e.key, change, e.etag())
}

// Meetings lists the meetings in a user's calendar as they were given.
func (t *Tenant) Meetings(user string) ([]Meeting, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	p := t.lookup(user)
	if p == nil {
		return nil, t.noUser(user)
	}
	list := []Meeting{}
	for _, e := range p.mail().events {
		list = append(list, e.Meeting)
	}
	return list, nil
}

// Calendar is the truth about a user's time: everything that overlaps [from, to), by
// start. Cancelled events are in it, deleted ones are not.
func (t *Tenant) Calendar(user string, from, to time.Time) ([]Occurrence, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	p := t.lookup(user)
	if p == nil {
		return nil, t.noUser(user)
	}
	return p.mail().between(from, to), nil
}

// between lists what overlaps [from, to), by start and id. t.mu is held.
func (m *mailbox) between(from, to time.Time) []Occurrence {
	home, found := m.home(), []Occurrence{}
	for _, e := range m.events {
		found = append(found, e.occurrences(from, to, home)...)
	}
	slices.SortFunc(found, func(a, b Occurrence) int {
		if order := a.Start.Compare(b.Start); order != 0 {
			return order
		}
		return strings.Compare(a.ID, b.ID)
	})
	return found
}

// Meeting returns one meeting as it was given, without what became of its series'
// occurrences.
func (t *Tenant) Meeting(user, ref string) (Meeting, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	_, e, _, err := t.meeting(user, ref)
	if err != nil {
		return Meeting{}, err
	}
	return e.Meeting, nil
}

// zoneOf is the zone that a name means, "" the one of a user's mailbox.
func (t *Tenant) zoneOf(user, name string) (*time.Location, error) {
	if name == "" {
		return t.homeOf(user)
	}
	zone, err := graph.ParseZone(name)
	if err != nil {
		return nil, fmt.Errorf("meeting: %w", err)
	}
	return zone, nil
}
