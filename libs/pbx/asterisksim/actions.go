package asterisksim

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"offhook.dev/libs/core/identity"
)

// class is a set of classes of rights and events.
type class uint32

var classNames = []string{"system", "call", "log", "verbose", "command", "agent", "user", "config", "dtmf", "reporting", "cdr", "dialplan", "originate"}

// classes reads a list of classes.
func classes(text string) class {
	var set class
	for word := range strings.SplitSeq(text, ",") {
		switch at := slices.Index(classNames, strings.TrimSpace(word)); {
		case word == "all":
			return 1<<len(classNames) - 1
		case at >= 0:
			set |= 1 << at
		}
	}
	return set
}

// wanted reads the key Events of Login.
func wanted(text string) class {
	switch text {
	case "off":
		return 0
	case "", "on":
		return classes("all")
	}
	return classes(text)
}

// action is something that can be asked.
type action struct {
	name   string
	rights class // one of them is needed; 0: none
	write  bool
	do     func(*Sim, request) string
}

// actions by their names in lower case.
var actions = func() map[string]action {
	all := make(map[string]action)
	for _, a := range []action{
		{"Ping", 0, false, func(_ *Sim, m request) string { return response(m, "Success", "Ping: Pong\r\nTimestamp: 1.000000") }},
		{"ListCommands", 0, false, nil},
		{"CoreSettings", classes("system,reporting"), false, coreSettings},
		{"DBGet", classes("system,reporting"), false, dbGet},
		{"DBPut", classes("system"), true, dbPut},
		{"DBDel", classes("system"), true, dbDel},
		{"Setvar", classes("call"), true, setVar},
		{"Getvar", classes("call,reporting"), false, getVar},
		{"ExtensionState", classes("call,reporting"), false, extensionState},
		{"ExtensionStateList", classes("call,reporting"), false, extensionStates},
		{"DeviceStateList", classes("call,reporting"), false, deviceStates},
		{"PresenceState", classes("call,reporting"), false, presenceState},
		{"PresenceStateList", classes("call,reporting"), false, presenceStates},
		{"CoreShowChannels", classes("system,reporting"), false, channels},
		{"Originate", classes("originate"), true, originate},
		{"VoicemailUsersList", classes("call,reporting"), false, voicemailUsers},
	} {
		all[strings.ToLower(a.name)] = a
	}
	list := all["listcommands"]
	names := slices.Sorted(maps.Keys(all))
	rights := maps.Clone(all)
	list.do = func(s *Sim, m request) string {
		var lines []string
		for _, name := range names {
			if a := rights[name]; (a.rights == 0 || a.rights&s.write != 0) && !(a.name == "VoicemailUsersList" && s.config.NoMail) {
				lines = append(lines, a.name+": does what its name says  (Priv: some,all)")
			}
		}
		return response(m, "Success", strings.Join(lines, "\r\n"))
	}
	all["listcommands"] = list
	return all
}()

func coreSettings(s *Sim, m request) string {
	return response(m, "Success", "AMIversion: "+s.config.Interface+"\r\nAsteriskVersion: "+s.config.Version+"\r\nSystemName: \r\nCoreMaxCalls: 0")
}

// list is an answer that is a list of events.
func list(s *Sim, m request, message, end string, items []string) string {
	var b strings.Builder
	id := ""
	if m.get("ActionID") != "" {
		id = "ActionID: " + m.get("ActionID") + "\r\n"
	}
	fmt.Fprintf(&b, "Response: Success\r\n%sEventList: start\r\nMessage: %s\r\n\r\n", id, message)
	for _, item := range items {
		event, rest, _ := strings.Cut(item, "\r\n")
		fmt.Fprintf(&b, "%s\r\n%s%s\r\n", event, id, rest)
	}
	mark := "EventList: Complete\r\n"
	if s.config.NoMark {
		mark = ""
	}
	fmt.Fprintf(&b, "Event: %s\r\n%s%sListItems: %d\r\n\r\n", end, id, mark, len(items))
	return b.String()
}

func dbKey(m request) (key, missing string) {
	switch {
	case m.get("Family") == "":
		return "", "No family specified."
	case m.get("Key") == "":
		return "", "No key specified."
	}
	return m.get("Family") + "/" + m.get("Key"), ""
}

func dbGet(s *Sim, m request) string {
	key, missing := dbKey(m)
	if missing != "" {
		return failed(m, missing)
	}
	s.state.Lock()
	defer s.state.Unlock()
	value, ok := s.world.db[key]
	if !ok {
		return failed(m, "Database entry not found")
	}
	return list(s, m, "Result will follow", "DBGetComplete", []string{
		"Event: DBGetResponse\r\nFamily: " + m.get("Family") + "\r\nKey: " + m.get("Key") + "\r\nVal: " + value + "\r\n"})
}

func dbPut(s *Sim, m request) string {
	key, missing := dbKey(m)
	if missing != "" {
		return failed(m, missing)
	}
	s.state.Lock()
	defer s.state.Unlock()
	s.world.db[key] = m.get("Val")
	return response(m, "Success", "Message: Updated database successfully")
}

func dbDel(s *Sim, m request) string {
	key, missing := dbKey(m)
	if missing != "" {
		return failed(m, missing)
	}
	s.state.Lock()
	defer s.state.Unlock()
	if _, ok := s.world.db[key]; !ok {
		return failed(m, "Database entry not found")
	}
	delete(s.world.db, key)
	return response(m, "Success", "Message: Key deleted successfully")
}

// function takes NAME(argument) apart.
func function(text string) (name, argument string) {
	name, argument, found := strings.Cut(text, "(")
	argument, closed := strings.CutSuffix(argument, ")")
	if !found || !closed {
		return "", ""
	}
	return name, argument
}

func setVar(s *Sim, m request) string {
	if m.get("Variable") == "" {
		return failed(m, "No variable specified")
	}
	name, argument := function(m.get("Variable"))
	var ok bool
	switch name {
	case "DEVICE_STATE":
		ok = s.setState(argument, m.get("Value"))
	case "PRESENCE_STATE":
		ok = s.setPresence(argument, m.get("Value"))
	default:
		ok = name == "" // a variable of nobody's
	}
	if !ok {
		return failed(m, "Variable not set")
	}
	return response(m, "Success", "Message: Variable Set")
}

func getVar(s *Sim, m request) string {
	name, argument := function(m.get("Variable"))
	value := ""
	s.state.Lock()
	defer s.state.Unlock()
	if name == "DEVICE_STATE" {
		value = s.world.state(argument)
	}
	return response(m, "Success", "Variable: "+m.get("Variable")+"\r\nValue: "+value)
}

// extensionStatus is the state of a hint: -1 of none.
func (w *world) extensionStatus(ext identity.Extension) int {
	if !w.has(ext) {
		return -1
	}
	switch w.state("PJSIP/" + string(ext)) {
	case "INUSE", "BUSY":
		return 1
	case "RINGING":
		return 8
	case "ONHOLD":
		return 16
	}
	return 0
}

func extensionState(s *Sim, m request) string {
	s.state.Lock()
	defer s.state.Unlock()
	ext, hint := identity.Extension(m.get("Exten")), ""
	status := -1
	if m.get("Context") == ownContext {
		if status = s.world.extensionStatus(ext); status >= 0 {
			hint = s.world.hint(ext)
		}
	}
	return response(m, "Success", fmt.Sprintf("Message: Extension Status\r\nExten: %s\r\nContext: %s\r\nHint: %s\r\nStatus: %d\r\nStatusText: Idle", ext, m.get("Context"), hint, status))
}

func extensionStates(s *Sim, m request) string {
	s.state.Lock()
	defer s.state.Unlock()
	items := []string{"Event: ExtensionStatus\r\nExten: *76200\r\nContext: ext-dnd-hints\r\nHint: Custom:DEVDND200\r\nStatus: 4\r\nStatusText: Unavailable\r\n"}
	for _, ext := range s.world.numbers {
		items = append(items, fmt.Sprintf("Event: ExtensionStatus\r\nExten: %s\r\nContext: %s\r\nHint: %s\r\nStatus: %d\r\nStatusText: Idle\r\n",
			ext, ownContext, s.world.hint(ext), s.world.extensionStatus(ext)))
	}
	return list(s, m, "Extension Statuses will follow", "ExtensionStateListComplete", items)
}

func deviceStates(s *Sim, m request) string {
	s.state.Lock()
	defer s.state.Unlock()
	var items []string
	item := func(device, state string) {
		items = append(items, "Event: DeviceStateChange\r\nDevice: "+device+"\r\nState: "+state+"\r\n")
	}
	for device, state := range s.world.devices {
		item(device, state)
	}
	for key, state := range s.world.db {
		if name, custom := strings.CutPrefix(key, "CustomDevstate/"); custom {
			item("Custom:"+name, state)
		}
	}
	return list(s, m, "Device State Changes will follow", "DeviceStateListComplete", items)
}

// lines are those of a presence in answers and events.
func (p presence) lines(key string) string {
	text := key + ": " + p.state + "\r\n"
	if p.subtype != "" {
		text += "Subtype: " + p.subtype + "\r\n"
	}
	if p.message != "" {
		text += "Message: " + p.message + "\r\n"
	}
	return text
}

func presenceState(s *Sim, m request) string {
	provider := m.get("Provider")
	if provider == "" {
		return failed(m, "No provider specified")
	}
	s.state.Lock()
	defer s.state.Unlock()
	name, custom := strings.CutPrefix(provider, "CustomPresence:")
	p, ok := s.world.presence(name)
	if !custom || !ok {
		return failed(m, "Invalid provider "+provider+" or provider in invalid state")
	}
	return response(m, "Success", "Message: Presence State\r\n"+strings.TrimSuffix(p.lines("State"), "\r\n"))
}

func presenceStates(s *Sim, m request) string {
	s.state.Lock()
	defer s.state.Unlock()
	var items []string
	for key := range s.world.db {
		if name, custom := strings.CutPrefix(key, "CustomPresence/"); custom {
			if p, ok := s.world.presence(name); ok {
				items = append(items, "Event: PresenceStateChange\r\nPresentity: CustomPresence:"+name+"\r\n"+p.lines("Status"))
			}
		}
	}
	return list(s, m, "Presence State Changes will follow", "PresenceStateListComplete", items)
}

func channels(s *Sim, m request) string {
	s.state.Lock()
	defer s.state.Unlock()
	var items []string
	for name, doing := range s.world.channels {
		items = append(items, "Event: CoreShowChannel\r\nChannel: "+name+"\r\nChannelStateDesc: "+doing+"\r\nApplication: Dial\r\nDuration: 00:00:07\r\n")
	}
	return list(s, m, "Channels will follow", "CoreShowChannelsComplete", items)
}

func voicemailUsers(s *Sim, m request) string {
	s.state.Lock()
	defer s.state.Unlock()
	if len(s.world.numbers) == 0 {
		return response(m, "Success", "Message: There are no voicemail users currently defined.")
	}
	var items []string
	for _, ext := range s.world.numbers {
		items = append(items, fmt.Sprintf("Event: VoicemailUserEntry\r\nVMContext: default\r\nVoiceMailbox: %s\r\nFullname: %s\r\nEmail: p%s@contoso.example\r\nPager: \r\n",
			ext, s.world.names[ext], ext))
	}
	items = append(items, "Event: VoicemailUserEntry\r\nVMContext: other\r\nVoiceMailbox: 200\r\nFullname: Somebody else\r\nEmail: else@fabrikam.example\r\nPager: \r\n")
	return list(s, m, "Voicemail user list will follow", "VoicemailUserEntryComplete", items)
}
