package graphsim

import (
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// presencePair is what a call can set.
type presencePair struct{ availability, activity string }

// String is the pair as people write it.
func (p presencePair) String() string { return p.availability + "/" + p.activity }

func (p presencePair) in(pairs []presencePair) bool { return slices.Contains(pairs, p) }

// The pairs that setPresence and setUserPreferredPresence know
// (learn.microsoft.com/graph/api/presence-setpresence, -setuserpreferredpresence).
var (
	sessionPairs = []presencePair{{"Available", "Available"}, {"Busy", "InACall"}, {"Busy", "InAConferenceCall"}, {"Away", "Away"},
		{"DoNotDisturb", "Presenting"}}
	preferredPairs = []presencePair{{"Available", "Available"}, {"Busy", "Busy"}, {"DoNotDisturb", "DoNotDisturb"},
		{"BeRightBack", "BeRightBack"}, {"Away", "Away"}, {"Offline", "OffWork"}}
)

// defaultLife is how long a preference lasts that names no duration.
func (p presencePair) defaultLife() time.Duration {
	if p.availability == "Busy" || p.availability == "DoNotDisturb" {
		return 24 * time.Hour
	}
	return 7 * 24 * time.Hour
}

// The life of an application's session.
const (
	shortestSession = 5 * time.Minute
	longestSession  = 4 * time.Hour
)

// presenceRequest is the body of the calls that write presence.
type presenceRequest struct {
	Session      *string `json:"sessionId"`
	Availability string  `json:"availability"`
	Activity     string  `json:"activity"`
	Duration     *string `json:"expirationDuration"`
}

// writer is one of the calls that write presence: it changes p, and says whether
// more than a life is different then. Tenant.mu is held.
type writer func(c *call, p *person, body presenceRequest, life time.Duration) (changed bool, failure *graphError)

// writePresence wraps a writer with what the calls have in common: the user, the
// duration (within bounds where they are given), the answer and the ledger. A
// refused write is in the ledger as well.
func writePresence(name string, shortest, longest time.Duration, write writer) operation {
	return func(c *call) (answer, *graphError) {
		var body presenceRequest
		if name != "clearUserPreferredPresence" { // has no parameters
			if failure := c.decode(&body); failure != nil {
				return answer{}, failure
			}
		}
		t := c.tenant
		t.mu.Lock()
		defer t.mu.Unlock()
		p := t.exact(c.PathValue("user"))
		if p == nil {
			return answer{}, graphErr(http.StatusNotFound, "NotFound", "User '%s' was not found.", c.PathValue("user"))
		}
		entry := PresenceWrite{At: c.server.now(), User: p.id, App: c.app.ClientID, Call: name, Availability: body.Availability, Activity: body.Activity}
		failure := c.ownPresence(p)
		var life time.Duration
		if failure == nil {
			life, failure = body.life(shortest, longest)
		}
		if failure == nil {
			entry.Seconds = life.Seconds()
			entry.Changed, failure = write(c, p, body, life)
		}
		entry.Status = http.StatusOK
		if failure != nil {
			entry.Status = failure.status
		}
		t.writes.note(entry)
		return answer{}, failure
	}
}

// ownPresence refuses a signed-in user another one's presence, unless it holds the
// permission for all.
func (c *call) ownPresence(p *person) *graphError {
	if c.user == "" || c.user == p.id || slices.Contains(c.granted, "Presence.ReadWrite.All") {
		return nil
	}
	return graphErr(http.StatusForbidden, "Forbidden", "A signed-in user may set its own presence only.")
}

// durationPattern is what of ISO 8601 is a duration without months and years.
var durationPattern = regexp.MustCompile(`^P(?:(\d+)D)?(?:T(?:(\d+)H)?(?:(\d+)M)?(?:(\d+)S)?)?$`)

// life reads expirationDuration; 0 is none given. Bounds of 0 are none.
func (r presenceRequest) life(shortest, longest time.Duration) (time.Duration, *graphError) {
	if r.Duration == nil {
		return 0, nil
	}
	m := durationPattern.FindStringSubmatch(*r.Duration)
	if m == nil || strings.HasSuffix(*r.Duration, "P") || strings.HasSuffix(*r.Duration, "T") {
		return 0, badRequest("'%s' is not an ISO 8601 duration.", *r.Duration)
	}
	var life time.Duration
	for i, unit := range []time.Duration{24 * time.Hour, time.Hour, time.Minute, time.Second} {
		n, err := strconv.ParseInt("0"+m[i+1], 10, 32)
		if err != nil {
			return 0, badRequest("'%s' is too long a duration.", *r.Duration)
		}
		life += time.Duration(n) * unit
	}
	if life <= 0 || shortest > 0 && life < shortest || longest > 0 && life > longest {
		return 0, badRequest("expirationDuration '%s' is out of range.", *r.Duration)
	}
	return life, nil
}

// session returns the session that a call is about. It must be the application's own
// id, as the documents ask for; what else the service would take is not known.
func (r presenceRequest) session(c *call) (string, *graphError) {
	if r.Session == nil || !strings.EqualFold(*r.Session, c.app.ClientID) {
		return "", badRequest("sessionId must be the id of the calling application.")
	}
	return c.app.ClientID, nil
}

// pair returns the availability and activity if they are one of pairs. What else
// happens is a switch: the documents only say that nothing else is supported.
func (r presenceRequest) pair(c *call, pairs []presencePair) (pair presencePair, ok bool, failure *graphError) {
	pair = presencePair{r.Availability, r.Activity}
	if pair.in(pairs) {
		return pair, true, nil
	}
	answer := c.tenant.switches.BadPair
	status := http.StatusBadRequest
	switch answer {
	case "ignore":
		return pair, false, nil
	case "Forbidden":
		status = http.StatusForbidden
	}
	return pair, false, graphErr(status, answer, "The combination of availability '%s' and activity '%s' is not supported.", r.Availability, r.Activity)
}

// setPresence is POST /users/{id}/presence/setPresence.
func setPresence(c *call, p *person, body presenceRequest, life time.Duration) (bool, *graphError) {
	id, failure := body.session(c)
	if failure != nil {
		return false, failure
	}
	pair, ok, failure := body.pair(c, sessionPairs)
	if !ok {
		return false, failure
	}
	set(&life, shortestSession)
	t, now := c.tenant, c.server.now()
	if f, fades := t.strike(FaultFade, func(f Fault) bool { return f.User == "" || f.User == p.id }); fades {
		life = min(life, f.Delay)
	}
	before, had := p.why().apps[id]
	p.why().apps[id] = session{pair.availability, pair.activity, now, now.Add(c.server.config.scaled(life))}
	t.reckon(p)
	return !had || before.availability != pair.availability || before.activity != pair.activity, nil
}

// clearPresence is POST /users/{id}/presence/clearPresence.
func clearPresence(c *call, p *person, body presenceRequest, _ time.Duration) (bool, *graphError) {
	id, failure := body.session(c)
	if failure != nil {
		return false, failure
	}
	c.tenant.reckon(p) // what has expired is not there
	if p.showing == nil {
		return false, noSession(id)
	}
	if _, had := p.showing.apps[id]; !had {
		return false, noSession(id)
	}
	delete(p.showing.apps, id)
	c.tenant.reckon(p)
	return true, nil
}

func noSession(id string) *graphError {
	return graphErr(http.StatusNotFound, "NotFound", "The presence session '%s' does not exist.", id)
}

// setPreferredPresence is POST /users/{id}/presence/setUserPreferredPresence.
func setPreferredPresence(c *call, p *person, body presenceRequest, life time.Duration) (bool, *graphError) {
	pair, ok, failure := body.pair(c, preferredPairs)
	if !ok {
		return false, failure
	}
	return c.tenant.prefer(p, pair, life), nil
}

// clearPreferredPresence is POST /users/{id}/presence/clearUserPreferredPresence.
func clearPreferredPresence(c *call, p *person, _ presenceRequest, _ time.Duration) (bool, *graphError) {
	c.tenant.reckon(p) // what has expired is not there
	had := p.why().preferred != nil
	p.showing.preferred = nil
	c.tenant.reckon(p)
	return had, nil
}

// PresenceWrite is one call that wrote a presence, or tried to.
type PresenceWrite struct {
	At           time.Time `json:"at"`
	User         string    `json:"user"` // id
	App          string    `json:"app"`  // client id
	Call         string    `json:"call"` // "setPresence", "clearPresence", "setUserPreferredPresence", "clearUserPreferredPresence"
	Availability string    `json:"availability,omitempty"`
	Activity     string    `json:"activity,omitempty"`
	Seconds      float64   `json:"seconds,omitempty"` // life asked for; 0 is none
	Status       int       `json:"status"`            // of the answer
	Changed      bool      `json:"changed"`           // something else than a life is different since
}

// PresenceTally counts the writes of one user.
type PresenceTally struct {
	Changed int `json:"changed"` // accepted, and something was different afterwards
	Renewed int `json:"renewed"` // accepted, and only a life was different, if anything
	Refused int `json:"refused"`
}

// PresenceWrites is every write of presence by Graph: a tally for each user who had
// one, by id, and the newest 10,000 of all in order.
type PresenceWrites struct {
	Users map[string]PresenceTally `json:"users"`
	Last  []PresenceWrite          `json:"last"`
}

const keptWrites = 10_000

func (w *PresenceWrites) note(entry PresenceWrite) {
	tally := w.Users[entry.User]
	switch {
	case entry.Status >= 400:
		tally.Refused++
	case entry.Changed:
		tally.Changed++
	default:
		tally.Renewed++
	}
	w.Users[entry.User] = tally
	if len(w.Last) >= 2*keptWrites {
		w.Last = slices.Delete(w.Last, 0, keptWrites)
	}
	w.Last = append(w.Last, entry)
}

// PresenceWrites returns what Graph was asked to write so far.
func (t *Tenant) PresenceWrites() PresenceWrites {
	t.mu.RLock()
	defer t.mu.RUnlock()
	copied := PresenceWrites{Users: make(map[string]PresenceTally, len(t.writes.Users)), Last: []PresenceWrite{}}
	for id, tally := range t.writes.Users {
		copied.Users[id] = tally
	}
	copied.Last = append(copied.Last, t.writes.Last[max(0, len(t.writes.Last)-keptWrites):]...)
	return copied
}

// controlPrefer is PUT users/{user}/preferred.
func controlPrefer(t *Tenant, r *http.Request) (any, error) {
	body, err := read[struct {
		Availability string   `json:"availability"`
		Activity     string   `json:"activity"`
		For          duration `json:"for"`
	}](r, `{"availability":"DoNotDisturb","for":"1h"}`)
	if err != nil {
		return nil, err
	}
	if body.Availability == "" {
		return nil, fmt.Errorf("presence of %q: an availability is needed, such as DoNotDisturb", r.PathValue("user"))
	}
	if err := t.PreferPresence(r.PathValue("user"), body.Availability, body.Activity, time.Duration(body.For)); err != nil {
		return nil, err
	}
	return t.Presence(r.PathValue("user"))
}

// controlUnprefer is DELETE users/{user}/preferred.
func controlUnprefer(t *Tenant, r *http.Request) (any, error) {
	return nil, t.PreferPresence(r.PathValue("user"), "", "", 0)
}
