package threecx

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/coder/websocket"

	"offhook.dev/libs/core/fault"
	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/pbx"
)

// watching is a Driver that may use Call Control.
type watching struct{ *Driver }

// Capabilities are those of the driver, and calls.
func (w watching) Capabilities() pbx.Capabilities {
	c := w.Driver.Capabilities()
	c.Watch.Calls = true
	return c
}

const (
	pongTime = 10 * time.Second
	// breath is the least time between two readings of all calls, however often
	// something seems to be missing.
	breath = 250 * time.Millisecond
)

// Watch is pbx.Watcher: the websocket is opened before the calls are read, so that
// what changes in between is said. Its requests, one at a time, are outside the pace and
// count at the driver's gate: see wire.enter.
func (w watching) Watch(ctx context.Context, sink pbx.Sink) error {
	ctx, cancel := context.WithCancelCause(ctx)
	var parts sync.WaitGroup
	defer parts.Wait()
	defer cancel(nil)
	parts.Go(func() {
		select {
		case <-w.wire.done:
			cancel(errClosed)
		case <-ctx.Done():
		}
	})
	err := w.watch(ctx, &parts, sink)
	if ctx.Err() == nil {
		return err
	}
	kind := fault.KindOf(ctx.Err())
	if errors.Is(context.Cause(ctx), errClosed) {
		kind = fault.Unavailable
	}
	return fault.New(kind, "threecx: watch", context.Cause(ctx))
}

func (w watching) watch(ctx context.Context, parts *sync.WaitGroup, sink pbx.Sink) error {
	conn, err := w.wire.dial(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = conn.CloseNow() }() // which ends the reader
	in := newInbox()
	parts.Go(func() { in.end(in.readAll(ctx, conn)) })
	f := &follower{Driver: w.Driver, conn: conn, in: in, sink: sink, calls: make(map[identity.Extension]map[int64]bool), told: make(map[identity.Extension]int)}
	return f.follow(ctx)
}

// readAll reads until the connection ends.
func (i *inbox) readAll(ctx context.Context, conn *websocket.Conn) error {
	for {
		_, data, err := conn.Read(ctx)
		if err != nil {
			return err
		}
		i.add(data)
	}
}

// follower turns what the inbox has into calls.
type follower struct {
	*Driver
	conn  *websocket.Conn
	in    *inbox
	sink  pbx.Sink
	calls map[identity.Extension]map[int64]bool // participants in calls; none is empty
	told  map[identity.Extension]int            // no zeros
	read  time.Time                             // when all calls were read last
}

// follow reads everything, then what is said to have changed. With each beat a ping
// shows that the websocket lives and reading everything that nothing was missed.
func (f *follower) follow(ctx context.Context) error {
	if err := f.readAll(ctx); err != nil {
		return err
	}
	f.sink(pbx.Synced{})
	beat := time.NewTicker(f.wire.config.Beat)
	defer beat.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-f.in.wake:
			if err := f.hear(ctx); err != nil {
				return err
			}
		case <-beat.C:
			if err := f.ping(ctx); err != nil {
				return err
			}
			if err := f.readAll(ctx); err != nil {
				return err
			}
			f.sink(pbx.Synced{})
		}
	}
}

// hear takes what has come in.
func (f *follower) hear(ctx context.Context) error {
	kinds, missed, ended := f.in.take()
	if ended != nil {
		return fault.New(fault.Unavailable, "threecx: watch", ended)
	}
	if !missed {
		for at, kind := range kinds {
			err := f.look(ctx, at, kind)
			if missed = errors.Is(err, errSenseless); missed {
				break
			}
			if err != nil {
				return err
			}
		}
	}
	if !missed {
		return nil
	}
	if wait := breath - time.Since(f.read); wait > 0 {
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return f.readAll(ctx)
}

// look finds out what became of one participant.
func (f *follower) look(ctx context.Context, at place, kind int) error {
	inCall := false
	if kind != remove {
		var err error
		if inCall, err = f.readParticipant(ctx, at.ext, at.id); err != nil {
			return err
		}
	}
	if inCall {
		if f.calls[at.ext] == nil {
			f.calls[at.ext] = make(map[int64]bool)
		}
		f.calls[at.ext][at.id] = true
	} else if delete(f.calls[at.ext], at.id); len(f.calls[at.ext]) == 0 {
		delete(f.calls, at.ext)
	}
	f.tell(at.ext)
	return nil
}

// readAll reads all calls and tells what is different.
func (f *follower) readAll(ctx context.Context) error {
	calls, err := f.readCalls(ctx)
	if err != nil {
		return err
	}
	f.calls, f.read = calls, time.Now()
	for ext := range f.told {
		f.tell(ext)
	}
	for ext := range calls {
		f.tell(ext)
	}
	return nil
}

// tell tells in how many calls an extension is, if that is news.
func (f *follower) tell(ext identity.Extension) {
	n := len(f.calls[ext])
	if f.told[ext] == n {
		return
	}
	if f.told[ext] = n; n == 0 {
		delete(f.told, ext)
	}
	f.sink(pbx.CallEvent{Extension: ext, Calls: n})
}

// ping asks the other end of the websocket whether it is there.
func (f *follower) ping(ctx context.Context) error {
	ctx, cancel := context.WithTimeoutCause(ctx, min(pongTime, f.wire.config.Timeout), errNoAnswer)
	defer cancel()
	if err := f.conn.Ping(ctx); err != nil {
		return fault.New(fault.Unavailable, "threecx: watch", err)
	}
	return nil
}
