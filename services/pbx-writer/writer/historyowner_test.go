package writer

import (
	"time"

	"offhook.dev/libs/core/presence"
	"offhook.dev/libs/wire"
)

// shows makes a phone show something, by whomever, and lets the watch and the next
// poll find that out. News of the watch are lost now and then.
func (h *history) shows(line int, status presence.Status) {
	h.phones[line] = status
	h.note("line %d shows %s", line, status)
	if h.chance(70) {
		h.soon(10, 300, func() { h.owner.read(line) })
	}
	h.pollSoon(line)
}

func (h *history) pollSoon(line int) {
	h.soon(100, 2_000, func() {
		h.owner.read(line)
		if l := h.owner.lines[line]; l.status != h.phones[line] || l.busy || h.owner.dead {
			h.pollSoon(line)
		}
	})
}

// owner is a writer that owns the phone system, or believes it does.
type owner struct {
	h     *history
	fence uint64
	dead  bool
	lines []*owned
}

// owned is a line in an owner's memory.
type owned struct {
	index    int
	ledger   entry
	revision int
	status   presence.Status
	origin   presence.Origin
	began    time.Time
	blind    time.Time
	newest   wire.Revision
	busy     bool
	pending  *wire.Want
}

// takeOver makes a new owner: it reads the ledger and all statuses, and goes over the
// wants.
func (h *history) takeOver() {
	h.fences++
	h.taking = false
	h.note("owner %d takes over", h.fences)
	o := &owner{h: h, fence: h.fences}
	for i := range h.phones {
		l := &owned{index: i}
		if !h.without.ledger {
			l.ledger, l.revision = h.ledger[i].entry, h.ledger[i].revision
		}
		o.lines = append(o.lines, l)
	}
	if h.without.ledger {
		for i := range h.ledger {
			h.ledger[i] = stock{}
		}
	}
	h.owner = o
	for _, l := range o.lines {
		o.read(l.index)
	}
	for _, want := range h.wants {
		h.soon(1, 50, func() { o.want(want) })
	}
}

// dies ends an owner; another one comes before long.
func (o *owner) dies(lo, hi int) {
	if h := o.h; !h.taking && h.owner == o {
		h.note("owner %d is replaced before long", o.fence)
		h.taking = true
		h.soon(lo, hi, h.takeOver)
	}
}

// save is compare-and-set of the ledger.
func (o *owner) save(l *owned, next entry) bool {
	next.Fence = o.fence
	stored := &o.h.ledger[l.index]
	if stored.revision != l.revision && !o.h.without.fence {
		if stored.Fence > o.fence {
			o.dead = true
			return false
		}
		l.ledger, l.revision, l.began = stored.entry, stored.revision, time.Time{}
		return false
	}
	stored.entry, stored.revision = next, stored.revision+1
	l.ledger, l.revision = next, stored.revision
	return true
}

// read reads a line and folds that in.
func (o *owner) read(i int) {
	if l := o.lines[i]; !o.dead && !l.busy {
		o.see(l)
	}
}

func (o *owner) see(l *owned) bool {
	status, began := o.h.phones[l.index], o.h.now
	if !began.After(l.blind) || began.Before(l.began) {
		return false
	}
	next, origin, used := l.ledger.observe(reading{status: status, began: began})
	if !used {
		return false
	}
	unsure := l.ledger.Intent != nil // whether a write has happened
	known := l.ledger.Person
	if !sameEntry(next, l.ledger) && !o.save(l, next) {
		return false
	}
	switch {
	case next.Person != known:
		o.h.choices[l.index] = nil
	case unsure:
		o.h.missed(l.index) // the person made it what it was before or after that write
	}
	l.status, l.origin, l.began = status, origin, began
	o.tell(l)
	return true
}

func (o *owner) tell(l *owned) {
	fact := presence.StatusReading{Line: historyLine(l.index), Status: l.status, Origin: l.origin, SeenAt: l.began, Observation: l.ledger.Observation, LastPerson: l.ledger.Person}
	if known := o.h.facts[l.index]; sayingOf(known) == sayingOf(fact) || !known.SeenAt.Before(l.began) {
		return
	}
	o.h.facts[l.index] = fact
	o.h.deliver(fact)
}

// want carries a want out, or says why not.
func (o *owner) want(w wire.Want) {
	l := o.lines[lineIndex(w.Line)]
	if o.dead {
		return // whoever comes next goes over the wants
	}
	if l.busy {
		if l.pending == nil || w.Revision.Compare(l.pending.Revision) > 0 {
			l.pending = &w
		}
		return
	}
	if w.Revision.Compare(l.ledger.revision()) < 0 || w.Revision.Compare(l.newest) < 0 {
		return
	}
	l.newest = w.Revision
	if !o.see(l) && l.began.IsZero() {
		o.h.soon(50, 500, func() { o.h.owner.want(w) })
		return
	}
	if w.Release && l.ledger.personShows() || l.status == w.Status || !l.ledger.covers(w) {
		return
	}
	o.write(l, w)
}

// write asks the phone system: intent before, effect after. It may die at any moment,
// or sleep until another owner has taken over.
func (o *owner) write(l *owned, w wire.Want) {
	h := o.h
	if !o.save(l, l.ledger.intend(w, l.status, h.now)) {
		h.soon(50, 500, func() { h.owner.want(w) })
		return
	}
	l.busy = true
	asked := h.now
	dies, lo, hi := h.r.IntN(100), 5, 100
	if dies < 2 { // before it has asked
		o.dead = true
		o.dies(500, 4_000)
		return
	}
	if dies < 4 { // it sleeps: another one takes over meanwhile
		o.dies(1_000, 4_000)
		lo, hi = 5_000, 60_000
	}
	h.soon(lo, hi, func() {
		if h.owner != o && !h.without.fence {
			o.dead = true // its deadline is over, and its ledger another's
			return
		}
		if c := h.choices[l.index]; c != nil && c.at.After(asked) {
			h.missed(l.index) // chosen between the reading and the write
		}
		if h.phones[l.index] != w.Status {
			h.wrote("line " + string('0'+rune(l.index)))
			h.shows(l.index, w.Status)
		}
		if dies == 4 || dies == 5 { // before it has noted that
			o.dead = true
			o.dies(500, 4_000)
			return
		}
		h.soon(5, 50, func() { o.happened(l, w) })
	})
}

func (o *owner) happened(l *owned, w wire.Want) {
	l.busy, l.blind = false, o.h.now
	if l.ledger.Intent != nil && o.save(l, l.ledger.happened(o.h.now)) {
		_, l.origin = l.ledger.explained()
		l.status, l.began = w.Status, o.h.now
		o.tell(l)
	}
	if next := l.pending; next != nil {
		l.pending = nil
		o.want(*next)
	}
}
