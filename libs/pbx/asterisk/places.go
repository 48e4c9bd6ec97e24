package asterisk

import (
	"encoding/base64"
	"slices"
	"strings"

	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/core/presence"
	"offhook.dev/libs/pbx/asterisk/ami"
)

// places is where an Asterisk keeps statuses. Texts are templates; "" is no such place.
type places struct {
	family, key string // of the switch in the database
	value       string // what it has when it is on
	lamp        string // a device state; the switch, where there is none in the database
	deviceLamp  string // another for each device of an extension
	off         string // the state of lamps that are off
	presence    string
}

const (
	on             = "BUSY" // the state of lamps that are on
	deviceVariable = "{device}"
)

// places are those of the profile.
func (c Config) places() places {
	if c.Profile == Plain {
		p := places{value: c.Value, lamp: c.DeviceState, off: c.Off, presence: c.PresenceName}
		p.family, p.key, _ = strings.Cut(c.Database, "/")
		if p.value == "" {
			p.value = "YES"
		}
		if p.off == "" {
			p.off = "NOT_INUSE"
		}
		return p
	}
	p := places{family: "DND", key: variable, value: "YES", off: "UNAVAILABLE"}
	if !c.NoLamps {
		p.lamp, p.deviceLamp = "Custom:DND"+variable, "Custom:DEVDND"+deviceVariable
	}
	if c.Presence {
		p.presence = presencePrefix + variable
	}
	return p
}

// powers follow from the places. Calls arrive unless the switch is on.
func (p places) powers() presence.Powers {
	statuses := presence.SetOf(presence.Available, presence.DND)
	if p.presence != "" {
		statuses = presence.All
	}
	return presence.Powers{Write: statuses, Read: statuses, Ring: statuses &^ presence.SetOf(presence.DND)}
}

func of(template string, ext identity.Extension) string {
	return strings.ReplaceAll(template, variable, string(ext))
}

// several says whether a status is kept in more than one place.
func (p places) several() bool {
	return p.lamp != "" && p.family != "" || p.deviceLamp != "" || p.presence != "" && p.switched()
}

// writes are the actions that make an extension show s. To silence a phone the one that
// routes calls goes first. Before a phone rings again the presence does, since a write that
// ends between the two must not show a third status, which would be taken for a person's:
// as long as the switch is on it is what shows.
func (p places) writes(ext identity.Extension, devices []string, s presence.Status) []ami.Action {
	switches := p.switches(ext, devices, s == presence.DND)
	if p.presence == "" {
		return switches
	}
	shows := ami.NewAction("Setvar", "Variable", "PRESENCE_STATE("+of(p.presence, ext)+")", "Value", shownAs[s].value())
	if s == presence.DND {
		return append(switches, shows)
	}
	return slices.Insert(switches, 0, shows)
}

// switches are the actions that turn do-not-disturb on or off, and its lamps.
func (p places) switches(ext identity.Extension, devices []string, dnd bool) []ami.Action {
	var all []ami.Action
	switch {
	case p.family == "":
	case dnd:
		all = append(all, ami.NewAction("DBPut", "Family", p.family, "Key", of(p.key, ext), "Val", p.value))
	default:
		all = append(all, ami.NewAction("DBDel", "Family", p.family, "Key", of(p.key, ext)))
	}
	state := p.off
	if dnd {
		state = on
	}
	if p.lamp != "" {
		all = append(all, setState(of(p.lamp, ext), state))
	}
	if p.deviceLamp != "" {
		for _, device := range devices {
			all = append(all, setState(strings.ReplaceAll(p.deviceLamp, deviceVariable, device), state))
		}
	}
	return all
}

func setState(name, state string) ami.Action {
	return ami.NewAction("Setvar", "Variable", "DEVICE_STATE("+name+")", "Value", state)
}

// shown is a presence: a type of Asterisk's, and texts.
type shown struct{ kind, subtype, message string }

// shownAs is how statuses are written.
var shownAs = map[presence.Status]shown{
	presence.Available:    {kind: "available"},
	presence.Away:         {kind: "away"},
	presence.DND:          {kind: "dnd", message: "Do not disturb"},
	presence.Lunch:        {kind: "away", subtype: "lunch", message: "Lunch"},
	presence.BusinessTrip: {kind: "xa", subtype: "business-trip", message: "Business trip"},
}

// value is what the function PRESENCE_STATE takes, its texts in base64 (option e), so
// that they may hold commas.
func (s shown) value() string {
	encode := base64.StdEncoding.EncodeToString
	return s.kind + "," + encode([]byte(s.subtype)) + "," + encode([]byte(s.message)) + ",e"
}

// status is what a presence means, its texts as Asterisk tells them, decoded. People
// choose types with texts of their own, of which lunch and business trip are understood.
// What is "unavailable" is a status of the phone system's own.
func (s shown) status() presence.Status {
	switch strings.ToLower(s.kind) {
	case "available", "chat", "not_set", "":
		return presence.Available
	case "dnd":
		return presence.DND
	case "away", "xa":
		for _, text := range []string{s.subtype, s.message} {
			switch strings.ReplaceAll(strings.ToLower(strings.TrimSpace(text)), "-", " ") {
			case "lunch":
				return presence.Lunch
			case "business trip":
				return presence.BusinessTrip
			}
		}
		return presence.Away
	}
	return presence.Unset
}

// presenceOf reads a presence in an answer or event, where key has its type. "Message" of
// an answer is what the answer says of itself first, and the text after it.
func presenceOf(m ami.Message, key string) shown {
	s := shown{kind: m.Get(key), subtype: m.Get("Subtype"), message: m.Get("PresenceMessage")}
	if s.message == "" {
		s.message = m.Last("Message")
	}
	return s
}

// status puts switch and presence together.
func (p places) status(dnd bool, s shown) presence.Status {
	switch {
	case dnd:
		return presence.DND
	case p.presence == "":
		return presence.Available
	}
	status := s.status()
	if status == presence.DND && p.switched() {
		return presence.Available // calls arrive
	}
	return status
}

// switched says whether there is a switch.
func (p places) switched() bool { return p.family != "" || p.lamp != "" }
