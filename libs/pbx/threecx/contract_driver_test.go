package threecx

import (
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"offhook.dev/libs/contracttest"
	"offhook.dev/libs/core/directory"
	"offhook.dev/libs/core/fault"
	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/core/presence"
	"offhook.dev/libs/pbx"
	"offhook.dev/libs/pbx/pbxsim"
)

// vendor returns the contract of XAPI 20.0.10, or nil where its file is absent.
func vendor(t *testing.T) *contracttest.Contract {
	t.Helper()
	c := contracttest.Open(t, "3cx-xapi-subset.yaml", root)
	if c == nil {
		return nil
	}
	// Signing in is OAuth, beside the Configuration API and not in its file, and the file
	// does not describe how it is asked for itself.
	c.Beside = func(path string) bool { return path == "/connect/token" || path == root+schemaPath }
	// The file gives every error a body; on the wire it may be missing, as in the
	// simulator's 401 and 503.
	c.Bodiless = func(status int) bool { return status >= 400 }
	return c
}

type exchange = contracttest.Exchange

// through connects a driver to sim by way of a gate.
func through(t *testing.T, sim *pbxsim.Sim, c *contracttest.Contract) (*contracttest.Gate, *Driver) {
	t.Helper()
	g := contracttest.NewGate(t, authority, sim.URL(), c)
	config := configFor(sim)
	config.URL = g.URL
	d, err := connect(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	return g, d
}

// live takes a driver through everything that it can do and meet.
func live(t *testing.T, sim *pbxsim.Sim, d *Driver) {
	ctx := t.Context()
	ignore := func(identity.Extension, presence.Status) error { return nil }
	want := func(err error, fails bool) {
		t.Helper()
		if (err != nil) != fails {
			t.Errorf("got %v", err)
		}
	}
	write := func(ext identity.Extension, fails bool) { t.Helper(); want(d.SetStatus(ctx, ext, presence.DND), fails) }
	read := func(ext identity.Extension, fails bool) {
		t.Helper()
		_, err := d.Status(ctx, ext)
		want(err, fails)
	}

	livePeople(t, sim, d)
	write("203", false) // never listed, so looked up first
	want(d.Extensions(ctx, func(directory.Extension) error { return nil }), false)
	want(d.Statuses(ctx, ignore), false)
	_, err := d.Routes(ctx, "200")
	want(err, false)
	for _, ends := range []time.Time{{}, time.Now()} {
		sim.License(true, ends)
		_, err := d.Licence(ctx)
		want(err, false)
	}
	for _, state := range []pbx.SyncState{{}, {Users: true, Photos: true, Presence: true}} {
		sim.SetNativeSync(state)
		_, err := d.NativeSync(ctx)
		want(err, false)
	}
	sim.SetStatus("200", presence.Unset) // a profile of the administrator's own
	read("200", false)
	write("200", false)
	read("999", true)
	read("20'0", true) // a quote is doubled in a key
	write("999", true)
	want(d.activate(ctx, "test", firstID, "No such profile"), true) // 400
	sim.Recreate("201")
	write("201", false) // 404 under the old key
	sim.ForgetTokens()
	read("202", false) // 401, a new token, 200

	for _, f := range []pbxsim.Fault{
		{Kind: pbxsim.Throttle, Delay: time.Second}, {Kind: pbxsim.Unavailable}, {Kind: pbxsim.Unavailable, Delay: time.Second},
		{Kind: pbxsim.Broken}, {Kind: pbxsim.Deny}, {Kind: pbxsim.Unlicensed},
	} {
		f.Times = 1
		sim.Inject(f)
		read("200", true)
		sim.Inject(f)
		write("200", true)
	}
}

// livePeople takes a driver through what it does to extensions and phonebooks.
func livePeople(t *testing.T, sim *pbxsim.Sim, d *Driver) {
	ctx := t.Context()
	said := func(kind fault.Kind, err error) {
		t.Helper()
		if (err != nil) != (kind != 0) || err != nil && fault.KindOf(err) != kind {
			t.Errorf("got %v, want an error that is %v", err, kind)
		}
	}
	e := directory.Extension{Number: "600", Enabled: true, Marker: "0e5c2f3a-7b1d-4c7e-9a55-3f0d2b6c8e11",
		Fields: directory.Fields{FirstName: "Ada", LastName: "O'Hara", Mail: "ada@contoso.example", Mobile: "1", CallerID: "2", Department: "R & D", SignIn: true}}
	said(0, d.CreateExtension(ctx, e))
	said(fault.Conflict, d.CreateExtension(ctx, e))
	sim.TakeNumber("800")
	said(fault.Conflict, d.CreateExtension(ctx, directory.Extension{Number: "800"}))
	_, err := d.Extension(ctx, "600")
	said(0, err)
	e.Department, e.Marker, e.Mobile = "Sales", "1e5c2f3a-7b1d-4c7e-9a55-3f0d2b6c8e11", ""
	said(0, d.UpdateExtension(ctx, "600", directory.Update{Fields: writerPowers.Fields, To: e}))
	said(fault.NotFound, d.UpdateExtension(ctx, "999", directory.Update{Fields: writerPowers.Fields, To: e}))
	sim.Keep("201")
	failed, err := d.DeleteExtensions(ctx, []identity.Extension{"600", "201", "999"})
	said(0, err)
	if len(failed) != 2 {
		t.Errorf("failed: %v", failed)
	}
	sim.SetLicence(1)
	said(fault.Denied, d.CreateExtension(ctx, e))
	sim.SetLicence(0)
	for _, owner := range []identity.Extension{"", "202"} {
		c := directory.Contact{Source: "k1", LastName: "O'Hara", Numbers: []directory.Number{{Kind: directory.FaxNumber, Text: "1"}}}
		c.ID, err = d.CreateContact(ctx, owner, c)
		said(0, err)
		said(0, d.Contacts(ctx, owner, func(directory.Contact) error { return nil }))
		c.Numbers = nil
		said(0, d.UpdateContact(ctx, owner, c))
		for range 2 {
			_, err = d.DeleteContacts(ctx, owner, []string{c.ID})
			said(0, err)
		}
		said(fault.NotFound, d.UpdateContact(ctx, owner, c))
	}
}

// firstID is the key of the simulator's first user.
const firstID = 21

func TestTheDriverAndTheSimulatorKeepTheVendorsContract(t *testing.T) {
	c := vendor(t)
	if c == nil {
		return
	}
	sim := start(t, pbxsim.Config{Version: "20.0.10", StrictDeletions: true})
	g, d := through(t, sim, c)
	live(t, sim, d)
	// What the simulator has besides.
	var free struct{ Number identity.Extension }
	if err := d.wire.get(t.Context(), "test", "/Users/Pbx.GetFirstAvailableExtensionNumber()", nil, &free); err != nil || free.Number == "" {
		t.Errorf("the first free number is %q, %v", free.Number, err)
	}
	if err := d.wire.remove(t.Context(), "test", userPath(firstID+2)); err != nil {
		t.Error(err)
	}
	g.Verdict(t,
		"POST /connect/token 200", "GET /xapi/v1/swagger.yaml 200",
		"GET /SystemStatus 200", "GET /Microsoft365Integration 200", "GET /LicenseStatus 200",
		"GET /Users 200", "GET /Users({Id})/ForwardingProfiles 200",
		"GET /Users(Number={Number}) 200", "GET /Users(Number={Number}) 401", "GET /Users(Number={Number}) 403",
		"GET /Users(Number={Number}) 404", "GET /Users(Number={Number}) 429", "GET /Users(Number={Number}) 500",
		"GET /Users(Number={Number}) 503",
		"PATCH /Users({Id}) 204", "PATCH /Users({Id}) 400", "PATCH /Users({Id}) 403", "PATCH /Users({Id}) 404",
		"PATCH /Users({Id}) 429", "PATCH /Users({Id}) 500", "PATCH /Users({Id}) 503",
		"POST /Users 201", "POST /Users 400", "GET /Users({Id}) 200", "GET /Users({Id})/Groups 200", "POST /Users/Pbx.BatchDelete 200",
		"DELETE /Users({Id}) 204", "GET /Users/Pbx.GetFirstAvailableExtensionNumber() 200",
		"GET /Peers(Number={Number}) 200", "GET /Peers(Number={Number}) 404",
		"GET /Groups 200", "GET /Groups({Id}) 200", "POST /Groups 201",
		"GET /DNProperties/Pbx.GetPropertiesByDn(dnNumber={dnNumber}) 200",
		"POST /DNProperties/Pbx.CreateDNProperty 204", "POST /DNProperties/Pbx.UpdateDNProperty 204",
		"GET /Contacts 200", "GET /Contacts/Pbx.GetContactsByNumber(number={number}) 200",
		"POST /Contacts 201", "POST /Contacts/Pbx.CreateContactByNumber 200",
		"PATCH /Contacts({Id}) 204", "PATCH /Contacts({Id}) 404", "DELETE /Contacts({Id}) 404",
		"POST /Contacts/Pbx.DeleteContactsById 204", "POST /Contacts/Pbx.DeleteContactsById 404",
	)
}

func TestAnAnswerThatBreaksTheContractIsFound(t *testing.T) {
	c := vendor(t)
	if c == nil {
		return
	}
	for name, control := range map[string]struct {
		spoil func(*exchange)
		want  string
	}{
		"a key that is a text":       {func(x *exchange) { x.Answer = []byte(`{"Id":"21","Number":"200"}`) }, "Id: value must be an integer"},
		"a queue state there is not": {func(x *exchange) { x.Answer = []byte(`{"QueueStatus":"Asleep"}`) }, "QueueStatus"},
		"a number that is null":      {func(x *exchange) { x.Answer = []byte(`{"Id":null}`) }, "Id: Value is not nullable"},
		"a page of somebody else":    {func(x *exchange) { x.Header.Set("Content-Type", "text/html") }, "Content-Type"},
		"an error without a code":    {func(x *exchange) { x.Status, x.Answer = http.StatusConflict, []byte(`{"error":{"message":"no"}}`) }, "code"},
		"success without a body":     {func(x *exchange) { x.Answer = nil }, "answer"},
	} {
		t.Run(name, func(t *testing.T) {
			g, d := through(t, start(t, pbxsim.Config{}), c)
			g.Spoil(control.spoil)
			_, _ = d.Status(t.Context(), "200")
			if found := g.Findings(); len(found) != 1 || !strings.Contains(found[0], control.want) {
				t.Errorf("found %q, not %q", found, control.want)
			}
		})
	}
}

func TestARequestThatBreaksTheContractIsFound(t *testing.T) {
	c := vendor(t)
	if c == nil {
		return
	}
	for name, control := range map[string]struct{ method, path, body, want string }{
		"no such resource":             {"GET", "/Extensions", "", "no matching operation"},
		"a misspelt part of an entry":  {"POST", "/Contacts", `{"LastNmae":"Abel"}`, `"LastNmae", which is not declared`},
		"a number that is no text":     {"PATCH", "/Contacts(1)", `{"Home":30}`, "Home"},
		"keys that are texts":          {"POST", "/Users/Pbx.BatchDelete", `{"ids":["21"]}`, "ids"},
		"a property of another name":   {"POST", "/DNProperties/Pbx.CreateDNProperty", `{"dn":"200"}`, `"dn", which is not declared`},
		"an action of an older one":    {"POST", "/Contacts/Pbx.BatchContactsDelete", `{"ids":[1]}`, "no matching operation"},
		"no such verb":                 {"PUT", "/Users(21)", "{}", "method not allowed"},
		"a key that is no number":      {"PATCH", "/Users(abc)", `{"CurrentProfileName":"Away"}`, "no matching operation"},
		"a change without a body":      {"PATCH", "/Users(21)", "", "value is required"},
		"a profile that is a number":   {"PATCH", "/Users(21)", `{"CurrentProfileName":3}`, "CurrentProfileName"},
		"a misspelt member":            {"PATCH", "/Users(21)", `{"CurrentProfilName":"Away"}`, `"CurrentProfilName", which is not declared`},
		"a property that is not there": {"GET", "/Users?$select=Id,Nummer", "", `"Nummer", which is not declared`},
		"a query option of no one":     {"GET", "/Users?$limit=5", "", `"$limit" is not declared`},
		"a negative number of users":   {"GET", "/Users?$top=-1", "", "$top"},
	} {
		t.Run(name, func(t *testing.T) {
			request, err := http.NewRequestWithContext(t.Context(), control.method, "https://pbx.example.com"+root+control.path, strings.NewReader(control.body))
			if err != nil {
				t.Fatal(err)
			}
			request.Header.Set("Content-Type", "application/json")
			_, found := c.Violations(exchange{Request: request, Sent: []byte(control.body), Status: http.StatusNotFound})
			if len(found) != 1 || !strings.Contains(found[0], control.want) {
				t.Errorf("found %q, not %q", found, control.want)
			}
		})
	}
}

// secretMembers are those of Pbx.User that let somebody in.
func secretMembers() []string {
	return []string{"AccessPassword", "AuthID", "AuthPassword", "DeskphonePassword", "VMPIN"}
}

// exposes says what is wrong with a request that could bring secrets: it names one,
// or it asks for users without saying which of their properties.
func exposes(x exchange) string {
	path, query := x.Request.URL.Path, x.Request.URL.Query()
	if path == "/connect/token" {
		return ""
	}
	for _, text := range []string{path, query.Encode(), string(x.Sent)} {
		for _, name := range secretMembers() {
			if strings.Contains(strings.ToLower(text), strings.ToLower(name)) {
				return "names " + name
			}
		}
	}
	if x.Request.Method == http.MethodGet && strings.HasPrefix(path, root+"/Users") && query.Get("$select") == "" {
		return "asks for everything"
	}
	return ""
}

func TestNoRequestNamesASecret(t *testing.T) {
	sim := start(t, pbxsim.Config{})
	g, d := through(t, sim, nil)
	live(t, sim, d)
	all := g.Passed()
	if len(all) < 20 {
		t.Fatalf("only %d requests: the driver did not live", len(all))
	}
	for _, x := range all {
		if problem := exposes(x); problem != "" {
			t.Errorf("%s %s %s", x.Request.Method, x.Request.URL, problem)
		}
	}
}

func TestARequestForASecretIsNoticed(t *testing.T) {
	for target, want := range map[string]string{
		"/Users?$select=Id,AuthPassword":                      "names AuthPassword",
		"/Users?$select=Id&$filter=vmpin%20eq%20'0000'":       "names VMPIN",
		"/Users?$top=100":                                     "asks for everything",
		"/Users(Number='200')":                                "asks for everything",
		"/Users(21)/ForwardingProfiles?$select=Name":          "",
		"/Users?$select=Id,Number&$orderby=DeskphonePassword": "names DeskphonePassword",
	} {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://pbx.example.com"+root+target, nil)
		if err != nil {
			t.Fatal(err)
		}
		if got := exposes(exchange{Request: request}); got != want {
			t.Errorf("%s: got %q, want %q", target, got, want)
		}
	}
}

func TestTheListOfSecretsIsTheVendors(t *testing.T) {
	c := vendor(t)
	if c == nil {
		return
	}
	looksSecret := regexp.MustCompile(`(?i)password|secret|^auth|pin$`)
	var found []string
	for _, name := range c.Members("Pbx.User") {
		if looksSecret.MatchString(name) {
			found = append(found, name)
		}
	}
	if !slices.Equal(found, secretMembers()) {
		t.Errorf("Pbx.User has %v", found)
	}
}
