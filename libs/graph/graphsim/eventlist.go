package graphsim

import (
	"net/url"
	"strconv"
)

// listEvents is GET /users/{id}/events: single events, and series as their masters,
// in the order in which they were made. $select, $top and $skip.
func listEvents(c *call) (answer, *graphError) {
	query := c.URL.Query()
	if failure := refuse(query, "$filter", "$search", "$expand", "$orderby"); failure != nil {
		return answer{}, failure
	}
	prefer, failure := c.prefers()
	if failure != nil {
		return answer{}, failure
	}
	names, failure := eventFields(query)
	if failure != nil {
		return answer{}, failure
	}
	size, _, failure := paging(query, prefer)
	if failure != nil {
		return answer{}, failure
	}
	skip := 0
	if text := query.Get("$skip"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil || n < 0 {
			return answer{}, badRequest("Invalid value '%s' for $skip query option found.", text)
		}
		skip = n
	}
	full := c.has("Calendars.Read") || c.has("Calendars.ReadWrite")
	t := c.tenant
	t.mu.Lock()
	defer t.mu.Unlock()
	p, failure := c.openMailbox()
	if failure != nil {
		return answer{}, failure
	}
	all := p.mailbox.events
	result := page{Context: c.origin() + "/$metadata#users('" + p.id + "')/events", Value: []map[string]any{}}
	end := min(skip+size, len(all))
	for _, e := range all[min(skip, end):end] {
		result.Value = append(result.Value, c.pickEvent(e, t.master(p, e, prefer), names, full))
	}
	if end < len(all) {
		query.Set("$skip", strconv.Itoa(end))
		result.NextLink = c.origin() + "/users/" + url.PathEscape(c.PathValue("user")) + "/events?" + query.Encode()
	}
	return answer{body: result, header: prefer.applied()}, nil
}
