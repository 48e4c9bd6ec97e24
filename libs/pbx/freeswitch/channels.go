package freeswitch

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/pbx"
	"offhook.dev/libs/pbx/freeswitch/esl"
)

// channelEvents tell of calls. CHANNEL_CALLSTATE alone would do; the others say the same
// where a version leaves it out.
var channelEvents = []string{"CHANNEL_CALLSTATE", "CHANNEL_ANSWER", "CHANNEL_HANGUP_COMPLETE", "CHANNEL_DESTROY"}

// connected are the states of a channel that is in a call (switch_types.h). DIALING,
// RINGING, EARLY and RING_WAIT are before it, HANGUP and DOWN after it.
var connected = map[string]bool{"ACTIVE": true, "HELD": true, "UNHELD": true}

// over are the states of a channel that is in none any more.
var over = map[string]bool{"HANGUP": true, "DOWN": true}

// channels is the table of the channels that are in calls.
type channels struct {
	config Config
	byID   map[string]leg
	calls  map[identity.Extension]int
	told   map[identity.Extension]int  // of calls; no zeros, as in calls
	dirty  map[identity.Extension]bool // whose count has changed since it was told
}

// leg is a channel.
type leg struct {
	ext    identity.Extension
	active bool      // it is in a call; otherwise it has ended, and is kept for a while
	at     time.Time // of what is known
}

func newChannels(c Config) *channels {
	return &channels{config: c, byID: make(map[string]leg), calls: make(map[identity.Extension]int), told: make(map[identity.Extension]int),
		dirty: make(map[identity.Extension]bool)}
}

// news is what was not told yet. What began and ended meanwhile is none.
func (c *channels) news() []pbx.CallEvent {
	var all []pbx.CallEvent
	for ext := range c.dirty {
		n := c.calls[ext]
		if n == c.told[ext] {
			continue
		}
		if c.told[ext] = n; n == 0 {
			delete(c.told, ext)
		}
		all = append(all, pbx.CallEvent{Extension: ext, Calls: n})
	}
	clear(c.dirty)
	return all
}

// hear takes an event of a channel.
func (c *channels) hear(e esl.Event, now time.Time) {
	switch {
	case e.Channel == "":
	case e.Name == "CHANNEL_HANGUP_COMPLETE", e.Name == "CHANNEL_DESTROY", over[e.CallState]:
		c.set(e.Channel, leg{c.byID[e.Channel].ext, false, now})
	case e.Name == "CHANNEL_ANSWER", connected[e.CallState]:
		if ext, ok := c.owner(e.PresenceID, e.ChannelName); ok {
			c.set(e.Channel, leg{ext, true, now})
		}
	}
}

// set notes what is known of a channel.
func (c *channels) set(id string, next leg) {
	if before := c.byID[id]; before.active {
		c.count(before.ext, -1)
	}
	if next.active {
		c.count(next.ext, 1)
	}
	c.byID[id] = next
}

func (c *channels) count(ext identity.Extension, by int) {
	if c.calls[ext] += by; c.calls[ext] == 0 {
		delete(c.calls, ext)
	}
	c.dirty[ext] = true
}

// owner is whose a channel is: its presence id says so, or where it has none its name.
func (c *channels) owner(presenceID, name string) (identity.Extension, bool) {
	if presenceID != "" {
		return c.config.extension(presenceID)
	}
	if i := strings.LastIndexByte(name, '/'); i >= 0 {
		return c.config.extension(name[i+1:])
	}
	return "", false
}

// replace takes the list of channels, asked for at began. What is known from events since
// lag before it counts more.
func (c *channels) replace(list map[string]row, began time.Time) {
	fresh := began.Add(-c.config.Lag)
	for id, known := range c.byID {
		if _, listed := list[id]; listed || known.at.After(fresh) {
			continue
		}
		c.set(id, leg{})
		delete(c.byID, id)
	}
	for id, r := range list {
		if known, ok := c.byID[id]; ok && known.at.After(fresh) {
			continue
		}
		ext, ok := c.owner(r.PresenceID, r.Name)
		if ok && connected[r.CallState] {
			c.set(id, leg{ext, true, fresh})
		} else if _, known := c.byID[id]; known {
			c.set(id, leg{})
			delete(c.byID, id)
		}
	}
}

// row is a channel as it is listed.
type row struct {
	ID         string `json:"uuid"`
	Name       string `json:"name"`
	PresenceID string `json:"presence_id"`
	CallState  string `json:"callstate"`
}

// parseChannels reads what `show channels as json` prints: {"row_count": 1, "rows": [...]},
// without rows where there are none.
func parseChannels(text string) (map[string]row, error) {
	var list struct {
		Count *int  `json:"row_count"`
		Rows  []row `json:"rows"`
	}
	if json.Unmarshal([]byte(text), &list) != nil || list.Count == nil || *list.Count != len(list.Rows) {
		return nil, fmt.Errorf("%w: it is no list of channels", errSenseless)
	}
	all := make(map[string]row, len(list.Rows))
	for _, r := range list.Rows {
		if r.ID != "" {
			all[r.ID] = r
		}
	}
	return all, nil
}
