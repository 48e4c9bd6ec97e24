package graphsim

import (
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"
)

// postbox queues notices by the host they go to, with a bounded number of workers
// for each. Nothing in it takes Tenant.mu while postbox.mu is held.
type postbox struct {
	server *Server

	mu     sync.Mutex // guards everything below
	last   uint64     // number of the newest notice
	closed bool
	timers map[*time.Timer]bool
	hosts  map[string]*endpoint // by endpointName
}

// endpoint is one host that receives notifications, or one URL: Switches.Endpoint
// says which, for it is not documented.
type endpoint struct {
	name    string
	queue   []*parcel
	held    []*parcel // by FaultReorder, until the next one
	workers int
	health  health
}

// parcel is one POST: notices to one URL, repeated as a whole.
type parcel struct {
	url      string
	endpoint string // name of the endpoint that url belongs to
	notices  []*notice
	attempts int
	first    time.Time // of the first attempt; the clock of retries
}

func newPostbox(s *Server) *postbox {
	return &postbox{server: s, timers: make(map[*time.Timer]bool), hosts: make(map[string]*endpoint)}
}

// number returns the next number of a notice, counting from 1.
func (b *postbox) number() uint64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.last++
	return b.last
}

// later runs f after d unless the simulator is closed before.
func (b *postbox) later(d time.Duration, f func()) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return
	}
	var timer *time.Timer
	timer = time.AfterFunc(d, func() {
		b.mu.Lock()
		delete(b.timers, timer)
		closed := b.closed
		if !closed {
			b.server.running.Add(1)
		}
		b.mu.Unlock()
		if !closed {
			defer b.server.running.Done()
			f()
		}
	})
	b.timers[timer] = true
}

// close stops all timers; workers end by the server's context.
func (b *postbox) close() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.closed = true
	for timer := range b.timers {
		timer.Stop()
	}
	clear(b.timers)
}

// accept takes a new notice; what becomes of it depends on the state of the host:
// new ones are dropped in the drop state and late in the slow one. Tenant.mu is held.
func (b *postbox) accept(n *notice, r route) {
	p := &parcel{url: n.sub.url, endpoint: endpointName(n.sub.url, n.tenant.switches.Endpoint), notices: []*notice{n}}
	b.mu.Lock()
	state := b.endpoint(p.endpoint).health.state(time.Now())
	b.mu.Unlock()
	switch state {
	case StateDrop:
		n.tenant.ledger.note(n.sub.id, func(l *Tally) { l.Pending--; l.Dropped++ })
		return
	case StateSlow:
		r.delay += b.server.config.scaled(b.server.config.Delivery.Window)
	}
	if r.delay > 0 {
		b.later(r.delay, func() { b.enqueue(p, r.hold) })
		return
	}
	b.enqueue(p, r.hold)
}

// enqueue puts a parcel at the end of its host's queue. A held one waits until
// another has passed it.
func (b *postbox) enqueue(p *parcel, hold time.Duration) {
	if hold > 0 {
		b.later(hold, func() { b.release(p) })
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	e := b.endpoint(p.endpoint)
	if hold > 0 {
		e.held = append(e.held, p)
		return
	}
	e.queue = append(append(e.queue, p), e.held...)
	e.held = nil
	b.hire(e)
}

// release queues a held parcel that nothing has passed.
func (b *postbox) release(p *parcel) {
	b.mu.Lock()
	defer b.mu.Unlock()
	e := b.endpoint(p.endpoint)
	if i := slices.Index(e.held, p); i >= 0 {
		e.held = slices.Delete(e.held, i, i+1)
		e.queue = append(e.queue, p)
		b.hire(e)
	}
}

// hire starts a worker where there is work and room. b.mu is held.
func (b *postbox) hire(e *endpoint) {
	if b.closed || e.workers >= b.server.config.Delivery.InFlight || len(e.queue) == 0 {
		return
	}
	e.workers++
	b.server.running.Go(func() {
		for p := b.next(e); p != nil; p = b.next(e) {
			b.server.post(e, p)
		}
	})
}

// next takes the next parcel, joined with its followers to the same URL up to the
// batch size. It returns nil, and the worker ends, when there is none.
func (b *postbox) next(e *endpoint) *parcel {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(e.queue) == 0 || b.closed {
		e.workers--
		return nil
	}
	p := e.queue[0]
	taken := 1
	if p.attempts == 0 {
		for _, q := range e.queue[1:] {
			if q.url != p.url || q.attempts > 0 || len(p.notices)+len(q.notices) > b.server.config.Delivery.Batch {
				break
			}
			p.notices = append(p.notices, q.notices...)
			taken++
		}
	}
	clear(e.queue[:taken]) // do not keep what was taken alive
	e.queue = e.queue[taken:]
	b.hire(e)
	return p
}

// endpointName is what the states of a notification URL are kept under: its host, or
// with the path where the switch says "url".
func endpointName(target, by string) string {
	u, err := url.Parse(target)
	switch {
	case err != nil:
		return target
	case by == "url":
		return u.Host + u.Path
	}
	return u.Host
}

// endpoint returns an endpoint by its name. b.mu is held.
func (b *postbox) endpoint(name string) *endpoint {
	e := b.hosts[name]
	if e == nil {
		e = &endpoint{name: name, health: health{window: b.server.config.scaled(b.server.config.Delivery.Window)}}
		b.hosts[name] = e
	}
	return e
}

// Endpoint is what the service thinks of an endpoint that receives notifications.
type Endpoint struct {
	Host   string        `json:"host"` // with a path where Switches.Endpoint is "url"
	State  EndpointState `json:"state"`
	Queued int           `json:"queued"`
}

// Endpoints lists the endpoints that were sent notifications, sorted by name.
func (s *Server) Endpoints() []Endpoint {
	s.posts.mu.Lock()
	defer s.posts.mu.Unlock()
	list := make([]Endpoint, 0, len(s.posts.hosts))
	for _, e := range s.posts.hosts {
		list = append(list, Endpoint{e.name, e.health.state(time.Now()), len(e.queue) + len(e.held)})
	}
	slices.SortFunc(list, func(a, b Endpoint) int { return strings.Compare(a.Host, b.Host) })
	return list
}
