package threecx

import (
	"encoding/json"
	"errors"
	"strconv"
	"strings"
	"sync"

	"offhook.dev/libs/core/identity"
)

// Kinds of events. Others (tones, announcements, answers) are of no interest.
const (
	upset  = 0 // made or changed; how is not said
	remove = 1
)

// place names a participant.
type place struct {
	ext identity.Extension
	id  int64
}

// message is one message of the websocket.
type message struct {
	sequence int64
	kind     int
	place    place // zero: about something else
}

var errMessage = errors.New("the message makes no sense")

// parseMessage reads {"sequence": 7, "event": {"event_type": 0, "entity":
// "/callcontrol/200/participants/12"}}. What is not about the participant of an
// extension has no place.
func parseMessage(data []byte) (message, error) {
	var m struct {
		Sequence *int64
		Event    *struct {
			Type   *int `json:"event_type"`
			Entity string
		}
	}
	if json.Unmarshal(data, &m) != nil || m.Sequence == nil || m.Event == nil || m.Event.Type == nil {
		return message{}, errMessage
	}
	parsed := message{sequence: *m.Sequence, kind: *m.Event.Type}
	if parsed.kind != upset && parsed.kind != remove {
		return parsed, nil
	}
	rest, ok := strings.CutPrefix(m.Event.Entity, callControl+"/")
	parts := strings.Split(rest, "/")
	switch {
	case !ok || parts[0] == "" || len(parts) > 3:
		return message{}, errMessage
	case len(parts) == 3 && parts[1] == "devices":
		return parsed, nil
	case len(parts) != 3 || parts[1] != "participants":
		return message{}, errMessage // a whole extension, or all of its calls
	}
	ext, err := identity.ParseExtension(parts[0])
	if err != nil || ext == "." || ext == ".." { // which would lead elsewhere

		return parsed, nil // nobody can be linked to it
	}
	id, err := strconv.ParseInt(parts[2], 10, 64)
	if err != nil {
		return message{}, errMessage
	}
	parsed.place = place{ext, id}
	return parsed, nil
}

// inboxLimit is how many participants may wait to be looked at before it is simpler to
// look at all.
const inboxLimit = 50

// inbox keeps what the websocket has said until somebody has time for it: of each
// participant the newest kind of event, or only that everything has to be read again.
type inbox struct {
	wake chan struct{} // holds one value when there is something

	mu     sync.Mutex
	any    bool // a message has come, with number last
	last   int64
	kinds  map[place]int
	missed bool  // something was missed, or may have been
	ended  error // of the connection
}

func newInbox() *inbox { return &inbox{wake: make(chan struct{}, 1), kinds: make(map[place]int)} }

// add takes one message. A number that is not the next one means that messages were
// lost, doubled or changed places; which of these makes no difference.
func (i *inbox) add(data []byte) {
	m, err := parseMessage(data)
	i.mu.Lock()
	defer i.mu.Unlock()
	switch {
	case err != nil:
		i.missed = true
	default:
		i.missed = i.missed || i.any && m.sequence != i.last+1
		i.any, i.last = true, m.sequence
		if m.place != (place{}) {
			i.kinds[m.place] = m.kind
		}
	}
	i.missed = i.missed || len(i.kinds) > inboxLimit
	if i.missed {
		clear(i.kinds)
	}
	i.signal()
}

// end says that nothing comes any more.
func (i *inbox) end(err error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.ended = err
	i.signal()
}

// take empties the inbox.
func (i *inbox) take() (kinds map[place]int, missed bool, ended error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	kinds, missed = i.kinds, i.missed
	i.kinds, i.missed = make(map[place]int), false
	return kinds, missed, i.ended
}

// signal wakes whoever waits. mu is held.
func (i *inbox) signal() {
	select {
	case i.wake <- struct{}{}:
	default:
	}
}
