package receiver

import (
	"crypto/x509"
	"encoding/pem"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"offhook.dev/libs/config"
	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/secret"
)

func TestTheConfigurationNamesTheEndpointAndEachTenantsLoginHost(t *testing.T) {
	dir := t.TempDir()
	authority, err := secret.NewAuthority("test", time.Now())
	must(t, err)
	certificate, err := authority.Issue("localhost")
	must(t, err)
	key, err := x509.MarshalPKCS8PrivateKey(certificate.PrivateKey)
	must(t, err)
	write := func(name string, data []byte) string {
		path := filepath.Join(dir, name)
		must(t, os.WriteFile(path, data, 0o600))
		return path
	}
	ca := write("ca.pem", authority.PEM())
	good := func() config.Config {
		return config.Config{DataDir: dir,
			Webhook: config.Webhook{Listen: "127.0.0.1:8443", TLS: config.TLS{
				CertFile: write("tls.crt", pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: certificate.Certificate[0]})),
				KeyFile:  write("tls.key", pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key}))}},
			Tenants: []config.Tenant{{ID: "contoso"},
				{ID: "sim", Microsoft365: config.Microsoft365{Endpoints: config.Endpoints{Login: "https://localhost:1", CAFile: ca}}}}}
	}
	o, err := FromConfig(good())
	must(t, err)
	if o.Listen != "127.0.0.1:8443" || o.VaultFile != filepath.Join(dir, "vault.key") || o.Certificate.PrivateKey == nil {
		t.Errorf("%+v", o)
	}
	for tenant, want := range map[identity.Tenant]Login{"contoso": {URL: "https://login.microsoftonline.com"}, "sim": {URL: "https://localhost:1", Roots: authority.Pool()}} {
		if got := o.Logins[tenant]; got.URL != want.URL || !got.Roots.Equal(want.Roots) {
			t.Errorf("%s: %+v", tenant, got)
		}
	}
	polling := good()
	polling.Webhook.TLS = config.TLS{}
	if o, err = FromConfig(polling); err != nil || o.Listen != "" {
		t.Errorf("without public_url and certificate: it listens on %q (%v)", o.Listen, err)
	}
	for says, change := range map[string]func(*config.Config){
		"webhook.tls: ": func(c *config.Config) {
			c.Webhook.PublicURL, c.Webhook.TLS = "https://offhook.example.com", config.TLS{}
		},
		"webhook.tls:":                       func(c *config.Config) { c.Webhook.TLS.KeyFile = ca },
		"tenant contoso: cloud":              func(c *config.Config) { c.Tenants[0].Microsoft365.Cloud = "mars" },
		"tenant sim: microsoft365.endpoints": func(c *config.Config) { c.Tenants[1].Microsoft365.Endpoints.Login = "http://localhost" },
		"tenant sim:":                        func(c *config.Config) { c.Tenants[1].Microsoft365.Endpoints.CAFile = dir },
	} {
		c := good()
		change(&c)
		if _, err := FromConfig(c); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%v; want it to say %q", err, says)
		}
	}
}
