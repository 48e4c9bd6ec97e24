package api

import (
	"context"
	"sync"

	"offhook.dev/libs/bus"
	"offhook.dev/libs/core/fault"
	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/core/presence"
	"offhook.dev/libs/topology"
	"offhook.dev/libs/wire"
)

// watchBuffer is how many changes a watcher may be behind before it is dropped.
const watchBuffer = 1024

// hub hands changes to watchers. It never waits for one.
type hub struct {
	model *model
	bus   *bus.Bus

	mu       sync.Mutex // guards what follows
	last     uint64     // sequence in OUTCOMES of the newest outcome that went through
	watchers map[*watcher]struct{}
}

// watcher is one reader of changes.
type watcher struct {
	tenant identity.Tenant  // or "" for all
	person *identity.Person // or nil for all
	events chan event       // closed when the watcher was too slow
}

// event is a change and, for outcomes, its sequence; 0 for a person's choice.
type event struct {
	id     uint64
	change Change
}

func newHub(m *model, b *bus.Bus) *hub {
	return &hub{model: m, bus: b, watchers: map[*watcher]struct{}{}}
}

// watch adds a watcher for a user, or for all. upTo is the last outcome that will
// not come through events: what a returning reader missed ends there.
func (h *hub) watch(tenant, name string) (w *watcher, upTo uint64, err error) {
	people, err := h.model.find(tenant, name)
	if err != nil {
		return nil, 0, err
	}
	w = &watcher{tenant: identity.Tenant(tenant), events: make(chan event, watchBuffer)}
	if name != "" {
		w.person = &people[0]
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.watchers[w] = struct{}{}
	return w, h.last, nil
}

// leave ends a watch.
func (h *hub) leave(w *watcher) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.watchers, w)
}

func (w *watcher) wants(who identity.Person) bool {
	if w.person != nil {
		return *w.person == who
	}
	return w.tenant == "" || w.tenant == who.Tenant
}

// errSlow is what a dropped watcher is told.
func errSlow() *Problem {
	return problem(fault.Unavailable, CodeSlow, "this reader did not keep up with the changes and was dropped", "watch",
		"connect again with the id of the last event (Last-Event-ID), or watch one user or tenant")
}

// outcome passes an outcome on, if it is news and one of those worth telling.
func (h *hub) outcome(ctx context.Context, sequence uint64, o outcome, news bool) {
	told := news && o.isChange()
	if told && h.watched(o.person()) {
		h.catchUp(ctx, o)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.last = sequence
	if told {
		h.send(o.person(), func() event { return event{sequence, h.model.changed(o)} })
	}
}

// catchUp makes sure that the decision behind an outcome is known: it was stored
// before, but comes on another stream.
func (h *hub) catchUp(ctx context.Context, o outcome) {
	if d, ok := h.model.decision(o.person()); ok && d.ID == o.decision() {
		return
	}
	msg, err := h.bus.Last(ctx, topology.Decisions, wire.DecisionSubject(o.person()))
	if err != nil {
		return // the change is told without its claims
	}
	if d, err := wire.DecodeDecision(msg.Data); err == nil && d.ID == o.decision() {
		h.model.foldDecision(d, msg.Data)
	}
}

// choice passes on what a person chose on a phone system.
func (h *hub) choice(now, before presence.StatusReading) {
	if now.Origin != presence.Person || now.Observation == before.Observation {
		return
	}
	owner, linked := h.model.links.Who(now.Line)
	if !linked {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.send(owner.Person, func() event { return event{0, h.model.chosen(owner.Person, now, before)} })
}

// watched says whether anybody wants to hear of this person.
func (h *hub) watched(who identity.Person) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	for w := range h.watchers {
		if w.wants(who) {
			return true
		}
	}
	return false
}

// send gives every watcher of a person one event, made only if there is one. Who
// has no room is dropped. h.mu is held.
func (h *hub) send(who identity.Person, make func() event) {
	var e *event
	for w := range h.watchers {
		if !w.wants(who) {
			continue
		}
		if e == nil {
			e = new(make())
		}
		select {
		case w.events <- *e:
		default:
			delete(h.watchers, w)
			close(w.events)
		}
	}
}

// chosen describes a person's choice.
func (m *model) chosen(who identity.Person, now, before presence.StatusReading) Change {
	m.mu.RLock()
	defer m.mu.RUnlock()
	c := Change{Status: m.status(who, now.Line), At: now.SeenAt.UTC(), Side: SidePBX, Before: before.Status.String(), Result: ResultChosen,
		Detail: "a person chose it on the phone system"}
	c.Shown, c.AgeMS = now.Status.String(), ms(m.now().Sub(now.SeenAt))
	return c
}
