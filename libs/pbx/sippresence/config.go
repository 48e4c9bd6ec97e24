package sippresence

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/emiago/sipgo/sip"

	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/core/presence"
	"offhook.dev/libs/secret"
)

// Transport is how SIP messages travel.
type Transport string

// The transports. TLS is TLS 1.2 or later with a verified certificate.
const (
	UDP Transport = "udp"
	TCP Transport = "tcp"
	TLS Transport = "tls"
)

// Defaults of Config.
const (
	DefaultAOR     = "sip:{ext}@{domain}"
	DefaultExpires = time.Hour // RFC 3903 section 6: the default of Event: presence (RFC 3856 section 6.4)
)

// longestExpires bounds what is asked for and what a Min-Expires can make of it.
const longestExpires = 24 * time.Hour

// Config says which presence server is spoken to, and how.
type Config struct {
	// Server is host or host:port of the presence server; the port is 5060 by
	// default, 5061 for TLS. There is no SRV lookup.
	Server    string
	Transport Transport // "": UDP

	// Domain is the SIP domain of the extensions.
	Domain string
	// AOR is the address of record of an extension, with {ext} and {domain} in it;
	// "" is DefaultAOR. It must be a sip URI, or a sips URI where the transport is TLS.
	AOR string

	// Username and Password answer digest challenges (RFC 3261 section 22). Without
	// a Username no challenge is answered.
	Username string
	Password secret.Value

	// Expires is the lifetime asked for, in whole seconds; 0 is DefaultExpires.
	Expires time.Duration

	// RefreshWhole makes refreshes carry the document instead of only prolonging its
	// life. It is for servers that lose the document when it is not repeated:
	// Kamailio with publ_cache=2 does (5.6.3, 2026-11). The price is that all watchers
	// are notified each time.
	RefreshWhole bool

	// Lamps are the statuses that light the lamps of phones which watch for calls (Event:
	// dialog, busy lamp fields): in red, as if the extension were in a call. With every
	// other status they are dark, or show the calls that there are. None: nothing is
	// published but presence. Available cannot be one. The server must serve Event: dialog.
	Lamps presence.Set

	// Roots are the certificate authorities trusted for TLS; nil: the system's.
	Roots *x509.CertPool
	// ServerName is the name in the server's certificate; "": the host of Server.
	ServerName string

	// Extensions are the inventory: with any, the driver implements pbx.Extensions
	// and lists them, and Statuses reads them whether or not they were published.
	Extensions []identity.Extension

	// RemoveOnClose makes Close remove what was published, for a few seconds at
	// most. Without it publications live on until they expire, so that a restart of
	// Offhook does not turn lamps off.
	RemoveOnClose bool

	// Publications keeps entity tags for the next process, as File does; nil: they are
	// forgotten. Close closes it.
	Publications Publications
}

var hostName = regexp.MustCompile(`^[0-9A-Za-z]([0-9A-Za-z.-]{0,251}[0-9A-Za-z])?$`)

// Problem is one thing that is wrong with a Config.
type Problem struct {
	Field string // its name in small letters: "aor"
	What  string
}

// Problems is everything that is wrong with a Config.
type Problems []Problem

// Error returns all problems, one a line.
func (p Problems) Error() string {
	lines := make([]string, len(p))
	for i := range p {
		lines[i] = p[i].Field + " " + p[i].What
	}
	return strings.Join(lines, "\n")
}

// Problems says why Open would refuse the configuration, without asking anybody.
func (c Config) Problems() Problems {
	_, err := c.completed()
	problems, _ := errors.AsType[Problems](err)
	return problems
}

// completed returns the configuration with its defaults, or all its problems.
func (c Config) completed() (Config, error) {
	var problems Problems
	problem := func(field, format string, args ...any) {
		problems = append(problems, Problem{field, fmt.Sprintf(format, args...)})
	}

	if c.Transport == "" {
		c.Transport = UDP
	}
	port := "5060"
	switch c.Transport {
	case UDP, TCP:
	case TLS:
		port = "5061"
	default:
		problem("transport", "%q is none of udp, tcp, tls", string(c.Transport))
	}
	host, _, err := net.SplitHostPort(c.Server)
	if err != nil {
		host = strings.Trim(c.Server, "[]")
		c.Server = net.JoinHostPort(host, port)
	}
	if host == "" {
		problem("server", "is empty: host or host:port of the presence server")
	}
	if _, _, err := sip.ParseAddr(c.Server); err != nil {
		problem("server", "%q is not host or host:port", c.Server)
	}
	if c.ServerName == "" {
		c.ServerName = host
	}
	judged := c // a domain that is wrong is no reason to complain about addresses
	if !hostName.MatchString(c.Domain) {
		problem("domain", "%q is not a host name", c.Domain)
		judged.Domain = "example.com"
	}
	if c.AOR == "" {
		c.AOR = DefaultAOR
	}
	judged.AOR = c.AOR
	if !strings.Contains(c.AOR, "{ext}") {
		problem("aor", "%q has no {ext} in it", c.AOR)
	} else if example, err := judged.address("1"); err != nil {
		problem("aor", "%q is not a sip address", c.AOR)
	} else if example.Scheme == "sips" && c.Transport != TLS {
		problem("aor", "%q is a sips address, which is for tls only", c.AOR)
	}
	for _, ext := range c.Extensions {
		if _, err := judged.address(ext); err != nil {
			problem("extensions", "have %q, which makes no sip address", string(ext))
		}
	}
	c.Extensions = slices.Clone(c.Extensions)
	slices.Sort(c.Extensions)
	c.Extensions = slices.Compact(c.Extensions)
	if c.Lamps.Has(presence.Available) {
		problem("lamps", "have available, which is what a dark lamp means")
	}
	if c.Username == "" && !c.Password.IsZero() {
		problem("username", "is missing, but there is a password")
	}
	if strings.ContainsAny(c.Username, "\"\\\r\n<>@ ") {
		problem("username", "%q has characters that a user part cannot have", c.Username)
	}
	if c.Expires == 0 {
		c.Expires = DefaultExpires
	}
	if c.Expires < time.Second || c.Expires > longestExpires || c.Expires%time.Second != 0 {
		problem("expires", "%v is not a whole number of seconds between 1 s and 24 h", c.Expires)
	}
	if len(problems) > 0 {
		return Config{}, problems
	}
	return c, nil
}

// address is the address of record of an extension. '#' is the one character of
// an extension that a SIP user part cannot hold (RFC 3261 section 25.1).
func (c Config) address(ext identity.Extension) (sip.Uri, error) {
	user := strings.ReplaceAll(string(ext), "#", "%23")
	var uri sip.Uri
	text := strings.ReplaceAll(strings.ReplaceAll(c.AOR, "{domain}", c.Domain), "{ext}", user) // a domain has no braces, an extension may
	if err := sip.ParseUri(text, &uri); err != nil {
		return uri, err
	}
	if uri.Scheme != "sip" && uri.Scheme != "sips" || uri.User == "" || uri.Host == "" || strings.ContainsAny(text, "\r\n<> \"") {
		return uri, errors.New("not a sip address")
	}
	return uri, nil
}

// watcher is who asks what is shown.
func (c Config) watcher() sip.Uri {
	user := c.Username
	if user == "" {
		user = "offhook"
	}
	return sip.Uri{Scheme: "sip", User: user, Host: c.Domain}
}

func (c Config) tls() *tls.Config {
	return &tls.Config{RootCAs: c.Roots, ServerName: c.ServerName, MinVersion: tls.VersionTLS12}
}
