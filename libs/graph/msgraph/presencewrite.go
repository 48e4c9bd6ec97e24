package msgraph

import (
	"context"
	"errors"
	"time"

	"github.com/microsoft/kiota-abstractions-go/serialization"
	"github.com/microsoftgraph/msgraph-sdk-go/users"

	"offhook.dev/libs/core/fault"
	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/graph"
)

// SetPresence implements graph.PresenceWriter.
func (c *Client) SetPresence(ctx context.Context, user identity.User, session string, show graph.SessionPresence, life time.Duration) error {
	const op = "microsoft graph: set a presence"
	availability, activity, ok := show.Pair()
	life = life.Truncate(time.Second)
	switch {
	case !ok:
		return fault.Errorf(fault.Invalid, op, "a session cannot show %q", show)
	case !guid.MatchString(session):
		return fault.New(fault.Invalid, op, errors.New("the session is not an application id (a GUID)"))
	case life < graph.MinSessionLife || life > graph.MaxSessionLife:
		return fault.Errorf(fault.Invalid, op, "a session lives for %v to %v, not for %v", graph.MinSessionLife, graph.MaxSessionLife, life)
	}
	at, err := c.presenceOf(op, user)
	if err != nil {
		return err
	}
	body := users.NewItemPresenceSetPresencePostRequestBody()
	body.SetSessionId(&session)
	body.SetAvailability(&availability)
	body.SetActivity(&activity)
	body.SetExpirationDuration(serialization.FromDuration(life))
	return classify(op, at.SetPresence().Post(ctx, body, nil))
}

// ClearPresence implements graph.PresenceWriter.
func (c *Client) ClearPresence(ctx context.Context, user identity.User, session string) error {
	const op = "microsoft graph: clear a presence"
	if !guid.MatchString(session) {
		return fault.New(fault.Invalid, op, errors.New("the session is not an application id (a GUID)"))
	}
	at, err := c.presenceOf(op, user)
	if err != nil {
		return err
	}
	body := users.NewItemPresenceClearPresencePostRequestBody()
	body.SetSessionId(&session)
	err = classify(op, at.ClearPresence().Post(ctx, body, nil))
	if err != nil && fault.KindOf(err) == fault.NotFound {
		return nil
	}
	return err
}

// SetPreferredPresence implements graph.PresenceWriter.
func (c *Client) SetPreferredPresence(ctx context.Context, user identity.User, show graph.PreferredPresence, life time.Duration) error {
	const op = "microsoft graph: set a preferred presence"
	availability, activity, ok := show.Pair()
	life = life.Truncate(time.Second)
	switch {
	case !ok:
		return fault.Errorf(fault.Invalid, op, "nobody can be pinned to %q", show)
	case life <= 0:
		// Graph would take its own default, of up to seven days.
		return fault.New(fault.Invalid, op, errors.New("a preferred presence needs a life of at least a second"))
	}
	at, err := c.presenceOf(op, user)
	if err != nil {
		return err
	}
	body := users.NewItemPresenceSetUserPreferredPresencePostRequestBody()
	body.SetAvailability(&availability)
	body.SetActivity(&activity)
	body.SetExpirationDuration(serialization.FromDuration(life))
	return classify(op, at.SetUserPreferredPresence().Post(ctx, body, nil))
}

// ClearPreferredPresence implements graph.PresenceWriter.
func (c *Client) ClearPreferredPresence(ctx context.Context, user identity.User) error {
	const op = "microsoft graph: clear a preferred presence"
	at, err := c.presenceOf(op, user)
	if err != nil {
		return err
	}
	return classify(op, at.ClearUserPreferredPresence().Post(ctx, nil))
}

// presenceOf is where a user's presence is written, if the cloud has any.
func (c *Client) presenceOf(op string, user identity.User) (*users.ItemPresenceRequestBuilder, error) {
	if reason := c.cloud.Lacks(graph.FeaturePresence); reason != "" {
		return nil, fault.New(fault.Unsupported, op, errors.New(reason))
	}
	if _, err := identity.ParseUser(string(user)); err != nil {
		return nil, fault.New(fault.Invalid, op, err)
	}
	return users.NewUsersRequestBuilderInternal(nil, c.adapter).ByUserId(string(user)).Presence(), nil
}
