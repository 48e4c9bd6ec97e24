package usersync

import (
	"reflect"
	"slices"
	"strings"
	"sync"
	"time"

	"offhook.dev/libs/bus"
	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/topology"
	"offhook.dev/libs/wire"
)

// facts are what is known of both sides, in memory: about 300 bytes for a user with an
// extension.
type facts struct {
	words   *words
	mu      sync.Mutex // guards what follows
	users   map[identity.Tenant]*shelf[packedUser]
	lines   map[identity.System]*shelf[packedLine]
	groups  map[identity.Tenant]map[identity.Group]wire.Group
	systems map[identity.System]wire.System
	// seen are the newest messages, by their sequences: of "users contoso", "groups
	// contoso", "extensions hq" and "system hq".
	seen    map[string]uint64
	heard   time.Time // when the last of them came
	changed chan struct{}
	// listed is closed when a phone system is heard of, and another is made.
	listed chan struct{}
}

func newFacts() *facts {
	return &facts{words: newWords(), users: map[identity.Tenant]*shelf[packedUser]{}, lines: map[identity.System]*shelf[packedLine]{}, groups: map[identity.Tenant]map[identity.Group]wire.Group{},
		systems: map[identity.System]wire.System{}, seen: map[string]uint64{}, changed: make(chan struct{}, 1), listed: make(chan struct{})}
}

// subjects are what fold takes.
func subjects() []string {
	return []string{
		topology.Wildcard("m365.fact.user.<tenant>.<user>"), topology.Wildcard("m365.fact.group.<tenant>.<group>"),
		topology.Wildcard("pbx.fact.inventory.<system>.<ext>"), topology.Wildcard("pbx.fact.system.<system>"),
	}
}

// fold takes a fact in. One that cannot be read is as if it had not come.
func (f *facts) fold(m bus.Message) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	switch {
	case strings.HasPrefix(m.Subject, "m365.fact.user."):
		if user, err := wire.DecodeUser(m.Data); err == nil {
			shelfOf(f.users, user.Person.Tenant).put(packUser(user, f.words))
			f.see("users "+string(user.Person.Tenant), m)
		}
	case strings.HasPrefix(m.Subject, "m365.fact.group."):
		if group, err := wire.DecodeGroup(m.Data); err == nil {
			if f.groups[group.Tenant] == nil {
				f.groups[group.Tenant] = map[identity.Group]wire.Group{}
			}
			f.groups[group.Tenant][group.ID] = group
			f.see("groups "+string(group.Tenant), m)
		}
	case strings.HasPrefix(m.Subject, "pbx.fact.system."):
		if system, err := wire.DecodeSystem(m.Data); err == nil {
			if before, known := f.systems[system.System]; !known || !alike(before, system) {
				f.see("system "+string(system.System), m)
			}
			f.systems[system.System] = system
			close(f.listed)
			f.listed = make(chan struct{})
		}
	default:
		if line, err := wire.DecodeInventory(m.Data); err == nil {
			shelfOf(f.lines, line.Line.System).put(packLine(line, f.words))
			f.see("extensions "+string(line.Line.System), m)
		}
	}
	f.heard = time.Now()
	poke(f.changed)
	return nil
}

// alike says whether two facts of a phone system differ by their times at most: it was
// listed again.
func alike(a, b wire.System) bool {
	a.ListedAt, a.SeenAt = b.ListedAt, b.SeenAt
	return reflect.DeepEqual(a, b)
}

// see notes the sequence of a message; mu is held.
func (f *facts) see(of string, m bus.Message) { f.seen[of] = max(f.seen[of], m.Sequence) }

// poke wakes who waits for c, once.
func poke(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// quiet is for how long no fact has come; known is false as long as nobody is known.
func (f *facts) quiet() (since time.Duration, known bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return time.Since(f.heard), len(f.users) > 0
}

// news is closed when a phone system is heard of after this.
func (f *facts) news() <-chan struct{} {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.listed
}

func (f *facts) system(id identity.System) (wire.System, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	s, ok := f.systems[id]
	return s, ok
}

// user is what is known of a person.
func (f *facts) user(who identity.Person) (u packedUser, known bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.users[who.Tenant].get(string(who.User))
}

// line is what is known of an extension.
func (f *facts) line(l identity.Line) (packed packedLine, known bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.lines[l.System].get(string(l.Extension))
}

// usersOf are the users of tenants, in order.
func (f *facts) usersOf(tenants []identity.Tenant) userList {
	tenants = slices.Compact(slices.Sorted(slices.Values(tenants)))
	list := userList{words: f.words}
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, tenant := range tenants {
		list.add(tenant, f.users[tenant].list())
	}
	return list
}

// linesOf are the extensions of a phone system, in order, without those that are gone.
func (f *facts) linesOf(system identity.System) lineList {
	f.mu.Lock()
	defer f.mu.Unlock()
	return lineList{words: f.words, system: system, lines: slices.DeleteFunc(f.lines[system].list(), packedLine.gone)}
}

// extensionsOf is how many a phone system has.
func (f *facts) extensionsOf(system identity.System) (n int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for line := range f.lines[system].all() {
		if !line.gone() {
			n++
		}
	}
	return n
}

// members are the users in groups of a tenant. unsure says which of the groups are not
// known, or not as they are now.
func (f *facts) members(tenant identity.Tenant, groups []identity.Group) (members map[identity.User]bool, unsure string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	members = map[identity.User]bool{}
	var missing []string
	for _, id := range groups {
		group, known := f.groups[tenant][id]
		if !known || group.Problem != "" {
			missing = append(missing, string(id))
		}
		for _, user := range group.Members {
			members[user] = true
		}
	}
	if len(missing) > 0 {
		unsure = "not known for certain: who is in group " + strings.Join(missing, ", ")
	}
	return members, unsure
}

// byName finds users of a tenant by object id, UPN or mail address, and the names that
// nobody has.
func (f *facts) byName(tenant identity.Tenant, names []string) (found map[identity.User]bool, unknown []string) {
	if len(names) == 0 {
		return nil, nil
	}
	unknown, found = slices.Clone(names), map[identity.User]bool{}
	f.mu.Lock()
	defer f.mu.Unlock()
	wanted := map[string]bool{}
	for _, name := range names {
		wanted[strings.ToLower(name)] = true
	}
	for packed := range f.users[tenant].all() {
		u := packed.unpack(tenant, f.words)
		for _, called := range []string{string(u.User), u.UPN, u.Mail} {
			if called != "" && wanted[strings.ToLower(called)] {
				found[identity.User(strings.Clone(string(u.User)))] = true
				unknown = slices.DeleteFunc(unknown, func(name string) bool { return strings.EqualFold(name, called) })
			}
		}
	}
	return found, unknown
}
