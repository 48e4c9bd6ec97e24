package api_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"offhook.dev/libs/bus/bustest"
	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/core/presence"
	"offhook.dev/libs/options"
	"offhook.dev/libs/wire"
	"offhook.dev/services/control-api/api"
	"offhook.dev/services/control-api/apitest"
)

// asked is an answer of the API to something else than a GET.
type asked struct {
	code    int
	etag    string
	entry   api.OptionsEntry
	problem api.Problem
}

// ask sends a request; body "" is none. header lines are "Name: value".
func ask(t *testing.T, method, url, body string, header ...string) asked {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	for _, line := range header {
		name, value, _ := strings.Cut(line, ": ")
		r.Header.Set(name, value)
	}
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	data, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	a := asked{code: answer.StatusCode, etag: answer.Header.Get("ETag")}
	var into any = &a.entry
	if answer.StatusCode != http.StatusOK {
		into = &a.problem
	}
	if err := json.Unmarshal(data, into); err != nil {
		t.Fatalf("%s %s: %v in %s", method, url, err, data)
	}
	return a
}

const optionsPath = "/api/v1/options/tenants/"

var (
	contoso = options.Key{Layer: options.Tenant, Tenant: "contoso"}
	annaKey = options.UserKey(apitest.Anna)
)

// inForce finds one option among those in force: "both tenant".
func inForce(e api.OptionsEntry, key string) string {
	for _, o := range e.Effective {
		if o.Key == key {
			return o.Value + " " + o.From
		}
	}
	return ""
}

func TestOptionsOfATenantAreReadSetAndTakenAway(t *testing.T) {
	s := scene(t)
	path := s.URL + optionsPath + "contoso"
	if a := ask(t, "GET", path, ""); a.code != 200 || a.entry.Revision != 0 || a.etag != `"0"` || a.entry.Concerns != 3 || string(a.entry.Options.Encode()) != "{}" {
		t.Fatalf("before anything is set: %+v", a)
	}
	a := ask(t, "PUT", path, `{"mode":"both","base":"away","teams":{"Away":"release"},"damping":"3s"}`)
	if a.code != 200 || a.entry.Revision == 0 || a.etag != fmt.Sprintf(`"%d"`, a.entry.Revision) || a.entry.Concerns != 3 ||
		a.entry.Options.Mode != "both" || a.entry.Options.By != "local" || a.entry.Options.At.IsZero() {
		t.Fatalf("set: %+v", a)
	}
	stored, revision := s.Stored(t, contoso)
	if stored.Mode != "both" || stored.Base != "away" || stored.Teams["Away"] != "release" || revision != a.entry.Revision {
		t.Errorf("stored: %+v at %d", stored, revision)
	}
	if anna := ask(t, "GET", path+"/users/anna", ""); inForce(anna.entry, "mode") != "both tenant" || inForce(anna.entry, "damping") != "3s tenant" ||
		inForce(anna.entry, "combine") != "teams-first configuration" || inForce(anna.entry, "teams.Away") != "release tenant" || anna.entry.Concerns != 1 {
		t.Errorf("in force for anna: %+v", anna.entry)
	}
	if other := ask(t, "GET", s.URL+optionsPath+"fabrikam/users/anna", ""); inForce(other.entry, "mode") != "teams-to-pbx configuration" {
		t.Errorf("in force in another tenant: %+v", other.entry)
	}
	if a := ask(t, "PUT", path, `{"combine":"strongest"}`); a.code != 200 || a.entry.Options.Mode != "" || a.entry.Options.Combine != "strongest" {
		t.Errorf("a PUT replaces the whole: %+v", a)
	}
	if a := ask(t, "DELETE", path, ""); a.code != 200 || len(a.entry.Options.Settings()) != 0 {
		t.Errorf("taken away: %+v", a)
	}
}

func TestARepetitionChangesNothing(t *testing.T) {
	s := scene(t)
	path := s.URL + optionsPath + "contoso"
	first := ask(t, "PUT", path, `{"mode":"both"}`)
	if again := ask(t, "PUT", path, `{"mode":"both"}`); again.entry.Revision != first.entry.Revision || !again.entry.Options.At.Equal(first.entry.Options.At) {
		t.Errorf("set twice: %+v after %+v", again.entry, first.entry)
	}
	gone := ask(t, "DELETE", path, "")
	if again := ask(t, "DELETE", path, ""); again.code != 200 || again.entry.Revision != gone.entry.Revision {
		t.Errorf("taken away twice: %+v after %+v", again.entry, gone.entry)
	}
}

func TestOptionsOfAGroup(t *testing.T) {
	s := scene(t)
	const id = "10000000-0000-4000-8000-000000000001"
	a := ask(t, "PUT", s.URL+optionsPath+"contoso/groups/"+strings.ToUpper(id), `{"mode":"calendar","rank":2}`)
	if a.code != 200 || a.entry.Group != id || a.entry.Options.Rank != 2 || a.entry.Concerns != 0 {
		t.Errorf("%+v", a)
	}
	if stored, _ := s.Stored(t, options.Key{Layer: options.Group, Tenant: "contoso", ID: id}); stored.Mode != "calendar" {
		t.Errorf("stored: %+v", stored)
	}
}

// What is known of a group is said beside its options: its name, by which it is then
// found, how many are in it, and why that may not be so now.
func TestOptionsOfAGroupReachItsMembersAndSayWhoTheyAre(t *testing.T) {
	s := scene(t)
	const id = "10000000-0000-4000-8000-000000000001"
	path := s.URL + optionsPath + "contoso/groups/"
	seen := s.Bus.Now().UTC().Truncate(time.Microsecond)
	group := wire.Group{Tenant: "contoso", ID: id, Name: "Support", SeenAt: seen,
		Members: []identity.User{apitest.Anna.User, apitest.Clara.User, "00000000-0000-4000-8000-999999999999"}}
	if a := ask(t, "PUT", path+id, `{"mode":"calendar"}`); a.code != 200 || a.entry.Members != nil || a.entry.Concerns != 0 {
		t.Errorf("before it is read: %+v", a)
	}
	s.Publish(t, group)
	known := func(what string, ok func(api.OptionsEntry) bool) (e api.OptionsEntry) {
		t.Helper()
		bustest.Eventually(t, 10*time.Second, func() string {
			if e = ask(t, "GET", path+id, "").entry; !ok(e) {
				return fmt.Sprintf("%s: %+v, %+v", what, e, e.Members)
			}
			return ""
		})
		return e
	}
	e := known("read", func(e api.OptionsEntry) bool { return e.Members != nil })
	if e.Name != "Support" || e.Concerns != 2 || e.Members.Users != 3 || e.Members.Problem != "" || !e.Members.SeenAt.Equal(seen) {
		t.Errorf("read: %+v, %+v", e, e.Members)
	}
	anna := ask(t, "GET", s.URL+optionsPath+"contoso/users/anna", "")
	if i := slices.IndexFunc(anna.entry.Effective, func(o api.EffectiveOption) bool { return o.Key == "mode" }); anna.entry.Effective[i] !=
		(api.EffectiveOption{Key: "mode", Value: "calendar", From: "group", ID: id, Name: "Support"}) {
		t.Errorf("in force for anna: %+v", anna.entry.Effective[i])
	}
	if a := ask(t, "PUT", path+"sUPPORT", `{"mode":"both"}`); a.code != 200 || a.entry.Group != id || a.entry.Options.Mode != "both" {
		t.Errorf("by its name: %+v", a)
	}
	if a := ask(t, "GET", s.URL+optionsPath+"fabrikam/groups/Support", ""); a.code != 400 || a.problem.Code != api.CodeRequest {
		t.Errorf("by the name of another tenant's group: %+v", a)
	}
	twin := group
	twin.ID = "10000000-0000-4000-8000-000000000002"
	s.Publish(t, twin)
	bustest.Eventually(t, 10*time.Second, func() string {
		if a := ask(t, "GET", path+"Support", ""); a.code != 409 || !strings.Contains(a.problem.What, string(twin.ID)) {
			return fmt.Sprintf("by the name of two: %+v", a)
		}
		return ""
	})
	group.Problem = wire.GroupDenied
	s.Publish(t, group)
	known("denied", func(e api.OptionsEntry) bool { return e.Members.Problem == wire.GroupDenied && e.Concerns == 2 })
	group.Problem, group.Members, group.Name = wire.GroupUnnamed, nil, ""
	s.Publish(t, group)
	known("not read any more", func(e api.OptionsEntry) bool { return e.Members == nil && e.Concerns == 0 })
}

func TestWhoWaitsForADecisionIsCountedInAGroupToo(t *testing.T) {
	s := scene(t)
	const id = "10000000-0000-4000-8000-000000000001"
	s.Publish(t, wire.Group{Tenant: "contoso", ID: id, Name: "Support", Members: []identity.User{apitest.Anna.User, apitest.Ben.User}})
	s.Decided(t, presence.Both, apitest.Anna)
	s.Decided(t, presence.TeamsToPBX, apitest.Ben, apitest.Clara)
	ask(t, "PUT", s.URL+optionsPath+"contoso/groups/"+id, `{"mode":"both"}`)
	bustest.Eventually(t, 10*time.Second, func() string {
		a := ask(t, "GET", s.URL+optionsPath+"contoso/groups/"+id+"?undecided=true", "")
		if a.entry.Concerns != 2 || a.entry.Undecided == nil || *a.entry.Undecided != 1 {
			return fmt.Sprintf("%+v", a.entry)
		}
		return ""
	})
}

func TestAnOlderRevisionLosesNobodysChange(t *testing.T) {
	s := scene(t)
	path := s.URL + optionsPath + "contoso"
	first := ask(t, "PUT", path, `{"mode":"both"}`, `If-Match: "0"`)
	if first.code != 200 {
		t.Fatalf("over nothing: %+v", first)
	}
	if a := ask(t, "PUT", path, `{"mode":"calendar"}`, `If-Match: "0"`); a.code != 409 || a.problem.Code != api.CodeChanged {
		t.Errorf("over what was nothing: %+v", a)
	}
	if a := ask(t, "PUT", path, `{"mode":"calendar"}`, "If-Match: "+first.etag); a.code != 200 {
		t.Errorf("over what was read: %+v", a)
	}
	if a := ask(t, "DELETE", path, "", "If-Match: "+first.etag); a.code != 409 || a.problem.Code != api.CodeChanged {
		t.Errorf("taken away over what has changed: %+v", a)
	}
	for _, header := range []string{"If-Match: 17", "If-Match: *", `If-Match: W/"17"`, `If-Match: "017"`, "If-None-Match: *", "If-Unmodified-Since: Tue, 02 Jun 2026 09:30:00 GMT"} {
		if a := ask(t, "PUT", path, `{"mode":"both"}`, header); a.code != 400 || a.problem.Code != api.CodeRequest {
			t.Errorf("%s: %+v", header, a)
		}
	}
	if stored, _ := s.Stored(t, contoso); stored.Mode != "calendar" {
		t.Errorf("stored: %+v", stored)
	}
}

func TestChangesAtTheSameTimeAllCount(t *testing.T) {
	s := scene(t)
	var all sync.WaitGroup
	for i := range 12 {
		all.Go(func() {
			switch i % 3 {
			case 0:
				ask(t, "PUT", s.URL+optionsPath+"contoso/users/anna", `{"mode":"both"}`)
			case 1:
				ask(t, "PUT", s.URL+"/api/v1/users/anna/pause?tenant=contoso", `{}`)
			case 2:
				ask(t, "PUT", s.URL+"/api/v1/users/anna/choice?tenant=contoso", `{"status":"dnd"}`)
			}
		})
	}
	all.Wait()
	if stored, _ := s.Stored(t, annaKey); stored.Mode != "both" || !stored.PausedUntil.Equal(options.Forever) || stored.Chosen == nil || stored.Chosen.Status != "dnd" {
		t.Fatalf("stored: %s", stored.Encode())
	}
}

func TestWhatCannotBeSetIsRefusedAndNothingIsChanged(t *testing.T) {
	s := scene(t)
	anna := "contoso/users/anna"
	over := s.Bus.Now().Add(-time.Minute).Format(time.RFC3339)
	far := s.Bus.Now().AddDate(2, 0, 0).Format(time.RFC3339)
	cases := []struct {
		name, path, body string
		code             int
		problem          string
		says             []string
	}{
		{"everything wrong at once", "contoso", `{"mode":"sideways","base":"asleep","stale_after":"10s","rank":1,"teams":{"a b":"dnd"},"pbx":{"dnd":"Presenting"},"calendar":{"lunch":"dnd"}}`, 400, api.CodeOptions,
			[]string{"mode: ", "base: ", "stale_after: every reading", "rank: ", `"a b"`, "presenting", "lunch"}},
		{"entries that name nothing", "contoso", `{"teams":{"Awai":"release","*/Presentng":"dnd"}}`, 400, api.CodeOptions,
			[]string{`"Awai" names nothing`, "did you mean Away?", `"Presentng" names nothing`, "did you mean Presenting?"}},
		{"an unknown member", "contoso", `{"colour":"red"}`, 400, api.CodeBody, []string{"colour"}},
		{"an unknown member within", "contoso", `{"manual":{"min":"1"}}`, 400, api.CodeBody, []string{"min"}},
		{"no JSON", "contoso", `mode=both`, 400, api.CodeBody, nil},
		{"something behind", "contoso", `{} {}`, 400, api.CodeBody, nil},
		{"too much", "contoso", `{"base":"` + strings.Repeat("x", 70_000) + `"}`, 400, api.CodeBody, []string{"64 KiB"}},
		{"a time without a zone", anna, `{"paused_until":"2026-06-02T09:30:00"}`, 400, api.CodeBody, nil},
		{"a pause that is over", anna, `{"paused_until":"` + over + `"}`, 400, api.CodeOptions, []string{"paused_until: ", "is over"}},
		{"a pause of two years", anna, `{"paused_until":"` + far + `"}`, 400, api.CodeOptions, []string{"more than a year"}},
		{"a choice that is over", anna, `{"chosen":{"status":"dnd","until":"` + over + `"}}`, 400, api.CodeOptions, []string{"chosen: ", "is over"}},
		{"a choice on somebody else's extension", anna, `{"chosen":{"status":"dnd","system":"hq","extension":"101"}}`, 400, api.CodeOptions, []string{"no extension 101@hq", "100@hq"}},
		{"a choice for a tenant", "contoso", `{"chosen":{"status":"dnd"}}`, 400, api.CodeOptions, []string{"for a user"}},
		{"a tenant that there is not", "nobody", `{"mode":"both"}`, 404, api.CodeTenantUnknown, []string{"nobody"}},
		{"a tenant that cannot be one", "No%20Tenant", `{"mode":"both"}`, 400, api.CodeRequest, []string{"No Tenant"}},
		{"a user that there is not", "contoso/users/zoe", `{"mode":"both"}`, 404, api.CodeUserUnknown, []string{"zoe"}},
		{"an object id that there is not", "contoso/users/00000000-0000-4000-8000-999999999999", `{"mode":"both"}`, 404, api.CodeUserUnknown, nil},
		{"a user of another tenant", "fabrikam/users/ben", `{"mode":"both"}`, 404, api.CodeUserUnknown, nil},
		{"a group that cannot be one", "contoso/groups/sales", `{"mode":"both"}`, 400, api.CodeRequest, []string{"sales", "neither an object id"}},
		{"a parameter", "contoso?mode=both", `{}`, 400, api.CodeRequest, []string{"mode"}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			a := ask(t, "PUT", s.URL+optionsPath+c.path, c.body)
			if a.code != c.code || a.problem.Code != c.problem || a.problem.Where == "" || a.problem.Fix == "" {
				t.Fatalf("%d %+v", a.code, a.problem)
			}
			for _, says := range c.says {
				if !strings.Contains(a.problem.What, says) {
					t.Errorf("nothing says %q: %s", says, a.problem.What)
				}
			}
		})
	}
	for _, kind := range []string{"", "text/plain", "application/x-www-form-urlencoded", "application/jsonx"} {
		if a := ask(t, "PUT", s.URL+optionsPath+"contoso", `{"mode":"both"}`, "Content-Type: "+kind); a.code != 400 || a.problem.Code != api.CodeBody {
			t.Errorf("content type %q: %d %+v", kind, a.code, a.problem)
		}
	}
	if a := ask(t, "PUT", s.URL+optionsPath+"contoso", `{"mode":"both"}`, "Sec-Fetch-Site: cross-site"); a.code != 403 || a.problem.Code != api.CodeOrigin {
		t.Errorf("a foreign page: %d %+v", a.code, a.problem)
	}
	if a := ask(t, "POST", s.URL+optionsPath+"contoso", `{"mode":"both"}`); a.code != 405 || !strings.Contains(a.problem.Fix, "GET or HEAD or PUT or DELETE") {
		t.Errorf("another method: %d %+v", a.code, a.problem)
	}
	for _, key := range []options.Key{contoso, annaKey, {Layer: options.Tenant, Tenant: "nobody"}} {
		if stored, revision := s.Stored(t, key); revision != 0 {
			t.Errorf("%s has become %+v", key, stored)
		}
	}
}

func TestAUsersChoiceAndPauseOutliveTheirSettings(t *testing.T) {
	s := scene(t)
	path := s.URL + optionsPath + "contoso/users/anna"
	ask(t, "PUT", s.URL+"/api/v1/users/anna/choice?tenant=contoso", `{"status":"dnd"}`)
	ask(t, "PUT", s.URL+"/api/v1/users/anna/pause?tenant=contoso", "")
	before, _ := s.Stored(t, annaKey)
	same := func(when string) options.Record {
		t.Helper()
		now, _ := s.Stored(t, annaKey)
		if now.Chosen == nil || *now.Chosen != *before.Chosen || !now.PausedUntil.Equal(options.Forever) {
			t.Errorf("%s: %s", when, now.Encode())
		}
		return now
	}
	read := ask(t, "PUT", path, `{"mode":"both"}`)
	same("after other settings")
	back, err := json.Marshal(read.entry.Options)
	if err != nil {
		t.Fatal(err)
	}
	ask(t, "PUT", path, string(back))
	same("after what was read was sent back")
	ask(t, "DELETE", path, "")
	if now := same("after the settings were taken away"); now.Mode != "" {
		t.Errorf("left: %s", now.Encode())
	}
	a := ask(t, "PUT", path, `{"chosen":{"status":"away"}}`)
	if c := a.entry.Options.Chosen; a.code != 200 || c == nil || c.Status != "away" || !c.At.After(before.Chosen.At) || c.By != "local" {
		t.Errorf("given, it is replaced: %+v", a)
	}
}

func TestAStatusIsSetForAUserAndWithdrawn(t *testing.T) {
	s := scene(t)
	until := s.Bus.Now().Add(time.Hour).UTC().Truncate(time.Second)
	choice := func(user string) string { return s.URL + "/api/v1/users/" + url.PathEscape(user) + "/choice" }
	cases := []struct {
		name, method, url, body string
		key                     options.Key
		want                    options.Chosen
	}{
		{"on all extensions", "PUT", choice("100@hq"), `{"status":"dnd","until":"` + until.Format(time.RFC3339) + `"}`, annaKey, options.Chosen{Status: "dnd", Until: until}},
		{"again, without an end", "PUT", choice("anna@contoso.example"), `{"status":"dnd"}`, annaKey, options.Chosen{Status: "dnd"}},
		{"again, the same", "PUT", choice("anna@contoso.example"), `{"status":"dnd"}`, annaKey, options.Chosen{Status: "dnd"}},
		{"withdrawn", "DELETE", choice(string(apitest.Anna.User)), "", annaKey, options.Chosen{}},
		{"withdrawn again", "DELETE", choice(string(apitest.Anna.User)), "", annaKey, options.Chosen{}},
		{"on one extension", "PUT", choice("clara"), `{"status":"lunch","extension":"7102"}`, options.UserKey(apitest.Clara), options.Chosen{Status: "lunch", System: "branch", Extension: "7102"}},
		{"on one extension with its system", "PUT", choice("clara"), `{"status":"lunch","extension":"102","system":"hq"}`, options.UserKey(apitest.Clara), options.Chosen{Status: "lunch", System: "hq", Extension: "102"}},
		{"withdrawn on one", "DELETE", choice("clara") + "?extension=102", "", options.UserKey(apitest.Clara), options.Chosen{System: "hq", Extension: "102"}},
	}
	var last time.Time
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			a := ask(t, c.method, c.url, c.body)
			stored, revision := s.Stored(t, c.key)
			if a.code != 200 || stored.Chosen == nil || !stored.Chosen.Same(c.want) || stored.Chosen.By != "local" || a.entry.Revision != revision {
				t.Fatalf("%+v; stored %s at %d", a, stored.Encode(), revision)
			}
			if at := stored.Chosen.At; !at.After(last) {
				t.Errorf("chosen at %v, not after %v", at, last)
			} else {
				last = at
			}
		})
	}
}

func TestChoicesAndPausesThatCannotBeAreRefused(t *testing.T) {
	s := scene(t)
	over := s.Bus.Now().Add(-time.Minute).Format(time.RFC3339)
	for _, c := range []struct {
		name, method, path, body string
		code                     int
		problem                  string
	}{
		{"no status", "PUT", "anna/choice?tenant=contoso", `{}`, 400, api.CodeOptions},
		{"a status that there is not", "PUT", "anna/choice?tenant=contoso", `{"status":"asleep"}`, 400, api.CodeOptions},
		{"an end that is over", "PUT", "anna/choice?tenant=contoso", `{"status":"dnd","until":"` + over + `"}`, 400, api.CodeOptions},
		{"a system alone, where two are meant", "PUT", "clara/choice", `{"status":"dnd","system":"nowhere"}`, 400, api.CodeOptions},
		{"an unknown member", "PUT", "clara/choice", `{"status":"dnd","untill":"x"}`, 400, api.CodeBody},
		{"nothing", "PUT", "clara/choice", ``, 400, api.CodeBody},
		{"two people", "PUT", "anna/choice", `{"status":"dnd"}`, 409, api.CodeUserAmbiguous},
		{"nobody", "PUT", "zoe/choice", `{"status":"dnd"}`, 404, api.CodeUserUnknown},
		{"somebody without an extension", "PUT", "dora/choice", `{"status":"dnd"}`, 404, api.CodeUserUnlinked},
		{"a withdrawal on a foreign extension", "DELETE", "clara/choice?extension=100", ``, 400, api.CodeOptions},
		{"a pause that is over", "PUT", "clara/pause", `{"until":"` + over + `"}`, 400, api.CodeOptions},
		{"a pause without a time", "PUT", "clara/pause", `{"until":"tomorrow"}`, 400, api.CodeBody},
		{"a pause of two people", "DELETE", "anna/pause", ``, 409, api.CodeUserAmbiguous},
		{"reading a pause", "GET", "clara/pause", ``, 405, api.CodePath},
	} {
		t.Run(c.name, func(t *testing.T) {
			if a := ask(t, c.method, s.URL+"/api/v1/users/"+c.path, c.body); a.code != c.code || a.problem.Code != c.problem || a.problem.Fix == "" {
				t.Fatalf("%d %+v", a.code, a.problem)
			}
		})
	}
	for _, who := range []identity.Person{apitest.Anna, apitest.Clara, apitest.Dora} {
		if stored, revision := s.Stored(t, options.UserKey(who)); revision != 0 {
			t.Errorf("%s has become %+v", who, stored)
		}
	}
}

func TestAUserIsPausedAndTakenUpAgain(t *testing.T) {
	s := scene(t)
	pause := s.URL + "/api/v1/users/dora/pause" // an extension is not needed
	until := s.Bus.Now().Add(time.Hour).UTC().Truncate(time.Second)
	a := ask(t, "PUT", pause, `{"until":"`+until.Format(time.RFC3339)+`"}`)
	if a.code != 200 || !a.entry.Options.PausedUntil.Equal(until) || inForce(a.entry, "paused_until") != until.Format(time.RFC3339)+" user" {
		t.Fatalf("until a time: %+v", a)
	}
	if a := ask(t, "PUT", pause, `{}`); !a.entry.Options.PausedUntil.Equal(options.Forever) {
		t.Errorf("without an end: %+v", a)
	}
	if a := ask(t, "DELETE", pause, ""); a.code != 200 || !a.entry.Options.PausedUntil.IsZero() || inForce(a.entry, "paused_until") != "" {
		t.Errorf("taken up: %+v", a)
	}
}

func TestOptionsOfANewerVersionAreNotOverwritten(t *testing.T) {
	s := scene(t)
	s.Store(t, contoso, `{"mode":"both","colour":"red"}`)
	for _, method := range []string{"GET", "PUT", "DELETE"} {
		a := ask(t, method, s.URL+optionsPath+"contoso", map[string]string{"PUT": `{"mode":"calendar"}`}[method])
		if a.code != 409 || a.problem.Code != api.CodeOptions || !strings.Contains(a.problem.What, "newer version") {
			t.Errorf("%s: %d %+v", method, a.code, a.problem)
		}
	}
}

func TestWhoIsNotDecidedUnderTheirOptionsYetIsCounted(t *testing.T) {
	s := scene(t)
	path := s.URL + optionsPath + "contoso"
	waiting := func(when, path string, want int) {
		t.Helper()
		if a := ask(t, "GET", path+"?undecided=true", ""); a.code != 200 || a.entry.Undecided == nil || *a.entry.Undecided != want {
			t.Errorf("%s: %+v, want %d", when, a, want)
		}
	}
	waiting("nobody was ever decided", path, 3)
	s.Decided(t, presence.TeamsToPBX, apitest.Anna, apitest.Ben, apitest.Clara, apitest.Dora, apitest.Anne)
	waiting("everybody is", path, 0)
	ask(t, "PUT", path, `{"mode":"both"}`)
	waiting("another mode is set", path, 3)
	waiting("in another tenant", s.URL+optionsPath+"fabrikam", 0)
	s.Decided(t, presence.Both, apitest.Anna, apitest.Ben)
	waiting("all but clara are decided", path, 1)
	waiting("clara", path+"/users/clara", 1)
	waiting("anna", path+"/users/anna", 0)
	ask(t, "PUT", s.URL+"/api/v1/users/ben/pause", `{}`)
	waiting("ben is paused", path+"/users/ben", 1)
	both := presence.DefaultOptions()
	both.Mode, both.PausedUntil = presence.Both, options.Forever
	s.DecidedUnder(t, both, presence.Both, apitest.Ben)
	waiting("ben was decided on before the pause began", path+"/users/ben", 1)
	s.DecidedUnder(t, both, presence.Disabled, apitest.Ben)
	waiting("ben's pause is carried out", path+"/users/ben", 0)
	s.Decided(t, presence.Both, apitest.Clara)
	waiting("clara is decided", path, 0)
	ask(t, "PUT", path, `{"mode":"both","teams":{"Away":"release"}}`)
	waiting("the mapping is another one", path, 3)
	both.PausedUntil = time.Time{}
	var err error
	if both.Teams, err = both.Teams.With(map[string]string{"away": "release"}); err != nil {
		t.Fatal(err)
	}
	s.DecidedUnder(t, both, presence.Both, apitest.Anna)
	waiting("anna is decided under it", path, 2)
	waiting("anna is", path+"/users/anna", 0)
	if a := ask(t, "GET", path, ""); a.entry.Undecided != nil {
		t.Errorf("counted without being asked: %+v", a.entry)
	}
}
