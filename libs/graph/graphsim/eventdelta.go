package graphsim

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/url"
	"time"
)

// viewToken is the state of a round of calendarView/delta, carried by its links. The
// window never changes.
type viewToken struct {
	Tenant, User string
	Generation   int
	Start, End   time.Time
	First        bool
	From, To     uint64 // the round covers changes after From up to To
	Offset       int
}

func (v viewToken) text() string {
	data, err := json.Marshal(v)
	if err != nil {
		panic("graphsim: view token: " + err.Error()) // plain fields cannot fail
	}
	return base64.RawURLEncoding.EncodeToString(data)
}

// calendarViewDelta is GET /users/{id}/calendarView/delta. $select is not honoured:
// every item comes whole.
func calendarViewDelta(c *call) (answer, *graphError) {
	query := c.URL.Query()
	if failure := refuse(query, "$filter", "$search", "$expand", "$orderby", "$top"); failure != nil {
		return answer{}, failure
	}
	prefer, failure := c.prefers()
	if failure != nil {
		return answer{}, failure
	}
	full := c.has("Calendars.Read") || c.has("Calendars.ReadWrite")
	t := c.tenant
	t.mu.Lock()
	defer t.mu.Unlock()
	p, failure := c.openMailbox()
	if failure != nil {
		return answer{}, failure
	}
	round := viewToken{Tenant: t.id, User: p.id, Generation: t.deltas, First: true, To: t.stamp}
	if token := query.Get("$deltatoken") + query.Get("$skiptoken"); token != "" {
		round, failure = c.resumeView(p, token, query.Has("$deltatoken"))
	} else {
		round.Start, round.End, failure = window(query)
	}
	if failure != nil {
		return answer{}, failure
	}
	items := t.viewRound(p, round, prefer)
	size := prefer.pageSize
	set(&size, defaultViewPage)
	result := page{Context: c.origin() + "/$metadata#Collection(event)", Value: []map[string]any{}}
	end := min(round.Offset+size, len(items))
	for _, each := range items[min(round.Offset, end):end] {
		if each.event != nil {
			each.body = c.pickEvent(each.event, each.body, nil, full)
		}
		result.Value = append(result.Value, each.body)
	}
	round.Offset = end
	base := c.origin() + "/users/" + url.PathEscape(c.PathValue("user")) + "/calendarView/delta?"
	if end < len(items) {
		result.NextLink = base + "$skiptoken=" + round.text()
	} else {
		result.DeltaLink = base + "$deltatoken=" + round.text()
	}
	return answer{body: result, header: prefer.applied()}, nil
}

// resumeView decodes a token. A deltaLink starts a new round where its own ended.
// t.mu is held.
func (c *call) resumeView(p *person, token string, begins bool) (viewToken, *graphError) {
	t := c.tenant
	var round viewToken
	data, err := base64.RawURLEncoding.DecodeString(token)
	if err == nil {
		err = json.Unmarshal(data, &round)
	}
	if err != nil || round.Tenant != t.id || round.User != p.id || round.Offset < 0 || round.From > round.To || round.To > t.stamp {
		return round, badRequest("Badly formed token.")
	}
	if round.Generation != t.deltas {
		e := graphErr(t.switches.GoneStatus, "SyncStateNotFound", "The sync state generation is not found; generation=%d;[highest=%d].", round.Generation, t.deltas)
		if t.switches.GoneLocation {
			e.header = http.Header{"Location": {c.origin() + "/users/" + p.id + "/calendarView/delta?$deltatoken="}}
		}
		return round, e
	}
	if begins {
		round.First, round.From, round.To, round.Offset = false, round.To, t.stamp, 0
	}
	return round, nil
}

// viewItem is an item of a round: an event, or the removal of one.
type viewItem struct {
	event *event // nil for a removal
	body  map[string]any
}

// viewRound lists what a round reports: in the first one everything in the window,
// then what has changed. What changed outside of the window is removed, even if it
// never was in it. t.mu is held.
func (t *Tenant) viewRound(p *person, round viewToken, prefer preferences) []viewItem {
	var items []viewItem
	add := func(e *event) bool {
		found := e.occurrences(round.Start, round.End, p.mailbox.home())
		for _, o := range found {
			items = append(items, viewItem{e, t.eventBody(p, o, prefer)})
		}
		return len(found) > 0
	}
	if round.First {
		for _, e := range p.mailbox.events {
			add(e)
		}
		return items
	}
	seen := make(map[string]bool)
	for _, change := range p.mailbox.log {
		if change.sequence <= round.From || change.sequence > round.To || seen[change.key] {
			continue
		}
		seen[change.key] = true
		if e := p.mailbox.byKey[change.key]; e == nil || !add(e) {
			items = append(items, viewItem{body: map[string]any{"@odata.type": "#microsoft.graph.event",
				"id": eventID(change.key, "", prefer.immutable), "@removed": map[string]any{"reason": "deleted"}}})
		}
	}
	return items
}
