package portsip

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/coder/websocket"

	"offhook.dev/libs/core/fault"
	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/core/presence"
	"offhook.dev/libs/pbx"
)

const opWatch = "portsip: watch"

const (
	pongTime = 10 * time.Second
	// subscribed is how many extensions one command subscribes to: how many there may be
	// is not documented.
	subscribed = 100
	// waiting is how many messages may wait to be looked at.
	waiting = 256
)

// Watch is pbx.Watcher, by websocket (follower) or by webhook (hooked).
func (d *Driver) Watch(ctx context.Context, sink pbx.Sink) error {
	ctx, cancel := context.WithCancelCause(ctx)
	var parts sync.WaitGroup
	defer parts.Wait()
	defer cancel(nil)
	parts.Go(func() {
		select {
		case <-d.wire.done:
			cancel(errClosed)
		case <-ctx.Done():
		}
	})
	watch := d.watch
	if d.config.Events == ByWebhook {
		watch = d.watchHook
	}
	err := watch(ctx, &parts, sink)
	if ctx.Err() == nil {
		return err
	}
	kind := fault.KindOf(ctx.Err())
	if errors.Is(context.Cause(ctx), errClosed) {
		kind = fault.Unavailable
	}
	return fault.New(kind, opWatch, context.Cause(ctx))
}

func (d *Driver) watch(ctx context.Context, parts *sync.WaitGroup, sink pbx.Sink) error {
	conn, err := d.wire.dial(ctx, opWatch)
	if err != nil {
		return err
	}
	defer func() { _ = conn.CloseNow() }() // which ends the reader
	f := &follower{Driver: d, teller: newTeller(sink), conn: conn, in: make(chan heard, waiting),
		wanted: make(map[identity.Extension]bool), said: make(map[identity.Extension]string), read: make(map[identity.Extension]int),
		since: make(map[identity.Extension]time.Time)}
	parts.Go(func() { f.readAll(ctx) })
	return f.follow(ctx, parts)
}

// heard is a message, or why there are no more.
type heard struct {
	message message
	err     error
}

// teller tells what is news.
type teller struct {
	sink  pbx.Sink
	calls map[identity.Extension]bool            // those that are said to be in a call; no false
	shown map[identity.Extension]presence.Status // what was told
}

func newTeller(sink pbx.Sink) *teller {
	return &teller{sink, make(map[identity.Extension]bool), make(map[identity.Extension]presence.Status)}
}

// tellCall tells whether an extension is in a call, if that is news. In how many calls
// is not known.
func (t *teller) tellCall(ext identity.Extension, connected bool) {
	if t.calls[ext] == connected {
		return
	}
	calls := 0
	if delete(t.calls, ext); connected {
		t.calls[ext], calls = true, 1
	}
	t.sink(pbx.CallEvent{Extension: ext, Calls: calls})
}

func (t *teller) tellStatus(ext identity.Extension, s presence.Status) {
	if old, told := t.shown[ext]; !told || old != s {
		t.shown[ext] = s
		t.sink(pbx.StatusEvent{Extension: ext, Status: s})
	}
}

// tellGone tells the end of what was told of an extension that is not there any more.
func (t *teller) tellGone(ext identity.Extension) {
	delete(t.shown, ext)
	t.tellCall(ext, false)
}

// reads says whether the status of somebody is told.
func (d *Driver) reads(ext identity.Extension) bool {
	return d.config.Statuses != ByOwn || d.sessions[ext] != nil
}

// follower turns messages of the websocket into what a watch tells. Calls are as the events
// tell them; a presence event is only a reason to read the status of that user, because what
// is shown depends on a switch that events do not tell. With each beat a ping shows that the
// websocket lives, extensions that are new are subscribed to, those in calls are asked whether
// they still are, and all statuses are read. Where each user has to be asked for the status,
// that has its time (see readEach). One goroutine has all but readAll.
type follower struct {
	*Driver
	*teller
	conn   *websocket.Conn
	in     chan heard
	wanted map[identity.Extension]bool      // those subscribed to; true once it was said how one is
	said   map[identity.Extension]string    // the presences that events named last
	since  map[identity.Extension]time.Time // when an event last said of somebody whether there is a call
	tells  bool                             // whether anybody who was asked has ever been in a call
	serial int                              // of the newest beat
	read   map[identity.Extension]int       // with which each of those subscribed to was asked last; 0: never
}

// readAll hands on messages until the connection or ctx ends. If nobody takes them the
// phone system has to wait.
func (f *follower) readAll(ctx context.Context) {
	for {
		var h heard
		_, data, err := f.conn.Read(ctx)
		if h.err = err; err == nil {
			h.message, h.err = parseMessage(data)
		}
		select {
		case f.in <- h:
		case <-ctx.Done():
			return
		}
		if h.err != nil {
			return
		}
	}
}

// follow subscribes before it reads the statuses, so that what changes in between is
// said. A ping goes out beside everything else: while its answer is waited for,
// messages must be taken, or it could not come.
func (f *follower) follow(ctx context.Context, parts *sync.WaitGroup) error {
	if err := f.confirm(ctx); err != nil {
		return err
	}
	beat := time.NewTicker(f.config.Beat)
	defer beat.Stop()
	pong, asked := make(chan error, 1), false
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case h := <-f.in:
			if err := f.take(ctx, h, true); err != nil {
				return err
			}
		case <-beat.C:
			if !asked {
				asked = true
				parts.Go(func() { pong <- f.ping(ctx) })
			}
		case err := <-pong:
			if asked = false; err != nil {
				return err
			}
			if err := f.confirm(ctx); err != nil {
				return err
			}
		}
	}
}

// confirm makes sure that everybody is watched and everything told.
func (f *follower) confirm(ctx context.Context) error {
	there := make(map[identity.Extension]bool)
	err := f.users(ctx, opWatch, "", func(u user) error { there[u.ext] = true; return nil })
	if err != nil {
		return err
	}
	if err := f.subscribe(ctx, there); err != nil {
		return err
	}
	for ext := range f.wanted {
		if !there[ext] {
			delete(f.wanted, ext)
			delete(f.read, ext)
			delete(f.since, ext)
			f.tellGone(ext)
		}
	}
	if err := f.askCalls(ctx); err != nil {
		return err
	}
	if err := f.readStatuses(ctx); err != nil {
		return err
	}
	f.sink(pbx.Synced{})
	return nil
}

// askCalls asks those who are said to be in a call, because the event that ends it may be lost.
func (f *follower) askCalls(ctx context.Context) error {
	for some := range slices.Chunk(slices.Collect(maps.Keys(f.calls)), helping) {
		asked := time.Now()
		answers, err := f.askAll(ctx, opWatch, some)
		if err != nil {
			return err
		}
		for i, ext := range some {
			if answers[i] != nil { // else it is gone, which is for the next beat
				f.doubt(ext, answers[i].inCall(), asked)
			}
		}
		if err := f.heed(ctx); err != nil {
			return err
		}
	}
	return nil
}

// doubt ends a call of which events have told and an answer knows nothing: unless the
// answer may have been too early, or answers never tell of calls here.
func (f *follower) doubt(ext identity.Extension, inCall bool, asked time.Time) {
	f.tells = f.tells || inCall
	if !inCall && f.tells && asked.Sub(f.since[ext]) > f.config.Settle {
		f.tellCall(ext, false)
	}
}

func (f *follower) readStatuses(ctx context.Context) error {
	if f.technique == oneByOne {
		return f.readEach(ctx)
	}
	return f.Statuses(ctx, func(ext identity.Extension, s presence.Status) error {
		f.tellStatus(ext, s)
		return ctx.Err()
	})
}

// readEach asks user by user, those first who were not asked for the longest time. In between
// messages are taken, so that no call waits until everybody was asked. After half a beat the
// others are for the next one; before the first Synced it takes longer, but not until the System
// around this would take the watch for dead.
func (f *follower) readEach(ctx context.Context) error {
	limit := f.config.Beat / 2
	if f.serial++; f.serial == 1 {
		limit = f.config.Reading
	}
	end := time.Now().Add(limit)
	for some := range slices.Chunk(f.due(), helping) {
		err := f.statusesOf(ctx, opWatch, some, func(ext identity.Extension, s presence.Status) error {
			f.tellStatus(ext, s)
			return nil
		})
		if err != nil {
			return err
		}
		for _, ext := range some {
			f.read[ext] = f.serial
		}
		if err := f.heed(ctx); err != nil || time.Now().After(end) {
			return err
		}
	}
	return nil
}

// due are those whose status is told, in the order in which they are to be asked.
func (f *follower) due() []identity.Extension {
	var due []identity.Extension
	for ext := range f.wanted {
		if f.reads(ext) {
			due = append(due, ext)
		}
	}
	slices.SortFunc(due, func(a, b identity.Extension) int { return cmp.Or(f.read[a]-f.read[b], cmp.Compare(a, b)) })
	return due
}

// heed takes the messages that wait.
func (f *follower) heed(ctx context.Context) error {
	for {
		select {
		case h := <-f.in:
			if err := f.take(ctx, h, true); err != nil {
				return err
			}
		default:
			return ctx.Err()
		}
	}
}

// subscribe subscribes to those who are new, and waits until something was said of each
// of them, or nothing is said any more: of whom nothing is said is in no call.
func (f *follower) subscribe(ctx context.Context, there map[identity.Extension]bool) error {
	var fresh []identity.Extension
	for ext := range there {
		if _, ok := f.wanted[ext]; !ok {
			fresh = append(fresh, ext)
			f.wanted[ext] = false
		}
	}
	if len(fresh) == 0 {
		return nil
	}
	// No command is about a few only, of whom perhaps nothing is ever said.
	commands := (len(fresh) + subscribed - 1) / subscribed
	for some := range slices.Chunk(fresh, (len(fresh)+commands-1)/commands) {
		bounded, cancel := context.WithTimeoutCause(ctx, f.config.Timeout, errNoAnswer)
		err := say(bounded, f.conn, map[string]any{"command": "subscribe", "topics": []string{"extension_events"}, "extensions": some})
		if err != nil {
			err = failure(bounded, opWatch, true, err)
		}
		cancel()
		if err != nil {
			return err
		}
		if err := f.settle(ctx, some); err != nil {
			return err
		}
	}
	return nil
}

// settle waits as subscribe says. While nothing was said of any of them it is not known who is in
// a call, however long that takes: without it the watch ends, and no call with it.
func (f *follower) settle(ctx context.Context, some []identity.Extension) error {
	patience := time.NewTimer(f.config.Timeout)
	defer patience.Stop()
	for {
		missing := 0
		for _, ext := range some {
			if !f.wanted[ext] {
				missing++
			}
		}
		if missing == 0 {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-patience.C:
			if missing < len(some) {
				return nil
			}
			return fault.Errorf(fault.Unavailable, opWatch, "nothing is said of the extensions that were subscribed to: %w", errNoAnswer)
		case h := <-f.in:
			if err := f.take(ctx, h, false); err != nil {
				return err
			}
			if slices.ContainsFunc(some, func(ext identity.Extension) bool { return f.wanted[ext] }) {
				patience.Reset(f.config.Settle)
			}
		}
	}
}

// take takes one message. A message that makes no sense ends the watch: the next one
// begins with everything. With look statuses are read where a presence is new.
func (f *follower) take(ctx context.Context, h heard, look bool) error {
	switch {
	case h.err != nil:
		return fault.New(fault.Unavailable, opWatch, h.err)
	case h.message.failed != "":
		return fault.Errorf(fault.Denied, opWatch, "the command %q was refused: %s", printable(h.message.command, 20), h.message.failed)
	}
	for _, s := range h.message.states {
		if _, ok := f.wanted[s.ext]; !ok {
			continue
		}
		if h.message.kind == "extension_status" { // others may be faster than what is the case
			f.wanted[s.ext] = true
		}
		if s.call != nil {
			f.tellCall(s.ext, *s.call)
			f.since[s.ext] = time.Now()
		}
		if s.presence == nil {
			continue
		}
		news := h.message.kind == "extension_presence" || f.said[s.ext] != *s.presence
		f.said[s.ext] = *s.presence
		if look && news {
			if err := f.look(ctx, s.ext); err != nil {
				return err
			}
		}
	}
	return nil
}

// look reads the status of somebody of whom there is news. One that is gone is for the
// next beat.
func (f *follower) look(ctx context.Context, ext identity.Extension) error {
	if !f.reads(ext) {
		return nil
	}
	s, err := f.Status(ctx, ext)
	if err != nil && fault.KindOf(err) == fault.NotFound {
		return nil
	}
	if err == nil {
		f.tellStatus(ext, s)
	}
	return err
}

// ping asks the other end of the websocket whether it is there.
func (f *follower) ping(ctx context.Context) error {
	ctx, cancel := context.WithTimeoutCause(ctx, min(pongTime, f.config.Timeout), errNoAnswer)
	defer cancel()
	if err := f.conn.Ping(ctx); err != nil {
		return fault.New(fault.Unavailable, opWatch, err)
	}
	return nil
}
