// Package breaker stops writing where something else keeps writing too, and each
// undoes what the other did: another tool that serves the same person, or their own
// script. Who writes asks before each write, and counts it afterwards. More than ten
// in a minute are too much: then nothing is written there for a pause, after which
// the count begins anew.
//
// Which writes count is the caller's to say: those that could be one side of a fight.
// What is left undone is the caller's to do after the pause, if it is still wanted.
package breaker

import "time"

const (
	// Most is how many writes there may be in Window.
	Most   = 10
	Window = time.Minute
)

// Breaker is that of one thing that is written to. The zero value has counted
// nothing. It is not safe for concurrent use.
type Breaker struct {
	wrote []time.Time // of the last window
	until time.Time   // nothing is written before
}

// Stopped says whether nothing is to be written now.
func (b *Breaker) Stopped(now time.Time) bool { return now.Before(b.until) }

// Until is when the last pause ends or ended; zero: there was none.
func (b *Breaker) Until() time.Time { return b.until }

// Allows says whether one more write may be made beside those that are planned; if
// not, none may for a pause, which begins now if it has not begun.
func (b *Breaker) Allows(now time.Time, planned int, pause time.Duration) bool {
	if b.Stopped(now) {
		return false
	}
	for len(b.wrote) > 0 && now.Sub(b.wrote[0]) >= Window {
		b.wrote = b.wrote[1:]
	}
	if len(b.wrote)+planned < Most {
		return true
	}
	b.wrote, b.until = nil, now.Add(pause)
	return false
}

// Count notes a write that happened or may have.
func (b *Breaker) Count(now time.Time) { b.wrote = append(b.wrote, now) }
