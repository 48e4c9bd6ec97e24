package graphwriter

import (
	"fmt"
	"testing"
	"time"

	"offhook.dev/libs/wire"
)

// inACall puts somebody into a call that Teams has shown for a minute, as far as the pins
// know, and starts the service.
func (s *stage) inACall(i int) {
	s.t.Helper()
	s.opts.MinutePass = 20 * time.Millisecond
	now := s.bus.Now()
	w := s.calling(i)
	s.put(i, entry{Revision: w.Revision, Result: wire.Applied, Session: &pin{Show: call, SetAt: now.Add(-time.Minute), Until: w.SessionUntil}})
	s.teams.with(i, func(seat *seat) { seat.sessions[app] = life{call, now.Add(9 * time.Minute)} })
	s.publish(w)
	s.run("a")
}

// readAgain waits until Graph was asked what somebody shows some more times.
func (s *stage) readAgain(i, times int) {
	s.t.Helper()
	first := -1
	s.eventually(func() (why string) {
		s.teams.with(i, func(seat *seat) {
			if first < 0 {
				first = seat.reads
			}
			if seat.reads < first+times {
				why = fmt.Sprintf("read %d times", seat.reads-first)
			}
		})
		return why
	})
}

// Graph lets a session fade that was granted for longer. Once it had been seen to show, the
// pass notices that it does not, and sets it again.
func TestASessionThatFadesIsSetAgain(t *testing.T) {
	s := newStage(t)
	s.inACall(0)
	s.readAgain(0, 2)
	s.wrote(0) // it shows: nothing is to be done
	s.teams.with(0, func(seat *seat) { delete(seat.sessions, app) })
	s.shows(0, call)
	s.wrote(0, "session "+call)
}

// What is not there to be seen is no reason to write again and again.
func TestASessionThatIsCoveredIsSetAgainOnceAtMost(t *testing.T) {
	for _, c := range []struct {
		name  string
		cover func(*seat)
		want  []string
	}{
		{"the person prefers to be available: it may have faded", func(seat *seat) { seat.preferred = life{"Available/Available", time.Now().Add(time.Hour)} }, []string{"session " + call}},
		{"the person presents: that is busier", func(seat *seat) { seat.client = "DoNotDisturb/Presenting" }, nil},
		{"the person is in a meeting: as busy", func(seat *seat) {
			seat.client = "Busy/InAMeeting"
			delete(seat.sessions, app)
		}, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newStage(t)
			s.inACall(0)
			s.readAgain(0, 2)
			s.teams.with(0, c.cover)
			if c.want == nil {
				s.readAgain(0, 3)
			} else {
				s.passes()
				s.passes()
			}
			s.wrote(0, c.want...)
		})
	}
}

// A session that no reading has ever shown is accepted and not visible: nobody writes on.
func TestASessionThatWasNeverSeenIsLeftAsItIs(t *testing.T) {
	s := newStage(t)
	s.teams.with(0, func(seat *seat) { seat.preferred = life{"Available/Available", time.Now().Add(time.Hour)} })
	s.inACall(0)
	s.readAgain(0, 3)
	s.wrote(0)
}
