package doctor

import (
	"testing"

	"offhook.dev/libs/config"
)

func TestVersionsAreComparedByTheirNumbers(t *testing.T) {
	for version, c := range map[string]struct{ older, ok bool }{
		"20.0.8": {false, true}, "20.0.10.1109": {false, true}, "20.0.7": {true, true}, "18.0.9": {true, true}, "21": {false, true}, "20": {true, true},
		"20.1": {false, true}, "": {false, false}, "AMI 9.0.0": {false, false}, "certified-18.9": {false, false},
	} {
		if older, ok := before(version, []int{20, 0, 8}); older != c.older || ok != c.ok {
			t.Errorf("%q: older %v, known %v", version, older, ok)
		}
	}
}

func TestWhereACertificateIsLookedFor(t *testing.T) {
	for _, c := range []struct {
		driver, url   string
		options       map[string]any
		address, name string // "": nowhere
	}{
		{"3cx", "https://pbx.example.com", nil, "pbx.example.com:443", "pbx.example.com"},
		{"portsip", "https://pbx.example.com:5001", nil, "pbx.example.com:5001", "pbx.example.com"},
		{"asterisk", "tls://10.0.0.5", map[string]any{"server_name": "pbx.example.com"}, "10.0.0.5:5039", "pbx.example.com"},
		{"asterisk", "tls://pbx.example.com:8022", nil, "pbx.example.com:8022", "pbx.example.com"},
		{"freeswitch", "tls://pbx.example.com", nil, "pbx.example.com:8021", "pbx.example.com"},
		{"freeswitch", "tls://[2001:db8::1]:8022", nil, "[2001:db8::1]:8022", "2001:db8::1"},
		{"sip-presence", "sips:pbx.example.com:5070", nil, "pbx.example.com:5070", "pbx.example.com"},
		{"sip-presence", "sips://pbx.example.com", nil, "pbx.example.com:5061", "pbx.example.com"},
		{"sip-presence", "sip://pbx.example.com:5071", map[string]any{"transport": "tls"}, "pbx.example.com:5071", "pbx.example.com"},
		{"sip-presence", "sip://pbx.example.com", nil, "", ""},
		{"freeswitch", "tcp://127.0.0.1:8021", nil, "", ""},
		{"another", "tls://pbx.example.com", nil, "", ""},
		{"another", "tls://pbx.example.com:7000", nil, "pbx.example.com:7000", "pbx.example.com"},
		{"memory", "", nil, "", ""},
		{"3cx", "https://%", nil, "", ""},
		{"3cx", "https://", nil, "", ""},
	} {
		address, name, ok := endpoint(config.System{Driver: c.driver, URL: c.url, Options: c.options})
		if address != c.address || name != c.name || ok != (c.address != "") {
			t.Errorf("%s, %q: %q, %q, %v", c.driver, c.url, address, name, ok)
		}
	}
}
