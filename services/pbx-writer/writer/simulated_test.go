package writer

import (
	"maps"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/emiago/sipgo/sip"

	"offhook.dev/libs/config"
	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/pbx/asterisksim"
	"offhook.dev/libs/pbx/freeswitchsim"
	"offhook.dev/libs/pbx/pbxsim"
	"offhook.dev/libs/pbx/portsipsim"
	"offhook.dev/libs/secret"
)

// simulated is a phone system and its entry in the configuration, but for the driver.
type simulated struct {
	system    config.System
	extension identity.Extension // that exists
	requests  func() int         // how many have arrived, apart from signing in; nil: there are none
}

// way is one way to configure a driver.
type way struct {
	with  string // in what it differs from the first
	start func(*testing.T) simulated
}

// examples are all drivers, each with the ways to configure it between which what it can
// differs. The first says as little as it may.
var examples = []struct {
	driver string
	ways   []way
}{
	{"3cx", []way{
		{"", func(t *testing.T) simulated { return simulatedThreeCX(t, pbxsim.Config{Version: "20.0.10"}) }},
		{"before 20.0.9", func(t *testing.T) simulated { return simulatedThreeCX(t, pbxsim.Config{Version: "20.0.8"}) }},
		{"without *Call Control access*", func(t *testing.T) simulated {
			return simulatedThreeCX(t, pbxsim.Config{Version: "20.0.10", CallControl: pbxsim.Forbidden})
		}},
	}},
	{"portsip", []way{
		{"", func(t *testing.T) simulated { return simulatedPortSIP(t, nil) }},
		{"`partial_changes`", func(t *testing.T) simulated { return simulatedPortSIP(t, map[string]any{"partial_changes": true}) }},
		{"`statuses: presence`", func(t *testing.T) simulated { return simulatedPortSIP(t, map[string]any{"statuses": "presence"}) }},
		{"`statuses: own`, with `accounts`", func(t *testing.T) simulated { return simulatedPortSIP(t, map[string]any{"statuses": "own"}) }},
	}},
	{"asterisk", []way{
		{"", func(t *testing.T) simulated { return simulatedAsterisk(t, nil) }},
		{"`without_lamps`", func(t *testing.T) simulated { return simulatedAsterisk(t, map[string]any{"without_lamps": true}) }},
		{"`presence_text`", func(t *testing.T) simulated { return simulatedAsterisk(t, map[string]any{"presence_text": true}) }},
		{"`write = originate`", func(t *testing.T) simulated {
			return simulatedAsterisk(t, nil, "system,call,reporting,originate")
		}},
		{"`plain` with `database`", func(t *testing.T) simulated {
			return simulatedAsterisk(t, map[string]any{"profile": "plain", "context": "ext-local", "database": "DND/{ext}"})
		}},
		{"`plain` with `presence`", func(t *testing.T) simulated {
			return simulatedAsterisk(t, map[string]any{"profile": "plain", "context": "ext-local", "presence": "CustomPresence:{ext}"})
		}},
	}},
	{"freeswitch", []way{
		{"", func(t *testing.T) simulated { return simulatedFreeSWITCH(t, nil) }},
		{"`lamps: false`", func(t *testing.T) simulated { return simulatedFreeSWITCH(t, map[string]any{"lamps": false}) }},
		{"`profile: directory`", func(t *testing.T) simulated {
			return simulatedFreeSWITCH(t, map[string]any{"profile": "directory", "command": "lua offhook_dnd.lua {ext} {domain} {dnd}"})
		}},
		{"`profile: fusionpbx`", func(t *testing.T) simulated {
			return simulatedFreeSWITCH(t, map[string]any{"profile": "fusionpbx", "command": "lua offhook_dnd.lua {ext} {domain} {dnd}"})
		}},
	}},
	{"sip-presence", []way{
		{"", func(t *testing.T) simulated { return simulatedPresenceServer(t, nil) }},
		{"with `extensions`", func(t *testing.T) simulated {
			return simulatedPresenceServer(t, map[string]any{"extensions": "200-201"})
		}},
	}},
	{"memory", []way{{"", func(*testing.T) simulated { return simulated{extension: "100"} }}}},
}

// withOptions returns all of both.
func withOptions(options, more map[string]any) map[string]any {
	maps.Copy(options, more)
	return options
}

// kept is a file that holds text.
func kept(t *testing.T, text string) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "kept")
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

func authority(t *testing.T) *secret.Authority {
	t.Helper()
	a, err := secret.NewAuthority("writer tests", time.Now())
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func simulatedThreeCX(t *testing.T, c pbxsim.Config) simulated {
	t.Helper()
	c.Authority, c.System, c.Extensions = authority(t), "hq", 2
	sim, err := pbxsim.Start(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(sim.Close)
	id, password := sim.Credentials()
	return simulated{config.System{ID: "hq", URL: sim.URL(), ClientID: id, ClientSecretFile: kept(t, password.Reveal()), CAFile: kept(t, string(c.Authority.PEM()))},
		"200", func() int { return sim.Stats().Requests }}
}

func simulatedPortSIP(t *testing.T, options map[string]any) simulated {
	t.Helper()
	a := authority(t)
	sim, err := portsipsim.Start(portsipsim.Config{Authority: a, Extensions: 2})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(sim.Close)
	username, password, domain := sim.Credentials()
	options = withOptions(map[string]any{"domain": domain}, options)
	if options["statuses"] == "own" {
		_, own := sim.CredentialsOf("200")
		options["accounts"] = map[string]any{"200": map[string]any{"password_file": kept(t, own.Reveal())}}
	}
	return simulated{config.System{ID: "branch", URL: sim.URL(), ClientID: username, ClientSecretFile: kept(t, password.Reveal()), CAFile: kept(t, string(a.PEM())), Options: options},
		"200", func() int { return sim.Stats().Requests }}
}

func simulatedAsterisk(t *testing.T, options map[string]any, rights ...string) simulated {
	t.Helper()
	sim, err := asterisksim.Start(asterisksim.Config{Extensions: 2, Write: strings.Join(rights, ",")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(sim.Close)
	username, password := sim.Credentials()
	return simulated{config.System{ID: "plant", URL: sim.URL(), ClientID: username, ClientSecretFile: kept(t, password.Reveal()), Options: options},
		"200", func() int { return sim.Stats().Actions }}
}

func simulatedFreeSWITCH(t *testing.T, options map[string]any) simulated {
	t.Helper()
	sim, err := freeswitchsim.Start(freeswitchsim.Config{Extensions: 2})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(sim.Close)
	_, password, domain := sim.Credentials()
	return simulated{config.System{ID: "hq", URL: sim.URL(), ClientSecretFile: kept(t, password.Reveal()), Options: withOptions(map[string]any{"domain": domain}, options)},
		"1000", func() int { return sim.Stats().Commands }}
}

// simulatedPresenceServer is a server that accepts every request and knows nobody: it
// keeps nothing, as nobody asks it.
func simulatedPresenceServer(t *testing.T, options map[string]any) simulated {
	t.Helper()
	socket, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var requests atomic.Int64
	over := make(chan struct{})
	go func() {
		defer close(over)
		seen := make(map[string]bool)
		for buffer := make([]byte, 1<<16); ; {
			n, from, err := socket.ReadFrom(buffer)
			if err != nil {
				return
			}
			message, err := sip.ParseMessage(buffer[:n])
			request, ok := message.(*sip.Request)
			if err != nil || !ok {
				continue
			}
			if via := request.Via().Value(); !seen[via] { // else the same once more, for fear that it was lost
				seen[via] = true
				requests.Add(1)
			}
			answer := sip.NewResponseFromRequest(request, sip.StatusOK, "OK", nil)
			answer.AppendHeader(sip.NewHeader("SIP-ETag", "a"))
			answer.AppendHeader(sip.NewHeader("Expires", "3600"))
			_, _ = socket.WriteTo([]byte(answer.String()), from)
		}
	}()
	t.Cleanup(func() { socket.Close(); <-over })
	return simulated{config.System{ID: "front", URL: "sip://" + socket.LocalAddr().String(), Options: withOptions(map[string]any{"domain": "example.com"}, options)},
		"200", func() int { return int(requests.Load()) }}
}
