package poller

import (
	"context"
	"fmt"
	"strings"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	"offhook.dev/libs/config"
	"offhook.dev/libs/core/fault"
	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/core/presence"
	"offhook.dev/libs/graph"
	"offhook.dev/libs/graph/msgraph"
	"offhook.dev/libs/hot"
)

// FromConfig takes what concerns this service from the configuration.
func FromConfig(c config.Config, state hot.Store, meter metric.Meter) (Options, error) {
	requests, err := meter.Int64Counter("offhook_graph_requests", metric.WithDescription("Requests to Microsoft Graph, tries included, by quota and HTTP status; 0: no answer."))
	if err != nil {
		return Options{}, err
	}
	var o Options
	for _, t := range c.Tenants {
		conf, err := tenantConfig(c, t, state, requests)
		if err != nil {
			return Options{}, fmt.Errorf("tenant %s: %w", t.ID, err)
		}
		o.Tenants = append(o.Tenants, conf)
	}
	return o, nil
}

func tenantConfig(c config.Config, t config.Tenant, state hot.Store, requests metric.Int64Counter) (TenantConfig, error) {
	m := t.Microsoft365
	cloud, err := graph.CloudNamed(m.Cloud)
	if err != nil {
		return TenantConfig{}, err
	}
	if cloud, err = cloud.At(m.Endpoints.Login, m.Endpoints.Graph); err != nil {
		return TenantConfig{}, fmt.Errorf("microsoft365.endpoints: %w", err)
	}
	roots, err := m.Endpoints.Roots()
	if err != nil {
		return TenantConfig{}, err
	}
	base := msgraph.Config{Tenant: identity.Tenant(t.ID), Directory: m.DirectoryID, ClientID: m.ClientID, Cloud: cloud, Roots: roots, Budget: budget{state}, Observe: func(ctx context.Context, api graph.API, status int) {
		requests.Add(ctx, 1, metric.WithAttributes(attribute.String("tenant", t.ID), attribute.String("api", string(api)), attribute.Int("code", status)))
	}}
	app := base
	if m.CertificateFile != "" {
		pair, err := m.KeyPair()
		if err != nil {
			return TenantConfig{}, fmt.Errorf("microsoft365.certificate_file: %w", err)
		}
		app.Certificate = &pair
	} else if app.Secret, err = m.ClientSecret(); err != nil {
		return TenantConfig{}, fmt.Errorf("microsoft365.client_secret_file: %w", err)
	}
	conf := TenantConfig{
		ID: identity.Tenant(t.ID), Directory: m.DirectoryID, App: m.ClientID,
		Client:   func() (Client, error) { return msgraph.New(app) },
		Presence: presence.Mode(t.Presence.Mode).ReadsTeams() && cloud.Lacks(graph.FeaturePresence) == "",
		Sweep:    t.Presence.Sweep.Presence, Users: t.Presence.Sweep.Users, Guests: t.Users.Guests,
	}
	if cloud.Lacks(graph.FeatureNotifications) == "" {
		conf.PublicURL = strings.TrimRight(c.Webhook.PublicURL, "/")
	}
	for _, a := range m.Accounts {
		conf.Accounts = append(conf.Accounts, Account{Name: a.Name, Client: func() (graph.Subscriber, error) {
			tokens, err := msgraph.NewDelegated(msgraph.DelegatedConfig{
				Directory: m.DirectoryID, ClientID: m.ClientID, Cloud: cloud, Store: graph.RefreshFile(a.RefreshTokenFile), Roots: roots,
			})
			if err != nil {
				return nil, err
			}
			delegated := base
			delegated.Tokens = tokens
			return msgraph.New(delegated)
		}})
	}
	return conf, nil
}

// budget paces requests by the shared store. The poller takes four fifths of each
// quota; the rest is for the writer of presences.
type budget struct{ state hot.Store }

// share is what is planned for of the lower published quotas.
// https://learn.microsoft.com/graph/throttling-limits
func share(key string) hot.Limit {
	switch graph.API(key[strings.LastIndexByte(key, '/')+1:]) {
	case graph.APIPresence:
		return hot.Limit{Events: 1200, Per: 30 * time.Second, Burst: 200}
	case graph.APISubscriptions:
		return hot.Limit{Events: 400, Per: 20 * time.Second, Burst: 50}
	case graph.APIList:
		return hot.Limit{Events: 20, Per: 20 * time.Second, Burst: 20}
	}
	return hot.Limit{Events: 800, Per: 10 * time.Second, Burst: 100}
}

// Take implements graph.Budget.
func (b budget) Take(ctx context.Context, key string, n int) error {
	for {
		wait, err := b.state.Take(ctx, "graph:"+key, share(key), n)
		if err != nil || wait == 0 {
			return err
		}
		if deadline, ok := ctx.Deadline(); ok && time.Until(deadline) < wait {
			return fault.After(fault.Throttled, "graph budget "+key, wait, nil)
		}
		select {
		case <-ctx.Done():
			return fault.New(fault.Cancelled, "graph budget "+key, context.Cause(ctx))
		case <-time.After(wait):
		}
	}
}
