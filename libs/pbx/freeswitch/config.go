package freeswitch

import (
	"cmp"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"

	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/pbx"
	"offhook.dev/libs/pbx/freeswitch/esl"
	"offhook.dev/libs/secret"
)

// Profile is where statuses are kept: see the package.
type Profile string

// The profiles. "" is Plain.
const (
	Plain     Profile = "plain"
	Directory Profile = "directory"
	FusionPBX Profile = "fusionpbx"
)

// Cache is where FusionPBX keeps what it has read of the directory.
type Cache string

// The caches. "" is Files, the default of FusionPBX.
const (
	Files    Cache = "file"
	Memcache Cache = "memcache"
)

// Config of a Driver.
type Config struct {
	URL      string       // tcp://127.0.0.1:8021, or tls://pbx.example.com:8022 for a proxy in front
	User     string       // user@domain of the directory; "": the event socket's own password
	Password secret.Value // never empty
	Domain   string       // of the users, as the directory has it

	Profile  Profile
	Realm    string // with Plain: of mod_hash; "" means offhook
	Variable string // otherwise: of the directory; "" means do_not_disturb
	Command  string // otherwise: the API command that writes it, with {ext}, {domain}, {dnd}
	Cache    Cache  // with FusionPBX
	NoLamps  bool   // no PRESENCE_IN is fired

	// Extensions are the inventory where the directory cannot be listed; none: it is asked.
	Extensions []identity.Extension
	// PlainTCP allows tcp to another machine: passwords and statuses travel in the open.
	PlainTCP bool

	Authorities *x509.CertPool // who may have issued the certificate; nil: the machine's
	Timeout     time.Duration  // of one answer; 0 means 10 s
	Beat        time.Duration  // how often a watch proves that it lives; 0 means 20 s, at most pbx.WatchBeat
	Settle      time.Duration  // how long changes of statuses are gathered; 0 means 100 ms
	Lag         time.Duration  // how old the list of channels may be; 0 means 3 s
}

const (
	defaultBeat   = 20 * time.Second
	defaultSettle = 100 * time.Millisecond
	defaultLag    = 3 * time.Second
)

// word is what may stand in commands as realm, variable and domain.
var word = regexp.MustCompile(`^[0-9A-Za-z._-]{1,253}$`)

// Problem is something wrong with a Config.
type Problem struct{ Field, What string }

// Problems lists what Open would refuse, without asking anybody. Fields are named as in
// the configuration of a system: url, client_id, client_secret_file, domain, profile,
// realm, variable, command, cache, plain_tcp.
func (c Config) Problems() []Problem {
	var all []Problem
	report := func(field, format string, args ...any) {
		all = append(all, Problem{field, fmt.Sprintf(format, args...)})
	}
	host, encrypted, err := parseURL(c.URL)
	switch {
	case err != nil:
		report("url", "%v", err)
	case !encrypted && !c.PlainTCP && !local(host):
		report("url", "tcp to another machine sends the password in the open, and whoever has it commands FreeSWITCH")
	}
	if c.Password.IsZero() {
		report("client_secret_file", "the password of the event socket is missing")
	} else if !printable(c.Password.Reveal()) {
		report("client_secret_file", "the password has a control character")
	}
	if user, domain, ok := strings.Cut(c.User, "@"); c.User != "" && (!ok || user == "" || domain == "" || !printable(c.User) || strings.ContainsAny(c.User, ": ")) {
		report("client_id", "it is no user@domain of the directory")
	}
	if !word.MatchString(c.Domain) {
		report("domain", "%q is no domain", c.Domain)
	}
	return append(all, c.kept()...)
}

// kept lists what is wrong with where statuses are kept.
func (c Config) kept() []Problem {
	var all []Problem
	report := func(field, format string, args ...any) {
		all = append(all, Problem{field, fmt.Sprintf(format, args...)})
	}
	profile := cmp.Or(c.Profile, Plain)
	if !slices.Contains([]Profile{Plain, Directory, FusionPBX}, profile) {
		report("profile", "%q is none of plain, directory, fusionpbx", c.Profile)
		return all
	}
	if c.Realm != "" && (!word.MatchString(c.Realm) || strings.Contains(c.Realm, "_")) {
		report("realm", "%q is not letters, digits, '.' and '-'", c.Realm)
	}
	if c.Variable != "" && !word.MatchString(c.Variable) {
		report("variable", "%q is no name of a variable", c.Variable)
	}
	if c.Cache != "" && c.Cache != Files && c.Cache != Memcache {
		report("cache", "%q is none of file, memcache", c.Cache)
	}
	switch {
	case profile == Plain && c.Command != "":
		report("command", "it is for the profiles directory and fusionpbx")
	case profile == Plain:
	case c.Command == "":
		report("command", "nothing writes the variable: name the API command that does")
	case !printable(c.Command) || !strings.Contains(c.Command, "{ext}") || !strings.Contains(c.Command, "{dnd}"):
		report("command", "it must be one line with {ext} and {dnd} in it")
	}
	return all
}

// parseURL returns host and port.
func parseURL(text string) (address string, encrypted bool, err error) {
	u, err := url.Parse(text)
	switch {
	case err != nil:
		return "", false, errors.New("it is not a URL") // not quoted: it may hold a password
	case u.Scheme != "tcp" && u.Scheme != "tls" || u.Hostname() == "":
		return "", false, errors.New("it must be tcp://host:port or tls://host:port")
	case u.User != nil || u.RawQuery != "" || u.Fragment != "" || u.Path != "" && u.Path != "/":
		return "", false, errors.New("it must be a host and port, without path, user or query")
	}
	return net.JoinHostPort(u.Hostname(), cmp.Or(u.Port(), esl.DefaultPort)), u.Scheme == "tls", nil
}

// local says whether an address is this machine's own.
func local(address string) bool {
	host, _, _ := net.SplitHostPort(address)
	ip, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && ip.IsLoopback()
}

// printable says whether a text has no control character.
func printable(text string) bool {
	return !strings.ContainsFunc(text, func(r rune) bool { return r < ' ' || r == 0x7f })
}

// completed is the configuration with its defaults. Problems has looked.
func (c Config) completed() Config {
	c.Profile = cmp.Or(c.Profile, Plain)
	c.Realm = cmp.Or(c.Realm, "offhook")
	c.Variable = cmp.Or(c.Variable, "do_not_disturb")
	c.Cache = cmp.Or(c.Cache, Files)
	c.Timeout = cmp.Or(c.Timeout, esl.DefaultTimeout)
	c.Settle = cmp.Or(c.Settle, defaultSettle)
	c.Lag = cmp.Or(c.Lag, defaultLag)
	c.Beat = min(cmp.Or(c.Beat, defaultBeat), pbx.WatchBeat)
	c.Extensions = slices.Clone(c.Extensions)
	slices.Sort(c.Extensions)
	c.Extensions = slices.Compact(c.Extensions)
	return c
}

// socket is how the event socket is reached.
func (c Config) socket(events ...string) esl.Config {
	address, encrypted, _ := parseURL(c.URL) // Problems has looked
	s := esl.Config{Address: address, User: c.User, Password: c.Password, Timeout: c.Timeout, Events: events}
	if encrypted {
		host, _, _ := net.SplitHostPort(address)
		s.TLS = &tls.Config{RootCAs: c.Authorities, ServerName: host, MinVersion: tls.VersionTLS12}
	}
	return s
}
