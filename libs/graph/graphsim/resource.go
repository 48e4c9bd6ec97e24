package graphsim

import (
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"
)

// resource is what a subscription watches.
type resource struct {
	kind  *resourceKind
	users []string // ids; nil is every user of the tenant
}

// resourceKind is one row of the table of supported resources
// (learn.microsoft.com/graph/api/resources/subscription, 2026-09). Rich
// notifications are simulated for presence only.
type resourceKind struct {
	name       string
	life       time.Duration // longest
	rich       bool
	changes    []string // allowed changeTypes
	permission string
	appOnly    bool // an application may subscribe
}

var (
	presenceKind = &resourceKind{"presence", time.Hour, true, []string{"updated"}, "Presence.Read.All", false}
	eventKind    = &resourceKind{"event", 7 * 24 * time.Hour, false, []string{"created", "updated", "deleted"}, "Calendars.Read", true}
	userKind     = &resourceKind{"user", 29 * 24 * time.Hour, false, []string{"updated", "deleted"}, "User.Read.All", true}
)

var (
	onePresence  = regexp.MustCompile(`(?i)^communications/presences/([^/?']+)$`)
	somePresence = regexp.MustCompile(`(?i)^communications/presences\?\$filter=id in \((.*)\)$`)
	userEvents   = regexp.MustCompile(`(?i)^(?:users/([^/?]+)|(me))/events(?:\?.*)?$`)
	someUsers    = regexp.MustCompile(`(?i)^users(?:/([^/?]+))?$`)
)

// parseResource understands the resource of a subscription. me is the signed-in
// user, or "".
func parseResource(text, me string) (resource, *graphError) {
	path := strings.TrimPrefix(text, "/")
	if decoded, err := url.PathUnescape(path); err == nil {
		path = decoded
	}
	if m := onePresence.FindStringSubmatch(path); m != nil {
		return presences([]string{m[1]})
	}
	if m := somePresence.FindStringSubmatch(path); m != nil {
		var ids []string
		for _, quoted := range strings.Split(m[1], ",") {
			quoted = strings.TrimSpace(quoted)
			id, ok := strings.CutPrefix(quoted, "'")
			id, closed := strings.CutSuffix(id, "'")
			if !ok || !closed {
				return resource{}, badRequest("Invalid filter clause: %s is not a quoted id.", quoted)
			}
			ids = append(ids, id)
		}
		return presences(ids)
	}
	if m := userEvents.FindStringSubmatch(path); m != nil {
		user := strings.ToLower(m[1])
		if m[2] != "" {
			user = me
		}
		return resource{eventKind, []string{user}}, nil
	}
	if m := someUsers.FindStringSubmatch(path); m != nil {
		if m[1] == "" {
			return resource{userKind, nil}, nil
		}
		return resource{userKind, []string{strings.ToLower(m[1])}}, nil
	}
	return resource{}, badRequest("Resource '%s' is not supported for subscriptions (the simulator knows presences, events and users).", text)
}

func presences(ids []string) (resource, *graphError) {
	for i, id := range ids {
		if !guidPattern.MatchString(id) {
			return resource{}, badRequest("Invalid filter clause: '%s' is not a user id.", id)
		}
		ids[i] = strings.ToLower(id)
	}
	slices.Sort(ids)
	ids = slices.Compact(ids)
	if len(ids) > MaxPresenceIDs {
		return resource{}, badRequest("The number of user ids %d in the filter exceeds the limit of %d.", len(ids), MaxPresenceIDs)
	}
	return resource{presenceKind, ids}, nil
}

// allow checks whether the caller may subscribe to r. A write permission is not
// enough where reading is all that is needed.
func (c *call) allow(r resource) *graphError {
	if c.user == "" && !r.kind.appOnly {
		return graphErr(http.StatusForbidden, "Forbidden", "Application permission is not supported for subscriptions to %s; a delegated token with %s is needed.", r.kind.name, r.kind.permission)
	}
	if !c.has(r.kind.permission) {
		return graphErr(http.StatusForbidden, "ExtensionError", "Operation: Create; Exception: [Status Code: Forbidden; Reason: The caller is missing %s]", r.kind.permission)
	}
	if c.user != "" && r.kind == eventKind && !slices.Equal(r.users, []string{c.user}) {
		return graphErr(http.StatusForbidden, "ErrorAccessDenied", "Access is denied. Check credentials and try again.")
	}
	return nil
}

// minLife is the floor of an expiry; anything less is raised to it silently.
const minLife = 45 * time.Minute

// expiry returns what becomes of a requested expiry. t.mu is held.
func (t *Tenant) expiry(kind *resourceKind, requested time.Time) (time.Time, *graphError) {
	now := t.server.now()
	most := now.Add(kind.life)
	switch {
	case !requested.After(now):
		return time.Time{}, badRequest("Subscription expiration must be in the future.")
	case requested.Before(now.Add(minLife)):
		return now.Add(minLife), nil
	case !requested.After(most):
		return requested, nil
	case t.switches.Overlong == "clamp":
		return most, nil
	}
	return time.Time{}, badRequest("Subscription expiration can only be %d minutes in the future.", int(kind.life.Minutes()))
}
