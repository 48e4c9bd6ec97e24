package freeswitchsim

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"offhook.dev/libs/core/identity"
)

// world is everything that is there. Sim.state guards it.
type world struct {
	config   Config
	users    []*user
	hash     map[string]string // realm_key to value
	lamps    map[string]Lamp   // by proto:user@domain
	channels []*channel        // oldest first
	nextID   int
	stats    Stats
	lines    []string // the last commands, at most linesKept
}

// linesKept is how many commands are remembered.
const linesKept = 1000

// user is one user of the directory.
type user struct {
	number   identity.Extension
	name     string // of the caller id
	variable string // of do-not-disturb, as it is stored
	cached   string // as it is told
	known    bool   // cached is so
}

// channel is one leg of a call.
type channel struct {
	id     string
	number identity.Extension
	state  string // callstate
}

// Lamp is what phones that watch an extension were told last.
type Lamp struct{ Status, RPID, State string }

// Stats counts what reached it since it was started.
type Stats struct {
	Commands int // api, bgapi, sendevent and those that there are not
	SignIns  int
}

func newWorld(config Config) world {
	w := world{config: config, hash: make(map[string]string), lamps: make(map[string]Lamp)}
	for i := range config.Extensions {
		w.users = append(w.users, newUser(identity.Extension(strconv.Itoa(config.FirstNumber+i))))
	}
	return w
}

func newUser(ext identity.Extension) *user {
	return &user{number: ext, name: "Extension " + string(ext)}
}

// forget is what a restart does.
func (w *world) forget() {
	w.hash, w.lamps, w.channels = make(map[string]string), make(map[string]Lamp), nil
	for _, u := range w.users {
		u.known = false
	}
}

func (w *world) byNumber(ext identity.Extension) *user {
	for _, u := range w.users {
		if u.number == ext {
			return u
		}
	}
	return nil
}

// at finds a user by user@domain.
func (w *world) at(address string) *user {
	number, domain, _ := strings.Cut(address, "@")
	if !strings.EqualFold(domain, w.config.Domain) {
		return nil
	}
	return w.byNumber(identity.Extension(number))
}

// api does an API command and returns what it prints.
func (s *Sim) api(line string) string {
	s.state.Lock()
	defer s.state.Unlock()
	w := &s.world
	name, arg, _ := strings.Cut(line, " ")
	switch {
	case name == "hash" && !w.config.NoHash:
		return w.hashed(arg)
	case name == "hash_dump" && !w.config.NoHash:
		return w.dumped(arg)
	case name == "user_exists":
		return w.userExists(arg)
	case name == "user_data":
		return w.userData(arg)
	case name == "list_users":
		return w.listUsers(arg)
	case name == "show":
		return w.show(arg)
	case name == "lua":
		return w.lua(arg)
	case name == "memcache" && w.config.Memcache:
		return w.memcache(arg)
	case name == "version":
		return "FreeSWITCH Version 1.10.12-release+git~20241002T140000Z~a88d069d6f~64bit (git a88d069 2024-10-02 14:00:00Z 64bit)\n"
	}
	return "-ERR " + name + " Command not found!\n"
}

// hashed is mod_hash: insert|select|delete/realm/key[/value].
func (w *world) hashed(arg string) string {
	parts := strings.SplitN(arg, "/", 4)
	if len(parts) < 3 || parts[0] == "insert" && len(parts) < 4 {
		return "-ERR Usage: hash insert|insert_ifempty|select|delete|delete_ifmatch/realm/key[/value]\n"
	}
	key := parts[1] + "_" + parts[2]
	switch parts[0] {
	case "insert":
		w.hash[key] = parts[3]
		return "+OK\n"
	case "select":
		return w.hash[key]
	case "delete":
		if _, ok := w.hash[key]; !ok {
			return "-ERR Not found\n"
		}
		delete(w.hash, key)
		return "+OK\n"
	}
	return "-ERR Usage: hash insert|insert_ifempty|select|delete|delete_ifmatch/realm/key[/value]\n"
}

func (w *world) dumped(arg string) string {
	if w.config.OldDump {
		if arg != "db" {
			return "Usage: all|limit|db\n"
		}
		return "L/outbound_1000/1/0/0/0\n"
	}
	mode, realm, _ := strings.Cut(arg, " ")
	if mode != "db" {
		return "Usage: all|limit|db [<realm>]\n"
	}
	var b strings.Builder
	for key, value := range w.hash {
		if realm == "" || strings.HasPrefix(key, realm+"_") {
			fmt.Fprintf(&b, "D/%s/%s\n", key, value)
		}
	}
	return b.String()
}

// userExists is user_exists KEY USER DOMAIN.
func (w *world) userExists(arg string) string {
	words := strings.Fields(arg)
	if len(words) != 3 || words[0] != "id" {
		return "-ERR Usage: find_user_xml <key> <user> <domain>\n"
	}
	return strconv.FormatBool(w.at(words[1]+"@"+words[2]) != nil)
}

// userData is user_data USER@DOMAIN var NAME.
func (w *world) userData(arg string) string {
	words := strings.Fields(arg)
	if len(words) != 3 {
		return "-USAGE: <user>@<domain> [attr|var|param] <name>\n"
	}
	u := w.at(words[0])
	if u == nil || words[1] != "var" || words[2] != w.config.Variable {
		return ""
	}
	if !u.known || !w.config.Cached {
		u.cached, u.known = u.variable, true
	}
	return u.cached
}

// listUsers is list_users domain DOMAIN.
func (w *world) listUsers(arg string) string {
	words := strings.Fields(arg)
	if len(words)%2 != 0 {
		return "-USAGE: [group <group>] [domain <domain>] [user <user>] [context <context>]\n"
	}
	var b strings.Builder
	b.WriteString("userid|context|domain|group|contact|callgroup|effective_caller_id_name|effective_caller_id_number\n")
	groups := []string{"default"}
	if w.config.Groups {
		groups = []string{"default", "sales"}
	}
	for _, u := range w.users {
		for _, group := range groups {
			if !w.config.Unlisted && (len(words) < 2 || words[0] == "domain" && strings.EqualFold(words[1], w.config.Domain)) {
				fmt.Fprintf(&b, "%s|default|%s|%s|error/user_not_registered|techsupport|%s|%s\n", u.number, w.config.Domain, group, u.name, u.number)
			}
		}
	}
	b.WriteString("\n+OK\n")
	return b.String()
}

// show is show channels as json.
func (w *world) show(arg string) string {
	if arg != "channels as json" {
		return "-USAGE: codec|endpoint|application|api|dialplan|file|timer|calls [count]|channels [count|like <match string>]|... [as xml|as delim <delimiter>]\n"
	}
	var rows []map[string]string
	for _, c := range w.channels {
		rows = append(rows, map[string]string{"uuid": c.id, "direction": "inbound", "created_epoch": "1788998400", "name": w.name(c), "state": "CS_EXECUTE",
			"cid_name": "José", "cid_num": string(c.number), "dest": "9196", "presence_id": w.presenceID(c), "callstate": c.state, "hostname": "pbx"})
	}
	if rows == nil {
		return `{"row_count":0}` + "\n"
	}
	body, _ := json.Marshal(map[string]any{"row_count": len(rows), "rows": rows})
	return string(body) + "\n"
}

func (w *world) name(c *channel) string {
	return "sofia/internal/" + string(c.number) + "@" + w.config.Domain
}

func (w *world) presenceID(c *channel) string {
	if w.config.NameOnly {
		return ""
	}
	return string(c.number) + "@" + w.config.Domain
}

// lua is the script of docs/drivers/freeswitch.md: offhook_dnd.lua EXT DOMAIN true|false
// stores the variable where the directory comes from, and takes the user out of the cache.
func (w *world) lua(arg string) string {
	words := strings.Fields(arg)
	if len(words) != 4 || words[0] != "offhook_dnd.lua" {
		return "" // FreeSWITCH only logs that there is no such script
	}
	u := w.at(words[1] + "@" + words[2])
	if u == nil {
		return "-ERR no such user\n"
	}
	if u.variable = words[3]; !w.config.Leaves {
		u.known = false
	}
	return "+OK\n"
}

func (w *world) memcache(arg string) string {
	key, ok := strings.CutPrefix(arg, "delete ")
	if !ok {
		return "-USAGE: memcache <set|replace|add> <key> <value> [expiration [flags]]\n"
	}
	if !w.flush(key) {
		return "-ERR NOT FOUND\n"
	}
	return "+OK\n"
}

// flush deletes a key of the cache of the directory.
func (w *world) flush(key string) bool {
	address, ok := strings.CutPrefix(key, "directory:")
	u := w.at(address)
	if !ok || u == nil || !u.known {
		return false
	}
	u.known = false
	return true
}

// sent is what an event does that somebody fires.
func (s *Sim) sent(name string, headers map[string]string) {
	s.state.Lock()
	defer s.state.Unlock()
	w := &s.world
	switch {
	case name == "PRESENCE_IN":
		w.lamps[headers["proto"]+":"+headers["from"]] = Lamp{headers["status"], headers["rpid"], headers["answer-state"]}
	case name == "CUSTOM" && headers["Event-Subclass"] == "fusion::file" && headers["API-Command"] == "cache" && w.config.Overheard && !w.config.Memcache:
		name, _ := strings.CutPrefix(headers["API-Command-Argument"], "delete directory.") // as the files are called
		w.flush("directory:" + name)
	}
	s.fire(name, headers)
}

// arrived counts a command and remembers its line.
func (s *Sim) arrived(line string) {
	s.state.Lock()
	defer s.state.Unlock()
	s.world.stats.Commands++
	if len(s.world.lines) == linesKept {
		s.world.lines = append(s.world.lines[:0], s.world.lines[linesKept/2:]...)
	}
	s.world.lines = append(s.world.lines, line)
}

func (s *Sim) count(one func(*Stats)) {
	s.state.Lock()
	defer s.state.Unlock()
	one(&s.world.stats)
}

// remove takes a channel out.
func (w *world) remove(c *channel) {
	w.channels = slices.DeleteFunc(w.channels, func(other *channel) bool { return other == c })
}
