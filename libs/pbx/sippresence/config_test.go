package sippresence

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"offhook.dev/libs/core/fault"
	"offhook.dev/libs/core/presence"
	"offhook.dev/libs/secret"
)

func TestEveryProblemIsSaidAtOnce(t *testing.T) {
	_, err := Open(t.Context(), Config{Transport: "sctp", Domain: "a b", AOR: "sip:{domain}",
		Password: secret.NewValue("hunter2"), Expires: 1500 * time.Millisecond})
	if err == nil || fault.KindOf(err) != fault.Invalid {
		t.Fatalf("got %v", err)
	}
	for _, problem := range []string{"transport", "server", "domain", "aor", "username", "expires"} {
		if !strings.Contains(err.Error(), problem) {
			t.Errorf("%q does not speak of the %s", err, problem)
		}
	}
	if strings.Contains(err.Error(), "hunter2") {
		t.Errorf("%q tells the password", err)
	}
}

func TestConfigurations(t *testing.T) {
	good := Config{Server: "presence.example.com", Domain: "example.com"}
	cases := []struct {
		name   string
		adjust func(*Config)
		want   string // the server's address and the address of *7#; "": refused
	}{
		{"defaults are filled in", func(*Config) {}, "presence.example.com:5060 sip:*7%23@example.com"},
		{"tls has its own port", func(c *Config) { c.Transport = TLS }, "presence.example.com:5061 sip:*7%23@example.com"},
		{"a port stays", func(c *Config) { c.Server = "[2001:db8::1]:5070" }, "[2001:db8::1]:5070 sip:*7%23@example.com"},
		{"an address needs no port", func(c *Config) { c.Server = "2001:db8::1" }, "[2001:db8::1]:5060 sip:*7%23@example.com"},
		{"another template is used", func(c *Config) { c.AOR = "sip:ext-{ext}@{domain}" }, "presence.example.com:5060 sip:ext-*7%23@example.com"},
		{"it may be sips over tls", func(c *Config) { c.AOR, c.Transport = "sips:{ext}@{domain}", TLS }, "presence.example.com:5061 sips:*7%23@example.com"},
		{"it may not be over tcp", func(c *Config) { c.AOR, c.Transport = "sips:{ext}@{domain}", TCP }, ""},
		{"a template of another scheme is refused", func(c *Config) { c.AOR = "tel:{ext}" }, ""},
		{"a template with a header in it is refused", func(c *Config) { c.AOR = "sip:{ext}@{domain}\r\nX: y" }, ""},
		{"a username with a line break is refused", func(c *Config) { c.Username = "a\r\nb" }, ""},
		{"a port that is no number is refused", func(c *Config) { c.Server = "presence.example.com:sip" }, ""},
		{"a lamp that is red for who is available is refused", func(c *Config) { c.Lamps = presence.SetOf(presence.Available, presence.DND) }, ""},
		{"a lifetime of two days is refused", func(c *Config) { c.Expires = 48 * time.Hour }, ""},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			config := good
			c.adjust(&config)
			full, err := config.completed()
			if c.want == "" {
				if err == nil {
					t.Errorf("accepted as %+v", full)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			address, err := full.address("*7#")
			if got := fmt.Sprintf("%s %s", full.Server, address.String()); err != nil || got != c.want {
				t.Errorf("got %q (%v), want %q", got, err, c.want)
			}
		})
	}
}
