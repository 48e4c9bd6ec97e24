package config

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

// TestNothingShowsASecret prints a Config that holds every kind of secret in
// every way that there is.
func TestNothingShowsASecret(t *testing.T) {
	dir := folder(t)
	c, err := load(filepath.Join(dir, "offhook.yaml"), []string{
		"OFFHOOK_REDIS_URL=rediss://offhook:hunter2@cache:6379/1", "OFFHOOK_NATS_URL=nats://a:hunter2@n1:4222,tls://hunter2@n2",
	}, nil, today)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(c.Redis.URL.Reveal(), "hunter2") || !strings.Contains(c.NATS.URL.Reveal(), "hunter2") {
		t.Fatal("the Config holds no secret to hide")
	}
	shown := make(map[string]string)
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
		shown[verb] = fmt.Sprintf(verb, c)
		shown["pointer "+verb] = fmt.Sprintf(verb, &c)
		shown["url "+verb] = fmt.Sprintf(verb, c.Redis.URL)
	}
	asJSON, err := json.Marshal(c)
	must(t, err)
	asYAML, err := yaml.Marshal(c)
	must(t, err)
	shown["JSON"], shown["YAML"] = string(asJSON), string(asYAML)
	var log bytes.Buffer
	slog.New(slog.NewJSONHandler(&log, nil)).Info("json", "config", c, "url", c.Redis.URL)
	slog.New(slog.NewTextHandler(&log, nil)).Info("text", "config", c, "url", c.NATS.URL)
	shown["slog"] = log.String()
	for how, text := range shown {
		for _, leak := range []string{"hunter2", fmt.Sprintf("%x", "hunter2")} {
			if strings.Contains(text, leak) {
				t.Errorf("%s shows the secret: %s", how, text)
			}
		}
	}
	for _, how := range []string{"%+v", "JSON", "YAML", "slog"} {
		if !strings.Contains(shown[how], "cache:6379/1") {
			t.Errorf("%s does not even show the host", how)
		}
	}
}

func TestSecretURLShows(t *testing.T) {
	for text, want := range map[string]string{
		"":                                   "",
		"redis://cache:6379":                 "redis://cache:6379",
		"redis://:hunter2@cache:6379/0":      "redis://<secret>@cache:6379/0",
		"redis://cache/0?password=hunter2":   "redis://cache/0?<secret>",
		"nats://n1,tls://hunter2@n2:4222":    "nats://n1,tls://<secret>@n2:4222",
		"redis://:hunter2%zz@cache":          "<secret>",
		"hunter2":                            "<secret>",
		"redis:hunter2":                      "<secret>",
		"redis://:hun,ter2@cache":            "<secret>",
		"unix://offhook:hunter2@/run/r.sock": "unix://<secret>@/run/r.sock",
	} {
		if got := NewSecretURL(text).String(); got != want {
			t.Errorf("%s shows as %s, want %s", text, got, want)
		}
	}
}

// TestSecretsAreReadWhenAskedFor: after a rotation the next reader gets the new
// one, without loading the configuration again.
func TestSecretsAreReadWhenAskedFor(t *testing.T) {
	dir := folder(t)
	c, err := load(filepath.Join(dir, "offhook.yaml"), []string{
		"OFFHOOK_WEBHOOK_TLS_CERT_FILE=web.crt", "OFFHOOK_WEBHOOK_TLS_KEY_FILE=web.key", "OFFHOOK_SYSTEMS_0_CA_FILE=web.ca",
		"OFFHOOK_TENANTS_0_MICROSOFT365_ENDPOINTS_CA_FILE=other.ca",
	}, nil, today)
	if err != nil {
		t.Fatal(err)
	}
	tenant, system := c.Tenants[0], c.Systems[0]
	write(t, dir, "hq.secret", []byte("rotated"))
	if got, err := system.ClientSecret(); err != nil || got.Reveal() != "rotated" {
		t.Errorf("client secret: %v", err)
	}
	rotated := keyPair(t, today)
	write(t, dir, "contoso.pem", pairPEM(t, rotated))
	if got, err := tenant.Microsoft365.KeyPair(); err != nil || !got.Key.Equal(rotated.Key) {
		t.Errorf("key pair: %v", err)
	}
	web := server(t, dir, "web", today)
	if got, err := c.Webhook.TLS.KeyPair(); err != nil || !bytes.Equal(got.Certificate[0], web.Certificate[0]) {
		t.Errorf("server certificate: %v", err)
	}
	if pool, err := system.Roots(); err != nil || pool == nil {
		t.Errorf("authorities of the system: %v, %v", pool, err)
	}
	if pool, err := tenant.Microsoft365.Endpoints.Roots(); err != nil || pool == nil {
		t.Errorf("authorities of the tenant: %v, %v", pool, err)
	}
	if pool, err := (System{}).Roots(); err != nil || pool != nil {
		t.Errorf("without a file: %v, %v; want the machine's own", pool, err)
	}
}
