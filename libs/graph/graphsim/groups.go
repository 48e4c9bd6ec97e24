package graphsim

import (
	"net/http"
	"strconv"
	"strings"
)

// getGroup is GET /groups/{id}.
func getGroup(c *call) (answer, *graphError) {
	names := strings.Split(c.URL.Query().Get("$select"), ",")
	if names[0] == "" {
		names = []string{"id", "displayName", "description", "securityEnabled", "mailEnabled", "groupTypes"}
	}
	c.tenant.mu.RLock()
	defer c.tenant.mu.RUnlock()
	g, failure := c.group()
	if failure != nil {
		return answer{}, failure
	}
	known := map[string]any{"id": g.id, "displayName": g.name, "description": nil, "securityEnabled": true, "mailEnabled": false, "groupTypes": []string{}}
	body := map[string]any{"@odata.context": c.origin() + "/$metadata#groups/$entity"}
	for _, name := range names {
		value, ok := known[strings.TrimSpace(name)]
		if !ok {
			return answer{}, badRequest("Could not find a property named '%s' on type 'microsoft.graph.group'.", name)
		}
		body[strings.TrimSpace(name)] = value
	}
	return answer{body: body}, nil
}

// group is the group that the path names, by its id alone. Tenant.mu is held.
func (c *call) group() (*group, *graphError) {
	ref := c.PathValue("group")
	if !guidPattern.MatchString(ref) {
		return nil, graphErr(http.StatusBadRequest, "Request_BadRequest", "Invalid object identifier '%s'.", ref)
	}
	g := c.tenant.groups[strings.ToLower(ref)]
	if g == nil {
		return nil, notFound(ref)
	}
	return g, nil
}

// listMembers is GET /groups/{id}/transitiveMembers/microsoft.graph.user: an advanced
// query, so $count and the header ConsistencyLevel are due on every page.
// https://learn.microsoft.com/graph/api/group-list-transitivemembers
func listMembers(c *call) (answer, *graphError) {
	query := c.URL.Query()
	if failure := refuse(query, "$filter", "$search", "$orderby", "$expand", "$skip"); failure != nil {
		return answer{}, failure
	}
	if query.Get("$count") != "true" || !strings.EqualFold(c.Header.Get("ConsistencyLevel"), "eventual") {
		return answer{}, graphErr(http.StatusBadRequest, "Request_UnsupportedQuery",
			"The specified OData cast requires the query option '$count' and the header 'ConsistencyLevel' with the value 'eventual'.")
	}
	names, failure := selected(query)
	if failure != nil {
		return answer{}, failure
	}
	t := c.tenant
	t.mu.RLock()
	defer t.mu.RUnlock()
	g, failure := c.group()
	if failure != nil {
		return answer{}, failure
	}
	size := t.switches.PageSize
	if top := query.Get("$top"); top != "" {
		n, err := strconv.Atoi(top)
		if err != nil || n < 1 || n > 999 {
			return answer{}, badRequest("Invalid page size specified: '%s'. Must be between 1 and 999 inclusive.", top)
		}
		size = n
	}
	after := query.Get("$skiptoken") // the id of the page before's last
	users := t.usersIn(g)
	count := len(users)
	result := page{Context: c.origin() + "/$metadata#users", Count: &count, Value: []map[string]any{}}
	for _, p := range users {
		if p.id <= after {
			continue
		}
		if len(result.Value) == size {
			query.Set("$skiptoken", after)
			result.NextLink = c.origin() + strings.TrimPrefix(c.URL.Path, "/v1.0") + "?" + query.Encode()
			break
		}
		u := t.render(p)
		result.Value = append(result.Value, u.pick(names))
		if len(result.Value) == size {
			after = p.id
		}
	}
	return answer{body: result}, nil
}
