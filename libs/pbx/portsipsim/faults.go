package portsipsim

import (
	"cmp"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"offhook.dev/libs/pbx/simfault"
)

// FaultKind is a way to misbehave.
type FaultKind string

// The kinds.
const (
	Throttle    FaultKind = "throttle"    // 429, Retry-After Delay
	Unavailable FaultKind = "unavailable" // 503; nothing is done
	Broken      FaultKind = "broken"      // 500; nothing is done, which the client cannot know
	Deny        FaultKind = "deny"        // 403 for want of a right
	Hang        FaultKind = "hang"        // no answer, nothing is done, until the client leaves
	LostAnswer  FaultKind = "lost-answer" // done, then the connection is cut
	Garbage     FaultKind = "garbage"     // 200 with something else
	Elsewhere   FaultKind = "elsewhere"   // Status, to another host
	Slow        FaultKind = "slow"        // as it should be, Delay later
	Truncated   FaultKind = "truncated"   // done, and of the answer only a part arrives
	Huge        FaultKind = "huge"        // done, and the answer does not end
	Latin       FaultKind = "latin"       // done, and the answer is in ISO 8859-1
	Forget      FaultKind = "forget"      // 200, and nothing is done
)

// Fault is one kind of misbehaviour, for some requests.
type Fault struct {
	Kind   FaultKind
	Delay  time.Duration // see the kinds
	To     string        // where Elsewhere leads
	Status int           // with which status it does; 0: 307
	After  int           // how many requests that it would meet it lets pass first
	Times  int           // how many requests it meets; 0: all, until ClearFaults
	Only   string        // "read", "write", "sign-in"; "": reads and writes
}

func (f Fault) meets(r request) bool {
	switch f.Only {
	case "sign-in":
		return r.signsIn()
	case "write":
		return r.write()
	case "read":
		return !r.signsIn() && !r.write()
	}
	return !r.signsIn()
}

// faults are those still to come.
type faults struct{ *simfault.Queue[Fault] }

func newFaults() *faults { return &faults{simfault.New[Fault]()} }

// Inject adds a fault.
func (s *Sim) Inject(f Fault) { s.faults.Add(f, f.After, f.Times) }

// ClearFaults ends all faults and lets go of requests that hang.
func (s *Sim) ClearFaults() { s.faults.Clear() }

// apply answers r with handle, or with what is wrong today.
func (f *faults) apply(w http.ResponseWriter, r request, handle func(http.ResponseWriter)) {
	fault, cleared := f.Take(func(f Fault) bool { return f.meets(r) })
	switch fault.Kind {
	case "":
		handle(w)
	case Throttle:
		w.Header().Set("Retry-After", strconv.Itoa(int(fault.Delay/time.Second)))
		errorBody(w, http.StatusTooManyRequests, "TOO_MANY_REQUESTS", "too many requests")
	case Unavailable:
		w.WriteHeader(http.StatusServiceUnavailable)
	case Broken:
		errorBody(w, http.StatusInternalServerError, "UNKNOWN", "unknown error")
	case Deny:
		errorBody(w, http.StatusForbidden, "FORBIDDEN", "permission denied")
	case Garbage:
		w.Header().Set("Content-Type", "text/html")
		fmt.Fprint(w, "<html><body>It works!</body></html>")
	case Elsewhere:
		w.Header().Set("Location", fault.To+r.URL.RequestURI())
		w.WriteHeader(cmp.Or(fault.Status, http.StatusTemporaryRedirect))
	case LostAnswer:
		simfault.Unanswered(handle)
		panic(http.ErrAbortHandler)
	case Truncated:
		simfault.Cut(w, handle)
	case Huge:
		simfault.Unanswered(handle)
		simfault.Flood(r.Context(), w)
	case Latin:
		simfault.Latin(w, handle)
	case Forget:
		w.WriteHeader(http.StatusOK)
	case Slow:
		timer := time.NewTimer(fault.Delay)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-cleared:
		case <-r.Context().Done():
			panic(http.ErrAbortHandler)
		}
		handle(w)
	case Hang:
		select {
		case <-cleared:
		case <-r.Context().Done():
		}
		panic(http.ErrAbortHandler)
	}
}
