package msgraph

import (
	"context"
	"errors"
	"fmt"

	"github.com/microsoftgraph/msgraph-sdk-go/communications"
	"github.com/microsoftgraph/msgraph-sdk-go/models"

	"offhook.dev/libs/core/fault"
	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/graph"
)

// Presences implements graph.PresenceReader.
func (c *Client) Presences(ctx context.Context, users []identity.User) ([]graph.Presence, []identity.User, error) {
	const op = "microsoft graph: read presences"
	if reason := c.cloud.Lacks(graph.FeaturePresence); reason != "" {
		return nil, nil, fault.New(fault.Unsupported, op, errors.New(reason))
	}
	if len(users) == 0 || len(users) > graph.MaxPresences {
		return nil, nil, fault.Errorf(fault.Invalid, op, "a request names 1 to %d users, not %d", graph.MaxPresences, len(users))
	}
	asked := make(map[identity.User]bool, len(users))
	ids := make([]string, len(users))
	for i, user := range users {
		if asked[user] {
			return nil, nil, fault.Errorf(fault.Invalid, op, "user %s is named twice", user)
		}
		asked[user], ids[i] = true, string(user)
	}
	body := communications.NewGetPresencesByUserIdPostRequestBody()
	body.SetIds(ids)
	answer, err := communications.NewCommunicationsRequestBuilderInternal(nil, c.adapter).
		GetPresencesByUserId().PostAsGetPresencesByUserIdPostResponse(ctx, body, nil)
	if err != nil {
		return nil, nil, classify(op, err)
	}
	if answer == nil {
		return nil, nil, fault.New(fault.Unknown, op, errors.New("graph answered nothing"))
	}
	found, err := presences(answer.GetValue(), asked)
	if err != nil {
		return nil, nil, fault.New(fault.Unknown, op, err)
	}
	var missing []identity.User
	for _, user := range users {
		if asked[user] {
			missing = append(missing, user)
		}
	}
	return found, missing, nil
}

// presences translates what was asked for and strikes it off. What was not asked
// for, and what comes twice, is left out.
func presences(values []models.Presenceable, asked map[identity.User]bool) ([]graph.Presence, error) {
	found := make([]graph.Presence, 0, len(values))
	for i, value := range values {
		if value == nil {
			return nil, fmt.Errorf("presence %d is null", i)
		}
		user, err := identity.ParseUser(text(value.GetId()))
		if err != nil {
			return nil, fmt.Errorf("presence %d: %w", i, err)
		}
		if !asked[user] || value.GetAvailability() == nil {
			continue
		}
		asked[user] = false
		presence := graph.Presence{
			User: user, Availability: text(value.GetAvailability()), Activity: text(value.GetActivity()),
			Sequence: text(value.GetSequenceNumber()),
		}
		if away := value.GetOutOfOfficeSettings(); away != nil {
			presence.OutOfOffice = truth(away.GetIsOutOfOffice())
		}
		found = append(found, presence)
	}
	return found, nil
}
