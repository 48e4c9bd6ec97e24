package portsip

import (
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/getkin/kin-openapi/openapi3"

	"offhook.dev/libs/contracttest"
	"offhook.dev/libs/core/directory"
	"offhook.dev/libs/core/fault"
	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/core/presence"
	"offhook.dev/libs/pbx"
	"offhook.dev/libs/pbx/portsipsim"
)

// vendor returns the contract of the REST interface (22.0, kept up to about 22.2), or
// nil where its file is absent.
func vendor(t *testing.T) *contracttest.Contract {
	t.Helper()
	c := contracttest.Open(t, "portsip-openapi-subset.json", root)
	if c == nil {
		return nil
	}
	for _, item := range c.Document.Paths.Map() {
		for _, operation := range item.Operations() {
			// The file describes no failures of the phone system itself, and of some
			// resources not that they may be forbidden.
			for _, status := range []string{"4XX", "5XX"} {
				if operation.Responses.Value(status) == nil {
					operation.Responses.Set(status, &openapi3.ResponseRef{Value: openapi3.NewResponse().WithDescription("Error")})
				}
			}
		}
	}
	// Signing in is described by two schemas of which none demands anything, so that
	// every answer fits both; "one of" is meant as "any of".
	answer := c.Document.Paths.Find("/auth/sign_in").Post.Responses.Status(http.StatusOK).Value.Content.Get("application/json").Schema.Value
	answer.AnyOf, answer.OneOf = answer.OneOf, nil
	return c
}

type exchange = contracttest.Exchange

// through connects a driver to sim by way of a gate.
func through(t *testing.T, sim *portsipsim.Sim, c *contracttest.Contract, config Config) (*contracttest.Gate, *Driver) {
	t.Helper()
	g := contracttest.NewGate(t, authority, sim.URL(), c)
	config.URL = g.URL
	return g, open(t, config)
}

// live takes a driver through everything that it can do and meet.
func live(t *testing.T, sim *portsipsim.Sim, d *Driver) {
	ctx := t.Context()
	said := func(kind fault.Kind, err error) {
		t.Helper()
		if (err != nil) != (kind != 0) || err != nil && fault.KindOf(err) != kind {
			t.Errorf("got %v, want an error that is %v", err, kind)
		}
	}
	read := func(ext identity.Extension, kind fault.Kind) {
		t.Helper()
		_, err := d.Status(ctx, ext)
		said(kind, err)
	}
	said(0, d.SetStatus(ctx, "203", presence.DND)) // never listed, so looked up first
	said(0, d.Statuses(ctx, func(identity.Extension, presence.Status) error { return nil }))
	for _, state := range []pbx.SyncState{{}, {Users: true, Photos: true, Calendar: true}} {
		sim.SetNativeSync(state)
		got, err := d.NativeSync(ctx)
		if said(0, err); got != state {
			t.Errorf("native sync %+v, not %+v", got, state)
		}
	}
	read("999", fault.NotFound)
	sim.Recreate("201")
	said(0, d.SetStatus(ctx, "201", presence.Available)) // 404 under the old id
	sim.ForgetTokens(false)
	read("202", 0) // 401, a refresh, 200
	sim.ForgetTokens(true)
	read("202", 0) // 401, a refresh that is refused, a sign-in, 200
	livePeople(t, sim, d, said)
	sim.Recreate("204")
	_, err := d.Extension(ctx, "204") // 404 under the old id
	said(0, err)
	liveBooks(t, d, said)
	said(0, portrayed{d}.SetPhoto(ctx, "202", []byte("a picture"), "image/jpeg"))
	said(0, portrayed{d}.SetPhoto(ctx, "202", nil, ""))
	for kind, of := range map[portsipsim.FaultKind]fault.Kind{portsipsim.Throttle: fault.Throttled, portsipsim.Unavailable: fault.Unavailable,
		portsipsim.Broken: fault.Unavailable, portsipsim.Deny: fault.Denied} {
		sim.Inject(portsipsim.Fault{Kind: kind, Delay: time.Second, Times: 1})
		read("200", of)
	}
}

func livePeople(t *testing.T, sim *portsipsim.Sim, d *Driver, said func(fault.Kind, error)) {
	ctx := t.Context()
	e := directory.Extension{Number: "600", Enabled: true, Marker: "0e5c2f3a-7b1d-4c7e-9a55-3f0d2b6c8e11",
		Fields: directory.Fields{FirstName: "Ada", LastName: "O'Hara", Mail: "ada@contoso.example", Mobile: "1", Department: "R & D's", SignIn: true}}
	said(0, d.CreateExtension(ctx, e))
	said(fault.Conflict, d.CreateExtension(ctx, e))
	sim.TakeNumber("800")
	said(fault.Conflict, d.CreateExtension(ctx, directory.Extension{Number: "800"}))
	_, err := d.Extension(ctx, "600")
	said(0, err)
	said(0, d.Extensions(ctx, func(directory.Extension) error { return nil }))
	e.Department, e.Marker, e.Mobile, e.SignIn = "Sales", "1e5c2f3a-7b1d-4c7e-9a55-3f0d2b6c8e11", "", false
	said(0, d.UpdateExtension(ctx, "600", directory.Update{Fields: writerPowers.Fields, To: e}))
	said(0, d.UpdateExtension(ctx, "600", directory.Update{Fields: writerPowers.Fields, To: e}))
	said(fault.NotFound, d.UpdateExtension(ctx, "999", directory.Update{Fields: writerPowers.Fields, To: e}))
	sim.Keep("201")
	failed, err := d.DeleteExtensions(ctx, []identity.Extension{"600", "201", "999"})
	if said(0, err); len(failed) != 2 {
		t.Errorf("failed: %v", failed)
	}
	sim.SetLicence(1)
	said(fault.Denied, d.CreateExtension(ctx, e))
	sim.SetLicence(1000)
}

func liveBooks(t *testing.T, d *Driver, said func(fault.Kind, error)) {
	ctx := t.Context()
	for _, owner := range []identity.Extension{"", "202"} {
		c := directory.Contact{Source: "k1", LastName: "O'Hara", Numbers: []directory.Number{{Kind: directory.FaxNumber, Text: "1"}}}
		id, err := d.CreateContact(ctx, owner, c)
		said(0, err)
		c.ID, c.Numbers = id, nil
		said(0, d.Contacts(ctx, owner, func(directory.Contact) error { return nil }))
		said(0, d.UpdateContact(ctx, owner, c))
		for range 2 {
			_, err = d.DeleteContacts(ctx, owner, []string{c.ID})
			said(0, err)
		}
		said(fault.NotFound, d.UpdateContact(ctx, owner, c))
	}
}

func TestDriverAndSimulatorKeepTheVendorsContract(t *testing.T) {
	c := vendor(t)
	if c == nil {
		return
	}
	for name, run := range map[string]struct {
		config   portsipsim.Config
		statuses Statuses
		partial  bool
		more     []string // beside what all do
	}{
		"whole changes, each user asked": {config: portsipsim.Config{Replace: true},
			more: []string{"GET /user 200"}},
		"partial changes, a filter":  {config: portsipsim.Config{FilterDND: true}, partial: true, more: []string{"POST /users/{id} 404"}},
		"presences of the users own": {statuses: ByOwn, more: []string{"POST /user/presence 200", "GET /user 200"}},
	} {
		t.Run(name, func(t *testing.T) {
			sim := start(t, run.config)
			config := configFor(sim, "201", "202", "203")
			config.Statuses, config.Partial = run.statuses, run.partial
			g, d := through(t, sim, c, config)
			live(t, sim, d)
			want := append(run.more,
				"GET /users/{id} 200", "GET /users/{id} 404", "POST /users/{id} 200", "POST /auth/sign_in 200", "POST /auth/refresh_token 200", "POST /auth/refresh_token 401", "GET /users 200", "GET /ms365 200",
				"GET /users/{id}/status 200", "GET /users/{id}/status 401", "GET /users/{id}/status 429", "GET /users/{id}/status 503",
				"GET /users/{id}/status 500", "GET /users/{id}/status 403",
				"POST /users 201", "POST /users 400", "GET /extension_numbers/{extension_number} 200", "GET /extension_numbers/{extension_number} 404",
				"GET /tenant 200", "POST /users/{id}/destroy 204", "POST /users/{id}/destroy 403",
				"POST /users/{id}/ms365_binding 200", "POST /users/{id}/ms365_binding/destroy 204", "POST /users/{id}/ms365_binding/destroy 404",
				"GET /groups 200", "POST /groups 201", "GET /groups/{id}/members 200",
				"POST /groups/{id}/members/{extension_number} 200", "POST /groups/{id}/members/{extension_number} 400",
				"GET /groups/{id}/members/{extension_number} 200", "GET /groups/{id}/members/{extension_number} 404",
				"POST /groups/{id}/members/{extension_number}/destroy 204", "POST /groups/{id}/members/{extension_number}/destroy 404",
				"GET /contacts 200", "POST /contacts 201", "POST /contacts/{id} 200", "POST /contacts/{id} 404",
				"POST /contacts/{id}/destroy 204", "POST /contacts/{id}/destroy 404",
				"POST /blobs/uploads 202", "POST /blobs/uploads/{id}/append 203", "POST /blobs/uploads/{id}/complete 201", "POST /user 200",
				"GET /user/contacts 200", "POST /user/contacts 201", "POST /user/contacts/{id} 200", "POST /user/contacts/{id} 404",
				"POST /user/contacts/{id}/destroy 204", "POST /user/contacts/{id}/destroy 404")
			g.Verdict(t, want...)
		})
	}
}

// What a watch by webhook asks, and what the simulated tenant says of its events, is the
// vendor's; and so are the bounds of the user name and the password.
func TestTheWebhookKeepsTheVendorsContract(t *testing.T) {
	c := vendor(t)
	if c == nil {
		return
	}
	for name, to := range map[string]portsipsim.Webhook{"with a token": byToken, "with a password": byPassword} {
		t.Run(name, func(t *testing.T) {
			sim := start(t, portsipsim.Config{Extensions: 3, FilterDND: true})
			config := toldByBeats(t, sim)
			config.Webhook = hookFor(t, sim, to)
			g, d := through(t, sim, c, config)
			w := watch(t, d)
			sim.StartCall("200")
			w.until(t, "of a call", func(is tale) bool { return is.calls["200"] == 1 })
			g.Verdict(t, "POST /auth/sign_in 200", "GET /users 200", "GET /users/{id}/status 200", "GET /tenant 200")
		})
	}
	event := c.Document.Paths.Find("/tenant").Post.RequestBody.Value.Content.Get("application/json").Schema.Value.Properties["extension_event"].Value.Properties
	for _, name := range []string{"username", "password"} {
		text := event[name].Value
		if text.MinLength != shortestName || text.MaxLength == nil || *text.MaxLength != longestName {
			t.Errorf("%s has %d to %v characters", name, text.MinLength, text.MaxLength)
		}
	}
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
		"a presence there is not":     {func(x *exchange) { x.Answer = []byte(`{"presence":"ASLEEP"}`) }, "presence"},
		"a switch that is a word":     {func(x *exchange) { x.Answer = []byte(`{"enable_dnd":"yes"}`) }, "at '/enable_dnd': got string, want boolean"},
		"a page of somebody else":     {func(x *exchange) { x.Header.Set("Content-Type", "text/html") }, "Content-Type"},
		"success without a body":      {func(x *exchange) { x.Answer = nil }, "answer"},
		"a status that is not stated": {func(x *exchange) { x.Status = http.StatusAccepted }, "status is not supported"},
	} {
		t.Run(name, func(t *testing.T) {
			sim := start(t, portsipsim.Config{})
			g, d := through(t, sim, c, configFor(sim))
			if err := d.SetStatus(t.Context(), "200", presence.DND); err != nil { // learns the id
				t.Fatal(err)
			}
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
		"no such resource":               {"GET", "/extensions", "", "no matching operation"},
		"a misspelt member":              {"POST", "/users/1", `{"enable_dnb":true}`, `"enable_dnb", which is not declared`},
		"a switch that is a word":        {"POST", "/users/1", `{"enable_dnd":"on"}`, "enable_dnd"},
		"a user without a display name":  {"POST", "/users", strings.Replace(wholeUser, `"display_name":"Ada",`, "", 1), "missing property 'display_name'"},
		"a number of letters":            {"POST", "/users", strings.Replace(wholeUser, `number":"204"`, `number":"ada"`, 1), "extension_number"},
		"a PIN of five digits":           {"POST", "/users", strings.Replace(wholeUser, `135790`, `13579`, 1), "voicemail_pin"},
		"an entry without a name in it":  {"POST", "/contacts", `{"name":""}`, "name"},
		"a name of 65 characters":        {"POST", "/contacts", `{"name":"` + strings.Repeat("ü", 65) + `"}`, "name"},
		"an option of OData":             {"GET", "/users?$top=100", "", `"$top" is not declared`},
		"contacts in an order":           {"GET", "/contacts?orderby=name", "", `"orderby" is not declared`},
		"a page of 101":                  {"GET", "/users?top=101", "", "top"},
		"a presence since 22.3":          {"POST", "/user/presence", `{"presence":"ONLINE"}`, "presence"},
		"a note of 129 characters":       {"POST", "/user/presence", `{"presence_note":"` + strings.Repeat("a", 129) + `"}`, "presence_note"},
		"deletion by its verb":           {"DELETE", "/users/1", "", "method not allowed"},
		"a member of a group by no name": {"POST", "/groups/1/members/ab", "", "extension_number"},
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

const wholeUser = `{"name":"204","display_name":"Ada","password":"x","email":"","role":"StandardUser","extension_number":"204","extension_password":"x","voicemail_pin":"135790"}`

// What a user has that cannot be changed is the vendor's to say: whatever is told and
// not taken must be among what the driver does not send back.
func TestTheListOfWhatIsOnlyToldIsTheVendors(t *testing.T) {
	c := vendor(t)
	if c == nil {
		return
	}
	for path, writable := range map[string]func(members) members{"/users/{id}": members.writable, "/user": members.ownWritable} {
		item := c.Document.Paths.Find(path)
		taken := item.Post.RequestBody.Value.Content.Get("application/json").Schema.Value.Properties
		var sent []string
		for name := range item.Get.Responses.Status(http.StatusOK).Value.Content.Get("application/json").Schema.Value.Properties {
			if kept := writable(members{name: []byte(`"x"`)}); len(kept) == 1 && taken[name] == nil {
				sent = append(sent, name)
			}
		}
		if slices.Sort(sent); len(sent) > 0 {
			t.Errorf("%s: %v would be sent back, and is not taken", path, sent)
		}
		for name := range taken {
			if name != "avatar_file_id" && len(writable(members{name: []byte(`"x"`)})) == 0 {
				t.Errorf("%s: %s is taken, and would be lost", path, name)
			}
		}
	}
}
