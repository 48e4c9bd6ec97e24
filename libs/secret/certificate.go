package secret

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"time"
)

// Authority is a private certificate authority that lives in memory. `offhook dev`
// and the tests make one and trust nothing else.
type Authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	pem  []byte
}

// NewAuthority makes an authority valid for a year before and after now, so that
// a clock that is a little off does not matter.
func NewAuthority(name string, now time.Time) (*Authority, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("authority key: %w", err)
	}
	template := &x509.Certificate{
		SerialNumber: serial(), Subject: pkix.Name{CommonName: name},
		NotBefore: now.AddDate(-1, 0, 0), NotAfter: now.AddDate(1, 0, 0),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		return nil, fmt.Errorf("authority certificate: %w", err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("authority certificate: %w", err)
	}
	return &Authority{cert, key, encode("CERTIFICATE", der)}, nil
}

// PEM returns the authority's certificate, for ca_file settings.
func (a *Authority) PEM() []byte { return a.pem }

// Pool returns a pool that trusts this authority alone.
func (a *Authority) Pool() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(a.cert)
	return pool
}

// Issue makes a server certificate for host names and IP addresses.
func (a *Authority) Issue(hosts ...string) (tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("server key: %w", err)
	}
	template := &x509.Certificate{
		SerialNumber: serial(), Subject: pkix.Name{CommonName: hosts[0]},
		NotBefore: a.cert.NotBefore, NotAfter: a.cert.NotAfter,
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	for _, host := range hosts {
		if ip := net.ParseIP(host); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
		} else {
			template.DNSNames = append(template.DNSNames, host)
		}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, &key.PublicKey, a.key)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("server certificate: %w", err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, nil
}

// KeyPair is an RSA key with its self-signed certificate: the credential of an
// app registration, or the key under which Graph encrypts notifications.
type KeyPair struct {
	Certificate *x509.Certificate
	Key         *rsa.PrivateKey
}

// NewKeyPair makes an RSA-2048 pair valid from a day before now for the given life.
func NewKeyPair(name string, now time.Time, life time.Duration) (KeyPair, error) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return KeyPair{}, fmt.Errorf("key pair: %w", err)
	}
	template := &x509.Certificate{
		SerialNumber: serial(), Subject: pkix.Name{CommonName: name},
		NotBefore: now.AddDate(0, 0, -1), NotAfter: now.Add(life),
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageKeyEncipherment,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		return KeyPair{}, fmt.Errorf("key pair: %w", err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return KeyPair{}, fmt.Errorf("key pair: %w", err)
	}
	return KeyPair{cert, key}, nil
}

// PEM returns key and certificate in one file, private key first.
func (p KeyPair) PEM() ([]byte, error) {
	der, err := x509.MarshalPKCS8PrivateKey(p.Key)
	if err != nil {
		return nil, fmt.Errorf("key pair: %w", err)
	}
	return append(encode("PRIVATE KEY", der), encode("CERTIFICATE", p.Certificate.Raw)...), nil
}

// ParseKeyPair reads what KeyPair.PEM writes, in either order. Errors never quote
// the input.
func ParseKeyPair(data []byte) (KeyPair, error) {
	var pair KeyPair
	for block, rest := pem.Decode(data); block != nil; block, rest = pem.Decode(rest) {
		switch block.Type {
		case "CERTIFICATE":
			if pair.Certificate != nil {
				continue // a chain: the leaf comes first
			}
			cert, err := x509.ParseCertificate(block.Bytes)
			if err != nil {
				return KeyPair{}, errors.New("key pair: the CERTIFICATE block is not a certificate")
			}
			pair.Certificate = cert
		case "PRIVATE KEY", "RSA PRIVATE KEY":
			key, err := parseKey(block)
			if err != nil {
				return KeyPair{}, err
			}
			pair.Key = key
		}
	}
	switch {
	case pair.Key == nil:
		return KeyPair{}, errors.New("key pair: no PRIVATE KEY block (PEM, unencrypted, RSA)")
	case pair.Certificate == nil:
		return KeyPair{}, errors.New("key pair: no CERTIFICATE block (PEM)")
	case !pair.Key.PublicKey.Equal(pair.Certificate.PublicKey):
		return KeyPair{}, errors.New("key pair: the private key does not belong to the certificate")
	}
	return pair, nil
}

func parseKey(block *pem.Block) (*rsa.PrivateKey, error) {
	if key, err := x509.ParsePKCS1PrivateKey(block.Bytes); err == nil {
		return key, nil
	}
	var key crypto.PrivateKey
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, errors.New("key pair: the PRIVATE KEY block is not a key")
	}
	rsaKey, ok := key.(*rsa.PrivateKey)
	if !ok {
		return nil, errors.New("key pair: the private key is not RSA")
	}
	return rsaKey, nil
}

func encode(kind string, der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
}

func serial() *big.Int {
	n, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		panic("crypto/rand failed: " + err.Error()) // documented never to happen
	}
	return n
}
