package graphsim

import (
	"fmt"
	"net/http"
	"slices"
)

// Switches choose an answer where no source says what the service does, and turn
// on what would be in the way of most tests. The zero value is the likeliest
// answer. They may change at any time (Tenant.Switch).
type Switches struct {
	// UnknownIDs: what getPresencesByUserId does with an id that is no user:
	// "omit" (default), "unknown" (PresenceUnknown) or "error" (404 for all).
	UnknownIDs string `json:"unknownIds,omitempty"`
	// Casing of availability and activity: "pascal" (default, as on the wire) or
	// "camel" (as on the resource page since 2025-12).
	Casing string `json:"casing,omitempty"`
	// Overlong expiry of a subscription: "reject" (default) or "clamp".
	Overlong string `json:"overlong,omitempty"`
	// ValidationTokens of rich notifications: "v2" (default: azp), "v1" (appid) or
	// "null" (an app that requires assignment).
	ValidationTokens string `json:"validationTokens,omitempty"`
	// ValidationIssuer of those tokens: "version" (default: Config.Issuers, the one of
	// the token's version), "v1" (that of version 1.0 whatever the version, which is
	// the only one that Microsoft's samples accept) or "national" (the hosts of
	// another cloud, of which no page tells).
	ValidationIssuer string `json:"validationIssuer,omitempty"`
	// PageSize of lists and deltas when the request does not say; 0 is 100.
	PageSize int `json:"pageSize,omitempty"`
	// EmptyPages puts an empty page with a nextLink before every page of a delta.
	EmptyPages bool `json:"emptyPages,omitempty"`
	// GoneLocation adds Location to the 410 of a delta that must start over.
	GoneLocation bool `json:"goneLocation,omitempty"`
	// Replays has later rounds of deltas report the changes of the one before again, as
	// the pages say may happen.
	Replays bool `json:"replays,omitempty"`
	// DefaultFolderListed has /contactFolders list the default folder as well. Pages and
	// field disagree; by default only those below it are listed.
	DefaultFolderListed bool `json:"defaultFolderListed,omitempty"`
	// NoPhoto is what the metadata of a photo that is not there are: "404" (default) or
	// "gif" (200, one pixel without an etag).
	NoPhoto string `json:"noPhoto,omitempty"`
	// GoneStatus is with which status a delta must start over: 0 is 410; the pages call
	// it a "40X-series error".
	GoneStatus int `json:"goneStatus,omitempty"`
	// Quotas enforces the published request quotas with 429.
	Quotas bool `json:"quotas,omitempty"`
	// PresenceQuota is the presence limit per 30 s: 0 is 1,500 (the API page); the
	// throttling page says 10,000.
	PresenceQuota int `json:"presenceQuota,omitempty"`
	// Cloud is which of Microsoft's clouds this is: "global" (default), "usgov" and
	// "dod" (no presence notifications, less in a presence) or "china" (no presence).
	Cloud string `json:"cloud,omitempty"`
	// AllDay is how an all-day event is shown in another zone than its own: "dates"
	// (default: midnights of the zone asked for) or "instants" (converted).
	AllDay string `json:"allDay,omitempty"`
	// BatchThrottled is what a batch with a throttled request answers: "inner"
	// (default: 200, with the 429 inside) or "outer" (424 for all, as of 2021).
	BatchThrottled string `json:"batchThrottled,omitempty"`
	// HandshakeOnRenewal validates the notification URL again on every PATCH.
	HandshakeOnRenewal bool `json:"handshakeOnRenewal,omitempty"`
	// ClientStateLimit is how many characters a clientState may have: 0 is 128 (the
	// pages of the subscription), and 255 is what that of the notification says.
	ClientStateLimit int `json:"clientStateLimit,omitempty"`
	// ClientStateRequired refuses a subscription without one: the page of the call
	// says so, that of the resource says that it is optional (default).
	ClientStateRequired bool `json:"clientStateRequired,omitempty"`
	// Endpoint is what the slow and drop states are about: "host" (default, the harder
	// case) or "url" (without its query).
	Endpoint string `json:"endpoint,omitempty"`
	// PatchResource is what a PATCH of a subscription's resource does: "reject"
	// (default: it is not among what is documented), "accept" or "ignore" (200, and
	// nothing of it has happened).
	PatchResource string `json:"patchResource,omitempty"`
	// LicenceRequired refuses the presence subscriptions of accounts without a Teams
	// licence (SetLicensed); by default they have them all the same.
	LicenceRequired bool `json:"licenceRequired,omitempty"`
	// PresenceInTeamsQuota counts presence subscriptions among the 10,000 that the
	// Teams resources of an organization share, beside those of other apps in
	// TeamsSubscriptions. By default they do not count.
	PresenceInTeamsQuota bool `json:"presenceInTeamsQuota,omitempty"`
	// TeamsSubscriptions is how many subscriptions to Teams resources other apps have.
	TeamsSubscriptions int `json:"teamsSubscriptions,omitempty"`
	// BadPair is the answer to an availability and activity that a call does not know:
	// "BadRequest" (default: 400), "InvalidArgument" (400), "Forbidden" (403) or
	// "ignore" (200, without an effect).
	BadPair string `json:"badPair,omitempty"`
}

func (s Switches) withDefaults() Switches {
	set(&s.UnknownIDs, "omit")
	set(&s.Casing, "pascal")
	set(&s.Overlong, "reject")
	set(&s.ValidationTokens, "v2")
	set(&s.ValidationIssuer, "version")
	set(&s.Cloud, "global")
	set(&s.AllDay, "dates")
	set(&s.BatchThrottled, "inner")
	set(&s.Endpoint, "host")
	set(&s.PatchResource, "reject")
	set(&s.BadPair, "BadRequest")
	set(&s.NoPhoto, "404")
	set(&s.PageSize, 100)
	set(&s.GoneStatus, http.StatusGone)
	set(&s.PresenceQuota, 1500)
	set(&s.ClientStateLimit, 128)
	return s
}

func (s Switches) validate() error {
	s = s.withDefaults()
	choices := []struct {
		name, value string
		allowed     []string
	}{
		{"unknownIds", s.UnknownIDs, []string{"omit", "unknown", "error"}},
		{"casing", s.Casing, []string{"pascal", "camel"}},
		{"overlong", s.Overlong, []string{"reject", "clamp"}},
		{"validationTokens", s.ValidationTokens, []string{"v1", "v2", "null"}},
		{"validationIssuer", s.ValidationIssuer, []string{"version", "v1", "national"}},
		{"cloud", s.Cloud, []string{"global", "usgov", "dod", "china"}},
		{"allDay", s.AllDay, []string{"dates", "instants"}},
		{"batchThrottled", s.BatchThrottled, []string{"inner", "outer"}},
		{"endpoint", s.Endpoint, []string{"host", "url"}},
		{"patchResource", s.PatchResource, []string{"reject", "accept", "ignore"}},
		{"noPhoto", s.NoPhoto, []string{"404", "gif"}},
		{"badPair", s.BadPair, []string{"BadRequest", "InvalidArgument", "Forbidden", "ignore"}},
	}
	for _, c := range choices {
		if !slices.Contains(c.allowed, c.value) {
			return fmt.Errorf("switch %s: %q is none of %v", c.name, c.value, c.allowed)
		}
	}
	switch {
	case s.PageSize < 1 || s.PageSize > 999:
		return fmt.Errorf("switch pageSize: %d is not 1 to 999", s.PageSize)
	case s.GoneStatus < 400 || s.GoneStatus > 410:
		return fmt.Errorf("switch goneStatus: %d is not 400 to 410", s.GoneStatus)
	case s.PresenceQuota < 0:
		return fmt.Errorf("switch presenceQuota: %d is negative", s.PresenceQuota)
	case s.ClientStateLimit < 1 || s.ClientStateLimit > 255:
		return fmt.Errorf("switch clientStateLimit: %d is not 1 to 255", s.ClientStateLimit)
	case s.TeamsSubscriptions < 0:
		return fmt.Errorf("switch teamsSubscriptions: %d is negative", s.TeamsSubscriptions)
	}
	return nil
}
