package writer

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"

	"offhook.dev/libs/config"
	"offhook.dev/libs/core/fault"
	"offhook.dev/libs/pbx"
	"offhook.dev/libs/pbx/sippresence"
)

// openSIPPresence reads docs/drivers/sip-presence.md: the server from the URL
// (sip://host:port, sips://host:port, or without the slashes), the digest account
// from client_id and client_secret_file, the rest from options. What was published is not
// taken over from, nor left to, another process: `offhook doctor` runs beside the service.
func openSIPPresence(ctx context.Context, s config.System) (pbx.Driver, error) {
	return resumeSIPPresence(ctx, s, "")
}

// resumeSIPPresence is openSIPPresence for the process that publishes. Unless the
// configuration says otherwise, what is published is kept in a file of the folder; where
// that cannot be, it is an error only if the configuration wants it.
func resumeSIPPresence(ctx context.Context, s config.System, folder string) (pbx.Driver, error) {
	c, o := sipPresenceConfig(s)
	if err := o.err("sip-presence"); err != nil {
		return nil, err
	}
	var err error
	if s.ClientSecretFile != "" {
		if c.Password, err = s.ClientSecret(); err != nil {
			return nil, fault.New(fault.Denied, "sip-presence", err)
		}
	}
	if c.Roots, err = s.Roots(); err != nil {
		return nil, fault.New(fault.Denied, "sip-presence", err)
	}
	if keep, said := s.Options["keep_etags"].(bool); folder != "" && (keep || !said) {
		file := sippresence.NewFile(filepath.Join(folder, "sip-presence-"+s.ID+".json"))
		if said || file.Usable() == nil {
			c.Publications = file
		}
	}
	return sippresence.Open(ctx, c)
}

// sipPresenceConfig returns all of the configuration but what is in files.
func sipPresenceConfig(s config.System) (sippresence.Config, *options) {
	o := newOptions(s.Options)
	c := sippresence.Config{
		Username: s.ClientID, Domain: option[string](o, "domain"), AOR: option[string](o, "aor"),
		Transport: sippresence.Transport(option[string](o, "transport")), ServerName: option[string](o, "server_name"),
		Extensions: o.extensions("extensions"), Expires: o.duration("expires"),
		RefreshWhole: option[bool](o, "refresh_whole"), RemoveOnClose: option[bool](o, "remove_on_close"),
		Lamps: o.statuses("lamps"),
	}
	option[bool](o, "keep_etags") // resumeSIPPresence looks at it
	scheme, server, _ := strings.Cut(s.URL, ":")
	c.Server = strings.TrimPrefix(server, "//")
	switch {
	case scheme != "sip" && scheme != "sips" || c.Server == "" || strings.ContainsAny(c.Server, "/@;?"):
		o.problem("url", "it names no SIP server", "write it as sip://host:port or sips://host:port") // not quoted: it may hold a password
	case scheme == "sips" && c.Transport != "" && c.Transport != sippresence.TLS:
		o.problem("options.transport", fmt.Sprintf("%q does not go with sips, which is tls", c.Transport), "remove it, or write the url with sip")
	case scheme == "sips":
		c.Transport = sippresence.TLS
	}
	if c.Domain == "" {
		o.problem("options.domain", "it is missing", "write the SIP domain of the extensions")
	}
	return c, o
}

// sipPresenceKeys are the keys that the fields of the driver's configuration come from.
var sipPresenceKeys = map[string]string{"server": "url", "username": "client_id"}

func checkSIPPresence(s config.System) *options {
	c, o := sipPresenceConfig(s)
	if s.ClientSecretFile != "" && s.ClientID == "" {
		o.problem("client_id", "it is missing, but there is a password", "write the account's user name here")
	}
	for _, p := range c.Problems() {
		key, ok := sipPresenceKeys[p.Field]
		if !ok {
			key = "options." + p.Field
		}
		o.problem(key, p.What, "see docs/drivers/sip-presence.md for what belongs here")
	}
	return o
}
