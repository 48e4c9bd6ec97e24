package poller

import (
	"testing"
	"time"

	"offhook.dev/libs/core/calendar"
	"offhook.dev/libs/graph"
)

// A calendar can change between its first reading and the moment from which Graph
// tells of changes. The sweep would find it a quarter of an hour later.
func TestWhatChangesBeforeTheFirstSubscriptionIsFoundAtOnce(t *testing.T) {
	s := newStage(t, 1, nil)
	user := s.users()[0]
	s.link(contoso, user)
	b := newDiaries()
	late := meeting(time.Now(), "busy", 10, 30)
	b.answer = func(n int, _ graph.CalendarRequest) []graph.CalendarEntry {
		if n == 1 {
			return nil
		}
		return []graph.CalendarEntry{late}
	}
	s.run(s.subscribed(b))
	s.everyone(user)
	s.shows(user, interval(late, calendar.Busy))
}
