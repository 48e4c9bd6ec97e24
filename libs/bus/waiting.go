package bus

import (
	"sync"

	"github.com/nats-io/nats.go/jetstream"
)

// waiting are the messages that wait for one worker, which is there only while there are
// any. There are at most MaxAckPending of them, and mostly none: a goroutine and a channel
// for each of hundreds of workers with nothing to do take tens of megabytes.
type waiting struct {
	mu      sync.Mutex // guards what follows
	all     []jetstream.Msg
	working bool
}

// add says whether a worker has to begin.
func (w *waiting) add(msg jetstream.Msg) (begin bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.all = append(w.all, msg)
	begin, w.working = !w.working, true
	return begin
}

// next takes a message; nil: there is none, and the worker ends.
func (w *waiting) next() jetstream.Msg {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.all) == 0 {
		w.working = false
		return nil
	}
	msg := w.all[0]
	w.all[0] = nil
	if w.all = w.all[1:]; len(w.all) == 0 {
		w.all = nil
	}
	return msg
}
