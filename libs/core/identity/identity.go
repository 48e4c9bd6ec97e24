// Package identity names the things Offhook pairs: tenants, users, systems and
// extensions. Each has a type of its own, so that a user id cannot end up where
// an extension is meant. Parse functions are for values that come from outside;
// inside, a value of these types has been parsed once and is trusted.
package identity

import (
	"fmt"
	"regexp"
	"strings"
)

// Tenant is the configured id of one Microsoft 365 tenant, a slug of 1 to 32
// characters a-z, 0-9 and '-'. It is not the directory id (a GUID).
type Tenant string

// System is the configured id of one phone system, a slug like Tenant.
type System string

// User is a Microsoft Entra object id, a GUID in lower case. A user principal
// name is never used as a key: it changes, and it is personal data.
type User string

// Group is the object id of a group of the directory, a GUID in lower case.
type Group string

// Extension is a number on one phone system as that system writes it: 1 to 64
// digits, letters, '*', '#', '+', '-', '_' or '.'.
type Extension string

// Line is one extension of one phone system: what a want addresses.
type Line struct {
	System    System    `json:"system"`
	Extension Extension `json:"extension"`
}

// String returns "system/extension", for people and logs.
func (l Line) String() string { return string(l.System) + "/" + string(l.Extension) }

// Person is one user of one tenant: what a decision is about.
type Person struct {
	Tenant Tenant `json:"tenant"`
	User   User   `json:"user"`
}

// String returns "tenant/user", for people and logs.
func (p Person) String() string { return string(p.Tenant) + "/" + string(p.User) }

var (
	slug      = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{0,31}$`)
	guid      = regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$`)
	extension = regexp.MustCompile(`^[0-9A-Za-z*#+._-]{1,64}$`)
)

// ParseTenant accepts a slug.
func ParseTenant(s string) (Tenant, error) {
	if !slug.MatchString(s) {
		return "", fmt.Errorf("tenant id %q is not 1 to 32 characters of a-z, 0-9 and '-'", s)
	}
	return Tenant(s), nil
}

// ParseSystem accepts a slug.
func ParseSystem(s string) (System, error) {
	if !slug.MatchString(s) {
		return "", fmt.Errorf("system id %q is not 1 to 32 characters of a-z, 0-9 and '-'", s)
	}
	return System(s), nil
}

// ParseUser accepts a GUID in either case, without braces.
func ParseUser(s string) (User, error) {
	l := strings.ToLower(s)
	if !guid.MatchString(l) {
		return "", fmt.Errorf("user id %q is not an object id (a GUID)", s)
	}
	return User(l), nil
}

// ParseGroup accepts a GUID in either case, without braces.
func ParseGroup(s string) (Group, error) {
	l := strings.ToLower(s)
	if !guid.MatchString(l) {
		return "", fmt.Errorf("group id %q is not an object id (a GUID)", s)
	}
	return Group(l), nil
}

// ParseExtension accepts what phone systems use as numbers and short names.
func ParseExtension(s string) (Extension, error) {
	if !extension.MatchString(s) {
		return "", fmt.Errorf("extension %q has something else than 1 to 64 digits, letters and *#+._-", s)
	}
	return Extension(s), nil
}
