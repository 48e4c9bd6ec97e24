package api

import (
	"fmt"

	"offhook.dev/libs/config"
	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/options"
	"offhook.dev/libs/run"
	"offhook.dev/libs/topology"
)

// Part is the service as a part of a process.
func Part() run.Part { return run.NewPart(topology.ControlAPI, FromConfig, Run) }

// FromConfig takes what concerns this service from the configuration.
func FromConfig(c config.Config) (Options, error) {
	o := Options{Listen: c.Control.Listen, GRPCListen: c.Control.GRPCListen, Tenants: map[identity.Tenant]Tenant{}}
	configured, err := options.FromConfig(c)
	if err != nil {
		return Options{}, fmt.Errorf("control-api: %w", err)
	}
	for _, t := range c.Tenants {
		id := identity.Tenant(t.ID)
		o.Tenants[id] = Tenant{Options: configured[id], Sweep: t.Presence.Sweep.Presence}
	}
	return o, nil
}
