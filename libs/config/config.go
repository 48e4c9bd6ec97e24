package config

import (
	"time"

	"offhook.dev/libs/core/calendar"
)

// The tags are the schema: yaml names the key, oneof lists the allowed words, is
// names a rule of rules.go. An empty text means "not set" and passes both.

// Config is the whole file.
type Config struct {
	DataDir   string    `yaml:"data_dir" is:"path"` // embedded NATS, certificates
	NATS      NATS      `yaml:"nats"`
	Redis     Redis     `yaml:"redis"`
	Control   Control   `yaml:"control"`
	Webhook   Webhook   `yaml:"webhook"`
	Telemetry Telemetry `yaml:"telemetry"`
	Tenants   []Tenant  `yaml:"tenants"`
	Systems   []System  `yaml:"systems"`
}

// NATS is where the broker is.
type NATS struct {
	URL       SecretURL `yaml:"url" is:"nats"` // empty: embedded, under DataDir
	CredsFile string    `yaml:"creds_file" is:"file"`
}

// Redis is where hot state is.
type Redis struct {
	URL SecretURL `yaml:"url" is:"redis"` // empty: in-process
}

// Control is the API and the console.
type Control struct {
	Listen     string `yaml:"listen" is:"listen"`
	GRPCListen string `yaml:"grpc_listen" is:"listen"`
	PublicURL  string `yaml:"public_url" is:"web"`
}

// Webhook is the endpoint that Microsoft Graph calls.
type Webhook struct {
	Listen    string `yaml:"listen" is:"listen"`
	PublicURL string `yaml:"public_url" is:"https"` // empty: polling only
	TLS       TLS    `yaml:"tls"`
}

// TLS is a server certificate in PEM files: both set, or neither.
type TLS struct {
	CertFile string `yaml:"cert_file" is:"file"`
	KeyFile  string `yaml:"key_file" is:"file"`
}

// Telemetry is what the services tell about themselves.
type Telemetry struct {
	OTLPEndpoint  string `yaml:"otlp_endpoint" is:"collector"` // empty: no traces leave the process
	MetricsListen string `yaml:"metrics_listen" is:"listen"`
	LogLevel      string `yaml:"log_level" oneof:"debug info warn error"`
}

// Tenant is one Microsoft 365 tenant and what is kept in step for it.
type Tenant struct {
	ID           string       `yaml:"id" is:"id"`
	Microsoft365 Microsoft365 `yaml:"microsoft365"`
	Presence     Presence     `yaml:"presence"`
	Users        Users        `yaml:"users"`
	Contacts     Contacts     `yaml:"contacts"`
	Mail         Mail         `yaml:"mail"`
	Links        []Link       `yaml:"links"`
	Systems      []string     `yaml:"systems" is:"id"`
	Signin       Signin       `yaml:"signin"`
}

// Microsoft365 is the app registration through which a tenant is reached. It has
// a certificate or a client secret, not both.
type Microsoft365 struct {
	Cloud            string    `yaml:"cloud" oneof:"global usgov dod china"`
	DirectoryID      string    `yaml:"directory_id" is:"guid"`
	ClientID         string    `yaml:"client_id" is:"guid"`
	CertificateFile  string    `yaml:"certificate_file" is:"file"`
	ClientSecretFile string    `yaml:"client_secret_file" is:"file"`
	Endpoints        Endpoints `yaml:"endpoints"`
	Accounts         []Account `yaml:"accounts"`
}

// Account is a delegated account: it holds one presence subscription.
type Account struct {
	Name             string `yaml:"name" is:"id"`
	RefreshTokenFile string `yaml:"refresh_token_file" is:"file"` // replaced with every use
}

// Endpoints replace the hosts of the cloud, for a simulator or a proxy.
type Endpoints struct {
	Login  string `yaml:"login" is:"host"`
	Graph  string `yaml:"graph" is:"host"`
	CAFile string `yaml:"ca_file" is:"file"` // trusted instead of the machine's authorities
}

// Presence is how statuses travel.
type Presence struct {
	Mode       string        `yaml:"mode" oneof:"disabled teams-to-pbx pbx-to-teams both calendar"`
	Mapping    Mapping       `yaml:"mapping"`
	Combine    string        `yaml:"combine" oneof:"teams-first strongest"`
	Manual     Manual        `yaml:"manual"`
	Damping    time.Duration `yaml:"damping"` // towards less busy only
	StaleAfter time.Duration `yaml:"stale_after"`
	Sweep      Sweep         `yaml:"sweep"`
	Calendar   Calendar      `yaml:"calendar"`
	Priority   []string      `yaml:"priority" is:"member"` // users and groups that get lanes first
}

// Mapping holds overrides of the default tables. Names of Teams values and
// calendar classes are compared without case; entries keep theirs.
type Mapping struct {
	// Teams is as presence.ParseMapping takes it: an availability, an activity or
	// both to a status, "release" or "keep", with or without a delay.
	Teams map[string]string `yaml:"teams"`
	// Calendar maps a showAs to a status, "none" or "release" (the same).
	Calendar map[string]string `yaml:"calendar"`
	// PBX maps a status to a preferred Teams availability, "clear" or "nothing".
	PBX map[string]string `yaml:"pbx"`
}

// Calendar is how calendars are read.
type Calendar struct {
	// Rules refine what events count as: the first that matches decides.
	Rules []CalendarRule `yaml:"rules"`
	// Subscribe has Graph tell of changes; else they are found by reading.
	Subscribe bool `yaml:"subscribe"`
}

// CalendarRule is calendar.Rule as the file has it. Its words are compared without
// case; what is left out matches everything.
type CalendarRule struct {
	ShowAs       string `yaml:"show_as"`
	AllDay       *bool  `yaml:"all_day"`
	Response     string `yaml:"response"`
	Sensitivity  string `yaml:"sensitivity"`
	AttendeesMin *int   `yaml:"attendees_min"`
	AttendeesMax *int   `yaml:"attendees_max"`
	As           string `yaml:"as"`
}

// ParseRules returns the rules as events are judged by them. Those of a loaded
// Config have no problems.
func (c Calendar) ParseRules() (calendar.Rules, error) { return parseRules(c.Rules) }

func parseRules(list []CalendarRule) (calendar.Rules, error) {
	rules := make([]calendar.Rule, len(list))
	for i, r := range list {
		rules[i] = calendar.Rule(r)
	}
	return calendar.ParseRules(rules)
}

// Manual is what a person's own choice is worth.
type Manual struct {
	Policy string    `yaml:"policy" oneof:"auto until-cleared ignore"`
	Max    TimeOfDay `yaml:"max"` // local time at which a choice ends
	Scope  string    `yaml:"scope" oneof:"extension user"`
}

// Sweep is how often everything is read, whether or not anything was heard.
type Sweep struct {
	Presence time.Duration `yaml:"presence"`
	Calendar time.Duration `yaml:"calendar"`
	Users    time.Duration `yaml:"users"`
	Contacts time.Duration `yaml:"contacts"`
}

// Users is which users get extensions, and when.
type Users struct {
	At             string        `yaml:"at" is:"cron"`
	Zone           string        `yaml:"zone" is:"zone"`
	Include        []string      `yaml:"include" is:"everyone"` // "all" alone, or users
	Exclude        []string      `yaml:"exclude" is:"user"`
	Groups         []string      `yaml:"groups" is:"guid"` // not empty: only their members
	Guests         bool          `yaml:"guests"`
	Photos         bool          `yaml:"photos"`                      // have users' photos on their extensions
	StartExtension string        `yaml:"start_extension" is:"number"` // empty: the first free one
	Ranges         []NumberRange `yaml:"ranges"`                      // the first that fits a user counts; start_extension for whom none does
	Hold           time.Duration `yaml:"hold"`                        // from disabling to deletion
	// What else than names, addresses and the mobile number is kept as Microsoft 365 has
	// it, where the phone system has a place for it.
	CallerID   bool `yaml:"caller_id"`  // the office phone is the number that is shown to whom they call
	Department bool `yaml:"department"` // the department is the phone system's group or department
	Language   bool `yaml:"language"`   // of prompts and mails
	SignIn     bool `yaml:"sign_in"`    // the phone system's own Microsoft sign-in works for them
	// Policy is what is done without being asked. The default is off, because who installs
	// Offhook for presence has extensions already and has not asked for more: nothing is made,
	// changed or disabled until the policy says so, or until somebody has looked at a plan
	// and applies it, which works under every policy.
	Policy string `yaml:"policy" oneof:"off sync upsert-only create-only"`
	Brake  Brake  `yaml:"brake"`
}

// NumberRange is where some users have their numbers from: the members of groups and the
// people of departments; everybody, where it names neither.
type NumberRange struct {
	Groups      []string `yaml:"groups" is:"guid"`
	Departments []string `yaml:"departments"`      // as Microsoft 365 writes them; capitals do not matter
	From        string   `yaml:"from" is:"number"` // the first number
	To          string   `yaml:"to" is:"number"`   // the last one, of as many digits
}

// Brake stops a plan that disables or deletes more than both allow.
type Brake struct {
	Count   int `yaml:"count"`
	Percent int `yaml:"percent"`
}

// Contacts is which contacts go to the phonebooks.
type Contacts struct {
	Personal        bool     `yaml:"personal"`                   // those of every linked user
	SharedMailboxes []string `yaml:"shared_mailboxes" is:"user"` // whose contacts are everybody's
	// Folders are read beside the default one, each with what is below it, in every
	// mailbox that has a folder of that name. Capitals do not matter.
	Folders []string `yaml:"folders"`
	Region  string   `yaml:"region" is:"region"` // of numbers written without a country; empty: those are not indexed
	// Policy says what is done to phonebooks without being asked; off: nothing, but what a
	// plan shows can be applied.
	Policy string `yaml:"policy" oneof:"off sync upsert-only create-only"`
	Brake  Brake  `yaml:"brake"` // of the entries that a mailbox has in a phonebook
}

// Mail is who is told by e-mail, and from which mailbox.
type Mail struct {
	From string   `yaml:"from" is:"mail"`
	To   []string `yaml:"to" is:"mail"`
}

// Link pairs a user with an extension, before automatic matching.
type Link struct {
	User      string `yaml:"user" is:"user"` // object id or user principal name
	System    string `yaml:"system" is:"id"`
	Extension string `yaml:"extension" is:"extension"`
}

// Signin is who may use the console: object ids of groups.
type Signin struct {
	Admins    []string `yaml:"admins" is:"guid"`
	Operators []string `yaml:"operators" is:"guid"`
	Helpdesk  []string `yaml:"helpdesk" is:"guid"`
}

// System is one phone system.
type System struct {
	ID               string         `yaml:"id" is:"id"`
	Driver           string         `yaml:"driver" oneof:"3cx portsip asterisk freeswitch sip-presence memory"`
	URL              string         `yaml:"url" is:"pbx"`
	ClientID         string         `yaml:"client_id"`
	ClientSecretFile string         `yaml:"client_secret_file" is:"file"`
	CAFile           string         `yaml:"ca_file" is:"file"`
	Tenants          []string       `yaml:"tenants" is:"id"` // who may link here
	Pace             Pace           `yaml:"pace"`
	Options          map[string]any `yaml:"options"` // the driver's own; texts, numbers, booleans, lists and mappings
}

// Pace is how hard a phone system may be worked.
type Pace struct {
	InFlight  int     `yaml:"in_flight"`
	PerSecond float64 `yaml:"per_second"` // 0: the rate of the driver, of which most have none
}

// Default returns the Config of an empty file.
func Default() Config {
	return Config{
		DataDir:   "/var/lib/offhook",
		Control:   Control{Listen: "127.0.0.1:8080", GRPCListen: "127.0.0.1:9090"},
		Webhook:   Webhook{Listen: "127.0.0.1:8443"},
		Telemetry: Telemetry{MetricsListen: "127.0.0.1:9464", LogLevel: "info"},
	}
}

// DefaultTenant returns an entry of tenants that says nothing.
func DefaultTenant() Tenant {
	return Tenant{
		Microsoft365: Microsoft365{Cloud: "global"},
		Presence: Presence{
			Mode: "teams-to-pbx", Combine: "teams-first",
			Manual:  Manual{Policy: "auto", Max: 4 * 60, Scope: "extension"},
			Damping: 5 * time.Second, StaleAfter: 15 * time.Minute,
			Sweep:    Sweep{Presence: 10 * time.Second, Calendar: 15 * time.Minute, Users: 15 * time.Minute, Contacts: time.Hour},
			Calendar: Calendar{Subscribe: true},
		},
		Users: Users{
			At: "0 2 * * *", Zone: "UTC", Include: []string{everyone}, Photos: true, Hold: 30 * 24 * time.Hour, Policy: "off",
			CallerID: true, Department: true, Language: true, SignIn: true,
			Brake: Brake{Count: 3, Percent: 5},
		},
		Contacts: Contacts{Personal: true, Policy: "sync", Brake: Brake{Count: 3, Percent: 5}},
	}
}

// DefaultSystem returns an entry of systems that says nothing.
func DefaultSystem() System { return System{Pace: Pace{InFlight: 2}} }
