package graphsim

import (
	"net/http"
	"slices"
	"strings"
	"time"
)

// own returns a subscription of the caller: of its app and, for a signed-in user,
// of that user. t.mu is held.
func (c *call) own() (*subscription, *graphError) {
	c.tenant.expireSubscriptions()
	sub := c.tenant.subscriptions[strings.ToLower(c.PathValue("subscription"))]
	if sub == nil || !c.owns(sub) {
		return nil, graphErr(http.StatusNotFound, "ResourceNotFound", "The object was not found.")
	}
	return sub, nil
}

func (c *call) owns(sub *subscription) bool { return sub.app == c.app && sub.creator == c.creator() }

func listSubscriptions(c *call) (answer, *graphError) {
	t := c.tenant
	t.mu.Lock()
	defer t.mu.Unlock()
	t.expireSubscriptions()
	list := []subscriptionBody{}
	for _, sub := range t.subscriptions {
		if c.owns(sub) {
			list = append(list, sub.body(""))
		}
	}
	slices.SortFunc(list, func(a, b subscriptionBody) int { return strings.Compare(a.ID, b.ID) })
	return answer{body: map[string]any{"@odata.context": c.origin() + "/$metadata#subscriptions", "value": list}}, nil
}

func getSubscription(c *call) (answer, *graphError) {
	c.tenant.mu.Lock()
	defer c.tenant.mu.Unlock()
	sub, failure := c.own()
	if failure != nil {
		return answer{}, failure
	}
	return answer{body: sub.body(c.origin() + "/$metadata#subscriptions/$entity")}, nil
}

// renewSubscription is PATCH: the expiry, the URL, the certificate. It renews the
// token that the subscription carries as well.
func renewSubscription(c *call) (answer, *graphError) {
	var body subscriptionBody
	if failure := c.decode(&body); failure != nil {
		return answer{}, failure
	}
	current, failure := c.snapshot()
	if failure == nil {
		failure = c.allow(current.resource)
	}
	if failure != nil {
		return answer{}, failure
	}
	t := c.tenant
	t.mu.Lock()
	next, failure := c.renewed(current, body)
	greet := next.url != current.url || t.switches.HandshakeOnRenewal
	t.mu.Unlock()
	if failure == nil { // the resource may be another one
		failure = c.allow(next.resource)
	}
	if failure != nil {
		return answer{}, failure
	}
	if greet {
		if failure := c.server.handshake(c.Context(), next.url); failure != nil {
			return answer{}, failure
		}
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	sub, failure := c.own()
	if failure != nil { // deleted during the handshake
		return answer{}, failure
	}
	if _, stuck := t.strike(FaultStuckExpiry, func(f Fault) bool { return f.Subscription == "" || f.Subscription == sub.id }); !stuck {
		next.reauthorized = sub.reauthorized
		t.unwatch(sub)
		*sub = next
		t.watch(sub)
		t.soonest = time.Time{}
		t.warnLater(sub)
	}
	sub.patched = t.server.now()
	t.checkRenewals(sub)
	return answer{body: sub.body(c.origin() + "/$metadata#subscriptions/$entity")}, nil
}

// snapshot returns a copy of the caller's subscription.
func (c *call) snapshot() (subscription, *graphError) {
	c.tenant.mu.Lock()
	defer c.tenant.mu.Unlock()
	sub, failure := c.own()
	if failure != nil {
		return subscription{}, failure
	}
	return *sub, nil
}

// renewed returns what a PATCH makes of a subscription. t.mu is held.
func (c *call) renewed(sub subscription, body subscriptionBody) (subscription, *graphError) {
	if body.Resource != "" {
		if failure := c.rename(&sub, body.Resource); failure != nil {
			return sub, failure
		}
	}
	if body.ChangeType != "" || body.LifecycleURL != nil {
		return sub, badRequest("Only expirationDateTime, notificationUrl and the encryption certificate can be updated.")
	}
	if body.Expiration != nil {
		expires, failure := c.tenant.expiry(sub.resource.kind, *body.Expiration)
		if failure != nil {
			return sub, failure
		}
		sub.expires = expires
	}
	if body.NotificationURL != "" {
		if !isHTTPS(body.NotificationURL) {
			return sub, badRequest("Notification URL '%s' is not an https URL.", body.NotificationURL)
		}
		sub.url = body.NotificationURL
	}
	if body.Certificate != nil || body.CertificateID != nil {
		if failure := sub.setCertificate(body); failure != nil {
			return sub, failure
		}
	}
	sub.tokenExpires = c.expires
	return sub, nil
}

// rename gives a subscription another resource of the same kind, as far as the
// service may do that at all. t.mu is held.
func (c *call) rename(sub *subscription, text string) *graphError {
	switch c.tenant.switches.PatchResource {
	case "ignore":
		return nil
	case "reject":
		return badRequest("Only expirationDateTime, notificationUrl and the encryption certificate can be updated.")
	}
	next, failure := parseResource(text, c.user)
	if failure != nil {
		return failure
	}
	if next.kind != sub.resource.kind {
		return badRequest("A subscription to %s cannot become one to %s.", sub.resource.kind.name, next.kind.name)
	}
	renamed := *sub
	renamed.resource, renamed.resourceText = next, text
	if failure := c.watchable(&renamed); failure != nil {
		return failure
	}
	*sub = renamed
	return nil
}

func deleteSubscription(c *call) (answer, *graphError) {
	c.tenant.mu.Lock()
	defer c.tenant.mu.Unlock()
	sub, failure := c.own()
	if failure != nil {
		return answer{}, failure
	}
	c.tenant.drop(sub)
	return answer{status: http.StatusNoContent}, nil
}

// reauthorizeSubscription renews the token that a subscription carries and leaves
// its expiry alone.
func reauthorizeSubscription(c *call) (answer, *graphError) {
	c.tenant.mu.Lock()
	defer c.tenant.mu.Unlock()
	sub, failure := c.own()
	if failure != nil {
		return answer{}, failure
	}
	sub.tokenExpires, sub.reauthorized = c.expires, c.server.now()
	c.tenant.checkRenewals(sub)
	c.tenant.warnLater(sub)
	return answer{status: http.StatusNoContent}, nil
}

// renewalPause must be between a PATCH and a reauthorize of a subscription
// (learn.microsoft.com/graph/change-notifications-lifecycle-events).
const renewalPause = 10 * time.Minute

// checkRenewals records a violation of renewalPause. t.mu is held.
func (t *Tenant) checkRenewals(sub *subscription) {
	if sub.patched.IsZero() || sub.reauthorized.IsZero() {
		return
	}
	if apart := sub.patched.Sub(sub.reauthorized).Abs(); apart < renewalPause {
		t.violate("renew-and-reauthorize", "subscription %s to %s was renewed and reauthorized %v apart", sub.id, sub.resourceText, apart)
	}
}

// Subscription is what the control interface and tests see of a subscription.
type Subscription struct {
	ID              string    `json:"id"`
	Resource        string    `json:"resource"`
	NotificationURL string    `json:"notificationUrl"`
	Creator         string    `json:"creator"`
	Users           int       `json:"users"` // how many it names; 0 is all
	Rich            bool      `json:"rich"`
	Expires         time.Time `json:"expires"`
	TokenExpires    time.Time `json:"tokenExpires"`
}

// Subscriptions lists the live subscriptions of all apps, sorted by id.
func (t *Tenant) Subscriptions() []Subscription {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.expireSubscriptions()
	list := make([]Subscription, 0, len(t.subscriptions))
	for _, s := range t.subscriptions {
		list = append(list, Subscription{s.id, s.resourceText, s.url, s.creator, len(s.resource.users), s.rich, s.expires, s.tokenExpires})
	}
	slices.SortFunc(list, func(a, b Subscription) int { return strings.Compare(a.ID, b.ID) })
	return list
}

// RemoveSubscription ends a subscription as the service itself sometimes does:
// without a word.
func (t *Tenant) RemoveSubscription(id string) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	sub := t.subscriptions[id]
	if sub == nil {
		return t.noSubscription(id)
	}
	t.drop(sub)
	return nil
}
