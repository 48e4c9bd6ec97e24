package asterisk

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"strconv"
	"strings"
	"testing"
	"time"

	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/core/presence"
	"offhook.dev/libs/pbx"
	"offhook.dev/libs/pbx/asterisksim"
	"offhook.dev/libs/pbx/pbxtest"
	"offhook.dev/libs/secret"
)

// authority issues the simulators' certificates. It never changes.
var authority = func() *secret.Authority {
	a, err := secret.NewAuthority("asterisk tests", time.Now())
	if err != nil {
		panic(err)
	}
	return a
}()

// users is more than a page, so that listings have a seam.
const users = page + 5

// variant is an Asterisk and a way to use it.
type variant struct {
	sim    asterisksim.Config
	driver Config // what is not from the simulator
	tcp    bool
	// failing are the cases of the suite in which the driver differs from what they ask
	// for, besides the one that no Asterisk can pass, with what they say.
	failing map[string]string
}

const (
	// throttling is not a thing of AMI: nothing in it says "slower", let alone how long.
	throttling = "throttling carries its delay"
	one        = "one call is one request"
)

// originating are the rights of an account that may dial as well.
const originating = "system,call,reporting,originate"

// database is a plain Asterisk where a key of the database is all.
var database = Config{Profile: Plain, Context: "ext-local", Database: "DND/{ext}"}

// variants are the profiles over both transports, and what is different between versions.
var variants = map[string]variant{
	"freepbx, TLS, calls may be originated": {sim: asterisksim.Config{Write: originating}, failing: map[string]string{one: "a write was 3 requests"}},
	"plain, TCP, calls of extensions that are listed": {tcp: true, sim: asterisksim.Config{Plain: true, Write: originating},
		driver: Config{Profile: Plain, Extensions: numbers(users), PresenceName: "CustomPresence:{ext}", DialContext: "from-internal"}},
	"freepbx, TLS": {failing: map[string]string{one: "a write was 3 requests"}},
	"freepbx, TCP, presences": {tcp: true, driver: Config{Presence: true},
		failing: map[string]string{one: "a read was 2 requests; a write was 4 requests"}},
	"freepbx, TLS, presences, events within answers": {sim: asterisksim.Config{Interleave: true}, driver: Config{Presence: true},
		failing: map[string]string{one: "a read was 2 requests; a write was 4 requests"}},
	"freepbx, TCP, no lamps, found by the beat": {tcp: true, sim: asterisksim.Config{NoLamps: true, NoMark: true}, driver: Config{NoLamps: true, Beat: 50 * time.Millisecond}},
	"plain, TLS, a device state":                {sim: asterisksim.Config{Plain: true}, driver: Config{Profile: Plain, Context: "ext-local", DeviceState: "Custom:DND{ext}"}},
	"plain, TCP, a presence":                    {tcp: true, sim: asterisksim.Config{Plain: true, NoMail: true}, driver: Config{Profile: Plain, Context: "ext-local", PresenceName: "CustomPresence:{ext}"}},
	"plain, TLS, a presence of extensions that are listed": {sim: asterisksim.Config{Plain: true},
		driver: Config{Profile: Plain, Extensions: numbers(users), PresenceName: "CustomPresence:{ext}"}},
	"plain, TCP, the database, found by the beat": {tcp: true, sim: asterisksim.Config{Plain: true}, driver: func() Config { c := database; c.Beat = 50 * time.Millisecond; return c }()},
	"plain, TLS, all three": {sim: asterisksim.Config{Plain: true},
		driver:  Config{Profile: Plain, Context: "ext-local", Database: "DND/{ext}", DeviceState: "Custom:DND{ext}", PresenceName: "CustomPresence:{ext}"},
		failing: map[string]string{one: "a read was 2 requests; a write was 3 requests"}},
}

// The suite, in every variant. What must fail must fail, and with the same words: AMI does
// not throttle, and where statuses have several places a call is several actions.
func TestConformance(t *testing.T) {
	for name, v := range variants {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
			defer cancel()
			failed := pbxtest.Check(ctx, func() pbxtest.Harness { return newHarness(t, v) })
			if said := failed[throttling]; !strings.HasPrefix(said, "status: want an error that is throttled, got unavailable") {
				t.Errorf("%s: %q", throttling, said)
			}
			delete(failed, throttling)
			if !maps.Equal(failed, v.failing) {
				for claim, said := range failed {
					if v.failing[claim] != said {
						t.Errorf("%s: %s", claim, said)
					}
				}
				for claim, said := range v.failing {
					if failed[claim] == "" {
						t.Errorf("%s: it should have said %q", claim, said)
					}
				}
			}
		})
	}
}

// numbers are the first n extensions.
func numbers(n int) []identity.Extension {
	var all []identity.Extension
	for i := range n {
		all = append(all, identity.Extension(strconv.Itoa(200+i)))
	}
	return all
}

// start runs a simulated Asterisk with TLS.
func start(t testing.TB, config asterisksim.Config) *asterisksim.Sim {
	t.Helper()
	config.Authority, config.Extensions = authority, cmp.Or(config.Extensions, users)
	sim, err := asterisksim.Start(config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(sim.Close)
	return sim
}

// configFor fills in how sim is reached.
func configFor(sim *asterisksim.Sim, config Config) Config {
	config.URL, config.Authorities = sim.URL(), authority.Pool()
	config.Username, config.Secret = sim.Credentials()
	return config
}

// open connects a driver to sim.
func open(t testing.TB, sim *asterisksim.Sim, config Config) *Driver {
	t.Helper()
	d, err := connect(t.Context(), configFor(sim, config))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	return d
}

type harness struct {
	*asterisksim.Sim
	driver pbx.Driver
	places places
}

func newHarness(t *testing.T, v variant) *harness {
	v.sim.Extensions = users
	if !v.tcp {
		v.sim.Authority = authority
	}
	sim, err := asterisksim.Start(v.sim)
	if err != nil {
		t.Fatal(err)
	}
	v.driver.Settle = 10 * time.Millisecond
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	d, err := Open(ctx, configFor(sim, v.driver))
	if err != nil {
		sim.Close()
		t.Fatal(err)
	}
	return &harness{Sim: sim, driver: d, places: v.driver.places()}
}

func (h *harness) Driver() pbx.Driver               { return h.driver }
func (h *harness) Absent() identity.Extension       { return "999" }
func (h *harness) Requests() int                    { return h.Stats().Actions }
func (h *harness) Extensions() []identity.Extension { return numbers(users) }
func (h *harness) Cut()                             { h.CutWatches() }

// Dialled are the numbers that the first phone of an extension was made to call.
func (h *harness) Dialled(ext identity.Extension) []string {
	var numbers []string
	for _, call := range h.Originated() {
		if call.Phone == "PJSIP/"+string(ext) && call.CallerID == ext {
			numbers = append(numbers, call.Number)
		}
	}
	return numbers
}

// Shown is what a phone and its callers meet: the switch, and beside the name a presence.
// That lamps go with the switch is for TestAWriteSetsEveryPlace.
func (h *harness) Shown(ext identity.Extension) presence.Status {
	places := h.places
	_, dnd := h.Entry("DND/" + string(ext))
	if places.family == "" {
		dnd = places.lamp != "" && h.State("Custom:DND"+string(ext)) == "BUSY"
	}
	kind, subtype, message := h.Sim.Presence(ext)
	switch {
	case dnd:
		return presence.DND
	case places.presence == "" || kind == "" || kind == "available":
		return presence.Available
	case kind == "dnd" && places.switched(): // half a write
		return presence.Available
	case kind == "dnd":
		return presence.DND
	case subtype == "lunch" && message == "Lunch":
		return presence.Lunch
	case subtype == "business-trip" && message == "Business trip":
		return presence.BusinessTrip
	case kind == "away":
		return presence.Away
	}
	return presence.Unset
}

// Choose dials the feature code and, where there are presences, presses the button of one.
func (h *harness) Choose(ext identity.Extension, s presence.Status) {
	h.Press(ext, s == presence.DND)
	if h.places.presence != "" {
		h.Sim.Choose(ext, map[presence.Status]string{presence.Available: "available", presence.Away: "away,,In a meeting", presence.DND: "dnd",
			presence.Lunch: "away,lunch,Lunch", presence.BusinessTrip: "xa,business-trip,Business trip"}[s])
	}
}

func (h *harness) Inject(f pbxtest.Fault) {
	h.ClearFaults()
	kinds := map[pbxtest.Fault]asterisksim.Fault{
		pbxtest.Throttle: {Kind: asterisksim.ShuttingDown}, // as near as it gets
		pbxtest.Deny:     {Kind: asterisksim.Deny},
		pbxtest.Down:     {Kind: asterisksim.ShuttingDown},
		pbxtest.Garbage:  {Kind: asterisksim.Garbage, Only: "read"},
		pbxtest.Hang:     {Kind: asterisksim.Hang},
		// Of the last action of a write: what becomes of half a write is another test's.
		pbxtest.LostAnswer: {Kind: asterisksim.LostAnswer, Only: "write", Skip: len(h.places.writes("200", []string{"200"}, presence.DND)) - 1},
	}
	if f == pbxtest.None {
		return
	}
	if f == pbxtest.LostAnswer {
		h.Sim.Inject(asterisksim.Fault{Kind: asterisksim.LostAnswer, Only: "Originate"})
	}
	fault, ok := kinds[f]
	if !ok {
		panic(fmt.Sprintf("no such fault: %q", f))
	}
	h.Sim.Inject(fault)
}
