package msgraph

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"strings"

	"offhook.dev/libs/core/fault"
	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/graph"
)

// eachMailbox reads one small thing, at a path below the user, of many mailboxes. It
// answers once for each of the users: a second time that one is named is an error.
func eachMailbox[T any](ctx context.Context, c *Client, op string, users []identity.User, path string, answer func(identity.User, json.RawMessage, error) T) iter.Seq[T] {
	return func(yield func(T) bool) {
		seen := make(map[identity.User]bool, len(users))
		var items []*batchItem
		for i, user := range users {
			_, err := identity.ParseUser(string(user))
			if err == nil && seen[user] {
				err = fmt.Errorf("user %s is named twice", user)
			}
			seen[user] = true
			if err != nil {
				if !yield(answer(user, nil, fault.New(fault.Invalid, op, err))) {
					return
				}
				continue
			}
			items = append(items, &batchItem{index: i, user: user, url: "/users/" + string(user) + path})
		}
		c.batch(ctx, op, items, func(i int, body json.RawMessage, err error) (string, bool) {
			return "", yield(answer(users[i], body, err))
		})
	}
}

// MailboxPurposes implements graph.MailboxReader.
func (c *Client) MailboxPurposes(ctx context.Context, users []identity.User) iter.Seq[graph.PurposeAnswer] {
	const op = "microsoft graph: read what a mailbox is for"
	return eachMailbox(ctx, c, op, users, "/mailboxSettings/userPurpose", func(user identity.User, body json.RawMessage, err error) graph.PurposeAnswer {
		if err != nil {
			return graph.PurposeAnswer{User: user, Err: err}
		}
		var is struct {
			Value string `json:"value"`
		}
		if json.Unmarshal(body, &is) != nil || is.Value == "" {
			return graph.PurposeAnswer{User: user, Err: fault.New(fault.Unknown, op, errors.New("the answer cannot be read"))}
		}
		return graph.PurposeAnswer{User: user, Purpose: strings.ToLower(is.Value)}
	})
}
