package portsip

import (
	"cmp"
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"net/url"
	"sync"
	"time"
	"unicode/utf8"

	"offhook.dev/libs/core/fault"
	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/core/presence"
	"offhook.dev/libs/pbx"
)

// Statuses is a way to treat statuses: see the package.
type Statuses string

// The ways. "" is ByDND.
const (
	ByDND      Statuses = "dnd"
	ByPresence Statuses = "presence"
	ByOwn      Statuses = "own"
)

// PerSecond is how many requests a second are sent at the most unless somebody says
// otherwise. PortSIP takes 10,000 a minute from everybody together since 22.1; this is 7,200,
// whatever they are for, so that the portal and the apps have the rest. 22.0 takes 5,000 and does
// not say that it is 22.0: there somebody has to say otherwise (docs/drivers/portsip.md).
const PerSecond = 120

// Config of a Driver.
type Config struct {
	URL    string  // https://pbx.example.com:8887
	Domain string  // the SIP domain of the tenant
	Admin  Account // of an administrator of the tenant, without a second factor
	// Accounts are those of users, for personal phonebooks, photos and, with ByOwn, presences.
	// An empty user name is the number, as in accounts that Offhook made.
	Accounts map[identity.Extension]Account

	Statuses Statuses
	Note     string // with ByOwn: what a presence that is not available has as its note
	Role     string // of users that are made; "" means StandardUser
	Partial  bool   // what a change of a user does not name stays as it is

	Events  Events
	Webhook Webhook // with ByWebhook

	Authorities *x509.CertPool // who may have issued the certificate; nil: the machine's
	Timeout     time.Duration  // of one HTTP request; 0 means 15 s
	PerSecond   float64        // requests a second at the most, for whatever; 0 means the constant of this name
	Beat        time.Duration  // how often a watch proves that it lives; 0 means 20 s, at most pbx.WatchBeat
	// Settle is how long a watch waits for more once it was told of a few of the calls that are
	// under way, and after which it looks again where an event said something else than what it
	// read; 0 means 2 s.
	Settle time.Duration
	// Reading is how long a watch by websocket that has to ask each user for the status does
	// that before it says that it is live, and reads on with the next beats; 0 means 15 s.
	Reading time.Duration
}

const (
	defaultTimeout = 15 * time.Second
	defaultBeat    = 20 * time.Second
	defaultSettle  = 2 * time.Second
	defaultReading = 15 * time.Second
	noteLimit      = 128 // characters
)

// Problem is something wrong with a Config.
type Problem struct{ Field, What string }

// Problems lists what Open would refuse, without asking anybody. Fields are named as
// in the configuration of a system: url, client_id, client_secret_file, domain,
// statuses, note, accounts.
func (c Config) Problems() []Problem {
	var all []Problem
	report := func(field, format string, args ...any) {
		all = append(all, Problem{field, fmt.Sprintf(format, args...)})
	}
	if _, err := parseURL(c.URL); err != nil {
		report("url", "%v", err)
	}
	if c.Domain == "" {
		report("domain", "it is missing")
	}
	if c.Admin.Username == "" {
		report("client_id", "the user name of the administrator is missing")
	}
	if c.Admin.Password.IsZero() {
		report("client_secret_file", "the password of the administrator is missing")
	}
	switch c.Statuses {
	case "", ByDND, ByPresence, ByOwn:
	default:
		report("statuses", "%q is none of dnd, presence, own", c.Statuses)
	}
	if c.Statuses == ByOwn && len(c.Accounts) == 0 {
		report("accounts", "statuses are written as the users themselves, and no account is known")
	}
	if utf8.RuneCountInString(c.Note) > noteLimit {
		report("note", "it is longer than %d characters", noteLimit)
	}
	for ext, account := range c.Accounts {
		if account.Password.IsZero() {
			report("accounts", "the password of %s is missing", ext)
		}
	}
	switch c.Events {
	case "", ByWebsocket:
	case ByWebhook:
		c.Webhook.problems(report)
	default:
		report("events", "%q is neither websocket nor webhook", c.Events)
	}
	return all
}

func parseURL(text string) (*url.URL, error) {
	u, err := url.Parse(text)
	switch {
	case err != nil:
		return nil, errors.New("it is not a URL") // not quoted: it may hold a password
	case u.Scheme != "https" || u.Host == "":
		return nil, errors.New("it must be https://host:port")
	case u.User != nil || u.RawQuery != "" || u.Fragment != "" || u.Path != "" && u.Path != "/":
		return nil, errors.New("it must be a host and port, without path, user or query")
	}
	return &url.URL{Scheme: u.Scheme, Host: u.Host}, nil
}

// Driver speaks to one tenant of a PortSIP PBX. It implements pbx.Driver and every
// optional power but pbx.Photos; what Open returns where accounts of users are known is
// pbx.Photos besides.
type Driver struct {
	config    Config
	wire      *wire
	admin     *session
	sessions  map[identity.Extension]*session // of users
	technique technique
	available spelling

	mu  sync.Mutex
	ids map[identity.Extension]string // of users, learned from every answer
}

var (
	_ pbx.Driver          = (*Driver)(nil)
	_ pbx.Extensions      = (*Driver)(nil)
	_ pbx.ExtensionWriter = (*Driver)(nil)
	_ pbx.Phonebook       = (*Driver)(nil)
	_ pbx.NativeSync      = (*Driver)(nil)
	_ pbx.Watcher         = (*Driver)(nil)
	_ pbx.Photos          = portrayed{}
)

// Open connects to a phone system: it signs in and finds out how statuses can be read.
// Errors are classified; Invalid means the configuration.
func Open(ctx context.Context, config Config) (pbx.Driver, error) {
	d, err := connect(ctx, config)
	if err != nil {
		return nil, err
	}
	if len(d.sessions) > 0 {
		return portrayed{d}, nil
	}
	return d, nil
}

func connect(ctx context.Context, config Config) (*Driver, error) {
	var problems []error
	for _, p := range config.Problems() {
		problems = append(problems, fmt.Errorf("%s: %s", p.Field, p.What))
	}
	if err := errors.Join(problems...); err != nil {
		return nil, fault.New(fault.Invalid, "portsip: configuration", err)
	}
	base, _ := parseURL(config.URL) // Problems has looked
	config.Statuses = cmp.Or(config.Statuses, ByDND)
	config.Role = cmp.Or(config.Role, "StandardUser")
	config.Events = cmp.Or(config.Events, ByWebsocket)
	config.Timeout = cmp.Or(config.Timeout, defaultTimeout)
	config.PerSecond = cmp.Or(config.PerSecond, PerSecond)
	config.Settle = cmp.Or(config.Settle, defaultSettle)
	config.Reading = cmp.Or(config.Reading, defaultReading)
	config.Beat = min(cmp.Or(config.Beat, defaultBeat), pbx.WatchBeat)
	w := newWire(base, config)
	d := &Driver{config: config, wire: w, admin: newSession(w, config.Admin), sessions: make(map[identity.Extension]*session), ids: make(map[identity.Extension]string)}
	for ext, account := range config.Accounts {
		account.Username = cmp.Or(account.Username, string(ext))
		d.sessions[ext] = newSession(w, account)
	}
	var err error
	if d.technique, err = d.findTechnique(ctx); err != nil {
		_ = d.Close()
		return nil, err
	}
	return d, nil
}

// Capabilities follow from the configuration. The phone system does not tell its
// version.
func (d *Driver) Capabilities() pbx.Capabilities {
	switched := presence.SetOf(presence.Available, presence.DND)
	powers := presence.Powers{Write: switched, Read: switched, Ring: presence.SetOf(presence.Available)}
	if d.config.Statuses != ByDND {
		powers.Read = presence.All
	}
	if d.config.Statuses == ByOwn {
		powers.Write = presence.All
	}
	return pbx.Capabilities{
		Powers: powers, Extensions: true, NativeSync: true, Watch: pbx.WatchPowers{Calls: true, Status: true},
		Writer:    writerPowers,
		Phonebook: pbx.PhonebookPowers{Company: true, Personal: len(d.sessions) > 0, Numbers: numberKinds, Batch: deletionBatch, Limits: bookLimits},
	}
}

// Close closes the connections and ends a watch.
func (d *Driver) Close() error {
	d.wire.close()
	return nil
}

// NativeSync reads the tenant's own Microsoft 365 integration. It has no presences, but
// calendars ("events"), of which it is not documented what they do: they count as
// something that sets statuses. A tenant without an integration may have no answer.
func (d *Driver) NativeSync(ctx context.Context) (pbx.SyncState, error) {
	type part struct{ Enabled bool }
	var integration struct {
		Users struct {
			part
			SyncPhoto bool `json:"sync_photo"`
		}
		PersonalContacts part `json:"personal_contacts"`
		SharedMailbox    part `json:"shared_mailbox"`
		Events           part
	}
	err := d.wire.get(ctx, "portsip: native sync", d.admin, "/ms365", nil, &integration)
	if err != nil && fault.KindOf(err) == fault.NotFound {
		return pbx.SyncState{}, nil
	}
	return pbx.SyncState{
		Users: integration.Users.Enabled, Photos: integration.Users.Enabled && integration.Users.SyncPhoto,
		Contacts: integration.PersonalContacts.Enabled, Mailboxes: integration.SharedMailbox.Enabled, Calendar: integration.Events.Enabled,
	}, err
}

func (d *Driver) id(ext identity.Extension) (string, bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	id, ok := d.ids[ext]
	return id, ok
}

func (d *Driver) remember(ext identity.Extension, id string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.ids[ext] = id
}

func (d *Driver) forget(ext identity.Extension) {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.ids, ext)
}
