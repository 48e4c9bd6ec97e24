package writer

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"offhook.dev/libs/config"
	"offhook.dev/libs/core/directory"
	"offhook.dev/libs/core/fault"
	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/core/presence"
	"offhook.dev/libs/pbx"
	"offhook.dev/libs/pbx/memory"
	"offhook.dev/libs/pbx/threecx"
	"offhook.dev/libs/run"
	"offhook.dev/libs/topology"
)

// driver is how one kind of phone system is reached.
type driver struct {
	open func(context.Context, config.System) (pbx.Driver, error)
	// resume is open for who works the system: it may keep what the next process can use in a
	// folder, and listen for what the phone system sends; nil: it does neither.
	resume func(ctx context.Context, s config.System, folder string) (pbx.Driver, error)
	// check reads a system's entry and gathers what is wrong with it. It asks nobody,
	// and bears an entry with which the configuration has found problems already.
	check func(config.System) *options
	// listens says at which address of this machine a system is listened to, and which key
	// says so, "" if none; nil: at none.
	listens func(config.System) (key, address string)
	// counts: the driver keeps pace.per_second itself, because a call may be several requests
	// and a watch sends some of its own.
	counts bool
}

// drivers is every driver there is: to add one, add its line. A configuration name
// that differs from its package's: 3cx, sip-presence.
var drivers = map[string]driver{
	"3cx":          {open: openThreeCX, check: checkThreeCX},
	"sip-presence": {open: openSIPPresence, resume: resumeSIPPresence, check: checkSIPPresence},
	"portsip":      {open: openPortSIP, resume: resumePortSIP, check: checkPortSIP, listens: portSIPListens, counts: true},
	"asterisk":     {open: openAsterisk, check: checkAsterisk},
	"freeswitch":   {open: openFreeSWITCH, check: checkFreeSWITCH},
	"memory":       {open: openMemory, check: checkMemory},
}

// Part is this service as a part of a process.
func Part() run.Part {
	part := run.NewPart(topology.PBXWriter, FromConfig, Run)
	part.Check, part.Garbage = Check, garbage
	return part
}

// garbage is little: most of what is kept of a large phone system stays, and a listing of
// it is mostly what nobody needs any more.
const garbage = 25

// Check finds systems that their driver could not be opened for. That there is the driver
// has been checked with the rest of the configuration.
func Check(c config.Config) []config.Problem {
	var found []config.Problem
	taken := map[string]string{c.Control.Listen: "control.listen", c.Control.GRPCListen: "control.grpc_listen",
		c.Webhook.Listen: "webhook.listen", c.Telemetry.MetricsListen: "telemetry.metrics_listen"}
	for i, s := range c.Systems {
		driver, ok := drivers[s.Driver]
		if !ok {
			continue
		}
		for _, p := range driver.check(s).all() {
			p.Key = fmt.Sprintf("systems[%d].%s", i, p.Key)
			found = append(found, p)
		}
		if driver.listens == nil {
			continue
		}
		key, address := driver.listens(s)
		if address == "" || strings.HasSuffix(address, ":0") { // any free port is never the same one
			continue
		}
		key = fmt.Sprintf("systems[%d].%s", i, key)
		if first, twice := taken[address]; twice {
			found = append(found, config.Problem{Key: key, What: fmt.Sprintf("%q is also %s", address, first), Fix: "give each an address of its own"})
		}
		taken[address] = key
	}
	return found
}

// FromConfig takes what concerns this service from the configuration.
func FromConfig(c config.Config) (Options, error) {
	var o Options
	for _, s := range c.Systems {
		driver, ok := drivers[s.Driver]
		if !ok {
			return Options{}, fmt.Errorf("system %s: there is no driver %q", s.ID, s.Driver)
		}
		conf := SystemConfig{
			ID: identity.System(s.ID), Pace: pbx.Pace{InFlight: s.Pace.InFlight, PerSecond: s.Pace.PerSecond},
			Open: func(ctx context.Context) (pbx.Driver, error) {
				if driver.resume != nil {
					return driver.resume(ctx, s, c.DataDir)
				}
				return driver.open(ctx, s)
			},
		}
		if driver.counts {
			conf.Pace.PerSecond = 0
		}
		conf.IgnoreNativeSync, _ = s.Options["ignore_native_sync"].(bool)
		for _, t := range s.Tenants {
			conf.Tenants = append(conf.Tenants, identity.Tenant(t))
		}
		o.Systems = append(o.Systems, conf)
	}
	return o, nil
}

func openThreeCX(ctx context.Context, s config.System) (pbx.Driver, error) {
	password, err := s.ClientSecret()
	if err != nil {
		return nil, fault.New(fault.Denied, "3cx", err)
	}
	roots, err := s.Roots()
	if err != nil {
		return nil, fault.New(fault.Denied, "3cx", err)
	}
	return threecx.Open(ctx, threecx.Config{URL: s.URL, ClientID: s.ClientID, ClientSecret: password, Authorities: roots, InFlight: s.Pace.InFlight})
}

func checkThreeCX(s config.System) *options {
	o := newOptions(s.Options)
	option[bool](o, "ignore_native_sync")
	if err := threecx.CheckURL(s.URL); err != nil {
		o.problem("url", strings.TrimPrefix(err.Error(), "url "), "write it as https://pbx.example.com or https://pbx.example.com:5001")
	}
	return o
}

// openMemory makes a phone system that lives in this process: options.extensions
// of them, from 100 on.
func openMemory(_ context.Context, s config.System) (pbx.Driver, error) {
	count := 10
	if n, ok := s.Options["extensions"].(int); ok {
		count = n
	}
	var extensions []directory.Extension
	for i := range count {
		extensions = append(extensions, directory.Extension{Number: identity.Extension(strconv.Itoa(100 + i)), Enabled: true})
	}
	ring := presence.SetOf(presence.Available, presence.Lunch, presence.BusinessTrip)
	return memory.Open(memory.NewPhoneSystem(extensions...), presence.Powers{Write: presence.All, Read: presence.All, Ring: ring}), nil
}

func checkMemory(s config.System) *options {
	o := newOptions(s.Options)
	if option[int](o, "extensions") < 0 {
		o.problem("options.extensions", "a number of extensions is not negative", "write 0 or more")
	}
	return o
}

// OpenDriver opens the driver of a configured system, for `offhook doctor`.
func OpenDriver(ctx context.Context, s config.System) (pbx.Driver, error) {
	driver, ok := drivers[s.Driver]
	if !ok {
		return nil, fmt.Errorf("there is no driver %q", s.Driver)
	}
	return driver.open(ctx, s)
}
