package graphsim

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"sort"
	"time"
)

// deltaLife is how long a token of directory objects is good
// (learn.microsoft.com/graph/delta-query-overview).
const deltaLife = 7 * 24 * time.Hour

// deltaToken is the state of a round, carried by its links. A first round goes over
// all users in order of creation, a later one over those changed since From.
type deltaToken struct {
	Tenant     string
	Generation int
	Issued     int64 // Unix seconds
	Select     string
	First      bool
	From, To   uint64 // the round covers changes after From up to To
	Offset     int
	Empty      bool `json:",omitempty"` // the next page is the empty one
}

func (d deltaToken) text() string {
	data, err := json.Marshal(d)
	if err != nil {
		panic("graphsim: delta token: " + err.Error()) // plain fields cannot fail
	}
	return base64.RawURLEncoding.EncodeToString(data)
}

// ExpireDeltas makes every delta token given out so far answer 410 Gone.
func (t *Tenant) ExpireDeltas() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.deltas++
}

// userDelta is GET /users/delta.
func userDelta(c *call) (answer, *graphError) {
	query := c.URL.Query()
	if err := refuse(query, "$top", "$expand", "$orderby", "$filter", "$search"); err != nil {
		return answer{}, err
	}
	t := c.tenant
	t.mu.RLock()
	defer t.mu.RUnlock()
	round := deltaToken{Tenant: t.id, Generation: t.deltas, Issued: c.server.now().Unix(),
		Select: query.Get("$select"), First: true, To: t.changes, Empty: t.switches.EmptyPages}
	switch token := query.Get("$deltatoken") + query.Get("$skiptoken"); token {
	case "":
	case "latest":
		round.First, round.From = false, t.changes
	default:
		var failure *graphError
		if round, failure = c.resume(token, query.Has("$deltatoken")); failure != nil {
			return answer{}, failure
		}
	}
	query = map[string][]string{}
	if round.Select != "" {
		query.Set("$select", round.Select)
	}
	names, failure := selected(query)
	if failure != nil {
		return answer{}, failure
	}
	return answer{body: c.deltaPage(round, names)}, nil
}

// resume decodes a token. A deltaLink starts a new round where its own ended.
func (c *call) resume(token string, begins bool) (deltaToken, *graphError) {
	t := c.tenant
	var round deltaToken
	data, err := base64.RawURLEncoding.DecodeString(token)
	if err == nil {
		err = json.Unmarshal(data, &round)
	}
	if err != nil || round.Tenant != t.id || round.Offset < 0 || round.From > round.To || round.To > t.changes {
		return round, badRequest("Badly formed token.")
	}
	if age := c.server.now().Sub(time.Unix(round.Issued, 0)); round.Generation != t.deltas || age > deltaLife {
		e := graphErr(t.switches.GoneStatus, "syncStateNotFound", "The sync state generation is not found; generation=%d;[highest=%d].", round.Generation, t.deltas)
		if t.switches.GoneLocation {
			e.header = http.Header{"Location": {c.origin() + "/users/delta?$deltatoken="}}
		}
		return round, e
	}
	if begins {
		if !t.switches.Replays {
			round.From = round.To
		}
		round.First, round.To, round.Offset = false, t.changes, 0
		round.Issued, round.Empty = c.server.now().Unix(), t.switches.EmptyPages
	}
	return round, nil
}

// deltaPage renders the page at round.Offset with the link to what follows.
// t.mu is held.
func (c *call) deltaPage(round deltaToken, names []string) page {
	t := c.tenant
	result := page{Context: c.origin() + "/$metadata#users", Value: []map[string]any{}}
	people := t.round(round)
	if round.Empty {
		round.Empty = false
	} else {
		end := min(round.Offset+t.switches.PageSize, len(people))
		for _, p := range people[min(round.Offset, end):end] {
			result.Value = append(result.Value, t.deltaItem(p, names))
		}
		round.Offset, round.Empty = end, t.switches.EmptyPages
		if end == len(people) {
			result.DeltaLink = c.origin() + "/users/delta?$deltatoken=" + round.text()
			return result
		}
	}
	result.NextLink = c.origin() + "/users/delta?$skiptoken=" + round.text()
	return result
}

// round lists the users that a round reports. It gives the same list for every page
// of the round. t.mu is held.
func (t *Tenant) round(d deltaToken) []*person {
	if d.First {
		// Users that came after the round's start are in the log for the next one.
		return t.people
	}
	after := func(sequence uint64) int {
		return sort.Search(len(t.log), func(i int) bool { return t.log[i].sequence > sequence })
	}
	var people []*person
	seen := make(map[*person]bool)
	for _, change := range t.log[after(d.From):after(d.To)] {
		if !seen[change.person] {
			seen[change.person] = true
			people = append(people, change.person)
		}
	}
	return people
}

func (t *Tenant) deltaItem(p *person, names []string) map[string]any {
	if p.removed != "" {
		return map[string]any{"id": p.id, "@removed": map[string]any{"reason": p.removed}}
	}
	u := t.render(p)
	item := u.pick(names)
	item["id"] = p.id
	return item
}
