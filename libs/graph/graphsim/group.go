package graphsim

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// Group is what the simulator tells of a group.
type Group struct {
	ID          string `json:"id"`
	DisplayName string `json:"displayName"`
	Mail        string `json:"mail,omitempty"`
	// Members are the users and groups in it, as they were added: ids, sorted.
	Members []string `json:"members"`
	// Users are all users in it and in groups in it: UPNs, sorted.
	Users []string `json:"users"`
}

// group is a Group at work.
type group struct {
	id, name, mail string
	members        map[string]bool // ids of users and of groups
}

// AddGroup creates a group. Without an id one is derived of the name, which must be
// new.
func (t *Tenant) AddGroup(id, name string) (Group, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	id = strings.ToLower(cmp.Or(id, guidOf(fmt.Sprintf("group %s %s", t.id, strings.ToLower(name)))))
	switch {
	case name == "":
		return Group{}, fmt.Errorf("a group needs a display name")
	case !guidPattern.MatchString(id):
		return Group{}, fmt.Errorf("group id %q is not a GUID", id)
	case t.findGroup(id) != nil || t.findGroup(name) != nil:
		return Group{}, fmt.Errorf("group %s exists already", name)
	}
	g := &group{id: id, name: name, members: map[string]bool{}}
	t.groups[id] = g
	return t.renderGroup(g), nil
}

// NameGroup gives a group another display name and mail address, "" for none. Of the
// directory's groups several may be called the same: they are told apart by their ids.
func (t *Tenant) NameGroup(ref, name, mail string) (Group, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	g := t.findGroup(ref)
	switch {
	case g == nil:
		return Group{}, t.noGroup(ref)
	case name == "":
		return Group{}, fmt.Errorf("a group needs a display name")
	}
	g.name, g.mail = name, mail
	return t.renderGroup(g), nil
}

// DeleteGroup removes a group, also from the groups that it is in.
func (t *Tenant) DeleteGroup(ref string) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	g := t.findGroup(ref)
	if g == nil {
		return t.noGroup(ref)
	}
	delete(t.groups, g.id)
	for _, other := range t.groups {
		delete(other.members, g.id)
	}
	return nil
}

// Join puts a user or a group into a group. Who is in it already stays.
func (t *Tenant) Join(ref, member string) error { return t.member(ref, member, true) }

// Leave takes a user or a group out of a group. Who is not in it is no error.
func (t *Tenant) Leave(ref, member string) error { return t.member(ref, member, false) }

func (t *Tenant) member(ref, member string, in bool) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	g := t.findGroup(ref)
	if g == nil {
		return t.noGroup(ref)
	}
	id := ""
	if p := t.lookup(member); p != nil {
		id = p.id
	} else if other := t.findGroup(member); other != nil {
		id = other.id
	}
	switch {
	case id == "":
		return fmt.Errorf("member %q in tenant %s: %w (give a user's id, UPN or its local part, or a group's id or name)", member, t.domain, ErrNotFound)
	case id == g.id:
		return fmt.Errorf("group %s cannot be in itself", g.name)
	case in:
		g.members[id] = true
	default:
		delete(g.members, id)
	}
	return nil
}

// Group returns a group by its id or name.
func (t *Tenant) Group(ref string) (Group, error) {
	t.mu.RLock()
	defer t.mu.RUnlock()
	g := t.findGroup(ref)
	if g == nil {
		return Group{}, t.noGroup(ref)
	}
	return t.renderGroup(g), nil
}

// Groups returns all groups, sorted by name.
func (t *Tenant) Groups() []Group {
	t.mu.RLock()
	defer t.mu.RUnlock()
	all := []Group{}
	for _, g := range t.groups {
		all = append(all, t.renderGroup(g))
	}
	slices.SortFunc(all, func(a, b Group) int {
		return cmp.Or(strings.Compare(a.DisplayName, b.DisplayName), strings.Compare(a.ID, b.ID))
	})
	return all
}

func (t *Tenant) noGroup(ref string) error {
	return fmt.Errorf("group %q in tenant %s: %w (give an id or a display name)", ref, t.domain, ErrNotFound)
}

// findGroup finds a group by id or name in any case, of several the one of the smallest
// id, or returns nil. t.mu is held.
func (t *Tenant) findGroup(ref string) *group {
	if g, ok := t.groups[strings.ToLower(ref)]; ok {
		return g
	}
	var found *group
	for _, g := range t.groups {
		if strings.EqualFold(g.name, ref) && (found == nil || g.id < found.id) {
			found = g
		}
	}
	return found
}

// renderGroup returns all that is told of a group. t.mu is held.
func (t *Tenant) renderGroup(g *group) Group {
	r := Group{ID: g.id, DisplayName: g.name, Mail: g.mail, Members: []string{}, Users: []string{}}
	for id := range g.members {
		if t.byID[id] != nil || t.groups[id] != nil { // else deleted
			r.Members = append(r.Members, id)
		}
	}
	for _, p := range t.usersIn(g) {
		u := t.render(p)
		r.Users = append(r.Users, u.UserPrincipalName)
	}
	slices.Sort(r.Members)
	slices.Sort(r.Users)
	return r
}

// usersIn returns the users in a group and in groups in it, each once, sorted by id.
// Groups may be in each other. t.mu is held.
func (t *Tenant) usersIn(g *group) []*person {
	found, been := map[string]*person{}, map[string]bool{}
	var walk func(*group)
	walk = func(g *group) {
		if been[g.id] {
			return
		}
		been[g.id] = true
		for id := range g.members {
			if p := t.byID[id]; p != nil {
				found[id] = p
			} else if inner := t.groups[id]; inner != nil {
				walk(inner)
			}
		}
	}
	walk(g)
	users := make([]*person, 0, len(found))
	for _, p := range found {
		users = append(users, p)
	}
	slices.SortFunc(users, func(a, b *person) int { return strings.Compare(a.id, b.id) })
	return users
}
