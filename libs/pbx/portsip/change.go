package portsip

import (
	"context"
	"encoding/json"
	"maps"
	"strings"

	"offhook.dev/libs/core/fault"
	"offhook.dev/libs/core/identity"
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

// user is what lists tell as well.
func (m members) user(ext identity.Extension) user {
	u := user{ID: m.text("id"), Number: m.text("extension_number"), DisplayName: m.text("display_name"), Email: m.text("email"),
		Mobile: m.text("mobile_phone"), Department: m.text("department"), ext: ext}
	if string(m["enabled"]) == "false" {
		u.Enabled = new(bool)
	}
	return u
}

// told are members that are told and cannot be changed, or not here: passwords have a
// way of their own.
var told = map[string]bool{
	"id": true, "name": true, "role": true, "role_id": true, "role_name": true, "extension_number": true, "created_at": true, "updated_at": true,
	"profile": true, "sync_type": true, "password": true, "extension_password": true, "phones": true, "tenant_id": true,
}

// writable are the members that a change sends back: all that have a value, also those
// that newer versions have and nobody here knows. The others are taken out of m.
func (m members) writable() members {
	for name, value := range m {
		if told[name] || strings.HasPrefix(name, "avatar_") || string(value) == "null" {
			delete(m, name)
		}
	}
	return m
}

// change changes members of a user: read, modify, write. With Config.Partial what is to
// be changed is all that is sent, and nothing is read.
func (d *Driver) change(ctx context.Context, op, id string, order members) error {
	if d.config.Partial {
		return d.wire.post(ctx, op, d.admin, userPath(id), order, nil)
	}
	now, err := d.members(ctx, op, id)
	if err != nil {
		return err
	}
	return d.changeFrom(ctx, op, id, now, order)
}

// changeFrom is change for a user that has just been read.
func (d *Driver) changeFrom(ctx context.Context, op, id string, now, order members) error {
	if len(order) == 0 {
		return nil
	}
	if !d.config.Partial {
		whole := now.writable()
		maps.Copy(whole, order)
		order = whole
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
