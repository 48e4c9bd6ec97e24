package portsip

import (
	"strings"
	"testing"

	"offhook.dev/libs/secret"
)

func TestAWebhookSaysWhatIsWrongWithIt(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*Webhook)
		field  string // "": nothing is
	}{
		"behind a proxy on this machine": {func(*Webhook) {}, ""},
		"on ::1":                         {func(h *Webhook) { h.Listen = "[::1]:8444" }, ""},
		"behind a proxy elsewhere":       {func(h *Webhook) { h.Listen, h.PlainHTTP = ":8444", true }, ""},
		"with a password":                {func(h *Webhook) { h.Username = "offhook" }, ""},
		"nowhere":                        {func(h *Webhook) { h.Listen = "" }, "webhook.listen"},
		"a port alone":                   {func(h *Webhook) { h.Listen = "8444" }, "webhook.listen"},
		"no port":                        {func(h *Webhook) { h.Listen = "127.0.0.1:" }, "webhook.listen"},
		"for everybody in the clear":     {func(h *Webhook) { h.Listen = ":8444" }, "webhook.cert_file"},
		"on a name in the clear":         {func(h *Webhook) { h.Listen = "offhook.example.com:8444" }, "webhook.cert_file"},
		"no token":                       {func(h *Webhook) { h.Secret = secret.Value{} }, "webhook.token_file"},
		"no password":                    {func(h *Webhook) { h.Secret, h.Username = secret.Value{}, "offhook" }, "webhook.password_file"},
		"a token to guess":               {func(h *Webhook) { h.Secret = secret.NewValue("hunter2") }, "webhook.token_file"},
		"a token with a line":            {func(h *Webhook) { h.Secret = secret.NewValue("hunter2 hunter2\nhunter2") }, "webhook.token_file"},
		"a password that is too long":    {func(h *Webhook) { h.Username, h.Secret = "offhook", secret.NewValue(strings.Repeat("hunter2", 10)) }, "webhook.password_file"},
		"a name that is too short":       {func(h *Webhook) { h.Username = "me" }, "webhook.username"},
		"a name with a colon":            {func(h *Webhook) { h.Username = "off:hook" }, "webhook.username"},
	} {
		t.Run(name, func(t *testing.T) {
			h := Webhook{Listen: "127.0.0.1:8444", Secret: byToken.Token}
			c.change(&h)
			username := secret.NewValue("x")
			config := Config{URL: "https://x", Domain: "x", Admin: Account{"x", username}, Events: ByWebhook, Webhook: h}
			problems := config.Problems()
			switch {
			case c.field == "" && len(problems) > 0, c.field != "" && (len(problems) != 1 || problems[0].Field != c.field):
				t.Errorf("found %+v, want %q", problems, c.field)
			case len(problems) > 0 && strings.Contains(problems[0].What, "hunter2"):
				t.Errorf("the secret is told: %s", problems[0].What)
			}
			if config.Events = ByWebsocket; len(config.Problems()) > 0 {
				t.Errorf("what is not used is judged: %+v", config.Problems())
			}
			if config.Events = "letters"; len(config.Problems()) != 1 || config.Problems()[0].Field != "events" {
				t.Errorf("found %+v", config.Problems())
			}
		})
	}
}
