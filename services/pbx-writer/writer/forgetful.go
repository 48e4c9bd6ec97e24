package writer

import (
	"errors"
	"sync"

	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/core/presence"
)

// errForgetful is the health of a system that says yes and shows what it showed before.
var errForgetful = errors.New("it takes statuses and goes on showing the ones before: is something else (its own sync, a script, a second Offhook) setting them back, or may this account not change them? What is wanted is written again every minute")

// suspicious is how many extensions in a row have to show again what our write replaced,
// and none what was written, before it is the phone system that does so. One that does is
// somebody who has changed it back at once, and is believed (docs/presence.md); so many
// people who do so one after the other are none.
const suspicious = 5

// forgetful finds a phone system that takes statuses and does not keep them.
type forgetful struct {
	mu    sync.Mutex // guards lines
	lines map[identity.Line]bool
}

// undone notes that the first reading after a write shows what the write replaced, and
// says whether the phone system is to blame.
func (f *forgetful) undone(line identity.Line) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.lines == nil {
		f.lines = make(map[identity.Line]bool)
	}
	if len(f.lines) < suspicious {
		f.lines[line] = true
	}
	return len(f.lines) >= suspicious
}

// kept notes that a write was seen.
func (f *forgetful) kept() {
	f.mu.Lock()
	defer f.mu.Unlock()
	clear(f.lines)
}

// health is errForgetful while the phone system is to blame.
func (f *forgetful) health() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.lines) < suspicious {
		return nil
	}
	return errForgetful
}

// judge takes the first reading after our last write to a line into account, and says whether
// the phone system has undone that write. Other readings say nothing. l.mu is held.
func (s *system) judge(l *line, status presence.Status) bool {
	written := l.ledger.Effect
	if !l.unseen || written == nil {
		return false
	}
	switch l.unseen = false; status {
	case written.Status:
		s.forgetful.kept()
	case written.Over:
		before := s.forgetful.health()
		if !s.forgetful.undone(l.id) {
			return false
		}
		if before == nil {
			s.log.Warn("phone system", "error", errForgetful)
		}
		return true
	}
	return false
}
