package directory_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"offhook.dev/libs/core/directory"
	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/core/plan"
)

// A conflict names both sides, so that a person can end it.
func TestConflictsNameBothSides(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(*directory.View)
		want   []string
	}{
		{"several extensions", func(v *directory.View) {
			v.Users, v.Extensions = append(v.Users, user("cid")), append(v.Extensions, strange("1001", "cid@x"), strange("102", "CID@x"))
		}, []string{"cid: extensions 102, 1001 fit"}},
		{"several users of an extension", func(v *directory.View) {
			v.Users = append(v.Users, user("dan"), user("cid"))
			v.Users[2].Mail, v.Users[3].Mail = "door@x", "door@x"
		}, []string{"cid: extension 100 fits contoso/cid, contoso/dan", "dan: extension 100 fits contoso/cid, contoso/dan"}},
		{"several users of an address", func(v *directory.View) { v.Users = append(v.Users, user("cid")); v.Users[2].Mail = "anna@x" },
			[]string{"cid: contoso/anna, contoso/cid have the address anna@x"}},
		{"a configured pair of two", func(v *directory.View) {
			v.Explicit = []directory.Explicit{{Tenant: "contoso", User: "anna", Number: "100"}, {Tenant: "contoso", User: "ben", Number: "100"}}
		}, []string{"anna: extension 100 is configured for contoso/anna, contoso/ben", "ben: extension 100 is configured for contoso/anna, contoso/ben"}},
		{"another's marker", func(v *directory.View) { v.Extensions[0].Marker = "zoe" }, []string{"anna: it is marked as user zoe's"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			v := small()
			c.change(&v)
			r, err := directory.PlanExtensions(v)
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, s := range r.Steps {
				if s.Op == plan.Conflict {
					got = append(got, string(s.Person.User)+": "+s.Detail)
				}
			}
			if !slices.Equal(got, c.want) {
				t.Errorf("%q, want %q", got, c.want)
			}
		})
	}
}

func TestOfManyThatShareAnAddressTheFirstFewAreNamed(t *testing.T) {
	v := small()
	for _, name := range []string{"c1", "c2", "c3", "c4", "c5", "c6", "c7"} {
		v.Users = append(v.Users, user(name))
		v.Users[len(v.Users)-1].Mail = "info@x"
	}
	r, err := directory.PlanExtensions(v)
	if err != nil || len(r.Steps) != 7 || r.Steps[6].Detail != "contoso/c1, contoso/c2, contoso/c3, contoso/c4, contoso/c5, 2 more have the address info@x" {
		t.Errorf("%s, %v, %s", words(r), err, r.Steps[len(r.Steps)-1].Detail)
	}
}

// Records are kept; a change of their form loses whose the numbers are.
func TestARecordAsItIsKept(t *testing.T) {
	r := record("201", "anna", directory.Created)
	r.Last = directory.Fields{Mail: "anna@x"}
	text, err := json.Marshal(r)
	const want = `{"line":{"system":"hq","extension":"201"},"how":"created","since":"2026-01-21T12:00:00Z","was_enabled":true,"last":{"mail":"anna@x"}}`
	if err != nil || string(text) != want {
		t.Errorf("%s, %v\nwant %s", text, err, want)
	}
	var back directory.Record
	if err := json.Unmarshal(text, &back); err != nil || back.Line != r.Line || !back.Left.IsZero() || !back.Active() {
		t.Errorf("%+v, %v", back, err)
	}
}

// What is to be told of values stands at the first step of whose they are, and by itself
// where nothing is to be done.
func TestRemarksStandWhereTheirObjectDoes(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(*directory.View)
		want   string
	}{
		{"nothing is told of what is as it should be", func(*directory.View) {}, ""},
		{"there is nothing to do", func(v *directory.View) { v.Users[1].Mobile = "call me" },
			"skip ben@x same [mobile not-a-number]"},
		{"somebody new, before and after others", func(v *directory.View) {
			v.Users = append(v.Users, user("aaron"), user("cid"))
			v.Users[0].Mobile, v.Users[2].Mobile, v.Users[3].Mobile = "call me", "ext. 12", "-"
		}, "create aaron@x new [mobile only-an-extension], skip anna@x same [mobile not-a-number], create cid@x new [mobile no-digits]"},
		{"an update", func(v *directory.View) {
			v.Users[0].Surname, v.Users[0].GivenName = "Bergmann-Schulze", "Anna-Lena"
			v.Rules["contoso"].Limits = map[directory.Field]int{directory.FirstName: 5, directory.LastName: 8}
		}, "update anna@x differs [first_name shortened, last_name shortened]"},
		{"two extensions of one user", func(v *directory.View) {
			v.Users[0].Mobile = "call me"
			v.Users[0].Surname = "Tal"
			v.Extensions = append(v.Extensions, extension("203", "anna"))
			v.Records = append(v.Records, record("203", "anna", directory.Created))
		}, "update anna@x differs [mobile not-a-number], update anna@x differs []"},
	} {
		t.Run(c.name, func(t *testing.T) {
			v := small()
			c.change(&v)
			r, err := directory.PlanExtensions(v)
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for change, step := range r.Shown() {
				if (step == nil) != (change.Reason == string(directory.Same)) {
					t.Errorf("%s: step %v", change, step)
				}
				var remarks []string
				for _, remark := range change.Remarks {
					remarks = append(remarks, remark.Field+" "+remark.Reason)
				}
				got = append(got, fmt.Sprintf("%s %s %s [%s]", change.Op, change.Name, change.Reason, strings.Join(remarks, ", ")))
			}
			if strings.Join(got, ", ") != c.want {
				t.Errorf("%s\nwant %s", strings.Join(got, ", "), c.want)
			}
		})
	}
}

func TestPhotos(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(*directory.View)
		want   []string
	}{
		{"a new one is set", func(v *directory.View) { v.Users[0].Photo = "a" }, []string{"anna 201 ->a"}},
		{"another one is set", func(v *directory.View) { v.Users[0].Photo, v.Records[0].Photo = "b", "a" }, []string{"anna 201 a->b"}},
		{"one that is no longer there is removed", func(v *directory.View) { v.Records[0].Photo = "a" }, []string{"anna 201 a->"}},
		{"the same one is left alone", func(v *directory.View) { v.Users[0].Photo, v.Records[0].Photo = "a", "a" }, nil},
		{"none where they are off", func(v *directory.View) { v.Users[0].Photo, v.Rules["contoso"].Photo = "a", false }, nil},
		{"none where nothing is updated", func(v *directory.View) { v.Users[0].Photo, v.Rules["contoso"].Policy = "a", plan.CreateOnly }, nil},
		{"none of who left", func(v *directory.View) { v.Users[0].Photo, v.Users[0].Enabled = "a", false }, nil},
		{"none before the extension is there", func(v *directory.View) { v.Users[0].Photo, v.Extensions = "a", v.Extensions[1:] }, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			v := small()
			v.Rules["contoso"].Photo = true
			c.change(&v)
			r, err := directory.PlanExtensions(v)
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, p := range r.Photos {
				got = append(got, string(p.Person.User)+" "+string(p.Line.Extension)+" "+p.From+"->"+p.To)
			}
			if !slices.Equal(got, c.want) {
				t.Errorf("%q, want %q", got, c.want)
			}
		})
	}
}

// A plan that was shown is stale as soon as something else would be done.
func TestAStalePlanOfExtensionsIsKnownByItsDigest(t *testing.T) {
	digest := func(change func(*directory.View)) string {
		v := small()
		v.Users = append(v.Users, user("cid"))
		change(&v)
		r, err := directory.PlanExtensions(v)
		if err != nil {
			t.Fatal(err)
		}
		return plan.Digest(r.Changes())
	}
	shown := digest(func(*directory.View) {})
	for name, same := range map[string]func(*directory.View){
		"time goes by":             func(v *directory.View) { v.Now = noon.Add(time.Hour) },
		"a guest joins":            func(v *directory.View) { v.Users = append(v.Users, user("dan")); v.Users[3].Guest = true },
		"the reservation was made": func(v *directory.View) { v.Records = append(v.Records, record("200", "cid", directory.Reserved)) },
	} {
		if digest(same) != shown {
			t.Errorf("%s: the plan is stale", name)
		}
	}
	for name, other := range map[string]func(*directory.View){
		"the number is taken": func(v *directory.View) { v.Taken = []identity.Extension{"200"} },
		"a name changes":      func(v *directory.View) { v.Users[2].Surname = "Tal" },
		"somebody leaves":     func(v *directory.View) { v.Users[0].Gone = true },
		"nobody is new":       func(v *directory.View) { v.Users = v.Users[:2] },
	} {
		if digest(other) == shown {
			t.Errorf("%s: the plan is not stale", name)
		}
	}
}
