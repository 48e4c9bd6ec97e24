package freeswitch

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"strings"
	"testing"
	"time"

	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/core/presence"
	"offhook.dev/libs/pbx"
	"offhook.dev/libs/pbx/freeswitchsim"
	"offhook.dev/libs/pbx/pbxtest"
	"offhook.dev/libs/secret"
)

// authority issues the certificates of simulated TLS proxies. It never changes.
var authority = func() *secret.Authority {
	a, err := secret.NewAuthority("freeswitch tests", time.Now())
	if err != nil {
		panic(err)
	}
	return a
}()

// users is more than is read in one round trip, so that listings have a seam.
const users = batch + 5

// script is the command that writes the variable in the simulator.
const script = "lua offhook_dnd.lua {ext} {domain} {dnd}"

// variant is a FreeSWITCH and a way to use it.
type variant struct {
	sim    freeswitchsim.Config
	driver Config // what is not from the simulator
	write  int    // how many commands a write is
}

// variants are the ways in which FreeSWITCH can be.
var variants = map[string]variant{
	"plain, no lamps":               {driver: Config{NoLamps: true}, write: 1},
	"plain, behind a TLS proxy":     {sim: freeswitchsim.Config{Authority: authority, Groups: true}, write: 2},
	"plain, as a user":              {sim: freeswitchsim.Config{User: "offhook@pbx.example.com", NameOnly: true}, write: 2},
	"plain, an old hash_dump":       {sim: freeswitchsim.Config{OldDump: true}, write: 2},
	"plain, choices are no events":  {sim: freeswitchsim.Config{Quiet: true}, driver: Config{Beat: 50 * time.Millisecond}, write: 2},
	"a directory, no lamps":         {sim: freeswitchsim.Config{Variable: "dnd"}, driver: Config{Profile: Directory, Variable: "dnd", Command: script, NoLamps: true}, write: 1},
	"FusionPBX, cached in files":    {sim: freeswitchsim.Config{Cached: true}, driver: Config{Profile: FusionPBX, Command: script}, write: 4},
	"FusionPBX, the event is heard": {sim: freeswitchsim.Config{Cached: true, Leaves: true, Overheard: true}, driver: Config{Profile: FusionPBX, Command: script}, write: 4},
	"FusionPBX, mod_memcache":       {sim: freeswitchsim.Config{Cached: true, Leaves: true, Memcache: true}, driver: Config{Profile: FusionPBX, Command: script, Cache: Memcache}, write: 4},
}

// throttling is not a thing of FreeSWITCH: nothing in it says "slower", let alone how long.
const throttling = "throttling carries its delay"

// FreeSWITCH refuses nobody for asking too fast, so that the case about that cannot be met;
// and a write with lamps is several commands that are sent together, once, whatever becomes
// of the first. In everything else every variant conforms.
func TestConformance(t *testing.T) {
	for name, v := range variants {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
			defer cancel()
			failed := pbxtest.Check(ctx, func() pbxtest.Harness { return newHarness(t, v) })
			if said := failed[throttling]; !strings.HasPrefix(said, "status: want an error that is throttled, got unavailable") {
				t.Errorf("%s: %q", throttling, said)
			}
			delete(failed, throttling)
			known := make(map[string]string)
			if v.write > 1 {
				known["one call is one request"] = fmt.Sprintf("a write was %d requests", v.write)
			}
			if !maps.Equal(failed, known) {
				t.Errorf("failed: %v", failed)
			}
		})
	}
}

// start runs a simulated FreeSWITCH.
func start(t testing.TB, config freeswitchsim.Config) *freeswitchsim.Sim {
	t.Helper()
	config.Extensions = cmp.Or(config.Extensions, 4)
	sim, err := freeswitchsim.Start(config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(sim.Close)
	return sim
}

// configFor completes a configuration for sim.
func configFor(sim *freeswitchsim.Sim, c Config) Config {
	c.URL = sim.URL()
	c.User, c.Password, c.Domain = sim.Credentials()
	c.Authorities = authority.Pool()
	return c
}

// open connects a driver to sim.
func open(t testing.TB, sim *freeswitchsim.Sim, c Config) *Driver {
	t.Helper()
	d, err := Open(t.Context(), configFor(sim, c))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	return d
}

type harness struct {
	*freeswitchsim.Sim
	driver *Driver
}

func newHarness(t *testing.T, v variant) *harness {
	v.sim.Extensions = users
	sim, err := freeswitchsim.Start(v.sim)
	if err != nil {
		t.Fatal(err)
	}
	v.driver.Settle = 10 * time.Millisecond
	d, err := Open(t.Context(), configFor(sim, v.driver))
	if err != nil {
		sim.Close()
		t.Fatal(err)
	}
	return &harness{sim, d}
}

func (h *harness) Driver() pbx.Driver               { return h.driver }
func (h *harness) Extensions() []identity.Extension { return h.Numbers() }
func (h *harness) Absent() identity.Extension       { return "999" }
func (h *harness) Requests() int                    { return h.Stats().Commands }
func (h *harness) Cut()                             { h.CutWatches() }

func (h *harness) Shown(ext identity.Extension) presence.Status {
	if h.driver.config.Profile == Plain {
		s, _ := presence.ParseStatus(h.Stored("offhook", ext))
		return s
	}
	if h.Variable(ext) == "true" {
		return presence.DND
	}
	return presence.Available
}

// Choose does what a feature code of the dialplan does.
func (h *harness) Choose(ext identity.Extension, s presence.Status) {
	switch {
	case h.driver.config.Profile == Plain:
		h.Store("offhook", ext, s.String())
	case s == presence.DND:
		h.Switch(ext, "true")
	default:
		h.Switch(ext, "false")
	}
}

// Inject: to be turned away is to find nobody there, which only then is certain when the
// driver has noticed. Nothing of FreeSWITCH is like Throttle; it is turned away as well.
func (h *harness) Inject(f pbxtest.Fault) {
	h.ClearFaults()
	if err := h.Up(); err != nil {
		panic(err)
	}
	switch f {
	case pbxtest.None:
	case pbxtest.Down, pbxtest.Throttle:
		h.Down()
		for h.driver.link.alive() {
			<-time.After(time.Millisecond)
		}
	case pbxtest.Deny:
		h.Sim.Inject(freeswitchsim.Fault{Kind: freeswitchsim.Deny})
	case pbxtest.Garbage:
		h.Sim.Inject(freeswitchsim.Fault{Kind: freeswitchsim.Garbage, Only: "read"})
	case pbxtest.Hang:
		h.Sim.Inject(freeswitchsim.Fault{Kind: freeswitchsim.Hang})
	case pbxtest.LostAnswer:
		h.Sim.Inject(freeswitchsim.Fault{Kind: freeswitchsim.LostAnswer, Only: "write"})
	default:
		panic(fmt.Sprintf("no such fault: %q", f))
	}
}
