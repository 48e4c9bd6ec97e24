package graphsim

import (
	"fmt"
	"time"
)

// Violation is something that a client must never do, though Graph may answer it.
type Violation struct {
	At   time.Time `json:"at"`
	Kind string    `json:"kind"` // early-retry, mailbox-concurrency, mailbox-requests, mixed-ids, renew-and-reauthorize
	What string    `json:"what"`
}

// keptViolations bounds memory; a test wants none.
const keptViolations = 1000

// violate records a violation. t.mu is held.
func (t *Tenant) violate(kind, format string, args ...any) {
	if len(t.violations) < keptViolations {
		t.violations = append(t.violations, Violation{t.server.now(), kind, fmt.Sprintf(format, args...)})
	}
}

// Violations returns the first 1,000 violations, oldest first.
func (t *Tenant) Violations() []Violation {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return append([]Violation{}, t.violations...)
}
