package freeswitchsim

import (
	"strings"
	"time"

	"offhook.dev/libs/pbx/simfault"
)

// FaultKind is a way to misbehave.
type FaultKind string

// The kinds.
const (
	Deny        FaultKind = "deny"        // -ERR permission denied: esl-allowed-api does not have it
	Usage       FaultKind = "usage"       // -USAGE
	Drop        FaultKind = "drop"        // the connection is cut, nothing is done
	Notice      FaultKind = "notice"      // FreeSWITCH says good-bye, nothing is done
	Hang        FaultKind = "hang"        // no answer, nothing is done, until it is cleared; then a cut
	LostAnswer  FaultKind = "lost-answer" // done, then the connection is cut
	Garbage     FaultKind = "garbage"     // something that is no frame
	Huge        FaultKind = "huge"        // a length of a terabyte
	Truncated   FaultKind = "truncated"   // half an answer, then a cut
	Unasked     FaultKind = "unasked"     // the answer, and one more
	Interleaved FaultKind = "interleaved" // events before, between and after
	Slow        FaultKind = "slow"        // as it should be, Delay later
	Forget      FaultKind = "forget"      // accepted, and nothing is done
	Late        FaultKind = "late"        // of a job in the background: accepted, and done Delay later
)

// Fault is one kind of misbehaviour, for some commands.
type Fault struct {
	Kind  FaultKind
	Delay time.Duration // of Slow and Late
	Times int           // how many commands it meets; 0: all, until ClearFaults
	Only  string        // "read", "write", or how the commands begin; "": all
}

// writes are the commands that change something.
func (r request) writes() bool {
	return strings.HasPrefix(r.line, "sendevent ") || strings.HasPrefix(r.line, "api hash insert") || strings.HasPrefix(r.line, "api lua") ||
		strings.HasPrefix(r.line, "api memcache")
}

func (f Fault) meets(r request) bool {
	switch f.Only {
	case "read":
		return !r.writes()
	case "write":
		return r.writes()
	}
	return strings.HasPrefix(r.line, f.Only)
}

// faults are those still to come.
type faults struct{ *simfault.Queue[Fault] }

func newFaults() *faults { return &faults{simfault.New[Fault]()} }

// Inject adds a fault.
func (s *Sim) Inject(f Fault) { s.faults.Add(f, 0, f.Times) }

// ClearFaults ends all faults and lets go of commands that hang.
func (s *Sim) ClearFaults() { s.faults.Clear() }

// apply does a command, or what is wrong today. false ends the connection. do takes
// whether to answer.
func (f *faults) apply(p *peer, r request, do func(say bool)) bool {
	fault, cleared := f.Take(func(f Fault) bool { return f.Kind != Late && f.meets(r) })
	switch fault.Kind {
	case Deny:
		p.reply("-ERR permission denied")
	case Usage:
		p.response("-USAGE: [group <group>]\n")
	case Drop:
		return false
	case Notice:
		p.leave()
		return false
	case Hang:
		select {
		case <-cleared:
		case <-p.down:
		}
		return false
	case LostAnswer:
		do(false)
		return false
	case Garbage:
		p.write("HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n")
	case Huge:
		p.write("Content-Type: api/response\nContent-Length: 1099511627776\n\n+OK")
	case Truncated:
		p.write("Content-Type: api/response\nContent-Length: 100\n\n+OK")
		return false
	case Unasked:
		do(true)
		p.response("+OK nobody asked\n")
	case Interleaved:
		for range 3 {
			p.event("HEARTBEAT", map[string]string{"Event-Info": "System Ready"})
		}
		do(true)
		p.event("HEARTBEAT", map[string]string{"Event-Info": "System Ready"})
	case Slow:
		if !p.idle(fault.Delay, cleared) {
			return false
		}
		do(true)
	case Forget:
		if strings.HasPrefix(r.line, "api ") {
			p.response("+OK\n")
		} else {
			p.reply("+OK")
		}
	default:
		do(true)
	}
	return true
}

// late waits until a job is done that takes its time today: false if the simulator is down
// before that.
func (f *faults) late(p *peer, r request) bool {
	fault, cleared := f.Take(func(f Fault) bool { return f.Kind == Late && f.meets(r) })
	return p.idle(fault.Delay, cleared)
}

// idle lets some time pass, less if that is cleared: false if the simulator is down before.
func (p *peer) idle(delay time.Duration, cleared <-chan struct{}) bool {
	timer := time.NewTimer(delay)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-cleared:
	case <-p.down:
		return false
	}
	return true
}
