package subscription

import (
	"crypto/x509"
	"encoding/pem"
	"errors"
	"time"

	"offhook.dev/libs/topology"
)

// CurrentCertificate is the key in the bucket `certificates` of the certificate
// under which new subscriptions ask Graph to encrypt.
const CurrentCertificate = "current"

// CertificateKey is the key of a certificate by its id; "*" for all.
func CertificateKey(id string) string {
	if id == "*" {
		return "certificate.*"
	}
	return "certificate." + topology.Token(id)
}

// Certificate is a value of the bucket `certificates`.
type Certificate struct {
	ID  string `json:"id"`
	PEM string `json:"certificate"` // the public part
	// Sealed is the key pair in PEM, encrypted for the receivers' vault.
	Sealed []byte    `json:"sealed"`
	Made   time.Time `json:"made"`
}

// X509 returns the certificate itself.
func (c Certificate) X509() (*x509.Certificate, error) {
	block, _ := pem.Decode([]byte(c.PEM))
	if block == nil {
		return nil, errors.New("notification certificate: no PEM block")
	}
	return x509.ParseCertificate(block.Bytes)
}
