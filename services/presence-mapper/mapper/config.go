package mapper

import (
	"offhook.dev/libs/config"
	"offhook.dev/libs/options"
	"offhook.dev/libs/run"
	"offhook.dev/libs/topology"
)

// Part is this service as a part of a process.
func Part() run.Part { return run.NewPart(topology.PresenceMapper, FromConfig, Run) }

// FromConfig takes what concerns this service from the configuration. Whose tenant is
// not configured any more has no mode, and is released.
func FromConfig(c config.Config) (Options, error) {
	tenants, err := options.FromConfig(c)
	return Options{Presence: options.Base(tenants)}, err
}
