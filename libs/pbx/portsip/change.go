package portsip

import (
	"context"
	"encoding/json"
	"maps"
	"strings"

	"offhook.dev/libs/core/fault"
)

// members are those of a user, unread. They hold a PIN, and may hold passwords: they
// are never printed.
type members map[string]json.RawMessage

// text is a member that is a text, "" without one.
func (m members) text(name string) string {
	var text string
	_ = json.Unmarshal(m[name], &text) // what is no text is as good as none
	return text
}

func (m members) flag(name string) bool {
	var flag bool
	_ = json.Unmarshal(m[name], &flag)
	return flag
}

// told are members that are told and cannot be changed, or not here: passwords have a
// way of their own.
var told = map[string]bool{
	"id": true, "name": true, "role": true, "role_id": true, "role_name": true, "extension_number": true, "created_at": true, "updated_at": true,
	"profile": true, "sync_type": true, "password": true, "extension_password": true, "phones": true, "tenant_id": true,
}

// writable are the members that a change sends back: all that have a value, also those
// that newer versions have and nobody here knows.
func (m members) writable() members {
	kept := make(members, len(m))
	for name, value := range m {
		if !told[name] && !strings.HasPrefix(name, "avatar_") && string(value) != "null" {
			kept[name] = value
		}
	}
	return kept
}

// change changes members of a user: read, modify, write. With Config.Partial what is to
// be changed is all that is sent, and nothing is read. modify is told what there is (nil
// if that was not read) and returns what is new.
func (d *Driver) change(ctx context.Context, op, id string, modify func(now members) (members, error)) error {
	if d.config.Partial {
		order, err := modify(nil)
		if err != nil || len(order) == 0 {
			return err
		}
		return d.wire.post(ctx, op, d.admin, userPath(id), order, nil)
	}
	now, err := d.members(ctx, op, id)
	if err != nil {
		return err
	}
	return d.changeFrom(ctx, op, id, now, modify)
}

// changeFrom is change for a user that has just been read.
func (d *Driver) changeFrom(ctx context.Context, op, id string, now members, modify func(now members) (members, error)) error {
	changed, err := modify(now)
	if err != nil || len(changed) == 0 {
		return err
	}
	order := changed
	if !d.config.Partial {
		order = now.writable()
		maps.Copy(order, changed)
	}
	return d.wire.post(ctx, op, d.admin, userPath(id), order, nil, order.text("voicemail_pin"))
}

// members reads a user.
func (d *Driver) members(ctx context.Context, op, id string) (members, error) {
	var m members
	if err := d.wire.get(ctx, op, d.admin, userPath(id), nil, &m); err != nil {
		return nil, err
	}
	if m.text("id") != id {
		return nil, fault.Errorf(fault.Unavailable, op, "%w: it is about another user", errSenseless)
	}
	return m, nil
}
