package usersync

import (
	"offhook.dev/libs/config"
	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/run"
	"offhook.dev/libs/topology"
)

// garbage is little: of a large directory most memory is needed for long, and is packed,
// so that the collector has little to look into.
const garbage = 25

// Part is this service as a part of a process.
func Part() run.Part {
	part := run.NewPart(topology.UserSync, FromConfig, Run)
	part.Garbage = garbage
	return part
}

// FromConfig takes what concerns this service from the configuration.
func FromConfig(c config.Config) (Options, error) {
	o := Options{Serves: map[identity.System][]identity.Tenant{}, Rules: map[identity.Tenant]Rules{}}
	for _, s := range c.Systems {
		for _, t := range s.Tenants {
			o.Serves[identity.System(s.ID)] = append(o.Serves[identity.System(s.ID)], identity.Tenant(t))
		}
	}
	for _, t := range c.Tenants {
		o.Rules[identity.Tenant(t.ID)] = Rules{Users: t.Users}
		for _, l := range t.Links {
			o.Explicit = append(o.Explicit, Explicit{
				Tenant: identity.Tenant(t.ID), User: l.User,
				Line: identity.Line{System: identity.System(l.System), Extension: identity.Extension(l.Extension)},
			})
		}
	}
	return o, nil
}
