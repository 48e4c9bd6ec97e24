package portsip

import (
	"crypto/tls"
	"net"
	"strings"
	"unicode/utf8"

	"offhook.dev/libs/secret"
)

// Events is a way to be told of changes.
type Events string

// The ways. "" is ByWebsocket.
const (
	ByWebsocket Events = "websocket" // Offhook connects to the phone system
	ByWebhook   Events = "webhook"   // the phone system sends them to Webhook
)

// Webhook is where a phone system sends events, with ByWebhook. It has an address of its
// own for each phone system, which every request to it is for, whatever its path.
type Webhook struct {
	Listen      string           // host:port, while there is a Watch
	Username    string           // of HTTP's basic authentication; "": Secret is a bearer token
	Secret      secret.Value     // the password or the token
	Certificate *tls.Certificate // nil: plain HTTP
	// PlainHTTP permits plain HTTP on an address that others than this machine can reach,
	// because something in front of it has the certificate.
	PlainHTTP bool

	// Elsewhere: another process listens. A Watch then reads as often as else, and hears
	// nothing in between.
	Elsewhere bool
	// OnListening is told the address once a Watch listens; nil: nobody is.
	OnListening func(address string)
}

// Bounds of what is needed to send events: PortSIP takes user names and passwords of 6 to 64
// characters for it. Whoever knows the secret can make Offhook look, so it is nothing to
// guess.
const (
	shortestName   = 6
	longestName    = 64
	shortestSecret = 16
)

// problems reports what is wrong with a Webhook that is used.
func (h Webhook) problems(report func(field, format string, args ...any)) {
	host, port, err := net.SplitHostPort(h.Listen)
	switch {
	case h.Listen == "":
		report("webhook.listen", "it is missing: where the phone system sends events to, such as 127.0.0.1:8444")
	case err != nil || port == "":
		report("webhook.listen", "%q is no address to listen on, such as 127.0.0.1:8444", h.Listen)
	case h.Certificate == nil && !h.PlainHTTP && !loopback(host):
		report("webhook.cert_file", "without a certificate %s would take events, and the secret, in the clear: "+
			"name cert_file and key_file, or listen on 127.0.0.1 behind a reverse proxy, or say plain_http: true if the proxy is another machine", h.Listen)
	}
	field, text := "webhook.token_file", h.Secret.Reveal()
	if h.Username != "" {
		field = "webhook.password_file"
		if n := utf8.RuneCountInString(h.Username); n < shortestName || n > longestName || strings.Contains(h.Username, ":") {
			report("webhook.username", "PortSIP takes %d to %d characters here, and HTTP no colon", shortestName, longestName)
		}
	}
	switch n := len(text); {
	case n == 0:
		report(field, "it is missing: events are only taken with a token (token_file) or with a user name and a password (username, password_file)")
	case n < shortestSecret:
		report(field, "what it holds is shorter than %d characters, which somebody could guess", shortestSecret)
	case h.Username != "" && n > longestName:
		report(field, "what it holds is longer than the %d characters that PortSIP takes", longestName)
	case strings.ContainsFunc(text, func(r rune) bool { return r <= ' ' || r > '~' }):
		report(field, "what it holds is not all letters, digits and signs of ASCII, which a header needs")
	}
}

// loopback says whether nobody but this machine reaches a host. "" is every address.
func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}
