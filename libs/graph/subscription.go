package graph

import (
	"context"
	"crypto/x509"
	"regexp"
	"strings"
	"time"

	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/secret"
)

// Bounds of a presence subscription's life. Graph raises a shorter expiry to
// MinPresenceLife without a word.
// https://learn.microsoft.com/graph/changenotifications-for-presence
const (
	MinPresenceLife = 45 * time.Minute
	MaxPresenceLife = 60 * time.Minute
)

// MaxEventLife is the longest life of a subscription to events that is asked for:
// Graph's seven days, less what clocks may differ by.
// https://learn.microsoft.com/graph/api/resources/subscription#subscription-lifetime
const MaxEventLife = 7*24*time.Hour - 10*time.Minute

// EventChanges are the changes of a calendar that a subscription hears of.
const EventChanges = "created,updated,deleted"

// EventResource returns the resource of a subscription to all of a mailbox's
// events.
func EventResource(user identity.User) (string, error) {
	// Parsed again because a slash in an id would name another resource.
	if _, err := identity.ParseUser(string(user)); err != nil {
		return "", err
	}
	return "users/" + string(user) + "/events", nil
}

// UsersResource is the resource of a subscription to all users of the directory, and
// UserChanges what can be heard of them: "updated" is also a new one and one that can
// be restored.
// https://learn.microsoft.com/graph/api/resources/subscription
const (
	UsersResource = "users"
	UserChanges   = "updated,deleted"
)

// IsUsersResource says whether a subscription's resource is all users of the directory.
func IsUsersResource(resource string) bool {
	return strings.EqualFold(strings.Trim(resource, "/"), UsersResource)
}

// eventResource knows the spellings in which Graph gives a resource back.
var eventResource = regexp.MustCompile(`(?i)^/?users(?:/([^/()]+)|\('([^/()']+)'\))/events/?(?:\?.*)?$`)

// EventUser returns whose events a subscription's resource is about; false if it
// is about something else, or names the user by something else than an object id.
func EventUser(resource string) (identity.User, bool) {
	parts := eventResource.FindStringSubmatch(resource)
	if parts == nil {
		return "", false
	}
	user, err := identity.ParseUser(parts[1] + parts[2])
	return user, err == nil
}

// MaxClientState is the longest clientState that Graph accepts, in characters
// (the subscription page says 128, another 255).
const MaxClientState = 128

// ReauthorizeGap is how long after a Renew a Reauthorize of the same
// subscription, or the reverse, must not follow.
// https://learn.microsoft.com/graph/change-notifications-lifecycle-events
const ReauthorizeGap = 10 * time.Minute

// Subscription is what Graph keeps about one of ours.
type Subscription struct {
	ID            string
	Resource      string
	Change        string // "updated", or several joined by commas
	Notify        string // notificationUrl
	Lifecycle     string // lifecycleNotificationUrl, or ""
	Expires       time.Time
	Rich          bool   // carries resource data
	CertificateID string // the key it encrypts under, or ""
	App           string // applicationId
	Creator       string // the user, or for app-only tokens the service principal
}

// NewSubscription is what is asked of Graph for a new subscription. One to events
// is basic and names Lifecycle, which cannot be added later: without it nobody
// learns that Graph removed the subscription or missed a change.
type NewSubscription struct {
	Resource  string
	Change    string
	Notify    string       // https; Graph calls it before Create returns
	Lifecycle string       // https, or ""
	State     secret.Value // clientState: up to MaxClientState characters
	Expires   time.Time
	// Certificate asks for encrypted resource data under this RSA certificate,
	// named by CertificateID; nil asks for basic notifications.
	Certificate   *x509.Certificate
	CertificateID string
}

// Renewal is what a PATCH changes. Zero fields stay as they are.
type Renewal struct {
	Expires       time.Time
	Notify        string
	Certificate   *x509.Certificate // together with CertificateID
	CertificateID string
}

// Subscriber keeps subscriptions. Graph may answer a create or a renewal with
// another expiry than asked for: go by what comes back.
type Subscriber interface {
	// Create refuses what a subscription to events must not be (fault.Invalid,
	// without a request). It is not repeated after an unclear end (fault.Timeout): list before
	// trying again. fault.Conflict says that one exists already for this resource,
	// or for presence, for this account; fault.Denied that rights or the quota are
	// missing; fault.Unavailable also that Graph could not reach Notify.
	Create(ctx context.Context, want NewSubscription) (Subscription, error)
	Subscription(ctx context.Context, id string) (Subscription, error)
	// Subscriptions lists all that the app, or the delegated account, holds. Its
	// quota is small (25 in 20 s for a tenant).
	Subscriptions(ctx context.Context) ([]Subscription, error)
	// Renew changes a subscription and renews the access that it was created with.
	Renew(ctx context.Context, id string, change Renewal) (Subscription, error)
	// Reauthorize renews the access without the expiry. See ReauthorizeGap.
	Reauthorize(ctx context.Context, id string) error
	// Delete ends a subscription. One that is gone already is no error.
	Delete(ctx context.Context, id string) error
}
