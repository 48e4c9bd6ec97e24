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
			sim := anAsterisk(t)
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

// A status has several places on an Asterisk, and a reading tells of the first ones. What
// has ended between two of them is written again although it shows, and no person is made up.
func TestWhatWasWrittenByHalfIsWrittenAgain(t *testing.T) {
	for name, c := range map[string]struct {
		fault         asterisksim.Fault
		before, after presence.Status
	}{
		"the lamps are refused for now":     {asterisksim.Fault{Kind: asterisksim.ShuttingDown, Only: "Setvar", Times: 2}, presence.Available, presence.DND},
		"the lamps are refused":             {asterisksim.Fault{Kind: asterisksim.Refuse, Text: "Variable not set", Only: "Setvar", Times: 1}, presence.Available, presence.DND},
		"the right for lamps is gone":       {asterisksim.Fault{Kind: asterisksim.Deny, Only: "Setvar", Times: 1}, presence.Available, presence.DND},
		"it is cut after the switch":        {asterisksim.Fault{Kind: asterisksim.LostAnswer, Only: "DBPut", Times: 1}, presence.Available, presence.DND},
		"the switch stays on":               {asterisksim.Fault{Kind: asterisksim.ShuttingDown, Only: "DBDel", Times: 1}, presence.DND, presence.Lunch},
		"the switch is off, the lamps stay": {asterisksim.Fault{Kind: asterisksim.Refuse, Text: "Variable not set", Only: "Setvar", Skip: 1, Times: 1}, presence.DND, presence.Lunch},
	} {
		t.Run(name, func(t *testing.T) {
			sim := anAsterisk(t)
			s := newStage(t, 1)
			s.opts.MinutePass = time.Second
			s.opts.Systems[0].Open = openSimulated(sim)
			s.run("a")
			s.ends(s.covering(0, c.before), map[bool]wire.Result{true: wire.Already, false: wire.Applied}[c.before == presence.Available])
			sim.Inject(c.fault)
			s.covering(0, c.after)
			s.eventually(func() string { return lacks(sim, c.after) })
			s.tells(0, c.after, presence.Ours)
			if fact, _ := s.fact(0); fact.LastPerson.Status != presence.Available {
				t.Errorf("a person was made up: %+v", fact.LastPerson)
			}
		})
	}
}

// An Asterisk that dies may have saved the switch and not the lamps.
func TestALampThatAnAsteriskForgotIsWrittenAgain(t *testing.T) {
	sim := anAsterisk(t)
	s := newStage(t, 1)
	s.opts.MinutePass = time.Second
	s.opts.Systems[0].Open = openSimulated(sim)
	s.run("a")
	s.ends(s.covering(0, presence.DND), wire.Applied)
	sim.Remove("CustomDevstate/DND200")
	sim.Flush()
	if lacks(sim, presence.DND) == "" {
		t.Fatal("the lamp is still on")
	}
	sim.Restart()
	s.eventually(func() string { return lacks(sim, presence.DND) })
}

// lacks says what is missing of a status at extension 200, in all its places.
func lacks(sim *asterisksim.Sim, want presence.Status) string {
	_, dnd := sim.Entry("DND/200")
	lamps := sim.State("Custom:DND200") + " " + sim.State("Custom:DEVDND200")
	_, subtype, _ := sim.Presence("200")
	on := want == presence.DND
	if dnd != on || lamps != map[bool]string{true: "BUSY BUSY", false: "UNAVAILABLE UNAVAILABLE"}[on] || (subtype == "lunch") != (want == presence.Lunch) {
		return fmt.Sprintf("the switch is on: %v, the lamps are %s, the subtype %q", dnd, lamps, subtype)
	}
	return ""
}

func anAsterisk(t *testing.T) *asterisksim.Sim {
	t.Helper()
	sim, err := asterisksim.Start(asterisksim.Config{Extensions: 2})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(sim.Close)
	return sim
}

// openSimulated opens a driver for sim.
func openSimulated(sim *asterisksim.Sim) func(context.Context) (pbx.Driver, error) {
	return func(ctx context.Context) (pbx.Driver, error) {
		username, password := sim.Credentials()
		return asterisk.Open(ctx, asterisk.Config{URL: sim.URL(), Username: username, Secret: password, Presence: true})
	}
}

// What a person dials at the phone is that person's, and not written over.
func TestAFeatureCodeIsAPersonsChoice(t *testing.T) {
	sim := anAsterisk(t)
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
