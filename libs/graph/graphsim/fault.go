package graphsim

import (
	"cmp"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"
)

// FaultKind is what goes wrong.
type FaultKind string

// The faults of requests, then those of notifications, those of subscriptions, and that
// of presence.
const (
	FaultStatus  FaultKind = "status"  // the answer is Status (429, 500, 503, 504, ...) with RetryAfter or RetryDate
	FaultLatency FaultKind = "latency" // the answer takes Delay longer
	FaultHangUp  FaultKind = "hang-up" // the connection ends without an answer
	FaultGarbage FaultKind = "garbage" // the answer is 200, and its second half is missing

	FaultLate    FaultKind = "late"    // sent after Delay
	FaultDouble  FaultKind = "double"  // sent twice
	FaultReorder FaultKind = "reorder" // sent after the next one to the same URL, at the latest after Delay
	FaultLose    FaultKind = "lose"    // never sent

	FaultSilent      FaultKind = "silent"       // the subscription lives but sends nothing
	FaultStuckExpiry FaultKind = "stuck-expiry" // PATCH answers 200 and changes nothing
	FaultMiss        FaultKind = "miss"         // never sent, but the lifecycle URL is told "missed"
	FaultRemove      FaultKind = "remove"       // instead of the notification the subscription ends, and its lifecycle URL is told so
	FaultReauthorize FaultKind = "reauthorize"  // the lifecycle URL is told "reauthorizationRequired" as well

	FaultFade FaultKind = "fade" // a presence session ends after Delay, whatever life it was granted
)

var faultKinds = []FaultKind{FaultStatus, FaultLatency, FaultHangUp, FaultGarbage, FaultLate, FaultDouble, FaultReorder,
	FaultLose, FaultSilent, FaultStuckExpiry, FaultMiss, FaultRemove, FaultReauthorize, FaultFade}

// Fault is something that goes wrong until it has happened Count times or For has
// passed, whichever is first; with neither until it is cleared.
type Fault struct {
	Kind         FaultKind
	Path         string        // requests: only paths that contain this, inside of batches too; "" is all of Graph over the wire, "/oauth2/" is the login
	User         string        // requests about this user, notifications of it and its sessions only: id, UPN or local part; "" is all
	Status       int           // of FaultStatus; 0 is 429
	RetryAfter   string        // header of FaultStatus, verbatim: "3", "2.128"; "" is no header
	RetryDate    time.Duration // instead of RetryAfter: an HTTP date so far ahead
	Delay        time.Duration // of FaultLatency, FaultLate, FaultReorder and FaultFade; 0 is one second for FaultReorder, five minutes for FaultFade
	Probability  float64       // in 0..1; 0 is 1
	Count        int           // 0 is no limit
	For          time.Duration // wall time; 0 is no limit
	Subscription string        // notifications and subscriptions: only this one; "" is all
	Resource     string        // notifications: only of "presence", "event", "user" or "lifecycle"; "" is all

	concurrency bool // of a 429: too many at a time, in Outlook's words
}

// ActiveFault is a Fault with its number and what is left of it.
type ActiveFault struct {
	ID    int
	Fault Fault
	Hits  int // how often it has happened
}

type activeFault struct {
	ActiveFault
	until time.Time // zero without a limit
}

// Fault makes something go wrong and returns its number, for ClearFault.
func (t *Tenant) Fault(f Fault) (int, error) {
	switch {
	case !slices.Contains(faultKinds, f.Kind):
		return 0, fmt.Errorf("fault %q is none of %v", f.Kind, faultKinds)
	case f.Probability < 0 || f.Probability > 1:
		return 0, fmt.Errorf("fault %s: probability %g is not in 0..1", f.Kind, f.Probability)
	case f.Status != 0 && (f.Status < 400 || f.Status > 599):
		return 0, fmt.Errorf("fault %s: status %d is not 400 to 599", f.Kind, f.Status)
	case f.Resource != "" && !slices.Contains([]string{"presence", "event", "user", "lifecycle"}, f.Resource):
		return 0, fmt.Errorf("fault %s: resource %q is none of presence, event, user, lifecycle", f.Kind, f.Resource)
	case f.Count < 0 || f.For < 0 || f.Delay < 0:
		return 0, fmt.Errorf("fault %s: count, for and delay must not be negative", f.Kind)
	}
	set(&f.Probability, 1)
	set(&f.Status, http.StatusTooManyRequests)
	if f.Kind == FaultReorder {
		set(&f.Delay, time.Second)
	}
	if f.Kind == FaultFade {
		set(&f.Delay, 5*time.Minute)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if f.User != "" {
		p := t.lookup(f.User)
		if p == nil {
			return 0, fmt.Errorf("fault %s: %w", f.Kind, t.noUser(f.User))
		}
		f.User = p.id
	}
	t.nextFault++
	active := &activeFault{ActiveFault: ActiveFault{ID: t.nextFault, Fault: f}}
	if f.For > 0 {
		active.until = time.Now().Add(f.For)
	}
	t.faults = append(t.faults, active)
	return active.ID, nil
}

// Faults lists the faults in force.
func (t *Tenant) Faults() []ActiveFault {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.expireFaults()
	list := make([]ActiveFault, 0, len(t.faults))
	for _, f := range t.faults {
		list = append(list, f.ActiveFault)
	}
	return list
}

// ClearFault ends one fault.
func (t *Tenant) ClearFault(id int) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	before := len(t.faults)
	t.faults = slices.DeleteFunc(t.faults, func(f *activeFault) bool { return f.ID == id })
	if len(t.faults) == before {
		return fmt.Errorf("fault %d: %w", id, ErrNotFound)
	}
	return nil
}

// ClearFaults ends all faults.
func (t *Tenant) ClearFaults() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.faults = nil
}

func (t *Tenant) expireFaults() {
	now := time.Now()
	t.faults = slices.DeleteFunc(t.faults, func(f *activeFault) bool {
		return !f.until.IsZero() && now.After(f.until) || f.Fault.Count > 0 && f.Hits >= f.Fault.Count
	})
}

// strike says whether a fault of a kind happens now to what matches, and counts it.
// t.mu is held for writing.
func (t *Tenant) strike(kind FaultKind, matches func(Fault) bool) (Fault, bool) {
	if len(t.faults) == 0 {
		return Fault{}, false
	}
	t.expireFaults()
	for _, f := range t.faults {
		if f.Fault.Kind == kind && matches(f.Fault) && (f.Fault.Probability >= 1 || t.random.Float64() < f.Fault.Probability) {
			f.Hits++
			return f.Fault, true
		}
	}
	return Fault{}, false
}

// strikeRequest is strike for a request.
func (t *Tenant) strikeRequest(kind FaultKind, r *http.Request) (Fault, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	path, inside := r.URL.Path, r.Context().Value(insideBatch{}) != nil
	return t.strike(kind, func(f Fault) bool {
		if f.User != "" {
			p := t.exact(r.PathValue("user"))
			return p != nil && p.id == f.User && strings.Contains(path, f.Path)
		}
		if f.Path == "" {
			return !inside && strings.HasPrefix(path, "/v1.0/")
		}
		return strings.Contains(path, f.Path)
	})
}

// pass applies latency and hang-ups; it returns the status fault to answer, if any,
// and false when the client is gone.
func (t *Tenant) pass(r *http.Request) (status *Fault, alive bool) {
	if f, ok := t.strikeRequest(FaultLatency, r); ok {
		wait := time.NewTimer(f.Delay)
		defer wait.Stop()
		select {
		case <-wait.C:
		case <-r.Context().Done():
			return nil, false
		case <-t.server.ctx.Done():
			return nil, false
		}
	}
	if _, ok := t.strikeRequest(FaultHangUp, r); ok {
		panic(http.ErrAbortHandler) // net/http's way to drop a connection
	}
	if f, ok := t.strikeRequest(FaultStatus, r); ok {
		return &f, true
	}
	return nil, true
}

// passGraph lets a request through faults and quotas, or answers it. over is the
// refusal of its mailbox, or nil.
func (t *Tenant) passGraph(w http.ResponseWriter, c *call, scope string, over *Fault) bool {
	t.checkRespite(c, scope)
	f, alive := t.pass(c.Request)
	if !alive {
		return false
	}
	if f == nil {
		f = over
	}
	if f == nil {
		if f = t.overQuota(c); f == nil {
			return true
		}
	}
	t.rest(c, scope, *f)
	t.server.writeGraphError(w, statusError(*f))
	return false
}

// statusError is the answer of a FaultStatus in Graph's shape
// (learn.microsoft.com/graph/throttling for 429).
func statusError(f Fault) *graphError {
	codes := map[int][2]string{
		http.StatusTooManyRequests:     {"TooManyRequests", "Please retry again later."},
		http.StatusInternalServerError: {"generalException", "An unexpected error occurred."},
		http.StatusServiceUnavailable:  {"serviceNotAvailable", "The service is temporarily unavailable. Please retry later."},
		http.StatusGatewayTimeout:      {"UnknownError", "The gateway did not receive a timely response."},
	}
	text := codes[f.Status]
	e := graphErr(f.Status, cmp.Or(text[0], "UnknownError"), "%s", cmp.Or(text[1], http.StatusText(f.Status)))
	e.header = http.Header{}
	setRetryAfter(e.header, f)
	if f.Status == http.StatusTooManyRequests {
		e.inner = map[string]any{"code": "429", "status": "429", "message": text[1]}
	}
	if f.concurrency { // seen in the field: magodo/terraform-provider-outlook#21
		e.code, e.message = "ApplicationThrottled", "Application is over its MailboxConcurrency limit."
	}
	return e
}

func setRetryAfter(header http.Header, f Fault) {
	switch {
	case f.RetryDate > 0:
		header.Set("Retry-After", time.Now().Add(f.RetryDate).UTC().Format(http.TimeFormat))
	case f.RetryAfter != "":
		header.Set("Retry-After", f.RetryAfter)
	}
}

// passLogin lets a request through the faults of the login, or answers it.
func (t *Tenant) passLogin(w http.ResponseWriter, r *http.Request) bool {
	f, alive := t.pass(r)
	if f == nil {
		return alive
	}
	setRetryAfter(w.Header(), *f)
	writeLoginError(w, t.server.now(), loginErr(f.Status, "temporarily_unavailable", 90033, "A transient error has occurred. Please try again."))
	return false
}
