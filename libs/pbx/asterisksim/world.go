package asterisksim

import (
	"encoding/base64"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"offhook.dev/libs/core/identity"
)

// ownContext is the context of the hints of extensions, as FreePBX names it.
const ownContext = "ext-local"

// world is what an Asterisk has. state of the Sim guards it.
type world struct {
	numbers  []identity.Extension
	names    map[identity.Extension]string
	db, disk map[string]string // "family/key"
	devices  map[string]string // states of phones, as "PJSIP/200"
	channels map[string]string // what each is doing, by name: "Up", "Ringing"
	channel  int               // how many there were
	dialled  []Dialled
}

func newWorld() world {
	return world{names: make(map[identity.Extension]string), db: make(map[string]string), disk: make(map[string]string),
		devices: make(map[string]string), channels: make(map[string]string)}
}

// invent makes an extension with a phone of the same number.
func (w *world) invent(number int, plain bool) {
	ext := identity.Extension(strconv.Itoa(number))
	w.numbers = append(w.numbers, ext)
	w.names[ext] = fmt.Sprintf("Person %d", number)
	w.devices["PJSIP/"+string(ext)] = "NOT_INUSE"
	if !plain {
		w.db["AMPUSER/"+string(ext)+"/device"] = string(ext)
		w.db["AMPUSER/"+string(ext)+"/cidname"] = w.names[ext]
	}
}

func (w *world) has(ext identity.Extension) bool { return slices.Contains(w.numbers, ext) }

func (w *world) flush() { w.disk = maps.Clone(w.db) }

func (w *world) crash() {
	w.db = maps.Clone(w.disk)
	clear(w.channels)
	for device := range w.devices {
		w.devices[device] = "NOT_INUSE"
	}
}

// hint is what the dialplan has for an extension.
func (w *world) hint(ext identity.Extension) string {
	devices, ok := w.db["AMPUSER/"+string(ext)+"/device"]
	if !ok {
		devices = string(ext)
	}
	var parts []string
	for device := range strings.SplitSeq(devices, "&") {
		parts = append(parts, "PJSIP/"+device)
	}
	return fmt.Sprintf("%s&Custom:DND%s,CustomPresence:%s", strings.Join(parts, "&"), ext, ext)
}

// states that a device can have, by function DEVICE_STATE and in events.
var states = []string{"UNKNOWN", "NOT_INUSE", "INUSE", "BUSY", "INVALID", "UNAVAILABLE", "RINGING", "RINGINUSE", "ONHOLD"}

// state is the state of a device.
func (w *world) state(device string) string {
	if name, custom := strings.CutPrefix(device, "Custom:"); custom {
		if state, ok := w.db["CustomDevstate/"+name]; ok {
			return state
		}
		return "UNKNOWN"
	}
	if state, ok := w.devices[device]; ok {
		return state
	}
	return "INVALID"
}

// presence is a presence state with its texts.
type presence struct{ state, subtype, message string }

var presences = []string{"not_set", "unavailable", "available", "away", "xa", "chat", "dnd"}

// presence reads what the database has, "type,subtype,message,options"; false if that is
// nothing or makes no sense.
func (w *world) presence(name string) (presence, bool) {
	return parsePresence(w.db["CustomPresence/"+name])
}

func parsePresence(text string) (presence, bool) {
	parts := strings.SplitN(text, ",", 4)
	parts = append(parts, "", "", "")
	p := presence{parts[0], parts[1], parts[2]}
	if !slices.Contains(presences, p.state) {
		return presence{}, false
	}
	if strings.Contains(parts[3], "e") {
		p.subtype, p.message = decoded(p.subtype), decoded(p.message)
	} else if parts[3] != "" {
		return presence{}, false
	}
	return p, true
}

func decoded(text string) string {
	plain, _ := base64.StdEncoding.DecodeString(text)
	return string(plain)
}
