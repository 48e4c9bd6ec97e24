package graphsim

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// User returns one user by id, UPN or local part of the UPN.
func (t *Tenant) User(ref string) (User, error) {
	t.mu.RLock()
	defer t.mu.RUnlock()
	p := t.lookup(ref)
	if p == nil {
		return User{}, t.noUser(ref)
	}
	return t.render(p), nil
}

func (t *Tenant) noUser(ref string) error {
	return fmt.Errorf("user %q in tenant %s: %w (give an id, a UPN or its local part)", ref, t.domain, ErrNotFound)
}

// Users returns the users whose names contain search in any case, all for "", at
// most limit.
func (t *Tenant) Users(search string, limit int) []User {
	t.mu.RLock()
	defer t.mu.RUnlock()
	search = strings.ToLower(search)
	var found []User
	for _, p := range t.people {
		if len(found) >= limit {
			break
		}
		if p.removed != "" {
			continue
		}
		u := t.render(p)
		if strings.Contains(strings.ToLower(u.DisplayName+"\n"+u.UserPrincipalName), search) {
			found = append(found, u)
		}
	}
	return found
}

// UserIDs returns the ids of all users in order of their creation.
func (t *Tenant) UserIDs() []string {
	t.mu.RLock()
	defer t.mu.RUnlock()
	ids := make([]string, 0, len(t.byID))
	for _, p := range t.people {
		if p.removed == "" {
			ids = append(ids, p.id)
		}
	}
	return ids
}

// AddUser creates a user. Without an id one is derived; UserPrincipalName must be
// new, and in the tenant's domain if it says one.
func (t *Tenant) AddUser(u User) (User, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if u.UserPrincipalName != "" && !strings.Contains(u.UserPrincipalName, "@") {
		u.UserPrincipalName += "@" + t.domain
	}
	local, domain, _ := strings.Cut(strings.ToLower(u.UserPrincipalName), "@")
	if local == "" || domain != strings.ToLower(t.domain) {
		return User{}, fmt.Errorf("user principal name %q is not name@%s", u.UserPrincipalName, t.domain)
	}
	if t.byLocal[local] != nil {
		return User{}, fmt.Errorf("user %s exists already", u.UserPrincipalName)
	}
	u.ID = strings.ToLower(cmp.Or(u.ID, userID(t.id, len(t.people))))
	if !guidPattern.MatchString(u.ID) {
		return User{}, fmt.Errorf("user id %q is not a GUID", u.ID)
	}
	if t.byID[u.ID] != nil {
		return User{}, fmt.Errorf("user id %s exists already", u.ID)
	}
	u.DisplayName = cmp.Or(u.DisplayName, strings.TrimSpace(u.GivenName+" "+u.Surname), local)
	u.UserType = cmp.Or(u.UserType, "Member")
	now := t.server.now()
	p := &person{index: len(t.people), id: u.ID, local: local, edited: &u,
		availability: "Available", activity: "Available", since: now, sequence: t.nextStamp(now)}
	t.insert(p)
	t.touch(p)
	return u, nil
}

// EditUser changes properties of a user other than its id and UPN.
func (t *Tenant) EditUser(ref string, edit func(*User)) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	p := t.lookup(ref)
	if p == nil {
		return t.noUser(ref)
	}
	u := t.render(p)
	edit(&u)
	u.ID, u.UserPrincipalName = p.id, t.render(p).UserPrincipalName
	p.edited = &u
	t.touch(p)
	return nil
}

// DeleteUser removes a user: for good, or softly as the recycle bin does (the delta
// then says "changed" instead of "deleted").
func (t *Tenant) DeleteUser(ref string, forGood bool) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	p := t.lookup(ref)
	if p == nil {
		return t.noUser(ref)
	}
	p.removed = "changed"
	if forGood {
		p.removed = "deleted"
	}
	delete(t.byID, p.id)
	delete(t.byLocal, p.local)
	t.touch(p)
	return nil
}

// RestoreUser brings back a user who was removed softly, by id, UPN or local part, as
// what they were.
func (t *Tenant) RestoreUser(ref string) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	local, _, _ := strings.Cut(strings.ToLower(ref), "@")
	for _, p := range slices.Backward(t.people) {
		if p.removed != "changed" || p.id != strings.ToLower(ref) && p.local != local {
			continue
		}
		if t.byLocal[p.local] != nil {
			return fmt.Errorf("user %s@%s exists again", p.local, t.domain)
		}
		p.removed = ""
		t.byID[p.id], t.byLocal[p.local] = p, p
		t.touch(p)
		return nil
	}
	return fmt.Errorf("removed %w", t.noUser(ref))
}

// SetLicensed gives a user a licence for Teams or takes it away; at first everybody
// has one. What an account without one may do says Switches.LicenceRequired.
func (t *Tenant) SetLicensed(ref string, licensed bool) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	p := t.lookup(ref)
	if p == nil {
		return t.noUser(ref)
	}
	p.unlicensed = !licensed
	return nil
}

// unlicensed says whether the user with an id has no licence for Teams. t.mu is held.
func (t *Tenant) unlicensed(id string) bool {
	p := t.byID[id]
	return p != nil && p.unlicensed
}

// Presence returns the truth about one user.
func (t *Tenant) Presence(ref string) (Presence, error) {
	t.agePresences(time.Time{})
	t.mu.RLock()
	defer t.mu.RUnlock()
	p := t.lookup(ref)
	if p == nil {
		return Presence{}, t.noUser(ref)
	}
	return t.truth(p), nil
}

// Truth returns the presence of every user, sorted by id: what every reader must
// have come to when nothing changes any more.
func (t *Tenant) Truth() []Presence {
	t.agePresences(time.Time{})
	t.mu.RLock()
	defer t.mu.RUnlock()
	all := make([]Presence, 0, len(t.byID))
	for _, p := range t.byID {
		all = append(all, t.truth(p))
	}
	slices.SortFunc(all, func(a, b Presence) int { return strings.Compare(a.ID, b.ID) })
	return all
}

func (t *Tenant) truth(p *person) Presence {
	return Presence{ID: p.id, User: p.local + "@" + t.domain, Availability: p.availability, Activity: p.activity,
		Since: p.since, Sequence: p.sequenceText()}
}

// sequenceText pads the number so that it sorts as text.
func (p *person) sequenceText() string {
	text := strconv.FormatUint(p.sequence, 10)
	return strings.Repeat("0", 20-len(text)) + text
}
