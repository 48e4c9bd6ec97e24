package writer

import (
	"context"

	"offhook.dev/libs/config"
	"offhook.dev/libs/core/fault"
	"offhook.dev/libs/pbx"
	"offhook.dev/libs/pbx/asterisk"
	"offhook.dev/libs/secret"
)

// openAsterisk reads docs/drivers/asterisk.md: the manager account from client_id and
// client_secret_file, the rest from options.
func openAsterisk(ctx context.Context, s config.System) (pbx.Driver, error) {
	c, o := asteriskConfig(s)
	if err := o.err("asterisk"); err != nil {
		return nil, err
	}
	var err error
	if c.Secret, err = s.ClientSecret(); err != nil {
		return nil, fault.New(fault.Denied, "asterisk", err)
	}
	if c.Authorities, err = s.Roots(); err != nil {
		return nil, fault.New(fault.Denied, "asterisk", err)
	}
	return asterisk.Open(ctx, c)
}

// asteriskConfig returns all of the configuration but what is in files.
func asteriskConfig(s config.System) (asterisk.Config, *options) {
	o := newOptions(s.Options)
	return asterisk.Config{
		URL: s.URL, Username: s.ClientID, PlainText: option[bool](o, "plain_text"), ServerName: option[string](o, "server_name"),
		Profile: asterisk.Profile(option[string](o, "profile")), Context: option[string](o, "context"),
		NoLamps: option[bool](o, "without_lamps"), Presence: option[bool](o, "presence_text"),
		Database: option[string](o, "database"), Value: option[string](o, "database_value"),
		DeviceState: option[string](o, "device_state"), Off: option[string](o, "device_state_off"), PresenceName: option[string](o, "presence"),
		Extensions: o.extensions("extensions"), Device: option[string](o, "device"), Mailboxes: option[string](o, "mailboxes"),
		DialContext: option[string](o, "dial_context"),
	}, o
}

// asteriskKeys are the keys of the configuration that are not options.
var asteriskKeys = map[string]bool{"url": true, "client_id": true, "client_secret_file": true}

func checkAsterisk(s config.System) *options {
	c, o := asteriskConfig(s)
	if s.ClientSecretFile != "" { // what is in it is not looked at
		c.Secret = secret.NewValue("unread")
	}
	for _, p := range c.Problems() {
		key := p.Field
		if !asteriskKeys[key] {
			key = "options." + key
		}
		o.problem(key, p.What, "see docs/drivers/asterisk.md for what belongs here")
	}
	return o
}
