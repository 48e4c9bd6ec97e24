package asterisksim

import "time"

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

// Inject adds a fault.
func (s *Sim) Inject(f Fault) { s.faults.Add(f, f.Skip, f.Times) }

// ClearFaults ends all faults and lets go of actions that hang: they are not done.
func (s *Sim) ClearFaults() { s.faults.Clear() }
