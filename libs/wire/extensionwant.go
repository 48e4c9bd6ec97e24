package wire

import (
	"time"

	"offhook.dev/libs/core/directory"
	"offhook.dev/libs/core/identity"
	eventv1 "offhook.dev/proto/gen/offhook/event/v1"
)

// ChangeOp is what is done to an extension or a phonebook's entry. It is an open set:
// a writer refuses what it does not know.
type ChangeOp string

// The operations.
const (
	OpCreate  ChangeOp = "create"
	OpAdopt   ChangeOp = "adopt" // an update that also leaves the marker
	OpUpdate  ChangeOp = "update"
	OpDisable ChangeOp = "disable"
	OpReturn  ChangeOp = "return" // an update that also enables
	OpDelete  ChangeOp = "delete"
)

// ExtensionWant is a change of one extension. The newest of an extension counts.
type ExtensionWant struct {
	ID       string // told again in the outcome
	Person   identity.Person
	Line     identity.Line
	Op       ChangeOp
	Update   directory.Update // of a create, all of To counts
	Plan     string           // which it is of, or ""
	WantedAt time.Time
}

// ExtensionWantSubject is the subject of the want for an extension.
func ExtensionWantSubject(l identity.Line) string { return "pbx.want.extension." + LineKey(l) }

// Encode implements Message.
func (w ExtensionWant) Encode() (string, []byte) {
	return ExtensionWantSubject(w.Line), marshal(&eventv1.ExtensionWant{
		Id: clean(w.ID), Tenant: string(w.Person.Tenant), User: string(w.Person.User), System: string(w.Line.System), Extension: string(w.Line.Extension),
		Op: clean(string(w.Op)), Fields: words(w.Update.Fields), To: extensionOut(w.Update.To), Plan: clean(w.Plan), WantedAt: stamp(w.WantedAt),
	})
}

// DecodeExtensionWant is the inverse of ExtensionWant.Encode.
func DecodeExtensionWant(data []byte) (ExtensionWant, error) {
	const op = "wire: extension want"
	var m eventv1.ExtensionWant
	if err := unmarshal(data, &m); err != nil {
		return ExtensionWant{}, err
	}
	who, err := person(op, m.Tenant, m.User)
	if err != nil {
		return ExtensionWant{}, err
	}
	l, err := line(op, m.System, m.Extension)
	if err != nil {
		return ExtensionWant{}, err
	}
	marker, err := userOrNone(op, m.To.GetMarker())
	if err != nil {
		return ExtensionWant{}, err
	}
	to := extensionIn(m.To, marker)
	to.Number = l.Extension
	return ExtensionWant{ID: m.Id, Person: who, Line: l, Op: ChangeOp(m.Op), Plan: m.Plan, WantedAt: moment(m.WantedAt),
		Update: directory.Update{Fields: unwords[directory.Field](m.Fields), To: to}}, nil
}

func extensionOut(e directory.Extension) *eventv1.Extension {
	return &eventv1.Extension{Number: string(e.Number), FirstName: clean(e.FirstName), LastName: clean(e.LastName), DisplayName: clean(e.DisplayName),
		Mail: clean(e.Mail), Mobile: clean(e.Mobile), CallerId: clean(e.CallerID), Department: clean(e.Department), Language: clean(e.Language),
		SignIn: e.SignIn, Enabled: e.Enabled, Marker: string(e.Marker)}
}

func extensionIn(m *eventv1.Extension, marker identity.User) directory.Extension {
	return directory.Extension{Enabled: m.GetEnabled(), Marker: marker, Fields: directory.Fields{
		FirstName: m.GetFirstName(), LastName: m.GetLastName(), DisplayName: m.GetDisplayName(), Mail: m.GetMail(), Mobile: m.GetMobile(),
		CallerID: m.GetCallerId(), Department: m.GetDepartment(), Language: m.GetLanguage(), SignIn: m.GetSignIn()}}
}

// ChangeResult is what came of a change of an extension or of a phonebook's entry. It is
// an open set.
type ChangeResult string

// The results.
const (
	ChangeDone    ChangeResult = "done"
	ChangeAlready ChangeResult = "already" // it was so
	ChangeTaken   ChangeResult = "taken"   // the number is somebody else's
	ChangeForeign ChangeResult = "foreign" // the extension is not the one that was meant
	ChangeFull    ChangeResult = "full"    // the licence, or the phonebook, has no room
	ChangeRefused ChangeResult = "refused" // the phone system will not have it as it is
	ChangeFailed  ChangeResult = "failed"  // tried for as long as there was hope
	ChangeLost    ChangeResult = "lost"    // it left the queue, and nobody has told what came of it
)

// Well says whether the phone system is as it was wanted.
func (r ChangeResult) Well() bool { return r == ChangeDone || r == ChangeAlready }

// ExtensionOutcome is what came of an ExtensionWant.
type ExtensionOutcome struct {
	ID     string // of the want
	Person identity.Person
	Line   identity.Line
	Op     ChangeOp
	Result ChangeResult
	Detail string // for people
	Plan   string
	At     time.Time
}

// ExtensionOutcomeSubject is the subject of what came of wants for an extension.
func ExtensionOutcomeSubject(l identity.Line) string { return "outcome.extension." + LineKey(l) }

// PhotoOutcomeSubject is that of what came of wants for an extension's photo: it must not
// take the place of what came of the extension itself.
func PhotoOutcomeSubject(l identity.Line) string { return "outcome.photo." + LineKey(l) }

// Encode implements Message.
func (o ExtensionOutcome) Encode() (string, []byte) {
	subject := ExtensionOutcomeSubject(o.Line)
	if o.Op == directory.SetPhoto {
		subject = PhotoOutcomeSubject(o.Line)
	}
	return subject, marshal(&eventv1.ExtensionOutcome{
		Id: clean(o.ID), Tenant: string(o.Person.Tenant), User: string(o.Person.User), System: string(o.Line.System), Extension: string(o.Line.Extension),
		Op: clean(string(o.Op)), Result: clean(string(o.Result)), Detail: clean(o.Detail), Plan: clean(o.Plan), At: stamp(o.At),
	})
}

// DecodeExtensionOutcome is the inverse of ExtensionOutcome.Encode.
func DecodeExtensionOutcome(data []byte) (ExtensionOutcome, error) {
	const op = "wire: extension outcome"
	var m eventv1.ExtensionOutcome
	if err := unmarshal(data, &m); err != nil {
		return ExtensionOutcome{}, err
	}
	who, err := person(op, m.Tenant, m.User)
	if err != nil {
		return ExtensionOutcome{}, err
	}
	l, err := line(op, m.System, m.Extension)
	if err != nil {
		return ExtensionOutcome{}, err
	}
	return ExtensionOutcome{ID: m.Id, Person: who, Line: l, Op: ChangeOp(m.Op), Result: ChangeResult(m.Result), Detail: m.Detail, Plan: m.Plan, At: moment(m.At)}, nil
}

// PhotoWant is the photo that an extension should have.
type PhotoWant struct {
	Person identity.Person
	Line   identity.Line
	ETag   string
	MIME   string
	Image  []byte // empty: none
}

// Encode implements Message.
func (w PhotoWant) Encode() (string, []byte) {
	return "pbx.want.photo." + LineKey(w.Line), marshal(&eventv1.PhotoWant{
		Tenant: string(w.Person.Tenant), User: string(w.Person.User), System: string(w.Line.System), Extension: string(w.Line.Extension),
		Etag: clean(w.ETag), Mime: clean(w.MIME), Image: w.Image,
	})
}

// DecodePhotoWant is the inverse of PhotoWant.Encode.
func DecodePhotoWant(data []byte) (PhotoWant, error) {
	const op = "wire: photo want"
	var m eventv1.PhotoWant
	if err := unmarshal(data, &m); err != nil {
		return PhotoWant{}, err
	}
	who, err := person(op, m.Tenant, m.User)
	if err != nil {
		return PhotoWant{}, err
	}
	l, err := line(op, m.System, m.Extension)
	if err != nil {
		return PhotoWant{}, err
	}
	return PhotoWant{Person: who, Line: l, ETag: m.Etag, MIME: m.Mime, Image: m.Image}, nil
}
