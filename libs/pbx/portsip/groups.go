package portsip

import (
	"context"
	"net/url"

	"offhook.dev/libs/core/fault"
	"offhook.dev/libs/core/identity"
)

// group is a user group, which stands for a department.
type group struct{ ID, Name string }

func (g group) key() string { return g.ID }

// signInGroup is the group of those whom Offhook has bound to their Microsoft accounts.
const signInGroup = "Offhook: Microsoft sign-in"

// membership is an extension's place in the group of a name.
type membership struct {
	group string
	ext   identity.Extension
}

func groupPath(id string) string { return "/groups/" + segment(id) }

func memberPath(id string, ext identity.Extension) string {
	return groupPath(id) + "/members/" + segment(string(ext))
}

// memberships reads who is in which group: a request for each.
func (d *Driver) memberships(ctx context.Context, op string) (map[membership]bool, error) {
	var all []group
	if err := list(ctx, d.wire, op, d.admin, "/groups", url.Values{"orderby": {"name"}}, func(g group) error { all = append(all, g); return nil }); err != nil {
		return nil, err
	}
	in := make(map[membership]bool)
	for _, g := range all {
		var members struct{ Items []user }
		err := d.wire.get(ctx, op, d.admin, groupPath(g.ID)+"/members", nil, &members)
		if err != nil && fault.KindOf(err) == fault.NotFound {
			continue // deleted meanwhile
		}
		if err != nil {
			return nil, err
		}
		for _, u := range members.Items {
			in[membership{g.Name, identity.Extension(u.Number)}] = true
		}
	}
	return in, nil
}

// findGroup finds the group of a name, "" if there is none. A filter that was not
// understood is noticed by what it brings.
func (d *Driver) findGroup(ctx context.Context, op, name string) (id string, err error) {
	err = list(ctx, d.wire, op, d.admin, "/groups", url.Values{"filter": {"name eq " + quoted(name)}}, func(g group) error {
		if g.Name == name {
			id = g.ID
		}
		return nil
	})
	return id, err
}

// isMember says whether an extension is in the group of a name.
func (d *Driver) isMember(ctx context.Context, op, name string, ext identity.Extension) (bool, error) {
	id, err := d.findGroup(ctx, op, name)
	if err != nil || id == "" {
		return false, err
	}
	var member struct {
		Number string `json:"extension_number"`
	}
	err = d.wire.get(ctx, op, d.admin, memberPath(id, ext), nil, &member)
	if err != nil && fault.KindOf(err) == fault.NotFound {
		return false, nil
	}
	return err == nil && member.Number == string(ext), err
}

// join puts an extension into the group of a name, which is made if there is none.
func (d *Driver) join(ctx context.Context, op, name string, ext identity.Extension) error {
	id, err := d.findGroup(ctx, op, name)
	if err != nil {
		return err
	}
	if id == "" {
		var made struct{ ID string }
		if err := d.wire.post(ctx, op, d.admin, "/groups", map[string]string{"name": name}, &made); err != nil {
			return err
		}
		if id = made.ID; id == "" {
			return fault.Errorf(fault.Timeout, op, "%w: a group was made, and its id is not told", errSenseless)
		}
	}
	err = d.wire.post(ctx, op, d.admin, memberPath(id, ext), nil, nil)
	if err != nil && refused(err) { // perhaps because it is in it
		if in, askErr := d.isMember(ctx, op, name, ext); askErr == nil && in {
			return nil
		}
	}
	return err
}

// leave takes an extension out of the group of a name.
func (d *Driver) leave(ctx context.Context, op, name string, ext identity.Extension) error {
	id, err := d.findGroup(ctx, op, name)
	if err != nil || id == "" {
		return err
	}
	err = d.wire.post(ctx, op, d.admin, memberPath(id, ext)+"/destroy", nil, nil)
	if err != nil && refused(err) && fault.KindOf(err) != fault.Denied {
		return nil // it is not in it
	}
	return err
}

// regroup moves an extension from the group of one name to that of another; "" is none.
// The other groups that it is in are an administrator's affair.
func (d *Driver) regroup(ctx context.Context, op string, ext identity.Extension, from, to string) error {
	if from != "" && from != to {
		if err := d.leave(ctx, op, from, ext); err != nil {
			return err
		}
	}
	if to == "" {
		return nil
	}
	return d.join(ctx, op, to, ext)
}
