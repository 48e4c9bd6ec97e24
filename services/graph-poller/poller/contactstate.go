package poller

import (
	"bytes"
	"context"
	"encoding/json"
	"slices"
	"strings"
	"time"

	"offhook.dev/libs/core/fault"
	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/graph"
	"offhook.dev/libs/topology"
)

// defaultFolder is what the default folder of a mailbox is called in pages: its own id
// cannot be told while it is empty.
const defaultFolder = "default"

// mailboxState is a value of the bucket `cursors`: how far the contacts of a mailbox were
// read. There are tens of thousands, so names are short.
type mailboxState struct {
	Folders []folderState `json:"f,omitempty"`
	Round   uint64        `json:"r,omitempty"` // the newest
	// Whole is when the newest reading of everything that came to its end began.
	Whole   time.Time `json:"w,omitzero"`
	Problem string    `json:"p,omitempty"` // the page that was told last says so
}

// folderState is how far one folder was read.
type folderState struct {
	Name string `json:"n"`           // in pages: defaultFolder, or the id
	ID   string `json:"i,omitempty"` // if that is another; "" of a default folder: it was empty
	// At is a cursor of changes without the tenant's Graph host and the user in front, or
	// the digest of a list.
	At string `json:"a,omitempty"`
}

// id is the folder's at Graph, "" where it is not known.
func (f folderState) id() string {
	if f.Name == defaultFolder {
		return f.ID
	}
	return f.Name
}

func (s *mailboxState) folder(name string) (folderState, bool) {
	i := slices.IndexFunc(s.Folders, func(f folderState) bool { return f.Name == name })
	if i < 0 {
		return folderState{Name: name}, false
	}
	return s.Folders[i], true
}

func (s *mailboxState) keep(f folderState) {
	if i := slices.IndexFunc(s.Folders, func(old folderState) bool { return old.Name == f.Name }); i >= 0 {
		s.Folders[i] = f
		return
	}
	s.Folders = append(s.Folders, f)
}

func (s *mailboxState) drop(name string) {
	s.Folders = slices.DeleteFunc(s.Folders, func(f folderState) bool { return f.Name == name })
}

// contactsKey is where the state of a mailbox is; "*" for all.
func (t *tenant) contactsKey(user identity.User) string {
	key := topology.Join(string(t.conf.ID), "contacts") + "."
	if user == "*" {
		return key + "*"
	}
	return key + topology.Token(string(user))
}

// loadState returns the state of a mailbox and its value; none is the zero one. One that
// cannot be read is as good as none.
func (t *tenant) loadState(ctx context.Context, user identity.User) (state mailboxState, value []byte, err error) {
	e, err := t.p.cursors.Get(ctx, t.contactsKey(user))
	if err != nil {
		if fault.KindOf(err) == fault.NotFound {
			return mailboxState{}, nil, nil
		}
		return mailboxState{}, nil, err
	}
	if json.Unmarshal(e.Value, &state) != nil {
		return mailboxState{}, e.Value, nil
	}
	return state, e.Value, nil
}

// saveState stores the state of a mailbox if it is another one.
func (t *tenant) saveState(ctx context.Context, user identity.User, state mailboxState, was []byte) error {
	value, err := json.Marshal(state)
	if err != nil {
		panic("contacts state: " + err.Error()) // plain fields: cannot fail
	}
	if bytes.Equal(value, was) {
		return nil
	}
	_, err = t.p.cursors.Put(ctx, t.contactsKey(user), value)
	return err
}

// shorten cuts off what all cursors of a user have in common; lengthen puts it back.
func (t *tenant) shorten(user identity.User, at graph.Cursor) string {
	if rest, ok := strings.CutPrefix(string(at), t.userURL(user)); ok {
		return "/" + rest
	}
	return string(at)
}

func (t *tenant) lengthen(user identity.User, at string) graph.Cursor {
	if rest, ok := strings.CutPrefix(at, "/"); ok {
		return graph.Cursor(t.userURL(user) + rest)
	}
	return graph.Cursor(at)
}

func (t *tenant) userURL(user identity.User) string {
	return t.conf.Graph + "/v1.0/users/" + string(user) + "/"
}
