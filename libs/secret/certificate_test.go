package secret_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"offhook.dev/libs/secret"
)

// pairs are made once: RSA keys cost time.
var pairs = sync.OnceValue(func() (made [2]secret.KeyPair) {
	for i := range made {
		pair, err := secret.NewKeyPair("test", time.Now(), time.Hour)
		if err != nil {
			panic(err)
		}
		made[i] = pair
	}
	return made
})

// written returns a pair's two PEM blocks.
func written(t testing.TB, pair secret.KeyPair) (key, certificate []byte) {
	t.Helper()
	text, err := pair.PEM()
	if err != nil {
		t.Fatal(err)
	}
	block, rest := pem.Decode(text)
	return pem.EncodeToMemory(block), rest
}

func TestAKeyPairIsReadBackInEitherOrder(t *testing.T) {
	pair := pairs()[0]
	key, certificate := written(t, pair)
	_, stranger := written(t, pairs()[1])
	pkcs1 := pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(pair.Key)})
	for name, parts := range map[string][][]byte{
		"key first": {key, certificate}, "certificate first": {certificate, key}, "as OpenSSL 1 wrote it": {certificate, pkcs1},
		"a chain: the leaf comes first": {key, certificate, stranger}, "with text around": {[]byte("Bag Attributes\n"), key, []byte("\n\n"), certificate},
	} {
		got, err := secret.ParseKeyPair(bytes.Join(parts, nil))
		if err != nil || !got.Key.Equal(pair.Key) || !got.Certificate.Equal(pair.Certificate) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if now := time.Now(); pair.Certificate.NotBefore.After(now) || pair.Certificate.NotAfter.Before(now) || pair.Key.N.BitLen() != 2048 {
		t.Errorf("%v to %v, %d bits", pair.Certificate.NotBefore, pair.Certificate.NotAfter, pair.Key.N.BitLen())
	}
}

func TestWhatIsNoKeyPairIsToldWithoutQuotingIt(t *testing.T) {
	key, certificate := written(t, pairs()[0])
	_, stranger := written(t, pairs()[1])
	elliptical, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(elliptical)
	if err != nil {
		t.Fatal(err)
	}
	block := func(kind, text string) []byte {
		return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: []byte(text)})
	}
	tests := []struct {
		name, says string
		parts      [][]byte
	}{
		{"nothing", "no PRIVATE KEY block", nil},
		{"no PEM at all", "no PRIVATE KEY block", [][]byte{[]byte(hunter)}},
		{"a key alone", "no CERTIFICATE block", [][]byte{key}},
		{"a certificate alone", "no PRIVATE KEY block", [][]byte{certificate}},
		{"an encrypted key", "no PRIVATE KEY block", [][]byte{block("ENCRYPTED PRIVATE KEY", hunter), certificate}},
		{"another's certificate", "does not belong", [][]byte{key, stranger}},
		{"a key that is none", "is not a key", [][]byte{block("PRIVATE KEY", hunter), certificate}},
		{"a certificate that is none", "is not a certificate", [][]byte{key, block("CERTIFICATE", hunter)}},
		{"a key of another kind", "is not RSA", [][]byte{pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), certificate}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			_, err := secret.ParseKeyPair(bytes.Join(test.parts, nil))
			if err == nil || !strings.Contains(err.Error(), test.says) || strings.Contains(err.Error(), hunter) {
				t.Errorf("%v; want it to say %q", err, test.says)
			}
		})
	}
}

func FuzzParseKeyPair(f *testing.F) {
	key, certificate := written(f, pairs()[0])
	f.Add(append(key, certificate...))
	f.Add(certificate)
	f.Add([]byte("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		pair, err := secret.ParseKeyPair(data)
		if err == nil && !pair.Key.PublicKey.Equal(pair.Certificate.PublicKey) {
			t.Fatal("a pair that is none")
		}
	})
}

func TestAnAuthorityIsTrustedByThoseWhoHoldItAndForItsHostsOnly(t *testing.T) {
	authority, err := secret.NewAuthority("test", time.Now())
	if err != nil {
		t.Fatal(err)
	}
	other, err := secret.NewAuthority("test", time.Now())
	if err != nil {
		t.Fatal(err)
	}
	serve := func(hosts ...string) string {
		certificate, err := authority.Issue(hosts...)
		if err != nil {
			t.Fatal(err)
		}
		server := httptest.NewUnstartedServer(http.NotFoundHandler())
		server.Config.ErrorLog = log.New(io.Discard, "", 0)
		server.TLS = &tls.Config{Certificates: []tls.Certificate{certificate}, MinVersion: tls.VersionTLS12}
		server.StartTLS()
		t.Cleanup(server.Close)
		return server.URL
	}
	get := func(url string, roots *x509.CertPool) error {
		transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}}
		defer transport.CloseIdleConnections()
		resp, err := (&http.Client{Transport: transport}).Get(url)
		if err != nil {
			return err
		}
		_, _ = io.Copy(io.Discard, resp.Body)
		return resp.Body.Close()
	}
	mine, elsewhere := serve("127.0.0.1", "localhost"), serve("offhook.example.com")
	fromPEM := x509.NewCertPool()
	if !fromPEM.AppendCertsFromPEM(authority.PEM()) {
		t.Fatal("its PEM is none")
	}
	for name, roots := range map[string]*x509.CertPool{"its pool": authority.Pool(), "its PEM in a ca_file": fromPEM} {
		if err := get(mine, roots); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := get(mine, other.Pool()); err == nil {
		t.Error("another authority of the same name is trusted")
	}
	if err := get(elsewhere, authority.Pool()); err == nil {
		t.Error("a certificate is trusted for another host")
	}
}
