package cli

import (
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"offhook.dev/libs/secret"
	"offhook.dev/services/control-api/apitest"
)

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// doctorConfig is the configuration of an installation whose control API listens at an
// address. Microsoft cannot be reached from it.
func doctorConfig(t *testing.T, listen string) string {
	t.Helper()
	dir := t.TempDir()
	authority, err := secret.NewAuthority("Offhook test", time.Now())
	must(t, err)
	pair, err := authority.Issue("offhook.contoso.example")
	must(t, err)
	key, err := x509.MarshalPKCS8PrivateKey(pair.PrivateKey)
	must(t, err)
	text := fmt.Sprintf(`
data_dir: %s
control: {listen: %q}
webhook: {public_url: "https://offhook.contoso.example", listen: "127.0.0.1:0", tls: {cert_file: webhook.crt, key_file: webhook.key}}
tenants:
  - id: contoso
    microsoft365:
      directory_id: 11111111-2222-3333-4444-555555555555
      client_id: 66666666-7777-8888-9999-000000000000
      client_secret_file: app.secret
      endpoints: {login: "https://127.0.0.1:1", graph: "https://127.0.0.1:1"}
    systems: [hq]
systems:
  - {id: hq, driver: memory, tenants: [contoso], options: {extensions: 1}}
`, dir, listen)
	for name, data := range map[string][]byte{
		"offhook.yaml": []byte(strings.TrimLeft(text, "\n")), "app.secret": []byte("a secret"),
		"webhook.crt": pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: pair.Certificate[0]}),
		"webhook.key": pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key}),
	} {
		must(t, os.WriteFile(filepath.Join(dir, name), data, 0o600))
	}
	return filepath.Join(dir, "offhook.yaml")
}

func TestTheDoctorAsksTheInstallationThatRunsHowItsLanesDo(t *testing.T) {
	home(t)
	stage := apitest.Start(t, func(s *apitest.Stage) { apitest.Scene(t, s); s.Planned(t, apitest.APlan(thePlan)) })
	there, elsewhere := doctorConfig(t, strings.TrimPrefix(stage.URL, "http://")), doctorConfig(t, "127.0.0.1:1")
	const failing, unanswered = "× account anna", "OH-LANE-002"
	for _, c := range []struct{ claim, line, says string }{
		{"where the configuration says that it listens", "offhook doctor --config " + there, failing},
		{"where --api says", "offhook doctor --config " + elsewhere + " --api " + stage.URL, failing},
		{"and says so if nobody answers there", "offhook doctor --config " + elsewhere, unanswered},
	} {
		stdout, stderr, code := command(t, c.line)
		if code != 1 || !strings.Contains(stdout, c.says) {
			t.Errorf("%s: exit %d, no %q in\n%s%s", c.claim, code, c.says, stdout, stderr)
		}
		if c.says == failing && !strings.Contains(stdout, "‼ the brake of users holds nothing back") {
			t.Errorf("%s: no word of the brake in\n%s", c.claim, stdout)
		}
		if c.says == failing && (!strings.Contains(stdout, "fix: run `offhook authorize --tenant contoso` and sign in as the account anna") || !strings.Contains(stdout, "✓ account zoe@contoso.example (listening, 2 users)")) {
			t.Errorf("%s:\n%s", c.claim, stdout)
		}
	}
}

func TestWhatListensEverywhereIsAskedOnLoopback(t *testing.T) {
	for listen, want := range map[string]string{
		":8080": "http://127.0.0.1:8080", "0.0.0.0:80": "http://127.0.0.1:80", "[::]:80": "http://127.0.0.1:80", "127.0.0.1:8080": "http://127.0.0.1:8080", "offhook.lan:80": "http://offhook.lan:80",
	} {
		if got := reachedAt(listen); got != want {
			t.Errorf("%s is reached at %s, want %s", listen, got, want)
		}
	}
}

func TestTheDoctorWritesWhereItIsAllowedTo(t *testing.T) {
	home(t)
	file := doctorConfig(t, "127.0.0.1:1")
	for _, c := range []struct {
		claim, flags, says string
		code               int
	}{
		{"where it may", "--write hq/100", "✓ the status of 100 can be written (it shows available, as before)", 1},
		{"nobody of this number", "--write hq/999", "× write the status of 999", 1},
		{"no system", "--write 100", "write it like hq/204", 2},
		{"a system that there is not", "--write branch/100", `there is no system "branch"`, 2},
		{"no number", "--write hq/1,hq/", "extension", 2},
	} {
		stdout, stderr, code := command(t, "offhook doctor --config "+file+" "+c.flags)
		if code != c.code || !strings.Contains(stdout+stderr, c.says) {
			t.Errorf("%s: exit %d, no %q in\n%s%s", c.claim, code, c.says, stdout, stderr)
		}
	}
	if stdout, _, _ := command(t, "offhook doctor --config "+file); strings.Contains(stdout, "OH-PBX-011") {
		t.Errorf("it writes unasked:\n%s", stdout)
	}
}
