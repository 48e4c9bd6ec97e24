package directory_test

import (
	"testing"
	"time"

	"offhook.dev/libs/core/directory"
	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/core/plan"
)

// reserved is small with cid, for whom 200 is reserved.
func reserved(change func(*directory.View)) func(*directory.View) {
	return func(v *directory.View) {
		v.Users = append(v.Users, user("cid"))
		v.Records = append(v.Records, record("200", "cid", directory.Reserved))
		change(v)
	}
}

func TestReservations(t *testing.T) {
	play(t, []scene{
		{"what was cut off before it was made is made, under its number", reserved(func(*directory.View) {}), "create cid 200 resumed"},
		{"what is there with the marker is ours", reserved(func(v *directory.View) { v.Extensions = append(v.Extensions, extension("200", "cid")) }), "note cid 200 confirmed"},
		{"and is updated like every other", reserved(func(v *directory.View) {
			v.Extensions = append(v.Extensions, extension("200", "cid"))
			v.Users[2].Surname = "Tal"
		}), "update cid 200 differs last_name=Tal; note cid 200 confirmed"},
		{"what is there with the address and no marker is ours", reserved(func(v *directory.View) { v.Extensions = append(v.Extensions, strange("200", "cid@x")) }),
			"update cid 200 differs first_name=Cid last_name=Berg; note cid 200 confirmed"},
		{"also with the address that was sent before it changed", reserved(func(v *directory.View) {
			v.Extensions = append(v.Extensions, extension("200", "cid"))
			v.Extensions[3].Marker, v.Records[2].Last.Mail = "", "cid@x"
			v.Users[2].Mail, v.Users[2].UPN = "new@x", "new@x"
		}), "update cid 200 differs mail=new@x; note cid 200 confirmed"},
		{"what nothing tells whose it is is asked for again", reserved(func(v *directory.View) { v.Extensions = append(v.Extensions, strange("200", "other@x")) }), "create cid 200 resumed"},
		{"what has another address than was sent is given up for another number", reserved(func(v *directory.View) {
			v.Extensions, v.Records[2].Last.Mail = append(v.Extensions, strange("200", "other@x")), "cid@x"
		}), "create cid 203 new; forget cid 200 number-taken"},
		{"what has another's marker is given up for another number", reserved(func(v *directory.View) { v.Extensions = append(v.Extensions, extension("200", "zoe")) }),
			"create cid 203 new; forget cid 200 number-taken"},
		{"a number that was refused is given up for another", reserved(func(v *directory.View) { v.Taken = []identity.Extension{"200"} }), "create cid 203 new; forget cid 200 number-taken"},
		{"also if a stranger of that number is listed", reserved(func(v *directory.View) {
			v.Taken, v.Extensions = []identity.Extension{"200"}, append(v.Extensions, strange("200", "other@x"))
		}), "create cid 203 new; forget cid 200 number-taken"},
		{"what is given up and fits is adopted by whom it fits", reserved(func(v *directory.View) {
			v.Extensions, v.Users = append(v.Extensions, extension("200", "dan")), append(v.Users, user("dan"))
		}), "create cid 203 new; adopt dan 200 marker; forget cid 200 number-taken"},
		{"who is gone before it was made keeps the number for the hold", reserved(func(v *directory.View) { v.Users[2].Gone = true }), "note cid 200 resumed"},
		{"then it is free", reserved(func(v *directory.View) { v.Users[2].Gone, v.Records[2].Left = true, noon.Add(-30*day) }), "forget cid 200 reservation-over"},
		{"what turns up after all is disabled", reserved(func(v *directory.View) {
			v.Users[2].Gone, v.Extensions = true, append(v.Extensions, extension("200", "cid"))
		}), "disable cid 200 gone enabled=false; note cid 200 confirmed"},
		{"a reservation beside an extension is left to end", reserved(func(v *directory.View) {
			v.Records, v.Extensions = append(v.Records, record("205", "cid", directory.Created)), append(v.Extensions, extension("205", "cid"))
		}), "note cid 200 resumed"},
		{"of two who reserved a number the earlier has it", reserved(func(v *directory.View) {
			v.Users, v.Records = append(v.Users, user("dan")), append(v.Records, record("200", "dan", directory.Reserved))
			v.Records[2].Since = noon.Add(-day)
		}), "create cid 203 new; create dan 200 resumed; forget cid 200 number-owned-twice"},
		{"of two who have a number the marker says whose it is", func(v *directory.View) { v.Records[0].Line.Extension, v.Records[0].Since = "202", noon.Add(-90*day) },
			"conflict anna 202 number-owned-twice"},
		{"an extension that became another's is left alone", func(v *directory.View) { v.Extensions[0].Marker = "zoe" }, "conflict anna 201 others-marker"},
		{"a marker that is missing says nothing, as not every phone system lists them", func(v *directory.View) { v.Extensions[0].Marker = "" }, ""},
		{"but for what was perhaps not taken over, which is asked for again", func(v *directory.View) { v.Extensions[0].Marker, v.Records[0].Unsent = "", true }, "adopt anna 201 resumed"},
		{"with what differs", func(v *directory.View) {
			v.Extensions[0].Marker, v.Extensions[0].FirstName, v.Records[0].Unsent = "", "A.", true
		}, "adopt anna 201 resumed first_name=Anna"},
		{"what was is seen by the marker", func(v *directory.View) { v.Records[0].Unsent = true }, "note anna 201 confirmed"},
		{"and is updated like every other", func(v *directory.View) { v.Extensions[0].FirstName, v.Records[0].Unsent = "A.", true }, "update anna 201 differs first_name=Anna; note anna 201 confirmed"},
		{"who left meanwhile loses it like every other", func(v *directory.View) {
			v.Extensions[0].Marker, v.Users[0].Gone, v.Records[0].Unsent = "", true, true
		}, "disable anna 201 gone enabled=false"},
		{"and who is back has it back", func(v *directory.View) {
			v.Extensions[0].Marker, v.Extensions[0].Enabled, v.Records[0].Left, v.Records[0].Unsent = "", false, noon.Add(-day), true
		}, "return anna 201 back enabled=true"},
		{"a number that something else has meanwhile is a conflict", func(v *directory.View) { v.Extensions, v.Taken = v.Extensions[1:], []identity.Extension{"201"} }, "conflict anna 201 number-taken"},
		{"an account is noted as enabled when it is first seen so", func(v *directory.View) { v.Records[0].WasEnabled = false }, "note anna 201 confirmed"},
		{"what is made again takes a seat of the licence before somebody new", func(v *directory.View) {
			one := 1
			v.Extensions, v.Users, v.Free = v.Extensions[1:], append(v.Users, user("aaron")), &one
		}, "skip aaron licence-full; create anna 201 deleted-there"},
	})
}

func TestPairsOfTheConfiguration(t *testing.T) {
	pair := func(who, number string) func(*directory.View) {
		return func(v *directory.View) {
			v.Users = append(v.Users, user("cid"))
			v.Explicit = []directory.Explicit{{Tenant: "contoso", User: who, Number: identity.Extension(number)}}
		}
	}
	play(t, []scene{
		{"a stranger's extension is taken over by address", pair("CID@x", "100"), "adopt cid 100 configured first_name=Cid last_name=Berg mail=cid@x"},
		{"or by object id", pair("cid", "100"), "adopt cid 100 configured first_name=Cid last_name=Berg mail=cid@x"},
		{"whatever the scope", func(v *directory.View) { pair("cid", "100")(v); v.Users[2].Guest = true }, "adopt cid 100 configured first_name=Cid last_name=Berg mail=cid@x"},
		{"also of a shared mailbox", func(v *directory.View) {
			pair("cid", "100")(v)
			v.Users[2].Purpose, v.Users[2].Enabled = directory.SharedMailbox, false
		}, "adopt cid 100 configured first_name=Cid last_name=Berg mail=cid@x"},
		{"it wins over whoever had it, who gets another", pair("cid", "201"),
			"create anna 200 new; adopt cid 201 configured first_name=Cid mail=cid@x; forget anna 201 configured"},
		{"what the user has is noted as configured", func(v *directory.View) { pair("anna", "201")(v); v.Users = v.Users[:2] }, "note anna 201 confirmed"},
		{"what is marked as another's is marked as theirs", func(v *directory.View) {
			pair("anna", "201")(v)
			v.Users, v.Records[0].How, v.Extensions[0].Marker = v.Users[:2], directory.Configured, "zoe"
		}, "update anna 201 differs"},
		{"a second extension of a user is kept the same too", func(v *directory.View) { pair("anna", "100")(v); v.Users = v.Users[:2] }, "adopt anna 100 configured first_name=Anna last_name=Berg mail=anna@x"},
		{"an extension that is not there is a conflict, and nothing is guessed", pair("cid", "109"), "conflict cid 109 configured-missing"},
		{"a user that nobody knows is a conflict", func(v *directory.View) { pair("zoe@x", "100")(v); v.Users = v.Users[:2] }, "conflict zoe@x 100 configured-unknown"},
		{"an address of two users is a conflict", func(v *directory.View) { pair("cid@x", "100")(v); v.Users[1].UPN = "cid@x"; v.Users[2].UPN = "" }, "conflict cid@x 100 configured-unknown"},
		{"a tenant that is not served is a conflict", func(v *directory.View) {
			v.Explicit = []directory.Explicit{{Tenant: "fabrikam", User: "anna@x", Number: "100"}}
		}, "conflict fabrikam/anna@x 100 configured-not-here"},
		{"an extension configured twice is a conflict of both", func(v *directory.View) {
			pair("cid", "100")(v)
			v.Explicit = append(v.Explicit, directory.Explicit{Tenant: "contoso", User: "anna", Number: "100"})
		}, "conflict anna 100 configured-twice; conflict cid 100 configured-twice"},
		{"configured twice for one user is once", func(v *directory.View) {
			pair("cid", "100")(v)
			v.Explicit = append(v.Explicit, directory.Explicit{Tenant: "contoso", User: "cid@x", Number: "100"})
		}, "adopt cid 100 configured first_name=Cid last_name=Berg mail=cid@x"},
		{"one that was deleted by hand under another's record is made for whom it is configured", func(v *directory.View) {
			pair("cid", "201")(v)
			v.Extensions = v.Extensions[1:]
		}, "create anna 200 new; create cid 201 configured; forget anna 201 configured"},
		{"or kept for them while the licence is full", func(v *directory.View) {
			pair("cid", "201")(v)
			none := 0
			v.Extensions, v.Free = v.Extensions[1:], &none
		}, "skip anna licence-full; skip cid 201 licence-full; note cid 201 configured; forget anna 201 configured"},
		{"unless something else has the number meanwhile", func(v *directory.View) {
			pair("cid", "201")(v)
			v.Extensions, v.Taken = v.Extensions[1:], []identity.Extension{"201"}
		}, "create anna 200 new; conflict cid 201 number-taken; forget anna 201 configured"},
		{"of a tenant that is off nothing is said", func(v *directory.View) { pair("cid", "109")(v); v.Rules["contoso"].Policy = plan.Off }, ""},
		{"who left loses it all the same", func(v *directory.View) {
			pair("anna", "201")(v)
			v.Users[0].Enabled, v.Users, v.Records[0].How = false, v.Users[:2], directory.Configured
		}, "disable anna 201 account-disabled enabled=false"},
	})
}

func TestNumbers(t *testing.T) {
	more := func(change func(*directory.View), names ...string) func(*directory.View) {
		return func(v *directory.View) {
			for _, name := range names {
				v.Users = append(v.Users, user(name))
			}
			change(v)
		}
	}
	rules := func(change func(*directory.Rules), names ...string) func(*directory.View) {
		return more(func(v *directory.View) { change(v.Rules["contoso"]) }, names...)
	}
	sales := func(r *directory.Rules) {
		r.Ranges = []directory.Range{{Departments: []string{"Sales"}, From: "300", To: "301"}, {Members: map[identity.User]bool{"eve": true}, From: "500", To: "599"}}
	}
	play(t, []scene{
		{"from the start, without those in use", more(func(*directory.View) {}, "cid", "dan"), "create cid 200 new; create dan 203 new"},
		{"not those of queues and the like", more(func(v *directory.View) { v.Taken = []identity.Extension{"200", "*77", "203", "204"} }, "cid"), "create cid 205 new"},
		{"not those of strangers", more(func(v *directory.View) { v.Extensions[2].Number = "200" }, "cid"), "create cid 203 new"},
		{"not those that the configuration names", more(func(v *directory.View) {
			v.Explicit = []directory.Explicit{{Tenant: "contoso", User: "zoe@x", Number: "200"}}
		}, "cid"), "create cid 203 new; conflict zoe@x 200 configured-unknown"},
		{"not those reserved", more(func(v *directory.View) { v.Records = append(v.Records, record("200", "zoe", directory.Reserved)) }, "cid"), "create cid 203 new"},
		{"without a start the first free one of the usual width", rules(func(r *directory.Rules) { r.Start = "" }, "cid"), "create cid 101 new"},
		{"of four digits where most have four", more(func(v *directory.View) {
			v.Rules["contoso"].Start = ""
			v.Extensions = append(v.Extensions, strange("1000", ""), strange("1001", ""), strange("7000", ""), strange("7001", ""))
		}, "cid"), "create cid 1002 new"},
		{"of three digits where there are none", func(v *directory.View) {
			v.Rules["contoso"].Start, v.Extensions, v.Records, v.Users = "", nil, nil, v.Users[:1]
		}, "create anna 100 new"},
		{"zeros in front stay", rules(func(r *directory.Rules) { r.Start = "0998" }, "cid", "dan", "eve"), "create cid 0998 new; create dan 0999 new; create eve 1000 new"},
		{"the width stays, and then the range is full", rules(func(r *directory.Rules) { r.Start = "998" }, "cid", "dan", "eve"), "create cid 998 new; create dan 999 new; skip eve numbers-full"},
		{"of the range of the department", func(v *directory.View) {
			rules(sales, "cid", "dan")(v)
			v.Users[2].Department = " sALES"
		}, "create cid 300 new; create dan 200 new"},
		{"of the range of the group", rules(sales, "dan", "eve"), "create dan 200 new; create eve 500 new"},
		{"of the first range that fits", func(v *directory.View) { rules(sales, "eve")(v); v.Users[2].Department = "Sales" }, "create eve 300 new"},
		{"a range that is full does not spill over", func(v *directory.View) {
			rules(sales, "cid", "dan", "fay")(v)
			for _, u := range v.Users[2:] {
				u.Department = "Sales"
			}
		}, "create cid 300 new; create dan 301 new; skip fay numbers-full"},
		{"a range for all", rules(func(r *directory.Rules) { r.Ranges = []directory.Range{{From: "700", To: "700"}} }, "cid", "dan"), "create cid 700 new; skip dan numbers-full"},
		{"who changes the department keeps the number", func(v *directory.View) { rules(sales)(v); v.Users[0].Department = "Sales" }, ""},
		{"two tenants share the numbers of a phone system", func(v *directory.View) {
			v.Users = append(v.Users, user("cid"), user("dan"))
			v.Users[3].Tenant = "fabrikam"
			v.Rules["fabrikam"] = &directory.Rules{Start: "200"}
		}, "create cid 200 new; create fabrikam/dan 203 new"},
	})
}

func TestPolicyAndBrakeOfExtensions(t *testing.T) {
	changed := func(v *directory.View) {
		v.Users[0].Gone, v.Users[1].Surname = true, "Tal"
		v.Users = append(v.Users, user("cid"), user("dan"))
		v.Extensions[2].Mail = "dan@x"
	}
	under := func(p plan.Policy, more ...func(*directory.View)) func(*directory.View) {
		return func(v *directory.View) {
			changed(v)
			v.Rules["contoso"].Policy = p
			for _, m := range more {
				m(v)
			}
		}
	}
	brake := func(v *directory.View) { v.Brake = plan.Brake{} }
	play(t, []scene{
		{"sync does everything", under(plan.Sync), "disable anna 201 gone enabled=false; update ben 202 differs last_name=Tal; create cid 200 new; adopt dan 100 address first_name=Dan last_name=Berg"},
		{"upsert-only takes nothing away", under(plan.UpsertOnly), "skip anna 201 policy; update ben 202 differs last_name=Tal; create cid 200 new; adopt dan 100 address first_name=Dan last_name=Berg"},
		{"create-only changes nothing that is there", under(plan.CreateOnly), "skip anna 201 policy; skip ben 202 policy; create cid 200 new; adopt dan 100 address"},
		{"create-only brings back who was away", func(v *directory.View) {
			v.Records[0].Left, v.Extensions[0].Enabled, v.Users[0].Surname, v.Rules["contoso"].Policy = noon.Add(-day), false, "Tal", plan.CreateOnly
		}, "return anna 201 back enabled=true"},
		{"and makes again what was deleted, whole", func(v *directory.View) {
			v.Records[0].Left, v.Extensions, v.Rules["contoso"].Policy = noon.Add(-day), v.Extensions[1:], plan.CreateOnly
		}, "return anna 201 back first_name=Anna last_name=Berg mail=anna@x enabled=true"},
		{"the brake holds back what is taken away, and nothing else", under(plan.Sync, brake), "disable anna 201 gone enabled=false held; update ben 202 differs last_name=Tal; create cid 200 new; adopt dan 100 address first_name=Dan last_name=Berg"},
		{"force lifts it", under(plan.Sync, brake, func(v *directory.View) { v.Force = true }), "disable anna 201 gone enabled=false; update ben 202 differs last_name=Tal; create cid 200 new; adopt dan 100 address first_name=Dan last_name=Berg"},
		{"what went a day ago counts", func(v *directory.View) {
			v.Users[0].Gone, v.Brake, v.Removed = true, plan.Brake{Count: 1}, []plan.Removal{{Key: "contoso/zoe hq/209", At: noon.Add(-time.Hour)}}
		}, "disable anna 201 gone enabled=false held"},
		{"what was disabled already and is still to be seen so is not counted twice", func(v *directory.View) {
			v.Users[0].Gone, v.Brake, v.Records[0].Left = true, plan.Brake{Count: 1}, noon.Add(-time.Hour)
			v.Removed = []plan.Removal{{Key: "contoso/anna hq/201", At: noon.Add(-time.Hour)}, {Key: "contoso/zoe hq/209", At: noon.Add(-time.Hour)}}
		}, "disable anna 201 put-back enabled=false"},
	})
}

// What a step stores and sends is what the words of the plan say.
func TestWhatAStepStoresAndSends(t *testing.T) {
	v := small()
	v.Users = append(v.Users, user("cid"))
	v.Users[0].Gone, v.Users[1].Surname = true, "Tal"
	v.Rules["contoso"].Photo, v.Users[1].Photo, v.Records[1].Photo = true, "new", "old"
	r, err := directory.PlanExtensions(v)
	if err != nil || len(r.Steps) != 3 {
		t.Fatalf("%s, %v", words(r), err)
	}
	anna, ben, cid := &r.Steps[0], &r.Steps[1], &r.Steps[2]
	if rec, ok := anna.Record(); !ok || rec.Left != noon || rec.How != directory.Created || rec.Active() {
		t.Errorf("who left is stored as %+v, %t", rec, ok)
	}
	if u := anna.Update(); !anna.Writes() || len(u.Fields) != 1 || u.Fields[0] != directory.Enabled || u.To.Enabled || u.To.LastName != "Berg" {
		t.Errorf("who left is written as %+v", u)
	}
	if rec, ok := ben.Record(); !ok || rec.Last.LastName != "Tal" || !rec.Active() {
		t.Errorf("an update is stored as %+v, %t", rec, ok)
	}
	if u := ben.Update(); len(u.Fields) != 1 || u.To.LastName != "Tal" || u.To.Number != "202" {
		t.Errorf("an update is written as %+v", u)
	}
	rec, ok := cid.Record()
	if !ok || rec.How != directory.Reserved || rec.Line != lineOf("200") || rec.Since != noon || !rec.WasEnabled || rec.Person != v.Users[2].Person || rec.Last.Mail != "cid@x" {
		t.Errorf("a new one is stored as %+v, %t", rec, ok)
	}
	if e := cid.Extension(); e.Marker != "cid" || !e.Enabled || e.FirstName != "Cid" || len(cid.Update().Fields) != 5 {
		t.Errorf("a new one is written as %+v", cid.Update())
	}
	if len(r.Photos) != 1 || r.Photos[0] != (directory.Photo{Person: v.Users[1].Person, Line: lineOf("202"), From: "old", To: "new"}) {
		t.Errorf("photos %+v", r.Photos)
	}
	if c := anna.Change(); c.Object != "contoso/anna" || c.Line != "hq/201" || c.Name != "anna@x" || c.Key() != "contoso/anna hq/201" {
		t.Errorf("%+v", c)
	}
	// Storing the same again is nothing to store.
	v.Records = append(v.Records, &rec)
	again, err := directory.PlanExtensions(v)
	if err != nil || len(again.Steps) != 3 || again.Steps[2].Reason != directory.Resumed {
		t.Fatalf("%s, %v", words(again), err)
	}
	if same, ok := again.Steps[2].Record(); ok {
		t.Errorf("what was stored is stored again: %+v", same)
	}
}
