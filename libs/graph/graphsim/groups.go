package graphsim

import (
	"maps"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// getGroup is GET /groups/{id}.
func getGroup(c *call) (answer, *graphError) {
	c.tenant.mu.RLock()
	defer c.tenant.mu.RUnlock()
	g, failure := c.group()
	if failure != nil {
		return answer{}, failure
	}
	body, failure := g.pick(c.URL.Query())
	if failure != nil {
		return answer{}, failure
	}
	body["@odata.context"] = c.origin() + "/$metadata#groups/$entity"
	return answer{body: body}, nil
}

// pick renders what $select asks for, or the defaults. Tenant.mu is held.
func (g *group) pick(query url.Values) (map[string]any, *graphError) {
	known := map[string]any{"id": g.id, "displayName": g.name, "mail": nil, "description": nil, "securityEnabled": true, "mailEnabled": g.mail != "", "groupTypes": []string{}}
	if g.mail != "" {
		known["mail"] = g.mail
	}
	names := query.Get("$select")
	if names == "" {
		return known, nil
	}
	picked := map[string]any{}
	for name := range strings.SplitSeq(names, ",") {
		name = strings.TrimSpace(name)
		value, ok := known[name]
		if !ok {
			return nil, badRequest("Could not find a property named '%s' on type 'microsoft.graph.group'.", name)
		}
		picked[name] = value
	}
	return picked, nil
}

// groupTerm reads the one kind of filter that the simulator knows for groups: properties that
// are equal to texts, one or the other.
var groupTerm = regexp.MustCompile(`^(id|displayName|mail) eq '((?:[^']|'')*)'(?: or (.+))?$`)

// groupFilter returns what $filter asks for.
func groupFilter(text string) (matches func(*group) bool, failure *graphError) {
	var terms []func(*group) bool
	for rest := text; rest != ""; {
		m := groupTerm.FindStringSubmatch(rest)
		if m == nil {
			return nil, graphErr(http.StatusBadRequest, "Request_UnsupportedQuery", "Unsupported or invalid query filter clause specified: '%s'.", text)
		}
		want := strings.ReplaceAll(m[2], "''", "'")
		terms = append(terms, func(g *group) bool {
			return strings.EqualFold(map[string]string{"id": g.id, "displayName": g.name, "mail": g.mail}[m[1]], want)
		})
		rest = m[3]
	}
	return func(g *group) bool {
		return len(terms) == 0 || slices.ContainsFunc(terms, func(is func(*group) bool) bool { return is(g) })
	}, nil
}

// listGroups is GET /groups: $filter by name, $select, and $count as an advanced query.
// https://learn.microsoft.com/graph/api/group-list
func listGroups(c *call) (answer, *graphError) {
	query := c.URL.Query()
	if failure := refuse(query, "$search", "$orderby", "$expand", "$skip"); failure != nil {
		return answer{}, failure
	}
	matches, failure := groupFilter(query.Get("$filter"))
	if failure != nil {
		return answer{}, failure
	}
	t := c.tenant
	t.mu.RLock()
	defer t.mu.RUnlock()
	after := query.Get("$skiptoken") // the id of the page before's last
	result := page{Context: c.origin() + "/$metadata#groups", Value: []map[string]any{}}
	for _, id := range slices.Sorted(maps.Keys(t.groups)) {
		g := t.groups[id]
		if id <= after || !matches(g) {
			continue
		}
		if len(result.Value) == t.switches.PageSize {
			query.Set("$skiptoken", after)
			result.NextLink = c.origin() + "/groups?" + query.Encode()
			break
		}
		body, failure := g.pick(query)
		if failure != nil {
			return answer{}, failure
		}
		result.Value, after = append(result.Value, body), id
	}
	return answer{body: result}, nil
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
