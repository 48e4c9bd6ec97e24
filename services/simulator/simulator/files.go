package simulator

import (
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"offhook.dev/libs/secret"
)

// The files in Options.Dir, all of mode 0600.
const (
	CAFile          = "ca.pem"          // endpoints.ca_file, systems.ca_file
	CertificateFile = "app.pem"         // microsoft365.certificate_file
	PBXSecretFile   = "pbx.secret"      // systems.client_secret_file
	RefreshFile     = "account.refresh" // accounts.refresh_token_file, if somebody has signed in
	WebhookCertFile = "webhook.crt"     // webhook.tls.cert_file
	WebhookKeyFile  = "webhook.key"     // webhook.tls.key_file
)

// kit is what the simulator and its clients share.
type kit struct {
	authority *secret.Authority
	app       secret.KeyPair
	pbxSecret secret.Value
	refresh   secret.Value
}

func newKit(o Options) (kit, error) {
	if o.Dir == "" {
		return kit{}, errors.New("simulator: a folder for its files is needed")
	}
	if err := os.MkdirAll(o.Dir, 0o700); err != nil {
		return kit{}, fmt.Errorf("simulator: %w", err)
	}
	k := kit{pbxSecret: secret.NewValue(rand.Text()), refresh: secret.NewValue(rand.Text())}
	var err error
	if k.authority, err = secret.NewAuthority("Offhook simulator", time.Now()); err != nil {
		return kit{}, fmt.Errorf("simulator: %w", err)
	}
	k.app, err = appKeyPair(filepath.Join(o.Dir, CertificateFile))
	return k, err
}

// appKeyPair reuses the app's key pair, so that a service that has read it keeps
// working when the simulator starts again.
func appKeyPair(path string) (secret.KeyPair, error) {
	data, err := os.ReadFile(path)
	if err == nil {
		pair, err := secret.ParseKeyPair(data)
		if err == nil && time.Now().Before(pair.Certificate.NotAfter) {
			return pair, nil
		}
	} else if !errors.Is(err, fs.ErrNotExist) {
		return secret.KeyPair{}, fmt.Errorf("simulator: %w", err)
	}
	pair, err := secret.NewKeyPair("offhook simulator app", time.Now(), certificateLife)
	if err != nil {
		return secret.KeyPair{}, fmt.Errorf("simulator: %w", err)
	}
	return pair, nil
}

func (k kit) certificates() []*x509.Certificate { return []*x509.Certificate{k.app.Certificate} }

// write writes the files, the CA last: who waits for it finds the others complete.
func (k kit) write(o Options) error {
	app, err := k.app.PEM()
	if err != nil {
		return fmt.Errorf("simulator: %w", err)
	}
	webhook, err := k.authority.Issue(o.WebhookHosts...)
	if err != nil {
		return fmt.Errorf("simulator: %w", err)
	}
	webhookKey, err := keyPEM(webhook)
	if err != nil {
		return fmt.Errorf("simulator: %w", err)
	}
	files := []struct {
		name string
		data []byte
	}{
		{CertificateFile, app}, {PBXSecretFile, []byte(k.pbxSecret.Reveal())}, {RefreshFile, []byte(k.refresh.Reveal())},
		{WebhookCertFile, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: webhook.Certificate[0]})},
		{WebhookKeyFile, webhookKey}, {CAFile, k.authority.PEM()},
	}
	for _, f := range files {
		if f.name == RefreshFile && o.Account == noAccount {
			continue
		}
		if err := replace(filepath.Join(o.Dir, f.name), f.data); err != nil {
			return fmt.Errorf("simulator: %w", err)
		}
	}
	return nil
}

func keyPEM(c tls.Certificate) ([]byte, error) {
	der, err := x509.MarshalPKCS8PrivateKey(c.PrivateKey)
	if err != nil {
		return nil, err
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), nil
}

// replace writes a file of mode 0600 as a whole: nobody reads half of it.
func replace(path string, data []byte) error {
	temp := path + ".new"
	if err := os.WriteFile(temp, data, 0o600); err != nil {
		return err
	}
	return os.Rename(temp, path)
}
