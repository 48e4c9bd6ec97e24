package directory_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"offhook.dev/libs/core/directory"
	"offhook.dev/libs/core/fault"
	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/core/plan"
)

// noon is when the tables plan.
var noon = time.Date(2026, 3, 2, 12, 0, 0, 0, time.UTC)

const day = 24 * time.Hour

// user is somebody of contoso in the best of health; the name is id, address and names.
func user(name string) *directory.User {
	return &directory.User{Person: identity.Person{Tenant: "contoso", User: identity.User(name)},
		UPN: name + "@x", Mail: name + "@x", GivenName: strings.ToUpper(name[:1]) + name[1:], Surname: "Berg", Enabled: true}
}

// extension is what Offhook makes for user.
func extension(number, name string) *directory.Extension {
	return &directory.Extension{Number: identity.Extension(number), Enabled: true, Marker: identity.User(name),
		Fields: directory.Fields{FirstName: strings.ToUpper(name[:1]) + name[1:], LastName: "Berg", Mail: name + "@x"}}
}

// strange is an extension that somebody made by hand.
func strange(number, mail string) *directory.Extension {
	return &directory.Extension{Number: identity.Extension(number), Enabled: true, Fields: directory.Fields{FirstName: "Some", LastName: "Body", Mail: mail}}
}

func record(number, name string, how directory.How) *directory.Record {
	return &directory.Record{Person: user(name).Person, Line: lineOf(number), How: how, Since: noon.Add(-40 * day), WasEnabled: true}
}

func lineOf(number string) identity.Line {
	return identity.Line{System: "hq", Extension: identity.Extension(number)}
}

// small is anna and ben, who have 201 and 202, and a stranger at 100.
func small() directory.View {
	return directory.View{
		System: "hq", Now: noon,
		Users:      []*directory.User{user("anna"), user("ben")},
		Extensions: []*directory.Extension{extension("201", "anna"), extension("202", "ben"), strange("100", "door@x")},
		Records:    []*directory.Record{record("201", "anna", directory.Created), record("202", "ben", directory.Created)},
		Rules:      map[identity.Tenant]*directory.Rules{"contoso": {Start: "200", Hold: 30 * day}},
		Brake:      plan.Brake{Count: 3, Percent: 5},
		Writes:     []directory.Field{directory.FirstName, directory.LastName, directory.Mail, directory.Mobile, directory.CallerID, directory.Department, directory.Language, directory.SignIn, directory.Enabled},
	}
}

// words writes steps and notes in a form that tables can hold: "create cid 200 new", with
// the fields of an update.
func words(r directory.Result) string {
	var all []string
	for _, s := range r.Steps {
		w := fmt.Sprintf("%s %s", s.Op, s.Person.User)
		if s.Person.Tenant != "contoso" {
			w = fmt.Sprintf("%s %s", s.Op, s.Person)
		}
		if s.Line.Extension != "" {
			w += " " + string(s.Line.Extension)
		}
		w += " " + string(s.Reason)
		if s.Op != plan.Create {
			for _, f := range s.Change().Fields {
				w += fmt.Sprintf(" %s=%s", f.Name, f.To)
			}
		}
		if s.Held {
			w += " held"
		}
		all = append(all, w)
	}
	for _, n := range r.Notes {
		all = append(all, fmt.Sprintf("note %s %s %s", n.Record().Person.User, n.Record().Line.Extension, n.Why))
	}
	for _, n := range r.Forgets {
		all = append(all, fmt.Sprintf("forget %s %s %s", n.Record().Person.User, n.Record().Line.Extension, n.Why))
	}
	return strings.Join(all, "; ")
}

// scene is a line of a table: what is other than in small, and what is planned then.
type scene struct {
	name   string
	change func(*directory.View)
	want   string
}

func play(t *testing.T, scenes []scene) {
	t.Helper()
	for _, c := range scenes {
		t.Run(c.name, func(t *testing.T) {
			v := small()
			c.change(&v)
			r, err := directory.PlanExtensions(v)
			if err != nil {
				t.Fatal(err)
			}
			if got := words(r); got != c.want {
				t.Errorf("planned %s\nwant    %s", got, c.want)
			}
			slices.Reverse(v.Users)
			slices.Reverse(v.Extensions)
			slices.Reverse(v.Records)
			slices.Reverse(v.Explicit)
			again, err := directory.PlanExtensions(v)
			if err != nil || words(again) != c.want {
				t.Errorf("in another order %s, %v", words(again), err)
			}
		})
	}
}

func TestUsersAndTheirExtensions(t *testing.T) {
	play(t, []scene{
		{"what is as it should be is left alone", func(*directory.View) {}, ""},
		{"a new user gets the first free number", func(v *directory.View) { v.Users = append(v.Users, user("cid")) }, "create cid 200 new"},
		{"a changed name is written, and nothing else", func(v *directory.View) { v.Users[0].Surname = "Tal" }, "update anna 201 differs last_name=Tal"},
		{"what was changed on the phone system returns", func(v *directory.View) { v.Extensions[0].FirstName, v.Extensions[0].Enabled = "Annie", false },
			"update anna 201 differs first_name=Anna enabled=true"},
		{"an address that differs by case is the same", func(v *directory.View) { v.Extensions[0].Mail = "ANNA@X" }, ""},
		{"a field that is not kept the same is left as it is", func(v *directory.View) { v.Extensions[0].Department, v.Extensions[0].CallerID = "Lab", "+4930" }, ""},
		{"what was deleted by hand comes back under its number", func(v *directory.View) { v.Extensions = v.Extensions[1:] }, "create anna 201 deleted-there"},
		{"somebody of whom nothing is known keeps everything", func(v *directory.View) { v.Users = v.Users[1:] }, ""},
		{"a tenant without rules keeps everything", func(v *directory.View) { v.Rules = nil; v.Users[0].Gone = true }, ""},
		{"a tenant that is off keeps everything", func(v *directory.View) { v.Rules["contoso"].Policy = plan.Off; v.Users[0].Gone = true }, ""},
	})
}

func TestLeaving(t *testing.T) {
	left := func(ago time.Duration) func(*directory.View) {
		return func(v *directory.View) {
			v.Users[0].Enabled, v.Records[0].Left, v.Extensions[0].Enabled = false, noon.Add(-ago), false
		}
	}
	and := func(all ...func(*directory.View)) func(*directory.View) {
		return func(v *directory.View) {
			for _, change := range all {
				change(v)
			}
		}
	}
	play(t, []scene{
		{"who is gone is disabled at once", func(v *directory.View) { *v.Users[0] = directory.User{Person: v.Users[0].Person, Gone: true} }, "disable anna 201 gone enabled=false"},
		{"who is disabled after having been enabled as well", func(v *directory.View) { v.Users[0].Enabled = false }, "disable anna 201 account-disabled enabled=false"},
		{"who was never seen enabled stays", func(v *directory.View) { v.Users[0].Enabled, v.Records[0].WasEnabled = false, false }, ""},
		{"who is no longer chosen is disabled", func(v *directory.View) { v.Rules["contoso"].Scope.Except = map[identity.User]bool{"anna": true} }, "disable anna 201 out-of-scope enabled=false"},
		{"who became a guest is disabled", func(v *directory.View) { v.Users[0].Guest = true }, "disable anna 201 guest enabled=false"},
		{"a room keeps its extension", func(v *directory.View) { v.Users[0].Purpose, v.Users[0].Enabled = directory.RoomMailbox, false }, ""},
		{"a room that is gone loses it", func(v *directory.View) { v.Users[0].Purpose, v.Users[0].Gone = directory.RoomMailbox, true }, "disable anna 201 gone enabled=false"},
		{"while the choice may be incomplete nobody leaves by it", func(v *directory.View) {
			v.Rules["contoso"].Scope, v.Rules["contoso"].Unsure = directory.Scope{Include: directory.Groups}, "group sales is gone"
		}, ""},
		{"during the hold nothing happens", left(29 * day), ""},
		{"what somebody enables during the hold is disabled again", and(left(29*day), func(v *directory.View) { v.Extensions[0].Enabled = true }), "disable anna 201 put-back enabled=false"},
		{"after the hold it is deleted", left(30 * day), "delete anna 201 hold-over"},
		{"nothing is deleted that is enabled", and(left(30*day), func(v *directory.View) { v.Extensions[0].Enabled = true }), "disable anna 201 put-back enabled=false"},
		{"when it is gone the record is forgotten", and(left(30*day), func(v *directory.View) { v.Extensions = v.Extensions[1:] }), "forget anna 201 hold-over"},
		{"who is back within the hold comes back with the same number", and(left(29*day), func(v *directory.View) { v.Users[0].Enabled = true }), "return anna 201 back enabled=true"},
		{"also after the hold, while it is there", and(left(31*day), func(v *directory.View) { v.Users[0].Enabled = true }), "return anna 201 back enabled=true"},
		{"also if it was deleted by hand meanwhile", and(left(9*day), func(v *directory.View) { v.Users[0].Enabled = true; v.Extensions = v.Extensions[1:] }),
			"return anna 201 back first_name=Anna last_name=Berg mail=anna@x enabled=true"},
		{"the number of who left is not given to anybody during the hold", and(left(29*day), func(v *directory.View) {
			v.Extensions, v.Users, v.Rules["contoso"].Start = v.Extensions[1:], append(v.Users, user("cid")), "201"
		}), "create cid 203 new"},
	})
}

func TestAdoption(t *testing.T) {
	cid := func(v *directory.View) { v.Users = append(v.Users, user("cid")) }
	play(t, []scene{
		{"by the marker, whatever the address", func(v *directory.View) { cid(v); v.Extensions[2].Marker = "cid" }, "adopt cid 100 marker first_name=Cid last_name=Berg mail=cid@x"},
		{"by the address, whatever its case", func(v *directory.View) { cid(v); v.Extensions[2].Mail = "CID@x" }, "adopt cid 100 address first_name=Cid last_name=Berg"},
		{"by the UPN", func(v *directory.View) { cid(v); v.Users[2].UPN = "door@x" }, "adopt cid 100 address first_name=Cid last_name=Berg mail=cid@x"},
		{"a disabled one is enabled", func(v *directory.View) {
			cid(v)
			*v.Extensions[2] = *extension("100", "cid")
			v.Extensions[2].Enabled = false
		}, "adopt cid 100 marker enabled=true"},
		{"two of one address are a conflict", func(v *directory.View) {
			cid(v)
			v.Extensions = append(v.Extensions, strange("101", "cid@x"), strange("102", "cid@x"))
		}, "conflict cid several-extensions"},
		{"two of one marker are a conflict", func(v *directory.View) {
			cid(v)
			v.Extensions = append(v.Extensions, extension("101", "cid"), extension("102", "cid"))
		}, "conflict cid several-extensions"},
		{"two users of the address are a conflict of both", func(v *directory.View) {
			cid(v)
			v.Users = append(v.Users, user("dan"))
			v.Users[2].Mail, v.Users[3].UPN = "door@x", "door@x"
		}, "conflict cid 100 several-users; conflict dan 100 several-users"},
		{"who has one contends as well", func(v *directory.View) { cid(v); v.Users[2].Mail, v.Users[1].UPN = "door@x", "door@x" }, "conflict cid 100 several-users"},
		{"an extension with another's marker is not about the address", func(v *directory.View) { cid(v); v.Extensions[2].Mail, v.Extensions[2].Marker = "cid@x", "zoe" }, "create cid 200 new"},
		{"two new users of one address are a conflict of both", func(v *directory.View) {
			cid(v)
			v.Users = append(v.Users, user("dan"))
			v.Users[2].Mail, v.Users[3].Mail = "info@x", "INFO@x"
		}, "conflict cid several-users; conflict dan several-users"},
		{"a new user with the address of one who has an extension is a conflict", func(v *directory.View) { cid(v); v.Users[2].Mail = "anna@x" }, "conflict cid several-users"},
		{"guests do not contend", func(v *directory.View) {
			cid(v)
			v.Users = append(v.Users, user("dan"))
			v.Users[2].Mail, v.Users[3].Mail, v.Users[3].Guest = "door@x", "door@x", true
		}, "adopt cid 100 address first_name=Cid last_name=Berg; skip dan guest"},
	})
}

func TestWhoGetsNone(t *testing.T) {
	play(t, []scene{
		{"no name", func(v *directory.View) {
			v.Users = append(v.Users, user("cid"))
			v.Users[2].GivenName, v.Users[2].Surname = " ", "\u200f"
		}, "skip cid no-name"},
		{"whom the choice of users names and nobody is", func(v *directory.View) { v.Rules["contoso"].Scope.Unknown = []string{"ana@x"} }, "conflict ana@x configured-unknown"},
		{"who may be among those who are not known yet", func(v *directory.View) {
			v.Rules["contoso"].Scope.Unknown, v.Rules["contoso"].Unsure = []string{"ana@x"}, "a group cannot be read"
		}, ""},
		{"one name is enough", func(v *directory.View) { v.Users = append(v.Users, user("cid")); v.Users[2].GivenName = "" }, "create cid 200 new"},
		{"a guest", func(v *directory.View) { v.Users = append(v.Users, user("cid")); v.Users[2].Guest = true }, "skip cid guest"},
		{"a guest where guests are on", func(v *directory.View) {
			v.Users = append(v.Users, user("cid"))
			v.Users[2].Guest, v.Rules["contoso"].Scope.Guests = true, true
		}, "create cid 200 new"},
		{"a room", func(v *directory.View) {
			v.Users = append(v.Users, user("cid"))
			v.Users[2].Purpose = directory.RoomMailbox
		}, "skip cid resource-mailbox"},
		{"a disabled account", func(v *directory.View) { v.Users = append(v.Users, user("cid")); v.Users[2].Enabled = false }, "skip cid account-disabled"},
		{"somebody who is gone is not mentioned", func(v *directory.View) { v.Users = append(v.Users, user("cid")); v.Users[2].Gone = true }, ""},
		{"not chosen", func(v *directory.View) {
			v.Users = append(v.Users, user("cid"))
			v.Rules["contoso"].Scope = directory.Scope{Include: directory.AllBut, People: map[identity.User]bool{"cid": true}}
		}, "skip cid out-of-scope"},
		{"a choice that may be incomplete", func(v *directory.View) {
			v.Users = append(v.Users, user("cid"))
			v.Rules["contoso"].Unsure = "first round"
		}, "skip cid unsure"},
		{"who loses the name keeps the extension as it is", func(v *directory.View) { v.Users[0].GivenName, v.Users[0].Surname, v.Users[0].Mobile = "", "", "030 1" }, "skip anna 201 no-name"},
		{"but what was disabled of it by hand is enabled", func(v *directory.View) {
			v.Users[0].GivenName, v.Users[0].Surname, v.Extensions[0].Enabled = "", "", false
		}, "update anna 201 differs enabled=true"},
		{"what was deleted of it is not made without a name", func(v *directory.View) {
			v.Users[0].GivenName, v.Users[0].Surname, v.Extensions = "", "", v.Extensions[1:]
		}, "skip anna 201 no-name"},
		{"the licence is full", func(v *directory.View) { v.Users = append(v.Users, user("cid"), user("dan")); one := 1; v.Free = &one }, "create cid 200 new; skip dan licence-full"},
	})
}

func TestRulesThatSayNothing(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(*directory.View)
		want   string
	}{
		{"a policy that does not exist", func(v *directory.View) { v.Rules["contoso"].Policy = "most" }, "upsert-only"},
		{"an include that does not exist", func(v *directory.View) { v.Rules["contoso"].Scope.Include = "most" }, "all-but"},
		{"a start that is no number", func(v *directory.View) { v.Rules["contoso"].Start = "2x" }, "starting number"},
		{"a range that ends before it begins", func(v *directory.View) { v.Rules["contoso"].Ranges = []directory.Range{{From: "300", To: "200"}} }, "range 1"},
		{"a range of two widths", func(v *directory.View) { v.Rules["contoso"].Ranges = []directory.Range{{From: "200", To: "2999"}} }, "range 1"},
		{"a negative hold", func(v *directory.View) { v.Rules["contoso"].Hold = -1 }, "negative"},
		{"a limit of no field", func(v *directory.View) { v.Rules["contoso"].Limits = map[directory.Field]int{"shoe": 3} }, "shoe"},
		{"a user listed twice", func(v *directory.View) { v.Users = append(v.Users, user("anna")) }, "contoso/anna is listed twice"},
		{"an extension listed twice", func(v *directory.View) { v.Extensions = append(v.Extensions, strange("100", "")) }, "100 is listed twice"},
		{"a record listed twice", func(v *directory.View) { v.Records = append(v.Records, record("201", "anna", directory.Created)) }, "hq/201 is listed twice"},
		{"a record of another phone system", func(v *directory.View) { v.Records[0].Line.System = "branch" }, "another phone system"},
	} {
		t.Run(c.name, func(t *testing.T) {
			v := small()
			c.change(&v)
			if _, err := directory.PlanExtensions(v); fault.KindOf(err) != fault.Invalid || !strings.Contains(fmt.Sprint(err), c.want) {
				t.Errorf("%v", err)
			}
		})
	}
}

// listed is a Listing.
type listed[T any] []T

func (l listed[T]) Len() int   { return len(l) }
func (l listed[T]) At(i int) T { return l[i] }

func TestListsThatAreNotInOrderAreRefused(t *testing.T) {
	for _, c := range []struct {
		claim  string
		change func(users []directory.User, extensions []directory.Extension, records []directory.Record)
		want   string
	}{
		{"in order they are planned with", func([]directory.User, []directory.Extension, []directory.Record) {}, ""},
		{"users are in the order of persons", func(u []directory.User, _ []directory.Extension, _ []directory.Record) { slices.Reverse(u) }, "user contoso/anna is listed out of order"},
		{"extensions in that of numbers", func(_ []directory.User, e []directory.Extension, _ []directory.Record) { slices.Reverse(e) }, "extension 201 is listed out of order"},
		{"records in that of persons", func(_ []directory.User, _ []directory.Extension, r []directory.Record) { slices.Reverse(r) }, "the record of contoso/anna at hq/201 is listed out of order"},
	} {
		v := small()
		var users listed[directory.User]
		var extensions listed[directory.Extension]
		var records listed[directory.Record]
		for i := range 2 {
			users, extensions, records = append(users, *v.Users[i]), append(extensions, *v.Extensions[i]), append(records, *v.Records[i])
		}
		c.change(users, extensions, records)
		v.Users, v.Extensions, v.Records = nil, nil, nil
		r, err := directory.PlanLists(v, directory.Lists{Users: users, Extensions: extensions, Records: records})
		if c.want == "" && (err != nil || len(r.Steps) != 0) || c.want != "" && (fault.KindOf(err) != fault.Invalid || !strings.Contains(fmt.Sprint(err), c.want)) {
			t.Errorf("not so: %s: %v, %v", c.claim, words(r), err)
		}
	}
}
