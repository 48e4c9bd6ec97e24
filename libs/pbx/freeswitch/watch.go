package freeswitch

import (
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
	op      string
	ctx     context.Context // of Watch
	conn    *esl.Conn
	sink    pbx.Sink
	news    *news
	users   []identity.Extension
	told    map[identity.Extension]presence.Status
	suspect map[identity.Extension]bool // whose status may have changed, gathered until look
	asked   map[identity.Extension]bool // whose lamp FreeSWITCH asks for, likewise
	beats   int
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
	news, socket := newNews(d.config), d.config.socket(events...)
	socket.Hear = news.hear
	conn, err := esl.Dial(ctx, socket)
	if err != nil {
		return unreachable(ctx, op, err)
	}
	defer conn.Close()
	w := &watch{Driver: d, op: op, ctx: ctx, conn: conn, sink: sink, news: news,
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
		case <-w.news.ring:
			if err := w.hear(); err != nil {
				return err
			}
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

// hear tells what events have made of calls, and gathers what is to be looked at.
func (w *watch) hear() error {
	calls, suspect, asked, err := w.news.take()
	if err != nil {
		return fault.New(fault.Unavailable, w.op, err)
	}
	for _, e := range calls {
		w.sink(e)
	}
	maps.Copy(w.suspect, suspect)
	maps.Copy(w.asked, asked)
	return nil
}

// ask sends commands on the connection of the watch, and hears what came before their
// answers: a round trip can take long, and calls are told as they come.
func (w *watch) ask(commands ...esl.Command) ([]esl.Reply, error) {
	replies, err := w.conn.Do(w.ctx, commands...)
	if err != nil {
		return nil, failed(w.ctx, w.op, false, err)
	}
	return replies, w.hear()
}

// look reads the statuses that may have changed, and lights the lamps that FreeSWITCH asks
// for. One that is not to be lit is left to FreeSWITCH, which knows of calls. Parking
// places and the like are nobody's, and left out. What is heard meanwhile is for the next
// look.
func (w *watch) look() error {
	suspect, asked := w.suspect, w.asked
	w.suspect, w.asked = make(map[identity.Extension]bool), make(map[identity.Extension]bool)
	maps.DeleteFunc(suspect, func(ext identity.Extension, _ bool) bool { _, ours := w.told[ext]; return !ours })
	if err := w.statuses(w.op, w.ask, slices.Sorted(maps.Keys(suspect)), w.tell); err != nil {
		return err
	}
	var lit []esl.Command
	for ext := range asked {
		if s := w.told[ext]; looks[s].lit {
			lit = append(lit, lamps(w.config, ext, s)...)
		}
	}
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
	w.news.replace(list, began)
	if err := w.hear(); err != nil {
		return err
	}
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
		if err := w.list(); err != nil {
			return err
		}
	}
	if !listing && !w.dumps {
		return nil
	}
	return w.statuses(w.op, w.ask, w.users, w.tell)
}

// list lists the users on the connection for commands. That may take a minute
// (listTimeout), in which calls are told as always.
func (w *watch) list() error {
	ctx, cancel := context.WithCancel(w.ctx)
	var (
		listing sync.WaitGroup
		failed  error
		users   []identity.Extension
	)
	defer listing.Wait()
	defer cancel()
	listed := make(chan struct{})
	listing.Go(func() {
		defer close(listed)
		users, failed = w.Driver.users(ctx, w.op)
	})
	for {
		select {
		case <-listed:
			w.users = users
			return failed
		case <-w.news.ring:
			if err := w.hear(); err != nil {
				return err
			}
		case <-w.conn.Done():
			return fault.New(fault.Unavailable, w.op, w.conn.Err())
		}
	}
}
