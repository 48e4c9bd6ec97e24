package api_test

import (
	"encoding/json"
	"net/url"
	"strings"
	"testing"
	"time"

	"offhook.dev/libs/bus/bustest"
	"offhook.dev/libs/core/presence"
	"offhook.dev/libs/wire"
	"offhook.dev/services/control-api/api"
	"offhook.dev/services/control-api/apitest"
)

func TestStatusSaysWhatEveryLinkedExtensionShowsAndWhy(t *testing.T) {
	s := scene(t)
	code, all := get[[]api.Status](t, s.URL+"/api/v1/status")
	if code != 200 || len(all) != 5 {
		t.Fatalf("%d with %d entries, want one for each of the 5 linked lines", code, len(all))
	}
	var order []string
	for _, each := range all {
		order = append(order, each.Tenant+" "+each.Extension+"@"+each.System)
	}
	if got := strings.Join(order, ", "); got != "contoso 7102@branch, contoso 100@hq, contoso 101@hq, contoso 102@hq, fabrikam 100@branch" {
		t.Errorf("order: %s", got)
	}
	anna := all[1]
	if anna.Shown != "dnd" || anna.Wanted != "dnd" || anna.Reason != "teams" || anna.Since == nil || anna.Name != "Anna Albers" ||
		len(anna.Claims) != 2 || anna.Claims[0] != (api.Claim{Source: "teams", Status: "dnd"}) {
		t.Errorf("anna: %+v", anna)
	}
	// Seen 90 minutes ago, but a sweep found it unchanged 30 minutes ago.
	if age := time.Duration(anna.Teams.AgeMS) * time.Millisecond; anna.Teams.Activity != "InAMeeting" || age < 30*time.Minute || age > 31*time.Minute {
		t.Errorf("anna's Teams value: %+v, want it confirmed by the sweep", anna.Teams)
	}
	if age := time.Duration(anna.AgeMS) * time.Millisecond; age < 89*time.Minute || age > 91*time.Minute {
		t.Errorf("anna's age %v, want the time since dnd was written", age)
	}
	if clara := all[3]; clara.Shown != "" || clara.Wanted != "" || clara.Teams != nil || clara.Claims == nil {
		t.Errorf("of clara nothing is known yet: %+v", clara)
	}
}

func TestOfWhomTheNumberIsKeptItIsSaidUntilWhen(t *testing.T) {
	s := apitest.Start(t, func(s *apitest.Stage) {
		apitest.Scene(t, s)
		s.Leaves(t, apitest.Dora, time.Date(2026, 6, 2, 9, 30, 0, 0, time.UTC), apitest.Line("hq", "103"))
	})
	code, problem := get[api.Problem](t, s.URL+"/api/v1/status?user=dora")
	if code != 404 || problem.Code != api.CodeUserUnlinked || !strings.HasSuffix(problem.What, "has no extension: 103@hq is disabled since 2026-06-02 and kept until 2026-07-02") || !strings.Contains(problem.Fix, "enable the user") {
		t.Errorf("%d %+v", code, problem)
	}
}

func TestStatusFieldsAreThoseOfTheInterface(t *testing.T) {
	s := scene(t)
	_, all := get[[]map[string]json.RawMessage](t, s.URL+"/api/v1/status?user=anna@contoso.example")
	for _, name := range []string{"tenant", "user", "upn", "name", "system", "extension", "shown", "wanted", "reason", "since", "claims", "teams", "lane", "age_ms"} {
		if _, ok := all[0][name]; !ok {
			t.Errorf("field %s is missing", name)
		}
	}
}

func TestANameMeansOnePersonOrTheErrorSaysWhatMatched(t *testing.T) {
	s := scene(t)
	cases := []struct {
		name, query string
		code        int
		want        string // extensions, or the problem's code
		says        string // part of the problem
	}{
		{"object id", "user=" + string(apitest.Ben.User), 200, "101@hq", ""},
		{"object id in capitals", "user=" + strings.ToUpper(string(apitest.Ben.User)), 200, "101@hq", ""},
		{"UPN in any case", "user=BEN@Contoso.example", 200, "101@hq", ""},
		{"local part", "user=clara", 200, "7102@branch 102@hq", ""},
		{"extension that one system has", "user=102", 200, "7102@branch 102@hq", ""},
		{"extension with its system", "user=100@hq", 200, "100@hq", ""},
		{"local part within a tenant", "user=anna&tenant=fabrikam", 200, "100@branch", ""},
		{"everybody of a tenant", "tenant=fabrikam", 200, "100@branch", ""},
		{"a tenant without anybody", "tenant=nobody", 200, "", ""},
		{"local part that two tenants have", "user=anna", 409, api.CodeUserAmbiguous, "anna@contoso.example 100@hq (tenant contoso), anna@fabrikam.example 100@branch (tenant fabrikam)"},
		{"extension that two systems have", "user=100", 409, api.CodeUserAmbiguous, "100@branch"},
		{"no such user", "user=zoe", 404, api.CodeUserUnknown, `"zoe"`},
		{"a name with strange characters", "user=" + url.QueryEscape("*.> \x00é"), 404, api.CodeUserUnknown, ""},
		{"user without extension", "user=dora", 404, api.CodeUserUnlinked, "dora@contoso.example"},
		{"a tenant that cannot be one", "tenant=No%20Tenant", 400, api.CodeRequest, "No Tenant"},
		{"unknown parameter", "usr=anna", 400, api.CodeRequest, "usr"},
		{"parameter given twice", "user=anna&user=ben", 400, api.CodeRequest, "twice"},
		{"broken escape", "user=%zz", 400, api.CodeRequest, "query"},
		{"semicolon", "user=anna;tenant=contoso", 400, api.CodeRequest, "query"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			if c.code != 200 {
				code, p := get[api.Problem](t, s.URL+"/api/v1/status?"+c.query)
				if code != c.code || p.Code != c.want || !strings.Contains(p.What, c.says) || p.Where == "" || p.Fix == "" {
					t.Fatalf("%d %+v, want %d %s that says %q, where and how to fix it", code, p, c.code, c.want, c.says)
				}
				return
			}
			code, found := get[[]api.Status](t, s.URL+"/api/v1/status?"+c.query)
			var lines []string
			for _, each := range found {
				lines = append(lines, each.Extension+"@"+each.System)
			}
			if got := strings.Join(lines, " "); code != 200 || got != c.want {
				t.Fatalf("%d %q, want %q", code, got, c.want)
			}
		})
	}
}

func TestStatusFollowsWhatHappens(t *testing.T) {
	s := scene(t)
	shows := func(user, want string) {
		t.Helper()
		bustest.Eventually(t, 5*time.Second, func() string {
			_, found := get[[]api.Status](t, s.URL+"/api/v1/status?user="+user)
			if found[0].Shown == want {
				return ""
			}
			return user + " shows " + found[0].Shown + ", want " + want
		})
	}
	s.Publish(t, apitest.Change{Who: apitest.Clara, Line: apitest.Line("hq", "102"), N: 1, At: s.Bus.Now(), Teams: "Away/Away", To: presence.Away}.Messages()...)
	shows("102@hq", "")    // ordered first: 7102@branch, still unknown
	shows("100@hq", "dnd") // untouched
	bustest.Eventually(t, 5*time.Second, func() string {
		if _, found := get[[]api.Status](t, s.URL+"/api/v1/status?user=clara"); found[1].Shown != "away" {
			return "clara shows " + found[1].Shown
		}
		return ""
	})
	s.Link(t, apitest.Dora, apitest.Line("hq", "103"))
	bustest.Eventually(t, 5*time.Second, func() string {
		if _, found := get[[]api.Status](t, s.URL+"/api/v1/status"); len(found) != 6 {
			return "dora's new extension is missing"
		}
		return ""
	})
}

func TestAMessageThatCannotBeReadCostsNothingElse(t *testing.T) {
	s := apitest.Start(t, func(s *apitest.Stage) {
		for _, subject := range []string{"m365.fact.presence.contoso.x", "m365.fact.sweep.contoso.x", "pbx.fact.status.hq.x", "m365.fact.user.contoso.x", "decision.contoso.x", "outcome.hq.x"} {
			s.Publish(t, raw{subject})
		}
		apitest.Scene(t, s)
	})
	if code, found := get[[]api.Status](t, s.URL+"/api/v1/status?user=100@hq"); code != 200 || found[0].Shown != "dnd" {
		t.Fatalf("%d %+v", code, found)
	}
}

// raw is a message that no Decode takes.
type raw struct{ subject string }

func (r raw) Encode() (string, []byte) { return r.subject, []byte("\xff\xffnot protobuf") }

var _ wire.Message = raw{}
