package freeswitch

import (
	"strings"
	"testing"

	"offhook.dev/libs/core/fault"
	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/core/presence"
	"offhook.dev/libs/pbx/freeswitch/esl"
	"offhook.dev/libs/pbx/freeswitchsim"
)

func TestWithoutFlushingTheOldVariableIsTold(t *testing.T) {
	for name, c := range map[string]struct {
		sim    freeswitchsim.Config
		driver Config
		want   presence.Status
	}{
		"the script deletes the file":           {freeswitchsim.Config{}, Config{Profile: FusionPBX}, presence.DND},
		"the script does, in a directory":       {freeswitchsim.Config{}, Config{Profile: Directory}, presence.DND},
		"nobody does: the event is for others":  {freeswitchsim.Config{Leaves: true}, Config{Profile: FusionPBX}, presence.Available},
		"the event does: it is heard":           {freeswitchsim.Config{Leaves: true, Overheard: true}, Config{Profile: FusionPBX}, presence.DND},
		"nobody does: a directory has no event": {freeswitchsim.Config{Leaves: true, Overheard: true}, Config{Profile: Directory}, presence.Available},
		"memcache is flushed":                   {freeswitchsim.Config{Leaves: true, Memcache: true}, Config{Profile: FusionPBX, Cache: Memcache}, presence.DND},
		"memcache is flushed twice":             {freeswitchsim.Config{Memcache: true}, Config{Profile: FusionPBX, Cache: Memcache}, presence.DND},
		"the wrong cache":                       {freeswitchsim.Config{Leaves: true, Overheard: true, Memcache: true}, Config{Profile: FusionPBX}, presence.Available},
	} {
		t.Run(name, func(t *testing.T) {
			c.sim.Cached, c.driver.Command = true, script
			d := open(t, start(t, c.sim), c.driver)
			if s, err := d.Status(t.Context(), "1000"); err != nil || s != presence.Available {
				t.Fatalf("%v, %v", s, err)
			}
			if err := d.SetStatus(t.Context(), "1000", presence.DND); err != nil {
				t.Fatal(err)
			}
			if s, err := d.Status(t.Context(), "1000"); err != nil || s != c.want {
				t.Errorf("%v, %v", s, err)
			}
		})
	}
}

// The variable is written by then: it is not true that nothing was changed, which all other
// kinds of error would say.
func TestAFlushThatIsRefusedIsNoSuccess(t *testing.T) {
	const denied = freeswitchsim.Deny
	for name, c := range map[string]struct {
		sim   freeswitchsim.Config
		cache Cache
		fault freeswitchsim.Fault // of the write
		says  string              // "": it is a success
	}{
		"memcache is not loaded":     {freeswitchsim.Config{}, Memcache, freeswitchsim.Fault{}, "memcache Command not found! (is the module loaded?)"},
		"memcache may not be used":   {freeswitchsim.Config{Memcache: true}, Memcache, freeswitchsim.Fault{Kind: denied, Only: "api memcache"}, "esl-allowed-api does not have this"},
		"memcache does not take it":  {freeswitchsim.Config{Memcache: true}, Memcache, freeswitchsim.Fault{Kind: freeswitchsim.Usage, Only: "api memcache"}, "-USAGE"},
		"events may not be fired":    {freeswitchsim.Config{}, Files, freeswitchsim.Fault{Kind: denied, Only: "sendevent CUSTOM"}, "permission denied"},
		"nothing is cached":          {freeswitchsim.Config{Memcache: true}, Memcache, freeswitchsim.Fault{}, ""},
		"lamps alone are refused":    {freeswitchsim.Config{Memcache: true}, Memcache, freeswitchsim.Fault{Kind: denied, Only: "sendevent"}, ""},
		"it is the script's refusal": {freeswitchsim.Config{}, Memcache, freeswitchsim.Fault{Kind: denied, Only: "api lua"}, "esl-allowed-api"},
	} {
		t.Run(name, func(t *testing.T) {
			sim := start(t, c.sim)
			d := open(t, sim, Config{Profile: FusionPBX, Command: script, Cache: c.cache})
			if c.fault.Kind != "" {
				sim.Inject(c.fault)
			}
			err := d.SetStatus(t.Context(), "1000", presence.DND)
			written := sim.Variable("1000") == "true"
			switch {
			case c.says == "":
				if err != nil || !written {
					t.Errorf("written: %v, %v", written, err)
				}
			case err == nil || !strings.Contains(err.Error(), c.says):
				t.Errorf("got %v", err)
			case (fault.KindOf(err) == fault.Timeout) != written:
				t.Errorf("written: %v, but %v: %v", written, fault.KindOf(err), err)
			}
		})
	}
}

func TestWhatIsNotCachedNeedsNoFlush(t *testing.T) {
	for text, fine := range map[string]bool{
		"+OK\n": true, "+OK 4c6d2a53-8a58-4d44-a5a0-9ac1a3e5e5b6": true, "-ERR NOT FOUND\n": true, "-ERR Not found\n": true,
		"-ERR SERVER HAS FAILED AND IS DISABLED UNTIL TIMED RETRY\n": false, "-ERR no reply\n": false, "-ERR permission denied": false,
		"-ERR memcache Command not found!\n": false, "": false, "NOT FOUND": false,
	} {
		err := flushed("op", esl.Reply(text))
		if (err == nil) != fine || err != nil && fault.KindOf(err) != fault.Timeout {
			t.Errorf("%q: %v", text, err)
		}
	}
}

func TestWhatACommandSaysDecides(t *testing.T) {
	for command, want := range map[string]fault.Kind{
		"lua another.lua {ext} {domain} {dnd}":          fault.Timeout, // it is not there, and FreeSWITCH only logs that
		"lua offhook_dnd.lua {ext} elsewhere.com {dnd}": fault.NotFound,
		"luarun offhook_dnd.lua {ext} {dnd}":            fault.Denied, // no such API
		"show {ext} {dnd}":                              fault.Invalid,
		"version {ext} {dnd}":                           fault.Timeout, // whatever it did
	} {
		d := open(t, start(t, freeswitchsim.Config{}), Config{Profile: Directory, Command: command})
		if err := d.SetStatus(t.Context(), "1000", presence.DND); fault.KindOf(err) != want {
			t.Errorf("%s: %v", command, err)
		}
	}
}

// Whether it is asked for alone or told with all others.
func TestAStatusOfSomebodyElsesIsNone(t *testing.T) {
	sim := start(t, freeswitchsim.Config{Extensions: few + 1})
	d := open(t, sim, Config{})
	for value, want := range map[string]presence.Status{
		"dnd": presence.DND, " dnd\n": presence.DND, "DND": presence.Unset, "gone fishing": presence.Unset, "": presence.Unset,
		"-": presence.Unset, "-1": presence.Unset, "-dnd": presence.Unset, "-err": presence.Unset, "+OK": presence.Unset,
	} {
		sim.Store("offhook", "1000", value)
		if s, err := d.Status(t.Context(), "1000"); err != nil || s != want {
			t.Errorf("%q: %v, %v", value, s, err)
		}
		told := make(map[identity.Extension]presence.Status)
		err := d.Statuses(t.Context(), func(ext identity.Extension, s presence.Status) error { told[ext] = s; return nil })
		if err != nil || len(told) != few+1 || told["1000"] != want {
			t.Errorf("%q among all: %v, %v", value, told["1000"], err)
		}
	}
	if n := sim.Commands("api hash_dump"); n != 11 {
		t.Errorf("%d dumps", n)
	}
}
