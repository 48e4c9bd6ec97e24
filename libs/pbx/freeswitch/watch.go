package freeswitch

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"slices"
	"sync"
	"time"

	"offhook.dev/libs/core/fault"
	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/core/presence"
	"offhook.dev/libs/pbx"
	"offhook.dev/libs/pbx/freeswitch/esl"
)

// inventoryBeats is after how many beats the users are listed again.
const inventoryBeats = 15

// watch is one Watch: its connection, and what it knows and has told.
type watch struct {
	*Driver
	op       string
	ctx      context.Context // of Watch
	conn     *esl.Conn
	sink     pbx.Sink
	channels *channels
	users    []identity.Extension
	told     map[identity.Extension]presence.Status
	suspect  map[identity.Extension]bool // whose status may have changed
	asked    map[identity.Extension]bool // whose lamp FreeSWITCH asks for
	beats    int
}

// Watch subscribes on a connection of its own, reads what is the case and tells it. Events
// of calls are told as they come, those that came together as one. An event of presence is
// a reason to look: what is told is what is kept. They are many, because every call fires
// some, so they are gathered for Config.Settle.
func (d *Driver) Watch(ctx context.Context, sink pbx.Sink) error {
	const op = "freeswitch: watch"
	if _, err := d.link.living(); err != nil {
		return fault.New(fault.Unavailable, op, err)
	}
	own, cancel := context.WithCancelCause(ctx)
	var closing sync.WaitGroup
	closing.Go(func() {
		select {
		case <-d.link.done:
			cancel(errClosed)
		case <-own.Done():
		}
	})
	err := d.watch(own, op, sink)
	closed := errors.Is(context.Cause(own), errClosed)
	cancel(nil)
	closing.Wait()
	if ctx.Err() == nil && closed {
		return fault.New(fault.Unavailable, op, errClosed)
	}
	return err
}

func (d *Driver) watch(ctx context.Context, op string, sink pbx.Sink) error {
	events := append(slices.Clone(channelEvents), "PRESENCE_IN")
	if !d.config.NoLamps {
		events = append(events, "PRESENCE_PROBE")
	}
	conn, err := esl.Dial(ctx, d.config.socket(events...))
	if err != nil {
		return unreachable(ctx, op, err)
	}
	defer conn.Close()
	w := &watch{Driver: d, op: op, ctx: ctx, conn: conn, sink: sink, channels: newChannels(d.config),
		told: make(map[identity.Extension]presence.Status), suspect: make(map[identity.Extension]bool), asked: make(map[identity.Extension]bool)}
	if err := w.sync(); err != nil {
		return err
	}
	return w.follow()
}

// follow tells what changes, until something ends it.
func (w *watch) follow() error {
	beat := time.NewTicker(w.config.Beat)
	defer beat.Stop()
	settled := time.NewTimer(w.config.Settle)
	defer settled.Stop()
	gathering := true // settled will fire
	for {
		select {
		case <-w.conn.Wake():
			w.hear()
		case <-settled.C:
			gathering = false
			if err := w.look(); err != nil {
				return err
			}
		case <-beat.C:
			if err := w.sync(); err != nil {
				return err
			}
		case <-w.conn.Done():
			return fault.New(fault.Unavailable, w.op, w.conn.Err())
		case <-w.ctx.Done():
			return fault.New(fault.KindOf(w.ctx.Err()), w.op, context.Cause(w.ctx))
		}
		if len(w.suspect) > 0 && !gathering {
			settled.Reset(w.config.Settle)
			gathering = true
		}
	}
}

// hear takes the events that have come, and tells what they make of calls.
func (w *watch) hear() {
	now := time.Now()
	for _, e := range w.conn.Take() {
		switch e.Name {
		case "PRESENCE_IN":
			w.note(w.suspect, e.From)
		case "PRESENCE_PROBE":
			w.note(w.suspect, cmp.Or(e.To, e.From))
			w.note(w.asked, cmp.Or(e.To, e.From))
		default:
			w.channels.hear(e, now)
		}
	}
	w.tellCalls()
}

// note puts whose address it is into a set. Parking places and the like are nobody's.
func (w *watch) note(set map[identity.Extension]bool, address string) {
	ext, ok := w.config.extension(address)
	if _, ours := w.told[ext]; ok && ours {
		set[ext] = true
	}
}

func (w *watch) tellCalls() {
	for _, e := range w.channels.news() {
		w.sink(e)
	}
}

// ask sends commands on the connection of the watch.
func (w *watch) ask(commands ...esl.Command) ([]esl.Reply, error) {
	replies, err := w.conn.Do(w.ctx, commands...)
	if err != nil {
		return nil, failed(w.ctx, w.op, false, err)
	}
	return replies, nil
}

// look reads the statuses that may have changed, and lights the lamps that FreeSWITCH asks
// for. One that is not to be lit is left to FreeSWITCH, which knows of calls.
func (w *watch) look() error {
	some := slices.Sorted(maps.Keys(w.suspect))
	clear(w.suspect)
	if err := w.statuses(w.op, w.ask, some, w.tell); err != nil {
		return err
	}
	var lit []esl.Command
	for ext := range w.asked {
		if s := w.told[ext]; looks[s].lit {
			lit = append(lit, lamps(w.config, ext, s)...)
		}
	}
	clear(w.asked)
	if len(lit) == 0 {
		return nil
	}
	_, err := w.ask(lit...)
	return err
}

// tell tells a status that is news.
func (w *watch) tell(ext identity.Extension, s presence.Status) error {
	if before, known := w.told[ext]; !known || before != s {
		w.told[ext] = s
		w.sink(pbx.StatusEvent{Extension: ext, Status: s})
	}
	return nil
}

// sync reads what is the case, and says that this was all. Statuses are read each time
// where one command tells them all; elsewhere at the beginning, and events have to do.
func (w *watch) sync() error {
	began := time.Now()
	replies, err := w.ask(esl.API("show channels as json"))
	if err != nil {
		return err
	}
	if replies[0].Refused() {
		return refusal(w.op+": show channels", replies[0])
	}
	list, err := parseChannels(string(replies[0]))
	if err != nil {
		return fault.New(fault.Unavailable, w.op, err)
	}
	w.hear() // what came meanwhile is newer than the list
	w.channels.replace(list, began)
	w.tellCalls()
	if err := w.inventory(); err != nil {
		return err
	}
	w.beats++
	w.sink(pbx.Synced{})
	return nil
}

// inventory reads the statuses of all users, and now and then who they are.
func (w *watch) inventory() error {
	listing := w.beats%inventoryBeats == 0
	if listing {
		var err error
		if w.users, err = w.Driver.users(w.ctx, w.op); err != nil {
			return err
		}
	}
	if !listing && !w.dumps {
		return nil
	}
	return w.statuses(w.op, w.ask, w.users, w.tell)
}
