package writer

import (
	"cmp"
	"context"
	"crypto/tls"
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
// and client_secret_file, the rest from options. Events that are sent to a webhook are left
// to the process that works the system: `offhook doctor` runs beside the service.
func openPortSIP(ctx context.Context, s config.System) (pbx.Driver, error) {
	c, err := readPortSIP(s)
	if err != nil {
		return nil, err
	}
	c.Webhook.Elsewhere = true
	return portsip.Open(ctx, c)
}

// resumePortSIP is openPortSIP for the process that works the system. Nothing is kept.
func resumePortSIP(ctx context.Context, s config.System, _ string) (pbx.Driver, error) {
	c, err := readPortSIP(s)
	if err != nil {
		return nil, err
	}
	return portsip.Open(ctx, c)
}

// readPortSIP returns all of the configuration, with what is in files.
func readPortSIP(s config.System) (portsip.Config, error) {
	c, files, o := portSIPConfig(s)
	if err := o.err("portsip"); err != nil {
		return c, err
	}
	var err error
	if c.Admin.Password, err = s.ClientSecret(); err != nil {
		return c, fault.New(fault.Denied, "portsip", err)
	}
	for ext, file := range files.accounts {
		account := c.Accounts[ext]
		if account.Password, err = secret.ReadFile(file); err != nil {
			return c, fault.New(fault.Denied, "portsip", err)
		}
		c.Accounts[ext] = account
	}
	if c.Authorities, err = s.Roots(); err != nil {
		return c, fault.New(fault.Denied, "portsip", err)
	}
	if c.Events != portsip.ByWebhook {
		return c, nil
	}
	if c.Webhook.Secret, err = secret.ReadFile(files.secret); err != nil {
		return c, fault.New(fault.Denied, "portsip", err)
	}
	if files.tls != (config.TLS{}) {
		pair, err := files.tls.KeyPair()
		if err != nil {
			return c, fault.Errorf(fault.Denied, "portsip", "options.webhook.cert_file: %w", err)
		}
		c.Webhook.Certificate = &pair
	}
	return c, nil
}

// portSIPFiles are the files of a configuration that are read when it is opened.
type portSIPFiles struct {
	accounts map[identity.Extension]string // passwords
	secret   string                        // of the webhook: a token or a password
	tls      config.TLS                    // of the webhook
}

// portSIPConfig returns all of the configuration but what is in files, and the files.
func portSIPConfig(s config.System) (portsip.Config, portSIPFiles, *options) {
	o := newOptions(s.Options)
	option[bool](o, "ignore_native_sync")
	c := portsip.Config{URL: s.URL, Domain: option[string](o, "domain"), Admin: portsip.Account{Username: s.ClientID},
		Statuses: portsip.Statuses(option[string](o, "statuses")), Note: option[string](o, "note"), Role: option[string](o, "role"),
		Partial: option[bool](o, "partial_changes"), Accounts: map[identity.Extension]portsip.Account{},
		Events: portsip.Events(option[string](o, "events")), PerSecond: s.Pace.PerSecond}
	files := portSIPFiles{accounts: map[identity.Extension]string{}}
	for number, entry := range accountsOption(o) {
		ext, err := identity.ParseExtension(number)
		if err != nil {
			o.problem("options.accounts", err.Error(), "write the extension's number in quotes")
			continue
		}
		left := newOptions(entry)
		file := option[string](left, "password_file")
		files.accounts[ext] = file
		c.Accounts[ext] = portsip.Account{Username: option[string](left, "username")}
		if !filepath.IsAbs(file) {
			left.problem("options.password_file", "it is no absolute path", "put the password of the user into a file and name it here, from / on")
		}
		for _, p := range left.all() {
			o.problem(config.Key("options.accounts", number)+strings.TrimPrefix(p.Key, "options"), p.What, p.Fix)
		}
	}
	webhookOption(o, &c, &files)
	return c, files, o
}

// webhookOption reads options.webhook, which belongs to events: webhook.
func webhookOption(o *options, c *portsip.Config, files *portSIPFiles) {
	const fix = "write webhook: {listen: \"127.0.0.1:8444\", token_file: /etc/offhook/branch.hook}"
	value := o.take("webhook")
	given, ok := value.(map[string]any)
	switch {
	case value == nil:
		return
	case !ok:
		o.problem("options.webhook", "it is no mapping", fix)
		return
	case c.Events != portsip.ByWebhook:
		o.problem("options.webhook", "nothing is sent there unless events is webhook", "write events: webhook, or remove this")
	}
	w := newOptions(given)
	c.Webhook = portsip.Webhook{Listen: option[string](w, "listen"), Username: option[string](w, "username"), PlainHTTP: option[bool](w, "plain_http")}
	token, password := option[string](w, "token_file"), option[string](w, "password_file")
	files.secret, files.tls = cmp.Or(token, password), config.TLS{CertFile: option[string](w, "cert_file"), KeyFile: option[string](w, "key_file")}
	for name, file := range map[string]string{"token_file": token, "password_file": password, "cert_file": files.tls.CertFile, "key_file": files.tls.KeyFile} {
		if file != "" && !filepath.IsAbs(file) {
			w.problem("options."+name, "it is no absolute path", "name the file from / on")
		}
	}
	switch {
	case token != "" && (password != "" || c.Webhook.Username != ""):
		w.problem("options.token_file", "there is a token and a user name or password", "keep either token_file, or username and password_file: as chosen in PortSIP's portal")
	case password != "" && c.Webhook.Username == "":
		w.problem("options.username", "it is missing, but there is a password", "write the user name that PortSIP sends, or use token_file")
	}
	switch {
	case files.tls.CertFile == "" && files.tls.KeyFile != "":
		w.problem("options.cert_file", "the private key has no certificate", "name the certificate's file here")
	case files.tls.CertFile != "" && files.tls.KeyFile == "":
		w.problem("options.key_file", "the certificate has no private key", "name the key's file here")
	}
	for _, p := range w.all() {
		o.problem("options.webhook"+strings.TrimPrefix(p.Key, "options"), p.What, p.Fix)
	}
}

// portSIPListens is where a system has events sent to, "" if it has none sent.
func portSIPListens(s config.System) (key, address string) {
	if s.Options["events"] != string(portsip.ByWebhook) {
		return "", ""
	}
	hook, _ := s.Options["webhook"].(map[string]any)
	address, _ = hook["listen"].(string)
	return "options.webhook.listen", address
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
	for ext := range files.accounts {
		c.Accounts[ext] = portsip.Account{Username: c.Accounts[ext].Username, Password: secret.NewValue("unread")}
	}
	if files.secret != "" {
		c.Webhook.Secret = secret.NewValue("unread-and-long-enough")
	}
	if files.tls.CertFile != "" {
		c.Webhook.Certificate = new(tls.Certificate)
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
