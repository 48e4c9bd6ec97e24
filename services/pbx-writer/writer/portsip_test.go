package writer

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"offhook.dev/libs/config"
	"offhook.dev/libs/core/fault"
	"offhook.dev/libs/core/presence"
	"offhook.dev/libs/pbx/portsip"
	"offhook.dev/libs/pbx/portsipsim"
	"offhook.dev/libs/secret"
)

// branch is a PortSIP that says as little as it may.
func branch() config.System {
	return config.System{ID: "branch", Driver: "portsip", URL: "https://pbx.example.com:8887", ClientID: "offhook", ClientSecretFile: "/x",
		Options: map[string]any{"domain": "pbx.example.com"}}
}

func TestARateIsTheAdministratorsOrTheDrivers(t *testing.T) {
	ours, without := branch(), branch()
	ours.Pace.PerSecond, without.ID, without.Driver = 20, "hq", "memory"
	o, err := FromConfig(config.Config{Systems: []config.System{branch(), ours, without}})
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []float64{portsip.PerSecond, 20, 0} {
		if got := o.Systems[i].Pace.PerSecond; got != want {
			t.Errorf("system %d may send %g requests a second, not %g", i, got, want)
		}
	}
}

func TestPortSIPNamesWhatIsWrong(t *testing.T) {
	accounts := func(all any) func(*config.System) {
		return func(s *config.System) { s.Options["accounts"] = all }
	}
	for name, c := range map[string]struct {
		change func(*config.System)
		keys   []string
	}{
		"as little as it may": {func(*config.System) {}, nil},
		"all that there is": {func(s *config.System) {
			s.Options = map[string]any{"domain": "x", "statuses": "own", "note": "In a call", "role": "StandardUser", "partial_changes": true,
				"ignore_native_sync": false, "accounts": map[string]any{"204": map[string]any{"username": "ada", "password_file": "/x"}}}
		}, nil},
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
