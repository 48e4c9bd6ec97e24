// Package simfault keeps the faults that a simulated phone system has still to make, and
// spoils answers over HTTP as some of them say. What a fault is, and which requests it
// meets, is each simulator's own.
package simfault

import "sync"

// Queue holds faults in the order in which they were added. Safe for concurrent use.
type Queue[F any] struct {
	mu      sync.Mutex // guards all
	waiting []*waiting[F]
	let     chan struct{} // closed by Release
}

type waiting[F any] struct {
	fault       F
	skip, times int
}

// New makes an empty Queue.
func New[F any]() *Queue[F] { return &Queue[F]{let: make(chan struct{})} }

// Add adds a fault that lets skip requests pass first and then happens so many times; 0
// times is until it is cleared.
func (q *Queue[F]) Add(fault F, skip, times int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.waiting = append(q.waiting, &waiting[F]{fault, skip, times})
}

// Clear ends all faults and lets go of what hangs.
func (q *Queue[F]) Clear() {
	q.mu.Lock()
	q.waiting = nil
	q.mu.Unlock()
	q.Release()
}

// Release lets go of what hangs; what hangs later does so until the next Release.
func (q *Queue[F]) Release() {
	q.mu.Lock()
	defer q.mu.Unlock()
	close(q.let)
	q.let = make(chan struct{})
}

// Take returns what happens to a request: at most one fault, the oldest that meets it, or
// the zero value. What hangs is let go of when the channel is closed.
func (q *Queue[F]) Take(meets func(F) bool) (fault F, released <-chan struct{}) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for i, w := range q.waiting {
		if !meets(w.fault) {
			continue
		}
		if w.skip > 0 {
			w.skip--
			continue
		}
		switch w.times {
		case 0:
		case 1:
			q.waiting = append(q.waiting[:i:i], q.waiting[i+1:]...)
		default:
			w.times--
		}
		return w.fault, q.let
	}
	return fault, q.let
}
