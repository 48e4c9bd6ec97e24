package portsipsim

import (
	"encoding/base64"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/pbx"
)

// world is everything that is there. Sim.state guards it.
type world struct {
	config   Config
	users    []*user // oldest first
	groups   []*group
	queues   map[identity.Extension]bool // numbers that belong to something else
	books    map[identity.Extension][]*entry
	uploads  map[string]*upload
	files    map[string][]byte // by id
	sync     pbx.SyncState
	nextID   int
	tokens   map[string]token
	stats    Stats
	window   time.Time // the current Config.Window
	inWindow int       // requests in it
}

func newWorld(config Config) world {
	return world{config: config, nextID: 700551909773148160, queues: map[identity.Extension]bool{}, books: map[identity.Extension][]*entry{}, tokens: map[string]token{}, uploads: map[string]*upload{}, files: map[string][]byte{}}
}

// user is one user with an extension.
type user struct {
	id       string
	number   identity.Extension
	fields   map[string]any // the members that are told, by name
	password string
	presence string // one of presences
	note     string
	offline  bool
	calls    int
	ringing  bool
	kept     bool   // it cannot be deleted
	bound    string // the Microsoft account
	avatar   string // the id of a file, "": none
}

// dnd is the member enable_dnd.
func (u *user) dnd() bool { on, _ := u.fields["enable_dnd"].(bool); return on }

// text is a member that is a text.
func (u *user) text(name string) string { text, _ := u.fields[name].(string); return text }

// group is a user group.
type group struct {
	id, name string
	members  []identity.Extension
}

// entry is an entry of a phonebook.
type entry struct {
	id    string
	texts map[string]string
}

// id is a new opaque id.
func (w *world) id() string {
	w.nextID += 7
	return base64.RawURLEncoding.EncodeToString([]byte(strconv.Itoa(w.nextID)))
}

// invent makes a user as an administrator does.
func (w *world) invent(number int) {
	text := strconv.Itoa(number)
	w.add(&user{number: identity.Extension(text), password: w.config.Password.Reveal() + text, fields: map[string]any{
		"name": text, "email": "user" + text + "@example.com", "display_name": "User " + text, "role": "StandardUser", "enabled": true, "extension_number": text,
		"voicemail_pin": "135790", "work_phone": "+4930555" + text, "address": "Unter den Linden " + text, "enable_voicemail_pin": true,
		"available_no_answer_forward_rule": map[string]any{"action": "FORWARD_TO_VOICEMAIL", "timeout": 30.0},
		"blfs":                             []any{map[string]any{"key": "1", "value": "201"}}, "custom_options": `{"skin":"dark"}`,
	}})
}

// add gives a user its id and what it has none of.
func (w *world) add(u *user) {
	u.id = w.id()
	u.presence = available
	for name, value := range defaults {
		if _, there := u.fields[name]; !there {
			u.fields[name] = value
		}
	}
	u.fields["id"], u.fields["created_at"] = u.id, "2026-11-26T08:00:00Z"
	if w.config.Minor >= 3 {
		u.fields["role_id"], u.fields["role_name"] = "NzAw", u.fields["role"]
		u.fields["enable_uc_app"] = true
	}
	w.users = append(w.users, u)
}

// remove deletes a user with the phonebook and the places in groups.
func (w *world) remove(u *user) {
	w.users = slices.DeleteFunc(w.users, func(other *user) bool { return other == u })
	delete(w.books, u.number)
	for _, g := range w.groups {
		g.members = slices.DeleteFunc(g.members, func(ext identity.Extension) bool { return ext == u.number })
	}
}

func (w *world) byID(id string) *user {
	return first(w.users, func(u *user) bool { return u.id == id })
}

func (w *world) byNumber(ext identity.Extension) *user {
	return first(w.users, func(u *user) bool { return u.number == ext })
}

// groupNamed returns the group of that name, which it makes if there is none.
func (w *world) groupNamed(name string) *group {
	if g := first(w.groups, func(g *group) bool { return g.name == name }); g != nil {
		return g
	}
	g := &group{id: w.id(), name: name}
	w.groups = append(w.groups, g)
	return g
}

// taken says what has a number, "" if nothing.
func (w *world) taken(ext identity.Extension) string {
	switch {
	case w.byNumber(ext) != nil:
		return "EXTENSION"
	case w.queues[ext]:
		return "CALL_QUEUE"
	}
	return ""
}

// uri is an extension as events name it.
func (w *world) uri(ext identity.Extension) string {
	return fmt.Sprintf("sip:%s@%s", ext, w.config.Domain)
}

// first is the first that fits, or nil.
func first[T any](all []*T, fits func(*T) bool) *T {
	if at := slices.IndexFunc(all, fits); at >= 0 {
		return all[at]
	}
	return nil
}

// The presences of users, as they are kept; how they are told depends on the version.
const (
	available    = "AVAILABLE"
	online       = "ONLINE" // available, as it is told since 22.3
	away         = "AWAY"
	doNotDisturb = "DO_NOT_DISTURB"
	lunch        = "LUNCH"
	businessTrip = "BUSINESS_TRIP"
)

// spelled is a presence as this version tells it.
func (w *world) spelled(presence string) string {
	if presence == available && w.config.Minor >= 3 {
		return online
	}
	return presence
}

// choosable are the spellings of available in which users can choose it.
func (w *world) choosable() []string {
	switch w.config.Taken {
	case "":
		return []string{w.spelled(available)}
	case "either":
		return []string{available, online}
	}
	return []string{w.config.Taken}
}

// setDND is a change of enable_dnd by whatever way. It says whether there is an event.
func (w *world) setDND(u *user, on bool) (event bool) {
	if u.dnd() == on {
		return false
	}
	u.fields["enable_dnd"] = on
	if !w.config.Linked {
		return !w.config.Quiet
	}
	if on {
		u.presence = doNotDisturb
	} else if u.presence == doNotDisturb {
		u.presence = available
	}
	return true
}

// setPresence is a choice of a presence.
func (w *world) setPresence(u *user, presence string) {
	u.presence = presence
	if w.config.Linked {
		u.fields["enable_dnd"] = presence == doNotDisturb
	}
}

// copied is a copy of a user's members.
func (u *user) copied() map[string]any { return maps.Clone(u.fields) }

// quoted takes the quotes off a text of a filter.
func quoted(text string) (string, bool) {
	if len(text) < 2 || text[0] != '\'' || text[len(text)-1] != '\'' {
		return "", false
	}
	return strings.ReplaceAll(text[1:len(text)-1], "''", "'"), true
}
