package mapper

import (
	"testing"
	"time"

	"offhook.dev/libs/core/calendar"
	"offhook.dev/libs/core/presence"
)

// Two meetings overlap: when the second one begins, and when the first one ends, there
// is nothing to decide. The end of the second one is still looked at in its time, and
// not by the next minute pass.
func TestABoundaryAtWhichNothingChangesIsNotTheLast(t *testing.T) {
	s := newStage(t)
	s.options.Mode = presence.Calendar
	s.run("a")
	s.ready(0)
	s.wants(0, presence.Available)
	now := s.bus.Now().Truncate(time.Second)
	s.calendar(0, s.bus.Now(),
		calendar.Interval{From: now.Add(-time.Minute), To: now.Add(3 * time.Second), Class: calendar.Busy},
		calendar.Interval{From: now.Add(2 * time.Second), To: now.Add(4 * time.Second), Class: calendar.WorkingElsewhere})
	s.wants(0, presence.DND)
	s.wants(0, presence.Available)
}
