package bus

import (
	"context"
	"errors"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// Ending tells a reader of a stream when it has seen the newest message of every
// subject that was there when it began.
//
// How many the broker says are pending does not tell: of a message that is replaced,
// the old one is no longer pending before the new one is, and a client that counts
// what came counts such a subject twice. So a reader to whom nothing seems pending asks
// whether there is something newer, and reads on until there is not. In a cluster a
// replica may answer that is behind.
type Ending struct {
	stream  jetstream.Stream
	filters []string
	current func() error
	seen    uint64    // the last sequence read
	near    time.Time // when nothing was pending for the first time
	reached bool
}

// NewEnding is for a reader of these subjects that has read nothing yet. It calls
// current once, when the end is reached.
func NewEnding(stream jetstream.Stream, filters []string, current func() error) *Ending {
	return &Ending{stream: stream, filters: filters, current: current}
}

// Patience is how long a reader that is not at the end waits for the next message
// before it looks whether there still is one: what was pending can vanish.
const Patience = time.Second

// Reached tells whether the end was reached before.
func (e *Ending) Reached() bool { return e.reached }

// Saw takes the sequence of a message that was read, and how many the broker said are
// pending after it. Where messages come all the time there is always something newer:
// what was there at the beginning has been read after Patience of that.
func (e *Ending) Saw(ctx context.Context, sequence, pending uint64) error {
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

// Look is Saw of a reader to whom nothing comes.
func (e *Ending) Look(ctx context.Context) error {
	if e.reached {
		return nil
	}
	newer, err := e.newer(ctx)
	if newer || err != nil {
		return err
	}
	e.reached = true
	return e.current()
}

func (e *Ending) newer(ctx context.Context) (bool, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, publishTimeout, errors.New("no answer from the broker"))
	defer cancel()
	for _, filter := range e.filters {
		_, err := e.stream.GetMsg(ctx, e.seen+1, jetstream.WithGetMsgSubject(filter))
		if err == nil {
			return true, nil
		}
		if !errors.Is(err, jetstream.ErrMsgNotFound) {
			return false, classify("bus: what is newer on "+filter, err)
		}
	}
	return false, nil
}
