package asterisk

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/url"
	"slices"
	"strings"
	"time"

	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/pbx/asterisk/ami"
	"offhook.dev/libs/secret"
)

// Profile is the convention that a dialplan follows: see the package.
type Profile string

// The profiles. "" is FreePBX.
const (
	FreePBX Profile = "freepbx"
	Plain   Profile = "plain"
)

// Config of a Driver.
type Config struct {
	URL        string // tls://host:port or tcp://host:port; 5039 and 5038 without a port
	PlainText  bool   // tcp is wanted although the host is another machine
	ServerName string // the name in the certificate; "" means the host
	Username   string // of the manager account
	Secret     secret.Value

	Profile Profile
	// Context is the one of the dialplan whose hints are the extensions; "" means
	// ext-local with FreePBX.
	Context string

	NoLamps  bool // with FreePBX: USEDEVSTATE is off
	Presence bool // with FreePBX: presences are written and read as well

	// With Plain, where statuses are; {ext} stands for the number. At least one is needed.
	Database     string // "DND/{ext}": family and key
	Value        string // what Database has for dnd; "" means YES. For available it is deleted
	DeviceState  string // "Custom:DND{ext}", BUSY for dnd
	Off          string // what DeviceState has for available; "" means NOT_INUSE
	PresenceName string // "CustomPresence:{ext}"
	// Extensions are those that there are, where hints do not tell; then Device is the
	// phone of each: "" means PJSIP/{ext}.
	Extensions []identity.Extension
	Device     string

	// DialContext is the one of the dialplan in which numbers are dialled; "" means
	// from-internal with FreePBX, and with Plain that none is.
	DialContext string

	Mailboxes string // the context of the voicemail boxes that have the mail addresses; "" means default

	Authorities *x509.CertPool // who may have issued the certificate; nil: the machine's
	Timeout     time.Duration  // of one action whose caller sets none; 0 means 15 s
	Beat        time.Duration  // how often a watch reads everything; 0 means 20 s
	Settle      time.Duration  // how long a watch gathers changes of statuses; 0 means 100 ms
}

const (
	defaultTimeout = 15 * time.Second
	defaultBeat    = 20 * time.Second
	defaultSettle  = 100 * time.Millisecond
	freePBXContext = "ext-local"
	freePBXDialled = "from-internal"
	variable       = "{ext}"
	statePrefix    = "Custom:"
	presencePrefix = "CustomPresence:"
)

// offStates are what a lamp can be that is off.
var offStates = []string{"NOT_INUSE", "UNAVAILABLE", "UNKNOWN", "INVALID"}

// Problem is something wrong with a Config.
type Problem struct{ Field, What string }

// Problems lists what Open would refuse, without asking anybody. Fields are named as in
// the configuration of a system: url, client_id, client_secret_file, and options.
func (c Config) Problems() []Problem {
	var all []Problem
	report := func(field, format string, args ...any) {
		all = append(all, Problem{field, fmt.Sprintf(format, args...)})
	}
	if _, _, err := c.address(); err != nil {
		report("url", "%v", err)
	}
	if c.Username == "" || strings.ContainsAny(c.Username, "\r\n\x00") {
		report("client_id", "the name of the manager account is missing, or none")
	}
	if c.Secret.IsZero() {
		report("client_secret_file", "the secret of the manager account is missing")
	}
	switch c.Profile {
	case "", FreePBX:
		c.freePBXProblems(report)
	case Plain:
		c.plainProblems(report)
	default:
		report("profile", "%q is none of freepbx, plain", c.Profile)
	}
	for field, value := range map[string]string{"context": c.Context, "dial_context": c.DialContext} {
		if strings.ContainsAny(value, "\r\n\x00") {
			report(field, "it has a line end in it")
		}
	}
	return all
}

func (c Config) freePBXProblems(report func(field, format string, args ...any)) {
	for field, value := range map[string]string{"database": c.Database, "database_value": c.Value, "device_state": c.DeviceState, "device_state_off": c.Off, "presence": c.PresenceName, "device": c.Device} {
		if value != "" {
			report(field, "it is for the profile plain")
		}
	}
	if len(c.Extensions) > 0 {
		report("extensions", "FreePBX knows its extensions; it is for the profile plain")
	}
}

func (c Config) plainProblems(report func(field, format string, args ...any)) {
	if c.NoLamps {
		report("without_lamps", "it is for the profile freepbx")
	}
	if c.Presence {
		report("presence_text", "it is for the profile freepbx; name a presence instead")
	}
	if c.Database == "" && c.DeviceState == "" && c.PresenceName == "" {
		report("profile", "plain needs a database, a device_state or a presence")
	}
	if (c.Context == "") == (len(c.Extensions) == 0) {
		report("context", "name the context whose hints are the extensions, or list extensions, not both")
	}
	if family, key, _ := strings.Cut(c.Database, "/"); c.Database != "" && (family == "" || !fit(key)) {
		report("database", "it must read as FAMILY/KEY with {ext} in the key")
	}
	if name, ok := strings.CutPrefix(c.DeviceState, statePrefix); c.DeviceState != "" && (!ok || !fit(name)) {
		report("device_state", "it must begin with Custom: and have {ext} in it")
	}
	if name, ok := strings.CutPrefix(c.PresenceName, presencePrefix); c.PresenceName != "" && (!ok || !fit(name)) {
		report("presence", "it must begin with CustomPresence: and have {ext} in it")
	}
	if c.Device != "" && (!fit(c.Device) || !strings.Contains(c.Device, "/")) {
		report("device", "it must read as PJSIP/{ext}")
	}
	if strings.ContainsAny(c.Value, "\r\n\x00") || len(c.Value) > 200 {
		report("database_value", "it must be a short text on one line")
	}
	if c.Off != "" && !slices.Contains(offStates, c.Off) {
		report("device_state_off", "%q is none of %s", c.Off, strings.Join(offStates, ", "))
	}
}

// fit says whether a template can stand in an action and in the argument of a function.
func fit(template string) bool {
	return strings.Contains(template, variable) && !strings.ContainsAny(template, "\r\n\x00(),\"") && len(template) <= 200
}

// address takes the URL apart. secured says whether TLS is to be spoken.
func (c Config) address() (address string, secured bool, err error) {
	u, err := url.Parse(c.URL)
	switch {
	case err != nil:
		return "", false, errors.New("it is not a URL") // not quoted: it may hold a password
	case u.Scheme != "tls" && u.Scheme != "tcp" || u.Hostname() == "":
		return "", false, errors.New("it must be tls://host:port, or tcp://host:port without encryption")
	case u.User != nil || u.RawQuery != "" || u.Fragment != "" || u.Path != "" && u.Path != "/":
		return "", false, errors.New("it must be a host and port, without path, user or query")
	}
	secured = u.Scheme == "tls"
	if !secured && !c.PlainText && !loopback(u.Hostname()) {
		return "", false, errors.New("tcp has no encryption: everybody between can read and change what is said. Use tls, or say plain_text: true")
	}
	port := u.Port()
	switch {
	case port != "":
	case secured:
		port = "5039"
	default:
		port = "5038"
	}
	return net.JoinHostPort(u.Hostname(), port), secured, nil
}

func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// client is the configuration of a session; Problems has looked.
func (c Config) client() ami.Config {
	address, secured, _ := c.address()
	client := ami.Config{Address: address, Username: c.Username, Secret: c.Secret}
	if secured {
		name := c.ServerName
		if name == "" {
			name, _, _ = net.SplitHostPort(address)
		}
		client.TLS = &tls.Config{ServerName: name, RootCAs: c.Authorities, MinVersion: tls.VersionTLS12}
	}
	return client
}
