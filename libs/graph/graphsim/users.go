package graphsim

import (
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// page of a collection (OData JSON 4.01 section 4.5).
type page struct {
	Context   string           `json:"@odata.context,omitempty"`
	Count     *int             `json:"@odata.count,omitempty"`
	NextLink  string           `json:"@odata.nextLink,omitempty"`
	DeltaLink string           `json:"@odata.deltaLink,omitempty"`
	Value     []map[string]any `json:"value"`
}

// selected returns the names in $select, or the defaults.
func selected(query url.Values) ([]string, *graphError) {
	text := query.Get("$select")
	if text == "" {
		return defaultProperties, nil
	}
	names := strings.Split(text, ",")
	for i, name := range names {
		names[i] = strings.TrimSpace(name)
		if _, ok := new(User).property(names[i]); !ok {
			return nil, badRequest("Could not find a property named '%s' on type 'microsoft.graph.user'.", names[i])
		}
	}
	return names, nil
}

func (u *User) pick(names []string) map[string]any {
	picked := make(map[string]any, len(names))
	for _, name := range names {
		picked[name], _ = u.property(name)
	}
	return picked
}

// refuse answers 400 for query options that the service does not support here.
func refuse(query url.Values, options ...string) *graphError {
	for _, option := range options {
		if query.Has(option) {
			return graphErr(http.StatusBadRequest, "Request_UnsupportedQuery", "The query option '%s' is not supported.", option)
		}
	}
	return nil
}

// listUsers is GET /users: $select, $top (1 to 999), $count with ConsistencyLevel.
func listUsers(c *call) (answer, *graphError) {
	query := c.URL.Query()
	if err := refuse(query, "$filter", "$search", "$orderby", "$expand", "$skip"); err != nil {
		return answer{}, err
	}
	names, failure := selected(query)
	if failure != nil {
		return answer{}, failure
	}
	t := c.tenant
	t.mu.RLock()
	defer t.mu.RUnlock()
	size, from := t.switches.PageSize, 0
	if top := query.Get("$top"); top != "" {
		n, err := strconv.Atoi(top)
		if err != nil || n < 1 || n > 999 {
			return answer{}, badRequest("Invalid page size specified: '%s'. Must be between 1 and 999 inclusive.", top)
		}
		size = n
	}
	if token := query.Get("$skiptoken"); token != "" {
		n, err := strconv.Atoi(token)
		if err != nil || n < 0 {
			return answer{}, graphErr(http.StatusBadRequest, "Directory_ExpiredPageToken", "The specified page token value has expired and can no longer be included in your request.")
		}
		from = n
	}
	result := page{Context: c.origin() + "/$metadata#users", Value: []map[string]any{}}
	if query.Get("$count") == "true" && strings.EqualFold(c.Header.Get("ConsistencyLevel"), "eventual") {
		count := len(t.byID)
		result.Count = &count
	}
	for i := from; i < len(t.people); i++ {
		if t.people[i].removed != "" {
			continue
		}
		if len(result.Value) == size {
			query.Set("$skiptoken", strconv.Itoa(i))
			result.NextLink = c.origin() + "/users?" + query.Encode()
			break
		}
		u := t.render(t.people[i])
		result.Value = append(result.Value, u.pick(names))
	}
	return answer{body: result}, nil
}

func notFound(ref string) *graphError {
	return graphErr(http.StatusNotFound, "Request_ResourceNotFound",
		"Resource '%s' does not exist or one of its queried reference-property objects are not present.", ref)
}

// getUser is GET /users/{id or UPN}.
func getUser(c *call) (answer, *graphError) { return c.showUser(c.PathValue("user")) }

// getMe is GET /me, for delegated tokens only.
func getMe(c *call) (answer, *graphError) { return c.showUser(c.user) }

func (c *call) showUser(ref string) (answer, *graphError) {
	names, failure := selected(c.URL.Query())
	if failure != nil {
		return answer{}, failure
	}
	c.tenant.mu.RLock()
	defer c.tenant.mu.RUnlock()
	p := c.tenant.exact(ref)
	if p == nil {
		return answer{}, notFound(ref)
	}
	u := c.tenant.render(p)
	body := u.pick(names)
	body["@odata.context"] = c.origin() + "/$metadata#users/$entity"
	return answer{body: body}, nil
}

// exact is lookup without the convenience of local parts. t.mu is held.
func (t *Tenant) exact(ref string) *person {
	if !strings.Contains(ref, "@") && !guidPattern.MatchString(ref) {
		return nil
	}
	return t.lookup(ref)
}

func getOrganization(c *call) (answer, *graphError) {
	if err := refuse(c.URL.Query(), "$filter", "$expand"); err != nil {
		return answer{}, err
	}
	organization := map[string]any{"id": c.tenant.id, "displayName": c.tenant.name, "tenantType": "AAD",
		"verifiedDomains": []map[string]any{{"name": c.tenant.domain, "type": "Managed", "isDefault": true, "isInitial": false,
			"capabilities": "Email, OfficeCommunicationsOnline"}}}
	if names := c.URL.Query().Get("$select"); names != "" {
		wanted := strings.Split(names, ",")
		for name := range organization {
			if !slices.Contains(wanted, name) {
				delete(organization, name)
			}
		}
	}
	return answer{body: page{Context: c.origin() + "/$metadata#organization", Value: []map[string]any{organization}}}, nil
}
