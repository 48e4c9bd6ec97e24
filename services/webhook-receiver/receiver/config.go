package receiver

import (
	"fmt"
	"path/filepath"

	"offhook.dev/libs/config"
	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/graph"
	"offhook.dev/libs/run"
	"offhook.dev/libs/topology"
)

// Part is this service as a part of a process.
func Part() run.Part { return run.NewPart(topology.WebhookReceiver, FromConfig, Run) }

// FromConfig takes what concerns this service from the configuration.
func FromConfig(c config.Config) (Options, error) {
	o := Options{VaultFile: filepath.Join(c.DataDir, "vault.key"), Logins: map[identity.Tenant]Login{}}
	if c.Webhook.PublicURL != "" || c.Webhook.TLS != (config.TLS{}) { // else nobody calls: polling only
		o.Listen = c.Webhook.Listen
		var err error
		if o.Certificate, err = c.Webhook.TLS.KeyPair(); err != nil {
			return Options{}, fmt.Errorf("webhook.tls: %w", err)
		}
	}
	for _, t := range c.Tenants {
		cloud, err := graph.CloudNamed(t.Microsoft365.Cloud)
		if err != nil {
			return Options{}, fmt.Errorf("tenant %s: %w", t.ID, err)
		}
		if cloud, err = cloud.At(t.Microsoft365.Endpoints.Login, t.Microsoft365.Endpoints.Graph); err != nil {
			return Options{}, fmt.Errorf("tenant %s: microsoft365.endpoints: %w", t.ID, err)
		}
		roots, err := t.Microsoft365.Endpoints.Roots()
		if err != nil {
			return Options{}, fmt.Errorf("tenant %s: %w", t.ID, err)
		}
		o.Logins[identity.Tenant(t.ID)] = Login{URL: cloud.Login, Roots: roots}
	}
	return o, nil
}
