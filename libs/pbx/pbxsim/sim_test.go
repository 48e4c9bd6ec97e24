package pbxsim

import (
	"bytes"
	"crypto/tls"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/core/presence"
	"offhook.dev/libs/pbx"
	"offhook.dev/libs/secret"
)

// client is a bare client of the 3CX face, without our driver.
type client struct {
	t     *testing.T
	sim   *Sim
	http  *http.Client
	token string
}

func newClient(t *testing.T, config Config) *client {
	t.Helper()
	authority, err := secret.NewAuthority("pbxsim tests", time.Now())
	if err != nil {
		t.Fatal(err)
	}
	config.Authority, config.System = authority, "hq"
	sim, err := Start(config)
	if err != nil {
		t.Fatal(err)
	}
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: authority.Pool()}}
	t.Cleanup(func() {
		transport.CloseIdleConnections()
		sim.Close()
	})
	c := &client{t: t, sim: sim, http: &http.Client{Transport: transport}}
	c.token, _ = c.signIn()
	return c
}

func (c *client) signIn() (token string, expiresIn float64) {
	c.t.Helper()
	answer, err := c.http.PostForm(c.sim.URL()+"/connect/token", url.Values{
		"grant_type": {"client_credentials"}, "client_id": {"offhook"}, "client_secret": {"simulated"}})
	if err != nil {
		c.t.Fatal(err)
	}
	defer answer.Body.Close()
	var grant struct {
		Token     string  `json:"access_token"`
		ExpiresIn float64 `json:"expires_in"`
	}
	if err := json.NewDecoder(answer.Body).Decode(&grant); err != nil {
		c.t.Fatal(err)
	}
	return grant.Token, grant.ExpiresIn
}

// do returns the status and body; 0 and the error's text if there was no answer.
func (c *client) do(method, path, body string) (int, string) {
	c.t.Helper()
	return c.ask(method, "/xapi/v1"+path, body)
}

// get is do for any path.
func (c *client) get(path string) (int, string) {
	c.t.Helper()
	return c.ask(http.MethodGet, path, "")
}

func (c *client) ask(method, path, body string) (int, string) {
	c.t.Helper()
	r, err := http.NewRequestWithContext(c.t.Context(), method, c.sim.URL()+path, strings.NewReader(body))
	if err != nil {
		c.t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+c.token)
	answer, err := c.http.Do(r)
	if err != nil {
		return 0, err.Error()
	}
	defer answer.Body.Close()
	data, err := io.ReadAll(answer.Body)
	if err != nil {
		return 0, err.Error()
	}
	return answer.StatusCode, string(data)
}

func with(pairs ...string) string {
	values := make(url.Values)
	for i := 0; i < len(pairs); i += 2 {
		values.Set(pairs[i], pairs[i+1])
	}
	return "?" + values.Encode()
}

func TestTheFaceAnswersAsDocumented(t *testing.T) {
	c := newClient(t, Config{Extensions: 5, People: []Person{{FirstName: "Anna", LastName: "O'Hara", Mail: "anna@contoso.example"}}})
	for name, q := range map[string]struct {
		method, path, body string
		status             int
		holds              string
	}{
		"a page":                         {"GET", "/Users" + with("$top", "2", "$skip", "1", "$orderby", "Id", "$select", "Id,Number", "$count", "true"), "", 200, `"@odata.count":5`},
		"the page's rows":                {"GET", "/Users" + with("$top", "2", "$skip", "1", "$orderby", "Id", "$select", "Number"), "", 200, `"value":[{"Number":"201"},{"Number":"202"}]`},
		"a page beyond the end is empty": {"GET", "/Users" + with("$skip", "99", "$orderby", "Id"), "", 200, `"value":[]`},
		"descending order":               {"GET", "/Users" + with("$top", "1", "$orderby", "Number desc", "$select", "Number"), "", 200, `[{"Number":"204"}]`},
		"a filter by text":               {"GET", "/Users" + with("$filter", "Number eq '203'", "$select", "Id"), "", 200, `[{"Id":24}]`},
		"a filter with a quote":          {"GET", "/Users" + with("$filter", "LastName eq 'O''Hara'", "$select", "Number"), "", 200, `[{"Number":"200"}]`},
		"a filter of several":            {"GET", "/Users" + with("$filter", "Number eq '203' or Number eq '1' or Number eq '201'", "$select", "Number", "$orderby", "Id desc"), "", 200, `[{"Number":"203"},{"Number":"201"}]`},
		"a filter that is too large":     {"GET", "/Users" + with("$filter", strings.Repeat("Number eq '1' or ", 25)+"Number eq '2'"), "", 400, "node count"},
		"a filter without an end":        {"GET", "/Users" + with("$filter", "Number eq '1' or "), "", 400, "$filter"},
		"a filter by number":             {"GET", "/Users" + with("$filter", "Id gt 24", "$select", "Id"), "", 200, `[{"Id":25}]`},
		"one user by key":                {"GET", "/Users(21)" + with("$select", "EmailAddress"), "", 200, `{"EmailAddress":"anna@contoso.example"}`},
		"one user by number":             {"GET", "/Users(Number='200')" + with("$select", "Id"), "", 200, `{"Id":21}`},
		"profiles":                       {"GET", "/Users(21)/ForwardingProfiles", "", 200, `"Name":"Out of office"`},
		"the version":                    {"GET", "/SystemStatus" + with("$select", "Version"), "", 200, `{"Version":"20.0.9"}`},
		"the integration":                {"GET", "/Microsoft365Integration", "", 200, `"SetTeamsPresence":false`},
		"an unknown user":                {"GET", "/Users(1)", "", 404, `"code":"NotFound"`},
		"an unknown number":              {"GET", "/Users(Number='1')", "", 404, "not found"},
		"a key beyond int32":             {"GET", "/Users(9999999999)", "", 404, ""},
		"an unknown resource":            {"GET", "/Nothing", "", 404, ""},
		"an unknown field":               {"GET", "/Users" + with("$select", "Nmber"), "", 400, "Nmber"},
		"an unknown option":              {"GET", "/Users" + with("$sort", "Id"), "", 400, "$sort"},
		"a page of too many":             {"GET", "/Users" + with("$top", "101"), "", 400, "$top"},
		"a negative page":                {"GET", "/Users" + with("$top", "-1"), "", 400, "$top"},
		"a filter that is not one":       {"GET", "/Users" + with("$filter", "Number"), "", 400, "$filter"},
		"a profile that is not one":      {"PATCH", "/Users(21)", `{"CurrentProfileName":"Busy"}`, 400, "profile"},
		"a profile in the wrong case":    {"PATCH", "/Users(21)", `{"CurrentProfileName":"away"}`, 400, "profile"},
		"a change of something else":     {"PATCH", "/Users(21)", `{"CurrentProfileName":"Away","Mobil":"1"}`, 400, "Mobil"},
		"a change that is not JSON":      {"PATCH", "/Users(21)", `Away`, 400, ""},
		"a change of nobody":             {"PATCH", "/Users(1)", `{"CurrentProfileName":"Away"}`, 404, ""},
		"a method that is not there":     {"PUT", "/Users(21)", "", 405, ""},
	} {
		t.Run(name, func(t *testing.T) {
			if status, body := c.do(q.method, q.path, q.body); status != q.status || !strings.Contains(body, q.holds) {
				t.Errorf("%d %s", status, body)
			}
		})
	}
	if writes := c.sim.Writes(); len(writes) != 0 {
		t.Errorf("something was written: %+v", writes)
	}
}

func TestAWriteIsShownAndKeptInTheLedger(t *testing.T) {
	c := newClient(t, Config{Extensions: 2})
	if status, body := c.do("PATCH", "/Users(22)", `{"CurrentProfileName":"Custom 1"}`); status != 204 || body != "" {
		t.Fatalf("%d %s", status, body)
	}
	shown, _ := c.sim.Shown("201")
	if shown.Status != presence.Lunch || shown.By != ByWrite {
		t.Errorf("shows %+v", shown)
	}
	writes := c.sim.Writes()
	if len(writes) != 1 || writes[0].Number != 1 || writes[0].Extension != "201" || writes[0].Connection != 1 || writes[0].Before != presence.Available {
		t.Errorf("ledger %+v", writes)
	}
	if _, body := c.do("GET", "/Users(22)"+with("$select", "CurrentProfileName"), ""); !strings.Contains(body, "Custom 1") {
		t.Errorf("read back %s", body)
	}
}

func TestTokens(t *testing.T) {
	for version, want := range map[string]float64{"20.0.8": 60, "20.0.9": 3600, "20.0.10": 3600} {
		if _, got := newClient(t, Config{Version: version}).signIn(); got != want {
			t.Errorf("%s: expires_in is %v", version, got)
		}
	}
	for one, want := range map[bool]int{true: 401, false: 200} {
		c := newClient(t, Config{OneToken: one})
		c.signIn()
		if status, _ := c.do("GET", "/SystemStatus", ""); status != want {
			t.Errorf("one token %v: the older one gets %d", one, status)
		}
	}
	c := newClient(t, Config{})
	c.sim.ForgetTokens()
	if status, _ := c.do("GET", "/SystemStatus", ""); status != 401 {
		t.Errorf("a forgotten token gets %d", status)
	}
	answer, err := c.http.PostForm(c.sim.URL()+"/connect/token", url.Values{
		"grant_type": {"client_credentials"}, "client_id": {"offhook"}, "client_secret": {"guess"}})
	if err != nil {
		t.Fatal(err)
	}
	answer.Body.Close()
	if answer.StatusCode != 401 {
		t.Errorf("a wrong secret gets %d", answer.StatusCode)
	}
}

func TestARestartForgetsTokensAndTheNewestWrites(t *testing.T) {
	c := newClient(t, Config{Extensions: 3})
	for _, name := range []string{"Away", "Out of office"} {
		c.do("PATCH", "/Users(21)", `{"CurrentProfileName":"`+name+`"}`)
	}
	c.do("PATCH", "/Users(22)", `{"CurrentProfileName":"Away"}`)
	c.sim.SetStatus("201", presence.Lunch) // a person, after the write
	if err := c.sim.Restart(2); err != nil {
		t.Fatal(err)
	}
	for ext, want := range map[identity.Extension]presence.Status{"200": presence.Away, "201": presence.Lunch} {
		if e := c.sim.world.byNumber[ext]; e.Status != want {
			t.Errorf("%s shows %v, want %v", ext, e.Status, want)
		}
	}
	if status, _ := c.do("GET", "/SystemStatus", ""); status != 401 {
		t.Errorf("the old token gets %d", status)
	}
	if n := len(c.sim.Writes()); n != 3 {
		t.Errorf("the ledger has %d lines", n)
	}
}

func TestDownIsDownAndUpIsAtTheSamePlace(t *testing.T) {
	c := newClient(t, Config{Extensions: 1})
	before := c.sim.URL()
	c.sim.Down()
	if status, text := c.do("GET", "/SystemStatus", ""); status != 0 {
		t.Errorf("while down: %d %s", status, text)
	}
	c.sim.DownFor(time.Millisecond)
	for start := time.Now(); ; {
		if status, _ := c.do("GET", "/SystemStatus", ""); status == 200 {
			break
		}
		if time.Since(start) > 5*time.Second {
			t.Fatal("it did not come back")
		}
	}
	if c.sim.URL() != before {
		t.Errorf("it moved to %s", c.sim.URL())
	}
}

func TestFaultsMeetWhomTheyShouldAsOftenAsTheyShould(t *testing.T) {
	c := newClient(t, Config{Extensions: 1})
	get := func() int { status, _ := c.do("GET", "/Users(21)", ""); return status }
	patch := func() int {
		status, _ := c.do("PATCH", "/Users(21)", `{"CurrentProfileName":"Away"}`)
		return status
	}
	c.sim.Inject(Fault{Kind: Throttle, Times: 2, Only: "write"})
	if a, b, d, e := get(), patch(), patch(), patch(); a != 200 || b != 429 || d != 429 || e != 204 {
		t.Errorf("throttle two writes: %d %d %d %d", a, b, d, e)
	}
	before := len(c.sim.Writes())
	c.sim.Inject(Fault{Kind: LostAnswer, Times: 1})
	if status := patch(); status != 0 || len(c.sim.Writes()) != before+1 {
		t.Errorf("lost answer: %d, %d writes", status, len(c.sim.Writes())-before)
	}
	c.sim.Inject(Fault{Kind: Unavailable})
	if status := patch(); status != 503 || len(c.sim.Writes()) != before+1 {
		t.Errorf("unavailable: %d", status)
	}
	c.sim.ClearFaults()
	c.sim.Inject(Fault{Kind: Latency, Delay: 30 * time.Millisecond, Times: 1})
	start := time.Now()
	if status := get(); status != 200 || time.Since(start) < 30*time.Millisecond {
		t.Errorf("latency: %d after %v", status, time.Since(start))
	}
	if left := c.sim.Faults(); len(left) != 0 {
		t.Errorf("left over: %+v", left)
	}
}

func TestTheControlInterface(t *testing.T) {
	c := newClient(t, Config{Extensions: 2})
	door := c.sim.Control()
	for _, step := range []struct {
		method, path, body string
		status             int
		holds              string
	}{
		{"PUT", "/extensions/201/status", `{"status":"dnd"}`, 200, `"by":"person"`},
		{"GET", "/extensions", "", 200, `"status":"dnd"`},
		{"PUT", "/extensions/999/status", `{"status":"dnd"}`, 400, "no extension"},
		{"PUT", "/extensions/201/status", `{"status":"busy"}`, 400, "busy"},
		{"PUT", "/extensions/201/status", `{}`, 400, "missing"},
		{"POST", "/faults", `{"kind":"throttle","delay":"7s","times":3,"only":"write"}`, 200, `"delay":"7s"`},
		{"POST", "/faults", `{"kind":"sulk"}`, 400, "sulk"},
		{"POST", "/faults", `{"kind":"hang","delay":"soon"}`, 400, "soon"},
		{"POST", "/faults", `{"kind":"hang","until":"noon"}`, 400, ""},
		{"GET", "/faults", "", 200, `"times":3`},
		{"DELETE", "/faults", "", 200, `[]`},
		{"GET", "/writes", "", 200, ""},
		{"GET", "/stats", "", 200, `"token_requests":1`},
		{"PATCH", "/extensions/201", `{"mobile":"77","department":"Sales","enabled":false}`, 200, `"department":"Sales"`},
		{"PATCH", "/extensions/201", `{"job_title":"Boss"}`, 400, "job_title"},
		{"PATCH", "/extensions/999", `{}`, 400, "no extension"},
		{"DELETE", "/extensions/200", "", 200, ""},
		{"DELETE", "/extensions/200", "", 400, "no extension"},
		{"GET", "/extensions", "", 200, `"mobile":"77"`},
		{"GET", "/changes", "", 200, ""},
		{"GET", "/books", "", 200, `[]`},
		{"GET", "/books/201", "", 200, `[]`},
		{"PUT", "/licence", `{"extensions":1}`, 200, ""},
		{"PUT", "/native-sync", `{"users":true}`, 200, `"users":true`},
		{"PUT", "/native-sync", `{"people":true}`, 400, "people"},
		{"POST", "/faults", `{"kind":"error-inside","times":1}`, 200, ""},
		{"POST", "/restart", `{"forget":1}`, 200, ""},
		{"POST", "/down", `{"for":"-1s"}`, 400, "duration"},
		{"POST", "/down", `{"for":"1h"}`, 200, ""},
	} {
		w := httptest.NewRecorder()
		door.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), step.method, "/sim/v1/systems/hq"+step.path, bytes.NewBufferString(step.body)))
		if w.Code != step.status || !strings.Contains(w.Body.String(), step.holds) {
			t.Errorf("%s %s %s: %d %s", step.method, step.path, step.body, w.Code, w.Body)
		}
	}
}

func TestTheSameSeedInventsTheSamePeople(t *testing.T) {
	people := func(seed uint64) string {
		var names []string
		for _, e := range newWorld(Config{Extensions: 20, Seed: seed}, newFaults()).extensions {
			names = append(names, e.DisplayName, e.Mail)
		}
		return strings.Join(names, ",")
	}
	first, again, other := people(1), people(1), people(2)
	if first != again || first == other {
		t.Error("seeds do not decide")
	}
}

func TestNumbersOfTheirOwnAreKept(t *testing.T) {
	w := newWorld(Config{Extensions: 4, FirstNumber: 200, People: []Person{{}, {Number: "201"}, {Number: "*17"}}}, newFaults())
	var numbers []identity.Extension
	for _, e := range w.extensions {
		numbers = append(numbers, e.Number)
	}
	if !slices.Equal(numbers, []identity.Extension{"200", "201", "*17", "202"}) {
		t.Errorf("got %v", numbers)
	}
}

func TestNothingIsLeftAfterClose(t *testing.T) {
	before := goleak.IgnoreCurrent()
	authority, err := secret.NewAuthority("pbxsim tests", time.Now())
	if err != nil {
		t.Fatal(err)
	}
	sim, err := Start(Config{Authority: authority, System: "hq"})
	if err != nil {
		t.Fatal(err)
	}
	sim.SetNativeSync(pbx.SyncState{Users: true})
	sim.DownFor(time.Hour)
	sim.Close()
	sim.Close()
	if err := goleak.Find(before); err != nil {
		t.Error(err)
	}
}

func FuzzQuery(f *testing.F) {
	f.Add("$filter=Number+eq+'1'&$orderby=Id+desc&$top=1&$skip=2&$select=Id,Number&$count=true")
	f.Add("$filter=Enabled+ne+true&$orderby=Enabled")
	f.Fuzz(func(t *testing.T, text string) {
		values, err := url.ParseQuery(text)
		if err != nil {
			return
		}
		q, err := parseQuery(values, userFields)
		if err != nil {
			return
		}
		rows := []row{{"Id": int32(1), "Number": "a", "Enabled": true}, {"Id": int32(2), "Number": "b", "Enabled": false}}
		if page, total := q.page(rows); len(page) > total || total > 2 {
			t.Errorf("%d of %d", len(page), total)
		}
	})
}
