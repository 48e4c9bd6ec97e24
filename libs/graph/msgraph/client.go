package msgraph

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"regexp"

	"github.com/microsoft/kiota-abstractions-go/authentication"
	khttp "github.com/microsoft/kiota-http-go"
	jsonserialization "github.com/microsoft/kiota-serialization-json-go"
	graphcore "github.com/microsoftgraph/msgraph-sdk-go-core"

	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/graph"
	"offhook.dev/libs/secret"
)

// Config says which tenant to speak to, and as whom. Exactly one of Certificate,
// Secret and Tokens is given.
type Config struct {
	Tenant    identity.Tenant
	Directory string // directory id, a GUID
	ClientID  string // application id, a GUID
	Cloud     graph.Cloud

	Certificate *secret.KeyPair   // app-only, by certificate
	Secret      secret.Value      // app-only, by client secret
	Tokens      graph.TokenSource // anything else, such as a Delegated account

	Roots  *x509.CertPool // who vouches for the hosts; nil is the system
	Budget graph.Budget   // nil is graph.Unlimited
	Pauses graph.Pauses   // what Graph asked other clients of this app for; nil is nothing
	// Observe is told of every try with its HTTP status, 0 when there was no answer,
	// and of every answer inside a batch.
	// It may be called at the same time by several goroutines. nil: nobody counts.
	Observe func(ctx context.Context, api graph.API, status int)
}

// Client speaks to Microsoft Graph for one tenant. It is safe for concurrent use.
type Client struct {
	cloud   graph.Cloud
	tokens  graph.TokenSource
	adapter *graphcore.GraphRequestAdapterBase
	close   func()
	observe func(ctx context.Context, api graph.API, status int) // or nil

	mailboxes *mailboxes
}

var (
	_ graph.PresenceReader = (*Client)(nil)
	_ graph.UserReader     = (*Client)(nil)
	_ graph.GroupReader    = (*Client)(nil)
	_ graph.Subscriber     = (*Client)(nil)
	_ graph.CalendarReader = (*Client)(nil)
	_ graph.MailboxReader  = (*Client)(nil)
	_ graph.ContactReader  = (*Client)(nil)
	_ graph.PhotoReader    = (*Client)(nil)
	_ graph.PresenceWriter = (*Client)(nil)
)

var guid = regexp.MustCompile(`^[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}$`)

// New makes a Client. It sends nothing.
func New(c Config) (*Client, error) {
	if err := c.check(); err != nil {
		return nil, fmt.Errorf("microsoft graph: %w", err)
	}
	wire := newTransport(c.Roots)
	tokens, err := c.source(wire)
	if err != nil {
		return nil, fmt.Errorf("microsoft graph: %w", err)
	}
	if c.Budget == nil {
		c.Budget = graph.Unlimited{}
	}
	// The factories are given here because the SDK would otherwise register them in
	// globals; the middlewares are named here because its default ones come in a
	// random order and among them are compression and retry.
	adapter, err := graphcore.NewGraphRequestAdapterBaseWithParseNodeFactoryAndSerializationWriterFactoryAndHttpClient(
		&authentication.AnonymousAuthenticationProvider{}, // the sender attaches the token, per try
		graphcore.GraphClientOptions{},
		jsonserialization.NewJsonParseNodeFactory(),
		jsonserialization.NewJsonSerializationWriterFactory(),
		&http.Client{Transport: khttp.NewCustomTransportWithParentTransport(
			newSender(c, wire, tokens),
			graphcore.NewGraphTelemetryHandler(&graphcore.GraphClientOptions{}),
			khttp.NewParametersNameDecodingHandler(),
		)},
	)
	if err != nil {
		return nil, fmt.Errorf("microsoft graph: %w", err)
	}
	adapter.SetBaseUrl(c.Cloud.Graph + "/v1.0")
	return &Client{cloud: c.Cloud, tokens: tokens, adapter: adapter, close: wire.CloseIdleConnections,
		observe: c.Observe, mailboxes: newMailboxes()}, nil
}

// Close drops idle connections. Calls under way end by their own contexts.
func (c *Client) Close() { c.close() }

func (c Config) check() error {
	ways := 0
	for _, given := range []bool{c.Certificate != nil, !c.Secret.IsZero(), c.Tokens != nil} {
		if given {
			ways++
		}
	}
	switch {
	case c.Tenant == "":
		return errors.New("tenant is empty")
	case c.Cloud.Graph == "" || c.Cloud.Login == "":
		return errors.New("cloud is not set (graph.CloudNamed)")
	case ways != 1:
		return errors.New("give exactly one of certificate, secret and token source")
	case c.Tokens == nil && !guid.MatchString(c.Directory):
		return fmt.Errorf("directory id %q is not a GUID", c.Directory)
	case c.Tokens == nil && !guid.MatchString(c.ClientID):
		return fmt.Errorf("client id %q is not a GUID", c.ClientID)
	}
	return nil
}

// told reports the answer to a request that travelled in a batch.
func (c *Client) told(ctx context.Context, status int) {
	if c.observe != nil {
		c.observe(ctx, graph.APIMailbox, status)
	}
}
