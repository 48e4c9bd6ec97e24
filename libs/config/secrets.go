package config

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"os"

	"offhook.dev/libs/secret"
)

// KeyPair reads the certificate and private key of the app registration. It is
// read each time it is asked for, so that a rotated file counts at once.
func (m Microsoft365) KeyPair() (secret.KeyPair, error) {
	data, err := os.ReadFile(m.CertificateFile)
	if err != nil {
		return secret.KeyPair{}, fmt.Errorf("read certificate: %w", err)
	}
	return secret.ParseKeyPair(data)
}

// ClientSecret reads the client secret of the app registration.
func (m Microsoft365) ClientSecret() (secret.Value, error) {
	return secret.ReadFile(m.ClientSecretFile)
}

// Roots reads the authorities to trust, or returns nil for the machine's own.
func (e Endpoints) Roots() (*x509.CertPool, error) { return roots(e.CAFile) }

// ClientSecret reads the secret of the phone system's API client.
func (s System) ClientSecret() (secret.Value, error) { return secret.ReadFile(s.ClientSecretFile) }

// Roots reads the authorities to trust, or returns nil for the machine's own.
func (s System) Roots() (*x509.CertPool, error) { return roots(s.CAFile) }

// KeyPair reads the server certificate.
func (t TLS) KeyPair() (tls.Certificate, error) { return tls.LoadX509KeyPair(t.CertFile, t.KeyFile) }

func roots(path string) (*x509.CertPool, error) {
	if path == "" {
		return nil, nil
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read authorities: %w", err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(data) {
		return nil, fmt.Errorf("read authorities: %s holds no certificate in PEM form", path)
	}
	return pool, nil
}
