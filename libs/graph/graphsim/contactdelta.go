package graphsim

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/url"
	"sort"
)

// contactToken is the state of a round of contacts/delta, carried by its links. A first
// round goes over the contacts in the folder by number, a later one over those that
// changed since From.
type contactToken struct {
	Tenant, User, Folder string
	Generation           int
	Select               string `json:",omitempty"`
	First                bool   `json:",omitempty"`
	From, To             uint64 // the round covers changes after From up to To
	Offset               int    // how many were reported; in a first round the number of the last one
	Empty                bool   `json:",omitempty"` // the next page is the empty one
}

func (d contactToken) text() string {
	data, err := json.Marshal(d)
	if err != nil {
		panic("graphsim: contact token: " + err.Error()) // plain fields cannot fail
	}
	return base64.RawURLEncoding.EncodeToString(data)
}

// contactsDelta is GET /users/{id}/contactFolders/{id}/contacts/delta, and
// /users/{id}/contacts/delta for the default folder. $select is honoured, the size of
// pages is a preference.
func contactsDelta(c *call) (answer, *graphError) {
	query := c.URL.Query()
	if failure := refuse(query, "$filter", "$search", "$expand", "$orderby", "$top"); failure != nil {
		return answer{}, failure
	}
	prefer, failure := c.prefers()
	if failure != nil {
		return answer{}, failure
	}
	t := c.tenant
	t.mu.Lock()
	defer t.mu.Unlock()
	p, folder, failure := c.openContacts(prefer)
	if failure != nil {
		return answer{}, failure
	}
	round := contactToken{Tenant: t.id, User: p.id, Folder: folder.id, Generation: t.deltas, Select: query.Get("$select"), First: true, To: t.stamp, Empty: t.switches.EmptyPages}
	if token := query.Get("$deltatoken") + query.Get("$skiptoken"); token != "" {
		if round, failure = c.resumeContacts(p, folder, token, query.Has("$deltatoken")); failure != nil {
			return answer{}, failure
		}
	}
	names, failure := contactFields(url.Values{"$select": {round.Select}})
	if failure != nil {
		return answer{}, failure
	}
	return answer{body: c.contactPage(p, folder, round, names, prefer), header: prefer.applied()}, nil
}

// resumeContacts decodes a token. A deltaLink starts a new round where its own ended,
// or, where changes may come again, where it began. t.mu is held.
func (c *call) resumeContacts(p *person, folder *contactFolder, token string, begins bool) (contactToken, *graphError) {
	t := c.tenant
	var round contactToken
	data, err := base64.RawURLEncoding.DecodeString(token)
	if err == nil {
		err = json.Unmarshal(data, &round)
	}
	if err != nil || round.Tenant != t.id || round.User != p.id || round.Folder != folder.id || round.Offset < 0 || round.From > round.To || round.To > t.stamp {
		return round, badRequest("Badly formed token.")
	}
	if round.Generation != t.deltas {
		e := graphErr(t.switches.GoneStatus, "SyncStateNotFound", "The sync state generation is not found; generation=%d;[highest=%d].", round.Generation, t.deltas)
		if t.switches.GoneLocation {
			e.header = http.Header{"Location": {"https://" + c.Host + c.URL.EscapedPath() + "?$deltatoken="}}
		}
		return round, e
	}
	if begins {
		if !t.switches.Replays {
			round.From = round.To
		}
		round.First, round.To, round.Offset, round.Empty = false, t.stamp, 0, t.switches.EmptyPages
	}
	return round, nil
}

// contactPage renders the page at round.Offset with the link to what follows. t.mu is
// held.
func (c *call) contactPage(p *person, folder *contactFolder, round contactToken, names []string, prefer preferences) page {
	t := c.tenant
	result := page{Context: c.origin() + "/$metadata#Collection(contact)", Value: []map[string]any{}}
	link := "https://" + c.Host + c.URL.EscapedPath() + "?"
	if round.Empty {
		round.Empty = false
		result.NextLink = link + "$skiptoken=" + round.text()
		return result
	}
	size := prefer.pageSize
	set(&size, t.switches.PageSize)
	numbers, there := p.mailbox.contacts.round(folder, round)
	end := min(size, len(numbers))
	for _, number := range numbers[:end] {
		s := there[number]
		if s == nil {
			result.Value = append(result.Value, map[string]any{"@odata.type": "#microsoft.graph.contact", "id": contactKey(p, number, folder, prefer.immutable),
				"@removed": map[string]any{"reason": "deleted"}})
			continue
		}
		result.Value = append(result.Value, s.pick(t.contactBody(p, s, prefer.immutable), names))
	}
	round.Empty = t.switches.EmptyPages
	if round.First && end > 0 {
		round.Offset = numbers[end-1]
	} else {
		round.Offset += end
	}
	if end < len(numbers) {
		result.NextLink = link + "$skiptoken=" + round.text()
	} else {
		result.DeltaLink = link + "$deltatoken=" + round.text()
	}
	return result
}

// round lists the numbers that are left to report in a round, and those that are in the
// folder now. What leaves or enters while a first round is read, the next one tells.
func (a *contacts) round(folder *contactFolder, d contactToken) (numbers []int, there map[int]*storedContact) {
	there = make(map[int]*storedContact)
	for _, s := range a.all {
		if s.folder == folder {
			there[s.number] = s
			if d.First && s.number > d.Offset {
				numbers = append(numbers, s.number)
			}
		}
	}
	if d.First {
		return numbers, there
	}
	after := func(sequence uint64) int {
		return sort.Search(len(folder.log), func(i int) bool { return folder.log[i].sequence > sequence })
	}
	seen := make(map[int]bool)
	for _, change := range folder.log[after(d.From):after(d.To)] {
		if !seen[change.number] {
			seen[change.number] = true
			numbers = append(numbers, change.number)
		}
	}
	return numbers[min(d.Offset, len(numbers)):], there
}
