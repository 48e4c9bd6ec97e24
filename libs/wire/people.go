package wire

import (
	"math"
	"time"

	"offhook.dev/libs/core/directory"
	"offhook.dev/libs/core/fault"
	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/core/presence"
	"offhook.dev/libs/topology"
	eventv1 "offhook.dev/proto/gen/offhook/event/v1"
)

// User is a user of the directory.
type User struct {
	Person      identity.Person
	UPN, Mail   string
	DisplayName string
	GivenName   string
	Surname     string
	Mobile      string
	OfficePhone string // the first business phone, as it was written
	Department  string
	Language    string // BCP 47
	Type        string // "Member", "Guest"
	Purpose     string // of the mailbox: "user", "shared", "room", "equipment"; "" not asked, or no mailbox
	Photo       string // ETag; "" none, or not asked
	Enabled     bool
	Gone        bool // deleted; only Person and SeenAt are set
	SeenAt      time.Time
}

// Encode implements Message.
func (u User) Encode() (string, []byte) {
	return "m365.fact.user." + PersonKey(u.Person), marshal(&eventv1.UserFact{
		Tenant: string(u.Person.Tenant), User: string(u.Person.User), Upn: clean(u.UPN), Mail: clean(u.Mail),
		DisplayName: clean(u.DisplayName), GivenName: clean(u.GivenName), Surname: clean(u.Surname),
		Mobile: clean(u.Mobile), OfficePhone: clean(u.OfficePhone), Department: clean(u.Department), Language: clean(u.Language),
		Purpose: clean(u.Purpose), Photo: clean(u.Photo),
		UserType: clean(u.Type), Enabled: u.Enabled, Gone: u.Gone, SeenAt: stamp(u.SeenAt),
	})
}

// DecodeUser is the inverse of User.Encode.
func DecodeUser(data []byte) (User, error) {
	var m eventv1.UserFact
	if err := unmarshal(data, &m); err != nil {
		return User{}, err
	}
	who, err := person("wire: user", m.Tenant, m.User)
	if err != nil {
		return User{}, err
	}
	return User{Person: who, UPN: m.Upn, Mail: m.Mail, DisplayName: m.DisplayName, GivenName: m.GivenName, Surname: m.Surname,
		Mobile: m.Mobile, OfficePhone: m.OfficePhone, Department: m.Department, Language: m.Language, Purpose: m.Purpose, Photo: m.Photo,
		Type: m.UserType, Enabled: m.Enabled, Gone: m.Gone, SeenAt: moment(m.SeenAt)}, nil
}

// Inventory is an extension of a phone system and what can be done with it.
type Inventory struct {
	Line identity.Line
	directory.Fields
	Marker        identity.User // see directory.Extension
	Enabled, Gone bool
	Powers        presence.Powers
	SeenAt        time.Time
}

// Extension is what the phone system has there.
func (i Inventory) Extension() directory.Extension {
	return directory.Extension{Number: i.Line.Extension, Fields: i.Fields, Enabled: i.Enabled, Marker: i.Marker}
}

// Encode implements Message.
func (i Inventory) Encode() (string, []byte) {
	return InventorySubject(i.Line), marshal(&eventv1.InventoryFact{
		System: string(i.Line.System), Extension: string(i.Line.Extension), FirstName: clean(i.FirstName), LastName: clean(i.LastName), DisplayName: clean(i.DisplayName),
		Mail: clean(i.Mail), Mobile: clean(i.Mobile), CallerId: clean(i.CallerID), Department: clean(i.Department), Language: clean(i.Language), SignIn: i.SignIn,
		Marker: string(i.Marker), Enabled: i.Enabled, Gone: i.Gone, SeenAt: stamp(i.SeenAt),
		Writes: uint32(i.Powers.Write), Reads: uint32(i.Powers.Read), Rings: uint32(i.Powers.Ring),
	})
}

// InventorySubject is the subject of an extension.
func InventorySubject(l identity.Line) string { return "pbx.fact.inventory." + LineKey(l) }

// DecodeInventory is the inverse of Inventory.Encode.
func DecodeInventory(data []byte) (Inventory, error) {
	const op = "wire: inventory"
	var m eventv1.InventoryFact
	if err := unmarshal(data, &m); err != nil {
		return Inventory{}, err
	}
	l, err := line(op, m.System, m.Extension)
	if err != nil {
		return Inventory{}, err
	}
	marker, err := userOrNone(op, m.Marker)
	if err != nil {
		return Inventory{}, err
	}
	fields := directory.Fields{FirstName: m.FirstName, LastName: m.LastName, DisplayName: m.DisplayName, Mail: m.Mail, Mobile: m.Mobile, CallerID: m.CallerId,
		Department: m.Department, Language: m.Language, SignIn: m.SignIn}
	return Inventory{Line: l, Fields: fields, Marker: marker, Enabled: m.Enabled, Gone: m.Gone, SeenAt: moment(m.SeenAt),
		Powers: presence.Powers{Write: presence.Set(m.Writes) & presence.All, Read: presence.Set(m.Reads) & presence.All, Ring: presence.Set(m.Rings) & presence.All}}, nil
}

// userOrNone checks an object id that may be absent.
func userOrNone(op, id string) (identity.User, error) {
	if id == "" {
		return "", nil
	}
	user, err := identity.ParseUser(id)
	if err != nil {
		return "", fault.New(fault.Invalid, op, err)
	}
	return user, nil
}

// System is what a phone system can take of people and phonebooks.
type System struct {
	System   identity.System
	Version  string
	ListedAt time.Time // when the inventory was last read whole; what is not in the stream by then is not there
	// Fields are those of extensions that can be written; none: extensions cannot be.
	Fields                     []directory.Field
	Photo                      int // edge of the square in pixels; 0: no photos
	CompanyBook, PersonalBooks bool
	Numbers                    []directory.NumberKind // that a contact can have
	// Limits and BookLimits are how many characters it takes of a field of an extension, and
	// of a contact; of one that is not named as many as there are.
	Limits, BookLimits        map[directory.Field]int
	ExtensionsKept, BooksKept bool // by its own Microsoft 365 sync, which nobody has overruled
	SeenAt                    time.Time
}

// Encode implements Message.
func (s System) Encode() (string, []byte) {
	return SystemSubject(s.System), marshal(&eventv1.SystemFact{
		System: string(s.System), Version: clean(s.Version), ListedAt: stamp(s.ListedAt), Fields: words(s.Fields), Photo: uint32(s.Photo),
		CompanyBook: s.CompanyBook, PersonalBooks: s.PersonalBooks, Numbers: words(s.Numbers),
		ExtensionsKept: s.ExtensionsKept, BooksKept: s.BooksKept, SeenAt: stamp(s.SeenAt),
		Limits: limitsOut(s.Limits), BookLimits: limitsOut(s.BookLimits),
	})
}

func limitsOut(limits map[directory.Field]int) map[string]uint32 {
	out := make(map[string]uint32, len(limits))
	for field, n := range limits {
		out[clean(string(field))] = uint32(n)
	}
	return out
}

// limitsIn leaves out what limits nothing, or nothing that there is.
func limitsIn(limits map[string]uint32) map[directory.Field]int {
	var in map[directory.Field]int
	for field, n := range limits {
		if n == 0 || n > math.MaxInt32 {
			continue
		}
		if in == nil {
			in = map[directory.Field]int{}
		}
		in[directory.Field(field)] = int(n)
	}
	return in
}

// SystemSubject is the subject of a phone system.
func SystemSubject(s identity.System) string { return "pbx.fact.system." + topology.Token(string(s)) }

// DecodeSystem is the inverse of System.Encode.
func DecodeSystem(data []byte) (System, error) {
	var m eventv1.SystemFact
	if err := unmarshal(data, &m); err != nil {
		return System{}, err
	}
	id, err := identity.ParseSystem(m.System)
	if err != nil {
		return System{}, fault.New(fault.Invalid, "wire: system", err)
	}
	return System{System: id, Version: m.Version, ListedAt: moment(m.ListedAt), Fields: unwords[directory.Field](m.Fields), Photo: int(m.Photo),
		CompanyBook: m.CompanyBook, PersonalBooks: m.PersonalBooks, Numbers: unwords[directory.NumberKind](m.Numbers),
		ExtensionsKept: m.ExtensionsKept, BooksKept: m.BooksKept, SeenAt: moment(m.SeenAt),
		Limits: limitsIn(m.Limits), BookLimits: limitsIn(m.BookLimits)}, nil
}

// words and unwords carry sets of names; one that is newer than this build is kept.
func words[T ~string](names []T) []string {
	var out []string
	for _, n := range names {
		out = append(out, clean(string(n)))
	}
	return out
}

func unwords[T ~string](names []string) []T {
	var out []T
	for _, n := range names {
		out = append(out, T(n))
	}
	return out
}

// Photo is a user's photo on its way to the phone systems.
type Photo struct {
	Person identity.Person
	ETag   string
	MIME   string
	Image  []byte // empty: there is none any more
	SeenAt time.Time
}

// Encode implements Message.
func (p Photo) Encode() (string, []byte) {
	return "m365.fact.photo." + PersonKey(p.Person), marshal(&eventv1.PhotoFact{
		Tenant: string(p.Person.Tenant), User: string(p.Person.User), Etag: clean(p.ETag), Mime: clean(p.MIME), Image: p.Image, SeenAt: stamp(p.SeenAt),
	})
}

// DecodePhoto is the inverse of Photo.Encode.
func DecodePhoto(data []byte) (Photo, error) {
	var m eventv1.PhotoFact
	if err := unmarshal(data, &m); err != nil {
		return Photo{}, err
	}
	who, err := person("wire: photo", m.Tenant, m.User)
	if err != nil {
		return Photo{}, err
	}
	return Photo{Person: who, ETag: m.Etag, MIME: m.Mime, Image: m.Image, SeenAt: moment(m.SeenAt)}, nil
}
