package options

import (
	"context"
	"slices"
	"strings"
	"time"

	"offhook.dev/libs/bus"
	"offhook.dev/libs/core/fault"
	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/topology"
	"offhook.dev/libs/wire"
)

// Membership is what is known of who is in a group.
type Membership struct {
	Name    string // as people call it; "" where that is not known
	Members int    // users in it, linked or not
	Problem string // as wire.Group has it; "": these are the members
	SeenAt  time.Time
}

// members holds who is in which group, both ways.
type members struct {
	of  map[identity.Person][]identity.Group
	all map[Key][]identity.User // sorted
	say map[Key]Membership
}

func newMembers() members {
	return members{map[identity.Person][]identity.Group{}, map[Key][]identity.User{}, map[Key]Membership{}}
}

// RunMembers keeps the memberships current until ctx ends. changed, unless nil, is
// called after each change with the group's key and the people whose options may be
// others now, because they joined or left a group that has a record; during the first
// fill as well.
func (m *Mirror) RunMembers(ctx context.Context, b *bus.Bus, changed func(Key, []identity.Person)) error {
	filter := topology.Wildcard("m365.fact.group.<tenant>.<group>")
	return b.Follow(ctx, topology.Directory, []string{filter}, func(msg bus.Message) error {
		g, err := wire.DecodeGroup(msg.Data)
		if err != nil {
			m.log.Warn("members of a group cannot be read; those that were known stay", "subject", msg.Subject, "error", err)
			return nil
		}
		moved := m.setGroup(g)
		if changed != nil {
			changed(GroupKey(g.Tenant, g.ID), moved)
		}
		return nil
	}, func() { m.entered.Do(func() { close(m.joined) }) })
}

// CurrentMembers waits until the mirror has all memberships that were known when
// RunMembers began. Who decides earlier decides as if nobody were in a group.
func (m *Mirror) CurrentMembers(ctx context.Context) error {
	select {
	case <-m.joined:
		return nil
	case <-ctx.Done():
		return fault.New(fault.Cancelled, "options: first fill of memberships", context.Cause(ctx))
	}
}

func (m *Mirror) setGroup(g wire.Group) []identity.Person {
	moved := m.SetMembers(g.Tenant, g.ID, g.Members)
	m.mu.Lock()
	defer m.mu.Unlock()
	m.members.say[GroupKey(g.Tenant, g.ID)] = Membership{Name: g.Name, Members: len(g.Members), Problem: g.Problem, SeenAt: g.SeenAt}
	return moved
}

// SetMembers says who is in a group, all of them, and returns those who joined or left,
// where the group has a record: their options may be others now. It costs as much as
// the group is large, however many people there are.
func (m *Mirror) SetMembers(tenant identity.Tenant, group identity.Group, users []identity.User) (moved []identity.Person) {
	if !slices.IsSorted(users) {
		users = slices.Sorted(slices.Values(users))
	}
	users = slices.Compact(slices.Clone(users))
	key := GroupKey(tenant, group)
	m.mu.Lock()
	defer m.mu.Unlock()
	differ(m.members.all[key], users, func(user identity.User, joined bool) {
		who := identity.Person{Tenant: tenant, User: user}
		m.members.move(who, group, joined)
		moved = append(moved, who)
	})
	delete(m.members.all, key)
	if len(users) > 0 {
		m.members.all[key] = users
	}
	if !m.named[key] {
		return nil
	}
	return moved
}

// differ calls do for every user who is in one of two sorted lists alone.
func differ(before, after []identity.User, do func(user identity.User, joined bool)) {
	for len(before) > 0 || len(after) > 0 {
		switch {
		case len(after) == 0 || len(before) > 0 && before[0] < after[0]:
			do(before[0], false)
			before = before[1:]
		case len(before) == 0 || after[0] < before[0]:
			do(after[0], true)
			after = after[1:]
		default:
			before, after = before[1:], after[1:]
		}
	}
}

// move lets somebody into a group, or out of it.
func (m members) move(who identity.Person, group identity.Group, joins bool) {
	groups := m.of[who]
	if joins {
		m.of[who] = append(groups, group)
		return
	}
	if groups = slices.DeleteFunc(groups, func(g identity.Group) bool { return g == group }); len(groups) == 0 {
		delete(m.of, who)
		return
	}
	m.of[who] = groups
}

// Members lists who is known to be in a group. The slice is not to be changed.
func (m *Mirror) Members(tenant identity.Tenant, group identity.Group) []identity.User {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return m.members.all[GroupKey(tenant, group)]
}

// Membership returns what is known of a group; false if nothing is.
func (m *Mirror) Membership(tenant identity.Tenant, group identity.Group) (Membership, bool) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	known, ok := m.members.say[GroupKey(tenant, group)]
	return known, ok
}

// Memberships returns what is known of each group of a tenant.
func (m *Mirror) Memberships(tenant identity.Tenant) map[identity.Group]Membership {
	m.mu.RLock()
	defer m.mu.RUnlock()
	all := map[identity.Group]Membership{}
	for key, known := range m.members.say {
		if key.Tenant == tenant {
			all[identity.Group(key.ID)] = known
		}
	}
	return all
}

// Called lists the groups of a tenant that people call so, of those that were read, in
// any case.
func (m *Mirror) Called(tenant identity.Tenant, name string) []identity.Group {
	m.mu.RLock()
	defer m.mu.RUnlock()
	var groups []identity.Group
	for key, known := range m.members.say {
		if key.Tenant == tenant && known.Name != "" && strings.EqualFold(known.Name, name) {
			groups = append(groups, identity.Group(key.ID))
		}
	}
	slices.Sort(groups)
	return groups
}
