// Package listing tells where a listing of a stream or bucket ends.
package listing

import (
	"context"
	"errors"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// End tells a reader of a stream when it has seen the newest message of every
// subject that was there when it began.
//
// How many the broker says are pending does not tell: of a message that is replaced,
// the old one is no longer pending before the new one is, and a client that counts
// what came counts such a subject twice. So a reader to whom nothing seems pending asks
// whether there is something newer, and reads on until there is not. In a cluster a
// replica may answer that is behind.
type End struct {
	stream  jetstream.Stream
	filters []string
	current func() error
	seen    uint64    // the last sequence read
	near    time.Time // when nothing was pending for the first time
	reached bool
}

// NewEnd is for a reader of these subjects that has read nothing yet. It calls
// current once, when the end is reached.
func NewEnd(stream jetstream.Stream, filters []string, current func() error) *End {
	return &End{stream: stream, filters: filters, current: current}
}

// Patience is how long a reader that is not at the end waits for the next message
// before it looks whether there still is one: what was pending can vanish.
const Patience = time.Second

// Skip is for a reader that reads nothing of what is there: it is at the end.
func (e *End) Skip() { e.reached = true }

// Reached tells whether the end was reached before.
func (e *End) Reached() bool { return e.reached }

// Saw takes the sequence of a message that was read, and how many the broker said are
// pending after it. Where messages come all the time there is always something newer:
// what was there at the beginning has been read after Patience of that.
func (e *End) Saw(ctx context.Context, sequence, pending uint64) error {
	e.seen = sequence
	switch {
	case e.reached || pending > 0:
		return nil
	case e.near.IsZero():
		e.near = time.Now()
	case time.Since(e.near) > Patience:
		e.reached = true
		return e.current()
	}
	return e.Look(ctx)
}

// Look is Saw of a reader to whom nothing comes. The error is that of current.
func (e *End) Look(ctx context.Context) error {
	if e.reached || e.newer(ctx) {
		return nil
	}
	e.reached = true
	return e.current()
}

// timeout bounds one question to the broker.
const timeout = 5 * time.Second

// newer says whether there is something newer. Where the broker does not say there may be:
// the reader looks again after Patience, and finds out by itself what is wrong.
func (e *End) newer(ctx context.Context) bool {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	for _, filter := range e.filters {
		_, err := e.stream.GetMsg(ctx, e.seen+1, jetstream.WithGetMsgSubject(filter))
		if !errors.Is(err, jetstream.ErrMsgNotFound) {
			return true
		}
	}
	return false
}
