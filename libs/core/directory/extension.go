package directory

import "offhook.dev/libs/core/identity"

// Extension is an extension as a phone system has it.
type Extension struct {
	Number identity.Extension `json:"number"`
	Fields
	Enabled bool `json:"enabled"`
	// Marker is the object id of the Microsoft user that Offhook left on the extension
	// when it made or adopted it; "" where there is none, where the phone system has no
	// place for one, and in listings of a phone system that tells it for single
	// extensions only.
	Marker identity.User `json:"marker,omitempty"`
}

// Fields is what can be kept the same on both sides. An empty field is one without
// a value, and written as such.
type Fields struct {
	FirstName   string `json:"first_name,omitempty"`
	LastName    string `json:"last_name,omitempty"`
	DisplayName string `json:"display_name,omitempty"` // derived by most phone systems, and then only read
	Mail        string `json:"mail,omitempty"`
	Mobile      string `json:"mobile,omitempty"`
	// CallerID is the number shown to who is called from outside.
	CallerID string `json:"caller_id,omitempty"`
	// Department is the name of the phone system's group that the extension belongs to.
	Department string `json:"department,omitempty"`
	// Language is a BCP 47 tag as Microsoft has it ("de-DE").
	Language string `json:"language,omitempty"`
	// SignIn says that the phone system's own Microsoft sign-in is on for this extension.
	SignIn bool `json:"sign_in,omitempty"`
}

// Field names a field of Fields, in plans, outcomes and capabilities.
type Field string

// The fields.
const (
	FirstName   Field = "first_name"
	LastName    Field = "last_name"
	DisplayName Field = "display_name"
	Mail        Field = "mail"
	Mobile      Field = "mobile"
	CallerID    Field = "caller_id"
	Department  Field = "department"
	Language    Field = "language"
	SignIn      Field = "sign_in"
	// Enabled is a field of Extension.
	Enabled Field = "enabled"
)

// Update is a change of some fields of an extension; the others stay as they are.
type Update struct {
	// Fields says which values of To count.
	Fields []Field   `json:"fields"`
	To     Extension `json:"to"`
}
