package bus

import (
	"sync"

	"github.com/nats-io/nats.go/jetstream"
)

// waiting are the messages that wait for one worker. There are at most MaxAckPending of
// them, and mostly none, so nothing is set aside for them: a channel for each of hundreds of
// workers that never blocks takes megabytes.
type waiting struct {
	mu    sync.Mutex // guards what follows
	news  sync.Cond
	all   []jetstream.Msg
	ended bool
}

func newWaiting() *waiting {
	w := &waiting{}
	w.news.L = &w.mu
	return w
}

func (w *waiting) add(msg jetstream.Msg) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.all = append(w.all, msg)
	w.news.Signal()
}

// end lets next return nil once nothing waits any more.
func (w *waiting) end() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.ended = true
	w.news.Signal()
}

// next waits for a message and takes it.
func (w *waiting) next() jetstream.Msg {
	w.mu.Lock()
	defer w.mu.Unlock()
	for len(w.all) == 0 {
		if w.ended {
			return nil
		}
		w.news.Wait()
	}
	msg := w.all[0]
	w.all[0] = nil
	if w.all = w.all[1:]; len(w.all) == 0 {
		w.all = nil
	}
	return msg
}
