package portsip

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
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
	Fields: []directory.Field{directory.DisplayName, directory.Mail, directory.Mobile, directory.Department, directory.SignIn, directory.Enabled},
	Marker: pbx.SingleMarker, Batch: deletionBatch,
}

// limits are how many characters the members have that hold fields; that of display
// names was 1,024 before 22.6, and of departments it is that of the groups.
var limits = map[string]int{"display_name": 128, "email": 128, "mobile_phone": 32, "department": 64}

// texts are the members that hold fields of e, as they are written.
func texts(e directory.Extension) map[directory.Field]struct{ member, text string } {
	return map[directory.Field]struct{ member, text string }{
		// A display name is mandatory: who has none has the number.
		directory.DisplayName: {"display_name", cmp.Or(e.DisplayName, string(e.Number))},
		directory.Mail:        {"email", e.Mail},
		directory.Mobile:      {"mobile_phone", e.Mobile},
		directory.Department:  {"department", e.Department},
	}
}

// fits says whether a text can be written as it is.
func fits(op, member, text string, most int) error {
	if n := utf8.RuneCountInString(text); n > most {
		return fault.Errorf(fault.Invalid, op, "%s has %d characters: %d are the most", member, n, most)
	}
	return nil
}

// extension is a user in our words, without department, marker and sign-in. First and
// last names have no place of their own.
func (u user) extension() directory.Extension {
	e := directory.Extension{Number: u.ext, Enabled: u.Enabled == nil || *u.Enabled,
		Fields: directory.Fields{DisplayName: u.DisplayName, Mail: u.Email, Mobile: u.Mobile}}
	if e.DisplayName == u.Number {
		e.DisplayName = ""
	}
	return e
}

// Extensions lists the users, after the groups and who is in them. Markers and sign-ins
// are not in it: they cost a request for each user.
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
		return yield(e)
	})
}

// Extension reads a user, and whether it is in the group that its department names: up
// to four requests.
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
	u := user{Number: m.text("extension_number"), DisplayName: m.text("display_name"), Email: m.text("email"), Mobile: m.text("mobile_phone"), ext: ext}
	if enabled, there := m["enabled"]; there && string(enabled) == "false" {
		u.Enabled = new(bool)
	}
	e := u.extension()
	own := parseOptions(m.text("custom_options"))
	e.Marker, e.SignIn = own.marker(), own.SignIn
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
	for _, t := range texts(e) {
		if err := fits(op, t.member, t.text, limits[t.member]); err != nil {
			return err
		}
		if t.text != "" || t.member == "email" { // which is mandatory
			order[t.member] = t.text
		}
	}
	own := options{Marker: string(e.Marker), SignIn: e.SignIn}
	if e.SignIn && e.Marker == "" {
		return fault.Errorf(fault.Invalid, op, "nobody said which Microsoft account signs in as %s", e.Number)
	}
	if own != (options{}) {
		order["custom_options"] = own.in("")
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

// complete does what takes requests of its own.
func (d *Driver) complete(ctx context.Context, op, id string, e directory.Extension) error {
	if e.Department != "" {
		if err := d.join(ctx, op, e.Department, e.Number); err != nil {
			return err
		}
	}
	if e.SignIn {
		return d.bind(ctx, op, id, e.Marker)
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
	u.To.Number = ext
	all := texts(u.To)
	changed := make(members)
	regroup, resign := false, false
	for _, field := range u.Fields {
		t, isText := all[field]
		switch {
		case isText:
			if err := fits(op, t.member, t.text, limits[t.member]); err != nil {
				return err
			}
			changed[t.member], _ = json.Marshal(t.text)
			regroup = regroup || field == directory.Department
		case field == directory.Enabled:
			changed["enabled"], _ = json.Marshal(u.To.Enabled)
		case field == directory.SignIn:
			resign = true
		default:
			return fault.Errorf(fault.Unsupported, op, "the field %q cannot be written", field)
		}
	}
	return d.withID(ctx, op, ext, func(id string) error {
		now, err := d.members(ctx, op, id)
		if err != nil {
			return err
		}
		own := parseOptions(now.text("custom_options"))
		before := own
		own.Marker = cmp.Or(string(u.To.Marker), own.Marker)
		if resign {
			own.SignIn = u.To.SignIn
		}
		if regroup {
			if err := d.regroup(ctx, op, ext, now.text("department"), u.To.Department); err != nil {
				return err
			}
		}
		if err := d.rebind(ctx, op, id, before, own); err != nil {
			return err
		}
		if own != before {
			if !mergeable(now.text("custom_options")) {
				return fault.Errorf(fault.Invalid, op, "custom_options of this user is no JSON object: there is no place for the marker")
			}
			changed["custom_options"], _ = json.Marshal(own.in(now.text("custom_options")))
		}
		return d.changeFrom(ctx, op, id, now, func(members) (members, error) { return changed, nil })
	})
}

// rebind makes the binding to a Microsoft account what it should be.
func (d *Driver) rebind(ctx context.Context, op, id string, before, own options) error {
	switch {
	case own.SignIn && own.Marker == "":
		return fault.Errorf(fault.Invalid, op, "nobody said which Microsoft account signs in")
	case own.SignIn && own != before:
		return d.bind(ctx, op, id, own.marker())
	case before.SignIn && !own.SignIn:
		err := d.wire.post(ctx, op, d.admin, userPath(id)+"/ms365_binding/destroy", nil, nil)
		if err != nil && refused(err) && fault.KindOf(err) != fault.Denied {
			return nil // it was not bound any more
		}
		return err
	}
	return nil
}

func (d *Driver) bind(ctx context.Context, op, id string, user identity.User) error {
	return d.wire.post(ctx, op, d.admin, userPath(id)+"/ms365_binding", map[string]string{"id": string(user)}, nil)
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
