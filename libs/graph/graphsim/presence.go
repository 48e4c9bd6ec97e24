package graphsim

import (
	"net/http"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// MaxPresenceIDs is the most users in one getPresencesByUserId and in one presence
// subscription (learn.microsoft.com/graph/api/cloudcommunications-getpresencesbyuserid).
const MaxPresenceIDs = 650

// presenceBody is microsoft.graph.presence (CSDL, 2026-08).
type presenceBody struct {
	Context      string `json:"@odata.context,omitempty"`
	ID           string `json:"id"`
	Availability string `json:"availability"`
	Activity     string `json:"activity"`
	StatusNote   any    `json:"statusMessage"`
	*newerPresence
}

// newerPresence is what the clouds of the US government lack.
type newerPresence struct {
	OutOfOffice  outOfOffice `json:"outOfOfficeSettings"`
	WorkLocation any         `json:"workLocation"`
	Sequence     string      `json:"sequenceNumber"`
}

type outOfOffice struct {
	Message       any  `json:"message"`
	IsOutOfOffice bool `json:"isOutOfOffice"`
}

// presenceOf renders a presence under the switches. t.mu is held.
func (t *Tenant) presenceOf(p *person) presenceBody {
	body := presenceBody{ID: p.id, Availability: t.cased(p.availability), Activity: t.cased(p.activity)}
	if t.switches.Cloud == "global" {
		body.newerPresence = &newerPresence{OutOfOffice: outOfOffice{IsOutOfOffice: strings.EqualFold(p.activity, "OutOfOffice")}, Sequence: p.sequenceText()}
	}
	return body
}

// cased applies the casing switch. t.mu is held.
func (t *Tenant) cased(value string) string {
	if t.switches.Casing == "camel" {
		first, size := utf8.DecodeRuneInString(value)
		return string(unicode.ToLower(first)) + value[size:]
	}
	return value
}

// getPresence is GET /users/{id}/presence and GET /communications/presences/{id}.
func getPresence(c *call) (answer, *graphError) { return c.showPresence(c.PathValue("user")) }

// getMyPresence is GET /me/presence.
func getMyPresence(c *call) (answer, *graphError) { return c.showPresence(c.user) }

func (c *call) showPresence(ref string) (answer, *graphError) {
	t := c.tenant
	t.agePresences(time.Time{})
	t.mu.RLock()
	defer t.mu.RUnlock()
	p := t.exact(ref)
	if p == nil {
		return answer{}, graphErr(http.StatusNotFound, "NotFound", "User '%s' was not found.", ref)
	}
	body := t.presenceOf(p)
	body.Context = c.origin() + "/$metadata#users('" + p.id + "')/presence/$entity"
	return answer{body: body}, nil
}

// getPresences is POST /communications/getPresencesByUserId.
func getPresences(c *call) (answer, *graphError) {
	var request struct {
		IDs []string `json:"ids"`
	}
	if err := c.decode(&request); err != nil {
		return answer{}, err
	}
	switch n := len(request.IDs); {
	case n == 0:
		return answer{}, badRequest("The ids collection is empty.")
	case n > MaxPresenceIDs:
		return answer{}, badRequest("The number of user ids %d exceeds the limit of %d.", n, MaxPresenceIDs)
	}
	t := c.tenant
	t.agePresences(time.Time{})
	t.mu.RLock()
	defer t.mu.RUnlock()
	found := make([]presenceBody, 0, len(request.IDs))
	for _, id := range request.IDs {
		if !guidPattern.MatchString(id) {
			return answer{}, badRequest("'%s' is not a valid user id.", id)
		}
		p := t.byID[strings.ToLower(id)]
		switch {
		case p != nil:
			found = append(found, t.presenceOf(p))
		case t.switches.UnknownIDs == "error":
			return answer{}, graphErr(http.StatusNotFound, "NotFound", "User '%s' was not found.", id)
		case t.switches.UnknownIDs == "unknown":
			unknown := t.cased("PresenceUnknown")
			found = append(found, t.presenceOf(&person{id: id, availability: unknown, activity: unknown}))
		}
	}
	return answer{body: map[string]any{"value": found}}, nil
}
