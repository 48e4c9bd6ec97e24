package contactsync

import (
	"offhook.dev/libs/config"
	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/core/plan"
	"offhook.dev/libs/run"
	"offhook.dev/libs/topology"
)

// Part is this service as a part of a process.
func Part() run.Part {
	part := run.NewPart(topology.ContactSync, FromConfig, Run)
	part.Garbage = garbage
	return part
}

// garbage is half of what Go has: of many users most memory is who is linked, which stays.
const garbage = 50

// FromConfig takes what concerns this service from the configuration.
func FromConfig(c config.Config) (Options, error) {
	var o Options
	for _, t := range c.Tenants {
		policy, err := plan.ParsePolicy(t.Contacts.Policy)
		if err != nil {
			return Options{}, err
		}
		tenant := Tenant{
			ID: identity.Tenant(t.ID), Personal: t.Contacts.Personal, Shared: len(t.Contacts.SharedMailboxes) > 0, Region: t.Contacts.Region,
			Policy: policy, Brake: plan.Brake(t.Contacts.Brake), Hold: t.Users.Hold,
		}
		for _, s := range c.Systems {
			for _, served := range s.Tenants {
				if served == t.ID {
					tenant.Systems = append(tenant.Systems, identity.System(s.ID))
				}
			}
		}
		o.Tenants = append(o.Tenants, tenant)
	}
	return o, nil
}
