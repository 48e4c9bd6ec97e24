package mapper

import (
	"fmt"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"offhook.dev/libs/bus"
	"offhook.dev/libs/core/calendar"
	"offhook.dev/libs/core/presence"
	"offhook.dev/libs/topology"
	"offhook.dev/libs/wire"
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

// A timer fires twice, because the broker tells it again after its ack was lost, or once
// more when all is over. Each time is a reason to look, and there is nothing to see: no
// decision, no want, and memory and the one timer are as they were. (It costs a write of
// the same memory: a fire that came too early could not be told from it.)
func TestAFireThatIsRepeatedChangesNothing(t *testing.T) {
	s := newStage(t)
	s.afterAMeeting(300 * time.Millisecond)
	s.wants(0, presence.Available) // by the timer
	s.idle()
	s.fired(0)
	timer := "timer." + wire.PersonKey(person(0))
	all := func() string {
		memory, err := s.memory.Get(t.Context(), wire.PersonKey(person(0)))
		if err != nil {
			t.Fatal(err)
		}
		wants, err := s.stream(topology.Wants).Info(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		timers, err := s.stream(topology.Timers).Info(t.Context(), jetstream.WithSubjectFilter(timer))
		if err != nil {
			t.Fatal(err)
		}
		return fmt.Sprintf("%d decisions, wants up to %d, %d timers, %s", len(s.decisions(0)), wants.State.LastSeq, timers.State.Subjects[timer], memory.Value)
	}
	before := all()
	for range 3 {
		sequence, err := s.bus.Publish(t.Context(), bus.Message{Subject: "fire." + wire.PersonKey(person(0))})
		if err != nil {
			t.Fatal(err)
		}
		s.fired(sequence)
		if after := all(); after != before {
			t.Errorf("before the fire:\n%s\nnow:\n%s", before, after)
		}
	}
	// The control: what does change is seen. That a fire is looked at, others show.
	s.teams(0, "Busy", s.bus.Now())
	s.wants(0, presence.DND)
	if after := all(); after == before {
		t.Error("the test does not see a change")
	}
}

// fired waits until every fire up to one has been dealt with.
func (s *stage) fired(sequence uint64) {
	s.t.Helper()
	s.eventually(func() string {
		c, err := s.bus.JetStream().Consumer(s.t.Context(), string(topology.Timers), "presence-mapper-fires")
		if err != nil {
			return err.Error()
		}
		if is := c.CachedInfo(); is.NumAckPending > 0 || is.NumPending > 0 || is.Delivered.Stream < sequence {
			return "fires are waiting"
		}
		return ""
	})
}
