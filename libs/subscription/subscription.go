// Package subscription is the record of a Graph subscription in the bucket
// `subscriptions`: what graph-poller, which keeps subscriptions, tells
// webhook-receiver, which answers for them. The path under which Graph calls is a
// secret, so the record's key is a hash of it.
package subscription

import (
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"regexp"
	"time"

	"offhook.dev/libs/core/fault"
	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/secret"
)

// What a subscription can be about: the values of Record.Resource.
const (
	ResourcePresence = "presence" // of up to 650 users, held by a delegated account
	ResourceEvent    = "event"    // of one user's calendar, held by the application
	ResourceUsers    = "users"    // of the whole directory, held by the application
)

// Kinds of hints (wire.Hint) that webhook-receiver makes of what Graph sends about
// a subscription.
const (
	// HintPresence and HintEvent name a user who is to be read again.
	HintPresence = "presence"
	HintEvent    = "event"
	// HintUsers says that users of the directory changed.
	HintUsers = "users"
	// HintSubscription and HintEventSubscription name the key of a record: Graph says
	// something about this subscription. The cause of the latter is the lifecycle
	// event's own word.
	HintSubscription      = "subscription"
	HintEventSubscription = "event-subscription"
)

// HandshakeGrace is how long after a create or renewal ended Graph's handshake is
// still answered: it may come late, or again.
const HandshakeGrace = 10 * time.Minute

// Record is one generation of one subscription.
type Record struct {
	Tenant    identity.Tenant `json:"tenant"`
	Directory string          `json:"directory"` // directory id: what its tokens must name
	App       string          `json:"app"`       // application id: the audience of its tokens
	Resource  string          `json:"resource"`  // ResourcePresence, ResourceEvent or ResourceUsers
	Account   string          `json:"account"`   // the delegated account, or "" for the app itself
	// ID is Graph's; empty until the create call has returned.
	ID string `json:"id,omitempty"`
	// State is the secret.Hash of the clientState.
	State         string    `json:"state"`
	CertificateID string    `json:"certificate_id,omitempty"`
	Expires       time.Time `json:"expires,omitzero"`
	// Handshake is until when a validation token is echoed for this key.
	Handshake time.Time       `json:"handshake"`
	Users     []identity.User `json:"users,omitempty"`
	// URL is the public address under which Graph was asked to call; "" in records of
	// earlier versions.
	URL     string    `json:"url,omitempty"`
	Made    time.Time `json:"made"`
	Renewed time.Time `json:"renewed,omitzero"`
}

// NewKey makes an unguessable path segment: 32 random bytes.
func NewKey() string { return random() }

// IsKey says whether a path segment has the form of NewKey's.
func IsKey(path string) bool { return keyForm.MatchString(path) }

var keyForm = regexp.MustCompile(`^[0-9a-f]{64}$`)

// NewState makes a clientState: 32 random bytes, well under Graph's 128 characters.
func NewState() secret.Value { return secret.NewValue(random()) }

func random() string {
	var b [32]byte
	_, _ = rand.Read(b[:]) // documented never to fail
	return hex.EncodeToString(b[:])
}

// KeyOf is the bucket key of a path segment.
func KeyOf(path string) string { return secret.Hash(path) }

// Decode reads a record.
func Decode(value []byte) (Record, error) {
	var r Record
	if err := json.Unmarshal(value, &r); err != nil {
		return Record{}, fault.New(fault.Invalid, "subscription record", err)
	}
	return r, nil
}

// Encode writes a record.
func (r Record) Encode() []byte {
	value, err := json.Marshal(r)
	if err != nil {
		panic(fmt.Sprintf("subscription record: %v", err)) // plain fields: cannot fail
	}
	return value
}
