package writer

import (
	"context"

	"offhook.dev/libs/config"
	"offhook.dev/libs/core/fault"
	"offhook.dev/libs/pbx"
	"offhook.dev/libs/pbx/freeswitch"
	"offhook.dev/libs/secret"
)

// openFreeSWITCH reads docs/drivers/freeswitch.md: the event socket from the URL
// (tcp://host:port, or tls:// for a proxy in front), its password from
// client_secret_file, a user of the directory from client_id, the rest from options.
func openFreeSWITCH(ctx context.Context, s config.System) (pbx.Driver, error) {
	c, o := freeSWITCHConfig(s)
	if err := o.err("freeswitch"); err != nil {
		return nil, err
	}
	var err error
	if c.Password, err = s.ClientSecret(); err != nil {
		return nil, fault.New(fault.Denied, "freeswitch", err)
	}
	if c.Authorities, err = s.Roots(); err != nil {
		return nil, fault.New(fault.Denied, "freeswitch", err)
	}
	driver, err := freeswitch.Open(ctx, c)
	if err != nil {
		return nil, err
	}
	return driver, nil
}

// freeSWITCHConfig returns all of the configuration but what is in files.
func freeSWITCHConfig(s config.System) (freeswitch.Config, *options) {
	o := newOptions(s.Options)
	lamps, ok := o.take("lamps").(bool)
	if _, given := s.Options["lamps"]; given && !ok {
		o.problem("options.lamps", "it is neither true nor false", "write "+words["bool"])
	}
	return freeswitch.Config{
		URL: s.URL, User: s.ClientID, Domain: option[string](o, "domain"),
		Profile: freeswitch.Profile(option[string](o, "profile")), Realm: option[string](o, "realm"),
		Variable: option[string](o, "variable"), Command: option[string](o, "command"), Cache: freeswitch.Cache(option[string](o, "cache")),
		NoLamps: ok && !lamps, Extensions: o.extensions("extensions"), PlainTCP: option[bool](o, "plain_tcp"),
	}, o
}

// freeSWITCHKeys are the keys of the configuration that are not options.
var freeSWITCHKeys = map[string]string{"url": "url", "client_id": "client_id", "client_secret_file": "client_secret_file"}

func checkFreeSWITCH(s config.System) *options {
	c, o := freeSWITCHConfig(s)
	if s.ClientSecretFile != "" { // what is in the file is not looked at
		c.Password = secret.NewValue("unread")
	}
	for _, p := range c.Problems() {
		key, ok := freeSWITCHKeys[p.Field]
		if !ok {
			key = "options." + p.Field
		}
		o.problem(key, p.What, "see docs/drivers/freeswitch.md for what belongs here")
	}
	return o
}
