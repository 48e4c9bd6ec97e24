package config

import (
	"crypto/x509"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"
	"time"

	"offhook.dev/libs/secret"
)

// validate reports what is wrong between keys: what each is alone was judged when
// it was decoded.
func (d *decoder) validate(c *Config, now time.Time) {
	d.required("data_dir", c.DataDir, "name the folder for state")
	d.validateListeners(c)
	d.validateTLS("webhook.tls", c.Webhook.TLS, now)
	if c.Webhook.PublicURL != "" && c.Webhook.TLS == (TLS{}) && !d.bad["webhook.tls.cert_file"] && !d.bad["webhook.tls.key_file"] {
		d.report("webhook.tls.cert_file", "this is missing: Microsoft Graph calls webhook.public_url by https only", "name the certificate's file here and its key's in key_file, or remove public_url")
	}
	tenants, systems := make(map[string]*Tenant), make(map[string]*System) // "" for those without a usable id
	tenantIDs, directories, systemIDs := unique{}, unique{}, unique{}
	for i := range c.Tenants {
		t, path := &c.Tenants[i], at("tenants", i)
		if tenants[t.ID] == nil {
			tenants[t.ID] = t
		}
		d.required(join(path, "id"), t.ID, "give the tenant a short name of your own")
		d.distinct(tenantIDs, join(path, "id"), t.ID)
		d.distinct(directories, join(path, "microsoft365.directory_id"), t.Microsoft365.DirectoryID)
	}
	for i := range c.Systems {
		s, path := &c.Systems[i], at("systems", i)
		if systems[s.ID] == nil {
			systems[s.ID] = s
		}
		d.required(join(path, "id"), s.ID, "give the phone system a short name of your own")
		d.distinct(systemIDs, join(path, "id"), s.ID)
		d.validateSystem(path, s, tenants)
	}
	lines := unique{}
	for i := range c.Tenants {
		d.validateTenant(at("tenants", i), &c.Tenants[i], systems, now)
		d.validateLinks(at("tenants", i), &c.Tenants[i], systems, lines)
	}
}

// unique remembers by its value where it was first.
type unique map[string]string

func (d *decoder) distinct(seen unique, path, value string) {
	if value == "" {
		return
	}
	if first, twice := seen[value]; twice {
		d.report(path, show(value)+" is also "+first, "give each its own, or remove one")
		return
	}
	seen[value] = path
}

func (d *decoder) required(path, value, fix string) {
	if value == "" {
		d.report(path, "this is missing", fix)
	}
}

func (d *decoder) positive(path string, span time.Duration) {
	if span <= 0 {
		d.report(path, "this must be longer than nothing", "write a duration, as in 10s")
	}
}

func (d *decoder) validateListeners(c *Config) {
	seen := unique{}
	for _, l := range []struct{ path, addr string }{
		{"control.listen", c.Control.Listen}, {"control.grpc_listen", c.Control.GRPCListen},
		{"webhook.listen", c.Webhook.Listen}, {"telemetry.metrics_listen", c.Telemetry.MetricsListen},
	} {
		d.required(l.path, l.addr, "write host and port, as in 127.0.0.1:8080")
		if !strings.HasSuffix(l.addr, ":0") { // any free port is never the same one
			d.distinct(seen, l.path, l.addr)
		}
	}
}

func (d *decoder) validateTLS(path string, t TLS, now time.Time) {
	switch {
	case d.bad[join(path, "cert_file")] || d.bad[join(path, "key_file")]:
	case t.CertFile == "" && t.KeyFile == "":
	case t.KeyFile == "":
		d.report(join(path, "key_file"), "the certificate has no private key", "name the key's file here")
	case t.CertFile == "":
		d.report(join(path, "cert_file"), "the private key has no certificate", "name the certificate's file here")
	default:
		pair, err := t.KeyPair()
		if err != nil {
			d.report(join(path, "cert_file"), "certificate and key cannot be used: "+strings.TrimPrefix(oneLine(err), "tls: "),
				"name a PEM certificate, leaf first, and the unencrypted key that belongs to it")
			return
		}
		d.validateDates(join(path, "cert_file"), pair.Leaf, now, "get a new certificate")
	}
}

func (d *decoder) validateDates(path string, cert *x509.Certificate, now time.Time, fix string) {
	switch {
	case now.After(cert.NotAfter):
		d.report(path, "the certificate expired on "+cert.NotAfter.UTC().Format(time.DateOnly), fix)
	case now.Before(cert.NotBefore):
		d.report(path, "the certificate is not valid before "+cert.NotBefore.UTC().Format(time.DateOnly), "check the clock of this machine, or "+fix)
	}
}

// schemes are those of the URLs by which drivers reach their phone systems.
// Asterisk and FreeSWITCH speak plain TCP unless somebody puts TLS in front.
var schemes = map[string][]string{
	"3cx":          {"https"},
	"portsip":      {"https"},
	"asterisk":     {"tls", "tcp"},
	"freeswitch":   {"tls", "tcp"},
	"sip-presence": {"sips", "sip"},
}

func (d *decoder) validateSystem(path string, s *System, tenants map[string]*Tenant) {
	d.required(join(path, "driver"), s.Driver, "write the kind of phone system, as in 3cx")
	if s.Driver != "memory" {
		d.required(join(path, "url"), s.URL, "write where the phone system is")
	}
	allowed := schemes[s.Driver]
	if u, err := url.Parse(s.URL); err == nil && s.URL != "" && allowed != nil && !slices.Contains(allowed, u.Scheme) {
		switch {
		case u.Scheme == "http" && allowed[0] == "https" && loopback(u.Hostname()): // nobody listens in there
		case u.Scheme == "http" && allowed[0] == "https":
			d.report(join(path, "url"), "http would send passwords in the open", "use https, with ca_file if the certificate is your own")
		default:
			d.report(join(path, "url"), show(u.Scheme)+" is not how the driver "+s.Driver+" speaks", "use "+strings.Join(allowed, " or "))
		}
	}
	if s.Driver == "3cx" {
		d.required(join(path, "client_id"), s.ClientID, "create an API client in 3CX and write its id here")
		d.required(join(path, "client_secret_file"), s.ClientSecretFile, "put the API client's key into a file and name it here")
	}
	d.validateSecret(join(path, "client_secret_file"), s.ClientSecretFile)
	d.validateRoots(join(path, "ca_file"), s.CAFile)
	if s.Pace.InFlight < 1 {
		d.report(join(path, "pace.in_flight"), "nothing could ever be sent", "write 1 or more")
	}
	if s.Pace.PerSecond < 0 {
		d.report(join(path, "pace.per_second"), "a rate is not negative", "write 0 for no fixed rate")
	}
	seen := unique{}
	for i, id := range s.Tenants {
		entry := at(join(path, "tenants"), i)
		d.distinct(seen, entry, id)
		switch t := tenants[id]; {
		case id == "" || t == nil && tenants[""] != nil: // perhaps it is the one whose id is wrong
		case t == nil:
			d.report(entry, "there is no tenant "+show(id), suggest(id, slices.Sorted(maps.Keys(tenants)), "tenants"))
		case s.ID != "" && !slices.Contains(t.Systems, s.ID):
			d.report(entry, "the tenant "+id+" does not list this system", "add "+s.ID+" to its systems, or remove it here")
		}
	}
}

func (d *decoder) validateTenant(path string, t *Tenant, systems map[string]*System, now time.Time) {
	d.validateMicrosoft365(join(path, "microsoft365"), t.Microsoft365, now)
	d.validatePresence(join(path, "presence"), t.Presence)
	d.validateUsers(join(path, "users"), t.Users)
	d.validateContacts(join(path, "contacts"), t.Contacts)
	if len(t.Mail.To) > 0 {
		d.required(join(path, "mail.from"), t.Mail.From, "write the mailbox that sends")
	}
	seen := unique{}
	for i, id := range t.Systems {
		entry := at(join(path, "systems"), i)
		d.distinct(seen, entry, id)
		switch s := systems[id]; {
		case id == "" || s == nil && systems[""] != nil:
		case s == nil:
			d.report(entry, "there is no system "+show(id), suggest(id, slices.Sorted(maps.Keys(systems)), "systems"))
		case t.ID != "" && !slices.Contains(s.Tenants, t.ID):
			d.report(entry, "the system "+id+" does not list this tenant", "add "+t.ID+" to its tenants, or remove it here")
		}
	}
}

func (d *decoder) validateMicrosoft365(path string, m Microsoft365, now time.Time) {
	const portal = "copy it from the app registration's overview in the Entra admin centre"
	d.required(join(path, "directory_id"), m.DirectoryID, portal)
	d.required(join(path, "client_id"), m.ClientID, portal)
	d.validateRoots(join(path, "endpoints.ca_file"), m.Endpoints.CAFile)
	certificate, clientSecret := join(path, "certificate_file"), join(path, "client_secret_file")
	switch {
	case d.bad[certificate] || d.bad[clientSecret]:
	case m.CertificateFile != "" && m.ClientSecretFile != "":
		d.report(clientSecret, "there is a certificate as well", "keep one of them, better the certificate")
	case m.CertificateFile == "" && m.ClientSecretFile == "":
		d.report(certificate, "the app registration has neither certificate nor secret", "make a key pair with \"offhook cert new\" and name its file here")
	case m.CertificateFile != "":
		pair, err := m.KeyPair()
		if err != nil {
			d.report(certificate, strings.TrimPrefix(oneLine(err), "key pair: "), "name the PEM file with certificate and private key that \"offhook cert new\" wrote")
			return
		}
		d.validateDates(certificate, pair.Certificate, now, "make a new one with \"offhook cert rotate\"")
	default:
		d.validateSecret(clientSecret, m.ClientSecretFile)
	}
}

func (d *decoder) validatePresence(path string, p Presence) {
	d.validateMapping(join(path, "mapping"), p.Mapping)
	d.validateRules(join(path, "calendar.rules"), p.Calendar.Rules)
	if p.Damping < 0 {
		d.report(join(path, "damping"), "a delay is not negative", "write 0s for none")
	}
	sweep := join(path, "sweep")
	d.positive(join(sweep, "presence"), p.Sweep.Presence)
	d.positive(join(sweep, "calendar"), p.Sweep.Calendar)
	d.positive(join(sweep, "users"), p.Sweep.Users)
	d.positive(join(sweep, "contacts"), p.Sweep.Contacts)
	if p.StaleAfter <= p.Sweep.Presence {
		d.report(join(path, "stale_after"), fmt.Sprintf("every reading would be stale before the next sweep, after %v", p.Sweep.Presence), "make it several sweeps long, as in 15m")
	}
}

// validateRules reports what is wrong with each rule, and rules that never count.
// What a rule is worth depends on those before it, not on those behind it.
func (d *decoder) validateRules(path string, list []CalendarRule) {
	list = slices.Clone(list)
	for i := range list {
		entry := at(path, i)
		if d.badBelow(entry) {
			list[i] = CalendarRule{} // what could not be read stands in no other's way
			continue
		}
		_, err := parseRules(list[:i+1])
		if err == nil {
			continue
		}
		var problems []string
		for problem := range strings.SplitSeq(err.Error(), "\n") {
			if own, found := strings.CutPrefix(problem, fmt.Sprintf("rule %d: ", i+1)); found {
				problems = append(problems, own)
			}
		}
		if len(problems) > 0 {
			d.report(entry, strings.Join(problems, "; also "), "write it as in {show_as: busy, attendees_max: 1, as: free}")
		}
	}
}

// badBelow says whether a key under path has a problem already.
func (d *decoder) badBelow(path string) bool {
	for key := range d.bad {
		if strings.HasPrefix(key, path+".") {
			return true
		}
	}
	return false
}

// validateLinks checks explicit pairs. An extension belongs to one user, of
// whatever tenant.
func (d *decoder) validateLinks(path string, t *Tenant, systems map[string]*System, lines unique) {
	for i, link := range t.Links {
		entry := at(join(path, "links"), i)
		d.required(join(entry, "user"), link.User, "write the user's object id or principal name")
		d.required(join(entry, "system"), link.System, "write the id of one of the tenant's systems")
		d.required(join(entry, "extension"), link.Extension, "write the extension's number")
		switch {
		case link.System == "" || systems[link.System] == nil && systems[""] != nil:
		case systems[link.System] == nil:
			d.report(join(entry, "system"), "there is no system "+show(link.System), suggest(link.System, slices.Sorted(maps.Keys(systems)), "systems"))
		case !slices.Contains(t.Systems, link.System):
			d.report(join(entry, "system"), show(link.System)+" is not a system of this tenant", "add it to the tenant's systems")
		case link.Extension != "":
			d.distinct(lines, join(entry, "extension"), link.System+"/"+link.Extension)
		}
	}
}

func (d *decoder) validateSecret(path, file string) {
	if file == "" || d.bad[path] {
		return
	}
	if _, err := secret.ReadFile(file); err != nil {
		d.report(path, oneLine(err), "put the secret into it, in one line")
	}
}

func (d *decoder) validateRoots(path, file string) {
	if file == "" || d.bad[path] {
		return
	}
	if _, err := roots(file); err != nil {
		d.report(path, oneLine(err), "name a PEM file with the certificate of the authority")
	}
}

// suggest is the fix for a reference to nothing.
func suggest(name string, known []string, list string) string {
	if meant := nearest(name, known); meant != "" {
		return "did you mean " + meant + "?"
	}
	return "add it to " + list + ", or remove it here"
}
