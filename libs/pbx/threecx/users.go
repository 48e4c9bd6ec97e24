package threecx

import (
	"context"
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
	Mobile             string
	OutboundCallerID   string
	Language           string
	PrimaryGroupID     int32 `json:"PrimaryGroupId"`
	MS365SignInEnabled bool
	Enabled            *bool // null counts as enabled

	ext identity.Extension // Number, parsed
}

func (u user) key() int32 { return u.ID }

const (
	statusFields    = "Id,Number,CurrentProfileName"
	inventoryFields = "Id,Number,FirstName,LastName,DisplayName,EmailAddress,Mobile,OutboundCallerID,Language,PrimaryGroupId,MS365SignInEnabled,Enabled"
)

func userPath(id int32) string { return "/Users(" + strconv.Itoa(int(id)) + ")" }

// quoted is a text as OData writes it in keys, filters and arguments.
func quoted(text string) string { return "'" + strings.ReplaceAll(text, "'", "''") + "'" }

// lookUp reads some fields of one user, found by number.
func (d *Driver) lookUp(ctx context.Context, op string, ext identity.Extension, fields string) (user, error) {
	var u user
	err := d.wire.get(ctx, op, "/Users(Number="+quoted(string(ext))+")", url.Values{"$select": {fields}}, &u)
	switch {
	case err != nil && fault.KindOf(err) == fault.NotFound:
		d.forget(ext)
		return user{}, err
	case err != nil:
		return user{}, err
	case u.Number != string(ext):
		return user{}, fault.Errorf(fault.Unavailable, op, "asked for user %s, the answer is about %s", ext, quotable(u.Number))
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

// Extensions lists the users, after the departments. Markers are not in it: they cost
// a request for each user.
func (d *Driver) Extensions(ctx context.Context, yield func(directory.Extension) error) error {
	const op = "threecx: extensions"
	names := make(map[int32]string)
	err := list(ctx, d.wire, op, "/Groups", groupFields, func(g group) error {
		names[g.ID] = g.department()
		return nil
	})
	if err != nil {
		return err
	}
	return d.users(ctx, op, inventoryFields, func(u user) error { return yield(u.extension(names[u.PrimaryGroupID])) })
}

// extension is a user in our words. The name of a user's department is not told with
// the user.
func (u user) extension(department string) directory.Extension {
	return directory.Extension{
		Number: u.ext, Enabled: u.Enabled == nil || *u.Enabled,
		Fields: directory.Fields{
			FirstName: u.FirstName, LastName: u.LastName, DisplayName: u.DisplayName, Mail: u.EmailAddress, Mobile: u.Mobile,
			CallerID: u.OutboundCallerID, Department: department, Language: u.Language, SignIn: u.MS365SignInEnabled,
		},
	}
}

// users lists the users that have a usable number. One that has none costs none of the
// others.
func (d *Driver) users(ctx context.Context, op, fields string, yield func(user) error) error {
	return list(ctx, d.wire, op, "/Users", fields, func(u user) error {
		ext, err := identity.ParseExtension(u.Number)
		if err != nil {
			return nil
		}
		u.ext = ext
		d.remember(u)
		return yield(u)
	})
}

// NativeSync reads 3CX's own Microsoft 365 integration. Each part is taken by
// itself: whether one runs while the whole is off is not documented. A version or edition
// that has no such resource (404) has no such sync.
func (d *Driver) NativeSync(ctx context.Context) (pbx.SyncState, error) {
	var integration struct {
		AdUsers struct {
			IsEnabled, SyncPersonalContacts, IsSyncPhoto, SyncEvents, SetTeamsPresence bool
		}
		SharedMailboxesSync struct{ IsEnabled bool }
	}
	err := d.wire.get(ctx, "threecx: native sync", "/Microsoft365Integration", nil, &integration)
	switch {
	case err != nil && fault.KindOf(err) == fault.NotFound:
		return pbx.SyncState{}, nil
	case err != nil:
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
