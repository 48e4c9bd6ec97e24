package simulator_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"offhook.dev/libs/bus/bustest"
	"offhook.dev/libs/config"
	"offhook.dev/libs/secret"
	"offhook.dev/services/simulator/simulator"

	"time"
)

func start(t *testing.T, o simulator.Options) *simulator.Simulator {
	t.Helper()
	if o.Dir == "" {
		o.Dir = t.TempDir()
	}
	s, err := simulator.Start(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func ask[T any](t *testing.T, method, url, host, body string) (int, T) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Host = host
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	data, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	var decoded T
	if len(data) > 0 {
		if err := json.Unmarshal(data, &decoded); err != nil {
			t.Fatalf("%s %s: %v in %s", method, url, err, data)
		}
	}
	return answer.StatusCode, decoded
}

func TestEveryUserHasTheExtensionOfTheSameNameAndMail(t *testing.T) {
	s := start(t, simulator.Options{Users: 60, Seed: 3})
	users, extensions := s.Graph.Tenant(simulator.TenantID).Users("", 100), s.PBX.Truth()
	if len(users) != 60 || len(extensions) != 60 || extensions[0].Number != "100" || extensions[59].Number != "159" {
		t.Fatalf("%d users, %d extensions from %s", len(users), len(extensions), extensions[0].Number)
	}
	for i, u := range users {
		if e := extensions[i]; u.Mail == "" || e.Mail != u.Mail || e.FirstName != u.GivenName || e.LastName != u.Surname {
			t.Errorf("extension %s belongs to %s, want %s", e.Number, e.Mail, u.Mail)
		}
	}
}

func TestOneControlInterfaceForTenantAndPhoneSystem(t *testing.T) {
	s := start(t, simulator.Options{System: "branch"})
	if code, systems := ask[[]struct{ ID, Driver, URL string }](t, "GET", s.Control+"/sim/v1/systems", "", ""); code != 200 || len(systems) != 1 || systems[0].ID != "branch" || systems[0].URL != s.PBX.URL() {
		t.Errorf("systems: %d %+v", code, systems)
	}
	if code, all := ask[[]struct{ Number string }](t, "GET", s.Control+"/sim/v1/systems/branch/extensions", "", ""); code != 200 || len(all) != 20 {
		t.Errorf("extensions: %d %+v", code, all)
	}
	if code, p := ask[struct{ Availability string }](t, "PUT", s.Control+"/sim/v1/tenants/contoso/users/anna/presence", "", `{"availability":"Busy"}`); code != 200 || p.Availability != "Busy" {
		t.Errorf("presence: %d %+v", code, p)
	}
	if code, _ := ask[any](t, "GET", s.Control+"/livez", "", ""); code != 200 {
		t.Errorf("livez: %d", code)
	}
}

func TestTheControlInterfaceAnswersOnlyThoseWhoNameIt(t *testing.T) {
	s := start(t, simulator.Options{Hosts: []string{"simulator"}})
	for _, c := range []struct {
		name, host, site string
		want             int
	}{
		{"loopback", "", "", 200}, {"the name it was started with", "simulator:9480", "", 200}, {"localhost", "localhost", "", 200},
		{"a name rebound to loopback", "evil.example:9480", "", 403}, {"a foreign page", "", "cross-site", 403},
	} {
		t.Run(c.name, func(t *testing.T) {
			r, err := http.NewRequestWithContext(t.Context(), http.MethodPut, s.Control+"/sim/v1/tenants/contoso/users/anna/presence", strings.NewReader(`{"availability":"Away"}`))
			if err != nil {
				t.Fatal(err)
			}
			r.Host = c.host
			if c.site != "" {
				r.Header.Set("Sec-Fetch-Site", c.site)
			}
			answer, err := http.DefaultClient.Do(r)
			if err != nil {
				t.Fatal(err)
			}
			answer.Body.Close()
			if answer.StatusCode != c.want {
				t.Fatalf("%s, want %d", answer.Status, c.want)
			}
		})
	}
}

func TestTheFilesMakeAConfigurationThatLoadsAndCredentialsThatFit(t *testing.T) {
	s := start(t, simulator.Options{Dir: filepath.Join(t.TempDir(), "with space and \"quote\""), Policy: "upsert-only"})
	path := filepath.Join(t.TempDir(), "offhook.yaml")
	if err := os.WriteFile(path, []byte(s.ConfigYAML("data_dir: "+t.TempDir())), 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := config.Load(path, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	if len(c.Tenants) != 1 || len(c.Tenants[0].Microsoft365.Accounts) != 1 || len(c.Systems) != 1 || c.Systems[0].URL != s.PBX.URL() || c.Tenants[0].Users.Policy != "upsert-only" {
		t.Errorf("%+v", c)
	}
	for _, name := range []string{simulator.CAFile, simulator.CertificateFile, simulator.PBXSecretFile, simulator.RefreshFile, simulator.WebhookKeyFile} {
		if info, err := os.Stat(filepath.Join(s.Dir, name)); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, %v", name, info, err)
		}
	}
	_, pbxSecret := s.PBX.Credentials()
	if written, err := secret.ReadFile(filepath.Join(s.Dir, simulator.PBXSecretFile)); err != nil || written.Reveal() != pbxSecret.Reveal() {
		t.Errorf("the phone system's secret is another one than in its file: %v", err)
	}
	if _, err := tls.LoadX509KeyPair(filepath.Join(s.Dir, simulator.WebhookCertFile), filepath.Join(s.Dir, simulator.WebhookKeyFile)); err != nil {
		t.Error(err)
	}
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: s.Authority().Pool()}}}
	defer client.CloseIdleConnections()
	for _, url := range []string{s.Graph.GraphURL() + "/v1.0/users", s.PBX.URL() + "/xapi/v1/Users"} {
		answer, err := client.Get(url)
		if err != nil {
			t.Fatal(err)
		}
		answer.Body.Close()
		if answer.StatusCode != http.StatusUnauthorized {
			t.Errorf("%s without a token: %s", url, answer.Status)
		}
	}
}

func TestARestartKeepsTheAppsCertificate(t *testing.T) {
	dir := t.TempDir()
	read := func() []byte {
		data, err := os.ReadFile(filepath.Join(dir, simulator.CertificateFile))
		if err != nil {
			t.Fatal(err)
		}
		return data
	}
	start(t, simulator.Options{Dir: dir})
	first := read()
	start(t, simulator.Options{Dir: dir})
	if !bytes.Equal(first, read()) {
		t.Fatal("a service that has read the certificate could not sign in any more")
	}
}

func TestNobodySignedInMeansNoAccount(t *testing.T) {
	s := start(t, simulator.Options{Account: "-"})
	if _, err := os.Stat(filepath.Join(s.Dir, simulator.RefreshFile)); !os.IsNotExist(err) {
		t.Errorf("there is a refresh token: %v", err)
	}
	if !strings.Contains(s.ConfigYAML(""), "accounts: []") {
		t.Error("the configuration names an account")
	}
}

func TestWhatCannotStartLeavesNothingBehind(t *testing.T) {
	taken := start(t, simulator.Options{})
	address := strings.TrimPrefix(taken.Control, "http://")
	for name, o := range map[string]simulator.Options{
		"no folder":               {},
		"control address taken":   {Dir: t.TempDir(), ControlListen: address},
		"account that nobody has": {Dir: t.TempDir(), Account: "nobody"},
		"phone system taken":      {Dir: t.TempDir(), PBXListen: address},
	} {
		if _, err := simulator.Start(t.Context(), o); err == nil {
			t.Errorf("%s: it started", name)
		}
	}
}

func TestMainSaysWhereItListensAndEndsWhenAsked(t *testing.T) {
	env := map[string]string{"OFFHOOK_SIM_USERS": "3", "OFFHOOK_SIM_GRAPH_LISTEN": "127.0.0.1:0", "OFFHOOK_SIM_DIR": t.TempDir()}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	reader, stdout := io.Pipe()
	ended := make(chan int, 1)
	go func() {
		ended <- simulator.Main(ctx, []string{"--pbx-listen", "127.0.0.1:0", "--control-listen=127.0.0.1:0"}, func(name string) string { return env[name] }, stdout, io.Discard)
		stdout.Close()
	}()
	said := make([]byte, 4096)
	n, err := reader.Read(said)
	if err != nil || !strings.Contains(string(said[:n]), "control  http://127.0.0.1:") {
		t.Fatalf("%q, %v", said[:n], err)
	}
	_, control, _ := strings.Cut(string(said[:n]), "control  http://")
	control, _, _ = strings.Cut(control, "\n")
	for address, want := range map[string]int{control: 0, "127.0.0.1:1": 1} {
		if code := simulator.Main(t.Context(), []string{"--health", "--control-listen", address}, func(string) string { return "" }, io.Discard, io.Discard); code != want {
			t.Errorf("health of %s: exit %d, want %d", address, code, want)
		}
	}
	cancel()
	bustest.Eventually(t, 10*time.Second, func() string {
		select {
		case code := <-ended:
			ended <- code
			if code == 0 {
				return ""
			}
		default:
		}
		return "it has not ended well"
	})
}

func TestMainRefusesWrongUsage(t *testing.T) {
	none := func(string) string { return "" }
	for name, c := range map[string]struct {
		args []string
		env  func(string) string
	}{
		"unknown flag":          {[]string{"--nonsense"}, none},
		"argument":              {[]string{"start"}, none},
		"no users":              {[]string{"--users", "0"}, none},
		"too many extensions":   {[]string{"--users", "5", "--extensions", "6"}, none},
		"no id":                 {[]string{"--system", "Head Quarters"}, none},
		"environment with text": {nil, func(name string) string { return map[string]string{"OFFHOOK_SIM_USERS": "many"}[name] }},
	} {
		var stderr bytes.Buffer
		if code := simulator.Main(t.Context(), c.args, c.env, io.Discard, &stderr); code != 2 || !strings.Contains(stderr.String(), "OH-SIM-USAGE") {
			t.Errorf("%s: exit %d, %s", name, code, &stderr)
		}
	}
}
