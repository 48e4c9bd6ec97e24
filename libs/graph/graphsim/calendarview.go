package graphsim

import (
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

const (
	maxView         = 1825 * aDay // longest window of a calendar view
	defaultViewPage = 10          // events of a page where $top does not say
)

// window reads startDateTime and endDateTime. Without an offset they are UTC.
func window(query url.Values) (from, to time.Time, failure *graphError) {
	invalid := func(code, format string, args ...any) (time.Time, time.Time, *graphError) {
		return from, to, graphErr(http.StatusBadRequest, code, format, args...)
	}
	start, end := folded(query, "startDateTime"), folded(query, "endDateTime")
	if start == "" || end == "" {
		return invalid("ErrorInvalidParameter", "This request requires a time window specified by the query string parameters StartDateTime and EndDateTime.")
	}
	var ok bool
	if from, ok = parseBound(start); !ok {
		return invalid("ErrorInvalidParameter", "The value '%s' of parameter 'StartDateTime' is invalid.", start)
	}
	if to, ok = parseBound(end); !ok {
		return invalid("ErrorInvalidParameter", "The value '%s' of parameter 'EndDateTime' is invalid.", end)
	}
	switch {
	case to.Before(from):
		return invalid("ErrorInvalidParameter", "The value of StartDateTime must be earlier than that of EndDateTime.")
	case to.Sub(from) > maxView:
		return invalid("ErrorInvalidRequest", "The requested date range exceeds the limit of 1825 days.")
	}
	return from, to, nil
}

// folded finds a query parameter in any case.
func folded(query url.Values, name string) string {
	for key, values := range query {
		if strings.EqualFold(key, name) && len(values) > 0 {
			return values[0]
		}
	}
	return ""
}

func parseBound(text string) (time.Time, bool) {
	for _, form := range []string{time.RFC3339Nano, "2006-01-02T15:04:05.999999999", "2006-01-02T15:04", dayForm} {
		if at, err := time.Parse(form, text); err == nil {
			return at, true
		}
	}
	return time.Time{}, false
}

// calendarView is GET /users/{id}/calendarView: $select, $top (1 to 1000) and
// $orderby=start/dateTime.
func calendarView(c *call) (answer, *graphError) {
	query := c.URL.Query()
	if failure := refuse(query, "$filter", "$search", "$expand", "$skip"); failure != nil {
		return answer{}, failure
	}
	from, to, failure := window(query)
	if failure != nil {
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
	size, skip, failure := paging(query, prefer)
	if failure != nil {
		return answer{}, failure
	}
	full := c.has("Calendars.Read") || c.has("Calendars.ReadWrite")
	c.tenant.mu.Lock()
	defer c.tenant.mu.Unlock()
	p, failure := c.openMailbox()
	if failure != nil {
		return answer{}, failure
	}
	all := p.mailbox.between(from, to)
	result := page{Context: c.origin() + "/$metadata#users('" + p.id + "')/calendarView", Value: []map[string]any{}}
	if query.Get("$count") == "true" {
		count := len(all)
		result.Count = &count
	}
	end := min(skip+size, len(all))
	for _, o := range all[min(skip, end):end] {
		result.Value = append(result.Value, c.pickEvent(o.event, c.tenant.eventBody(p, o, prefer), names, full))
	}
	if end < len(all) {
		query.Set("$skiptoken", strconv.Itoa(end))
		result.NextLink = c.origin() + "/users/" + url.PathEscape(c.PathValue("user")) + "/calendarView?" + query.Encode()
	}
	return answer{body: result, header: prefer.applied()}, nil
}

func paging(query url.Values, prefer preferences) (size, skip int, failure *graphError) {
	size = prefer.pageSize
	set(&size, defaultViewPage)
	if top := query.Get("$top"); top != "" {
		n, err := strconv.Atoi(top)
		if err != nil || n < 1 || n > 1000 {
			return 0, 0, badRequest("Invalid value '%s' for $top query option found. The $top query option requires an integer of 1 to 1000.", top)
		}
		size = n
	}
	if order := query.Get("$orderby"); order != "" && !strings.EqualFold(order, "start/dateTime") && !strings.EqualFold(order, "start/dateTime asc") {
		return 0, 0, badRequest("The query option '$orderby' is supported for start/dateTime only.")
	}
	if token := query.Get("$skiptoken"); token != "" {
		n, err := strconv.Atoi(token)
		if err != nil || n < 0 {
			return 0, 0, badRequest("Badly formed token.")
		}
		skip = n
	}
	return size, skip, nil
}

// getEvent is GET /users/{id}/events/{event}: a single event, a series or one of its
// occurrences.
func getEvent(c *call) (answer, *graphError) {
	prefer, failure := c.prefers()
	if failure != nil {
		return answer{}, failure
	}
	names, failure := eventFields(c.URL.Query())
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
	key, date, ok := parseEventID(c.PathValue("event"))
	e := p.mailbox.byKey[key]
	missing := graphErr(http.StatusNotFound, "ErrorItemNotFound", "The specified object was not found in the store.")
	if !ok || e == nil {
		return answer{}, missing
	}
	body := t.master(p, e, prefer)
	if date != "" {
		body = nil
		for _, o := range e.occurrences(time.Time{}, time.Date(9000, 1, 1, 0, 0, 0, 0, time.UTC), p.mailbox.home()) {
			if o.Date == date {
				body = t.eventBody(p, o, prefer)
			}
		}
		if body == nil {
			return answer{}, missing
		}
	}
	picked := c.pickEvent(e, body, names, full)
	picked["@odata.context"] = c.origin() + "/$metadata#users('" + p.id + "')/events/$entity"
	return answer{body: picked, header: prefer.applied()}, nil
}
