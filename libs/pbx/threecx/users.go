package threecx

import (
	"context"
	"math"
	"net/url"
	"strconv"
	"strings"

	"offhook.dev/libs/core/directory"
	"offhook.dev/libs/core/fault"
	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/core/presence"
	"offhook.dev/libs/pbx"
)

// user is the part of Pbx.User that is ever asked for. The entity also holds
// passwords: every request selects its fields.
type user struct {
	ID                 int32 `json:"Id"`
	Number             string
	CurrentProfileName string
	FirstName          string
	LastName           string
	DisplayName        string
	EmailAddress       string
	Enabled            *bool // null counts as enabled

	ext identity.Extension // Number, parsed
}

const (
	statusFields    = "Id,Number,CurrentProfileName"
	inventoryFields = "Id,Number,FirstName,LastName,DisplayName,EmailAddress,Enabled"
)

// pageSize is the $top that the vendor's own clients use.
const pageSize = 100

func userPath(id int32) string { return "/Users(" + strconv.Itoa(int(id)) + ")" }

// lookUp reads one user by number.
func (d *Driver) lookUp(ctx context.Context, op string, ext identity.Extension) (user, error) {
	quoted := strings.ReplaceAll(string(ext), "'", "''")
	var u user
	err := d.wire.get(ctx, op, "/Users(Number='"+quoted+"')", url.Values{"$select": {statusFields}}, &u)
	switch {
	case err != nil && fault.KindOf(err) == fault.NotFound:
		d.forget(ext)
		return user{}, err
	case err != nil:
		return user{}, err
	case u.Number != string(ext):
		return user{}, fault.Errorf(fault.Unavailable, op, "asked for user %s, the answer is about %q", ext, u.Number)
	}
	u.ext = ext
	d.remember(u)
	return u, nil
}

// Statuses lists the current profiles, 100 users a request.
func (d *Driver) Statuses(ctx context.Context, yield func(identity.Extension, presence.Status) error) error {
	return d.users(ctx, "threecx: statuses", statusFields, func(u user) error {
		return yield(u.ext, d.profiles.status(u.CurrentProfileName))
	})
}

// Extensions lists the users.
func (d *Driver) Extensions(ctx context.Context, yield func(directory.Extension) error) error {
	return d.users(ctx, "threecx: extensions", inventoryFields, func(u user) error {
		return yield(directory.Extension{
			Number: u.ext, Enabled: u.Enabled == nil || *u.Enabled,
			Fields: directory.Fields{FirstName: u.FirstName, LastName: u.LastName, DisplayName: u.DisplayName, Mail: u.EmailAddress},
		})
	})
}

// users pages through all users in the order of their keys. New ones get higher
// keys, so none comes twice; when one is deleted meanwhile, another may be missed
// until the next listing.
func (d *Driver) users(ctx context.Context, op, fields string, yield func(user) error) error {
	query := url.Values{"$select": {fields}, "$orderby": {"Id"}, "$top": {strconv.Itoa(pageSize)}}
	last, skip := int32(math.MinInt32), 0
	for {
		query.Set("$skip", strconv.Itoa(skip))
		var page struct {
			Value []user
			Next  string `json:"@odata.nextLink"`
		}
		if err := d.wire.get(ctx, op, "/Users", query, &page); err != nil {
			return err
		}
		if err := d.wire.ours(op, page.Next); err != nil {
			return err
		}
		n := len(page.Value)
		skip += n
		if n > 0 && page.Value[n-1].ID <= last {
			return fault.Errorf(fault.Unavailable, op, "the pages repeat themselves after %d users", skip-n)
		}
		users := fresh(page.Value, last)
		d.remember(users...)
		for _, u := range users {
			if err := yield(u); err != nil {
				return err
			}
		}
		// A short page is the last one, unless the phone system caps its pages below
		// what was asked for and says so. Its link is taken as a sign only: where to
		// go on is known here.
		if n == 0 || n < pageSize && page.Next == "" {
			return nil
		}
		last = page.Value[n-1].ID
	}
}

// fresh returns the users of a page that come after key last and have a usable
// number. One that cannot be used costs none of the others.
func fresh(page []user, last int32) []user {
	users := make([]user, 0, len(page))
	for _, u := range page {
		ext, err := identity.ParseExtension(u.Number)
		if err != nil || u.ID <= last {
			continue
		}
		u.ext, last = ext, u.ID
		users = append(users, u)
	}
	return users
}

// NativeSync reads 3CX's own Microsoft 365 integration. Each part is taken by
// itself: whether one runs while the whole is off is not documented.
func (d *Driver) NativeSync(ctx context.Context) (pbx.SyncState, error) {
	var integration struct {
		AdUsers struct {
			IsEnabled, SyncPersonalContacts, IsSyncPhoto, SyncEvents, SetTeamsPresence bool
		}
		SharedMailboxesSync struct{ IsEnabled bool }
	}
	if err := d.wire.get(ctx, "threecx: native sync", "/Microsoft365Integration", nil, &integration); err != nil {
		return pbx.SyncState{}, err
	}
	users := integration.AdUsers
	return pbx.SyncState{
		Users:     users.IsEnabled,
		Contacts:  users.SyncPersonalContacts,
		Mailboxes: integration.SharedMailboxesSync.IsEnabled,
		Photos:    users.IsSyncPhoto,
		Calendar:  users.SyncEvents,
		Presence:  users.SetTeamsPresence,
	}, nil
}
