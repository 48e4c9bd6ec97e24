package doctor_test

import (
	"crypto/x509"
	"encoding/pem"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"offhook.dev/libs/config"
	"offhook.dev/libs/secret"
	"offhook.dev/services/offhook/doctor"
)

// Whoever moves to another domain hears it from doctor before Graph calls in vain.
func TestAPublicAddressThatItsCertificateDoesNotFitIsFound(t *testing.T) {
	now := time.Date(2026, 6, 1, 12, 0, 0, 0, time.UTC)
	files := certificateFor(t, "old.example.com", now) // ends after a year
	for _, c := range []struct {
		claim, address string
		files          config.TLS
		now            time.Time
		want           doctor.Check // of which Cause and Fix are parts
	}{
		{"the name that it was made for", "https://old.example.com/graph", files, now, doctor.Check{Code: "OH-WEB-004", Level: "ok"}},
		{"a new domain with the certificate of the old one", "https://new.example.com", files, now,
			doctor.Check{Code: "OH-WEB-003", Level: "problem", Cause: "new.example.com", Fix: "use a certificate for new.example.com"}},
		{"a name below it", "https://hooks.old.example.com", files, now, doctor.Check{Code: "OH-WEB-003", Level: "problem", Fix: "hooks.old.example.com"}},
		{"the certificate ends in ten days", "https://old.example.com", files, now.AddDate(1, 0, -10), doctor.Check{Code: "OH-WEB-004", Level: "warning", Cause: "ends in 10 days", Fix: "renew it"}},
		{"it has ended", "https://old.example.com", files, now.AddDate(1, 0, 1), doctor.Check{Code: "OH-WEB-004", Level: "problem", Cause: "ended on 2027-06-01", Fix: "renew it"}},
		{"there is no file", "https://old.example.com", config.TLS{CertFile: files.CertFile, KeyFile: files.KeyFile + "s"}, now,
			doctor.Check{Code: "OH-WEB-002", Level: "problem", Cause: "no such file", Fix: "webhook.tls.cert_file"}},
		{"there is no address", "", config.TLS{}, now, doctor.Check{Code: "OH-WEB-001", Level: "warning", Cause: "polling", Fix: "webhook.public_url"}},
	} {
		t.Run(c.claim, func(t *testing.T) {
			conf := config.Config{DataDir: t.TempDir(), Webhook: config.Webhook{PublicURL: c.address, TLS: c.files}}
			var found []doctor.Check
			for _, check := range doctor.Run(t.Context(), conf, doctor.Options{Now: c.now}) {
				if strings.HasPrefix(check.Code, "OH-WEB") {
					found = append(found, check)
				}
			}
			if len(found) != 1 || found[0].Code != c.want.Code || found[0].Level != c.want.Level || !strings.Contains(found[0].Cause, c.want.Cause) || !strings.Contains(found[0].Fix, c.want.Fix) {
				t.Errorf("%+v, want %+v", found, c.want)
			}
		})
	}
}

// certificateFor writes a certificate for a name, valid for a year from now on.
func certificateFor(t *testing.T, name string, now time.Time) config.TLS {
	t.Helper()
	authority, err := secret.NewAuthority("Offhook test", now)
	must(t, err)
	pair, err := authority.Issue(name)
	must(t, err)
	key, err := x509.MarshalPKCS8PrivateKey(pair.PrivateKey)
	must(t, err)
	files := config.TLS{CertFile: filepath.Join(t.TempDir(), "webhook.crt"), KeyFile: filepath.Join(t.TempDir(), "webhook.key")}
	must(t, os.WriteFile(files.CertFile, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: pair.Certificate[0]}), 0o600))
	must(t, os.WriteFile(files.KeyFile, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key}), 0o600))
	return files
}
