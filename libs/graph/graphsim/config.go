package graphsim

import (
	"crypto/x509"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"time"

	"offhook.dev/libs/secret"
)

// Config says what to simulate. The zero value of every field has a meaning; only
// Tenants must be given.
type Config struct {
	Listen      string            // address of login and Graph; "" is 127.0.0.1:0
	Hosts       []string          // names in the TLS certificate; nil is localhost and the loopback addresses
	Authority   *secret.Authority // issues the TLS certificate; nil makes one, see Server.Authority
	NotifyRoots *x509.CertPool    // whom notification URLs are trusted by; nil is the Authority alone
	Tenants     []TenantConfig
	Seed        uint64           // varies names and the dice of faults; never ids or UPNs of the first users
	TimeScale   float64          // how much faster than the clock deliveries (Delivery), presence sessions and sign-ins age; 0 is 1
	TokenLife   time.Duration    // life of access tokens; 0 is one hour
	Issuers     Issuers          // what tokens name as their issuer
	Delivery    Delivery         // how notifications are sent
	Now         func() time.Time // the clock of tokens, subscriptions and the truth; nil is time.Now
}

// Issuers are the templates of the iss claim; "{tenantid}" stands for the
// directory id. The metadata of the common endpoints publish the same templates.
type Issuers struct {
	V1 string // "" is https://sts.windows.net/{tenantid}/
	V2 string // "" is <LoginURL>/{tenantid}/v2.0
}

// TenantConfig is one directory.
type TenantConfig struct {
	DirectoryID string // a GUID
	Domain      string // "contoso.example"; also names the tenant, as does its first label
	Name        string // display name of the organization; "" is the domain's first label
	Users       int    // how many users exist at first
	Apps        []App
	Accounts    []Account
	Switches    Switches
}

// App is an app registration with its consent.
type App struct {
	ClientID     string
	Certificates []*x509.Certificate // any of them may sign assertions
	Secret       secret.Value        // zero: no secret is accepted
	Roles        []string            // consented application permissions; nil is DefaultRoles
	PublicClient bool                // delegated tokens without a client credential are allowed
}

// DefaultRoles are what an App has that names no roles: what Offhook needs to read.
func DefaultRoles() []string {
	return []string{"Calendars.Read", "Contacts.Read", "GroupMember.Read.All", "MailboxSettings.Read", "Organization.Read.All", "Presence.Read.All", "User.Read.All"}
}

// Account is a user who has signed in once and consented: a delegated account.
type Account struct {
	User         string       // id, UPN or local part of an existing user
	ClientID     string       // the app it signed in to; "" is the tenant's first
	RefreshToken secret.Value // the first refresh token; each use replaces it
	Scopes       []string     // nil is DefaultScopes
}

// DefaultScopes are what an Account has consented to that names no scopes.
func DefaultScopes() []string {
	return []string{"Presence.Read.All", "User.Read", "offline_access"}
}

// Delivery holds the documented figures of change notifications
// (learn.microsoft.com/graph/change-notifications-delivery-webhooks). Zero values
// are the documented ones. The allowances are wall time because the receiver is
// real; RetryFor, Backoff and Window are divided by Config.TimeScale.
type Delivery struct {
	FirstAllowance time.Duration // for the answer to a first attempt; 0 is 3 s
	RetryAllowance time.Duration // for the answer to a repeated attempt; 0 is 10 s
	Handshake      time.Duration // for the echo of a validation token; 0 is 10 s
	RetryFor       time.Duration // how long a notification is retried; 0 is 4 h
	Backoff        time.Duration // before the second attempt, doubling up to 16 times it; 0 is 30 s, which is a guess: only "exponential" is documented
	Window         time.Duration // over which slow and drop are judged and for which they last; 0 is 10 min
	Batch          int           // most notifications in one POST; 0 is 1
	InFlight       int           // most POSTs at one time to one URL; 0 is 16
}

func (c Config) withDefaults() Config {
	set(&c.Listen, "127.0.0.1:0")
	set(&c.TimeScale, 1)
	set(&c.TokenLife, time.Hour)
	set(&c.Issuers.V1, "https://sts.windows.net/{tenantid}/")
	set(&c.Delivery.FirstAllowance, 3*time.Second)
	set(&c.Delivery.RetryAllowance, 10*time.Second)
	set(&c.Delivery.Handshake, 10*time.Second)
	set(&c.Delivery.RetryFor, 4*time.Hour)
	set(&c.Delivery.Backoff, 30*time.Second)
	set(&c.Delivery.Window, 10*time.Minute)
	set(&c.Delivery.Batch, 1)
	set(&c.Delivery.InFlight, 16)
	if len(c.Hosts) == 0 {
		c.Hosts = []string{"localhost", "127.0.0.1", "::1"}
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	return c
}

func set[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

// scaled returns how long d of simulated time takes on the clock.
func (c Config) scaled(d time.Duration) time.Duration {
	return time.Duration(float64(d) / c.TimeScale)
}

var (
	guidPattern   = regexp.MustCompile(`^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$`)
	domainPattern = regexp.MustCompile(`^[a-z0-9-]+(\.[a-z0-9-]+)+$`)
)

// validate reports every problem at once.
func (c Config) validate() error {
	var problems []error
	bad := func(format string, args ...any) { problems = append(problems, fmt.Errorf(format, args...)) }
	if len(c.Tenants) == 0 {
		bad("tenants: at least one is needed")
	}
	if c.TimeScale < 0 {
		bad("time scale: %g is negative", c.TimeScale)
	}
	seen := make(map[string]bool)
	for i, t := range c.Tenants {
		if !guidPattern.MatchString(t.DirectoryID) {
			bad("tenant %d: directory id %q is not a GUID", i, t.DirectoryID)
		}
		if !domainPattern.MatchString(t.Domain) {
			bad("tenant %d: domain %q is not a lower-case domain like contoso.example", i, t.Domain)
		}
		if t.Users < 0 {
			bad("tenant %d: %d users", i, t.Users)
		}
		for _, name := range []string{strings.ToLower(t.DirectoryID), firstLabel(t.Domain)} {
			if seen[name] {
				bad("tenant %d: another tenant is named %q already", i, name)
			}
			seen[name] = true
		}
		for _, a := range t.Apps {
			if !guidPattern.MatchString(a.ClientID) {
				bad("tenant %d: client id %q is not a GUID", i, a.ClientID)
			}
		}
		if err := t.Switches.validate(); err != nil {
			bad("tenant %d: %w", i, err)
		}
	}
	return errors.Join(problems...)
}

func firstLabel(domain string) string {
	label, _, _ := strings.Cut(domain, ".")
	return label
}
