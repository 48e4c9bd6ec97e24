package msgraph

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"

	kiota "github.com/microsoft/kiota-abstractions-go"
	"github.com/microsoftgraph/msgraph-sdk-go/models/odataerrors"

	"offhook.dev/libs/core/fault"
	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/graph"
)

// membersPath names the users alone among all members: an OData cast, which Graph
// takes for an advanced query. Such a one needs the header consistent and $count.
// https://learn.microsoft.com/graph/aad-advanced-queries
const membersPath = "/transitiveMembers/microsoft.graph.user"

// maxMemberPages bounds the pages of one group, some of them not full.
const maxMemberPages = 2 * graph.MaxGroupMembers / graph.GroupPage

// GroupMembers implements graph.GroupReader. It writes its requests itself: the SDK's
// package of groups would add much to every build, for two of them.
func (c *Client) GroupMembers(ctx context.Context, id identity.Group) (graph.Group, error) {
	const op = "microsoft graph: read a group"
	if _, err := identity.ParseGroup(string(id)); err != nil {
		return graph.Group{}, fault.New(fault.Invalid, op, err)
	}
	at := c.cloud.Graph + "/v1.0/groups/" + string(id)
	var named struct {
		Name string `json:"displayName"`
	}
	if err := c.read(ctx, op, at+"?$select=id,displayName", &named); err != nil {
		return graph.Group{}, err
	}
	group := graph.Group{ID: id, Name: named.Name}
	next := fmt.Sprintf("%s%s?$count=true&$select=id&$top=%d", at, membersPath, graph.GroupPage)
	for pages := 1; next != ""; pages++ {
		var page struct {
			Value []struct {
				ID string `json:"id"`
			} `json:"value"`
			Next string `json:"@odata.nextLink"`
		}
		if err := c.read(ctx, op, next, &page); err != nil {
			return graph.Group{}, err
		}
		if page.Value == nil {
			return graph.Group{}, fault.New(fault.Unknown, op, errors.New("a page of the group's members has no list"))
		}
		for i, member := range page.Value {
			user, err := identity.ParseUser(member.ID)
			if err != nil {
				return graph.Group{}, fault.New(fault.Unknown, op, fmt.Errorf("member %d: %w", i, err))
			}
			group.Members = append(group.Members, user)
		}
		if len(group.Members) > graph.MaxGroupMembers {
			return graph.Group{}, fault.Errorf(fault.Unsupported, op, "the group has more than %d users", graph.MaxGroupMembers)
		}
		if pages == maxMemberPages {
			return graph.Group{}, fault.Errorf(fault.Unknown, op, "the group's members do not end after %d pages", pages)
		}
		next = page.Next
	}
	slices.Sort(group.Members)
	group.Members = slices.Compact(group.Members)
	return group, nil
}

// maxNamePages bounds the pages of groups of one name, of which some may be empty.
const maxNamePages = 10

// GroupsCalled implements graph.GroupReader. Two properties in one filter are asked for as
// an advanced query, so that it does not matter which of them Graph has indexed how.
// https://learn.microsoft.com/graph/api/group-list
func (c *Client) GroupsCalled(ctx context.Context, name string) ([]graph.Group, error) {
	const op = "microsoft graph: find a group"
	quoted := "'" + strings.ReplaceAll(name, "'", "''") + "'"
	filter := "displayName eq " + quoted + " or mail eq " + quoted
	if id, err := identity.ParseGroup(name); err == nil {
		filter = "id eq '" + string(id) + "'"
	}
	next := c.cloud.Graph + "/v1.0/groups?$count=true&$select=id,displayName,mail&$filter=" + strings.ReplaceAll(url.QueryEscape(filter), "+", "%20")
	var found []graph.Group
	for pages := 1; next != "" && len(found) < 2; pages++ {
		var page struct {
			Value []struct {
				ID   string `json:"id"`
				Name string `json:"displayName"`
				Mail string `json:"mail"`
			} `json:"value"`
			Next string `json:"@odata.nextLink"`
		}
		if err := c.read(ctx, op, next, &page); err != nil {
			return nil, err
		}
		if page.Value == nil || pages == maxNamePages {
			return nil, fault.New(fault.Unknown, op, errors.New("the answer is no list, or one without an end"))
		}
		for i, each := range page.Value {
			id, err := identity.ParseGroup(each.ID)
			if err != nil {
				return nil, fault.New(fault.Unknown, op, fmt.Errorf("group %d: %w", i, err))
			}
			found = append(found, graph.Group{ID: id, Name: each.Name, Mail: each.Mail})
		}
		next = page.Next
	}
	return found, nil
}

// read gets a URL of the directory, such as a nextLink, and decodes the answer. The
// sender refuses one that leads elsewhere than to the tenant's Graph host. A page must
// be asked for with the same header as the first one.
// https://learn.microsoft.com/graph/paging
func (c *Client) read(ctx context.Context, op, link string, into any) error {
	u, err := url.Parse(link)
	if err != nil {
		return fault.New(fault.Invalid, op, errors.New("link is not a URL"))
	}
	request := kiota.NewRequestInformation()
	request.Method = kiota.GET
	request.SetUri(*u)
	request.Headers.TryAdd("Accept", "application/json")
	request.Headers.TryAdd("ConsistencyLevel", "eventual")
	answer, err := c.adapter.SendPrimitive(ctx, request, "[]byte", kiota.ErrorMappings{"XXX": odataerrors.CreateODataErrorFromDiscriminatorValue})
	if err != nil {
		return classify(op, err)
	}
	text, _ := answer.([]byte) // nil where there was no body
	if err := json.Unmarshal(text, into); err != nil {
		return fault.New(fault.Unknown, op, errors.New("the answer cannot be read"))
	}
	return nil
}
