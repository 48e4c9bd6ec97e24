package graphwriter

import (
	"context"
	"fmt"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	"offhook.dev/libs/config"
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
	budget := graph.Pace(graph.ShareWriter, func(ctx context.Context, key string, l graph.Limit, n int) (time.Duration, error) {
		return state.Take(ctx, key, hot.Limit(l), n)
	})
	var o Options
	for _, t := range c.Tenants {
		conf := TenantConfig{ID: identity.Tenant(t.ID), App: t.Microsoft365.ClientID, Writes: presence.Mode(t.Presence.Mode).WritesTeams()}
		conf.Client = func() (Client, error) {
			return client(t, budget, graph.SharePauses(state), func(ctx context.Context, api graph.API, status int) {
				requests.Add(ctx, 1, metric.WithAttributes(attribute.String("tenant", t.ID), attribute.String("api", string(api)), attribute.Int("code", status)))
			})
		}
		o.Tenants = append(o.Tenants, conf)
	}
	return o, nil
}

// client makes the client of a tenant's app registration.
func client(t config.Tenant, budget graph.Budget, pauses graph.Pauses, observe func(context.Context, graph.API, int)) (Client, error) {
	m := t.Microsoft365
	cloud, err := graph.CloudNamed(m.Cloud)
	if err != nil {
		return nil, err
	}
	if cloud, err = cloud.At(m.Endpoints.Login, m.Endpoints.Graph); err != nil {
		return nil, fmt.Errorf("microsoft365.endpoints: %w", err)
	}
	app := msgraph.Config{Tenant: identity.Tenant(t.ID), Directory: m.DirectoryID, ClientID: m.ClientID, Cloud: cloud, Budget: budget, Pauses: pauses, Observe: observe}
	if app.Roots, err = m.Endpoints.Roots(); err != nil {
		return nil, err
	}
	if m.CertificateFile != "" {
		pair, err := m.KeyPair()
		if err != nil {
			return nil, fmt.Errorf("microsoft365.certificate_file: %w", err)
		}
		app.Certificate = &pair
	} else if app.Secret, err = m.ClientSecret(); err != nil {
		return nil, fmt.Errorf("microsoft365.client_secret_file: %w", err)
	}
	return msgraph.New(app)
}
