package usersync

import (
	"crypto/sha256"
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
	lines map[identity.Line]sending
	taken map[identity.System]map[identity.Extension]bool // numbers that turned out to be somebody's
	full  map[identity.System]int                         // how many extensions there were when the licence was full
	// photos are the outcomes of pictures that were set and are not noted yet.
	photos map[identity.Line]wire.ExtensionOutcome
}

// sending is the newest want of a line.
type sending struct {
	what   [sha256.Size]byte
	id     string // of the want
	person identity.Person
	op     wire.ChangeOp
	plan   string
	result wire.ChangeResult // "" while it is on its way
	at     time.Time         // when it was sent
}

func newSent() *sent {
	return &sent{lines: map[identity.Line]sending{}, taken: map[identity.System]map[identity.Extension]bool{}, full: map[identity.System]int{},
		photos: map[identity.Line]wire.ExtensionOutcome{}}
}

// what is the content of a want, whenever and for whichever plan it is sent.
func what(w wire.ExtensionWant) [sha256.Size]byte {
	w.ID, w.Plan, w.WantedAt = "", "", w.WantedAt.Truncate(1<<62)
	_, data := w.Encode()
	return sha256.Sum256(data)
}

// due says whether a want is to be sent. One that is on its way is not sent twice; where a
// plan wants it, it counts for that from now on. One that had its outcome, and yet is
// wanted again, would have the same outcome: a phone system that keeps values in a form
// of its own must not be written to for ever. It is due again once something about it
// changed, or a run is due.
func (s *sent) due(w wire.ExtensionWant) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	is, known := s.lines[w.Line]
	if !known || is.what != what(w) {
		return true
	}
	if is.result == "" && w.Plan != "" {
		is.plan = w.Plan
		s.lines[w.Line] = is
	}
	return false
}

// sending notes a want that is about to be sent, or found in the queue.
func (s *sent) sending(w wire.ExtensionWant) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lines[w.Line] = sending{what: what(w), id: w.ID, person: w.Person, op: w.Op, plan: w.Plan, at: time.Now()}
}

// outcome notes what came of a want, and returns the plan that it counts for.
func (s *sent) outcome(o wire.ExtensionOutcome, extensions int) (plan string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	plan = o.Plan
	if is, known := s.lines[o.Line]; known && is.id == o.ID { // else it is of an older one
		plan, is.result = is.plan, o.Result
		s.lines[o.Line] = is
	}
	switch o.Result {
	case wire.ChangeTaken:
		if s.taken[o.Line.System] == nil {
			s.taken[o.Line.System] = map[identity.Extension]bool{}
		}
		s.taken[o.Line.System][o.Line.Extension] = true
		delete(s.lines, o.Line)
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
		s.photos[o.Line] = o
	}
}

// photosSet returns the pictures that were set since it was last called.
func (s *sent) photosSet() map[identity.Line]wire.ExtensionOutcome {
	s.mu.Lock()
	defer s.mu.Unlock()
	set := s.photos
	s.photos = map[identity.Line]wire.ExtensionOutcome{}
	return set
}

// settle forgets the lines of a phone system that have had their outcome and are wanted
// no more; all that have had one, where a run is due.
func (s *sent) settle(system identity.System, wanted map[identity.Line]bool, due bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for line, is := range s.lines {
		if line.System == system && is.result != "" && (due || !wanted[line]) {
			delete(s.lines, line)
		}
	}
	if due {
		delete(s.full, system)
	}
}

// lost returns what was sent a while ago, has had no outcome, and is not on its way, as
// outcomes that nobody has told.
func (s *sent) lost(subjects []string, a time.Duration) (lost []wire.ExtensionOutcome) {
	underway := make(map[string]bool, len(subjects))
	for _, subject := range subjects {
		underway[subject] = true
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for line, is := range s.lines {
		if is.result == "" && !underway[wire.ExtensionWantSubject(line)] && time.Since(is.at) > a {
			lost = append(lost, wire.ExtensionOutcome{ID: is.id, Person: is.person, Line: line, Op: is.op, Plan: is.plan, Result: wire.ChangeLost,
				Detail: "it left the queue, and nobody has told what came of it: look for it with offhook parked list"})
		}
	}
	return lost
}

// forget forgets a want that was lost, unless a newer one has been sent since.
func (s *sent) forget(o wire.ExtensionOutcome) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if is := s.lines[o.Line]; is.id == o.ID && is.result == "" {
		delete(s.lines, o.Line)
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
	for line, is := range s.lines {
		if line.System == system && is.result == wire.ChangeFull {
			delete(s.lines, line)
		}
	}
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
	for _, is := range s.lines {
		if is.plan == plan && is.result == "" {
			n++
		}
	}
	return n
}

// failed forgets a want that could not be sent.
func (s *sent) failed(w wire.ExtensionWant) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.lines, w.Line)
}
