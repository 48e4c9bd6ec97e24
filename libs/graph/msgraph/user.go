package msgraph

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/microsoftgraph/msgraph-sdk-go/models"
	"github.com/microsoftgraph/msgraph-sdk-go/users"

	"offhook.dev/libs/core/fault"
	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/graph"
)

// selected are the properties of graph.User. A delta tracks these alone.
func selected() []string {
	return []string{"id", "userPrincipalName", "displayName", "givenName", "surname", "mail",
		"businessPhones", "mobilePhone", "department", "preferredLanguage", "accountEnabled", "userType"}
}

// Users implements graph.UserReader.
func (c *Client) Users(ctx context.Context, at graph.Cursor) (graph.UserPage, error) {
	const op = "microsoft graph: read user changes"
	delta := users.NewUsersRequestBuilderInternal(nil, c.adapter).Delta()
	config := &users.DeltaRequestBuilderGetRequestConfiguration{
		QueryParameters: &users.DeltaRequestBuilderGetQueryParameters{Select: selected()},
	}
	if at != "" {
		// A link is replayed as it came: it holds the options of the first request.
		// The sender refuses one that leads elsewhere.
		delta, config = delta.WithUrl(string(at)), nil
	}
	answer, err := delta.GetAsDeltaGetResponse(ctx, config)
	if err = classify(op, err); err != nil {
		if fault.KindOf(err) == fault.Gone {
			return graph.UserPage{Reset: true}, nil
		}
		return graph.UserPage{}, err
	}
	if answer == nil {
		return graph.UserPage{}, fault.New(fault.Unknown, op, errors.New("graph answered nothing"))
	}
	page := graph.UserPage{Next: graph.Cursor(text(answer.GetOdataNextLink())), Delta: graph.Cursor(text(answer.GetOdataDeltaLink()))}
	if (page.Next == "") == (page.Delta == "") {
		return graph.UserPage{}, fault.New(fault.Unknown, op, errors.New("a page has either a next link or a delta link"))
	}
	for i, value := range answer.GetValue() {
		if err := addUser(&page, value); err != nil {
			return graph.UserPage{}, fault.New(fault.Unknown, op, fmt.Errorf("user %d: %w", i, err))
		}
	}
	return page, nil
}

// User implements graph.UserReader.
func (c *Client) User(ctx context.Context, id identity.User) (graph.User, error) {
	const op = "microsoft graph: read a user"
	answer, err := users.NewUsersRequestBuilderInternal(nil, c.adapter).ByUserId(string(id)).
		Get(ctx, &users.UserItemRequestBuilderGetRequestConfiguration{
			QueryParameters: &users.UserItemRequestBuilderGetQueryParameters{Select: selected()},
		})
	if err != nil {
		return graph.User{}, classify(op, err)
	}
	user, err := userOf(answer)
	if err != nil {
		return graph.User{}, fault.New(fault.Unknown, op, err)
	}
	return user, nil
}

// addUser adds one change to a page.
func addUser(page *graph.UserPage, value models.Userable) error {
	user, err := userOf(value)
	if err != nil {
		return err
	}
	removed, gone := value.GetAdditionalData()["@removed"]
	if !gone {
		page.Users = append(page.Users, user)
		return nil
	}
	page.Removed = append(page.Removed, graph.Removed{ID: user.ID, Restorable: strings.EqualFold(removedReason(removed), "changed")})
	return nil
}

// removedReason reads {"reason": "..."}, which the SDK knows only as extra data.
func removedReason(removed any) string {
	members, _ := removed.(map[string]any)
	switch reason := members["reason"].(type) {
	case *string:
		return text(reason)
	case string:
		return reason
	}
	return ""
}

// userOf translates an account. Graph leaves out what it does not have, so every
// property but the id may be nil.
func userOf(value models.Userable) (graph.User, error) {
	if value == nil {
		return graph.User{}, errors.New("account is null")
	}
	id, err := identity.ParseUser(text(value.GetId()))
	if err != nil {
		return graph.User{}, err
	}
	return graph.User{
		ID: id, UPN: text(value.GetUserPrincipalName()), Name: text(value.GetDisplayName()),
		GivenName: text(value.GetGivenName()), Surname: text(value.GetSurname()), Mail: text(value.GetMail()),
		Phones: value.GetBusinessPhones(), Mobile: text(value.GetMobilePhone()), Department: text(value.GetDepartment()),
		Language: text(value.GetPreferredLanguage()), Enabled: truth(value.GetAccountEnabled()), Guest: strings.EqualFold(text(value.GetUserType()), "Guest"),
	}, nil
}
