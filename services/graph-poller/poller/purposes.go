package poller

import (
	"context"
	"slices"
	"strings"
	"sync"
	"time"

	"offhook.dev/libs/core/fault"
	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/graph"
	"offhook.dev/libs/wire"
)

const (
	purposesTogether = 500              // mailboxes in one call, at most
	purposesTime     = 30 * time.Second // for those of a page
	purposeRetry     = time.Minute      // after a passing error
)

// purposes remembers which mailboxes were asked what they are for, and asks them again
// now and then: when somebody leaves, their mailbox often becomes a shared one days
// later. What they said is in the user facts.
type purposes struct {
	t *tenant

	mu   sync.Mutex // guards next
	next map[identity.User]time.Time
}

func newPurposes(t *tenant) *purposes {
	return &purposes{t: t, next: map[identity.User]time.Time{}}
}

// load takes up which mailboxes are to be asked, spread over the time between two
// questions; those that said nothing yet at once.
func (p *purposes) load(ctx context.Context) error {
	now := time.Now()
	p.mu.Lock()
	defer p.mu.Unlock()
	clear(p.next)
	return p.t.eachUser(ctx, func(fact wire.User) {
		if !p.t.asksPurposeOf(fact) {
			return
		}
		at := now
		if fact.Purpose != "" {
			at = now.Add(p.t.conf.Purposes * time.Duration(turnOf(fact.Person.User, sweepTurns)) / sweepTurns)
		}
		p.next[fact.Person.User] = at
	})
}

// asksPurposeOf is asksPurpose of a stored fact.
func (t *tenant) asksPurposeOf(fact wire.User) bool {
	return !fact.Gone && t.asksPurpose(graph.User{ID: fact.Person.User, UPN: fact.UPN, Enabled: fact.Enabled, Guest: fact.Type == "Guest"})
}

// learn asks the mailboxes of those accounts of a page for whom it is time. One that
// cannot be asked now is left out, and what was known of it stays.
func (p *purposes) learn(ctx context.Context, page map[identity.User]graph.User) map[identity.User]string {
	var due []identity.User
	now := time.Now()
	p.mu.Lock()
	for id, user := range page {
		if p.t.asksPurpose(user) && !p.next[id].After(now) {
			due = append(due, id)
		}
	}
	p.mu.Unlock()
	slices.Sort(due)
	ctx, cancel := context.WithTimeout(ctx, purposesTime)
	defer cancel()
	return p.ask(ctx, due)
}

// ask asks mailboxes. There may be none: then it is for nothing.
func (p *purposes) ask(ctx context.Context, users []identity.User) map[identity.User]string {
	learned := map[identity.User]string{}
	results := map[string]int{}
	for answer := range p.t.client.MailboxPurposes(ctx, users) {
		next, result := p.t.conf.Purposes, answer.Purpose
		switch kind := fault.KindOf(answer.Err); {
		case answer.Err == nil:
			learned[answer.User] = answer.Purpose
		case kind == fault.NotFound:
			learned[answer.User], result = "", noMailbox
		case kind.Retryable() || kind == fault.Cancelled:
			next, result = min(max(purposeRetry, fault.RetryAfter(answer.Err)), next), kind.String()
		default: // what a person has to mend first
			result = kind.String()
		}
		results[result]++
		p.mu.Lock()
		p.next[answer.User] = time.Now().Add(next)
		p.mu.Unlock()
	}
	p.t.p.people.purposes(ctx, p.t.conf.ID, results)
	return learned
}

// refresh asks the mailboxes for which it is time again.
func (p *purposes) refresh(ctx context.Context) error {
	var due []identity.User
	now := time.Now()
	p.mu.Lock()
	for user, at := range p.next {
		if !at.After(now) {
			due = append(due, user)
		}
	}
	p.mu.Unlock()
	slices.Sort(due)
	for users := range slices.Chunk(due, purposesTogether) {
		began := p.t.p.bus.Now()
		learned := p.ask(ctx, users)
		for _, user := range users {
			if err := p.note(ctx, user, learned, began); err != nil {
				return err
			}
		}
	}
	return nil
}

// note puts what was learned into a user's fact, and forgets who is not asked any more.
func (p *purposes) note(ctx context.Context, user identity.User, learned map[identity.User]string, began time.Time) error {
	return p.t.changeUser(ctx, user, false, func(old wire.User) wire.User {
		if !p.t.asksPurposeOf(old) {
			p.mu.Lock()
			delete(p.next, user)
			p.mu.Unlock()
			return old
		}
		if purpose, ok := learned[user]; ok && !strings.EqualFold(purpose, old.Purpose) {
			old.Purpose, old.SeenAt = purpose, began
		}
		return old
	})
}
