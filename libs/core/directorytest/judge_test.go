package directorytest_test

import (
	"strings"
	"testing"
	"time"

	"offhook.dev/libs/core/directory"
	"offhook.dev/libs/core/directorytest"
	"offhook.dev/libs/core/identity"
)

var noon = time.Date(2026, 3, 2, 12, 0, 0, 0, time.UTC)

func user(name string) *directory.User {
	return &directory.User{Person: identity.Person{Tenant: "contoso", User: identity.User(name)}, Mail: name + "@x", UPN: name + "@x", GivenName: name, Surname: "Berg", Enabled: true}
}

func extension(number, name string) *directory.Extension {
	return &directory.Extension{Number: identity.Extension(number), Enabled: true, Marker: identity.User(name), Fields: directory.Fields{FirstName: name, LastName: "Berg", Mail: name + "@x"}}
}

func record(number, name string) *directory.Record {
	return &directory.Record{Person: user(name).Person, Line: identity.Line{System: "hq", Extension: identity.Extension(number)}, How: directory.Created, WasEnabled: true}
}

// small has anna at 201, ben, who left yesterday, at 202, cid, who is new, and a stranger
// at 200.
func small() *directorytest.World {
	w := &directorytest.World{Markers: true}
	w.System, w.Now = "hq", noon
	w.Rules = map[identity.Tenant]*directory.Rules{"contoso": {Start: "200", Hold: 48 * time.Hour}}
	w.Users = []*directory.User{user("anna"), user("ben"), user("cid")}
	w.Users[1].Enabled = false
	w.Records = []*directory.Record{record("201", "anna"), record("202", "ben")}
	w.Records[1].Left = noon.Add(-24 * time.Hour)
	w.Extensions = []*directory.Extension{extension("201", "anna"), extension("202", "ben"), {Number: "200", Fields: directory.Fields{FirstName: "Door"}}}
	w.Extensions[1].Enabled = false
	return w
}

// done is small as it should be after all that is to be done.
func done() *directorytest.World {
	w := small()
	w.Records = append(w.Records, record("203", "cid"))
	w.Extensions = append(w.Extensions, extension("203", "cid"))
	return w
}

func TestTheJudgeFindsNothingWrongWithWhatIsRight(t *testing.T) {
	if found := directorytest.Judge(small(), done()); len(found) > 0 {
		t.Error(found)
	}
}

// Somebody deletes anna's extension and makes it again, right in everything (seeds
// 12457473077524098106, 13676375979045547697 and 16031521895968631348 of the planner's test).
func TestAnExtensionMadeAnewByHandNeedsNoMarkerIfItIsRight(t *testing.T) {
	before, after := small(), done()
	before.Extensions[0].Marker, after.Extensions[0].Marker = "", ""
	if found := directorytest.Judge(before, after); len(found) > 0 {
		t.Error(found)
	}
	before.Extensions[0].Mobile = "1" // the control: it was written to
	if found := directorytest.Judge(before, after); len(found) != 1 || !strings.Contains(found[0], `anna's 201 is marked as ""'s`) {
		t.Errorf("%q", found)
	}
}

func TestEachLawCanBeBroken(t *testing.T) {
	for _, c := range []struct {
		want   string
		change func(before, after *directorytest.World)
	}{
		{"extension 203 is there twice", func(_, a *directorytest.World) { a.Extensions = append(a.Extensions, extension("203", "cid")) }},
		{"has the number of a queue", func(_, a *directorytest.World) { a.Queues = []identity.Extension{"203"} }},
		{"contoso/cid both have hq/201", func(_, a *directorytest.World) { a.Records[2].Line.Extension = "201" }},
		{"took the stranger's extension 200", func(_, a *directorytest.World) { a.Records = append(a.Records, record("200", "anna")) }},
		{"the stranger's extension", func(_, a *directorytest.World) { a.Extensions[2].Mobile = "1" }},
		{"the stranger's extension", func(_, a *directorytest.World) {
			a.Extensions = append(a.Extensions[:2:2], a.Extensions[3:]...)
		}},
		{"cid has hq/203, but should have none", func(b, a *directorytest.World) { b.Users[2].Guest, a.Users[2].Guest = true, true }},
		{"cid has hq/203, but should have none (a conflict)", func(b, a *directorytest.World) { b.Users[0].Mail, a.Users[0].Mail = "cid@x", "cid@x" }},
		{"for no reason", func(_, a *directorytest.World) { a.Records = append(a.Records, record("209", "anna")) }},
		{"cid has 0 extensions and should have a new one", func(_, a *directorytest.World) { a.Records, a.Extensions = a.Records[:2], a.Extensions[:3] }},
		{"cid has 205, though 203 is free", func(_, a *directorytest.World) { a.Records[2].Line.Extension, a.Extensions[3].Number = "205", "205" }},
		{"which is not of 200 to 999", func(_, a *directorytest.World) { a.Records[2].Line.Extension, a.Extensions[3].Number = "199", "199" }},
		{"cid has 200, which was something else's", func(_, a *directorytest.World) { a.Records[2].Line.Extension, a.Extensions[3].Number = "200", "208" }},
		{"cid has 202, which was contoso/ben's", func(_, a *directorytest.World) { a.Records[2].Line.Extension = "202" }},
		{"anna should have 201 (theirs), the record is <nil>", func(_, a *directorytest.World) { a.Records = a.Records[1:] }},
		{"anna should have 201 (theirs), which is not there", func(_, a *directorytest.World) { a.Extensions = a.Extensions[1:] }},
		{`anna's 201 has first name "x" instead of "anna"`, func(_, a *directorytest.World) { a.Extensions[0].FirstName = "x" }},
		{`anna's 201 has last name`, func(_, a *directorytest.World) { a.Extensions[0].LastName = "x" }},
		{`anna's 201 has mail`, func(_, a *directorytest.World) { a.Extensions[0].Mail = "x" }},
		{`anna's 201 has mobile`, func(_, a *directorytest.World) { a.Extensions[0].Mobile = "x" }},
		{`anna's 201 has enabled "false"`, func(_, a *directorytest.World) { a.Extensions[0].Enabled = false }},
		{`anna's 201 has caller id "x" instead of "+491"`, func(b, a *directorytest.World) {
			b.Users[0].Phones, a.Users[0].Phones, a.Extensions[0].CallerID, a.Rules["contoso"].CallerID = []string{"+49 (0)1"}, []string{"+49 (0)1"}, "x", true
		}},
		{`anna's 201 has department "" instead of "M365"`, func(_, a *directorytest.World) { a.Rules["contoso"].Group = "M365" }},
		{`anna's 201 is marked as "zoe"'s`, func(_, a *directorytest.World) { a.Extensions[0].Marker = "zoe" }},
		{"ben left, and lost the number 202 within the hold", func(_, a *directorytest.World) { a.Records = append(a.Records[:1:1], a.Records[2]) }},
		{"ben left at", func(_, a *directorytest.World) { a.Records[1].Left = noon }},
		{"ben left, and 202 was deleted within the hold", func(_, a *directorytest.World) { a.Extensions = append(a.Extensions[:1:1], a.Extensions[2:]...) }},
		{"ben left, and 202 is", func(_, a *directorytest.World) { a.Extensions[1].Enabled = true }},
		{"ben left, the hold is over, and there is", func(b, a *directorytest.World) {
			b.Records[1].Left, a.Records[1].Left = noon.Add(-48*time.Hour), noon.Add(-48*time.Hour)
		}},
		{"anna's 201 (nothing is known of them) became", func(b, a *directorytest.World) {
			b.Users, a.Users, a.Extensions[0].Mobile = b.Users[1:], a.Users[1:], "1"
		}},
		{"anna lost the number 201 (the marker of somebody else)", func(b, a *directorytest.World) {
			b.Extensions[0].Marker, a.Extensions[0].Marker, a.Records = "zoe", "zoe", a.Records[1:]
		}},
		{"anna's 201 should be as it was and enabled", func(b, a *directorytest.World) {
			b.Users[0].GivenName, b.Users[0].Surname, a.Extensions[0].FirstName = "", "", ""
		}},
	} {
		t.Run(c.want, func(t *testing.T) {
			before, after := small(), done()
			c.change(before, after)
			if found := strings.Join(directorytest.Judge(before, after), "; "); !strings.Contains(found, c.want) {
				t.Errorf("found %q", found)
			}
		})
	}
}
