package poller

import (
	"context"
	"sync"
	"time"

	"offhook.dev/libs/core/fault"
	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/graph"
)

// zoneRetry is when a zone that could not be read for a passing reason is read again.
const zoneRetry = time.Minute

// zones remembers the time zones of mailboxes, in which all-day events begin and end.
// A zone that cannot be known is UTC; one that was known stays so.
type zones struct {
	reader graph.CalendarReader
	every  time.Duration // how often a zone is read again

	mu    sync.Mutex // guards known
	known map[identity.User]zone
}

type zone struct {
	at    *time.Location // nil: not known
	until time.Time      // to be read again then
}

func newZones(reader graph.CalendarReader, every time.Duration) *zones {
	return &zones{reader: reader, every: every, known: map[identity.User]zone{}}
}

// of returns the users' zones, after reading those that are not known or old.
func (z *zones) of(ctx context.Context, users []identity.User) map[identity.User]*time.Location {
	if due := z.due(users); len(due) > 0 {
		for answer := range z.reader.MailboxZones(ctx, due) {
			z.set(answer)
		}
	}
	found := make(map[identity.User]*time.Location, len(users))
	z.mu.Lock()
	defer z.mu.Unlock()
	for _, user := range users {
		found[user] = z.known[user].at
	}
	return found
}

func (z *zones) due(users []identity.User) []identity.User {
	now := time.Now()
	z.mu.Lock()
	defer z.mu.Unlock()
	var due []identity.User
	for _, user := range users {
		if !z.known[user].until.After(now) {
			due = append(due, user)
		}
	}
	return due
}

// set remembers an answer. What a person has to mend first (the permission, the
// mailbox, a zone of their own making) is not asked for more often than a zone is.
func (z *zones) set(answer graph.ZoneAnswer) {
	z.mu.Lock()
	defer z.mu.Unlock()
	next := z.known[answer.User]
	next.until = time.Now().Add(z.every)
	if answer.Err == nil {
		next.at = answer.Zone
	} else if fault.KindOf(answer.Err).Retryable() || fault.KindOf(answer.Err) == fault.Cancelled {
		next.until = time.Now().Add(min(zoneRetry, z.every))
	}
	z.known[answer.User] = next
}
