package threecx

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"strconv"

	"offhook.dev/libs/core/fault"
)

// group is a department, which 3CX calls Group in its interface.
type group struct {
	ID        int32 `json:"Id"`
	Name      string
	IsDefault bool
}

const groupFields = "Id,Name,IsDefault"

func (g group) key() int32 { return g.ID }

// department is its name in our words: whoever is in none is in the default one.
func (g group) department() string {
	if g.IsDefault {
		return ""
	}
	return g.Name
}

// usual is the role of somebody in a department who has no other.
const usual = "users"

// membership is a user's place in a department. Rights are kept as they are told.
type membership struct {
	GroupID int32 `json:"GroupId"`
	Rights  json.RawMessage
}

func (m membership) role() string {
	var rights struct{ RoleName string }
	_ = json.Unmarshal(m.Rights, &rights) // "" is no role
	return rights.RoleName
}

// usually is a membership without any rights but those of everybody.
func usually(group int32) membership {
	return membership{group, json.RawMessage(`{"RoleName":"` + usual + `"}`)}
}

// department returns the key of the department of that name, which it makes if there
// is none; "" is the default one. Who belongs in one that is named like that is in it,
// though it is told without its name: a name must not cost anybody the extension.
func (d *Driver) department(ctx context.Context, op, name string) (int32, error) {
	filter := "Name eq " + quoted(name)
	if name == "" {
		filter = "IsDefault eq true"
	}
	g, found, err := d.findGroup(ctx, op, filter)
	switch {
	case err != nil:
		return 0, err
	case found && name == "" && !g.IsDefault:
		return 0, fault.Errorf(fault.Unavailable, op, "%w: the default department is not told as that", errSenseless)
	case found:
		return g.ID, nil
	case name == "":
		return 0, fault.Errorf(fault.Unavailable, op, "%w: there is no default department", errSenseless)
	}
	err = d.wire.post(ctx, op, "/Groups", struct{ Name string }{name}, http.StatusCreated, &g)
	if kind := fault.KindOf(err); err != nil && (kind == fault.Invalid || kind == fault.Conflict) {
		// Somebody else may have been faster.
		again, found, lookErr := d.findGroup(ctx, op, filter)
		if lookErr == nil && found {
			return again.ID, nil
		}
	}
	if err != nil {
		return 0, err
	}
	if g.ID == 0 {
		return 0, fault.Errorf(fault.Timeout, op, "%w: a department was made, and its key is not told", errSenseless)
	}
	return g.ID, nil
}

func (d *Driver) findGroup(ctx context.Context, op, filter string) (group, bool, error) {
	var groups struct{ Value []group }
	err := d.wire.get(ctx, op, "/Groups", url.Values{"$select": {groupFields}, "$filter": {filter}, "$orderby": {"Id"}, "$top": {"1"}}, &groups)
	if err != nil || len(groups.Value) == 0 {
		return group{}, false, err
	}
	return groups.Value[0], true, nil
}

// move works out what puts a user into the department of that name: the new list of
// departments, whole, and the first of them. What somebody may do in the others stays
// as it is, and so does a place in the old one that is more than everybody's: rights
// that an administrator gave are not taken by a move. nil where nothing is to do.
func (d *Driver) move(ctx context.Context, op string, id int32, name string) (map[string]any, error) {
	target, err := d.department(ctx, op, name)
	if err != nil {
		return nil, err
	}
	var now user
	if err := d.wire.get(ctx, op, userPath(id), url.Values{"$select": {"Id,PrimaryGroupId"}}, &now); err != nil {
		return nil, err
	}
	if now.ID != id {
		return nil, fault.Errorf(fault.Unavailable, op, "%w: it is about user %d", errSenseless, now.ID)
	}
	if now.PrimaryGroupID == target {
		return nil, nil
	}
	all, err := d.memberships(ctx, op, id)
	if err != nil {
		return nil, err
	}
	there := false
	list := []membership{}
	for _, m := range all {
		there = there || m.GroupID == target
		if m.GroupID != now.PrimaryGroupID || m.role() != usual {
			list = append(list, m)
		}
	}
	if !there {
		list = append(list, usually(target))
	}
	return map[string]any{"Groups": list, "PrimaryGroupId": target}, nil
}

// memberships reads all departments of a user with the rights there. Since the list
// will be written whole, one that is not certain to be whole is no list.
func (d *Driver) memberships(ctx context.Context, op string, id int32) ([]membership, error) {
	var answer struct {
		Value *[]membership
		Next  string `json:"@odata.nextLink"`
	}
	query := url.Values{"$select": {"GroupId"}, "$expand": {"Rights"}, "$top": {strconv.Itoa(pageSize)}}
	if err := d.wire.get(ctx, op, userPath(id)+"/Groups", query, &answer); err != nil {
		return nil, err
	}
	switch {
	case answer.Value == nil:
		return nil, fault.Errorf(fault.Unavailable, op, "%w: it holds no list", errSenseless)
	case answer.Next != "" || len(*answer.Value) >= pageSize:
		return nil, fault.Errorf(fault.Invalid, op, "the user is in too many departments to be moved")
	}
	for _, m := range *answer.Value {
		if m.GroupID == 0 || m.role() == "" {
			return nil, fault.Errorf(fault.Unavailable, op, "%w: a department of the user is told without the role", errSenseless)
		}
	}
	return *answer.Value, nil
}

// departmentOf is the name of the department with a key.
func (d *Driver) departmentOf(ctx context.Context, op string, id int32) (string, error) {
	if id == 0 {
		return "", nil
	}
	var g group
	err := d.wire.get(ctx, op, "/Groups("+strconv.Itoa(int(id))+")", url.Values{"$select": {groupFields}}, &g)
	if err != nil && fault.KindOf(err) == fault.NotFound {
		return "", nil // deleted meanwhile
	}
	return g.department(), err
}
