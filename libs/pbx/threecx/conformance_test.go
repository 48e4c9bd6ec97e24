package threecx

import (
	"context"
	"fmt"
	"net/http"
	"strconv"
	"testing"
	"time"

	"offhook.dev/libs/core/directory"
	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/core/presence"
	"offhook.dev/libs/pbx"
	"offhook.dev/libs/pbx/pbxsim"
	"offhook.dev/libs/pbx/pbxtest"
	"offhook.dev/libs/secret"
)

// authority issues the simulators' certificates. It never changes.
var authority = func() *secret.Authority {
	a, err := secret.NewAuthority("threecx tests", time.Now())
	if err != nil {
		panic(err)
	}
	return a
}()

// users is more than a page, so that listings have a seam.
const users = pageSize + 5

// start runs a simulated 3CX; Authority, System and Extensions are filled in.
func start(t *testing.T, config pbxsim.Config) *pbxsim.Sim {
	t.Helper()
	config.Authority, config.System = authority, "hq"
	if config.Extensions == 0 {
		config.Extensions = users
	}
	sim, err := pbxsim.Start(config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(sim.Close)
	return sim
}

// configFor is the configuration of a driver for sim.
func configFor(sim *pbxsim.Sim) Config {
	id, password := sim.Credentials()
	return Config{URL: sim.URL(), ClientID: id, ClientSecret: password, Authorities: authority.Pool()}
}

// open connects a driver to sim.
func open(t *testing.T, sim *pbxsim.Sim) *Driver {
	t.Helper()
	d, err := connect(t.Context(), configFor(sim))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	return d
}

func TestConformance(t *testing.T) {
	for name, config := range map[string]pbxsim.Config{
		"20.0.9":                        {},
		"20.0.8, one token at a time":   {Version: "20.0.8", OneToken: true},
		"20.0.8 by its number only":     {Version: "20.0.8", Schema: pbxsim.Missing},
		"20.0.8 with newer actions":     {Version: "20.0.8", Actions: "20.0.10"},
		"20.0.10 with older actions":    {Version: "20.0.10", Actions: "20.0.8"},
		"three profiles only":           {Profiles: pbxsim.DefaultProfiles()[:3]},
		"profiles named by their label": {Profiles: labelled()},
		"no right to see calls":         {CallControl: pbxsim.Forbidden},
		"no call control at all":        {CallControl: pbxsim.Missing},
		"what is refused is a conflict": {Version: "20.0.10", Refusal: http.StatusConflict, StrictDeletions: true},
	} {
		t.Run(name, func(t *testing.T) {
			pbxtest.Run(t, func() pbxtest.Harness { return newHarness(t, config) })
		})
	}
}

func labelled() []pbxsim.Profile {
	profiles := pbxsim.DefaultProfiles()
	profiles[2].Name = "Do Not Disturb"
	profiles[3] = pbxsim.Profile{Status: presence.Lunch, Name: "Pause", CustomName: "Lunch"}
	return profiles
}

type harness struct {
	*pbxsim.Sim
	driver pbx.Driver
	given  int // how many free numbers
}

func newHarness(t *testing.T, config pbxsim.Config) *harness {
	config.Authority, config.System, config.Extensions = authority, "hq", users
	sim, err := pbxsim.Start(config)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	d, err := Open(ctx, configFor(sim))
	if err != nil {
		sim.Close()
		t.Fatal(err)
	}
	return &harness{Sim: sim, driver: d}
}

func (h *harness) Driver() pbx.Driver         { return h.driver }
func (h *harness) Absent() identity.Extension { return "999" }
func (h *harness) Requests() int              { return h.Stats().Requests }

// Costs: an extension is a user, its department and its marker; before a deletion the keys are
// read, because one that was seen earlier may be somebody else's by now. A page of users has
// their statuses.
func (h *harness) Costs() map[pbxtest.Call]int {
	return map[pbxtest.Call]int{pbxtest.ReadExtension: 3, pbxtest.DeleteExtension: 2, pbxtest.ListStatuses: 1}
}

func (h *harness) Extensions() []identity.Extension {
	var numbers []identity.Extension
	for i := range users {
		numbers = append(numbers, identity.Extension(strconv.Itoa(200+i)))
	}
	return numbers
}

func (h *harness) Shown(ext identity.Extension) presence.Status {
	shown, _ := h.Sim.Shown(ext)
	return shown.Status
}

func (h *harness) StartCall(ext identity.Extension) {
	if _, err := h.Sim.StartCall(ext, ""); err != nil {
		panic(err)
	}
}

func (h *harness) EndCall(ext identity.Extension) { h.EndCalls(ext) }

func (h *harness) Cut() { h.CutWatches() }

func (h *harness) Choose(ext identity.Extension, s presence.Status) { h.SetStatus(ext, s) }

// Free numbers are far from the others.
func (h *harness) Free(n int) []identity.Extension {
	var free []identity.Extension
	for range n {
		h.given++
		free = append(free, identity.Extension(strconv.Itoa(5000+h.given)))
	}
	return free
}

func (h *harness) Listed(ext identity.Extension) (directory.Extension, bool) {
	shown, ok := h.Sim.Shown(ext)
	shown.Marker = identity.User(h.Properties(ext)["OFFHOOK_USER"])
	return shown.Extension, ok
}

func (h *harness) Edit(ext identity.Extension, edit func(*directory.Extension)) {
	h.Sim.Edit(ext, edit)
}
func (h *harness) Remove(ext identity.Extension) { h.Sim.Remove(ext) }
func (h *harness) Room(n int)                    { h.SetLicence(len(h.Truth()) + n) }

func (h *harness) Inject(f pbxtest.Fault) {
	h.ClearFaults()
	switch f {
	case pbxtest.None:
	case pbxtest.Throttle:
		h.Sim.Inject(pbxsim.Fault{Kind: pbxsim.Throttle, Delay: pbxtest.ThrottleDelay})
	case pbxtest.Deny:
		h.Sim.Inject(pbxsim.Fault{Kind: pbxsim.Deny})
	case pbxtest.Down:
		h.Sim.Inject(pbxsim.Fault{Kind: pbxsim.Unavailable})
	case pbxtest.Garbage:
		h.Sim.Inject(pbxsim.Fault{Kind: pbxsim.Garbage, Only: "read"})
	case pbxtest.Hang:
		h.Sim.Inject(pbxsim.Fault{Kind: pbxsim.Hang})
	case pbxtest.LostAnswer:
		h.Sim.Inject(pbxsim.Fault{Kind: pbxsim.LostAnswer})
	default:
		panic(fmt.Sprintf("no such fault: %q", f))
	}
}
