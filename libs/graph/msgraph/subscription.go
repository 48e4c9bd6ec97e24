package msgraph

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"time"

	kiota "github.com/microsoft/kiota-abstractions-go"
	"github.com/microsoftgraph/msgraph-sdk-go/models"
	"github.com/microsoftgraph/msgraph-sdk-go/subscriptions"

	"offhook.dev/libs/core/fault"
	"offhook.dev/libs/graph"
)

// Create implements graph.Subscriber.
func (c *Client) Create(ctx context.Context, want graph.NewSubscription) (graph.Subscription, error) {
	const op = "microsoft graph: create a subscription"
	if reason := c.cloud.Lacks(graph.FeatureNotifications); reason != "" && strings.Contains(want.Resource, "communications/presences") {
		return graph.Subscription{}, fault.New(fault.Unsupported, op, errors.New(reason))
	}
	if state := want.State.Reveal(); state == "" || len(state) > graph.MaxClientState {
		return graph.Subscription{}, fault.Errorf(fault.Invalid, op, "clientState has 1 to %d characters, not %d", graph.MaxClientState, len(state))
	}
	if _, events := graph.EventUser(want.Resource); events {
		if err := checkEvents(want, time.Now()); err != nil {
			return graph.Subscription{}, fault.New(fault.Invalid, op, err)
		}
	}
	body := models.NewSubscription()
	body.SetResource(&want.Resource)
	body.SetChangeType(&want.Change)
	body.SetNotificationUrl(&want.Notify)
	state := want.State.Reveal()
	body.SetClientState(&state)
	expires := want.Expires.UTC()
	body.SetExpirationDateTime(&expires)
	if want.Lifecycle != "" {
		body.SetLifecycleNotificationUrl(&want.Lifecycle)
	}
	if want.Certificate != nil {
		rich := true
		body.SetIncludeResourceData(&rich)
		setCertificate(body, want.Certificate.Raw, want.CertificateID)
	}
	answer, err := c.subscriptions().Post(ctx, body, &subscriptions.SubscriptionsRequestBuilderPostRequestConfiguration{Headers: immutableIDs()})
	return subscriptionFrom(op, answer, err)
}

// checkEvents refuses what a subscription to events must not be. Graph would raise
// no error for some of it, and the subscription would be silent later.
func checkEvents(want graph.NewSubscription, now time.Time) error {
	switch {
	case want.Lifecycle == "":
		return errors.New("a subscription to events needs a lifecycle URL, which cannot be added later")
	case want.Certificate != nil:
		return errors.New("a subscription to events carries no resource data: what meetings are about stays with Microsoft")
	case want.Expires.After(now.Add(graph.MaxEventLife + time.Minute)):
		return fmt.Errorf("a subscription to events lives for at most %v", graph.MaxEventLife)
	}
	return nil
}

// immutableIDs asks for ids of Outlook items that outlive a move between folders,
// in every notification of the subscription. Other resources ignore it.
// https://learn.microsoft.com/graph/outlook-immutable-id
func immutableIDs() *kiota.RequestHeaders {
	headers := kiota.NewRequestHeaders()
	headers.Add("Prefer", preferImmutable)
	return headers
}

// Subscription implements graph.Subscriber.
func (c *Client) Subscription(ctx context.Context, id string) (graph.Subscription, error) {
	answer, err := c.subscriptions().BySubscriptionId(id).Get(ctx, nil)
	return subscriptionFrom("microsoft graph: read a subscription", answer, err)
}

// maxListPages bounds a list that never ends. A page holds about a hundred, and a
// tenant may have a subscription for each of its users.
const maxListPages = 2000

// Subscriptions implements graph.Subscriber.
func (c *Client) Subscriptions(ctx context.Context) ([]graph.Subscription, error) {
	const op = "microsoft graph: list subscriptions"
	var all []graph.Subscription
	at := c.subscriptions()
	for range maxListPages {
		answer, err := at.Get(ctx, nil)
		if err != nil {
			return nil, classify(op, err)
		}
		if answer == nil {
			return nil, fault.New(fault.Unknown, op, errors.New("graph answered nothing"))
		}
		for i, value := range answer.GetValue() {
			one, err := subscriptionOf(value)
			if err != nil {
				return nil, fault.New(fault.Unknown, op, fmt.Errorf("subscription %d: %w", i, err))
			}
			all = append(all, one)
		}
		next := text(answer.GetOdataNextLink())
		if next == "" {
			return all, nil
		}
		at = at.WithUrl(next)
	}
	return nil, fault.Errorf(fault.Unknown, op, "the list has more than %d pages", maxListPages)
}

// Renew implements graph.Subscriber.
func (c *Client) Renew(ctx context.Context, id string, change graph.Renewal) (graph.Subscription, error) {
	body := models.NewSubscription()
	if !change.Expires.IsZero() {
		expires := change.Expires.UTC()
		body.SetExpirationDateTime(&expires)
	}
	if change.Notify != "" {
		body.SetNotificationUrl(&change.Notify)
	}
	if change.Certificate != nil {
		setCertificate(body, change.Certificate.Raw, change.CertificateID)
	}
	answer, err := c.subscriptions().BySubscriptionId(id).Patch(ctx, body, nil)
	return subscriptionFrom("microsoft graph: renew a subscription", answer, err)
}

// Reauthorize implements graph.Subscriber.
func (c *Client) Reauthorize(ctx context.Context, id string) error {
	err := c.subscriptions().BySubscriptionId(id).Reauthorize().Post(ctx, nil)
	return classify("microsoft graph: reauthorize a subscription", err)
}

// Delete implements graph.Subscriber.
func (c *Client) Delete(ctx context.Context, id string) error {
	err := classify("microsoft graph: delete a subscription", c.subscriptions().BySubscriptionId(id).Delete(ctx, nil))
	if err != nil && fault.KindOf(err) == fault.NotFound {
		return nil
	}
	return err
}

func (c *Client) subscriptions() *subscriptions.SubscriptionsRequestBuilder {
	return subscriptions.NewSubscriptionsRequestBuilderInternal(nil, c.adapter)
}

func setCertificate(body *models.Subscription, der []byte, id string) {
	encoded := base64.StdEncoding.EncodeToString(der)
	body.SetEncryptionCertificate(&encoded)
	body.SetEncryptionCertificateId(&id)
}

func subscriptionFrom(op string, answer models.Subscriptionable, err error) (graph.Subscription, error) {
	if err != nil {
		return graph.Subscription{}, classify(op, err)
	}
	one, err := subscriptionOf(answer)
	if err != nil {
		return graph.Subscription{}, fault.New(fault.Unknown, op, err)
	}
	return one, nil
}

func subscriptionOf(value models.Subscriptionable) (graph.Subscription, error) {
	if value == nil || text(value.GetId()) == "" || value.GetExpirationDateTime() == nil {
		return graph.Subscription{}, errors.New("a subscription without id or expiry")
	}
	return graph.Subscription{
		ID: text(value.GetId()), Resource: text(value.GetResource()), Change: text(value.GetChangeType()),
		Notify: text(value.GetNotificationUrl()), Lifecycle: text(value.GetLifecycleNotificationUrl()),
		Expires: value.GetExpirationDateTime().UTC(), Rich: truth(value.GetIncludeResourceData()),
		CertificateID: text(value.GetEncryptionCertificateId()), App: text(value.GetApplicationId()), Creator: text(value.GetCreatorId()),
	}, nil
}
