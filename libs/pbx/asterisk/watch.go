package asterisk

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"offhook.dev/libs/core/fault"
	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/core/presence"
	"offhook.dev/libs/pbx"
	"offhook.dev/libs/pbx/asterisk/ami"
)

const (
	opWatch = "asterisk: watch"
	// waiting is how many names may have news that nobody has looked at.
	waiting = 200_000
)

var errFlood = errors.New("more names have changed than there can be")

// Watch is pbx.Watcher, over a session of its own. Calls are what the states of phones
// say, and when everything is read, channels that are up as well. Of statuses an event is
// only a reason to read: what happens to one extension while others are read is one
// reading, and what happens within Config.Settle as well. With each beat everything is
// read again, so extensions that are new are met and what had no event is found.
func (d *Driver) Watch(ctx context.Context, sink pbx.Sink) error {
	if d.isClosed() {
		return fault.New(fault.Unavailable, opWatch, errClosed)
	}
	ctx, cancel := context.WithCancelCause(ctx)
	var parts sync.WaitGroup
	defer parts.Wait()
	defer cancel(nil)
	parts.Go(func() {
		select {
		case <-d.done:
			cancel(errClosed)
		case <-ctx.Done():
		}
	})
	err := d.watch(ctx, sink)
	if ctx.Err() == nil {
		return err
	}
	kind := fault.KindOf(ctx.Err())
	if errors.Is(context.Cause(ctx), errClosed) {
		kind = fault.Unavailable
	}
	return fault.New(kind, opWatch, context.Cause(ctx))
}

func (d *Driver) watch(ctx context.Context, sink pbx.Sink) error {
	news := newNews()
	s, err := d.dial(ctx, opWatch, ami.Config{Events: "call", Hear: news.hear})
	if err != nil {
		return err
	}
	defer s.Close()
	f := &follower{Driver: d, session: s, sink: sink, news: news, phones: make(map[string][]identity.Extension), busy: make(map[string]bool),
		calls: make(map[identity.Extension]int), shown: make(map[identity.Extension]presence.Status)}
	return f.follow(ctx)
}

// news is what events have told and nobody has looked at: the newest of each name.
type news struct {
	ring chan struct{} // holds a value when there is some

	mu        sync.Mutex
	states    map[string]string // of devices
	presences map[string]bool
	flood     bool
}

func newNews() *news {
	return &news{ring: make(chan struct{}, 1), states: make(map[string]string), presences: make(map[string]bool)}
}

// hear takes an event; what concerns neither devices nor presences is nothing.
func (n *news) hear(m ami.Message) {
	n.mu.Lock()
	defer n.mu.Unlock()
	switch m.Event() {
	case "DeviceStateChange":
		n.states[m.Get("Device")] = m.Get("State")
	case "PresenceStateChange":
		n.presences[m.Get("Presentity")] = true
	default:
		return
	}
	n.flood = len(n.states)+len(n.presences) > waiting
	select {
	case n.ring <- struct{}{}:
	default:
	}
}

// take returns all there is, once.
func (n *news) take() (states map[string]string, presences map[string]bool, err error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	states, presences = n.states, n.presences
	n.states, n.presences = make(map[string]string), make(map[string]bool)
	if n.flood {
		err = fault.New(fault.Unavailable, opWatch, errFlood)
	}
	return states, presences, err
}

// follower turns events into what a watch tells. One goroutine has it.
type follower struct {
	*Driver
	session *session
	sink    pbx.Sink
	news    *news
	phones  map[string][]identity.Extension        // whose a phone is, as "PJSIP/200"
	lamps   map[string]identity.Extension          // of whose status a name tells
	busy    map[string]bool                        // phones in a call; no false
	calls   map[identity.Extension]int             // what was told; no zeros
	shown   map[identity.Extension]presence.Status // what was told
}

func (f *follower) follow(ctx context.Context) error {
	if err := f.confirm(ctx); err != nil {
		return err
	}
	beat := time.NewTicker(f.config.Beat)
	defer beat.Stop()
	var settled <-chan time.Time
	changed := make(map[identity.Extension]bool) // whose status is to be read
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-f.session.Done():
			return fault.New(fault.Unavailable, opWatch, &ami.LostError{Err: f.session.Err()})
		case <-f.news.ring:
			if err := f.hearCalls(changed); err != nil {
				return err
			}
			if len(changed) > 0 && settled == nil {
				settled = time.After(f.config.Settle)
			}
		case <-settled:
			settled = nil
			if err := f.readStatuses(ctx, slices.Sorted(maps.Keys(changed))); err != nil {
				return err
			}
			clear(changed)
		case <-beat.C:
			if err := f.confirm(ctx); err != nil {
				return err
			}
		}
	}
}

// hearCalls tells of calls at once, and notes whose status may have changed.
func (f *follower) hearCalls(changed map[identity.Extension]bool) error {
	states, presences, err := f.news.take()
	if err != nil {
		return err
	}
	touched := make(map[identity.Extension]bool)
	for name, state := range states {
		f.setBusy(name, inCall(state))
		for _, ext := range f.phones[name] {
			touched[ext] = true
		}
		if ext, ok := f.lamps[name]; ok {
			changed[ext] = true
		}
	}
	for name := range presences {
		if ext, ok := f.lamps[name]; ok {
			changed[ext] = true
		}
	}
	if len(touched) > 0 {
		f.tellCalls(func(ext identity.Extension) bool { return touched[ext] })
	}
	return nil
}

// inCall says whether a phone is in a call by the state of its device: one that rings
// only is not. Asterisk says the same in words of two kinds.
func inCall(state string) bool {
	switch strings.ToUpper(strings.NewReplacer("_", "", " ", "", "+", "").Replace(state)) {
	case "INUSE", "BUSY", "RINGINUSE", "RINGINGINUSE", "ONHOLD":
		return true
	}
	return false
}

func (f *follower) setBusy(phone string, busy bool) {
	if delete(f.busy, phone); busy && f.phones[phone] != nil {
		f.busy[phone] = true
	}
}

// confirm reads everything and tells what is new. Events that come in between are looked
// at afterwards: they are never older than what they follow.
func (f *follower) confirm(ctx context.Context) error {
	there, err := f.session.hints(ctx, opWatch)
	if err != nil {
		return err
	}
	clear(f.phones)
	for ext, h := range there {
		for _, phone := range h.phones {
			f.phones[phone] = append(f.phones[phone], ext)
		}
	}
	if err := f.readCalls(ctx); err != nil {
		return err
	}
	f.tellCalls(func(identity.Extension) bool { return true })
	for ext := range f.shown {
		if _, ok := there[ext]; !ok {
			delete(f.shown, ext)
		}
	}
	exts := slices.Sorted(maps.Keys(there))
	if err := f.readStatuses(ctx, exts); err != nil {
		return err
	}
	f.nameLamps(exts)
	f.sink(pbx.Synced{})
	return nil
}

// readCalls reads which phones are in a call: by the states of devices, and by channels,
// which there are also where a state was never told.
func (f *follower) readCalls(ctx context.Context) error {
	devices, err := f.session.list(ctx, opWatch, ami.NewAction("DeviceStateList"))
	if err != nil {
		return err
	}
	channels, err := f.session.list(ctx, opWatch, ami.NewAction("CoreShowChannels"))
	if err != nil {
		return err
	}
	clear(f.busy)
	for _, m := range devices {
		f.setBusy(m.Get("Device"), inCall(m.Get("State")))
	}
	for _, m := range channels {
		if m.Get("ChannelStateDesc") == "Up" {
			name := m.Get("Channel") // PJSIP/200-0000001f
			if at := strings.LastIndex(name, "-"); at > 0 && f.phones[name[:at]] != nil {
				f.busy[name[:at]] = true
			}
		}
	}
	return nil
}

// tellCalls tells what is new of some extensions: in how many calls one is, counted by
// its phones.
func (f *follower) tellCalls(some func(identity.Extension) bool) {
	now := make(map[identity.Extension]int)
	for phone := range f.busy {
		for _, ext := range f.phones[phone] {
			now[ext]++
		}
	}
	tell := func(ext identity.Extension) {
		if !some(ext) || f.calls[ext] == now[ext] {
			return
		}
		if delete(f.calls, ext); now[ext] > 0 {
			f.calls[ext] = now[ext]
		}
		f.sink(pbx.CallEvent{Extension: ext, Calls: now[ext]})
	}
	for ext := range now {
		tell(ext)
	}
	for _, ext := range slices.Collect(maps.Keys(f.calls)) {
		tell(ext)
	}
}

// readStatuses reads what some show, and tells what is new.
func (f *follower) readStatuses(ctx context.Context, exts []identity.Extension) error {
	if len(exts) == 0 {
		return nil
	}
	return f.statuses(ctx, opWatch, f.session, exts, func(ext identity.Extension, s presence.Status) error {
		if old, told := f.shown[ext]; !told || old != s {
			f.shown[ext] = s
			f.sink(pbx.StatusEvent{Extension: ext, Status: s})
		}
		return ctx.Err()
	})
}

// nameLamps notes whose status each name tells of. The devices are known by
// now.
func (f *follower) nameLamps(exts []identity.Extension) {
	f.lamps = make(map[string]identity.Extension)
	for _, ext := range exts {
		if f.places.lamp != "" {
			f.lamps[of(f.places.lamp, ext)] = ext
		}
		if f.places.presence != "" {
			f.lamps[of(f.places.presence, ext)] = ext
		}
		if f.places.deviceLamp != "" {
			for _, device := range f.session.met(ext) {
				f.lamps[strings.ReplaceAll(f.places.deviceLamp, deviceVariable, device)] = ext
			}
		}
	}
}
