// Package doctor checks an installation the way an experienced administrator
// would: can everything be reached, is it who it should be, may we do what we need,
// and how long will that last. Each failure says how to mend it. It changes nothing,
// except that where Options.Write asks for it an extension is made to show what it shows.
package doctor

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"time"

	"offhook.dev/libs/books"
	"offhook.dev/libs/bus"
	"offhook.dev/libs/config"
	"offhook.dev/libs/core/fault"
	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/core/presence"
	"offhook.dev/libs/graph"
	"offhook.dev/libs/graph/msgraph"
	"offhook.dev/libs/pbx"
	"offhook.dev/libs/secret"
	"offhook.dev/services/control-api/api"
)

// Check is the result of one check, as `offhook doctor -o json` prints it.
type Check struct {
	Group string `json:"group"`
	Check string `json:"check"`
	Code  string `json:"code"` // stable, for scripts
	OK    bool   `json:"ok"`
	Level string `json:"level"` // "ok", "warning", "problem"
	Cause string `json:"cause,omitempty"`
	Fix   string `json:"fix,omitempty"`
}

// timeout of one check.
const timeout = 15 * time.Second

// Certificates are warned about this long before they end.
const warnBefore = 30 * 24 * time.Hour

// Options of a run.
type Options struct {
	Now time.Time
	// OpenSystem opens the driver of a phone system.
	OpenSystem func(context.Context, config.System) (pbx.Driver, error)
	// Lanes asks the installation that runs how its lanes do; nil: nobody can be asked.
	Lanes func(context.Context) ([]api.Lane, error)
	// Plans asks it for the plans that it keeps, the newest first; nil: nobody can be asked.
	Plans func(context.Context) ([]api.Plan, error)
	// Phonebooks asks it how phonebooks stand; nil: nobody can be asked.
	Phonebooks func(context.Context) ([]books.State, error)
	// Write are extensions whose status may be written, as a trial of the right to: each is
	// made to show what it shows already.
	Write []identity.Line
	// Each is called with every result as it comes. May be nil.
	Each func(Check)
}

// Run makes all checks, one after the other.
func Run(ctx context.Context, c config.Config, o Options) []Check {
	d := &run{o: o}
	d.broker(ctx, c)
	d.webhook(ctx, c)
	for _, t := range c.Tenants {
		d.tenant(ctx, c, t)
	}
	d.lanes(ctx, c)
	d.plans(ctx, c)
	d.books(ctx)
	for _, s := range c.Systems {
		d.system(ctx, c, s)
	}
	return d.checks
}

type run struct {
	o      Options
	checks []Check
}

func (d *run) add(c Check) {
	c.OK = c.Level != "problem"
	d.checks = append(d.checks, c)
	if d.o.Each != nil {
		d.o.Each(c)
	}
}

func (d *run) ok(group, code, check string) {
	d.add(Check{Group: group, Check: check, Code: code, Level: "ok"})
}

func (d *run) warn(group, code, check, cause, fix string) {
	d.add(Check{Group: group, Check: check, Code: code, Level: "warning", Cause: cause, Fix: fix})
}

func (d *run) problem(group, code, check string, cause error, fix string) {
	d.add(Check{Group: group, Check: check, Code: code, Level: "problem", Cause: cause.Error(), Fix: fix})
}

func (d *run) broker(ctx context.Context, c config.Config) {
	const group = "Broker"
	if c.NATS.URL.IsZero() {
		d.ok(group, "OH-NATS-001", "embedded, under "+c.DataDir)
		return
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	b, err := bus.Connect(ctx, bus.Options{URL: c.NATS.URL.Reveal(), CredsFile: c.NATS.CredsFile, Service: "doctor", Instance: "doctor", Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		d.problem(group, "OH-NATS-002", "NATS answers with JetStream", err, "check nats.url and nats.creds_file, and that the server runs with JetStream")
		return
	}
	b.Close()
	d.ok(group, "OH-NATS-002", "NATS answers with JetStream")
}

func (d *run) webhook(ctx context.Context, c config.Config) {
	const group = "Change delivery"
	if c.Webhook.PublicURL == "" {
		d.warn(group, "OH-WEB-001", "no public webhook address", "changes are found by polling only, up to ten seconds late", "set webhook.public_url to where Microsoft Graph reaches this machine")
		return
	}
	pair, err := c.Webhook.TLS.KeyPair()
	if err != nil {
		d.problem(group, "OH-WEB-002", "certificate of the webhook endpoint", err, "set webhook.tls.cert_file and key_file to a certificate for the public name")
		return
	}
	leaf, err := x509.ParseCertificate(pair.Certificate[0])
	if err == nil {
		u, _ := url.Parse(c.Webhook.PublicURL)
		if err := leaf.VerifyHostname(u.Hostname()); err != nil {
			d.problem(group, "OH-WEB-003", "certificate of the webhook endpoint", err, "use a certificate for "+u.Hostname())
			return
		}
		d.expiry(group, "OH-WEB-004", "certificate of the webhook endpoint", leaf.NotAfter, "renew it")
	}
}

func (d *run) expiry(group, code, check string, ends time.Time, fix string) {
	switch left := ends.Sub(d.o.Now); {
	case left <= 0:
		d.problem(group, code, check, fmt.Errorf("ended on %s", ends.Format(time.DateOnly)), fix)
	case left < warnBefore:
		d.warn(group, code, check, fmt.Sprintf("ends in %d days", int(left.Hours()/24)), fix)
	default:
		d.ok(group, code, fmt.Sprintf("%s (until %s)", check, ends.Format(time.DateOnly)))
	}
}

func (d *run) tenant(ctx context.Context, c config.Config, t config.Tenant) {
	group := "Microsoft 365 " + t.ID
	client, err := d.client(group, t)
	if err != nil {
		d.problem(group, "OH-M365-001", "credentials", err, "check microsoft365 of tenant "+t.ID)
		return
	}
	defer client.Close()
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	roles, expires, err := client.Token(ctx)
	if err != nil {
		d.problem(group, "OH-M365-002", "sign-in of the app", err, signInFix(err))
		return
	}
	d.ok(group, "OH-M365-002", fmt.Sprintf("sign-in of the app (token for %d min)", int(expires.Sub(d.o.Now).Minutes())))
	for _, p := range permissions(t) {
		d.granted(group, t.Microsoft365.ClientID, p, p.in(roles))
	}
	page, err := client.Users(ctx, "")
	if err != nil {
		d.problem(group, "OH-M365-005", "read users", err, "grant User.Read.All, then try again")
		return
	}
	d.ok(group, "OH-M365-005", "read users")
	d.presence(ctx, group, t, client, page)
	d.priority(ctx, group, t, client)
	d.shared(ctx, group, t, client)
}

// granted checks one permission of the app.
func (d *run) granted(group, app string, p permission, is bool) {
	const code = "OH-M365-004"
	check, missing := "permission "+p.name, "not granted: "+p.without
	fix := fmt.Sprintf("add the application permission %s to the app %s and grant admin consent", p.name, app)
	switch {
	case is:
		d.ok(group, code, check)
	case p.optional:
		d.warn(group, code, check, missing, fix)
	default:
		d.problem(group, code, check, errors.New(missing), fix)
	}
}

func (d *run) presence(ctx context.Context, group string, t config.Tenant, client *msgraph.Client, page graph.UserPage) {
	cloud, _ := graph.CloudNamed(t.Microsoft365.Cloud)
	if why := cloud.Lacks(graph.FeaturePresence); why != "" {
		d.warn(group, "OH-M365-006", "read presence", why, "use presence.mode calendar")
		return
	}
	if !presence.Mode(t.Presence.Mode).ReadsTeams() || len(page.Users) == 0 {
		return
	}
	if _, _, err := client.Presences(ctx, []identity.User{page.Users[0].ID}); err != nil {
		d.problem(group, "OH-M365-006", "read presence", err, "grant Presence.Read.All, then try again")
		return
	}
	d.ok(group, "OH-M365-006", "read presence")
}

func (d *run) client(group string, t config.Tenant) (*msgraph.Client, error) {
	m := t.Microsoft365
	cloud, err := graph.CloudNamed(m.Cloud)
	if err != nil {
		return nil, err
	}
	if cloud, err = cloud.At(m.Endpoints.Login, m.Endpoints.Graph); err != nil {
		return nil, err
	}
	roots, err := m.Endpoints.Roots()
	if err != nil {
		return nil, err
	}
	conf := msgraph.Config{Tenant: identity.Tenant(t.ID), Directory: m.DirectoryID, ClientID: m.ClientID, Cloud: cloud, Roots: roots}
	if m.CertificateFile == "" {
		conf.Secret, err = m.ClientSecret()
	} else {
		var pair secret.KeyPair
		if pair, err = m.KeyPair(); err == nil {
			conf.Certificate = &pair
			d.expiry(group, "OH-M365-003", "certificate of the app", pair.Certificate.NotAfter, "make a new one and upload it to the app registration")
		}
	}
	if err != nil {
		return nil, err
	}
	return msgraph.New(conf)
}

func signInFix(err error) string {
	if fault.KindOf(err) == fault.Denied {
		return "check directory_id and client_id, and that this certificate or secret belongs to the app registration"
	}
	return "check that this machine reaches the login host, and microsoft365.endpoints if they are set"
}
