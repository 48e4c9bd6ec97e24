package notification

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"time"

	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/secret"
)

// Limits of one post. What Graph sends stays far below them.
const (
	MaxBody  = 1 << 20 // bytes
	MaxItems = 1000
)

// maxText bounds the texts of an item that have no limit of their own.
const maxText = 1 << 10

// Batch is one post, taken apart.
type Batch struct {
	Items []Item
	Bad   []Bad
	// Tokens are the validation tokens, unverified. There are none for basic
	// notifications, and none if the member is not a list of texts.
	Tokens []string
}

// Bad is an item that cannot be understood. It costs nobody else anything.
type Bad struct {
	Index int   // position in the post
	Err   error // names the member; never quotes clientState
}

// Lifecycle is what a lifecycle notification asks for; "" in a change
// notification. https://learn.microsoft.com/graph/change-notifications-lifecycle-events
type Lifecycle string

// The lifecycle events. Others may come and are kept as they are.
const (
	Missed                  Lifecycle = "missed"                  // changes were lost: read everything again
	SubscriptionRemoved     Lifecycle = "subscriptionRemoved"     // create anew
	ReauthorizationRequired Lifecycle = "reauthorizationRequired" // renew (PATCH)
)

// Item is one notification.
type Item struct {
	Subscription string
	State        secret.Value // clientState as posted: see Authentic
	Directory    string       // tenantId as posted, a GUID in lower case
	Expires      time.Time    // of the subscription; zero if absent
	Lifecycle    Lifecycle
	Change       string   // changeType; "" in a lifecycle notification
	Resource     Resource // zero in a lifecycle notification
	Content      *Content // nil without encrypted resource data
	Raw          []byte   // the item's JSON as posted, clientState included
}

// Authentic says whether the item knows the secret of its subscription, given
// the stored secret.Hash of it. It takes the same time for every wrong secret.
func (i Item) Authentic(hash string) bool { return secret.HashEqual(i.State.Reveal(), hash) }

// Decode takes a post apart. An error means that the post as a whole is no
// notification collection: not JSON, no list of items, too long. Members that
// nobody documented are ignored.
func Decode(body []byte) (Batch, error) {
	if len(body) > MaxBody {
		return Batch{}, fmt.Errorf("post is longer than %d bytes", MaxBody)
	}
	var post struct {
		Value  rawItems        `json:"value"`
		Tokens json.RawMessage `json:"validationTokens"`
	}
	if err := json.Unmarshal(body, &post); err != nil {
		return Batch{}, fmt.Errorf("post is no notification collection: %w", err)
	}
	if post.Value == nil {
		return Batch{}, errors.New("post has no value list")
	}
	var batch Batch
	for i, raw := range post.Value {
		item, err := DecodeItem(raw)
		if err != nil {
			batch.Bad = append(batch.Bad, Bad{i, err})
			continue
		}
		batch.Items = append(batch.Items, item)
	}
	// Tokens that cannot be read are as good as none: they cost the encrypted items
	// their proof, and the basic ones nothing.
	if json.Unmarshal(post.Tokens, &batch.Tokens) != nil {
		batch.Tokens = nil
	}
	return batch, nil
}

// rawItems stops at the first item too many, before a list of a million zeros
// becomes a million values.
type rawItems []json.RawMessage

func (items *rawItems) UnmarshalJSON(data []byte) error {
	if len(data) == 0 || data[0] != '[' {
		return errors.New("value is not a list")
	}
	*items = rawItems{}
	list := json.NewDecoder(bytes.NewReader(data))
	if _, err := list.Token(); err != nil {
		return err
	}
	for list.More() {
		if len(*items) == MaxItems {
			return fmt.Errorf("value holds more than %d items", MaxItems)
		}
		var raw json.RawMessage
		if err := list.Decode(&raw); err != nil {
			return err
		}
		*items = append(*items, raw)
	}
	return nil
}

// wireItem is the union of changeNotification and lifecycle notification.
// https://learn.microsoft.com/graph/api/resources/changenotification
type wireItem struct {
	Subscription string       `json:"subscriptionId"`
	State        string       `json:"clientState"`
	Directory    string       `json:"tenantId"`
	Expires      string       `json:"subscriptionExpirationDateTime"`
	Lifecycle    string       `json:"lifecycleEvent"`
	Change       string       `json:"changeType"`
	Resource     string       `json:"resource"`
	Content      *wireContent `json:"encryptedContent"`
}

var directoryID = regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$`)

// DecodeItem reads one item, as found in Item.Raw.
func DecodeItem(raw []byte) (Item, error) {
	var wire *wireItem
	if err := json.Unmarshal(raw, &wire); err != nil {
		return Item{}, itemError(err)
	}
	if wire == nil {
		return Item{}, errors.New("item is null")
	}
	item := Item{
		Subscription: wire.Subscription, State: secret.NewValue(wire.State),
		Directory: strings.ToLower(wire.Directory), Lifecycle: Lifecycle(wire.Lifecycle), Change: wire.Change, Raw: raw,
	}
	switch {
	case item.Subscription == "" || len(item.Subscription) > maxText:
		return Item{}, errors.New("subscriptionId is missing or too long")
	case !directoryID.MatchString(item.Directory):
		return Item{}, errors.New("tenantId is not a GUID")
	case len(wire.State) > maxText:
		return Item{}, errors.New("clientState is too long")
	case len(wire.Lifecycle) > maxText || len(wire.Change) > maxText:
		return Item{}, errors.New("changeType or lifecycleEvent is too long")
	case wire.Lifecycle == "" && wire.Change == "":
		return Item{}, errors.New("neither changeType nor lifecycleEvent is there")
	}
	if wire.Expires != "" {
		expires, err := time.Parse(time.RFC3339, wire.Expires)
		if err != nil {
			return Item{}, errors.New("subscriptionExpirationDateTime is not a time (RFC 3339)")
		}
		item.Expires = expires.UTC()
	}
	if item.Lifecycle != "" {
		return item, nil
	}
	return item.withChange(wire)
}

// withChange adds what only a change notification has.
func (i Item) withChange(wire *wireItem) (Item, error) {
	var err error
	if i.Resource, err = ParseResource(wire.Resource); err != nil {
		return Item{}, err
	}
	if wire.Content != nil {
		if i.Content, err = wire.Content.decode(); err != nil {
			return Item{}, err
		}
	}
	return i, nil
}

// itemError says which member has the wrong type without quoting its value.
func itemError(err error) error {
	var wrong *json.UnmarshalTypeError
	if errors.As(err, &wrong) {
		if wrong.Field == "" {
			return fmt.Errorf("item is a %s, not an object", wrong.Value)
		}
		return fmt.Errorf("%s is a %s", wrong.Field, wrong.Value)
	}
	return errors.New("item is not JSON")
}

// Kind is what a resource is.
type Kind uint8

// The kinds of resources that are known. Graph may send others.
const (
	Unknown Kind = iota
	Presence
	Event
	User // an account of the directory
)

// String returns the kind's word.
func (k Kind) String() string {
	switch k {
	case Presence:
		return "presence"
	case Event:
		return "event"
	case User:
		return "user"
	}
	return "unknown"
}

// Resource is what changed.
type Resource struct {
	Kind Kind
	User identity.User
	ID   string // of the event, case-sensitive; else ""
}

// Graph writes the same resource in several ways, in any letter case, with or
// without a slash in front. Ids inside keep their case.
var (
	presencePath = []*regexp.Regexp{
		regexp.MustCompile(`^(?i:/?communications/presences)(?:/|\(')([0-9A-Fa-f-]{36})(?:'\))?$`),
		regexp.MustCompile(`^(?i:/?users)(?:/|\(')([0-9A-Fa-f-]{36})(?:'\))?(?i:/presence)$`),
	}
	userPath  = regexp.MustCompile(`^(?i:/?users)(?:/|\(')([0-9A-Fa-f-]{36})(?:'\))?$`)
	eventPath = regexp.MustCompile(`^(?i:/?users)(?:/|\(')([0-9A-Fa-f-]{36})(?:'\))?(?i:/events)(?:/|\(')([A-Za-z0-9_=+-]{1,512})(?:'\))?$`)
)

// ParseResource reads the resource of a change notification. The error does not
// quote it.
func ParseResource(path string) (Resource, error) {
	for _, form := range presencePath {
		if m := form.FindStringSubmatch(path); m != nil {
			return resourceOf(Presence, m[1], "")
		}
	}
	if m := eventPath.FindStringSubmatch(path); m != nil {
		return resourceOf(Event, m[1], m[2])
	}
	if m := userPath.FindStringSubmatch(path); m != nil {
		return resourceOf(User, m[1], "")
	}
	return Resource{}, errors.New("resource is neither a user, nor a user's presence, nor an event")
}

func resourceOf(kind Kind, user, id string) (Resource, error) {
	parsed, err := identity.ParseUser(user)
	if err != nil {
		return Resource{}, errors.New("resource names no user by object id")
	}
	return Resource{kind, parsed, id}, nil
}
