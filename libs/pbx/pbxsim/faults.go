package pbxsim

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"sync"
	"time"

	"offhook.dev/libs/pbx/simfault"
)

// FaultKind is a way to misbehave.
type FaultKind string

// The kinds. Latency combines with the others; of those the first that applies
// happens.
const (
	Latency     FaultKind = "latency"      // answers Delay later
	Throttle    FaultKind = "throttle"     // 429, Retry-After Delay
	Unavailable FaultKind = "unavailable"  // 503, Retry-After Delay if there is one; nothing is done
	Broken      FaultKind = "broken"       // 500; nothing is done, which the client cannot know
	Deny        FaultKind = "deny"         // 403 for want of a role
	Unlicensed  FaultKind = "unlicensed"   // 403 for want of a licence
	Hang        FaultKind = "hang"         // no answer, nothing is done, until the client leaves
	LostAnswer  FaultKind = "lost-answer"  // done, then the connection is cut
	Garbage     FaultKind = "garbage"      // 200 with something else
	ErrorInside FaultKind = "error-inside" // 200 with an error in the body; nothing is done
	Truncated   FaultKind = "truncated"    // done, then half an answer, and the connection is cut
	Huge        FaultKind = "huge"         // 200 without end; nothing is done
	Latin       FaultKind = "latin"        // as it should be, but in ISO 8859-1
	Forget      FaultKind = "forget"       // changes and deletions: 204, and nothing is done
)

// What can go wrong with the events of a websocket. Each meets one event of one
// client at a time.
const (
	EventLost    FaultKind = "event-lost"    // its number is missing
	EventTwice   FaultKind = "event-twice"   // comes a second time
	EventLate    FaultKind = "event-late"    // comes after the next one
	EventGarbled FaultKind = "event-garbled" // makes no sense
)

func (k FaultKind) event() bool {
	return k == EventLost || k == EventTwice || k == EventLate || k == EventGarbled
}

// Fault is one kind of misbehaviour, for some requests.
type Fault struct {
	Kind  FaultKind
	Delay time.Duration // see the kinds
	Times int           // how many requests or events it meets; 0: all, until ClearFaults
	Only  string        // "read", "write", "token"; "": reads and writes; means nothing to events
}

// faultJSON is a Fault on the control interface, with a readable delay.
type faultJSON struct {
	Kind  FaultKind `json:"kind"`
	Delay string    `json:"delay,omitempty"`
	Times int       `json:"times,omitempty"`
	Only  string    `json:"only,omitempty"`
}

// UnmarshalJSON takes the delay as "1.5s" and refuses what is not a fault.
func (f *Fault) UnmarshalJSON(data []byte) error {
	var j faultJSON
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&j); err != nil {
		return err
	}
	*f = Fault{Kind: j.Kind, Times: j.Times, Only: j.Only}
	if j.Delay != "" {
		delay, err := time.ParseDuration(j.Delay)
		if err != nil || delay < 0 {
			return fmt.Errorf("delay %q is not a duration like \"1.5s\"", j.Delay)
		}
		f.Delay = delay
	}
	return f.check()
}

// MarshalJSON writes what UnmarshalJSON reads.
func (f Fault) MarshalJSON() ([]byte, error) {
	return json.Marshal(faultJSON{f.Kind, f.Delay.String(), f.Times, f.Only})
}

func (f Fault) check() error {
	switch f.Kind {
	case Latency, Throttle, Unavailable, Broken, Deny, Unlicensed, Hang, LostAnswer, Garbage, ErrorInside,
		Truncated, Huge, Latin, Forget, EventLost, EventTwice, EventLate, EventGarbled:
	default:
		return fmt.Errorf("fault kind %q is none of latency, throttle, unavailable, broken, deny, unlicensed, hang, lost-answer, garbage, error-inside, truncated, huge, latin, forget, event-lost, event-twice, event-late, event-garbled", f.Kind)
	}
	switch f.Only {
	case "", "read", "write", "token":
		return nil
	}
	return fmt.Errorf("only %q is none of read, write, token", f.Only)
}

func (f Fault) meets(r request) bool {
	switch {
	case f.Kind.event():
		return false
	case f.Kind == Forget && r.Method != http.MethodPatch && r.Method != http.MethodDelete:
		return false
	}
	switch f.Only {
	case "token":
		return r.token()
	case "write":
		return r.write()
	case "read":
		return !r.token() && !r.write()
	}
	return !r.token()
}

type faults struct {
	mu      sync.Mutex
	active  []*Fault
	cleared chan struct{} // closed by clear, which lets go of what hangs
}

func newFaults() *faults { return &faults{cleared: make(chan struct{})} }

// Inject adds a fault. It panics on one that does not exist: a test's mistake.
func (s *Sim) Inject(f Fault) {
	if err := f.check(); err != nil {
		panic("pbxsim: " + err.Error())
	}
	s.faults.mu.Lock()
	defer s.faults.mu.Unlock()
	s.faults.active = append(s.faults.active, &f)
}

// ClearFaults ends all faults and lets go of requests that hang.
func (s *Sim) ClearFaults() {
	s.faults.mu.Lock()
	defer s.faults.mu.Unlock()
	s.faults.active = nil
	close(s.faults.cleared)
	s.faults.cleared = make(chan struct{})
}

// Faults returns those still to come.
func (s *Sim) Faults() []Fault {
	s.faults.mu.Lock()
	defer s.faults.mu.Unlock()
	all := make([]Fault, 0, len(s.faults.active))
	for _, f := range s.faults.active {
		all = append(all, *f)
	}
	return all
}

// pick takes what happens to r: a delay, and at most one other fault.
func (f *faults) pick(r request) (latency time.Duration, fault *Fault, cleared <-chan struct{}) {
	f.mu.Lock()
	defer f.mu.Unlock()
	kept := f.active[:0]
	for _, candidate := range f.active {
		if !candidate.meets(r) || candidate.Kind != Latency && fault != nil {
			kept = append(kept, candidate)
			continue
		}
		if candidate.Kind == Latency {
			latency += candidate.Delay
		} else {
			fault = candidate
		}
		if candidate.Times != 1 {
			kept = append(kept, candidate)
		}
		if candidate.Times > 1 {
			candidate.Times--
		}
	}
	f.active = kept
	return latency, fault, f.cleared
}

// pickEvent takes what happens to an event: "" for nothing.
func (f *faults) pickEvent() FaultKind {
	f.mu.Lock()
	defer f.mu.Unlock()
	for i, candidate := range f.active {
		if !candidate.Kind.event() {
			continue
		}
		switch candidate.Times {
		case 0:
		case 1:
			f.active = append(f.active[:i:i], f.active[i+1:]...)
		default:
			candidate.Times--
		}
		return candidate.Kind
	}
	return ""
}

// apply answers r with handle, or with what is wrong today.
func (f *faults) apply(w http.ResponseWriter, r request, handle func(http.ResponseWriter)) {
	latency, fault, cleared := f.pick(r)
	if latency > 0 {
		timer := time.NewTimer(latency)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-cleared:
		case <-r.Context().Done():
			panic(http.ErrAbortHandler)
		}
	}
	if fault == nil {
		handle(w)
		return
	}
	switch fault.Kind {
	case Throttle:
		retryAfter(w, fault.Delay)
		refuse(w, http.StatusTooManyRequests, "TooManyRequests", "Too many requests.")
	case Unavailable:
		retryAfter(w, fault.Delay)
		w.WriteHeader(http.StatusServiceUnavailable)
	case Broken:
		refuse(w, http.StatusInternalServerError, "InternalError", "Something went wrong.")
	case Deny:
		refuse(w, http.StatusForbidden, "Forbidden", "The role does not permit this.")
	case Unlicensed:
		refuse(w, http.StatusForbidden, "LicenseLimitation", "Your license does not allow the use of the API.")
	case Garbage:
		w.Header().Set("Content-Type", "text/html")
		fmt.Fprint(w, "<html><body>It works!</body></html>")
	case ErrorInside:
		refuse(w, http.StatusOK, "InternalError", "Something went wrong.")
	case Truncated:
		simfault.Cut(w, handle)
	case Huge:
		simfault.Flood(r.Context(), w)
	case Latin:
		simfault.Latin(w, handle)
	case Forget:
		w.WriteHeader(http.StatusNoContent)
	case LostAnswer:
		simfault.Unanswered(handle)
		panic(http.ErrAbortHandler)
	case Hang:
		select {
		case <-cleared:
		case <-r.Context().Done():
		}
		panic(http.ErrAbortHandler)
	}
}

func retryAfter(w http.ResponseWriter, delay time.Duration) {
	if delay > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(int((delay+time.Second-1)/time.Second)))
	}
}
