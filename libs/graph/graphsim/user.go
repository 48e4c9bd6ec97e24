package graphsim

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"strings"
	"time"
)

// User is what Graph tells of a user. Empty texts are null on the wire.
type User struct {
	ID                string   `json:"id"`
	UserPrincipalName string   `json:"userPrincipalName"`
	DisplayName       string   `json:"displayName"`
	GivenName         string   `json:"givenName"`
	Surname           string   `json:"surname"`
	Mail              string   `json:"mail"`
	JobTitle          string   `json:"jobTitle"`
	Department        string   `json:"department"`
	OfficeLocation    string   `json:"officeLocation"`
	MobilePhone       string   `json:"mobilePhone"`
	BusinessPhones    []string `json:"businessPhones"`
	PreferredLanguage string   `json:"preferredLanguage"`
	AccountEnabled    bool     `json:"accountEnabled"`
	UserType          string   `json:"userType"`
}

// Presence is the truth about one user.
type Presence struct {
	ID           string    `json:"id"`
	User         string    `json:"user"` // the user principal name
	Availability string    `json:"availability"`
	Activity     string    `json:"activity"`
	Since        time.Time `json:"since"`    // when it last changed
	Sequence     string    `json:"sequence"` // presence.sequenceNumber, sortable as text
}

// person is one user as the tenant holds it. 100,000 of them must be cheap, so the
// properties are computed from the index until somebody changes them.
type person struct {
	index   int
	id      string
	local   string // of the UPN
	edited  *User  // set once changed or added by hand
	removed string // reason of @removed, or ""

	availability, activity string
	since                  time.Time
	sequence               uint64
	showing                *showing // or nil: the Teams client alone
	mailbox                *mailbox // or nil: nobody has touched it
	unlicensed             bool     // has no licence for Teams
}

func userID(tenant string, index int) string {
	return guidOf(fmt.Sprintf("user %s %d", strings.ToLower(tenant), index))
}

// guidOf derives a version 4 GUID from text.
func guidOf(text string) string {
	sum := sha256.Sum256([]byte(text))
	sum[6] = sum[6]&0x0f | 0x40
	sum[8] = sum[8]&0x3f | 0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", sum[0:4], sum[4:6], sum[6:8], sum[8:10], sum[10:16])
}

// nameOf returns the given and family name and the local part of the index-th
// user; local parts are unique because (given, family, round) is.
func nameOf(seed uint64, index int) (given, family, local string) {
	given = givenNames[index%len(givenNames)]
	turn := index / len(givenNames)
	if turn == 0 {
		return given, familyNames[dice(seed, index)%uint64(len(familyNames))], strings.ToLower(given)
	}
	family = familyNames[(turn-1)%len(familyNames)]
	local = strings.ToLower(given + "." + family)
	if round := (turn - 1) / len(familyNames); round > 0 {
		local += fmt.Sprint(round + 1)
	}
	return given, family, local
}

// dice is a repeatable number for a user.
func dice(seed uint64, index int) uint64 {
	var b [16]byte
	binary.LittleEndian.PutUint64(b[:8], seed)
	binary.LittleEndian.PutUint64(b[8:], uint64(index))
	sum := sha256.Sum256(b[:])
	return binary.LittleEndian.Uint64(sum[:8])
}

// render returns all properties of p.
func (t *Tenant) render(p *person) User {
	if p.edited != nil {
		return *p.edited
	}
	given, family, local := nameOf(t.seed, p.index)
	roll := dice(t.seed, p.index)
	u := User{
		ID: p.id, UserPrincipalName: local + "@" + t.domain, Mail: local + "@" + t.domain,
		DisplayName: given + " " + family, GivenName: given, Surname: family,
		JobTitle:       jobTitles[roll>>8%uint64(len(jobTitles))],
		Department:     departments[roll>>16%uint64(len(departments))],
		OfficeLocation: fmt.Sprintf("Berlin %d", 1+roll>>24%9),
		// Berlin 23125 000-999 and mobile 171 39200 00-99 are kept free for fiction.
		BusinessPhones:    []string{fmt.Sprintf("+49 30 23125 %d", 200+p.index)},
		PreferredLanguage: languages[roll>>40%uint64(len(languages))],
		AccountEnabled:    true, UserType: "Member",
	}
	if roll>>32%3 > 0 {
		u.MobilePhone = fmt.Sprintf("+49 171 39200%02d", p.index%100)
	}
	return u
}

// defaultProperties are what GET /users answers without $select.
var defaultProperties = []string{"businessPhones", "displayName", "givenName", "id", "jobTitle", "mail",
	"mobilePhone", "officeLocation", "preferredLanguage", "surname", "userPrincipalName"}

// property returns one property as JSON has it; ok is false for a name that the
// simulator does not know.
func (u *User) property(name string) (value any, ok bool) {
	text := func(s string) (any, bool) {
		if s == "" {
			return nil, true
		}
		return s, true
	}
	switch name {
	case "id":
		return text(u.ID)
	case "userPrincipalName":
		return text(u.UserPrincipalName)
	case "displayName":
		return text(u.DisplayName)
	case "givenName":
		return text(u.GivenName)
	case "surname":
		return text(u.Surname)
	case "mail":
		return text(u.Mail)
	case "jobTitle":
		return text(u.JobTitle)
	case "department":
		return text(u.Department)
	case "officeLocation":
		return text(u.OfficeLocation)
	case "mobilePhone":
		return text(u.MobilePhone)
	case "userType":
		return text(u.UserType)
	case "preferredLanguage":
		return text(u.PreferredLanguage)
	case "accountEnabled":
		return u.AccountEnabled, true
	case "businessPhones":
		if u.BusinessPhones == nil {
			return []string{}, true
		}
		return u.BusinessPhones, true
	}
	return nil, false
}
