package doctor

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"strings"

	"offhook.dev/libs/config"
	"offhook.dev/libs/core/fault"
	"offhook.dev/libs/pbx"
)

// stage is what was tried of a phone system when something failed.
type stage int

const (
	signingIn stage = iota
	reading
	watching
	writing
)

// advice is what to do about one kind of phone system, in the words of its own console
// and files. Each continues a sentence.
type advice struct {
	away        string // it does not answer
	credentials string // the account is not accepted
	rights      string // the account may not read or write
	watching    string // the account may not be told of changes
	told        string // that it is told of them, where this is less than certain; "": it is
	licence     string
	nobody      string // no extension is listed
	mails       string // none has a mail address
}

var advices = map[string]advice{
	"3cx": {
		away:        "that 3CX runs, its port (often 5001 on a server of your own), and that neither its block list nor its console restrictions hold this machine's address",
		credentials: "client_id and client_secret_file against Integrations, API in 3CX's console; the secret is shown once there, so make a new one if in doubt",
		rights:      "in 3CX's console, Integrations, API: tick XAPI access, department DEFAULT (not System Wide), role System Admin",
		watching:    "in 3CX's console, Integrations, API: tick Call Control access, choose the extensions that may be monitored, then start pbx-writer anew",
		licence:     "its interface needs a licence of the edition Enterprise that has not expired",
		nobody:      "give the client a role that sees all users (Integrations, API: department DEFAULT, role System Admin)",
		mails:       "give the users of 3CX their mail addresses",
	},
	"portsip": {
		away:        "that PortSIP runs, its REST port (often 8887), and that its filter does not hold this machine's address",
		credentials: "client_id, client_secret_file and options.domain; the account must be enabled and have no two-factor authentication",
		rights:      "give the account the administrator's role of the tenant; others lack rights to users",
		watching:    "let the account use the websocket for events (WSI), and nothing between cut it",
		licence:     "its edition must include the REST interface, and not have expired",
		nobody:      "check options.domain: it must be the tenant that has the users",
		mails:       "give the users of PortSIP their mail addresses",
	},
	"asterisk": {
		away:        "that Asterisk runs, enabled and tlsenable (or the port of tcp) in manager.conf, and that no firewall holds this machine's address",
		credentials: "client_id and client_secret_file against the account in manager_custom.conf or manager.conf, that its permit has this machine's address, and allowmultiplelogin; then run `manager reload`",
		rights:      "give the account write = system,call,reporting in manager.conf, load the modules it names, and run `manager reload`",
		watching:    "give the account read = call in manager.conf, with no eventfilter but those in docs/drivers/asterisk.md, and run `manager reload`",
		told:        "everything is read every 20 seconds; whether changes are told in between (read = call in manager.conf) Asterisk does not say",
		licence:     "Asterisk needs none",
		nobody:      "check options.context (it must have hints), or list them in options.extensions",
		mails:       "give their voicemail boxes mail addresses, in the context that options.mailboxes names",
	},
	"freeswitch": {
		away:        "that FreeSWITCH runs with mod_event_socket, listen-ip and listen-port in event_socket.conf.xml, and the TLS proxy in front if there is one",
		credentials: "client_secret_file against password in event_socket.conf.xml (or esl-password of the user in client_id), and that apply-inbound-acl has this machine's address",
		rights:      "load the modules that docs/drivers/freeswitch.md names, and give the user of client_id esl-allowed-api as it stands there",
		watching:    "give the user of client_id esl-allowed-events as in docs/drivers/freeswitch.md",
		licence:     "FreeSWITCH needs none",
		nobody:      "check options.domain (it must be the directory's), or list them in options.extensions",
		mails:       "nothing: FreeSWITCH's directory has no mail addresses",
	},
	"sip-presence": {
		away:        "that the server listens there with this transport, and that its answers come back: with address translation between, options.transport tcp or tls",
		credentials: "client_id and client_secret_file against the server's account, and that its routing script lets it publish and watch for all extensions",
		rights:      "let the routing script allow the account PUBLISH and SUBSCRIBE for all extensions (docs/drivers/sip-presence.md)",
		watching:    "nothing: this driver reads",
		licence:     "a presence server needs none",
		nobody:      "list them in options.extensions: a presence server cannot be asked for its users",
		mails:       "nothing: SIP presence has no mail addresses",
	},
}

// adviceOn is adviceFor a phone system whose options ask for something else than others of
// its kind.
func adviceOn(s config.System) advice {
	a := adviceFor(s.Driver)
	if s.Driver == "portsip" && s.Options["events"] == "webhook" {
		a.watching = "in PortSIP's portal, Company, Event URL, Extension Events: enable them, with the URL and the authentication of options.webhook (docs/drivers/portsip.md)"
		a.told = "statuses and calls are read every 20 seconds; whether events reach options.webhook in between PortSIP does not say (see Company, Event URL in its portal)"
	}
	return a
}

// adviceFor is general where there is none in the phone system's own words.
func adviceFor(driver string) advice {
	if a, ok := advices[driver]; ok {
		return a
	}
	return advice{
		away: "that the phone system runs", credentials: "client_id and client_secret_file", rights: "give the account the rights that docs/drivers names",
		watching: "give the account the rights that docs/drivers names", licence: "it must include the interface",
		nobody: "see whether it has extensions", mails: "give extensions mail addresses",
	}
}

// fix says what to do about an error. Its kind decides; causes that say more come first.
func (p *patient) fix(err error, at stage) string {
	a, of := adviceOn(p.config), " of system "+p.config.ID
	if fix := p.certificateFix(err); fix != "" {
		return fix
	}
	file, network := new(fs.PathError), new(net.OpError)
	switch kind := fault.KindOf(err); {
	case errors.As(err, &file):
		return "make " + file.Path + " readable for Offhook, or name another file in client_secret_file or ca_file" + of
	case errors.Is(err, pbx.ErrLicence), errors.Is(err, pbx.ErrLicenceFull):
		return "look at the licence of the phone system: " + a.licence
	case errors.Is(err, pbx.ErrRefused), errors.As(err, &network):
		return "check url" + of + ", and " + a.away
	case kind == fault.Denied && at == signingIn:
		return "check " + a.credentials + "; if those are right, " + a.rights
	case kind == fault.Denied && at == watching:
		return a.watching
	case kind == fault.Denied:
		return a.rights + "; if it has them, check " + a.credentials
	case kind == fault.Throttled:
		return "wait, then try again; if it stays so, lower pace" + of + ", or see who else asks the phone system so often"
	case kind == fault.Timeout, kind == fault.Unavailable:
		return "check url" + of + ", " + a.away
	case kind == fault.NotFound && at != signingIn:
		return "choose an extension that there is; if there is this one, " + a.nobody
	}
	return "check url and options" + of + " against docs/drivers/" + p.config.Driver + ".md"
}

// certificateFix says what to do about an error of TLS; "" if it is none.
func (p *patient) certificateFix(err error) string {
	var (
		name      x509.HostnameError
		authority x509.UnknownAuthorityError
		invalid   x509.CertificateInvalidError
		noTLS     tls.RecordHeaderError
	)
	of := " of system " + p.config.ID
	switch {
	case errors.As(err, &name):
		fix := fmt.Sprintf("let the phone system have a certificate with the alternative name %s", name.Host)
		if names := name.Certificate.DNSNames; len(names) > 0 {
			fix += ", or use in url" + of + " a name that its certificate has: " + strings.Join(names, ", ")
		}
		return fix
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		return fmt.Sprintf("renew the phone system's certificate (good from %s to %s), or set the clock of this machine",
			invalid.Cert.NotBefore.Format("2006-01-02"), invalid.Cert.NotAfter.Format("2006-01-02"))
	case errors.As(err, &authority) && p.config.CAFile == "":
		return "put the certificate of the authority that issued the phone system's into a file, and name it in ca_file" + of
	case errors.As(err, &authority):
		return "ca_file" + of + " is of another authority than the one that issued the phone system's certificate: put that one's in it"
	case errors.As(err, &invalid):
		return "let the phone system have another certificate: this one may not be used for a server"
	case errors.As(err, &noTLS):
		return "nobody speaks TLS there: check scheme and port in url" + of
	}
	return ""
}
