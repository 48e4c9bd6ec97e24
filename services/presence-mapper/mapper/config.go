package mapper

import (
	"fmt"
	"time"

	"offhook.dev/libs/config"
	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/core/presence"
	"offhook.dev/libs/run"
	"offhook.dev/libs/topology"
)

// Part is this service as a part of a process.
func Part() run.Part { return run.NewPart(topology.PresenceMapper, FromConfig, Run) }

// FromConfig takes what concerns this service from the configuration.
func FromConfig(c config.Config) (Options, error) {
	tenants := map[identity.Tenant]presence.Options{}
	for _, t := range c.Tenants {
		o, err := presenceOptions(t)
		if err != nil {
			return Options{}, fmt.Errorf("tenant %s: %w", t.ID, err)
		}
		tenants[identity.Tenant(t.ID)] = o
	}
	unknown := presence.DefaultOptions()
	unknown.Mode = presence.Disabled // a tenant that is not configured any more is released
	return Options{Presence: func(who identity.Person) presence.Options {
		if o, ok := tenants[who.Tenant]; ok {
			return o
		}
		return unknown
	}}, nil
}

func presenceOptions(t config.Tenant) (presence.Options, error) {
	mapping, err := presence.ParseMapping(t.Presence.Mapping.Teams)
	if err != nil {
		return presence.Options{}, fmt.Errorf("presence.mapping.teams: %w", err)
	}
	zone, err := time.LoadLocation(t.Users.Zone)
	if err != nil {
		return presence.Options{}, fmt.Errorf("users.zone: %w", err)
	}
	o := presence.DefaultOptions()
	o.Mode = presence.Mode(t.Presence.Mode)
	o.Teams = mapping
	o.Combine = presence.Combine(t.Presence.Combine)
	o.Manual = presence.Manual{
		Policy: presence.Policy(t.Presence.Manual.Policy), Max: presence.Clock(t.Presence.Manual.Max), Zone: zone, Scope: presence.Scope(t.Presence.Manual.Scope),
	}
	o.Damping, o.StaleAfter = t.Presence.Damping, t.Presence.StaleAfter
	return o, nil
}
