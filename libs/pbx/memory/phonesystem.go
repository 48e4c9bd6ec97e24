package memory

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"offhook.dev/libs/core/directory"
	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/core/presence"
	"offhook.dev/libs/pbx"
)

// PhoneSystem is the world behind the driver: extensions, what they show, and
// phonebooks. Its methods are what a person or a test does to it; the driver uses
// request, which can be intercepted. Safe for concurrent use.
type PhoneSystem struct {
	mu         sync.Mutex
	extensions map[identity.Extension]*directory.Extension
	order      []identity.Extension // of extensions; ascending unless unsorted
	unsorted   bool
	shown      map[identity.Extension]presence.Status
	photos     map[identity.Extension][]byte
	kept       map[identity.Extension]bool                // which it refuses to delete
	licence    int                                        // how many extensions there may be; -1: any number
	books      map[identity.Extension][]directory.Contact // by owner, "" the company's; ids ascending
	lastID     int                                        // of a contact
	sync       pbx.SyncState
	requests   int
	intercept  Interceptor
	calls      map[identity.Extension]int // in how many each is; no zeros
	changed    chan struct{}              // closed by every change, and made anew
	dialled    map[identity.Extension][]string
	cut        chan struct{} // closed by Cut, and made anew
	sign       chan struct{} // closed by Sign, and made anew
}

// Interceptor stands between the driver and the phone system: it may refuse a
// request, delay it, or lose its answer. The phone system's locks are not held.
type Interceptor func(ctx context.Context, request func() error) error

// Refusal is how this phone system says no: the counterpart of a status code.
type Refusal struct {
	Code string        // "busy", "forbidden", "closed", "no such extension", "taken", ...
	Wait time.Duration // for "busy": when to come back
}

// Error names the code.
func (r Refusal) Error() string { return fmt.Sprintf("the phone system says %q", r.Code) }

// ErrGarbled and ErrLost are failures of the line rather than of the phone
// system: an answer that makes no sense, and none at all.
var (
	ErrGarbled = errors.New("the answer makes no sense")
	ErrLost    = errors.New("the answer never came")
)

// NewPhoneSystem makes a phone system on which everybody is available.
func NewPhoneSystem(extensions ...directory.Extension) *PhoneSystem {
	p := &PhoneSystem{
		extensions: make(map[identity.Extension]*directory.Extension), shown: make(map[identity.Extension]presence.Status),
		photos: make(map[identity.Extension][]byte), kept: make(map[identity.Extension]bool),
		books: make(map[identity.Extension][]directory.Contact), licence: -1,
		calls: make(map[identity.Extension]int), dialled: make(map[identity.Extension][]string), changed: make(chan struct{}), cut: make(chan struct{}), sign: make(chan struct{}),
	}
	for _, e := range extensions {
		p.add(e)
	}
	return p
}

// Shown returns what an extension shows, presence.Unset if there is none.
func (p *PhoneSystem) Shown(ext identity.Extension) presence.Status {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.shown[ext]
}

// Choose sets a status as a person at the phone does. An unknown extension is
// ignored.
func (p *PhoneSystem) Choose(ext identity.Extension, s presence.Status) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if _, ok := p.shown[ext]; ok {
		p.show(ext, s)
	}
}

// show sets a status and tells those who watch. mu is held.
func (p *PhoneSystem) show(ext identity.Extension, s presence.Status) {
	p.shown[ext] = s
	p.tell()
}

// tell wakes those who watch. mu is held.
func (p *PhoneSystem) tell() {
	close(p.changed)
	p.changed = make(chan struct{})
}

// Dialled returns the numbers that were dialled for an extension, in order.
func (p *PhoneSystem) Dialled(ext identity.Extension) []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.dialled[ext])
}

// StartCall puts an extension in one more call. An unknown extension is ignored.
func (p *PhoneSystem) StartCall(ext identity.Extension) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if _, ok := p.shown[ext]; ok {
		p.calls[ext]++
		p.tell()
	}
}

// EndCall ends one call of an extension, if it is in any.
func (p *PhoneSystem) EndCall(ext identity.Extension) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.calls[ext]--; p.calls[ext] <= 0 {
		delete(p.calls, ext)
	}
	p.tell()
}

// Sign gives those who watch a sign of life before its time.
func (p *PhoneSystem) Sign() {
	p.mu.Lock()
	defer p.mu.Unlock()
	close(p.sign)
	p.sign = make(chan struct{})
}

// Cut breaks the connections of those who watch.
func (p *PhoneSystem) Cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	close(p.cut)
	p.cut = make(chan struct{})
}

// SetSync says what the phone system synchronises with Microsoft 365 by itself.
func (p *PhoneSystem) SetSync(state pbx.SyncState) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.sync = state
}

// Intercept puts i in the way of all requests from now on; nil clears the way.
func (p *PhoneSystem) Intercept(i Interceptor) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.intercept = i
}

// Requests counts the requests that have arrived.
func (p *PhoneSystem) Requests() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.requests
}

// request is the wire: everything that the driver asks passes here. handle runs
// with the lock held.
func (p *PhoneSystem) request(ctx context.Context, handle func() error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	p.mu.Lock()
	p.requests++
	intercept := p.intercept
	p.mu.Unlock()
	locked := func() error {
		p.mu.Lock()
		defer p.mu.Unlock()
		return handle()
	}
	if intercept == nil {
		return locked()
	}
	return intercept(ctx, locked)
}
