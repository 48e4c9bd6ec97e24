package writer

import (
	"bytes"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"offhook.dev/libs/config"
	"offhook.dev/libs/core/fault"
	"offhook.dev/libs/core/presence"
	"offhook.dev/libs/pbx"
	"offhook.dev/libs/pbx/memory"
)

func TestSIPPresenceReadsItsLamps(t *testing.T) {
	cases := []struct {
		name  string
		lamps any // nil: not given
		want  presence.Set
		wrong bool
	}{
		{"none are none", nil, 0, false},
		{"one is a word", "dnd", presence.SetOf(presence.DND), false},
		{"several are a list", []any{"dnd", "away", "business-trip"}, presence.SetOf(presence.DND, presence.Away, presence.BusinessTrip), false},
		{"an empty list is none", []any{}, 0, false},
		{"available lights no lamp", []any{"available", "dnd"}, 0, true},
		{"a word that is no status", []any{"red"}, 0, true},
		{"no word", []any{""}, 0, true},
		{"a switch", true, 0, true},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			s := front()
			if c.lamps != nil {
				s.Options["lamps"] = c.lamps
			}
			problems := checkSIPPresence(s).all()
			if c.wrong {
				if len(problems) != 1 || problems[0].Key != "options.lamps" || problems[0].Fix == "" {
					t.Errorf("found %v", problems)
				}
				return
			}
			got, _ := sipPresenceConfig(s)
			if len(problems) != 0 || got.Lamps != c.want {
				t.Errorf("got %v, %v", got.Lamps.Slice(), problems)
			}
		})
	}
}

// resumed opens a system as the service does.
func resumed(t *testing.T, dir string, s config.System) (pbx.Driver, error) {
	t.Helper()
	o, err := FromConfig(config.Config{DataDir: dir, Systems: []config.System{s}})
	if err != nil {
		t.Fatal(err)
	}
	driver, err := o.Systems[0].Open(t.Context())
	if err == nil {
		t.Cleanup(func() { driver.Close() })
	}
	return driver, err
}

func TestSIPPresenceKeepsItsTagsUnlessThatIsNotWanted(t *testing.T) {
	for name, keep := range map[string]any{"by default it is a file": nil, "false is none": false, "true is a file": true} {
		t.Run(name, func(t *testing.T) {
			dir, s := t.TempDir(), front()
			if keep != nil {
				s.Options["keep_etags"] = keep
			}
			if _, err := resumed(t, dir, s); err != nil {
				t.Fatal(err)
			}
			_, err := os.Stat(filepath.Join(dir, "sip-presence-front.json"))
			if kept := err == nil; kept != (keep != false) {
				t.Errorf("kept: %v", kept)
			}
		})
	}
	t.Run("not by doctor, which runs beside the service", func(t *testing.T) {
		t.Chdir(t.TempDir())
		s := front()
		s.Options["keep_etags"] = true
		open(t, s)
		if left, _ := os.ReadDir("."); len(left) != 0 {
			t.Errorf("left %v", left)
		}
	})
	t.Run("by default not where there is no folder", func(t *testing.T) {
		if _, err := resumed(t, filepath.Join(t.TempDir(), "none"), front()); err != nil {
			t.Error(err)
		}
	})
	t.Run("by default not where there is something else by that name", func(t *testing.T) {
		dir := t.TempDir()
		if err := os.Mkdir(filepath.Join(dir, "sip-presence-front.json"), 0o700); err != nil {
			t.Fatal(err)
		}
		if _, err := resumed(t, dir, front()); err != nil {
			t.Error(err)
		}
	})
	t.Run("a folder that does not exist is told where a file is wanted", func(t *testing.T) {
		s := front()
		s.Options["keep_etags"] = true
		if _, err := resumed(t, filepath.Join(t.TempDir(), "none"), s); fault.KindOf(err) != fault.Denied {
			t.Errorf("got %v", err)
		}
	})
	t.Run("a word is no switch", func(t *testing.T) {
		s := front()
		s.Options["keep_etags"] = "yes"
		if problems := checkSIPPresence(s).all(); len(problems) != 1 || problems[0].Key != "options.keep_etags" {
			t.Errorf("found %v", problems)
		}
	})
}

// talker is a driver that tells something.
type talker struct {
	pbx.Driver
	said error
}

func (t talker) Tell(tell func(error)) { tell(t.said) }

func TestWhatADriverTellsIsLogged(t *testing.T) {
	var out bytes.Buffer
	log := slog.New(slog.NewTextHandler(&out, nil))
	silent := memory.Open(memory.NewPhoneSystem(), presence.Powers{})
	listen(silent, log)
	if out.Len() != 0 {
		t.Errorf("logged %s", &out)
	}
	listen(talker{silent, fault.New(fault.Invalid, "lamp", errors.New("no lamps here"))}, log)
	if said := out.String(); !strings.Contains(said, "level=WARN") || !strings.Contains(said, "no lamps here") || !strings.Contains(said, "kind=") {
		t.Errorf("logged %q", said)
	}
}
