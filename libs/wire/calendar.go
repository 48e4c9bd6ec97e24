package wire

import (
	"time"

	"offhook.dev/libs/core/calendar"
	"offhook.dev/libs/core/identity"
	eventv1 "offhook.dev/proto/gen/offhook/event/v1"
)

// Calendar is when someone is busy, out of office or elsewhere in a window of time.
type Calendar struct {
	Person    identity.Person
	From, To  time.Time           // the window that was read
	Intervals []calendar.Interval // as calendar.Reduce returns them
	// Problem says why there is no calendar to read ("no mailbox", "denied"); "" where
	// there is one.
	Problem string
	SeenAt  time.Time // broker time, before the request was sent
}

// Encode implements Message.
func (c Calendar) Encode() (string, []byte) {
	m := &eventv1.CalendarFact{Tenant: string(c.Person.Tenant), User: string(c.Person.User),
		From: stamp(c.From), To: stamp(c.To), Problem: clean(c.Problem), SeenAt: stamp(c.SeenAt)}
	for _, i := range c.Intervals {
		m.Intervals = append(m.Intervals, &eventv1.Interval{Class: string(i.Class), From: stamp(i.From), To: stamp(i.To)})
	}
	return CalendarSubject(c.Person), marshal(m)
}

// CalendarSubject is the subject of a person's calendar.
func CalendarSubject(p identity.Person) string { return "m365.fact.calendar." + PersonKey(p) }

// DecodeCalendar is the inverse of Calendar.Encode. A class that this build does not
// know is calendar.Unknown.
func DecodeCalendar(data []byte) (Calendar, error) {
	var m eventv1.CalendarFact
	if err := unmarshal(data, &m); err != nil {
		return Calendar{}, err
	}
	who, err := person("wire: calendar", m.Tenant, m.User)
	if err != nil {
		return Calendar{}, err
	}
	c := Calendar{Person: who, From: moment(m.From), To: moment(m.To), Problem: m.Problem, SeenAt: moment(m.SeenAt)}
	for _, i := range m.Intervals {
		c.Intervals = append(c.Intervals, calendar.Interval{Class: calendar.ParseClass(i.Class), From: moment(i.From), To: moment(i.To)})
	}
	return c, nil
}
