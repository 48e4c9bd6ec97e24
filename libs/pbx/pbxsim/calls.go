package pbxsim

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"offhook.dev/libs/core/identity"
)

// CallState is how far a call has come.
type CallState string

// A call rings and then is connected, or ends.
const (
	Ringing   CallState = "ringing"
	Connected CallState = "connected"
)

// Call is a call between an extension and another one, or the outside.
type Call struct {
	ID    int                `json:"id"` // 1, 2, ...
	From  identity.Extension `json:"from"`
	To    string             `json:"to"` // an extension or a number
	State CallState          `json:"state"`
	Since time.Time          `json:"since"` // when it began to ring
}

// call is a call inside: a leg for each extension that takes part.
type call struct {
	Call
	legs []leg
}

// leg is one extension's part in a call: what the face calls a participant.
type leg struct {
	id    int32
	ext   identity.Extension
	party string // the other end
}

// outside is who calls when nobody says.
const outside = "+4930555000"

// Ring lets an extension call another one or a number; "" is a number outside.
func (s *Sim) Ring(from identity.Extension, to string) (Call, error) {
	s.world.mu.Lock()
	defer s.world.mu.Unlock()
	return s.world.ring(from, cmp.Or(to, outside), Ringing)
}

// StartCall is Ring with a call that is answered at once.
func (s *Sim) StartCall(from identity.Extension, to string) (Call, error) {
	s.world.mu.Lock()
	defer s.world.mu.Unlock()
	return s.world.ring(from, cmp.Or(to, outside), Connected)
}

// Answer connects a call that rings. It says whether there is one.
func (s *Sim) Answer(id int) bool {
	s.world.mu.Lock()
	defer s.world.mu.Unlock()
	c := s.world.call(id)
	if c == nil {
		return false
	}
	c.State = Connected
	s.world.announce(c, upset)
	return true
}

// HangUp ends a call. It says whether there was one.
func (s *Sim) HangUp(id int) bool {
	s.world.mu.Lock()
	defer s.world.mu.Unlock()
	c := s.world.call(id)
	if c != nil {
		s.world.hangUp(c)
	}
	return c != nil
}

// EndCalls ends all calls of an extension and returns how many there were.
func (s *Sim) EndCalls(ext identity.Extension) int {
	s.world.mu.Lock()
	defer s.world.mu.Unlock()
	ended := 0
	for _, c := range slices.Clone(s.world.calls) {
		if slices.ContainsFunc(c.legs, func(l leg) bool { return l.ext == ext }) {
			s.world.hangUp(c)
			ended++
		}
	}
	return ended
}

// Calls returns the calls that ring or are connected, oldest first.
func (s *Sim) Calls() []Call {
	s.world.mu.Lock()
	defer s.world.mu.Unlock()
	all := make([]Call, 0, len(s.world.calls))
	for _, c := range s.world.calls {
		all = append(all, c.Call)
	}
	return all
}

// ring makes a call. mu is held.
func (w *world) ring(from identity.Extension, to string, state CallState) (Call, error) {
	other, inside := w.byNumber[identity.Extension(to)]
	switch {
	case w.byNumber[from] == nil:
		return Call{}, fmt.Errorf("there is no extension %q", from)
	case inside && other.Number == from:
		return Call{}, fmt.Errorf("%s cannot call itself", from)
	}
	w.callCount++
	c := &call{Call: Call{ID: w.callCount, From: from, To: to, State: state, Since: time.Now()}}
	c.legs = append(c.legs, leg{w.legID(), from, to})
	if inside {
		c.legs = append(c.legs, leg{w.legID(), other.Number, string(from)})
	}
	w.calls = append(w.calls, c)
	w.announce(c, upset)
	return c.Call, nil
}

func (w *world) legID() int32 {
	w.legCount++
	return w.legCount
}

// call finds a call, or nil. mu is held.
func (w *world) call(id int) *call {
	for _, c := range w.calls {
		if c.ID == id {
			return c
		}
	}
	return nil
}

// hangUp ends a call. mu is held.
func (w *world) hangUp(c *call) {
	w.calls = slices.DeleteFunc(w.calls, func(other *call) bool { return other == c })
	w.announce(c, remove)
}

// announce tells those who watch of a change of each leg. mu is held.
func (w *world) announce(c *call, kind eventKind) {
	for _, l := range c.legs {
		if w.monitored(l.ext) {
			w.watchers.tell(kind, participantPath(l))
		}
	}
}

// monitored says whether clients may see the calls of an extension.
func (w *world) monitored(ext identity.Extension) bool {
	return w.seen == nil || slices.Contains(w.seen, ext)
}
