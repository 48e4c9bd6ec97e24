package portsip

import (
	"context"
	"net/url"
	"strings"

	"offhook.dev/libs/core/fault"
	"offhook.dev/libs/core/identity"
)

// user is what is read of a user in lists.
type user struct {
	ID          string `json:"id"`
	Number      string `json:"extension_number"`
	DisplayName string `json:"display_name"`
	Email       string `json:"email"`
	Mobile      string `json:"mobile_phone"`
	Department  string `json:"department"`
	Enabled     *bool  `json:"enabled"`    // null counts as enabled
	DND         *bool  `json:"enable_dnd"` // nil: not told

	ext identity.Extension // Number, parsed
}

func (u user) key() string { return u.ID }

// byNumber orders users, so that two lists of them begin alike.
var byNumber = url.Values{"orderby": {"extension_number"}}

// quoted is a text as filters have it.
func quoted(text string) string { return "'" + strings.ReplaceAll(text, "'", "''") + "'" }

// segment is an id as a part of a path. One of dots only would lead elsewhere.
func segment(id string) string {
	if strings.Trim(id, ".") == "" {
		return strings.ReplaceAll(id, ".", "%2E")
	}
	return url.PathEscape(id)
}

// userPath is where a user is.
func userPath(id string) string { return "/users/" + segment(id) }

// users lists the users that have a usable number. One that has none costs none of the
// others.
func (d *Driver) users(ctx context.Context, op, filter string, yield func(user) error) error {
	query := url.Values{"orderby": byNumber["orderby"]}
	if filter != "" {
		query.Set("filter", filter)
	}
	return list(ctx, d.wire, op, d.admin, "/users", query, func(u user) error {
		ext, err := identity.ParseExtension(u.Number)
		if err != nil {
			return nil
		}
		u.ext = ext
		d.remember(ext, u.ID)
		return yield(u)
	})
}

// lookUp finds the id of a user by number. It does not page: a filter that was not
// understood is noticed by what it brings, and then everybody is listed.
func (d *Driver) lookUp(ctx context.Context, op string, ext identity.Extension) (string, error) {
	var page struct{ Items *[]user }
	query := url.Values{"filter": {"extension_number eq " + quoted(string(ext))}, "top": {"2"}}
	if err := d.wire.get(ctx, op, d.admin, "/users", query, &page); err != nil {
		return "", err
	}
	if page.Items == nil {
		return "", fault.Errorf(fault.Unavailable, op, "%w: it holds no list", errSenseless)
	}
	for _, u := range *page.Items {
		if u.Number == string(ext) && u.ID != "" {
			d.remember(ext, u.ID)
			return u.ID, nil
		}
	}
	if len(*page.Items) == 0 {
		d.forget(ext)
		return "", fault.Errorf(fault.NotFound, op, "there is no user with the extension %s", ext)
	}
	return d.search(ctx, op, ext)
}

// search looks through all users.
func (d *Driver) search(ctx context.Context, op string, ext identity.Extension) (id string, err error) {
	err = d.users(ctx, op, "", func(u user) error {
		if u.ext == ext {
			id = u.ID
		}
		return nil
	})
	if err == nil && id == "" {
		d.forget(ext)
		err = fault.Errorf(fault.NotFound, op, "there is no user with the extension %s", ext)
	}
	return id, err
}

// withID does something to the user with a number. One that was never seen, or was
// deleted and perhaps made again under another id, is looked up first. With which
// status an id of nobody is refused is not documented: whatever is refused of an id
// that was known before is looked up once.
func (d *Driver) withID(ctx context.Context, op string, ext identity.Extension, do func(id string) error) error {
	id, known := d.id(ext)
	var first error
	if known {
		if first = do(id); first == nil {
			return nil
		}
		if kind := fault.KindOf(first); kind != fault.NotFound && kind != fault.Invalid && kind != fault.Gone {
			return first
		}
	}
	fresh, err := d.lookUp(ctx, op, ext)
	switch {
	case err != nil:
		return err
	case fresh == id && fault.KindOf(first) == fault.NotFound:
		return fault.Errorf(fault.NotFound, op, "there is a user %s, but nothing under its id", ext)
	case fresh == id && known:
		return first
	}
	return do(fresh)
}
