package asterisksim

import (
	"sync"
	"time"
)

// FaultKind is a way to misbehave.
type FaultKind string

// The kinds.
const (
	ShuttingDown FaultKind = "shutting-down" // nothing is done, and it says so
	Deny         FaultKind = "deny"          // the right for the action is missing
	Refuse       FaultKind = "refuse"        // refused with the words Text
	Hang         FaultKind = "hang"          // nothing is done and nothing answered, until ClearFaults
	LostAnswer   FaultKind = "lost-answer"   // done, then the connection is cut
	Garbage      FaultKind = "garbage"       // a page of the web instead of an answer
	Huge         FaultKind = "huge"          // a line without end, as far as anybody would read it
	Truncated    FaultKind = "truncated"     // half an answer, then the connection is cut
	Endless      FaultKind = "endless"       // a list is given up half way (EventList: cancelled)
	Stranger     FaultKind = "stranger"      // answers to actions that nobody sent come first
	Hollow       FaultKind = "hollow"        // success, without what was asked for
	Slow         FaultKind = "slow"          // as it should be, Delay later
	Forget       FaultKind = "forget"        // success, and nothing is done
	Odd          FaultKind = "odd"           // texts have other charsets and line ends in them
)

// Fault is one kind of misbehaviour, for some actions.
type Fault struct {
	Kind  FaultKind
	Delay time.Duration // of Slow
	Text  string        // of Refuse
	Only  string        // "read", "write", or the name of an action; "": all but signing in
	Skip  int           // how many of them it lets pass first
	Times int           // how many it meets; 0: all, until ClearFaults
}

func (f Fault) meets(name string, write bool) bool {
	switch f.Only {
	case "":
		return true
	case "read":
		return !write
	case "write":
		return write
	}
	return f.Only == name
}

type faults struct {
	mu      sync.Mutex
	active  []*Fault
	cleared chan struct{} // closed by release, which lets go of what hangs
}

func newFaults() *faults { return &faults{cleared: make(chan struct{})} }

// Inject adds a fault.
func (s *Sim) Inject(f Fault) {
	s.faults.mu.Lock()
	defer s.faults.mu.Unlock()
	s.faults.active = append(s.faults.active, &f)
}

// ClearFaults ends all faults and lets go of actions that hang: they are not done.
func (s *Sim) ClearFaults() {
	s.faults.mu.Lock()
	s.faults.active = nil
	s.faults.mu.Unlock()
	s.faults.release()
}

func (f *faults) release() {
	f.mu.Lock()
	defer f.mu.Unlock()
	close(f.cleared)
	f.cleared = make(chan struct{})
}

// pick takes what happens to an action: at most one fault, the oldest that applies.
func (f *faults) pick(name string, write bool) (Fault, <-chan struct{}) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for i, candidate := range f.active {
		if !candidate.meets(name, write) {
			continue
		}
		if candidate.Skip > 0 {
			candidate.Skip--
			continue
		}
		picked := *candidate
		switch candidate.Times {
		case 0:
		case 1:
			f.active = append(f.active[:i:i], f.active[i+1:]...)
		default:
			candidate.Times--
		}
		return picked, f.cleared
	}
	return Fault{}, f.cleared
}
