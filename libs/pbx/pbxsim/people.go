package pbxsim

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"offhook.dev/libs/core/directory"
	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/core/presence"
)

// member is an extension's place in a department.
type member struct {
	group int32
	role  string
}

// group is a department.
type group struct {
	id   int32
	name string
}

// usual is the role of whoever has no other.
const usual = "users"

var roles = []string{usual, "receptionists", "group_admins", "managers", "group_owners", "system_admins", "system_owners"}

// Change is one line of the ledger of what was made, changed and deleted. Status
// writes are Writes, and of phonebooks Stats has the numbers only.
type Change struct {
	Number int                `json:"number"` // 1, 2, ...
	At     time.Time          `json:"at"`
	Op     string             `json:"op"` // create-user, update-user, delete-user, create-group, set-property
	Object identity.Extension `json:"object,omitempty"`
	What   []string           `json:"what,omitempty"` // the names of the members that were sent
}

// Changes returns that ledger.
func (s *Sim) Changes() []Change {
	s.world.mu.Lock()
	defer s.world.mu.Unlock()
	return slices.Clone(s.world.changes)
}

// Properties returns what is kept with an extension under names of the clients' own.
func (s *Sim) Properties(ext identity.Extension) map[string]string {
	s.world.mu.Lock()
	defer s.world.mu.Unlock()
	if e := s.world.byNumber[ext]; e != nil {
		return maps.Clone(e.properties)
	}
	return nil
}

// Roles returns the departments that an extension is in, and as what.
func (s *Sim) Roles(ext identity.Extension) map[string]string {
	s.world.mu.Lock()
	defer s.world.mu.Unlock()
	all := make(map[string]string)
	if e := s.world.byNumber[ext]; e != nil {
		for _, m := range e.members {
			all[s.world.group(m.group).name] = m.role
		}
	}
	return all
}

// Grant gives an extension a role in a department, as an administrator does. The
// department is made if there is none of this name.
func (s *Sim) Grant(ext identity.Extension, department, role string) {
	s.world.mu.Lock()
	defer s.world.mu.Unlock()
	if e := s.world.byNumber[ext]; e != nil {
		g := s.world.named(department)
		e.members = append(slices.DeleteFunc(e.members, func(m member) bool { return m.group == g.id }), member{g.id, role})
	}
}

// Departments returns the names of all departments.
func (s *Sim) Departments() []string {
	s.world.mu.Lock()
	defer s.world.mu.Unlock()
	var names []string
	for _, g := range s.world.groups {
		names = append(names, g.name)
	}
	return names
}

// Edit changes an extension as an administrator does at the console; it says whether
// there is one. The number, what is derived and the marker stay.
func (s *Sim) Edit(ext identity.Extension, edit func(*directory.Extension)) bool {
	s.world.mu.Lock()
	defer s.world.mu.Unlock()
	e := s.world.byNumber[ext]
	if e == nil {
		return false
	}
	changed := e.Extension
	edit(&changed)
	if changed.Department != e.Department {
		g := s.world.groups[0]
		if changed.Department != "" {
			g = s.world.named(changed.Department)
		}
		e.primary, e.members = g.id, []member{{g.id, usual}}
	}
	changed.Number, changed.Marker = e.Number, e.Marker
	e.Extension = changed
	s.world.derive(e)
	return true
}

// Keep makes the phone system refuse to delete an extension, as it does with one that
// calls are routed to.
func (s *Sim) Keep(ext identity.Extension) {
	s.world.mu.Lock()
	defer s.world.mu.Unlock()
	if e := s.world.byNumber[ext]; e != nil {
		e.kept = true
	}
}

// SetLicence says how many extensions there may be; 0: any number.
func (s *Sim) SetLicence(extensions int) {
	s.world.mu.Lock()
	defer s.world.mu.Unlock()
	s.world.licence = extensions
}

// TakeNumber gives a number to a queue, so that no extension can have it.
func (s *Sim) TakeNumber(ext identity.Extension) {
	s.world.mu.Lock()
	defer s.world.mu.Unlock()
	s.world.queues[ext] = true
}

// The rest is the inside. mu is held.

// add gives an extension its id, and what it has none of: a department, a status.
func (w *world) add(e *extension) {
	e.id = w.nextID
	w.nextID++
	if e.primary == 0 {
		e.primary, e.members = w.groups[0].id, []member{{w.groups[0].id, usual}}
	}
	if e.By == "" {
		e.Status, e.Since, e.By = presence.Available, time.Now(), ByStart
	}
	w.derive(e)
	w.extensions = append(w.extensions, e)
	w.byNumber[e.Number] = e
}

// remove deletes an extension with its phonebook.
func (w *world) remove(e *extension) {
	at, _ := w.index(e.id)
	w.extensions = slices.Delete(w.extensions, at, at+1)
	delete(w.byNumber, e.Number)
	w.books.burn(e.Number)
}

// derive works out what follows from the rest.
func (w *world) derive(e *extension) {
	e.DisplayName = strings.TrimSpace(e.FirstName + " " + e.LastName)
	e.Department = ""
	if e.primary != w.groups[0].id {
		e.Department = w.group(e.primary).name
	}
}

func (w *world) changed(op string, object identity.Extension, body map[string]any) {
	w.changes = append(w.changes, Change{len(w.changes) + 1, time.Now(), op, object, slices.Sorted(maps.Keys(body))})
}

// find returns the extension with a face's id, or nil.
func (w *world) find(id int32) *extension {
	at, ok := w.index(id)
	if !ok {
		return nil
	}
	return w.extensions[at]
}

func (w *world) index(id int32) (int, bool) {
	return slices.BinarySearchFunc(w.extensions, id, func(e *extension, id int32) int { return cmp.Compare(e.id, id) })
}

// taken says what has a number, "" if nothing.
func (w *world) taken(number identity.Extension) string {
	switch {
	case w.byNumber[number] != nil:
		return "Extension"
	case w.queues[number]:
		return "Queue"
	}
	return ""
}

// free is the first number from first on that nothing has.
func (w *world) free(first int) identity.Extension {
	for n := first; ; n++ {
		if number := identity.Extension(fmt.Sprint(n)); w.taken(number) == "" {
			return number
		}
	}
}

// full says whether the licence allows no more extensions.
func (w *world) full() bool { return w.licence > 0 && len(w.extensions) >= w.licence }

// group returns the department with an id, or nil.
func (w *world) group(id int32) *group {
	at, ok := slices.BinarySearchFunc(w.groups, id, func(g *group, id int32) int { return cmp.Compare(g.id, id) })
	if !ok {
		return nil
	}
	return w.groups[at]
}

// named returns the department of that name, which it makes if there is none.
func (w *world) named(name string) *group {
	if at := slices.IndexFunc(w.groups, func(g *group) bool { return g.name == name }); at >= 0 {
		return w.groups[at]
	}
	g := &group{w.groups[len(w.groups)-1].id + 1, name}
	w.groups = append(w.groups, g)
	return g
}
