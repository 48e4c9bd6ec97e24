package usersync

import (
	"crypto/sha256"
	"encoding/binary"
	"iter"
	"maps"
	"strings"
	"sync"
	"time"

	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/wire"
)

// sent knows what is on its way to the phone systems, and what came of it. It is in
// memory: what is on its way is read from the queue at the start, and what a plan wants
// that is not on its way is sent again, which does no harm.
type sent struct {
	mu    sync.Mutex // guards what follows
	lines map[identity.System]map[identity.Extension]sending
	taken map[identity.System]map[identity.Extension]bool // numbers that turned out to be somebody's
	full  map[identity.System]int                         // how many extensions there were when the licence was full
	// photos are the pictures that were set and are perhaps not noted yet.
	photos map[identity.Line]pictured
}

// pictured is whom a picture shows, its ETag, and when it was set.
type pictured struct {
	person identity.Person
	etag   string
	at     time.Time
}

// sending is the newest want of a line. There is one of everybody during a first run, so
// it is small: what is long is told from another by 64 bits of its hash.
type sending struct {
	what   uint64 // its content
	id     uint64 // of the want
	plan   string
	at     uint32 // when it was sent, in Unix seconds of this machine
	state  state
	wanted bool // by the newest plan, while settle is at work
}

// state is what has become of a want.
type state uint8

const (
	onItsWay state = iota
	over
	noRoom // over, as the licence was full
)

func newSent() *sent {
	return &sent{lines: map[identity.System]map[identity.Extension]sending{}, taken: map[identity.System]map[identity.Extension]bool{}, full: map[identity.System]int{},
		photos: map[identity.Line]pictured{}}
}

// put keeps what is known of a line's newest want; mu is held.
func (s *sent) put(line identity.Line, is sending) {
	if s.lines[line.System] == nil {
		s.lines[line.System] = map[identity.Extension]sending{}
	}
	s.lines[line.System][line.Extension] = is
}

// of returns that; mu is held.
func (s *sent) of(line identity.Line) (is sending, known bool) {
	is, known = s.lines[line.System][line.Extension]
	return is, known
}

// what is the content of a want, whenever and for whichever plan it is sent. To take over or
// to return an extension is to update it: the next plan finds their records stored, and
// calls by that name what still waits.
func what(w wire.ExtensionWant) uint64 {
	w.ID, w.Plan, w.WantedAt = "", "", w.WantedAt.Truncate(1<<62)
	if w.Op == wire.OpAdopt || w.Op == wire.OpReturn {
		w.Op = wire.OpUpdate
	}
	_, data := w.Encode()
	return hash(data)
}

func hash(data []byte) uint64 {
	sum := sha256.Sum256(data)
	return binary.BigEndian.Uint64(sum[:])
}

// due says whether a want is to be sent. One that is on its way is not sent twice; where a
// plan wants it, it counts for that from now on. One that had its outcome, and yet is
// wanted again, would have the same outcome: a phone system that keeps values in a form
// of its own must not be written to for ever. It is due again once something about it
// changed, or a run is due.
func (s *sent) due(w wire.ExtensionWant) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	is, known := s.of(w.Line)
	if !known || is.what != what(w) {
		return true
	}
	if is.state == onItsWay && w.Plan != "" {
		is.plan = w.Plan
		s.put(w.Line, is)
	}
	return false
}

// sending notes a want that is about to be sent, or found in the queue.
func (s *sent) sending(w wire.ExtensionWant) {
	s.mu.Lock()
	defer s.mu.Unlock()
	line := identity.Line{System: w.Line.System, Extension: identity.Extension(strings.Clone(string(w.Line.Extension)))}
	s.put(line, sending{what: what(w), id: hash([]byte(w.ID)), plan: w.Plan, at: uint32(time.Now().Unix())})
}

// outcome notes what came of a want, and returns the plan that it counts for.
func (s *sent) outcome(o wire.ExtensionOutcome, extensions int) (plan string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	plan = o.Plan
	if is, known := s.of(o.Line); known && is.id == hash([]byte(o.ID)) { // else it is of an older one
		plan, is.state = is.plan, over
		if o.Result == wire.ChangeFull {
			is.state = noRoom
		}
		s.put(o.Line, is)
	}
	switch o.Result {
	case wire.ChangeTaken:
		if s.taken[o.Line.System] == nil {
			s.taken[o.Line.System] = map[identity.Extension]bool{}
		}
		s.taken[o.Line.System][o.Line.Extension] = true
		delete(s.lines[o.Line.System], o.Line.Extension)
	case wire.ChangeFull:
		s.full[o.Line.System] = extensions
	}
	return plan
}

// photo notes what came of a picture.
func (s *sent) photo(o wire.ExtensionOutcome) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if o.Result.Well() {
		s.photos[o.Line] = pictured{o.Person, o.ID, o.At}
	}
}

// photosSet returns the pictures that were set since it was last called.
func (s *sent) photosSet() map[identity.Line]pictured {
	s.mu.Lock()
	defer s.mu.Unlock()
	set := s.photos
	s.photos = map[identity.Line]pictured{}
	return set
}

// settle forgets lines of a phone system that have had their outcome: those that are
// wanted and due to be tried again, and, where all that are wanted are listed, those that
// are wanted no more.
func (s *sent) settle(system identity.System, wanted iter.Seq2[identity.Extension, bool], all bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	lines := s.lines[system]
	for number, due := range wanted {
		if is, known := lines[number]; known && due && is.state != onItsWay {
			delete(lines, number)
		} else if known {
			is.wanted = true
			lines[number] = is
		}
	}
	for number, is := range lines {
		if all && is.state != onItsWay && !is.wanted {
			delete(lines, number)
		} else if is.wanted {
			is.wanted = false
			lines[number] = is
		}
	}
}

// room notes that a licence that was full may have room again.
func (s *sent) room(system identity.System) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.full, system)
}

// overdue returns some of what was sent a while ago and has had no outcome, at most so
// many, other ones each time.
func (s *sent) overdue(a time.Duration, most int) map[identity.Line]sending {
	s.mu.Lock()
	defer s.mu.Unlock()
	some := map[identity.Line]sending{}
	before := time.Now().Add(-a).Unix()
	for system, lines := range s.lines {
		for number, is := range lines {
			if len(some) == most {
				return some
			}
			if is.state == onItsWay && int64(is.at) <= before {
				some[identity.Line{System: system, Extension: number}] = is
			}
		}
	}
	return some
}

// forget forgets a want that was lost, unless a newer one has been sent since.
func (s *sent) forget(line identity.Line, lost sending) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if is, known := s.of(line); known && is.id == lost.id && is.state == onItsWay {
		delete(s.lines[line.System], line.Extension)
	}
}

// isFull says whether the licence had no room, and as many extensions are there as then.
// Once there are fewer, what found no room is due again.
func (s *sent) isFull(system identity.System, extensions int) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	then, full := s.full[system]
	if !full || extensions >= then {
		return full
	}
	delete(s.full, system)
	maps.DeleteFunc(s.lines[system], func(_ identity.Extension, is sending) bool { return is.state == noRoom })
	return false
}

func (s *sent) takenOf(system identity.System) (numbers []identity.Extension) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for n := range s.taken[system] {
		numbers = append(numbers, n)
	}
	return numbers
}

// underway counts the wants of a plan that are on their way.
func (s *sent) underway(plan string) (n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, lines := range s.lines {
		for _, is := range lines {
			if is.plan == plan && is.state == onItsWay {
				n++
			}
		}
	}
	return n
}

// failed forgets a want that could not be sent.
func (s *sent) failed(w wire.ExtensionWant) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.lines[w.Line.System], w.Line.Extension)
}
