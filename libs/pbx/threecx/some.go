package threecx

import (
	"context"
	"errors"
	"net/url"
	"strconv"
	"strings"

	"offhook.dev/libs/core/fault"
	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/core/presence"
)

// filterBatch keeps a filter that names extensions below 100 nodes, which is what OData
// services take by default: a comparison and its "or" are four.
const filterBatch = 20

var (
	// errFilter is in the chain of an error about an answer that shows that the filter was not
	// understood.
	errFilter = errors.New("it holds users that were not asked for")
	// errPart is in that of one about an answer that says of itself that it is not all: the
	// phone system caps its pages below what was asked for, as it will the next time.
	errPart = errors.New("it is a part of the answer only")
)

// some reads some fields of those users that there are, with one request, found by number.
// Who is missing in it is not there, so a part of it is an error.
func (d *Driver) some(ctx context.Context, op string, exts []identity.Extension, fields string) ([]user, error) {
	if len(exts) == 0 {
		return nil, nil
	}
	asked := make(map[string]identity.Extension, len(exts))
	terms := make([]string, 0, len(exts))
	for _, ext := range exts {
		if _, twice := asked[string(ext)]; !twice {
			asked[string(ext)] = ext
			terms = append(terms, "Number eq "+quoted(string(ext)))
		}
	}
	var users struct {
		Value *[]user
		Next  string `json:"@odata.nextLink"`
	}
	query := url.Values{"$select": {fields}, "$filter": {strings.Join(terms, " or ")}, "$orderby": {"Id"}, "$top": {strconv.Itoa(pageSize)}}
	if err := d.wire.get(ctx, op, "/Users", query, &users); err != nil {
		return nil, err
	}
	if users.Value == nil {
		return nil, fault.Errorf(fault.Unavailable, op, "%w: it holds no list", errSenseless)
	}
	for i, u := range *users.Value {
		ext, ok := asked[u.Number]
		if !ok { // the filter was not understood: who is missing may be there
			return nil, fault.Errorf(fault.Unavailable, op, "%w: %w", errSenseless, errFilter)
		}
		(*users.Value)[i].ext = ext
	}
	if users.Next != "" && len(*users.Value) < len(asked) {
		return nil, fault.Errorf(fault.Unavailable, op, "%w: %w", errSenseless, errPart)
	}
	return *users.Value, nil
}

// StatusesOf reads the current profiles of some users. That the list of users takes a
// filter is documented, which it takes is not: one that is not understood, or is answered in
// parts, is Unsupported.
func (d *Driver) StatusesOf(ctx context.Context, exts []identity.Extension) (map[identity.Extension]presence.Status, error) {
	const op = "threecx: statuses of some"
	users, err := d.some(ctx, op, exts, statusFields)
	if errors.Is(err, errFilter) || errors.Is(err, errPart) || fault.KindOf(err) == fault.Invalid {
		return nil, fault.New(fault.Unsupported, op, err)
	}
	if err != nil {
		return nil, err
	}
	d.remember(users...)
	statuses := make(map[identity.Extension]presence.Status, len(users))
	for _, u := range users {
		statuses[u.ext] = d.profiles.status(u.CurrentProfileName)
	}
	return statuses, nil
}
