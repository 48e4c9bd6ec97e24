package freeswitch

import (
	"cmp"
	"errors"
	"sync"
	"time"

	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/pbx"
	"offhook.dev/libs/pbx/freeswitch/esl"
)

// waiting is how many extensions may have news that nobody has looked at.
const waiting = 200_000

var errFlood = errors.New("more extensions have news than there can be")

// news is what events have told, as far as nobody has looked at it. However many they were
// and however long nobody looked, it is of the size of the phone system: of a channel
// counts its newest event, and of presence that there was one.
type news struct {
	config Config
	ring   chan struct{} // has one in it when there is something

	mu       sync.Mutex // guards the following
	channels *channels
	suspect  map[identity.Extension]bool // whose status may have changed
	asked    map[identity.Extension]bool // whose lamp FreeSWITCH asks for
}

func newNews(c Config) *news {
	return &news{config: c, ring: make(chan struct{}, 1), channels: newChannels(c),
		suspect: make(map[identity.Extension]bool), asked: make(map[identity.Extension]bool)}
}

// hear takes an event (esl.Config.Hear).
func (n *news) hear(e esl.Event) {
	now := time.Now()
	n.mu.Lock()
	defer n.mu.Unlock()
	switch e.Name {
	case "PRESENCE_IN":
		n.note(n.suspect, e.From)
	case "PRESENCE_PROBE":
		n.note(n.suspect, cmp.Or(e.To, e.From))
		n.note(n.asked, cmp.Or(e.To, e.From))
	default:
		n.channels.hear(e, now)
	}
	select {
	case n.ring <- struct{}{}:
	default:
	}
}

// note puts whose address it is into a set, until take finds that it is too large.
func (n *news) note(set map[identity.Extension]bool, address string) {
	if ext, ok := n.config.extension(address); ok && len(set) <= waiting {
		set[ext] = true
	}
}

// take returns what there is, once.
func (n *news) take() (calls []pbx.CallEvent, suspect, asked map[identity.Extension]bool, err error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if len(n.suspect) > waiting {
		return nil, nil, nil, errFlood
	}
	suspect, asked = n.suspect, n.asked
	n.suspect, n.asked = make(map[identity.Extension]bool), make(map[identity.Extension]bool)
	return n.channels.news(), suspect, asked, nil
}

// replace takes the list of channels, asked for at began.
func (n *news) replace(list map[string]row, began time.Time) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.channels.replace(list, began)
}
