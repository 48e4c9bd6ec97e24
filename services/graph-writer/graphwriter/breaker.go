package graphwriter

import "time"

// What is too much for one person: more comes about only if something else writes
// there too, and each undoes what the other did.
const (
	mostWrites = 10
	window     = time.Minute
)

// breaker stops writing for a person who is fought over. It lives with the lease:
// a new owner starts to count anew.
type breaker struct {
	wrote []time.Time // of the last minute, refreshes apart
	until time.Time   // nothing is written before
}

// stopped says whether nothing is to be written now.
func (b *breaker) stopped(now time.Time) bool { return now.Before(b.until) }

// allows says whether one more write may be made beside those that are planned; if
// not, none may for a pause.
func (b *breaker) allows(now time.Time, planned int, pause time.Duration) bool {
	if b.stopped(now) {
		return false
	}
	for len(b.wrote) > 0 && now.Sub(b.wrote[0]) >= window {
		b.wrote = b.wrote[1:]
	}
	if len(b.wrote)+planned < mostWrites {
		return true
	}
	b.wrote, b.until = nil, now.Add(pause)
	return false
}

// count notes a write that happened or may have.
func (b *breaker) count(now time.Time) { b.wrote = append(b.wrote, now) }
