package msgraph

import (
	"sync"
	"time"

	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/graph"
)

// mailboxes keeps every mailbox within what Outlook grants one app in it, and
// remembers which of them asked for a pause. A mailbox that nothing is known of
// takes no memory.
type mailboxes struct {
	mu    sync.Mutex
	known map[identity.User]mailbox
	freed chan struct{} // closed, and replaced, when a request ends
}

type mailbox struct {
	under int       // requests under way
	until time.Time // nothing may leave before
	whole time.Time // when its budget will be whole again
}

const (
	// A fifth of a mailbox's quota is left to other processes of ours.
	mailboxInterval = graph.MailboxWindow * 5 / (graph.MailboxRequests * 4)
	mailboxBurst    = 100
)

func newMailboxes() *mailboxes {
	return &mailboxes{known: map[identity.User]mailbox{}, freed: make(chan struct{})}
}

// enter admits a request to a mailbox; leave follows each one admitted. A request
// that is not may try again after wait, or, where wait is 0, when another ends.
func (m *mailboxes) enter(user identity.User) (wait time.Duration, admitted bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	now, box := time.Now(), m.known[user]
	if box.until.After(now) {
		return box.until.Sub(now), false
	}
	if box.under >= graph.MailboxConcurrency {
		return 0, false
	}
	whole := box.whole
	if whole.Before(now) {
		whole = now
	}
	whole = whole.Add(mailboxInterval)
	if wait := whole.Sub(now) - mailboxBurst*mailboxInterval; wait > 0 {
		return wait, false
	}
	box.under++
	box.whole = whole
	m.known[user] = box
	return 0, true
}

func (m *mailboxes) leave(user identity.User) {
	m.mu.Lock()
	defer m.mu.Unlock()
	now, box := time.Now(), m.known[user]
	box.under--
	m.known[user] = box
	if box.under == 0 && !box.until.After(now) && !box.whole.After(now) {
		delete(m.known, user)
	}
	close(m.freed)
	m.freed = make(chan struct{})
}

// closeFor keeps requests from a mailbox for a while; the later of two ends counts.
func (m *mailboxes) closeFor(user identity.User, delay time.Duration) {
	m.mu.Lock()
	defer m.mu.Unlock()
	box := m.known[user]
	if end := time.Now().Add(delay); end.After(box.until) {
		box.until = end
	}
	m.known[user] = box
}

// changed is closed when the next request ends.
func (m *mailboxes) changed() <-chan struct{} {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.freed
}
