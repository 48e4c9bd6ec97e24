package graphsim

import (
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"slices"
	"strings"
)

// ContactFolder is a folder of contacts.
type ContactFolder struct {
	ID     string `json:"id"`
	Name   string `json:"name"`
	Parent string `json:"parent"` // name; "" of the default folder
	Count  int    `json:"count"`
}

// contactFolder is a ContactFolder at work, guarded by Tenant.mu.
type contactFolder struct {
	id, name string
	parent   *contactFolder  // nil: the default folder
	log      []contactChange // what its delta reports, oldest first
}

// contactChange says that a contact is new in a folder, has changed, or has left.
type contactChange struct {
	sequence uint64
	number   int
}

// outlookKey is an id as Exchange makes them, of what is so described.
func outlookKey(of string) string {
	sum := sha256.Sum256([]byte(of))
	return base64.URLEncoding.EncodeToString(sum[:])
}

// rootFolder is the id of the folder that holds the default one.
func rootFolder(p *person) string { return "AQMkAD" + outlookKey("root "+p.id) }

func (a *contacts) addFolder(p *person, name string, parent *contactFolder) *contactFolder {
	a.made++
	f := &contactFolder{id: "AQMkAD" + outlookKey(fmt.Sprintf("folder %s %d", p.id, a.made)), name: name, parent: parent}
	a.folders = append(a.folders, f)
	return f
}

// folder finds a folder by id or name, "" being the default one, or returns nil.
func (a *contacts) folder(ref string) *contactFolder {
	if ref == "" {
		return a.folders[0]
	}
	i := slices.IndexFunc(a.folders, func(f *contactFolder) bool { return f.id == ref || strings.EqualFold(f.name, ref) })
	if i < 0 {
		return nil
	}
	return a.folders[i]
}

// AddContactFolder makes a folder below another one, below the default one for "".
func (t *Tenant) AddContactFolder(user, name, parent string) (id string, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	p := t.lookup(user)
	if p == nil {
		return "", t.noUser(user)
	}
	all := p.contactsOf()
	under := all.folder(parent)
	switch {
	case name == "":
		return "", fmt.Errorf("contacts of %q: a folder needs a name", user)
	case under == nil:
		return "", fmt.Errorf("contacts of %q: folder %q: %w", user, parent, ErrNotFound)
	}
	return all.addFolder(p, name, under).id, nil
}

// DeleteContactFolder removes a folder with all that is in it and below it.
func (t *Tenant) DeleteContactFolder(user, ref string) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	p := t.lookup(user)
	if p == nil {
		return t.noUser(user)
	}
	all := p.contactsOf()
	folder := all.folder(ref)
	switch {
	case folder == nil:
		return fmt.Errorf("contacts of %q: folder %q: %w", user, ref, ErrNotFound)
	case folder.parent == nil:
		return fmt.Errorf("contacts of %q: the default folder cannot be removed", user)
	}
	for _, f := range all.below(folder) {
		for _, s := range slices.Clone(all.all) {
			if s.folder == f {
				t.dropContact(all, s)
			}
		}
		all.folders = slices.DeleteFunc(all.folders, func(each *contactFolder) bool { return each == f })
	}
	return nil
}

// below is a folder with all folders below it.
func (a *contacts) below(top *contactFolder) []*contactFolder {
	found := []*contactFolder{top}
	for i := 0; i < len(found); i++ {
		found = append(found, a.children(found[i])...)
	}
	return found
}

func (a *contacts) children(parent *contactFolder) []*contactFolder {
	var found []*contactFolder
	for _, f := range a.folders {
		if f.parent == parent {
			found = append(found, f)
		}
	}
	return found
}

// ContactFolders lists the folders of a mailbox, the default one first.
func (t *Tenant) ContactFolders(user string) ([]ContactFolder, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	p := t.lookup(user)
	if p == nil {
		return nil, t.noUser(user)
	}
	all := p.contactsOf()
	list := make([]ContactFolder, len(all.folders))
	for i, f := range all.folders {
		list[i] = ContactFolder{ID: f.id, Name: f.name}
		if f.parent != nil {
			list[i].Parent = f.parent.name
		}
		for _, s := range all.all {
			if s.folder == f {
				list[i].Count++
			}
		}
	}
	return list, nil
}

// touchContact records that a contact is new or has changed. t.mu is held.
func (t *Tenant) touchContact(s *storedContact) {
	s.stamp = t.nextStamp(t.server.now())
	s.folder.log = append(s.folder.log, contactChange{s.stamp, s.number})
}

// removeContact records that a contact leaves its folder. t.mu is held.
func (t *Tenant) removeContact(s *storedContact) {
	s.folder.log = append(s.folder.log, contactChange{t.nextStamp(t.server.now()), s.number})
}
