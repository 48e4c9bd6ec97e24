package pbxsim

import (
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"

	"offhook.dev/libs/core/directory"
	"offhook.dev/libs/core/identity"
)

// step is one request and what its answer must hold.
type step struct {
	method, path, body string
	status             int
	holds              string
}

// through asks for one step after the other.
func (c *client) through(t *testing.T, steps ...step) {
	t.Helper()
	for _, s := range steps {
		if status, body := c.do(s.method, s.path, s.body); status != s.status || !strings.Contains(body, s.holds) {
			t.Errorf("%s %s %s: %d %s", s.method, s.path, s.body, status, body)
		}
	}
}

// listed is what the phone system has under a number.
func (c *client) listed(ext identity.Extension) directory.Extension {
	c.t.Helper()
	shown, ok := c.sim.Shown(ext)
	if !ok {
		c.t.Fatalf("there is no extension %s", ext)
	}
	return shown.Extension
}

func TestAUserIsMadeWithDefaultsForWhatIsNotSaid(t *testing.T) {
	c := newClient(t, Config{Extensions: 2})
	c.through(t,
		step{"GET", "/Users/Pbx.GetFirstAvailableExtensionNumber()", "", 200, `"Number":"202"`},
		step{"POST", "/Users", `{}`, 201, `"Number":"202"`},
		step{"POST", "/Users", `{"Number":"300","FirstName":"Ada","LastName":"Abel","EmailAddress":"ada@contoso.example","Mobile":"1","OutboundCallerID":"2","Enabled":false,"MS365SignInEnabled":true}`,
			201, `"DisplayName":"Ada Abel"`},
		step{"GET", "/Users/Pbx.GetFirstAvailableExtensionNumber()", "", 200, `"Number":"203"`},
	)
	want := directory.Extension{Number: "300", Fields: directory.Fields{FirstName: "Ada", LastName: "Abel", DisplayName: "Ada Abel",
		Mail: "ada@contoso.example", Mobile: "1", CallerID: "2", SignIn: true}}
	if got := c.listed("300"); got != want {
		t.Errorf("got %+v", got)
	}
	if got := c.listed("202"); got != (directory.Extension{Number: "202", Enabled: true}) {
		t.Errorf("of a body without anything came %+v", got)
	}
	if got := c.sim.Roles("202"); !maps.Equal(got, map[string]string{"DEFAULT": "users"}) {
		t.Errorf("it is in %v", got)
	}
	if n := c.sim.Stats().Changes["create-user"]; n != 2 {
		t.Errorf("%d users were made", n)
	}
}

func TestWhatIsWrongWithAUserIsRefusedAndChangesNothing(t *testing.T) {
	c := newClient(t, Config{Extensions: 2, MaxText: 20, Refusal: 409})
	c.sim.TakeNumber("800")
	before := c.sim.Truth()
	for name, s := range map[string]step{
		"a number that somebody has":      {"POST", "/Users", `{"Number":"200"}`, 409, "in use"},
		"a number that a queue has":       {"POST", "/Users", `{"Number":"800"}`, 409, "in use"},
		"a number that is none":           {"POST", "/Users", `{"Number":"two hundred"}`, 409, ""},
		"a field that there is not":       {"POST", "/Users", `{"Number":"300","JobTitle":"Boss"}`, 400, "JobTitle"},
		"a field that is derived":         {"POST", "/Users", `{"Number":"300","DisplayName":"Ada"}`, 400, "DisplayName"},
		"a secret":                        {"POST", "/Users", `{"Number":"300","AuthPassword":"x"}`, 400, "AuthPassword"},
		"a switch that is a text":         {"POST", "/Users", `{"Number":"300","Enabled":"yes"}`, 400, "Enabled"},
		"a name that is too long":         {"POST", "/Users", `{"Number":"300","FirstName":"` + strings.Repeat("ü", 21) + `"}`, 400, "20 characters"},
		"a list instead of a user":        {"POST", "/Users", `[]`, 400, "JSON"},
		"another number":                  {"PATCH", "/Users(21)", `{"Number":"201","FirstName":"Eve"}`, 409, "number"},
		"a department that there is not":  {"PATCH", "/Users(21)", `{"Groups":[{"GroupId":9,"Rights":{"RoleName":"users"}}]}`, 409, "department"},
		"a role that there is not":        {"PATCH", "/Users(21)", `{"Groups":[{"GroupId":1,"Rights":{"RoleName":"king"}}]}`, 400, "role"},
		"a department without a role":     {"PATCH", "/Users(21)", `{"Groups":[{"GroupId":1}]}`, 400, "role"},
		"a first department of others":    {"PATCH", "/Users(21)", `{"PrimaryGroupId":7}`, 409, "department"},
		"a profile with other changes":    {"PATCH", "/Users(21)", `{"FirstName":"Eve","CurrentProfileName":"Nap"}`, 400, "profile"},
		"a change of nobody":              {"PATCH", "/Users(9)", `{"FirstName":"Eve"}`, 404, ""},
		"a deletion of nobody":            {"DELETE", "/Users(9)", "", 404, ""},
		"deletions of what is no list":    {"POST", "/Users/Pbx.BatchDelete", `{"ids":21}`, 400, "list"},
		"deletions with another spelling": {"POST", "/Users/Pbx.BatchDelete", `{"Ids":[21]}`, 400, "Ids"},
	} {
		t.Run(name, func(t *testing.T) { c.through(t, s) })
	}
	if after := c.sim.Truth(); !slices.Equal(after, before) {
		t.Errorf("it was %+v and is %+v", before, after)
	}
	if changes := c.sim.Changes(); len(changes) != 0 {
		t.Errorf("changed: %+v", changes)
	}
}

func TestAChangeIsOfWhatIsSentAndListsAreReplaced(t *testing.T) {
	c := newClient(t, Config{Extensions: 2})
	c.sim.Grant("200", "Sales", "managers")
	c.through(t,
		step{"PATCH", "/Users(21)", `{"FirstName":"Ada","LastName":"Abel","Mobile":"1"}`, 204, ""},
		step{"PATCH", "/Users(21)", `{"Number":"200","Mobile":null,"Enabled":false}`, 204, ""},
	)
	got := c.listed("200")
	if got.FirstName != "Ada" || got.Mobile != "" || got.Enabled || got.DisplayName != "Ada Abel" || got.Department != "" {
		t.Errorf("got %+v", got)
	}
	if roles := c.sim.Roles("200"); !maps.Equal(roles, map[string]string{"DEFAULT": "users", "Sales": "managers"}) {
		t.Errorf("it is in %v", roles)
	}
	c.through(t,
		step{"GET", "/Users(21)/Groups" + with("$select", "GroupId"), "", 200, `[{"GroupId":1},{"GroupId":2}]`},
		step{"GET", "/Users(21)/Groups" + with("$select", "GroupId", "$expand", "Rights"), "", 200, `"RoleName":"managers"`},
		step{"GET", "/Users(21)/Groups" + with("$expand", "Members"), "", 400, "Members"},
		step{"PATCH", "/Users(21)", `{"Groups":[{"GroupId":2,"Rights":{"RoleName":"users"}}],"PrimaryGroupId":2}`, 204, ""},
	)
	if roles := c.sim.Roles("200"); !maps.Equal(roles, map[string]string{"Sales": "users"}) || c.listed("200").Department != "Sales" {
		t.Errorf("it is in %v and belongs to %q", roles, c.listed("200").Department)
	}
	c.through(t, step{"PATCH", "/Users(21)", `{"Groups":[]}`, 204, ""})
	if c.listed("200").Department != "" {
		t.Errorf("in no department it belongs to %q", c.listed("200").Department)
	}
	last := c.sim.Changes()
	if n := len(last); n != 4 || last[n-1].Op != "update-user" || last[n-1].Object != "200" || !slices.Equal(last[n-1].What, []string{"Groups"}) {
		t.Errorf("ledger %+v", last)
	}
}

func TestDeletionsTogetherFailOneByOneAndSay200(t *testing.T) {
	c := newClient(t, Config{Extensions: 4})
	c.sim.Keep("201")
	c.through(t,
		step{"POST", "/Users/Pbx.BatchDelete", `{"ids":[21,22,99]}`, 200, `{"Error":"The extension is the destination of a rule.","ExtensionNumber":"201"}`},
		step{"POST", "/Users/Pbx.BatchDelete", `{"ids":[21]}`, 200, `{"Error":"User not found.","ExtensionNumber":null}`},
		step{"POST", "/Users/Pbx.BatchDelete", `{"ids":[]}`, 200, `{"value":[]}`},
		step{"DELETE", "/Users(22)", "", 400, "rule"},
		step{"DELETE", "/Users(23)", "", 204, ""},
		step{"GET", "/Users" + with("$select", "Number", "$orderby", "Id"), "", 200, `[{"Number":"201"},{"Number":"203"}]`},
		step{"POST", "/Users", `{"Number":"200"}`, 201, `"Id":25`}, // keys are not used again
	)
}

func TestTheLicenceIsFullAtItsNumber(t *testing.T) {
	c := newClient(t, Config{Extensions: 2, Licence: 3, Refusal: 403})
	c.through(t,
		step{"POST", "/Users", `{}`, 201, ""},
		step{"POST", "/Users", `{}`, 403, "too many"},
		step{"GET", "/SystemStatus" + with("$select", "UserExtensions,MaxUserExtensions"), "", 200, `{"MaxUserExtensions":3,"UserExtensions":3}`},
		step{"DELETE", "/Users(21)", "", 204, ""},
		step{"POST", "/Users", `{}`, 201, ""},
	)
	c.sim.SetLicence(0)
	c.through(t,
		step{"POST", "/Users", `{}`, 201, ""},
		step{"GET", "/SystemStatus" + with("$select", "MaxUserExtensions"), "", 200, `{"MaxUserExtensions":null}`},
	)
}

func TestDepartmentsPropertiesAndPeers(t *testing.T) {
	c := newClient(t, Config{Extensions: 1})
	c.sim.TakeNumber("800")
	c.through(t,
		step{"POST", "/Groups", `{"Name":"Sales"}`, 201, `"Id":2`},
		step{"POST", "/Groups", `{"Name":"Sales"}`, 400, "name of its own"},
		step{"POST", "/Groups", `{"Name":""}`, 400, "name of its own"},
		step{"GET", "/Groups" + with("$filter", "Name eq 'Sales'", "$select", "Id"), "", 200, `[{"Id":2}]`},
		step{"GET", "/Groups" + with("$filter", "IsDefault eq true", "$select", "Name"), "", 200, `[{"Name":"DEFAULT"}]`},
		step{"GET", "/Groups(2)" + with("$select", "Name"), "", 200, `{"Name":"Sales"}`},
		step{"GET", "/Groups(3)", "", 404, ""},

		step{"GET", "/DNProperties/Pbx.GetPropertiesByDn(dnNumber='200')", "", 200, `"value":[]`},
		step{"POST", "/DNProperties/Pbx.UpdateDNProperty", `{"dnNumber":"200","property":{"Name":"A","Value":"1"}}`, 400, "exists: false"},
		step{"POST", "/DNProperties/Pbx.CreateDNProperty", `{"dnNumber":"200","property":{"Name":"A","Value":"1"}}`, 204, ""},
		step{"POST", "/DNProperties/Pbx.CreateDNProperty", `{"dnNumber":"200","property":{"Name":"A","Value":"2"}}`, 400, "exists: true"},
		step{"POST", "/DNProperties/Pbx.UpdateDNProperty", `{"dnNumber":"200","property":{"Name":"A","Value":"2"}}`, 204, ""},
		step{"POST", "/DNProperties/Pbx.CreateDNProperty", `{"dnNumber":"999","property":{"Name":"A","Value":"2"}}`, 404, ""},
		step{"POST", "/DNProperties/Pbx.CreateDNProperty", `{"dnNumber":"200"}`, 400, ""},
		step{"GET", "/DNProperties/Pbx.GetPropertiesByDn(dnNumber='200')" + with("$filter", "Name eq 'A'", "$select", "Value"), "", 200, `[{"Value":"2"}]`},
		step{"GET", "/DNProperties/Pbx.GetPropertiesByDn(dnNumber='999')", "", 404, ""},

		step{"GET", "/Peers(Number='200')" + with("$select", "Type"), "", 200, `{"Type":"Extension"}`},
		step{"GET", "/Peers(Number='800')" + with("$select", "Type"), "", 200, `{"Type":"Queue"}`},
		step{"GET", "/Peers(Number='801')", "", 404, ""},
	)
	if got := c.sim.Properties("200"); !maps.Equal(got, map[string]string{"A": "2"}) {
		t.Errorf("kept: %v", got)
	}
	if got := c.sim.Departments(); !slices.Equal(got, []string{"DEFAULT", "Sales"}) {
		t.Errorf("departments: %v", got)
	}
}

func TestSecretsAreOnlyToldWhenAskedForAndThatIsCounted(t *testing.T) {
	c := newClient(t, Config{Extensions: 1})
	for _, s := range []struct {
		method, path, body string
		told               bool // by the client's fault, unless it creates
	}{
		{"GET", "/Users" + with("$select", "Id,Number"), "", false},
		{"GET", "/Users" + with("$select", "Id,VMPIN"), "", true},
		{"GET", "/Users", "", true},
		{"GET", "/Users(21)" + with("$select", "Mobile"), "", false},
		{"GET", "/Users(21)", "", true},
		{"GET", "/Users(Number='200')" + with("$select", "AuthID"), "", true},
		{"POST", "/Users", `{"Number":"300"}`, true},
		{"PATCH", "/Users(21)", `{"Mobile":"1"}`, false},
	} {
		before := c.sim.Stats()
		_, body := c.do(s.method, s.path, s.body)
		after := c.sim.Stats()
		asked, made := after.SecretsServed-before.SecretsServed, after.SecretsMade-before.SecretsMade
		creates := s.method == "POST"
		if told := strings.Contains(body, "canary"); told != s.told || (asked == 1) != (s.told && !creates) || (made == 1) != creates {
			t.Errorf("%s %s: told %v, counted %d and %d", s.method, s.path, told, asked, made)
		}
	}
}

func TestAnErrorInsideOfSuccessDoesNothing(t *testing.T) {
	c := newClient(t, Config{Extensions: 1})
	c.sim.Inject(Fault{Kind: ErrorInside})
	c.through(t,
		step{"POST", "/Users", `{"Number":"300"}`, 200, `{"error":{`},
		step{"GET", "/Users" + with("$select", "Id"), "", 200, `{"error":{`},
		step{"PATCH", "/Users(21)", `{"Mobile":"1"}`, 200, `{"error":{`},
	)
	if changes := c.sim.Changes(); len(changes) != 0 {
		t.Errorf("changed: %+v", changes)
	}
}

func TestAnAdministratorEdits(t *testing.T) {
	c := newClient(t, Config{Extensions: 1})
	ok := c.sim.Edit("200", func(e *directory.Extension) { e.FirstName, e.LastName, e.Department = "Ada", "Abel", "Sales" })
	got := c.listed("200")
	if !ok || got.DisplayName != "Ada Abel" || got.Department != "Sales" || !maps.Equal(c.sim.Roles("200"), map[string]string{"Sales": "users"}) {
		t.Errorf("got %+v, %v", got, c.sim.Roles("200"))
	}
	c.sim.Edit("200", func(e *directory.Extension) { e.Department = "" })
	if got := c.listed("200"); got.Department != "" {
		t.Errorf("got %+v", got)
	}
	if c.sim.Edit("999", func(*directory.Extension) {}) {
		t.Error("nobody was edited")
	}
}

func TestAnswersCanBeMalformed(t *testing.T) {
	c := newClient(t, Config{People: []Person{{FirstName: "Zoë", Number: "200"}}})
	get := func(limit int64) (string, error) {
		r, err := http.NewRequestWithContext(t.Context(), "GET", c.sim.URL()+base+"/Users"+with("$select", "FirstName"), nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Authorization", "Bearer "+c.token)
		answer, err := c.http.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer answer.Body.Close()
		body, err := io.ReadAll(io.LimitReader(answer.Body, limit))
		return string(body), err
	}
	whole, err := get(1 << 20)
	if err != nil || !strings.Contains(whole, "Zoë") {
		t.Fatalf("well formed: %q, %v", whole, err)
	}
	for kind, right := range map[FaultKind]func(string, error) bool{
		Truncated: func(got string, err error) bool { return err != nil && got != "" && strings.HasPrefix(whole, got) },
		Huge:      func(got string, err error) bool { return err == nil && len(got) == 1<<20 },
		Latin:     func(got string, err error) bool { return err == nil && strings.Contains(got, "Zo\xeb") },
		Forget:    func(got string, err error) bool { return err == nil && got == whole },
	} {
		c.sim.Inject(Fault{Kind: kind})
		if got, err := get(1 << 20); !right(got, err) {
			t.Errorf("%s: %d bytes, %v", kind, len(got), err)
		}
		c.sim.ClearFaults()
	}
	c.sim.Inject(Fault{Kind: Forget})
	c.through(t,
		step{"PATCH", "/Users(21)", `{"FirstName":"Ada"}`, 204, ""},
		step{"DELETE", "/Users(21)", "", 204, ""},
		step{"POST", "/Users", `{"Number":"300"}`, 201, ""},
	)
	if got, there := c.sim.Shown("200"); !there || got.FirstName != "Zoë" {
		t.Errorf("it was not forgotten: %+v", got)
	}
}
