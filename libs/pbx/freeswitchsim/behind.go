package freeswitchsim

import (
	"fmt"
	"strings"

	"offhook.dev/libs/core/identity"
)

// Stats returns the counts.
func (s *Sim) Stats() Stats {
	s.state.Lock()
	defer s.state.Unlock()
	return s.world.stats
}

// Numbers lists the extensions.
func (s *Sim) Numbers() []identity.Extension {
	s.state.Lock()
	defer s.state.Unlock()
	var all []identity.Extension
	for _, u := range s.world.users {
		all = append(all, u.number)
	}
	return all
}

// Stored is what mod_hash has under a realm for an extension, "" for nothing.
func (s *Sim) Stored(realm string, ext identity.Extension) string {
	s.state.Lock()
	defer s.state.Unlock()
	return s.world.hash[realm+"_"+string(ext)+"@"+s.config.Domain]
}

// Kept is how many values mod_hash has, of any realm.
func (s *Sim) Kept() int {
	s.state.Lock()
	defer s.state.Unlock()
	return len(s.world.hash)
}

// Variable is the variable of do-not-disturb as calls see it.
func (s *Sim) Variable(ext identity.Extension) string {
	s.state.Lock()
	defer s.state.Unlock()
	return s.world.userData(string(ext) + "@" + s.config.Domain + " var " + s.config.Variable)
}

// Lamp is what phones that watch an extension were told last; proto is sip or dnd.
func (s *Sim) Lamp(proto string, ext identity.Extension) Lamp {
	s.state.Lock()
	defer s.state.Unlock()
	return s.world.lamps[proto+":"+string(ext)+"@"+s.config.Domain]
}

// Store puts a value into mod_hash as a feature code of the dialplan does, which fires an
// event as well.
func (s *Sim) Store(realm string, ext identity.Extension, value string) {
	s.state.Lock()
	defer s.state.Unlock()
	address := string(ext) + "@" + s.config.Domain
	if s.world.hash[realm+"_"+address] = value; value == "" {
		delete(s.world.hash, realm+"_"+address)
	}
	s.presence("sip", address)
}

// Switch sets the variable as the feature codes *78 and *79 do: stored, out of the cache,
// and told.
func (s *Sim) Switch(ext identity.Extension, value string) {
	s.state.Lock()
	defer s.state.Unlock()
	if u := s.world.byNumber(ext); u != nil {
		u.variable, u.known = value, false
		s.presence("dnd", string(ext)+"@"+s.config.Domain)
	}
}

// presence fires what a person's choice fires. The state is held.
func (s *Sim) presence(proto, address string) {
	if !s.config.Quiet {
		s.fire("PRESENCE_IN", map[string]string{"proto": proto, "from": address, "login": address, "event_type": "presence"})
	}
}

// Watched is a phone that begins to watch an extension: its lamp is off, and mod_sofia asks
// what is to be shown.
func (s *Sim) Watched(proto string, ext identity.Extension) {
	s.state.Lock()
	defer s.state.Unlock()
	address := string(ext) + "@" + s.config.Domain
	delete(s.world.lamps, proto+":"+address)
	s.fire("PRESENCE_PROBE", map[string]string{"proto": proto, "from": "1001@" + s.config.Domain, "to": address, "login": "internal", "expires": "3600"})
}

// Remove deletes a user, and Add makes one.
func (s *Sim) Remove(ext identity.Extension) {
	s.state.Lock()
	defer s.state.Unlock()
	for i, u := range s.world.users {
		if u.number == ext {
			s.world.users = append(s.world.users[:i:i], s.world.users[i+1:]...)
			return
		}
	}
}

// Add makes a user.
func (s *Sim) Add(ext identity.Extension) {
	s.state.Lock()
	defer s.state.Unlock()
	s.world.users = append(s.world.users, newUser(ext))
}

// Rename gives a user another name, of bytes that may be of any charset.
func (s *Sim) Rename(ext identity.Extension, name string) {
	s.state.Lock()
	defer s.state.Unlock()
	if u := s.world.byNumber(ext); u != nil {
		u.name = name
	}
}

// Ring makes a channel that rings and returns its id; Answer connects it, Hold and Unhold
// hold it, and Hangup ends it.
func (s *Sim) Ring(ext identity.Extension) string {
	s.state.Lock()
	defer s.state.Unlock()
	s.world.nextID++
	c := &channel{id: fmt.Sprintf("84e7dad0-dc1e-4234-8c56-%012d", s.world.nextID), number: ext, state: "RINGING"}
	s.world.channels = append(s.world.channels, c)
	s.channel("CHANNEL_CREATE", c)
	s.channel("CHANNEL_CALLSTATE", c)
	return c.id
}

// Answer: see Ring.
func (s *Sim) Answer(id string) { s.change(id, "ACTIVE", "CHANNEL_ANSWER") }

// Hold: see Ring.
func (s *Sim) Hold(id string) { s.change(id, "HELD", "CHANNEL_HOLD") }

// Unhold: see Ring.
func (s *Sim) Unhold(id string) { s.change(id, "UNHELD", "CHANNEL_UNHOLD") }

// Hangup: see Ring.
func (s *Sim) Hangup(id string) { s.change(id, "HANGUP", "CHANNEL_HANGUP_COMPLETE") }

func (s *Sim) change(id, state, event string) {
	s.state.Lock()
	defer s.state.Unlock()
	for _, c := range s.world.channels {
		if c.id != id {
			continue
		}
		if c.state = state; state == "HANGUP" {
			s.world.remove(c)
		}
		s.channel("CHANNEL_CALLSTATE", c)
		s.channel(event, c)
		s.fire("PRESENCE_IN", map[string]string{"proto": "sip", "from": string(c.number) + "@" + s.config.Domain, "status": "CS_EXECUTE", "Unique-ID": c.id})
		return
	}
}

// channel fires an event of a channel. The state is held.
func (s *Sim) channel(event string, c *channel) {
	s.fire(event, map[string]string{"Unique-ID": c.id, "Channel-Name": s.world.name(c), "Channel-Call-State": c.state, "Channel-State": "CS_EXECUTE",
		"Channel-Presence-ID": s.world.presenceID(c), "Caller-Caller-ID-Name": "José", "variable_sip_from_user": string(c.number)})
}

// Vanish takes all channels of an extension away without an event, as a lost one is.
func (s *Sim) Vanish(ext identity.Extension) {
	s.state.Lock()
	defer s.state.Unlock()
	for _, c := range s.world.channels {
		if c.number == ext {
			defer s.world.remove(c)
		}
	}
}

// StartCall puts an extension in one more call; EndCall ends its oldest.
func (s *Sim) StartCall(ext identity.Extension) { s.Answer(s.Ring(ext)) }

// EndCall: see StartCall.
func (s *Sim) EndCall(ext identity.Extension) {
	s.state.Lock()
	var id string
	for _, c := range s.world.channels {
		if c.number == ext && strings.Contains("ACTIVE HELD UNHELD", c.state) {
			id = c.id
			break
		}
	}
	s.state.Unlock()
	s.Hangup(id)
}

// Commands counts the commands that began with something.
func (s *Sim) Commands(prefix string) int {
	s.state.Lock()
	defer s.state.Unlock()
	n := 0
	for _, line := range s.world.lines {
		if strings.HasPrefix(line, prefix) {
			n++
		}
	}
	return n
}
