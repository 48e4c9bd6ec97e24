package bench

import (
	"crypto/x509"
	"encoding/pem"

	"offhook.dev/libs/secret"
)

// servingPEM makes the certificate and key of an endpoint on this machine.
func servingPEM(authority *secret.Authority) (certificate, key []byte, err error) {
	issued, err := authority.Issue("127.0.0.1", "localhost")
	if err != nil {
		return nil, nil, err
	}
	der, err := x509.MarshalPKCS8PrivateKey(issued.PrivateKey)
	if err != nil {
		return nil, nil, err
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: issued.Certificate[0]}),
		pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), nil
}
