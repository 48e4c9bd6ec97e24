package portsipsim

import (
	"bytes"
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
	Elsewhere   FaultKind = "elsewhere"   // 307 to another host
	Slow        FaultKind = "slow"        // as it should be, Delay later
	Truncated   FaultKind = "truncated"   // done, and of the answer only a part arrives
	Huge        FaultKind = "huge"        // done, and the answer does not end for 17 MiB
	Latin       FaultKind = "latin"       // done, and the answer is in ISO 8859-1
	Forget      FaultKind = "forget"      // 200, and nothing is done
)

// Fault is one kind of misbehaviour, for some requests.
type Fault struct {
	Kind  FaultKind
	Delay time.Duration // see the kinds
	To    string        // where Elsewhere leads
	After int           // how many requests that it would meet it lets pass first
	Times int           // how many requests it meets; 0: all, until ClearFaults
	Only  string        // "read", "write", "sign-in"; "": reads and writes
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
		w.WriteHeader(http.StatusTemporaryRedirect)
	case LostAnswer:
		handle(nowhere{make(http.Header)})
		panic(http.ErrAbortHandler)
	case Truncated, Huge, Latin:
		f.spoil(w, fault.Kind, handle)
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

// spoil carries out a request and answers it with a body that is not as it should be.
func (f *faults) spoil(w http.ResponseWriter, kind FaultKind, handle func(http.ResponseWriter)) {
	kept := &buffer{header: w.Header(), status: http.StatusOK}
	handle(kept)
	body := kept.body.Bytes()
	switch kind {
	case Truncated:
		w.Header().Set("Content-Length", strconv.Itoa(len(body)+10))
	case Huge:
		body = append(bytes.Repeat([]byte(" "), 17<<20), body...)
	case Latin:
		var latin []byte
		for _, r := range string(body) {
			latin = append(latin, byte(r))
		}
		body = latin
	}
	w.WriteHeader(kept.status)
	_, _ = w.Write(body) // the client has left: its matter
	if kind == Truncated {
		panic(http.ErrAbortHandler)
	}
}

// buffer keeps an answer.
type buffer struct {
	header http.Header
	status int
	body   bytes.Buffer
}

func (b *buffer) Header() http.Header         { return b.header }
func (b *buffer) Write(p []byte) (int, error) { return b.body.Write(p) }
func (b *buffer) WriteHeader(status int)      { b.status = status }

// nowhere is where lost answers go.
type nowhere struct{ header http.Header }

func (n nowhere) Header() http.Header         { return n.header }
func (n nowhere) Write(p []byte) (int, error) { return len(p), nil }
func (n nowhere) WriteHeader(int)             {}
