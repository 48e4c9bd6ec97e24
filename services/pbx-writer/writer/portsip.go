package writer

import (
	"context"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"

	"offhook.dev/libs/config"
	"offhook.dev/libs/core/fault"
	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/pbx"
	"offhook.dev/libs/pbx/portsip"
	"offhook.dev/libs/secret"
)

// openPortSIP reads docs/drivers/portsip.md: the administrator's account from client_id
// and client_secret_file, the rest from options.
func openPortSIP(ctx context.Context, s config.System) (pbx.Driver, error) {
	c, files, o := portSIPConfig(s)
	if err := o.err("portsip"); err != nil {
		return nil, err
	}
	var err error
	if c.Admin.Password, err = s.ClientSecret(); err != nil {
		return nil, fault.New(fault.Denied, "portsip", err)
	}
	for ext, file := range files {
		account := c.Accounts[ext]
		if account.Password, err = secret.ReadFile(file); err != nil {
			return nil, fault.New(fault.Denied, "portsip", err)
		}
		c.Accounts[ext] = account
	}
	if c.Authorities, err = s.Roots(); err != nil {
		return nil, fault.New(fault.Denied, "portsip", err)
	}
	return portsip.Open(ctx, c)
}

// portSIPConfig returns all of the configuration but what is in files, and the files of
// the accounts' passwords.
func portSIPConfig(s config.System) (portsip.Config, map[identity.Extension]string, *options) {
	o := newOptions(s.Options)
	option[bool](o, "ignore_native_sync")
	c := portsip.Config{URL: s.URL, Domain: option[string](o, "domain"), Admin: portsip.Account{Username: s.ClientID},
		Statuses: portsip.Statuses(option[string](o, "statuses")), Note: option[string](o, "note"), Role: option[string](o, "role"),
		Partial: option[bool](o, "partial_changes"), Accounts: map[identity.Extension]portsip.Account{}}
	files := map[identity.Extension]string{}
	for number, entry := range accountsOption(o) {
		ext, err := identity.ParseExtension(number)
		if err != nil {
			o.problem("options.accounts", err.Error(), "write the extension's number in quotes")
			continue
		}
		left := newOptions(entry)
		files[ext] = option[string](left, "password_file")
		c.Accounts[ext] = portsip.Account{Username: option[string](left, "username")}
		if !filepath.IsAbs(files[ext]) {
			left.problem("options.password_file", "it is no absolute path", "put the password of the user into a file and name it here, from / on")
		}
		for _, p := range left.all() {
			o.problem(config.Key("options.accounts", number)+strings.TrimPrefix(p.Key, "options"), p.What, p.Fix)
		}
	}
	return c, files, o
}

// accountsOption returns the entries of options.accounts by number.
func accountsOption(o *options) map[string]map[string]any {
	const fix = `write {"204": {password_file: /etc/offhook/204.secret}}, with the number in quotes`
	all := map[string]map[string]any{}
	switch value := o.take("accounts").(type) {
	case nil:
	case map[string]any:
		for _, number := range slices.Sorted(maps.Keys(value)) {
			entry, ok := value[number].(map[string]any)
			if !ok {
				o.problem("options.accounts", fmt.Sprintf("what %q has is no mapping", number), fix)
				continue
			}
			all[number] = entry
		}
	default:
		o.problem("options.accounts", "it is no mapping of extensions", fix)
	}
	return all
}

// portSIPKeys are the keys of the configuration that are not options.
var portSIPKeys = map[string]string{"url": "url", "client_id": "client_id", "client_secret_file": "client_secret_file"}

func checkPortSIP(s config.System) *options {
	c, files, o := portSIPConfig(s)
	if s.ClientSecretFile != "" { // what is in files is not looked at
		c.Admin.Password = secret.NewValue("unread")
	}
	for ext := range files {
		c.Accounts[ext] = portsip.Account{Username: c.Accounts[ext].Username, Password: secret.NewValue("unread")}
	}
	for _, p := range c.Problems() {
		key, ok := portSIPKeys[p.Field]
		if !ok {
			key = "options." + p.Field
		}
		o.problem(key, p.What, "see docs/drivers/portsip.md for what belongs here")
	}
	return o
}
