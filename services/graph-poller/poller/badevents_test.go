package poller

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"offhook.dev/libs/core/calendar"
	"offhook.dev/libs/graph/graphsim"
)

// What no Exchange should send, over the wire and up to the stored fact: each costs
// itself alone, and is counted with its cause.
func TestEventsThatCannotBeCostThemselvesAlone(t *testing.T) {
	const zoneless, unknown, timeless = "the start of an event is in no known time zone", "the end of an event is in no known time zone", "the end of an event is not a time"
	ills := []struct{ name, spoil, cause string }{
		{"without an end", `{"end":null}`, unknown},
		{"ending at no time", `{"end":{"dateTime":"tomorrow","timeZone":"UTC"}}`, timeless},
		{"ending at an overlong text", `{"end":{"dateTime":"` + strings.Repeat("2026-11-23T08:00:00", 4000) + `","timeZone":"UTC"}}`, timeless},
		{"ending before it begins", `{"end":{"dateTime":"2020-01-01T00:00:00","timeZone":"UTC"}}`, "an event ends before it begins"},
		{"without a zone", `{"start":{"dateTime":"2026-11-23T08:00:00"}}`, zoneless},
		{"in a zone that there is not", `{"end":{"dateTime":"2026-11-23T08:00:00","timeZone":"Mars Standard Time"}}`, unknown},
		{"of centuries", `{"start":{"dateTime":"1800-01-01T00:00:00","timeZone":"UTC"}}`, "an event lasts longer than a calendar view"},
		{"of another shape", `{"start":"08:00"}`, "an event cannot be read"},
	}
	s := newStage(t, 1, nil)
	user := s.users()[0]
	s.link(contoso, user)
	hour := time.Now().Truncate(time.Hour).Add(time.Hour)
	put := func(from time.Time) {
		_, err := s.tenant().AddMeeting(string(user), graphsim.Meeting{Start: from, End: from.Add(30 * time.Minute)})
		must(t, err)
	}
	want := map[string]float64{}
	for i, ill := range ills {
		put(hour)
		var properties map[string]json.RawMessage
		must(t, json.Unmarshal([]byte(ill.spoil), &properties))
		must(t, s.tenant().SpoilMeeting(string(user), fmt.Sprint(i+1), properties))
		want[ill.cause]++
	}
	put(hour.Add(2 * time.Hour)) // which is well
	conf, _ := s.config(never)
	conf.Presence, conf.Calendar, conf.Calendars = false, true, never
	s.run(conf)
	good := calendar.Interval{From: hour.Add(2 * time.Hour).UTC(), To: hour.Add(150 * time.Minute).UTC(), Class: calendar.Busy}
	s.shows(user, good)
	for cause, n := range want {
		if got := s.metric("offhook_calendar_dropped_events_total", cause); got != n {
			t.Errorf("%s: counted %v, want %v", cause, got, n)
		}
	}
}
