package doctor

import (
	"cmp"
	"context"
	"crypto/tls"
	"net"
	"net/url"
	"strings"

	"offhook.dev/libs/config"
)

// encrypted are the schemes of URLs that mean TLS, with the port without one; "": tlsPorts.
var encrypted = map[string]string{"https": "443", "tls": "", "sips": "5061"}

// tlsPorts are those of tls:// without a port, which says nothing of what is spoken inside.
var tlsPorts = map[string]string{"asterisk": "5039", "freeswitch": "8021"}

// certificate says for how long the phone system's certificate is good. That it fits and is
// trusted is known: the driver has signed in, or will say so.
func (p *patient) certificate(ctx context.Context) {
	const code, check = "OH-PBX-009", "certificate of the phone system"
	address, name, ok := endpoint(p.config)
	if !ok {
		return
	}
	roots, err := p.config.Roots()
	if err != nil {
		return // the driver has said so
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	dialer := tls.Dialer{Config: &tls.Config{RootCAs: roots, ServerName: name, MinVersion: tls.VersionTLS12}}
	conn, err := dialer.DialContext(ctx, "tcp", address)
	if err != nil {
		p.warn(p.group, code, check, "it was not seen: "+err.Error(), cmp.Or(p.certificateFix(err), "nothing, if a proxy is between; else check url of system "+p.config.ID))
		return
	}
	defer conn.Close()
	p.expiry(p.group, code, check, conn.(*tls.Conn).ConnectionState().PeerCertificates[0].NotAfter, "renew it at the phone system")
}

// endpoint is where a system's TLS is, and the name that its certificate is to have; false
// if it has none.
func endpoint(s config.System) (address, name string, ok bool) {
	u, err := url.Parse(s.URL)
	if err != nil {
		return "", "", false
	}
	if transport, _ := s.Options["transport"].(string); u.Scheme == "sip" && transport == "tls" {
		u.Scheme = "sips"
	}
	port, ok := encrypted[u.Scheme]
	if u.Scheme == "tls" {
		port = tlsPorts[s.Driver]
	}
	if u.Host == "" { // sips:host:port
		u.Host, _, _ = strings.Cut(u.Opaque, ";")
	}
	if port = cmp.Or(u.Port(), port); !ok || port == "" || u.Hostname() == "" {
		return "", "", false
	}
	name, _ = s.Options["server_name"].(string)
	return net.JoinHostPort(u.Hostname(), port), cmp.Or(name, u.Hostname()), true
}
