package graphsim

import (
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

// subscription is one live subscription. Its fields are guarded by Tenant.mu.
type subscription struct {
	id            string
	app           *app
	creator       string // object id of the user, or of the service principal
	delegated     bool
	resource      resource
	resourceText  string
	changeType    string
	url           string
	lifecycleURL  string
	clientState   string
	rich          bool
	certificate   *x509.Certificate // of rich notifications
	certificateID string
	expires       time.Time
	tokenExpires  time.Time // of the token that created or renewed it
	immutable     bool      // events are named by their immutable ids
	patched       time.Time // last PATCH, or zero
	reauthorized  time.Time // last reauthorize, or zero
}

// subscriptionBody is microsoft.graph.subscription as requests and answers have it.
type subscriptionBody struct {
	Context               string     `json:"@odata.context,omitempty"`
	ID                    string     `json:"id,omitempty"`
	ApplicationID         string     `json:"applicationId,omitempty"`
	CreatorID             string     `json:"creatorId,omitempty"`
	Resource              string     `json:"resource"`
	ChangeType            string     `json:"changeType"`
	ClientState           *string    `json:"clientState"`
	NotificationURL       string     `json:"notificationUrl"`
	LifecycleURL          *string    `json:"lifecycleNotificationUrl"`
	Expiration            *time.Time `json:"expirationDateTime"`
	IncludeResourceData   *bool      `json:"includeResourceData"`
	Certificate           *string    `json:"encryptionCertificate"`
	CertificateID         *string    `json:"encryptionCertificateId"`
	TLSVersion            string     `json:"latestSupportedTlsVersion,omitempty"`
	NotificationURLAppID  *string    `json:"notificationUrlAppId"`
	NotificationQueryOpts *string    `json:"notificationQueryOptions"`
}

// createSubscription is POST /subscriptions: everything is checked, then the URLs
// are validated, and only then does the subscription exist.
func createSubscription(c *call) (answer, *graphError) {
	var body subscriptionBody
	if err := c.decode(&body); err != nil {
		return answer{}, err
	}
	sub, failure := c.newSubscription(body)
	if failure != nil {
		return answer{}, failure
	}
	t := c.tenant
	t.mu.Lock()
	if failure = c.watchable(sub); failure == nil {
		sub.expires, failure = t.expiry(sub.resource.kind, *body.Expiration)
	}
	if failure == nil {
		failure = t.duplicate(sub)
	}
	t.mu.Unlock()
	if failure != nil {
		return answer{}, failure
	}
	for _, target := range []string{sub.url, sub.lifecycleURL} {
		if target == "" {
			continue
		}
		if failure := c.server.handshake(c.Context(), target); failure != nil {
			return answer{}, failure
		}
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if failure := t.duplicate(sub); failure != nil { // another create was faster
		return answer{}, failure
	}
	t.subscriptions[sub.id] = sub
	t.soonest = time.Time{}
	t.watch(sub)
	t.ledger.of(sub.id)
	t.warnLater(sub)
	return answer{status: http.StatusCreated, body: sub.body(c.origin() + "/$metadata#subscriptions/$entity")}, nil
}

// newSubscription checks what does not depend on other subscriptions.
func (c *call) newSubscription(body subscriptionBody) (*subscription, *graphError) {
	sub := &subscription{id: newGUID(), app: c.app, creator: c.creator(), delegated: c.user != "", resourceText: body.Resource,
		changeType: body.ChangeType, url: body.NotificationURL, tokenExpires: c.expires, immutable: preferID.MatchString(strings.Join(c.Header.Values("Prefer"), ","))}
	for name, missing := range map[string]bool{"changeType": body.ChangeType == "", "notificationUrl": body.NotificationURL == "",
		"resource": body.Resource == "", "expirationDateTime": body.Expiration == nil} {
		if missing {
			return nil, badRequest("The required property '%s' is missing.", name)
		}
	}
	var failure *graphError
	if sub.resource, failure = parseResource(body.Resource, c.user); failure != nil {
		return nil, failure
	}
	if failure := c.allow(sub.resource); failure != nil {
		return nil, failure
	}
	for _, change := range strings.Split(body.ChangeType, ",") {
		if !slices.Contains(sub.resource.kind.changes, change) {
			return nil, badRequest("Change type '%s' is not supported for %s.", change, sub.resource.kind.name)
		}
	}
	if body.ClientState != nil {
		sub.clientState = *body.ClientState
	}
	if failure := c.tenant.Switches().checkState(sub.clientState); failure != nil {
		return nil, failure
	}
	if body.LifecycleURL != nil {
		sub.lifecycleURL = *body.LifecycleURL
	}
	for _, target := range []string{sub.url, sub.lifecycleURL} {
		if target != "" && !isHTTPS(target) {
			return nil, badRequest("Notification URL '%s' is not an https URL.", target)
		}
	}
	if body.IncludeResourceData == nil || !*body.IncludeResourceData {
		return sub, nil
	}
	if !sub.resource.kind.rich {
		return nil, badRequest("includeResourceData is not supported for %s by the simulator.", sub.resource.kind.name)
	}
	sub.rich = true
	return sub, sub.setCertificate(body)
}

// checkState refuses a clientState that is too long, or missing where it must not be.
func (s Switches) checkState(state string) *graphError {
	switch {
	case len(state) > s.ClientStateLimit:
		return badRequest("clientState is longer than %d characters.", s.ClientStateLimit)
	case state == "" && s.ClientStateRequired:
		return badRequest("The required property 'clientState' is missing.")
	}
	return nil
}

func isHTTPS(text string) bool {
	u, err := url.Parse(text)
	return err == nil && u.Scheme == "https" && u.Host != ""
}

// setCertificate takes the key under which resource data is encrypted
// (learn.microsoft.com/graph/change-notifications-with-resource-data).
func (s *subscription) setCertificate(body subscriptionBody) *graphError {
	if body.Certificate == nil || body.CertificateID == nil || *body.CertificateID == "" {
		return badRequest("encryptionCertificate and encryptionCertificateId are required when includeResourceData is true.")
	}
	if len(*body.CertificateID) > 128 {
		return badRequest("encryptionCertificateId is longer than 128 characters.")
	}
	der, err := base64.StdEncoding.DecodeString(*body.Certificate)
	if err != nil {
		return badRequest("encryptionCertificate is not base64.")
	}
	certificate, err := x509.ParseCertificate(der)
	if err != nil {
		return badRequest("encryptionCertificate is not an X.509 certificate.")
	}
	key, ok := certificate.PublicKey.(*rsa.PublicKey)
	if !ok || key.N.BitLen() < 2048 || key.N.BitLen() > 4096 {
		return badRequest("encryptionCertificate must hold an RSA key of 2048 to 4096 bits.")
	}
	s.certificate, s.certificateID = certificate, *body.CertificateID
	return nil
}

// creator is the object id under which the caller's subscriptions are kept.
func (c *call) creator() string {
	if c.user != "" {
		return c.user
	}
	return guidOf("service principal " + c.app.ClientID)
}

// duplicate answers 409 for a second presence subscription of one account and app
// (the message with its typos as seen 2020 and 2022) and for a second subscription
// of an app to the same changes. t.mu is held.
func (t *Tenant) duplicate(sub *subscription) *graphError {
	t.expireSubscriptions()
	for _, other := range t.subscriptions {
		switch {
		case other.app != sub.app || other.resource.kind != sub.resource.kind:
		case sub.resource.kind == presenceKind:
			if other.creator != sub.creator {
				continue
			}
			return graphErr(http.StatusConflict, "ExtensionError", "Operation: Create; Exception: [Status Code: Conflict; Reason: A subscripton already exists. It must be deleted before a another can be made.]")
		case other.resourceText == sub.resourceText && other.changeType == sub.changeType:
			return graphErr(http.StatusConflict, "Conflict", "Subscription Id %s already exists for the requested combination", other.id)
		}
	}
	if t.overCount(sub) {
		// Seen with this code and text: microsoft-graph-docs#21403.
		return graphErr(http.StatusForbidden, "ExtensionError", "Operation: Create; Exception: [Status Code: Forbidden; Reason: Maximum number of subscriptions has been reached]")
	}
	return nil
}

// overCount says whether a subscription would be one too many. t.mu is held.
func (t *Tenant) overCount(sub *subscription) bool {
	switch sub.resource.kind {
	case eventKind:
		return len(t.watchersOf[sub.resource.users[0]]) >= maxMailboxSubscriptions
	case presenceKind:
		count := t.switches.TeamsSubscriptions
		for _, other := range t.subscriptions {
			if other.resource.kind == presenceKind {
				count++
			}
		}
		return t.switches.PresenceInTeamsQuota && count >= maxTeamsSubscriptions
	}
	return false
}

// maxTeamsSubscriptions is how many subscriptions to Teams resources an organization
// may have, of all applications together
// (learn.microsoft.com/graph/teams-changenotifications-overview).
const maxTeamsSubscriptions = 10_000

// maxMailboxSubscriptions is how many subscriptions to a mailbox there may be, of
// all applications together
// (learn.microsoft.com/graph/outlook-change-notifications-overview).
const maxMailboxSubscriptions = 1000

// watchable checks whether what a subscription watches is there in this cloud, and
// names the user of a calendar by id. t.mu is held.
func (c *call) watchable(sub *subscription) *graphError {
	switch kind := sub.resource.kind; {
	case kind == presenceKind && c.tenant.switches.Cloud != "global":
		return badRequest("Resource '%s' is not supported for subscriptions in this cloud.", sub.resourceText)
	case kind == presenceKind && c.tenant.switches.LicenceRequired && c.tenant.unlicensed(sub.creator):
		// Status, code and text are a guess.
		return graphErr(http.StatusForbidden, "ExtensionError", "Operation: Create; Exception: [Status Code: Forbidden; Reason: The user is not licensed for Teams]")
	case kind == eventKind:
		p, failure := c.mailboxOf(sub.resource.users[0])
		if failure != nil {
			return failure
		}
		sub.resource.users = []string{p.id}
	}
	return nil
}

// expireSubscriptions forgets what has run out. t.mu is held.
func (t *Tenant) expireSubscriptions() {
	now := t.server.now()
	if now.Before(t.soonest) {
		return
	}
	t.soonest = now.Add(aDay)
	for _, sub := range t.subscriptions {
		if !sub.expires.After(now) {
			t.drop(sub)
		} else if sub.expires.Before(t.soonest) {
			t.soonest = sub.expires
		}
	}
}

// index is where the subscriptions of a kind are found by user, or nil. t.mu is held.
func (t *Tenant) index(kind *resourceKind) map[string][]*subscription {
	switch kind {
	case presenceKind:
		return t.watchers
	case eventKind:
		return t.watchersOf
	}
	return nil
}

// watch enters a subscription under each of its users. t.mu is held.
func (t *Tenant) watch(sub *subscription) {
	index := t.index(sub.resource.kind)
	if index == nil {
		return
	}
	for _, user := range sub.resource.users {
		index[user] = append(index[user], sub)
	}
}

func (t *Tenant) drop(sub *subscription) {
	delete(t.subscriptions, sub.id)
	t.unwatch(sub)
}

// unwatch is the opposite of watch. t.mu is held.
func (t *Tenant) unwatch(sub *subscription) {
	index := t.index(sub.resource.kind)
	if index == nil {
		return
	}
	for _, user := range sub.resource.users {
		index[user] = slices.DeleteFunc(index[user], func(s *subscription) bool { return s.id == sub.id })
		if len(index[user]) == 0 {
			delete(index, user)
		}
	}
}

func (s *subscription) body(context string) subscriptionBody {
	expires := s.expires.UTC()
	body := subscriptionBody{Context: context, ID: s.id, ApplicationID: s.app.ClientID, CreatorID: s.creator,
		Resource: s.resourceText, ChangeType: s.changeType, ClientState: &s.clientState, NotificationURL: s.url,
		Expiration: &expires, IncludeResourceData: &s.rich, TLSVersion: "v1_2"}
	if s.lifecycleURL != "" {
		body.LifecycleURL = &s.lifecycleURL
	}
	if s.certificateID != "" {
		body.CertificateID = &s.certificateID
	}
	return body
}
