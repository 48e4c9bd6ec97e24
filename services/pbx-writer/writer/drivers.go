package writer

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"offhook.dev/libs/config"
	"offhook.dev/libs/core/fault"
	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/core/presence"
	"offhook.dev/libs/pbx"
	"offhook.dev/libs/pbx/memory"
	"offhook.dev/libs/pbx/sippresence"
	"offhook.dev/libs/pbx/threecx"
	"offhook.dev/libs/run"
	"offhook.dev/libs/topology"
)

// drivers is every driver there is: to add one, add its line. A configuration name
// that differs from its package's: 3cx, sip-presence.
var drivers = map[string]func(context.Context, config.System) (pbx.Driver, error){
	"3cx":          openThreeCX,
	"sip-presence": openSIPPresence,
	"memory":       openMemory,
}

// Part is this service as a part of a process.
func Part() run.Part { return run.NewPart(topology.PBXWriter, FromConfig, Run) }

// FromConfig takes what concerns this service from the configuration.
func FromConfig(c config.Config) (Options, error) {
	var o Options
	for _, s := range c.Systems {
		open, ok := drivers[s.Driver]
		if !ok {
			return Options{}, fmt.Errorf("system %s: driver %q is not available yet", s.ID, s.Driver)
		}
		conf := SystemConfig{
			ID: identity.System(s.ID), Pace: pbx.Pace{InFlight: s.Pace.InFlight, PerSecond: s.Pace.PerSecond},
			Open: func(ctx context.Context) (pbx.Driver, error) { return open(ctx, s) },
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
	return threecx.Open(ctx, threecx.Config{URL: s.URL, ClientID: s.ClientID, ClientSecret: password, Authorities: roots})
}

// openSIPPresence reads docs/drivers/sip-presence.md: the server from the URL
// (sip://host:port, sips://host:port, or without the slashes), the digest account
// from client_id and client_secret_file, the rest from options.
func openSIPPresence(ctx context.Context, s config.System) (pbx.Driver, error) {
	c, err := sipPresenceConfig(s)
	if err != nil {
		return nil, err
	}
	return sippresence.Open(ctx, c)
}

func sipPresenceConfig(s config.System) (sippresence.Config, error) {
	o := newOptions(s.Options)
	c := sippresence.Config{
		Username: s.ClientID, Domain: option[string](o, "domain"), AOR: option[string](o, "aor"),
		Transport: sippresence.Transport(option[string](o, "transport")), ServerName: option[string](o, "server_name"),
		Extensions: o.extensions("extensions"), Expires: o.duration("expires"),
		RefreshWhole: option[bool](o, "refresh_whole"), RemoveOnClose: option[bool](o, "remove_on_close"),
	}
	scheme, server, _ := strings.Cut(s.URL, ":")
	c.Server = strings.TrimPrefix(server, "//")
	switch {
	case scheme != "sip" && scheme != "sips" || c.Server == "" || strings.ContainsAny(c.Server, "/@;?"):
		o.problem("url", "write it as sip://host:port or sips://host:port") // not quoted: it may hold a password
	case scheme == "sips" && c.Transport != "" && c.Transport != sippresence.TLS:
		o.problem("options.transport", "%s does not go with sips, which is tls", c.Transport)
	case scheme == "sips":
		c.Transport = sippresence.TLS
	}
	if c.Domain == "" {
		o.problem("options.domain", "it is missing: the SIP domain of the extensions")
	}
	if err := o.err(); err != nil {
		return c, fault.New(fault.Invalid, "sip-presence", err)
	}
	var err error
	if s.ClientSecretFile != "" {
		if c.Password, err = s.ClientSecret(); err != nil {
			return c, fault.New(fault.Denied, "sip-presence", err)
		}
	}
	if c.Roots, err = s.Roots(); err != nil {
		return c, fault.New(fault.Denied, "sip-presence", err)
	}
	return c, nil
}

// openMemory makes a phone system that lives in this process: options.extensions
// of them, from 100 on.
func openMemory(_ context.Context, s config.System) (pbx.Driver, error) {
	count := 10
	if n, ok := s.Options["extensions"].(int); ok {
		count = n
	}
	var extensions []pbx.Extension
	for i := range count {
		extensions = append(extensions, pbx.Extension{Number: identity.Extension(strconv.Itoa(100 + i)), Enabled: true})
	}
	ring := presence.SetOf(presence.Available, presence.Lunch, presence.BusinessTrip)
	return memory.Open(memory.NewPhoneSystem(extensions...), presence.Powers{Write: presence.All, Read: presence.All, Ring: ring}), nil
}

// OpenDriver opens the driver of a configured system, for `offhook doctor`.
func OpenDriver(ctx context.Context, s config.System) (pbx.Driver, error) {
	open, ok := drivers[s.Driver]
	if !ok {
		return nil, fmt.Errorf("driver %q is not available yet", s.Driver)
	}
	return open(ctx, s)
}
