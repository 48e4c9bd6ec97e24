package config

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"os"
	"path/filepath"
	"testing"
	"time"

	"offhook.dev/libs/secret"
)

var today = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

const day = 24 * time.Hour

// folder makes a folder with the example and the files that it and the problem
// cases name.
func folder(t testing.TB) string {
	t.Helper()
	dir := t.TempDir()
	example, err := os.ReadFile("testdata/example.yaml")
	must(t, err)
	write(t, dir, "offhook.yaml", example)
	write(t, dir, "hq.secret", []byte("hunter2\n"))
	write(t, dir, "redis.url", []byte("redis://:hunter2@cache:6379\n"))
	write(t, dir, "empty", nil)

	good := keyPair(t, today)
	past := keyPair(t, today.Add(-400*day))
	write(t, dir, "contoso.pem", pairPEM(t, good))
	write(t, dir, "expired.pem", pairPEM(t, past))
	write(t, dir, "early.pem", pairPEM(t, keyPair(t, today.Add(10*day))))
	write(t, dir, "mixed.pem", pairPEM(t, secret.KeyPair{Certificate: good.Certificate, Key: past.Key}))
	server(t, dir, "web", today)
	server(t, dir, "other", today)
	server(t, dir, "old", today.AddDate(-3, 0, 0))
	return dir
}

func keyPair(t testing.TB, made time.Time) secret.KeyPair {
	t.Helper()
	pair, err := secret.NewKeyPair("contoso", made, 365*day)
	must(t, err)
	return pair
}

func pairPEM(t testing.TB, pair secret.KeyPair) []byte {
	t.Helper()
	data, err := pair.PEM()
	must(t, err)
	return data
}

// server writes name.crt, name.key and name.ca.
func server(t testing.TB, dir, name string, made time.Time) tls.Certificate {
	t.Helper()
	authority, err := secret.NewAuthority(name, made)
	must(t, err)
	cert, err := authority.Issue("localhost")
	must(t, err)
	key, err := x509.MarshalPKCS8PrivateKey(cert.PrivateKey)
	must(t, err)
	write(t, dir, name+".crt", pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert.Certificate[0]}))
	write(t, dir, name+".key", pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key}))
	write(t, dir, name+".ca", authority.PEM())
	return cert
}

func write(t testing.TB, dir, name string, data []byte) {
	t.Helper()
	must(t, os.WriteFile(filepath.Join(dir, name), data, 0o600))
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
