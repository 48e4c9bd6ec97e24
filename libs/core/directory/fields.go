package directory

import (
	"strconv"
	"time"

	"offhook.dev/libs/core/plan"
)

// fieldSet is a set of fields, by their places in order.
type fieldSet uint16

// order is that of fields in diffs. textFields are those that can be too long.
var (
	order      = []Field{FirstName, LastName, DisplayName, Mail, Mobile, CallerID, Department, Language, SignIn, Enabled}
	textFields = order[:8]
)

// The sets of one field that are asked for often.
const (
	mobileOnly  fieldSet = 1 << 4
	enabledOnly fieldSet = 1 << 9
)

func setOf(fields ...Field) (s fieldSet) {
	for _, f := range fields {
		for i, o := range order {
			if f == o {
				s |= 1 << i
			}
		}
	}
	return s
}

// list returns the fields in order.
func (s fieldSet) list() []Field {
	var fields []Field
	for i, f := range order {
		if s&(1<<i) != 0 {
			fields = append(fields, f)
		}
	}
	return fields
}

// Text returns a field's value as plans show it; that of a switch is "true" or "false".
func (e *Extension) Text(f Field) string {
	switch f {
	case FirstName:
		return e.FirstName
	case LastName:
		return e.LastName
	case DisplayName:
		return e.DisplayName
	case Mail:
		return e.Mail
	case Mobile:
		return e.Mobile
	case CallerID:
		return e.CallerID
	case Department:
		return e.Department
	case Language:
		return e.Language
	case SignIn:
		return strconv.FormatBool(e.SignIn)
	case Enabled:
		return strconv.FormatBool(e.Enabled)
	}
	return ""
}

// Apply changes the fields of an extension that the update names, and its marker.
func (u Update) Apply(e *Extension) {
	for _, f := range u.Fields {
		switch f {
		case FirstName:
			e.FirstName = u.To.FirstName
		case LastName:
			e.LastName = u.To.LastName
		case DisplayName:
			e.DisplayName = u.To.DisplayName
		case Mail:
			e.Mail = u.To.Mail
		case Mobile:
			e.Mobile = u.To.Mobile
		case CallerID:
			e.CallerID = u.To.CallerID
		case Department:
			e.Department = u.To.Department
		case Language:
			e.Language = u.To.Language
		case SignIn:
			e.SignIn = u.To.SignIn
		case Enabled:
			e.Enabled = u.To.Enabled
		}
	}
	if u.To.Marker != "" {
		e.Marker = u.To.Marker
	}
}

// differing returns the fields of mask that differ. Addresses are compared without case.
func differing(a, b *Extension, mask fieldSet) (s fieldSet) {
	add := func(i int, differ bool) {
		if differ {
			s |= 1 << i
		}
	}
	add(0, a.FirstName != b.FirstName)
	add(1, a.LastName != b.LastName)
	add(2, a.DisplayName != b.DisplayName)
	add(3, a.Mail != b.Mail && folded(a.Mail) != folded(b.Mail))
	add(4, a.Mobile != b.Mobile)
	add(5, a.CallerID != b.CallerID)
	add(6, a.Department != b.Department)
	add(7, a.Language != b.Language)
	add(8, a.SignIn != b.SignIn)
	add(9, a.Enabled != b.Enabled)
	return s & mask
}

// wants is what a tenant's rules want of fields on this phone system.
type wants struct {
	*Rules
	on    fieldSet // what is kept the same and the phone system takes
	now   time.Time
	lists *Lists // what the places in steps are places in
}

func newWants(r *Rules, writes []Field, now time.Time, lists *Lists) *wants {
	on := setOf(FirstName, LastName, DisplayName, Mail, Mobile, Enabled)
	for f, wanted := range map[Field]bool{CallerID: r.CallerID, Department: r.Department || r.Group != "", Language: r.Language, SignIn: r.SignIn} {
		if wanted {
			on |= setOf(f)
		}
	}
	if writes != nil {
		on &= setOf(writes...)
	}
	return &wants{r, on, now, lists}
}

// fields returns what the extension of a user should have. note, unless nil, is told of
// every value that cannot be as Microsoft has it.
func (w *wants) fields(u *User, note func(Field, Reason, string)) Fields {
	f := Fields{FirstName: tidy(u.GivenName), LastName: tidy(u.Surname), DisplayName: tidy(u.DisplayName), Mail: u.Address(), SignIn: w.SignIn}
	if w.on&mobileOnly != 0 {
		f.Mobile = w.mobile(u, note)
	}
	if w.CallerID {
		f.CallerID = w.callerID(u, note)
	}
	if w.Department {
		f.Department = tidy(u.Department)
	}
	if f.Department == "" {
		f.Department = w.Group
	}
	if w.Language {
		f.Language = u.Language
	}
	if len(w.Limits) > 0 {
		w.limit(&f, note)
	}
	return f
}

// mobile returns the number as it is written, if it is one.
func (w *wants) mobile(u *User, note func(Field, Reason, string)) string {
	text := asciiDigits(tidy(u.Mobile))
	if text == "" {
		return ""
	}
	var digits [longest]byte
	if _, _, reason := scanPhone(text, digits[:0]); reason != "" {
		tell(note, Mobile, reason, u.Mobile)
		return ""
	}
	return text
}

// callerID returns the office phone as it is dialled.
func (w *wants) callerID(u *User, note func(Field, Reason, string)) string {
	if len(u.Phones) == 0 {
		return ""
	}
	phone, reason := ParsePhone(u.Phones[0])
	if reason == "" && phone.Extension != "" {
		reason = ExtensionCut
	}
	if reason != "" {
		tell(note, CallerID, reason, u.Phones[0])
	}
	return phone.Number
}

// limit cuts names that are too long. Half an address or phone number would be somebody
// else's: one that is too long is left out.
func (w *wants) limit(f *Fields, note func(Field, Reason, string)) {
	for i, text := range []*string{&f.FirstName, &f.LastName, &f.DisplayName, &f.Mail, &f.Mobile, &f.CallerID, &f.Department, &f.Language} {
		field := textFields[i]
		short, cut := shorten(*text, w.Limits[field])
		switch {
		case !cut || w.on&(1<<i) == 0:
		case field == FirstName || field == LastName || field == DisplayName || field == Department:
			*text = short
			tell(note, field, Shortened, "to "+strconv.Itoa(w.Limits[field])+" characters")
		default:
			*text = ""
			tell(note, field, TooLong, "for "+strconv.Itoa(w.Limits[field])+" characters")
		}
	}
}

func tell(note func(Field, Reason, string), f Field, r Reason, detail string) {
	if note != nil {
		note(f, r, detail)
	}
}

// allowed returns the fields that the tenant's policy lets an operation write.
func (w *wants) allowed(op plan.Op, fields fieldSet) (s fieldSet) {
	for i, f := range order {
		if fields&(1<<i) != 0 && w.Policy.AllowsField(op, string(f)) {
			s |= 1 << i
		}
	}
	return s
}
