package api

import (
	"fmt"

	"offhook.dev/libs/config"
	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/graph"
	"offhook.dev/libs/options"
	"offhook.dev/libs/run"
	"offhook.dev/libs/topology"
)

// Part is the service as a part of a process.
func Part() run.Part {
	part := run.NewPart(topology.ControlAPI, FromConfig, Run)
	part.Garbage = garbage
	return part
}

// garbage is little: nearly all memory is the read model, which stays and is packed.
const garbage = 25

// FromConfig takes what concerns this service from the configuration.
func FromConfig(c config.Config) (Options, error) {
	o := Options{Listen: c.Control.Listen, GRPCListen: c.Control.GRPCListen, Tenants: map[identity.Tenant]Tenant{}}
	configured, err := options.FromConfig(c)
	if err != nil {
		return Options{}, fmt.Errorf("control-api: %w", err)
	}
	for _, t := range c.Tenants {
		id := identity.Tenant(t.ID)
		lanes, err := WhyNoLanes(c, t)
		if err != nil {
			return Options{}, fmt.Errorf("control-api: tenant %s: %w", id, err)
		}
		o.Tenants[id] = Tenant{Options: configured[id], Sweep: t.Presence.Sweep.Presence, NoLanes: lanes, Hold: t.Users.Hold,
			NoContacts: !t.Contacts.Personal && len(t.Contacts.SharedMailboxes) == 0}
	}
	return o, nil
}

// WhyNoLanes says why a tenant can have no lanes, if that is so.
func WhyNoLanes(c config.Config, t config.Tenant) (NoLanes, error) {
	cloud, err := graph.CloudNamed(t.Microsoft365.Cloud)
	if err != nil {
		return NoLanes{}, err
	}
	for _, feature := range []graph.Feature{graph.FeaturePresence, graph.FeatureNotifications} {
		if lacks := cloud.Lacks(feature); lacks != "" {
			return NoLanes{lacks, "microsoft365.cloud: " + t.Microsoft365.Cloud, "nothing: everybody's presence is swept all the same"}, nil
		}
	}
	if c.Webhook.PublicURL == "" {
		return NoLanes{"Microsoft has no address at which it could tell of presences", "webhook.public_url",
			"set it to an https address that Microsoft reaches, with webhook.tls; until then everybody's presence is swept"}, nil
	}
	return NoLanes{}, nil
}
