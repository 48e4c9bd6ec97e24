package threecx

import (
	"context"
	"errors"
	"net/http"
	"net/url"

	"offhook.dev/libs/core/directory"
	"offhook.dev/libs/core/fault"
	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/pbx"
)

// members are the members of Pbx.User that hold fields. DisplayName is derived there,
// and which languages there are is not documented: both are read only.
var members = map[directory.Field]string{
	directory.FirstName: "FirstName", directory.LastName: "LastName", directory.Mail: "EmailAddress", directory.Mobile: "Mobile",
	directory.CallerID: "OutboundCallerID", directory.SignIn: "MS365SignInEnabled", directory.Enabled: "Enabled",
}

var writerPowers = pbx.WriterPowers{
	Fields: []directory.Field{directory.FirstName, directory.LastName, directory.Mail, directory.Mobile, directory.CallerID,
		directory.Department, directory.SignIn, directory.Enabled},
	Limits: limits(directory.FirstName, directory.LastName, directory.Mail, directory.Mobile, directory.CallerID, directory.Department),
	Marker: pbx.SingleMarker, Batch: filterBatch,
}

// mostText is how many characters are written of a text. The vendor's description names no
// length for these members; names of people have fewer, and what is refused for its length
// would cost the whole extension or entry.
const mostText = 255

// limits names that of fields.
func limits(fields ...directory.Field) map[directory.Field]int {
	all := make(map[directory.Field]int, len(fields))
	for _, field := range fields {
		all[field] = mostText
	}
	return all
}

// value is what a field is in e.
func value(e directory.Extension, field directory.Field) any {
	switch field {
	case directory.FirstName:
		return e.FirstName
	case directory.LastName:
		return e.LastName
	case directory.Mail:
		return e.Mail
	case directory.Mobile:
		return e.Mobile
	case directory.CallerID:
		return e.CallerID
	case directory.SignIn:
		return e.SignIn
	}
	return e.Enabled
}

// Extension reads a user, its department and its marker: up to three requests.
func (d *Driver) Extension(ctx context.Context, ext identity.Extension) (directory.Extension, error) {
	const op = "threecx: extension"
	u, err := d.lookUp(ctx, op, ext, inventoryFields)
	if err != nil {
		return directory.Extension{}, err
	}
	department, err := d.departmentOf(ctx, op, u.PrimaryGroupID)
	if err != nil {
		return directory.Extension{}, err
	}
	e := u.extension(department)
	e.Marker, _, err = d.markerOf(ctx, op, ext)
	return e, err
}

// CreateExtension makes the department, if there is none of this name, then the user,
// then the marker. Where the marker could not be left, whatever the reason, the kind is
// Timeout: the extension is there all the same.
func (d *Driver) CreateExtension(ctx context.Context, e directory.Extension) error {
	const op = "threecx: create extension"
	order := map[string]any{"Number": e.Number, "Enabled": e.Enabled}
	for field, member := range members {
		if v := value(e, field); v != "" && v != false {
			order[member] = v
		}
	}
	if e.Department != "" {
		department, err := d.department(ctx, op, e.Department)
		if err != nil {
			return err
		}
		order["Groups"], order["PrimaryGroupId"] = []membership{usually(department)}, department
	}
	var made user
	if err := d.wire.post(ctx, op, "/Users", order, http.StatusCreated, &made); err != nil {
		return d.whyNot(ctx, op, e.Number, err)
	}
	if made.Number != string(e.Number) {
		return d.takeBack(ctx, op, made, e.Number)
	}
	made.ext = e.Number
	d.remember(made)
	if e.Marker == "" {
		return nil
	}
	if err := d.setMarker(ctx, op, e.Number, e.Marker, false); err != nil {
		return fault.Errorf(fault.Timeout, op, "the extension was made, and its marker may be missing: %w", err)
	}
	return nil
}

// takeBack deletes a user that was made under another number than was asked for.
func (d *Driver) takeBack(ctx context.Context, op string, made user, asked identity.Extension) error {
	if made.ID == 0 {
		return fault.Errorf(fault.Timeout, op, "%w: a user was made, and is not told", errSenseless)
	}
	if err := d.wire.remove(ctx, op, userPath(made.ID)); err != nil {
		return fault.Errorf(fault.Timeout, op, "the phone system gave the number %s instead of %s, and that could not be taken back: %w", quotable(made.Number), asked, err)
	}
	return fault.Errorf(fault.Conflict, op, "the phone system gave the number %s instead of %s", quotable(made.Number), asked)
}

// whyNot finds out why a user was not made, because 3CX documents no code for it: the
// number is taken, the licence is full, or something else is wrong with it. err is what
// the phone system said.
func (d *Driver) whyNot(ctx context.Context, op string, number identity.Extension, err error) error {
	switch fault.KindOf(err) {
	case fault.Invalid, fault.Conflict, fault.Denied:
	default:
		return err
	}
	taken, askErr := d.taken(ctx, op, number)
	if askErr != nil {
		return err
	}
	if taken {
		return fault.Errorf(fault.Conflict, op, "the number %s is taken: %w", number, err)
	}
	var status struct{ UserExtensions, MaxUserExtensions int }
	askErr = d.wire.get(ctx, op, "/SystemStatus", url.Values{"$select": {"UserExtensions,MaxUserExtensions"}}, &status)
	if askErr == nil && status.MaxUserExtensions > 0 && status.UserExtensions >= status.MaxUserExtensions {
		return fault.Errorf(fault.Denied, op, "%w (%d): %w", pbx.ErrLicenceFull, status.MaxUserExtensions, err)
	}
	if fault.KindOf(err) == fault.Conflict { // of something else than the number
		return fault.New(fault.Invalid, op, err)
	}
	return err
}

// taken says whether a user or anything else has a number.
func (d *Driver) taken(ctx context.Context, op string, number identity.Extension) (bool, error) {
	_, err := d.lookUp(ctx, op, number, statusFields)
	if err == nil || fault.KindOf(err) != fault.NotFound {
		return err == nil, err
	}
	var peer struct{ Number string }
	err = d.wire.get(ctx, op, "/Peers(Number="+quoted(string(number))+")", url.Values{"$select": {"Number"}}, &peer)
	if err != nil && fault.KindOf(err) == fault.NotFound {
		return false, nil
	}
	return err == nil && peer.Number == string(number), err
}

// UpdateExtension leaves the marker first, so that what is changed is known to be ours,
// and sends the changed members of the user, no others.
func (d *Driver) UpdateExtension(ctx context.Context, ext identity.Extension, u directory.Update) error {
	const op = "threecx: update extension"
	change := make(map[string]any)
	move := false
	for _, field := range u.Fields {
		member, ok := members[field]
		switch {
		case ok:
			change[member] = value(u.To, field)
		case field == directory.Department:
			move = true
		default:
			return fault.Errorf(fault.Unsupported, op, "the field %q cannot be written", field)
		}
	}
	return d.withKey(ctx, op, ext, func(id int32) error {
		if u.To.Marker != "" {
			if err := d.mark(ctx, op, ext, u.To.Marker); err != nil {
				return err
			}
		}
		if move {
			moved, err := d.move(ctx, op, id, u.To.Department)
			if err != nil {
				return err
			}
			for member, v := range moved {
				change[member] = v
			}
		}
		if len(change) == 0 {
			return nil
		}
		return d.wire.patch(ctx, op, userPath(id), change)
	})
}

// DeleteExtensions reads the keys of the users, which may be others than those that
// were seen last, and deletes them with one request.
func (d *Driver) DeleteExtensions(ctx context.Context, exts []identity.Extension) (map[identity.Extension]error, error) {
	const op = "threecx: delete extensions"
	if len(exts) > filterBatch {
		return nil, fault.Errorf(fault.Invalid, op, "%d extensions at once: %d are the most", len(exts), filterBatch)
	}
	keys, err := d.keys(ctx, op, exts)
	if err != nil {
		return nil, err
	}
	failed := make(map[identity.Extension]error)
	var order struct {
		IDs []int32 `json:"ids"`
	}
	for _, ext := range exts {
		if id, ok := keys[ext]; ok {
			order.IDs = append(order.IDs, id)
		} else {
			failed[ext] = fault.Errorf(fault.NotFound, op, "there is no user %s", ext)
		}
	}
	if len(order.IDs) == 0 {
		return failed, nil
	}
	var answer struct {
		Value *[]struct{ ExtensionNumber, Error string }
	}
	if err := d.wire.post(ctx, op, "/Users/Pbx.BatchDelete", order, http.StatusOK, &answer); err != nil {
		return nil, err
	}
	if answer.Value == nil {
		return nil, fault.Errorf(fault.Timeout, op, "%w: it does not say what was deleted", errSenseless)
	}
	for _, why := range *answer.Value {
		ext := identity.Extension(why.ExtensionNumber)
		if _, asked := keys[ext]; !asked {
			return nil, fault.Errorf(fault.Timeout, op, "%w: an extension that was not asked about could not be deleted: %s", errSenseless, printable(why.Error, 200))
		}
		failed[ext] = fault.Errorf(fault.Invalid, op, "the phone system refuses: %s", printable(why.Error, 200))
	}
	for ext := range keys {
		d.forget(ext)
	}
	return failed, nil
}

// keys returns the keys of those extensions that there are. Where the phone system answers
// in parts, each is looked up by itself: who is in another part is there.
func (d *Driver) keys(ctx context.Context, op string, exts []identity.Extension) (map[identity.Extension]int32, error) {
	users, err := d.some(ctx, op, exts, "Id,Number")
	if errors.Is(err, errPart) {
		users, err = d.oneByOne(ctx, op, exts)
	}
	if err != nil {
		return nil, err
	}
	keys := make(map[identity.Extension]int32, len(users))
	for _, u := range users {
		keys[u.ext] = u.ID
	}
	return keys, nil
}

// oneByOne reads those users that there are with a request for each.
func (d *Driver) oneByOne(ctx context.Context, op string, exts []identity.Extension) ([]user, error) {
	var users []user
	for _, ext := range exts {
		u, err := d.lookUp(ctx, op, ext, "Id,Number")
		switch {
		case err == nil:
			users = append(users, u)
		case fault.KindOf(err) != fault.NotFound:
			return nil, err
		}
	}
	return users, nil
}
