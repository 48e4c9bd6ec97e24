package asterisksim

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"offhook.dev/libs/core/identity"
)

// setState is the function DEVICE_STATE: it sets states of the kind Custom, which are
// kept in the database, and tells whoever listens if that is a change.
func (s *Sim) setState(device, state string) bool {
	name, custom := strings.CutPrefix(device, "Custom:")
	if !custom || name == "" || !slices.Contains(states, state) {
		return false
	}
	s.state.Lock()
	changed := s.world.state(device) != state
	s.world.db["CustomDevstate/"+name] = state
	s.state.Unlock()
	if changed {
		s.publish(classes("call"), "Event: DeviceStateChange\r\nPrivilege: call,all\r\nDevice: "+device+"\r\nState: "+state+"\r\n\r\n")
	}
	return true
}

// setPresence is the function PRESENCE_STATE.
func (s *Sim) setPresence(provider, value string) bool {
	name, custom := strings.CutPrefix(provider, "CustomPresence:")
	p, ok := parsePresence(value)
	if !custom || name == "" || !ok {
		return false
	}
	s.state.Lock()
	before, _ := s.world.presence(name)
	s.world.db["CustomPresence/"+name] = value
	s.state.Unlock()
	if before != p {
		s.publish(classes("call"), "Event: PresenceStateChange\r\nPrivilege: call,all\r\nPresentity: "+provider+"\r\n"+p.lines("Status")+"\r\n")
	}
	return true
}

// setDevice sets the state of a phone.
func (s *Sim) setDevice(device, state string) {
	s.state.Lock()
	changed := s.world.devices[device] != state
	s.world.devices[device] = state
	s.state.Unlock()
	if changed {
		s.publish(classes("call"), "Event: DeviceStateChange\r\nPrivilege: call,all\r\nDevice: "+device+"\r\nState: "+state+"\r\n\r\n")
	}
}

// devicesOf are the phones of an extension.
func (s *Sim) devicesOf(ext identity.Extension) []string {
	s.state.Lock()
	defer s.state.Unlock()
	return strings.Split(strings.Split(s.world.hint(ext), "&Custom:")[0], "&")
}

// Press dials the feature code that switches do-not-disturb, as a person at the phone.
// With Plain it is the state alone, as a dialplan of one's own may do it.
func (s *Sim) Press(ext identity.Extension, dnd bool) {
	state := "UNAVAILABLE"
	if s.config.Plain {
		state = "NOT_INUSE"
	}
	if dnd {
		state = "BUSY"
	}
	s.state.Lock()
	delete(s.world.db, "DND/"+string(ext))
	if dnd {
		s.world.db["DND/"+string(ext)] = "YES"
	}
	s.state.Unlock()
	if s.config.NoLamps {
		return
	}
	s.setState("Custom:DND"+string(ext), state)
	if !s.config.Plain {
		for _, device := range s.devicesOf(ext) {
			s.setState("Custom:DEVDND"+strings.TrimPrefix(device, "PJSIP/"), state)
		}
	}
}

// Choose sets a presence as a person does with the buttons of a telephone:
// "type,subtype,message".
func (s *Sim) Choose(ext identity.Extension, value string) {
	if !s.setPresence("CustomPresence:"+string(ext), value) {
		panic("no such presence: " + value)
	}
}

// StartCall puts the first phone of an extension in a call; EndCall ends it.
func (s *Sim) StartCall(ext identity.Extension) {
	device := s.devicesOf(ext)[0]
	s.state.Lock()
	s.world.channel++
	s.world.channels[fmt.Sprintf("%s-%08x", device, s.world.channel)] = "Up"
	s.state.Unlock()
	s.setDevice(device, "INUSE")
}

// EndCall ends the calls of the first phone of an extension.
func (s *Sim) EndCall(ext identity.Extension) {
	device := s.devicesOf(ext)[0]
	s.state.Lock()
	for name := range s.world.channels {
		if strings.HasPrefix(name, device+"-") {
			delete(s.world.channels, name)
		}
	}
	s.state.Unlock()
	s.setDevice(device, "NOT_INUSE")
}

// SetDevice sets the state of a phone, such as "PJSIP/200".
func (s *Sim) SetDevice(device, state string) { s.setDevice(device, state) }

// Emit tells whoever listens to the class call of an event.
func (s *Sim) Emit(text string) { s.publish(classes("call"), text) }

// Entry is what the database has under "family/key"; false if there is nothing.
func (s *Sim) Entry(key string) (string, bool) {
	s.state.Lock()
	defer s.state.Unlock()
	value, ok := s.world.db[key]
	return value, ok
}

// SetEntry changes the database as an administrator does; Remove deletes an entry.
func (s *Sim) SetEntry(key, value string) {
	s.state.Lock()
	defer s.state.Unlock()
	s.world.db[key] = value
}

// Remove deletes an entry of the database.
func (s *Sim) Remove(key string) {
	s.state.Lock()
	defer s.state.Unlock()
	delete(s.world.db, key)
}

// State is the state of a device.
func (s *Sim) State(device string) string {
	s.state.Lock()
	defer s.state.Unlock()
	return s.world.state(device)
}

// Presence is what is shown beside a name, decoded: type, subtype and message.
func (s *Sim) Presence(ext identity.Extension) (state, subtype, message string) {
	s.state.Lock()
	defer s.state.Unlock()
	p, _ := s.world.presence(string(ext))
	return p.state, p.subtype, p.message
}

// Dismiss removes an extension, as an administrator does.
func (s *Sim) Dismiss(ext identity.Extension) {
	s.state.Lock()
	defer s.state.Unlock()
	s.world.numbers = slices.DeleteFunc(s.world.numbers, func(e identity.Extension) bool { return e == ext })
	delete(s.world.db, "AMPUSER/"+string(ext)+"/device")
	delete(s.world.db, "AMPUSER/"+string(ext)+"/cidname")
}

// Hire makes an extension, as an administrator does; its number must be digits.
func (s *Sim) Hire(ext identity.Extension) {
	number, err := strconv.Atoi(string(ext))
	if err != nil {
		panic(err)
	}
	s.state.Lock()
	defer s.state.Unlock()
	s.world.invent(number, s.config.Plain)
}
