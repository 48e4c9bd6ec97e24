package portsip

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"unicode/utf8"

	"offhook.dev/libs/core/directory"
	"offhook.dev/libs/core/fault"
	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/pbx"
)

// deletionBatch is how many extensions or entries are deleted at a time: each costs a
// request, and all have the time of one call.
const deletionBatch = 10

var writerPowers = pbx.WriterPowers{
	Fields: []directory.Field{directory.FirstName, directory.LastName, directory.Mail, directory.Mobile, directory.Department, directory.SignIn, directory.Enabled},
	// First and last name share a display name, with a space between them.
	Limits: map[directory.Field]int{directory.FirstName: 63, directory.LastName: 64, directory.Mail: 128, directory.Mobile: 32, directory.Department: 64},
	Marker: pbx.SingleMarker, Batch: deletionBatch,
}

// limits are how many characters the members have that hold fields; that of display
// names was 1,024 before 22.6, and of departments it is that of the groups.
var limits = map[string]int{"display_name": 128, "email": 128, "mobile_phone": 32, "department": 64}

// plain are the members that hold fields as they are.
var plain = map[directory.Field]string{directory.Mail: "email", directory.Mobile: "mobile_phone", directory.Department: "department"}

// fits says whether a text can be written as it is.
func fits(op, member, text string, most int) error {
	if n := utf8.RuneCountInString(text); n > most {
		return fault.Errorf(fault.Invalid, op, "%s has %d characters: %d are the most", member, n, most)
	}
	return nil
}

// extension is a user in our words, without what is in groups and options.
func (u user) extension() directory.Extension {
	e := directory.Extension{Number: u.ext, Enabled: u.Enabled == nil || *u.Enabled, Fields: directory.Fields{Mail: u.Email, Mobile: u.Mobile}}
	e.FirstName, e.LastName, e.DisplayName = names(u.ext, u.DisplayName)
	return e
}

// Extensions lists the users, after the groups and who is in them. Markers are not in
// it: they cost a request for each user.
func (d *Driver) Extensions(ctx context.Context, yield func(directory.Extension) error) error {
	const op = "portsip: extensions"
	in, err := d.memberships(ctx, op)
	if err != nil {
		return err
	}
	return d.users(ctx, op, "", func(u user) error {
		e := u.extension()
		if in[membership{u.Department, u.ext}] {
			e.Department = u.Department
		}
		e.SignIn = in[membership{signInGroup, u.ext}]
		return yield(e)
	})
}

// Extension reads a user, and whether it is in the groups of its department and of those
// who sign in with Microsoft: up to six requests.
func (d *Driver) Extension(ctx context.Context, ext identity.Extension) (directory.Extension, error) {
	const op = "portsip: extension"
	var e directory.Extension
	err := d.withID(ctx, op, ext, func(id string) error {
		m, err := d.members(ctx, op, id)
		if err != nil {
			return err
		}
		e, err = d.extensionOf(ctx, op, ext, m)
		return err
	})
	return e, err
}

func (d *Driver) extensionOf(ctx context.Context, op string, ext identity.Extension, m members) (directory.Extension, error) {
	e := m.user(ext).extension()
	e.Marker = parseOptions(m.text("custom_options")).marker()
	var err error
	if e.SignIn, err = d.isMember(ctx, op, signInGroup, ext); err != nil {
		return e, err
	}
	department := m.text("department")
	if department == "" {
		return e, nil
	}
	in, err := d.isMember(ctx, op, department, ext)
	if in {
		e.Department = department
	}
	return e, err
}

// CreateExtension makes the user, then puts it into its group, then binds it to the
// Microsoft account. Where one of the last two could not be done, whatever the reason,
// the kind is Timeout: the extension is there all the same.
func (d *Driver) CreateExtension(ctx context.Context, e directory.Extension) error {
	const op = "portsip: create extension"
	secrets := newSecrets()
	order := map[string]any{
		"name": string(e.Number), "extension_number": string(e.Number), "role": d.config.Role, "enabled": e.Enabled,
		"password": secrets.password, "extension_password": secrets.extension, "voicemail_pin": secrets.pin,
	}
	var err error
	if order["display_name"], err = displayName(op, e.Number, e.FirstName, e.LastName); err != nil {
		return err
	}
	for field, member := range plain {
		text := e.Text(field)
		if err := fits(op, member, text, limits[member]); err != nil {
			return err
		}
		if text != "" || field == directory.Mail { // which is mandatory
			order[member] = text
		}
	}
	if err := allowed(op, e); err != nil {
		return err
	}
	if e.Marker != "" {
		order["custom_options"] = options{string(e.Marker)}.in("")
	}
	var made struct{ ID string }
	if err := d.wire.post(ctx, op, d.admin, "/users", order, &made, secrets.password, secrets.extension, secrets.pin); err != nil {
		return d.whyNot(ctx, op, e.Number, err)
	}
	if made.ID == "" {
		return fault.Errorf(fault.Timeout, op, "%w: a user was made, and its id is not told", errSenseless)
	}
	d.remember(e.Number, made.ID)
	if err := d.complete(ctx, op, made.ID, e); err != nil {
		return fault.Errorf(fault.Timeout, op, "the extension was made, and is not complete: %w", err)
	}
	return nil
}

// allowed says why an extension cannot be as it is wanted.
func allowed(op string, e directory.Extension) error {
	switch {
	case e.Department == signInGroup:
		return fault.Errorf(fault.Invalid, op, "%q is the name of the group of those who sign in with Microsoft", signInGroup)
	case e.SignIn && e.Marker == "":
		return fault.Errorf(fault.Invalid, op, "nobody said which Microsoft account signs in as %s", e.Number)
	}
	return nil
}

// complete does what takes requests of its own.
func (d *Driver) complete(ctx context.Context, op, id string, e directory.Extension) error {
	if e.Department != "" {
		if err := d.join(ctx, op, e.Department, e.Number); err != nil {
			return err
		}
	}
	if e.SignIn {
		return d.bind(ctx, op, id, e)
	}
	return nil
}

// whyNot finds out why a user was not made, because the vendor has no code for it: the
// number is taken, there are as many as there may be, or something else is wrong with
// it. err is what the phone system said.
func (d *Driver) whyNot(ctx context.Context, op string, number identity.Extension, err error) error {
	if !refused(err) {
		return err
	}
	taken, askErr := d.taken(ctx, op, number)
	if askErr != nil {
		return err
	}
	if taken {
		return fault.Errorf(fault.Conflict, op, "the number %s is taken: %w", number, err)
	}
	var tenant struct {
		Most int64 `json:"max_extensions"`
	}
	if askErr = d.wire.get(ctx, op, d.admin, "/tenant", nil, &tenant); askErr == nil && tenant.Most > 0 {
		if users, _, askErr := d.count(ctx, op, ""); askErr == nil && users >= tenant.Most {
			return fault.Errorf(fault.Denied, op, "%w (%d): %w", pbx.ErrLicenceFull, tenant.Most, err)
		}
	}
	switch fault.KindOf(err) {
	case fault.Conflict, fault.NotFound: // of something else than the number
		return fault.New(fault.Invalid, op, err)
	}
	return err
}

// taken says whether a user or anything else has a number.
func (d *Driver) taken(ctx context.Context, op string, number identity.Extension) (bool, error) {
	var there struct {
		Number string `json:"extension_number"`
	}
	err := d.wire.get(ctx, op, d.admin, "/extension_numbers/"+segment(string(number)), nil, &there)
	if err != nil && fault.KindOf(err) == fault.NotFound {
		return false, nil
	}
	return err == nil && there.Number == string(number), err
}

// UpdateExtension reads the user, changes groups and binding, and then writes the user,
// whose members say what was done: what was not completed shows as not done.
func (d *Driver) UpdateExtension(ctx context.Context, ext identity.Extension, u directory.Update) error {
	const op = "portsip: update extension"
	for _, field := range u.Fields {
		if !writerPowers.Has(field) {
			return fault.Errorf(fault.Unsupported, op, "the field %q cannot be written", field)
		}
	}
	return d.withID(ctx, op, ext, func(id string) error {
		now, err := d.members(ctx, op, id)
		if err != nil {
			return err
		}
		// Of groups it is not asked what is so: joining and leaving twice is once.
		is := now.user(ext).extension()
		is.Department, is.Marker = now.text("department"), parseOptions(now.text("custom_options")).marker()
		to := is
		u.Apply(&to)
		order, err := difference(op, now, is, to)
		if err == nil {
			err = allowed(op, to)
		}
		if err != nil {
			return err
		}
		if slices.Contains(u.Fields, directory.Department) {
			if err := d.regroup(ctx, op, ext, is.Department, to.Department); err != nil {
				return err
			}
		}
		if slices.Contains(u.Fields, directory.SignIn) {
			if err := d.rebind(ctx, op, id, to); err != nil {
				return err
			}
		}
		return d.changeFrom(ctx, op, id, now, order)
	})
}

// difference are the members that make a user another.
func difference(op string, now members, is, to directory.Extension) (members, error) {
	order := make(members)
	put := func(member string, value any) { order[member], _ = json.Marshal(value) } // texts and flags
	for field, member := range plain {
		text := to.Text(field)
		if text == is.Text(field) {
			continue
		}
		if err := fits(op, member, text, limits[member]); err != nil {
			return nil, err
		}
		put(member, text)
	}
	if to.FirstName != is.FirstName || to.LastName != is.LastName {
		name, err := displayName(op, to.Number, to.FirstName, to.LastName)
		if err != nil {
			return nil, err
		}
		put("display_name", name)
	}
	if to.Enabled != is.Enabled {
		put("enabled", to.Enabled)
	}
	if to.Marker != is.Marker {
		before := now.text("custom_options")
		if !mergeable(before) {
			return nil, fault.Errorf(fault.Invalid, op, "custom_options of this user is no JSON object: there is no place for the marker")
		}
		put("custom_options", options{string(to.Marker)}.in(before))
	}
	return order, nil
}

// rebind binds a user to the Microsoft account, or ends that.
func (d *Driver) rebind(ctx context.Context, op, id string, to directory.Extension) error {
	if to.SignIn {
		return d.bind(ctx, op, id, to)
	}
	err := d.wire.post(ctx, op, d.admin, userPath(id)+"/ms365_binding/destroy", nil, nil)
	if err != nil && (!refused(err) || fault.KindOf(err) == fault.Denied) { // else it was not bound
		return err
	}
	return d.leave(ctx, op, signInGroup, to.Number)
}

// bind binds a user to the Microsoft account, and notes that by a group, because the
// phone system does not tell it.
func (d *Driver) bind(ctx context.Context, op, id string, to directory.Extension) error {
	err := d.wire.post(ctx, op, d.admin, userPath(id)+"/ms365_binding", map[string]string{"id": string(to.Marker)}, nil)
	if err != nil {
		return err
	}
	return d.join(ctx, op, signInGroup, to.Number)
}

// DeleteExtensions deletes users one by one.
func (d *Driver) DeleteExtensions(ctx context.Context, exts []identity.Extension) (map[identity.Extension]error, error) {
	const op = "portsip: delete extensions"
	return singly(op, exts, func(ext identity.Extension) error {
		err := d.withID(ctx, op, ext, func(id string) error {
			return d.wire.post(ctx, op, d.admin, userPath(id)+"/destroy", nil, nil)
		})
		if err == nil {
			d.forget(ext)
		}
		return err
	})
}

// singly deletes one after another, and notes which could not be. After an error that
// concerns them all the rest is not tried; if the first has it, it is everybody's.
func singly[ID comparable](op string, ids []ID, remove func(ID) error) (map[ID]error, error) {
	if len(ids) > deletionBatch {
		return nil, fault.Errorf(fault.Invalid, op, "%d at once: %d are the most", len(ids), deletionBatch)
	}
	failed := make(map[ID]error)
	var ended error
	for i, id := range ids {
		err := ended
		if err == nil {
			err = remove(id)
		}
		if err == nil {
			continue
		}
		if !refused(err) || errors.Is(err, errAccount) {
			if ended = err; i == 0 {
				return nil, err
			}
		}
		failed[id] = err
	}
	return failed, nil
}
