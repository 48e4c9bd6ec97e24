package books

import (
	"encoding/json"
	"time"

	"offhook.dev/libs/core/directory"
	"offhook.dev/libs/core/fault"
	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/topology"
)

// Counts say how phonebooks stand.
type Counts struct {
	// Entries are those that the phone system has of Offhook's.
	Entries int `json:"entries"`
	// Creates, Updates and Deletes are to be done; Held of the deletions wait for a
	// person (`--force`), and Trouble are changes that the phone system would not have.
	Creates int `json:"creates,omitempty"`
	Updates int `json:"updates,omitempty"`
	Deletes int `json:"deletes,omitempty"`
	Held    int `json:"held,omitempty"`
	Trouble int `json:"trouble,omitempty"`
	// Over are contacts without room: a mailbox can have so many in one phonebook.
	Over int `json:"over,omitempty"`
}

// Add adds other counts.
func (c *Counts) Add(o Counts) {
	c.Entries += o.Entries
	c.Creates += o.Creates
	c.Updates += o.Updates
	c.Deletes += o.Deletes
	c.Held += o.Held
	c.Trouble += o.Trouble
	c.Over += o.Over
}

// State is how the phonebooks of a tenant stand. It has no content of contacts.
type State struct {
	Tenant    identity.Tenant `json:"tenant"`
	At        time.Time       `json:"at"`
	Mailboxes int             `json:"mailboxes"`
	Books     int             `json:"books"`
	Counts
	// Unread mailboxes wait for a full reading, Pages for their turn.
	Unread int `json:"unread"`
	Pages  int `json:"pages"`
	// Standings counts books by how they stand.
	Standings map[string]int `json:"standings"`
	// Attention lists the books that a person should look at, the first MostAttention.
	Attention []Standing `json:"attention,omitempty"`
}

// MostAttention bounds State.Attention.
const MostAttention = 200

// Standing is how one mailbox's part of one phonebook stands.
type Standing struct {
	Mailbox identity.User  `json:"mailbox"`
	Book    directory.Book `json:"book"`
	// Why is a word of a closed list; Detail says the rest to people.
	Why    string `json:"why"`
	Detail string `json:"detail,omitempty"`
	Counts
}

// Words of Standing.Why for what goes on by itself, or as it was asked for. Every other
// word is a matter for a person.
const (
	Synced     = "synced"
	InProgress = "in progress"
	Unread     = "waiting for a full reading"
	PolicyOff  = "policy is off"
)

// Alarming says whether a person has to do something about the phonebook.
func (s Standing) Alarming() bool {
	switch s.Why {
	case Synced, InProgress, Unread, PolicyOff:
		return false
	}
	return true
}

// StateKey is the key of a tenant's State in the bucket `bookplans`.
func StateKey(tenant identity.Tenant) string { return topology.Join(string(tenant), "state") }

// DecodeState is the inverse of json.Marshal.
func DecodeState(value []byte) (State, error) {
	var s State
	if err := json.Unmarshal(value, &s); err != nil {
		return State{}, fault.New(fault.Invalid, "books: state", err)
	}
	return s, nil
}
