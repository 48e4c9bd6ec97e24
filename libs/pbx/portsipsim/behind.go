package portsipsim

import (
	"maps"
	"slices"

	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/core/presence"
	"offhook.dev/libs/pbx"
)

// presences are the statuses by their names here.
var presences = map[string]presence.Status{available: presence.Available, away: presence.Away, doNotDisturb: presence.DND, lunch: presence.Lunch, businessTrip: presence.BusinessTrip}

// with finds a user and lets do have it; it says whether there is one.
func (s *Sim) with(ext identity.Extension, do func(*user)) bool {
	s.state.Lock()
	defer s.state.Unlock()
	u := s.world.byNumber(ext)
	if u != nil {
		do(u)
	}
	return u != nil
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

// DND says whether the switch enable_dnd is on, and Presence what was chosen, with the
// note. They are not one thing unless Config.Linked says so.
func (s *Sim) DND(ext identity.Extension) (on bool) {
	s.with(ext, func(u *user) { on = u.dnd() })
	return on
}

// Presence is what was chosen: see DND.
func (s *Sim) Presence(ext identity.Extension) (status presence.Status, note string) {
	s.with(ext, func(u *user) { status, note = presences[u.presence], u.note })
	return status, note
}

// Switch turns enable_dnd on or off, as *78 and *79 do.
func (s *Sim) Switch(ext identity.Extension, on bool) bool {
	return s.with(ext, func(u *user) {
		if s.world.setDND(u, on) {
			s.tellPresence(u)
		}
	})
}

// Choose chooses a presence, as a person does in the app.
func (s *Sim) Choose(ext identity.Extension, status presence.Status) bool {
	return s.with(ext, func(u *user) {
		for name, known := range presences {
			if known == status {
				s.world.setPresence(u, name)
				s.tellPresence(u)
			}
		}
	})
}

// StartCall puts an extension in one more call, Ring lets it ring, EndCalls ends all of
// that.
func (s *Sim) StartCall(ext identity.Extension) bool {
	return s.with(ext, func(u *user) { u.calls++; s.tellCall(u) })
}

// Ring: see StartCall.
func (s *Sim) Ring(ext identity.Extension) bool {
	return s.with(ext, func(u *user) { u.ringing = true; s.tellCall(u) })
}

// EndCalls: see StartCall.
func (s *Sim) EndCalls(ext identity.Extension) bool {
	return s.with(ext, func(u *user) { u.calls, u.ringing = 0, false; s.tellCall(u) })
}

// SetOffline says that no phone of an extension is registered, or ends that.
func (s *Sim) SetOffline(ext identity.Extension, offline bool) bool {
	return s.with(ext, func(u *user) {
		u.offline = offline
		s.publish(u.number, map[string]any{"event_type": "extension_status", "tenant_id": "MQ", "status": []any{map[string]any{"extension": s.world.uri(ext),
			"extension_id": u.id, "call_status": u.callStatus(), "online": !offline, "presence": s.world.spelled(u.presence), "time": now()}}})
	})
}

// Fields are the members of a user, and Bound the Microsoft account that it is bound to.
func (s *Sim) Fields(ext identity.Extension) (fields map[string]any) {
	s.with(ext, func(u *user) { fields = maps.Clone(u.fields) })
	return fields
}

// Bound: see Fields.
func (s *Sim) Bound(ext identity.Extension) (account string) {
	s.with(ext, func(u *user) { account = u.bound })
	return account
}

// SetField changes a member of a user, as an administrator does.
func (s *Sim) SetField(ext identity.Extension, name string, value any) bool {
	return s.with(ext, func(u *user) { u.fields[name] = value })
}

// GroupsOf lists the groups that an extension is in, and SetGroups puts it in these and
// no others.
func (s *Sim) GroupsOf(ext identity.Extension) []string {
	s.state.Lock()
	defer s.state.Unlock()
	var names []string
	for _, g := range s.world.groups {
		if slices.Contains(g.members, ext) {
			names = append(names, g.name)
		}
	}
	return names
}

// SetGroups: see GroupsOf.
func (s *Sim) SetGroups(ext identity.Extension, names ...string) {
	s.state.Lock()
	defer s.state.Unlock()
	for _, g := range s.world.groups {
		g.members = slices.DeleteFunc(g.members, func(other identity.Extension) bool { return other == ext })
	}
	for _, name := range names {
		g := s.world.groupNamed(name)
		g.members = append(g.members, ext)
	}
}

// Remove deletes an extension, as an administrator does; Recreate makes it again with
// another id.
func (s *Sim) Remove(ext identity.Extension) bool {
	return s.with(ext, func(u *user) { s.world.remove(u) })
}

// Recreate: see Remove.
func (s *Sim) Recreate(ext identity.Extension) bool {
	return s.with(ext, func(u *user) {
		s.world.remove(u)
		s.world.add(&user{number: u.number, fields: u.fields, password: u.password})
	})
}

// Keep makes the phone system refuse to delete an extension, as it does with an
// administrator's.
func (s *Sim) Keep(ext identity.Extension) bool {
	return s.with(ext, func(u *user) { u.kept = true })
}

// SetLicence says how many extensions there may be.
func (s *Sim) SetLicence(extensions int) {
	s.state.Lock()
	defer s.state.Unlock()
	s.world.config.Licence = extensions
}

// TakeNumber gives a number to a queue, so that no extension can have it.
func (s *Sim) TakeNumber(ext identity.Extension) {
	s.state.Lock()
	defer s.state.Unlock()
	s.world.queues[ext] = true
}

// SetNativeSync says what the phone system synchronises with Microsoft 365 itself.
func (s *Sim) SetNativeSync(state pbx.SyncState) {
	s.state.Lock()
	defer s.state.Unlock()
	s.world.sync = state
}

// Entry is an entry of a phonebook: its id, and its texts by their names here.
type Entry struct {
	ID    string
	Texts map[string]string
}

// Book returns a phonebook, "" being the company's.
func (s *Sim) Book(owner identity.Extension) []Entry {
	s.state.Lock()
	defer s.state.Unlock()
	var all []Entry
	for _, e := range s.world.books[owner] {
		all = append(all, Entry{e.id, maps.Clone(e.texts)})
	}
	return all
}

// Enter adds an entry to a phonebook as a person does, and returns its id.
func (s *Sim) Enter(owner identity.Extension, texts map[string]string) string {
	s.state.Lock()
	defer s.state.Unlock()
	return s.world.enter(owner, maps.Clone(texts))
}
