package options

import (
	"fmt"
	"time"

	"offhook.dev/libs/config"
	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/core/presence"
	"offhook.dev/libs/graph"
)

// FromConfig returns what the configuration says of each tenant: the layer below all
// records.
func FromConfig(c config.Config) (map[identity.Tenant]presence.Options, error) {
	tenants := map[identity.Tenant]presence.Options{}
	for _, t := range c.Tenants {
		o, err := ofTenant(t)
		if err != nil {
			return nil, fmt.Errorf("tenant %s: %w", t.ID, err)
		}
		tenants[identity.Tenant(t.ID)] = o
	}
	return tenants, nil
}

// Base makes what FromConfig returns the base of a Mirror.
func Base(tenants map[identity.Tenant]presence.Options) func(identity.Person) presence.Options {
	return func(who identity.Person) presence.Options { return tenants[who.Tenant] }
}

func ofTenant(t config.Tenant) (presence.Options, error) {
	o := presence.DefaultOptions()
	var err error
	if o.Teams, err = o.Teams.With(t.Presence.Mapping.Teams); err != nil {
		return presence.Options{}, fmt.Errorf("presence.mapping.teams: %w", err)
	}
	if o.Calendar, err = o.Calendar.With(t.Presence.Mapping.Calendar); err != nil {
		return presence.Options{}, fmt.Errorf("presence.mapping.calendar: %w", err)
	}
	if o.PBX, err = o.PBX.With(t.Presence.Mapping.PBX); err != nil {
		return presence.Options{}, fmt.Errorf("presence.mapping.pbx: %w", err)
	}
	zone, err := time.LoadLocation(t.Users.Zone)
	if err != nil {
		return presence.Options{}, fmt.Errorf("users.zone: %w", err)
	}
	cloud, err := graph.CloudNamed(t.Microsoft365.Cloud)
	if err != nil {
		return presence.Options{}, err
	}
	o.TeamsAbsent = cloud.Lacks(graph.FeaturePresence) != ""
	o.Mode, o.Combine = presence.Mode(t.Presence.Mode), presence.Combine(t.Presence.Combine)
	o.Manual = presence.Manual{
		Policy: presence.Policy(t.Presence.Manual.Policy), Max: presence.Clock(t.Presence.Manual.Max), Zone: zone, Scope: presence.Scope(t.Presence.Manual.Scope),
	}
	o.Damping, o.StaleAfter = t.Presence.Damping, t.Presence.StaleAfter
	return o, nil
}
