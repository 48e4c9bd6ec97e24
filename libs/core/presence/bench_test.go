package presence_test

import (
	"testing"
	"time"

	"offhook.dev/libs/core/calendar"
	"offhook.dev/libs/core/presence"
)

// BenchmarkDecide is a person in the middle of a full day: sixty meetings, a call, a
// choice preferred in Teams, and a reading that changes something.
func BenchmarkDecide(b *testing.B) {
	o := presence.DefaultOptions()
	o.Mode = presence.Both
	v := linked(o)
	var day []calendar.Interval
	for n := range 60 {
		day = append(day, calendar.Interval{From: at(30 * n), To: at(30*n + 20), Class: calendar.Busy})
	}
	for _, f := range []presence.Fact{presence.CalendarReading{SeenAt: at(1), Intervals: day}, teams("Available", at(1)),
		phoneShows(presence.DND, presence.Person, 2, at(2)), presence.CallReading{Line: lineOf(0), Calls: 1, SeenAt: at(3)}, teams("DoNotDisturb", at(4))} {
		v = presence.Decide(v.Memory, f, o, at(4))
	}
	for name, f := range map[string]presence.Fact{"reading": teams("Busy", at(5)), "tick": presence.Tick{}} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				presence.Decide(v.Memory, f, o, at(5).Add(time.Second))
			}
		})
	}
}
