package graph

import (
	"context"
	"crypto/x509"
	"time"

	"offhook.dev/libs/secret"
)

// Bounds of a presence subscription's life. Graph raises a shorter expiry to
// MinPresenceLife without a word.
// https://learn.microsoft.com/graph/changenotifications-for-presence
const (
	MinPresenceLife = 45 * time.Minute
	MaxPresenceLife = 60 * time.Minute
)

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

// NewSubscription is what is asked of Graph for a new subscription.
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
	// Create is not repeated after an unclear end (fault.Timeout): list before
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
