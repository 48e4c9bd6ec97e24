package writer

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"offhook.dev/libs/config"
	"offhook.dev/libs/core/fault"
	"offhook.dev/libs/core/presence"
	"offhook.dev/libs/pbx"
	"offhook.dev/libs/pbx/asterisk"
	"offhook.dev/libs/pbx/asterisksim"
	"offhook.dev/libs/secret"
	"offhook.dev/libs/wire"
)

// plant is an Asterisk that says as little as it may.
func plant() config.System {
	return config.System{ID: "plant", Driver: "asterisk", URL: "tls://pbx.example.com", ClientID: "offhook", ClientSecretFile: "/x"}
}

func TestAsteriskNamesWhatIsWrong(t *testing.T) {
	options := func(all map[string]any) func(*config.System) {
		return func(s *config.System) { s.Options = all }
	}
	for name, c := range map[string]struct {
		change func(*config.System)
		keys   []string
	}{
		"as little as it may":     {func(*config.System) {}, nil},
		"all of FreePBX":          {options(map[string]any{"profile": "freepbx", "context": "ext-local", "presence_text": true, "without_lamps": true, "server_name": "x", "mailboxes": "default"}), nil},
		"all of plain":            {options(map[string]any{"profile": "plain", "context": "hints", "database": "DND/{ext}", "database_value": "1", "device_state": "Custom:DND{ext}", "device_state_off": "UNAVAILABLE", "presence": "CustomPresence:{ext}", "dial_context": "phones"}), nil},
		"extensions are listed":   {options(map[string]any{"profile": "plain", "extensions": "100-199", "device": "SIP/{ext}", "database": "DND/{ext}"}), nil},
		"this machine":            {func(s *config.System) { s.URL = "tcp://127.0.0.1:5038" }, nil},
		"a wire, on purpose":      {func(s *config.System) { s.URL, s.Options = "tcp://10.0.0.5", map[string]any{"plain_text": true} }, nil},
		"a wire":                  {func(s *config.System) { s.URL = "tcp://10.0.0.5:5038" }, []string{"url"}},
		"a password in the URL":   {func(s *config.System) { s.URL = "tls://a:hunter2@pbx" }, []string{"url"}},
		"no account":              {func(s *config.System) { s.ClientID, s.ClientSecretFile = "", "" }, []string{"client_id", "client_secret_file"}},
		"no such profile":         {options(map[string]any{"profile": "issabel"}), []string{"options.profile"}},
		"a profile that is none":  {options(map[string]any{"profile": 7}), []string{"options.profile"}},
		"templates without plain": {options(map[string]any{"database": "DND/{ext}", "presence": "CustomPresence:{ext}"}), []string{"options.database", "options.presence"}},
		"plain without anything":  {options(map[string]any{"profile": "plain"}), []string{"options.context", "options.profile"}},
		"a switch that is a word": {options(map[string]any{"presence_text": "yes"}), []string{"options.presence_text"}},
		"bare numbers":            {options(map[string]any{"profile": "plain", "extensions": []any{7}, "context": "hints", "database": "DND/{ext}"}), []string{"options.extensions"}},
		"an unknown option":       {options(map[string]any{"colour": "red"}), []string{"options.colour"}},
	} {
		t.Run(name, func(t *testing.T) {
			s := plant()
			c.change(&s)
			var keys []string
			for _, p := range Check(config.Config{Systems: []config.System{s}}) {
				keys = append(keys, strings.TrimPrefix(p.Key, "systems[0]."))
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

func TestAsteriskIsReachedAsConfigured(t *testing.T) {
	authority, err := secret.NewAuthority("writer tests", time.Now())
	if err != nil {
		t.Fatal(err)
	}
	sim, err := asterisksim.Start(asterisksim.Config{Authority: authority, Hosts: []string{"pbx.example.com"}, Extensions: 2})
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
	username, password := sim.Credentials()
	s := plant()
	s.URL, s.ClientID, s.ClientSecretFile, s.CAFile = sim.URL(), username, file("secret", password.Reveal()+"\n"), file("ca.pem", string(authority.PEM()))
	s.Options = map[string]any{"server_name": "pbx.example.com", "presence_text": true}
	driver, err := OpenDriver(t.Context(), s)
	if err != nil {
		t.Fatal(err)
	}
	defer driver.Close()
	if err := driver.SetStatus(t.Context(), "200", presence.Lunch); err != nil {
		t.Error(err)
	}
	if _, subtype, message := sim.Presence("200"); subtype != "lunch" || message != "Lunch" {
		t.Errorf("it shows %q, %q", subtype, message)
	}
	if c := driver.Capabilities(); !c.Watch.Calls || !c.Extensions || c.Powers.Write != presence.All || c.Version != "20.9.3" {
		t.Errorf("capabilities %+v", c)
	}
	s.ClientSecretFile = filepath.Join(dir, "gone")
	if _, err := OpenDriver(t.Context(), s); fault.KindOf(err) != fault.Denied {
		t.Errorf("without its secret: %v", err)
	}
}

// An Asterisk acknowledges a write up to a second before it is on disk. The ledger finds
// out what one has forgotten that died, writes it again, and makes up no person: also if
// it is back before anybody was refused, and nobody asks it anything but the watch.
func TestWhatAnAsteriskForgetsWhenItDiesIsWrittenAgain(t *testing.T) {
	for name, c := range map[string]struct {
		flushed, fast bool
	}{
		"it forgot our last write": {false, false}, "it forgot nothing": {true, false},
		"it forgot our last write in no time": {false, true},
	} {
		t.Run(name, func(t *testing.T) {
			sim, err := asterisksim.Start(asterisksim.Config{Extensions: 2})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(sim.Close)
			s := newStage(t, 1)
			s.opts.Systems[0].Open = openSimulated(sim)
			if c.fast {
				s.opts.Systems[0].Poll = time.Hour
			}
			s.run("a")
			s.ends(s.covering(0, presence.DND), wire.Applied)
			s.tells(0, presence.DND, presence.Ours)
			if c.flushed {
				sim.Flush()
			}
			signIns := sim.Stats().SignIns
			if c.fast {
				sim.Restart()
			} else {
				sim.Crash()
				if _, dnd := sim.Entry("DND/200"); dnd != c.flushed {
					t.Fatalf("after it died the switch is on: %v", dnd)
				}
				if err := sim.Up(); err != nil {
					t.Fatal(err)
				}
			}
			s.eventually(func() string {
				_, dnd := sim.Entry("DND/200")
				if lamp := sim.State("Custom:DND200"); !dnd || lamp != "BUSY" || sim.Stats().SignIns == signIns {
					return fmt.Sprintf("the switch is on: %v, and the lamp %s", dnd, lamp)
				}
				return ""
			})
			s.tells(0, presence.DND, presence.Ours)
			if fact, _ := s.fact(0); fact.LastPerson.Status != presence.Available {
				t.Errorf("a person was made up: %+v", fact.LastPerson)
			}
		})
	}
}

// openSimulated opens a driver for sim.
func openSimulated(sim *asterisksim.Sim) func(context.Context) (pbx.Driver, error) {
	return func(ctx context.Context) (pbx.Driver, error) {
		username, password := sim.Credentials()
		return asterisk.Open(ctx, asterisk.Config{URL: sim.URL(), Username: username, Secret: password})
	}
}

// What a person dials at the phone is that person's, and not written over.
func TestAFeatureCodeIsAPersonsChoice(t *testing.T) {
	sim, err := asterisksim.Start(asterisksim.Config{Extensions: 2})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(sim.Close)
	s := newStage(t, 1)
	s.opts.Systems[0].Poll = time.Hour // so that only the watch can tell
	s.opts.Systems[0].Open = openSimulated(sim)
	s.run("a")
	s.tells(0, presence.Available, presence.Person)
	sim.Press("200", true)
	s.tells(0, presence.DND, presence.Person)
	sim.Press("200", false)
	s.tells(0, presence.Available, presence.Person)
}
