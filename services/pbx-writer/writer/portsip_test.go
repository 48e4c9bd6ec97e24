package writer

import (
	"context"
	"crypto/x509"
	"encoding/pem"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"offhook.dev/libs/config"
	"offhook.dev/libs/core/fault"
	"offhook.dev/libs/core/presence"
	"offhook.dev/libs/loopback"
	"offhook.dev/libs/pbx"
	"offhook.dev/libs/pbx/portsipsim"
	"offhook.dev/libs/secret"
)

// branch is a PortSIP that says as little as it may.
func branch() config.System {
	return config.System{ID: "branch", Driver: "portsip", URL: "https://pbx.example.com:8887", ClientID: "offhook", ClientSecretFile: "/x",
		Options: map[string]any{"domain": "pbx.example.com"}}
}

// PortSIP counts requests, of which a call may be several: the driver counts them, and nobody
// else.
func TestARateIsKeptWhereRequestsAreCounted(t *testing.T) {
	ours, another := branch(), branch()
	ours.Pace.PerSecond, another.Pace.PerSecond, another.ID, another.Driver = 20, 20, "hq", "memory"
	o, err := FromConfig(config.Config{Systems: []config.System{branch(), ours, another}})
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []float64{0, 0, 20} {
		if got := o.Systems[i].Pace.PerSecond; got != want {
			t.Errorf("system %d may make %g calls a second, not %g", i, got, want)
		}
	}
	for s, want := range map[*config.System]float64{&ours: 20, new(branch()): 0} { // 0: the driver's own
		if c, _, _ := portSIPConfig(*s); c.PerSecond != want {
			t.Errorf("the driver may send %g requests a second, not %g", c.PerSecond, want)
		}
	}
}

func TestPortSIPNamesWhatIsWrong(t *testing.T) {
	accounts := func(all any) func(*config.System) {
		return func(s *config.System) { s.Options["accounts"] = all }
	}
	webhook := func(all any) func(*config.System) {
		return func(s *config.System) { s.Options["events"], s.Options["webhook"] = "webhook", all }
	}
	hook := func(name string, value any) func(*config.System) {
		return webhook(map[string]any{"listen": "127.0.0.1:8444", "token_file": "/x", name: value})
	}
	for name, c := range map[string]struct {
		change func(*config.System)
		keys   []string
	}{
		"as little as it may": {func(*config.System) {}, nil},
		"all that there is": {func(s *config.System) {
			s.Options = map[string]any{"domain": "x", "statuses": "own", "note": "In a call", "role": "StandardUser", "partial_changes": true,
				"ignore_native_sync": false, "events": "websocket", "accounts": map[string]any{"204": map[string]any{"username": "ada", "password_file": "/x"}}}
		}, nil},
		"events with a token":    {hook("plain_http", false), nil},
		"events with a password": {webhook(map[string]any{"listen": ":8444", "username": "offhook", "password_file": "/x", "cert_file": "/x", "key_file": "/x"}), nil},
		"events behind a proxy":  {webhook(map[string]any{"listen": ":8444", "token_file": "/x", "plain_http": true}), nil},
		"no domain, no account":  {func(s *config.System) { s.Options, s.ClientID, s.ClientSecretFile = nil, "", "" }, []string{"client_id", "client_secret_file", "options.domain"}},
		"a path":                 {func(s *config.System) { s.URL += "/api" }, []string{"url"}},
		"no such way":            {func(s *config.System) { s.Options["statuses"] = "all" }, []string{"options.statuses"}},
		"as users nobody knows":  {func(s *config.System) { s.Options["statuses"] = "own" }, []string{"options.accounts"}},
		"an unknown option":      {func(s *config.System) { s.Options["colour"] = "red" }, []string{"options.colour"}},
		"a list of accounts":     {accounts([]any{"204"}), []string{"options.accounts"}},
		"a password, not a file": {accounts(map[string]any{"204": "secret"}), []string{"options.accounts"}},
		"a number with a space":  {accounts(map[string]any{"2 4": map[string]any{"password_file": "/x"}}), []string{"options.accounts"}},
		"a number, not a text":   {accounts(map[any]any{204: map[string]any{}}), []string{"options.accounts"}},
		"a file of here":         {accounts(map[string]any{"204": map[string]any{"password_file": "x"}}), []string{"options.accounts.204.password_file"}},
		"events by letter":       {func(s *config.System) { s.Options["events"] = "letter" }, []string{"options.events"}},
		"events to nowhere":      {func(s *config.System) { s.Options["events"] = "webhook" }, []string{"options.webhook.listen", "options.webhook.token_file"}},
		"a webhook for nothing":  {func(s *config.System) { webhook(map[string]any{})(s); delete(s.Options, "events") }, []string{"options.webhook"}},
		"a webhook in a word":    {webhook("127.0.0.1:8444"), []string{"options.webhook", "options.webhook.listen", "options.webhook.token_file"}},
		"a port that is none":    {hook("listen", "8444"), []string{"options.webhook.listen"}},
		"events in the clear":    {hook("listen", ":8444"), []string{"options.webhook.cert_file"}},
		"a certificate alone":    {hook("cert_file", "/x"), []string{"options.webhook.key_file"}},
		"a key alone":            {hook("key_file", "/x"), []string{"options.webhook.cert_file"}},
		"a token of here":        {hook("token_file", "x"), []string{"options.webhook.token_file"}},
		"a token in the open":    {hook("token", "hunter2"), []string{"options.webhook.token"}},
		"a token and a name":     {hook("username", "offhook"), []string{"options.webhook.token_file"}},
		"a token and a password": {hook("password_file", "/x"), []string{"options.webhook.token_file"}},
		"a password of nobody":   {webhook(map[string]any{"listen": "127.0.0.1:8444", "password_file": "/x"}), []string{"options.webhook.username"}},
		"a path that is ignored": {hook("path", "/events"), []string{"options.webhook.path"}},
		"a password in the open": {accounts(map[string]any{"204": map[string]any{"password_file": "/x", "password": "hunter2"}}), []string{"options.accounts.204.password"}},
	} {
		t.Run(name, func(t *testing.T) {
			s := branch()
			c.change(&s)
			var keys []string
			for _, p := range Check(config.Config{Systems: []config.System{s}}) {
				keys = append(keys, strings.TrimPrefix(strings.ReplaceAll(p.Key, `"`, ""), "systems[0]."))
				if p.What == "" || p.Fix == "" || strings.Contains(p.What+p.Fix, "hunter2") {
					t.Errorf("%+v", p)
				}
			}
			if slices.Sort(keys); !slices.Equal(keys, c.keys) {
				t.Errorf("found %v, want %v", keys, c.keys)
			}
		})
	}
}

// Two that listen at one address would take it from each other with every start.
func TestEachPortSIPListensByItself(t *testing.T) {
	at := func(listen string) config.System {
		s := branch()
		s.Options = map[string]any{"domain": "x", "events": "webhook", "webhook": map[string]any{"listen": listen, "token_file": "/x"}}
		return s
	}
	for name, c := range map[string]struct {
		systems []config.System
		what    string // "": nothing is wrong
	}{
		"two addresses":                  {[]config.System{at("127.0.0.1:8444"), at("127.0.0.1:8445"), branch()}, ""},
		"any free port":                  {[]config.System{at("127.0.0.1:0"), at("127.0.0.1:0")}, ""},
		"one address":                    {[]config.System{at("127.0.0.1:8444"), at("127.0.0.1:8444")}, "systems[0].options.webhook.listen"},
		"where Microsoft calls":          {[]config.System{branch(), at("127.0.0.1:8443")}, "webhook.listen"},
		"where the control API listens":  {[]config.System{at("127.0.0.1:8080"), branch()}, "control.listen"},
		"one listens no longer, as said": {[]config.System{at("127.0.0.1:8444"), func() config.System { s := at("127.0.0.1:8444"); s.Driver = "memory"; s.Options = nil; return s }()}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			conf := config.Default()
			conf.Systems = c.systems
			problems := Check(conf)
			if c.what == "" && len(problems) > 0 || c.what != "" && (len(problems) != 1 || !strings.Contains(problems[0].What, c.what) || !strings.HasSuffix(problems[0].Key, "].options.webhook.listen")) {
				t.Errorf("found %+v", problems)
			}
		})
	}
}

// Whoever works the system listens. The doctor beside it does not, and sees all the same
// whether the tenant sends anything.
func TestPortSIPSendsEventsToWhomeverWorksIt(t *testing.T) {
	a := authority(t)
	sim, err := portsipsim.Start(portsipsim.Config{Authority: a, Extensions: 2, FilterDND: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(sim.Close)
	pair, err := a.Issue("127.0.0.1")
	if err != nil {
		t.Fatal(err)
	}
	key, err := x509.MarshalPKCS8PrivateKey(pair.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	listen, err := loopback.Address(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	username, password, domain := sim.Credentials()
	s := branch()
	s.URL, s.ClientID, s.ClientSecretFile, s.CAFile = sim.URL(), username, kept(t, password.Reveal()), kept(t, string(a.PEM()))
	s.Options = map[string]any{"domain": domain, "events": "webhook", "webhook": map[string]any{"listen": listen, "username": "offhook", "password_file": kept(t, "thepasswordofevents\n"),
		"cert_file": kept(t, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: pair.Certificate[0]}))),
		"key_file":  kept(t, string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key})))}}
	watched := func(open func() (pbx.Driver, error), then func()) error {
		driver, err := open()
		if err != nil {
			t.Fatal(err)
		}
		defer driver.Close()
		ctx, cancel := context.WithTimeout(t.Context(), 19*time.Second) // before the first beat, so that only an event can tell
		defer cancel()
		return driver.(pbx.Watcher).Watch(ctx, func(e pbx.WatchEvent) {
			switch e := e.(type) {
			case pbx.Synced:
				then()
			case pbx.CallEvent:
				if e.Extension == "200" && e.Calls == 1 {
					cancel()
				}
			}
		})
	}
	doctor := func() (pbx.Driver, error) { return OpenDriver(t.Context(), s) }
	service := func() (pbx.Driver, error) { return drivers["portsip"].resume(t.Context(), s, t.TempDir()) }
	if err := watched(doctor, func() {}); fault.KindOf(err) != fault.Denied || !strings.Contains(err.Error(), "switched off") {
		t.Errorf("with nothing in the portal: %v", err)
	}
	sim.SetWebhook(t.Context(), portsipsim.Webhook{URL: "https://" + listen, Auth: "BASIC", Username: "offhook", Password: secret.NewValue("thepasswordofevents"), Authorities: a.Pool()})
	called := sync.OnceFunc(func() { sim.StartCall("200") })
	if err := watched(service, called); fault.KindOf(err) != fault.Cancelled || sim.EventStats().Sent == 0 {
		t.Errorf("%v, %+v", err, sim.EventStats())
	}
	sim.EndCalls("200")
	sim.StartCall("200")
	for range 2 { // nobody takes the address from anybody
		if err := watched(doctor, func() {}); fault.KindOf(err) != fault.Cancelled {
			t.Error(err)
		}
	}
	hook := s.Options["webhook"].(map[string]any)
	for name, text := range map[string]string{"password_file": "short", "cert_file": "no certificate"} {
		right := hook[name]
		hook[name] = kept(t, text)
		if _, err := doctor(); fault.KindOf(err) != fault.Denied && fault.KindOf(err) != fault.Invalid || !strings.Contains(err.Error(), name) || strings.Contains(err.Error(), "short ") {
			t.Errorf("%s: %v", name, err)
		}
		hook[name] = right
	}
}

func TestPortSIPIsReachedAsConfigured(t *testing.T) {
	authority, err := secret.NewAuthority("writer tests", time.Now())
	if err != nil {
		t.Fatal(err)
	}
	sim, err := portsipsim.Start(portsipsim.Config{Authority: authority, Extensions: 2})
	if err != nil {
		t.Fatal(err)
	}
	defer sim.Close()
	dir := t.TempDir()
	file := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	username, password, domain := sim.Credentials()
	_, own := sim.CredentialsOf("200")
	s := branch()
	s.URL, s.ClientID, s.ClientSecretFile, s.CAFile = sim.URL(), username, file("hq", password.Reveal()+"\n"), file("ca.pem", string(authority.PEM()))
	s.Options = map[string]any{"domain": domain, "statuses": "own", "note": "In a call",
		"accounts": map[string]any{"200": map[string]any{"password_file": file("200", own.Reveal())}}}
	driver, err := OpenDriver(t.Context(), s)
	if err != nil {
		t.Fatal(err)
	}
	defer driver.Close()
	if err := driver.SetStatus(t.Context(), "200", presence.Lunch); err != nil {
		t.Error(err)
	}
	if status, note := sim.Presence("200"); status != presence.Lunch || note != "In a call" {
		t.Errorf("it shows %v, %q", status, note)
	}
	if c := driver.Capabilities(); !c.Phonebook.Personal || !c.Watch.Calls {
		t.Errorf("capabilities %+v", c)
	}
	for _, gone := range []string{"hq", "200"} {
		text, _ := os.ReadFile(filepath.Join(dir, gone))
		os.Remove(filepath.Join(dir, gone))
		if _, err := OpenDriver(t.Context(), s); fault.KindOf(err) != fault.Denied {
			t.Errorf("without the file %s: %v", gone, err)
		}
		file(gone, string(text))
	}
}
