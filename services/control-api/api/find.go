package api

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"offhook.dev/libs/core/fault"
	"offhook.dev/libs/core/identity"
)

// matchesListed is how many of several matches an error names.
const matchesListed = 10

// find returns the linked people that a name means, everybody for "", of one tenant
// or of all ("").
func (m *model) find(tenant, name string) ([]identity.Person, error) {
	of, err := inTenant(tenant)
	if err != nil {
		return nil, err
	}
	if name == "" {
		return m.links.People(of), nil
	}
	who, err := m.one(of, name)
	if err != nil {
		return nil, err
	}
	if len(m.links.Of(who)) == 0 {
		return nil, m.unlinked(who)
	}
	return []identity.Person{who}, nil
}

// unlinked says that a person has no extension, or what is kept of one for a person who
// left.
func (m *model) unlinked(who identity.Person) error {
	what := m.describe([]identity.Person{who}) + " has no extension"
	left := m.links.Left(who)
	if len(left) == 0 {
		return problem(fault.NotFound, CodeUserUnlinked, what, "user",
			"give an extension the user's mail address, pair them under tenants.links in the configuration, or have `offhook plan users` make one")
	}
	var kept []string
	for _, r := range left {
		text := fmt.Sprintf("%s@%s is disabled since %s", r.Line.Extension, r.Line.System, r.Left.UTC().Format(time.DateOnly))
		if hold := m.tenants[who.Tenant].Hold; hold > 0 {
			text += " and kept until " + r.Left.Add(hold).UTC().Format(time.DateOnly)
		}
		kept = append(kept, text)
	}
	return problem(fault.NotFound, CodeUserUnlinked, what+": "+strings.Join(kept, ", "), "user",
		"enable the user in Microsoft 365 and see that they are among those chosen (users of the configuration): then it is theirs again")
}

// inTenant reads the id of a tenant, or "" for all.
func inTenant(tenant string) (identity.Tenant, error) {
	if tenant == "" {
		return "", nil
	}
	of, err := identity.ParseTenant(tenant)
	if err != nil {
		return "", problem(fault.Invalid, CodeRequest, err.Error(), "tenant", "give the id of a tenant as in the configuration")
	}
	return of, nil
}

// one returns the one person, linked or not, that a name means. A name is an object
// id, a UPN or mail address, an extension ("204", or "204@hq" where several systems
// have one), or the local part of a UPN or mail address; the first of these kinds that
// matches counts.
func (m *model) one(of identity.Tenant, name string) (identity.Person, error) {
	found := m.matches(of, name)
	switch len(found) {
	case 0:
		return identity.Person{}, problem(fault.NotFound, CodeUserUnknown, fmt.Sprintf("no user or extension is called %q", name), "user",
			"give an object id, a UPN or mail address, the part of it before the @, or an extension such as 204 or 204@hq; `offhook status` lists all")
	case 1:
		return found[0], nil
	}
	return identity.Person{}, problem(fault.Conflict, CodeUserAmbiguous, fmt.Sprintf("%q matches %d: %s", name, len(found), m.describe(found)), "user",
		"give the UPN, or the extension with its system as in 204@hq, or name the tenant")
}

// matches returns who the strongest kind of name means, in a stable order.
func (m *model) matches(of identity.Tenant, name string) []identity.Person {
	if id, err := identity.ParseUser(name); err == nil {
		return m.people(of, func(who identity.Person, _ user) bool { return who.User == id })
	}
	byAddress := func(_ identity.Person, u user) bool {
		return strings.EqualFold(u.upn, name) || strings.EqualFold(u.mail, name)
	}
	if found := m.people(of, byAddress); len(found) > 0 {
		return found
	}
	number, system, _ := strings.Cut(name, "@")
	byExtension := func(who identity.Person, _ user) bool {
		for _, line := range m.links.Of(who) {
			if string(line.Extension) == number && (system == "" || string(line.System) == system) {
				return true
			}
		}
		return false
	}
	if found := m.people(of, byExtension); len(found) > 0 {
		return found
	}
	return m.people(of, func(_ identity.Person, u user) bool {
		return strings.EqualFold(local(u.upn), name) || strings.EqualFold(local(u.mail), name)
	})
}

func local(address string) string {
	part, _, _ := strings.Cut(address, "@")
	return part
}

// people lists those of the directory and of the links that match, each once.
func (m *model) people(of identity.Tenant, match func(identity.Person, user) bool) []identity.Person {
	linked := m.links.People(of)
	m.mu.RLock()
	defer m.mu.RUnlock()
	var found []identity.Person
	for who, p := range m.byPerson {
		if p.listed && (of == "" || who.Tenant == of) && match(who, p.user) {
			found = append(found, who)
		}
	}
	for _, who := range linked {
		if p := m.byPerson[who]; (p == nil || !p.listed) && match(who, user{}) {
			found = append(found, who)
		}
	}
	slices.SortFunc(found, func(a, b identity.Person) int { return strings.Compare(a.String(), b.String()) })
	return found
}

// describe names people for an error.
func (m *model) describe(people []identity.Person) string {
	m.mu.RLock()
	defer m.mu.RUnlock()
	var words []string
	for i, who := range people {
		if i == matchesListed {
			words = append(words, fmt.Sprintf("and %d more", len(people)-i))
			break
		}
		text := m.user(who).upn
		if text == "" {
			text = string(who.User)
		}
		for _, line := range m.links.Of(who) {
			text += fmt.Sprintf(" %s@%s", line.Extension, line.System)
		}
		words = append(words, fmt.Sprintf("%s (tenant %s)", text, who.Tenant))
	}
	return strings.Join(words, ", ")
}
