package e2e

import (
	"crypto/x509"
	"encoding/pem"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"offhook.dev/libs/config"
	"offhook.dev/libs/secret"
)

// examples are the configurations that we hand out, and where they expect the files
// that they name ("": beside them).
var examples = map[string]string{
	"deploy/examples/offhook.yaml":  "",
	"deploy/compose/simulated.yaml": "/run/simulated/",
}

func TestTheExampleConfigurationsAreRight(t *testing.T) {
	for name, place := range examples {
		t.Run(name, func(t *testing.T) {
			text, err := os.ReadFile(filepath.Join(root(t), name))
			must(t, err)
			if _, err := loadExample(t, string(text), place); err != nil {
				t.Error(err)
			}
			misspelt := strings.Replace(string(text), "directory_id:", "directory:", 1)
			if _, err := loadExample(t, misspelt, place); err == nil {
				t.Error("a misspelt key is not noticed")
			}
		})
	}
}

// namedFile finds the files that a configuration names.
var namedFile = regexp.MustCompile(`_file: "?([\w./-]+)`)

// loadExample loads a configuration in a folder that holds the files it names.
func loadExample(t *testing.T, text, place string) (config.Config, error) {
	t.Helper()
	dir := t.TempDir()
	if place != "" {
		text = strings.ReplaceAll(text, place, "")
	}
	made := material(t)
	for _, match := range namedFile.FindAllStringSubmatch(text, -1) {
		content, known := made[filepath.Ext(match[1])]
		if !known {
			t.Fatalf("the test does not know how to make %s", match[1])
		}
		must(t, os.WriteFile(filepath.Join(dir, match[1]), content, 0o600))
	}
	file := filepath.Join(dir, "offhook.yaml")
	must(t, os.WriteFile(file, []byte(text), 0o600))
	return config.Load(file, nil, nil)
}

// material is what files hold, by the ends of their names.
func material(t *testing.T) map[string][]byte {
	t.Helper()
	authority, err := secret.NewAuthority("examples", time.Now())
	must(t, err)
	server, err := authority.Issue("localhost")
	must(t, err)
	key, err := x509.MarshalPKCS8PrivateKey(server.PrivateKey)
	must(t, err)
	app, err := secret.NewKeyPair("examples", time.Now(), time.Hour)
	must(t, err)
	pair, err := app.PEM()
	must(t, err)
	return map[string][]byte{
		".pem": pair, ".secret": []byte("secret"), ".token": []byte("token"), ".refresh": []byte("token"),
		".crt": pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate[0]}),
		".key": pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key}),
	}
}
