package pbx

import (
	"context"
	"time"

	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/core/presence"
)

// Watcher is the power to tell of changes as they happen.
type Watcher interface {
	// Watch tells sink of everything that Capabilities().Watch declares: first what
	// is the case (calls that are under way, the statuses of all extensions), then
	// Synced, then whatever changes. It returns when the connection is lost, the
	// driver is closed or ctx ends, always with a classified error, and never
	// connects a second time: that is for the System around it. What it cannot be
	// certain to have missed (a gap, a message that makes no sense) it reads again
	// before the next Synced. sink is called by one goroutine at a time, and not
	// after Watch has returned.
	Watch(ctx context.Context, sink Sink) error
}

// Sink takes what a watch has to tell.
type Sink func(WatchEvent)

// WatchBeat is how often, at the least, a Watch repeats Synced. A connection that
// is dead without having said so is found by the silence.
const WatchBeat = 30 * time.Second

// WatchPowers is what a driver's Watch tells of.
type WatchPowers struct {
	Calls  bool `json:"calls"`
	Status bool `json:"status"`
}

// Any says whether there is anything to watch.
func (p WatchPowers) Any() bool { return p.Calls || p.Status }

// WatchEvent is one of CallEvent, StatusEvent, Synced and Down.
type WatchEvent interface{ kind() string }

// CallEvent says in how many calls an extension is now. A phone that rings is in
// none yet. Once a Watch has told of a call, it tells of its end.
type CallEvent struct {
	Extension identity.Extension
	Calls     int // 0: none
}

// Active says whether the extension is in a call.
func (e CallEvent) Active() bool { return e.Calls > 0 }

// StatusEvent says what an extension shows now.
type StatusEvent struct {
	Extension identity.Extension
	Status    presence.Status
}

// Synced says that what this Watch has told is the whole truth at this moment: an
// extension that it never mentioned is in no call. It comes again at least every
// WatchBeat, as a sign of life that confirms everything once more.
type Synced struct{}

// Down says that the watch is lost, and why: until the next Synced nothing is
// confirmed. Only System.Watch tells it; a driver's Watch returns.
type Down struct{ Err error }

func (CallEvent) kind() string   { return "call" }
func (StatusEvent) kind() string { return "status" }
func (Synced) kind() string      { return "synced" }
func (Down) kind() string        { return "down" }

// Calls is what a System knows of calls: see System.Calls.
type Calls struct {
	Live      bool      // confirmed within watchSilence
	Confirmed time.Time // when the phone system last confirmed all of it; zero: never
	Err       error     // why the watch is not live, nil while it is or before the first attempt ended
	// Active holds the extensions in calls with their number; while the watch is
	// not live, those last known.
	Active map[identity.Extension]int
}
