package writer

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"offhook.dev/libs/config"
	"offhook.dev/libs/core/fault"
	"offhook.dev/libs/core/presence"
	"offhook.dev/libs/pbx/freeswitchsim"
)

// switchboard is a FreeSWITCH that says as little as it may.
func switchboard() config.System {
	return config.System{ID: "hq", Driver: "freeswitch", URL: "tcp://127.0.0.1:8021", ClientSecretFile: "/x", Options: map[string]any{"domain": "pbx.example.com"}}
}

func TestFreeSWITCHNamesWhatIsWrong(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*config.System)
		keys   []string
	}{
		"as little as it may": {func(*config.System) {}, nil},
		"all that there is, plain": {func(s *config.System) {
			s.URL, s.ClientID = "tcp://192.0.2.1", "offhook@x"
			s.Options = map[string]any{"domain": "x", "profile": "plain", "realm": "o", "lamps": false, "extensions": []any{"100-199"}, "plain_tcp": true}
		}, nil},
		"all that there is, FusionPBX": {func(s *config.System) {
			s.URL = "tls://pbx.example.com"
			s.Options = map[string]any{"domain": "x", "profile": "fusionpbx", "variable": "dnd", "command": "lua x.lua {ext} {domain} {dnd}", "cache": "memcache", "lamps": true}
		}, nil},
		"nothing":                 {func(s *config.System) { s.Options, s.URL, s.ClientSecretFile = nil, "", "" }, []string{"client_secret_file", "options.domain", "url"}},
		"another machine":         {func(s *config.System) { s.URL = "tcp://192.0.2.1" }, []string{"url"}},
		"a password in the URL":   {func(s *config.System) { s.URL = "tcp://a:hunter2@127.0.0.1" }, []string{"url"}},
		"a user without a domain": {func(s *config.System) { s.ClientID = "offhook" }, []string{"client_id"}},
		"no such profile":         {func(s *config.System) { s.Options["profile"] = "asterisk" }, []string{"options.profile"}},
		"no command":              {func(s *config.System) { s.Options["profile"] = "directory" }, []string{"options.command"}},
		"lamps of another kind":   {func(s *config.System) { s.Options["lamps"] = "red" }, []string{"options.lamps"}},
		"a number, not a text":    {func(s *config.System) { s.Options["extensions"] = []any{100} }, []string{"options.extensions"}},
		"an unknown option":       {func(s *config.System) { s.Options["colour"] = "red" }, []string{"options.colour"}},
	} {
		t.Run(name, func(t *testing.T) {
			s := switchboard()
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

func TestFreeSWITCHIsReachedAsConfigured(t *testing.T) {
	sim, err := freeswitchsim.Start(freeswitchsim.Config{Extensions: 2})
	if err != nil {
		t.Fatal(err)
	}
	defer sim.Close()
	_, password, domain := sim.Credentials()
	file := filepath.Join(t.TempDir(), "hq")
	if err := os.WriteFile(file, []byte(password.Reveal()+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	s := switchboard()
	s.URL, s.ClientSecretFile = sim.URL(), file
	s.Options = map[string]any{"domain": domain, "realm": "status", "lamps": false}
	driver, err := OpenDriver(t.Context(), s)
	if err != nil {
		t.Fatal(err)
	}
	defer driver.Close()
	if err := driver.SetStatus(t.Context(), "1000", presence.Lunch); err != nil {
		t.Error(err)
	}
	if stored, lamp := sim.Stored("status", "1000"), sim.Lamp("sip", "1000"); stored != "lunch" || lamp != (freeswitchsim.Lamp{}) {
		t.Errorf("it keeps %q and shows %+v", stored, lamp)
	}
	os.Remove(file)
	if _, err := OpenDriver(t.Context(), s); fault.KindOf(err) != fault.Denied {
		t.Errorf("without the file: %v", err)
	}
}
