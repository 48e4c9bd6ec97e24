package threecx

import (
	"cmp"
	"context"
	"crypto/x509"
	"errors"
	"net/url"
	"sync"
	"time"

	"offhook.dev/libs/core/fault"
	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/core/presence"
	"offhook.dev/libs/pbx"
	"offhook.dev/libs/secret"
)

// Config of a Driver.
type Config struct {
	URL          string         // https://pbx.example.com or https://pbx.example.com:5001
	ClientID     string         // of the service principal
	ClientSecret secret.Value   // shown by 3CX once
	Authorities  *x509.CertPool // who may have issued the certificate; nil: the machine's
	Timeout      time.Duration  // of one HTTP request; 0 means 15 s
	InFlight     int            // requests at a time, those of a watch and of signing in included; 0 means 2
	Beat         time.Duration  // how often a watch proves that it lives; 0 means 20 s, at most pbx.WatchBeat
}

const (
	defaultTimeout = 15 * time.Second
	defaultBeat    = 20 * time.Second
)

func (c Config) base() (*url.URL, error) {
	u, err := parseURL(c.URL)
	switch {
	case err != nil:
		return nil, err
	case c.ClientID == "" || c.ClientSecret.IsZero():
		return nil, errors.New("client_id and client_secret are needed")
	}
	return &url.URL{Scheme: u.Scheme, Host: u.Host}, nil
}

// CheckURL says why Open would refuse a Config.URL, without asking anybody.
func CheckURL(text string) error {
	_, err := parseURL(text)
	return err
}

func parseURL(text string) (*url.URL, error) {
	u, err := url.Parse(text)
	switch {
	case err != nil:
		return nil, errors.New("url is not a URL")
	case u.Scheme != "https" || u.Host == "":
		return nil, errors.New("url must be https://host or https://host:port")
	case u.User != nil || u.RawQuery != "" || u.Fragment != "" || u.Path != "" && u.Path != "/":
		return nil, errors.New("url must be a host and port, without path, user or query")
	}
	return u, nil
}

// Driver speaks to one 3CX. It implements pbx.Driver, pbx.Extensions,
// pbx.ExtensionWriter, pbx.Phonebook, pbx.NativeSync and pbx.Several; what Open returns where
// Call Control may be used is a pbx.Watcher besides. There is no pbx.Photos: see
// docs/drivers/3cx.md.
type Driver struct {
	wire     *wire
	profiles profiles
	version  string
	actions  actions
	noWatch  string // why Call Control cannot be used, "" if it can

	mu  sync.Mutex
	ids map[identity.Extension]int32 // the keys of users, learned from every answer
}

var (
	_ pbx.Driver          = (*Driver)(nil)
	_ pbx.Extensions      = (*Driver)(nil)
	_ pbx.ExtensionWriter = (*Driver)(nil)
	_ pbx.Phonebook       = (*Driver)(nil)
	_ pbx.NativeSync      = (*Driver)(nil)
	_ pbx.Several         = (*Driver)(nil)
	_ pbx.Watcher         = watching{}
)

// Open connects to a 3CX: it signs in, asks for the version and for the description of
// its interface, reads the names of the profiles and finds out whether it may use Call Control, without which there is no
// pbx.Watcher. Errors are classified; Invalid means the configuration.
func Open(ctx context.Context, config Config) (pbx.Driver, error) {
	d, err := connect(ctx, config)
	if err != nil {
		return nil, err
	}
	if d.noWatch = d.lookForCalls(ctx); d.noWatch != "" {
		return d, nil
	}
	return watching{d}, nil
}

// connect is Open without a look for Call Control.
func connect(ctx context.Context, config Config) (*Driver, error) {
	base, err := config.base()
	if err != nil {
		return nil, fault.New(fault.Invalid, "threecx: configuration", err)
	}
	config.Timeout = cmp.Or(config.Timeout, defaultTimeout)
	config.Beat = min(cmp.Or(config.Beat, defaultBeat), pbx.WatchBeat)
	d := &Driver{wire: newWire(base, config), ids: make(map[identity.Extension]int32)}
	if d.version, err = d.readVersion(ctx); err == nil {
		d.actions = d.findActions(ctx)
		d.profiles, err = d.readProfiles(ctx)
	}
	if err != nil {
		_ = d.Close()
		return nil, err
	}
	return d, nil
}

// Capabilities are those found by Open.
func (d *Driver) Capabilities() pbx.Capabilities {
	return pbx.Capabilities{
		Powers: d.profiles.powers(), Version: d.version, Extensions: true, NativeSync: true, NoWatch: d.noWatch, Several: filterBatch,
		Writer: writerPowers, Phonebook: d.actions.phonebooks(),
	}
}

// Close closes the connections and ends a watch.
func (d *Driver) Close() error {
	d.wire.close()
	return nil
}

// SetStatus makes the profile that stands for s the current one. The first write
// to an extension that was never listed or read costs a request for its key.
func (d *Driver) SetStatus(ctx context.Context, ext identity.Extension, s presence.Status) error {
	const op = "threecx: set status"
	name, ok := d.profiles.name(s)
	if !ok {
		return fault.Errorf(fault.Unsupported, op, "no profile of this phone system stands for %q", s)
	}
	return d.withKey(ctx, op, ext, func(id int32) error { return d.activate(ctx, op, id, name) })
}

// withKey does something to the user with a number. One that was never seen, or was
// deleted and perhaps made again under another key, is looked up first.
func (d *Driver) withKey(ctx context.Context, op string, ext identity.Extension, do func(id int32) error) error {
	id, known := d.id(ext)
	if known {
		err := do(id)
		if err == nil || fault.KindOf(err) != fault.NotFound {
			return err
		}
	}
	fresh, err := d.lookUp(ctx, op, ext, statusFields)
	if err != nil {
		return err
	}
	if known && fresh.ID == id {
		return fault.Errorf(fault.NotFound, op, "there is a user %s, but it cannot be changed", ext)
	}
	return do(fresh.ID)
}

func (d *Driver) activate(ctx context.Context, op string, id int32, name string) error {
	change := struct{ CurrentProfileName string }{name}
	return d.wire.patch(ctx, op, userPath(id), change)
}

// Status reads the current profile of one user.
func (d *Driver) Status(ctx context.Context, ext identity.Extension) (presence.Status, error) {
	u, err := d.lookUp(ctx, "threecx: status", ext, statusFields)
	if err != nil {
		return presence.Unset, err
	}
	return d.profiles.status(u.CurrentProfileName), nil
}

func (d *Driver) id(ext identity.Extension) (int32, bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	id, ok := d.ids[ext]
	return id, ok
}

func (d *Driver) remember(users ...user) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, u := range users {
		d.ids[u.ext] = u.ID
	}
}

func (d *Driver) forget(ext identity.Extension) {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.ids, ext)
}

func (d *Driver) readVersion(ctx context.Context) (string, error) {
	var status struct{ Version string }
	err := d.wire.get(ctx, "threecx: system status", "/SystemStatus", url.Values{"$select": {"Version"}}, &status)
	return printable(status.Version, mostNumber), err
}
