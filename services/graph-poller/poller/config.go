package poller

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
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
	o := Options{VaultFile: filepath.Join(c.DataDir, "vault.key")}
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
	base := msgraph.Config{Tenant: identity.Tenant(t.ID), Directory: m.DirectoryID, ClientID: m.ClientID, Cloud: cloud, Roots: roots, Budget: budget(state), Pauses: graph.SharePauses(state), Observe: func(ctx context.Context, api graph.API, status int) {
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
	rules, err := t.Presence.Calendar.ParseRules()
	if err != nil {
		return TenantConfig{}, fmt.Errorf("presence.calendar.rules: %w", err)
	}
	conf := TenantConfig{
		ID: identity.Tenant(t.ID), Directory: m.DirectoryID, App: m.ClientID,
		Client:   func() (Client, error) { return msgraph.New(app) },
		Mode:     presence.Mode(t.Presence.Mode),
		Presence: cloud.Lacks(graph.FeaturePresence) == "",
		Sweep:    t.Presence.Sweep.Presence, Users: t.Presence.Sweep.Users, Guests: t.Users.Guests,
		Calendar:  cloud.Lacks(graph.FeatureCalendars) == "",
		Calendars: t.Presence.Sweep.Calendar, Rules: rules,
		Priority: t.Presence.Priority,
		Photos:   t.Users.Photos, Graph: cloud.Graph, Contacts: t.Presence.Sweep.Contacts, ContactChanges: cloud.Lacks(graph.FeatureContactDelta) == "",
		Personal: t.Contacts.Personal, Shared: t.Contacts.SharedMailboxes, Folders: t.Contacts.Folders,
		Subscribe:      t.Presence.Calendar.Subscribe && cloud.Lacks(graph.FeatureEventNotifications) == "",
		SubscribeUsers: true,
		PublicURL:      strings.TrimRight(c.Webhook.PublicURL, "/"),
	}
	for _, id := range t.Users.GroupsNamed() {
		conf.Groups = append(conf.Groups, identity.Group(id))
	}
	if cloud.Lacks(graph.FeatureNotifications) != "" {
		return conf, nil // no accounts to listen with
	}
	conf.SignIn = func(ctx context.Context) (*msgraph.DeviceSignIn, error) {
		return msgraph.StartDeviceSignIn(ctx, msgraph.DeviceConfig{Directory: m.DirectoryID, ClientID: m.ClientID, Cloud: cloud, Roots: roots})
	}
	conf.Delegated = func(refresh graph.RefreshStore) (graph.Subscriber, error) {
		tokens, err := msgraph.NewDelegated(msgraph.DelegatedConfig{Directory: m.DirectoryID, ClientID: m.ClientID, Cloud: cloud, Store: refresh, Roots: roots})
		if err != nil {
			return nil, err
		}
		delegated := base
		delegated.Tokens = tokens
		client, err := msgraph.New(delegated)
		if err != nil {
			tokens.Close()
			return nil, err
		}
		return delegatedClient{client, tokens}, nil
	}
	for _, a := range m.Accounts {
		conf.Accounts = append(conf.Accounts, Account{Name: a.Name, Store: graph.RefreshFile(a.RefreshTokenFile)})
	}
	return conf, nil
}

// delegatedClient is a client with the source of its tokens.
type delegatedClient struct {
	*msgraph.Client
	tokens *msgraph.Delegated
}

// Close drops the idle connections of both.
func (d delegatedClient) Close() {
	d.Client.Close()
	d.tokens.Close()
}

// budget paces requests by the shared store, within the readers' share.
func budget(state hot.Store) graph.Budget {
	return graph.Pace(graph.ShareReader, func(ctx context.Context, key string, l graph.Limit, n int) (time.Duration, error) {
		return state.Take(ctx, key, hot.Limit(l), n)
	})
}
