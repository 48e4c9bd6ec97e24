package doctor_test

import (
	"cmp"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"offhook.dev/libs/config"
	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/core/presence"
	"offhook.dev/libs/pbx"
	"offhook.dev/libs/pbx/asterisksim"
	"offhook.dev/libs/pbx/freeswitchsim"
	"offhook.dev/libs/pbx/pbxsim"
	"offhook.dev/libs/pbx/portsipsim"
	"offhook.dev/libs/pbx/sippresence/kamailiotest"
	"offhook.dev/libs/secret"
	"offhook.dev/services/offhook/doctor"
	"offhook.dev/services/pbx-writer/writer"
)

// patient is a phone system with its entry in the configuration.
type patient struct {
	entry config.System
	ext   identity.Extension // that exists
	// What befalls it.
	down    func()
	denies  func() // the account may do nothing
	forbids func() // it may read, and not write
	shown   func() string
	syncs   func(pbx.SyncState) // it synchronises with Microsoft 365 itself
}

// settings are what a patient is made with.
type settings struct {
	authority *secret.Authority
	old       bool // a version of before the driver
	silent    bool // nobody may be told of changes
	unlisted  bool // it lists nobody
	dark      bool // it serves no lamps
}

// file is a file that holds text.
func file(t *testing.T, text string) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "kept")
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// entry completes an entry with what all have.
func entry(t *testing.T, s settings, driver, url, client string, password secret.Value, options map[string]any) config.System {
	return config.System{ID: "hq", Driver: driver, URL: url, ClientID: client, ClientSecretFile: file(t, password.Reveal()),
		CAFile: file(t, string(s.authority.PEM())), Tenants: []string{"contoso"}, Options: options}
}

// hospital has one of each kind. Nil where the real server is not on this machine.
var hospital = map[string]func(*testing.T, settings) *patient{
	"3cx": func(t *testing.T, s settings) *patient {
		c := pbxsim.Config{Authority: s.authority, System: "hq", Extensions: 3}
		if s.old {
			c.Version = "18.0.9.20"
		}
		if s.silent {
			c.CallControl = pbxsim.Forbidden
		}
		sim, err := pbxsim.Start(c)
		must(t, err)
		t.Cleanup(sim.Close)
		id, password := sim.Credentials()
		return &patient{entry(t, s, "3cx", sim.URL(), id, password, nil), "200", sim.Down,
			func() { sim.Inject(pbxsim.Fault{Kind: pbxsim.Deny}) }, func() { sim.Inject(pbxsim.Fault{Kind: pbxsim.Deny, Only: "write"}) },
			func() string { is, _ := sim.Shown("200"); return is.Status.String() }, sim.SetNativeSync}
	},
	"portsip": func(t *testing.T, s settings) *patient {
		sim, err := portsipsim.Start(portsipsim.Config{Authority: s.authority, Extensions: 3})
		must(t, err)
		t.Cleanup(sim.Close)
		id, password, domain := sim.Credentials()
		return &patient{entry(t, s, "portsip", sim.URL(), id, password, map[string]any{"domain": domain}), "200", sim.Down,
			func() { sim.Inject(portsipsim.Fault{Kind: portsipsim.Deny}) }, func() { sim.Inject(portsipsim.Fault{Kind: portsipsim.Deny, Only: "write"}) },
			func() string { status, note := sim.Presence("200"); return fmt.Sprint(status, note, sim.DND("200")) }, sim.SetNativeSync}
	},
	"asterisk": func(t *testing.T, s settings) *patient {
		c := asterisksim.Config{Authority: s.authority, Extensions: 3}
		if s.old {
			c.Version = "11.25.3"
		}
		sim, err := asterisksim.Start(c)
		must(t, err)
		t.Cleanup(sim.Close)
		id, password := sim.Credentials()
		options := map[string]any{}
		if s.unlisted {
			options["context"] = "from-nowhere"
		}
		sim.Press("200", true)
		return &patient{entry(t, s, "asterisk", sim.URL(), id, password, options), "200", sim.Down,
			func() { sim.Inject(asterisksim.Fault{Kind: asterisksim.Deny}) }, func() { sim.Inject(asterisksim.Fault{Kind: asterisksim.Deny, Only: "write"}) },
			func() string {
				value, on := sim.Entry("DND/200")
				return fmt.Sprint(value, on, sim.State("Custom:DND200"))
			}, nil}
	},
	"freeswitch": func(t *testing.T, s settings) *patient {
		sim, err := freeswitchsim.Start(freeswitchsim.Config{Authority: s.authority, Extensions: 3, Unlisted: s.unlisted})
		must(t, err)
		t.Cleanup(sim.Close)
		user, password, domain := sim.Credentials()
		for _, n := range sim.Numbers() {
			sim.Store("offhook", n, "lunch") // else it shows nothing
		}
		return &patient{entry(t, s, "freeswitch", sim.URL(), user, password, map[string]any{"domain": domain}), "1000", sim.Down,
			func() { sim.Inject(freeswitchsim.Fault{Kind: freeswitchsim.Deny}) }, func() { sim.Inject(freeswitchsim.Fault{Kind: freeswitchsim.Deny, Only: "write"}) },
			func() string { return sim.Stored("offhook", "1000") }, nil}
	},
	"sip-presence": func(t *testing.T, s settings) *patient {
		server := kamailiotest.Start(t, kamailiotest.Options{Authority: s.authority, NoDialogs: s.dark})
		if server == nil {
			return nil
		}
		return presenceServer(t, s, server)
	},
}

func presenceServer(t *testing.T, s settings, server *kamailiotest.Server) *patient {
	options := map[string]any{"domain": kamailiotest.Domain, "extensions": "120-122"}
	if s.unlisted {
		delete(options, "extensions")
	}
	return &patient{entry: entry(t, s, "sip-presence", "sips://"+server.Address(kamailiotest.TLS), kamailiotest.Username, secret.NewValue(kamailiotest.Password), options),
		ext: "120", down: server.Stop}
}

func newAuthority(t *testing.T, when time.Time) *secret.Authority {
	t.Helper()
	a, err := secret.NewAuthority("doctor tests", when)
	must(t, err)
	return a
}

// examined is what the doctor says of a phone system that serves contoso.
func examined(t *testing.T, s config.System, mode presence.Mode, links []config.Link, write ...identity.Line) []doctor.Check {
	t.Helper()
	tenant := config.DefaultTenant()
	tenant.ID, tenant.Presence.Mode, tenant.Links = "contoso", string(mode), links
	checks := doctor.Run(t.Context(), config.Config{Tenants: []config.Tenant{tenant}, Systems: []config.System{s}},
		doctor.Options{Now: time.Now(), OpenSystem: writer.OpenDriver, Write: write})
	return slices.DeleteFunc(checks, func(c doctor.Check) bool { return !strings.HasPrefix(c.Code, "OH-PBX") })
}

// want is a check whose cause and fix have these words in them.
type want struct{ code, level, cause, fix string }

// says says whether all is well but for one check; with ok none but is.
func says(t *testing.T, checks []doctor.Check, w want, bears ...string) {
	t.Helper()
	found := false
	for _, c := range checks {
		switch {
		case c.Code == w.code && c.Level == w.level && strings.Contains(c.Cause, w.cause) && strings.Contains(c.Fix, w.fix) && (c.Level == "ok" || c.Fix != "" && c.Cause != ""):
			found = true
		case c.Level != "ok" && !slices.Contains(bears, c.Code):
			t.Errorf("it says %+v", c)
		}
	}
	if !found {
		t.Errorf("there is no %+v among %+v", w, checks)
	}
}

func TestEachKindOfPhoneSystemIsExaminedInItsOwnWords(t *testing.T) {
	now := time.Now()
	link := func(ext string) []config.Link {
		return []config.Link{{User: "anna@contoso.example", System: "hq", Extension: ext}}
	}
	cases := []struct {
		claim string
		made  settings
		when  time.Time // when its authority was made; zero: now
		spoil func(*testing.T, *patient)
		links string // an extension that a link names
		mode  presence.Mode
		want  map[string]want // by driver; the others are not met
	}{
		{claim: "the account's secret is wrong",
			spoil: func(t *testing.T, p *patient) { p.entry.ClientSecretFile = file(t, "wrong") },
			want: map[string]want{
				"3cx": {"OH-PBX-001", "problem", "client_secret", "Integrations, API"}, "portsip": {"OH-PBX-001", "problem", "password", "two-factor"},
				"asterisk": {"OH-PBX-001", "problem", "not accepted", "manager.conf"}, "freeswitch": {"OH-PBX-001", "problem", "password is not accepted", "event_socket.conf.xml"},
				"sip-presence": {"OH-PBX-003", "problem", "password is wrong", "routing script"},
			}},
		{claim: "the file of the secret is gone",
			spoil: func(_ *testing.T, p *patient) { os.Remove(p.entry.ClientSecretFile) },
			want:  all("3cx portsip asterisk freeswitch sip-presence", want{"OH-PBX-001", "problem", "no such file", "readable for Offhook"})},
		{claim: "it is down",
			spoil: func(_ *testing.T, p *patient) { p.down() },
			want: map[string]want{
				"3cx": {"OH-PBX-001", "problem", "refuses connections", "block list"}, "portsip": {"OH-PBX-001", "problem", "refuses connections", "filter"},
				"asterisk": {"OH-PBX-001", "problem", "refuses connections", "tlsenable"}, "freeswitch": {"OH-PBX-001", "problem", "refuses connections", "listen-port"},
				"sip-presence": {"OH-PBX-003", "problem", "refuses connections", "transport"},
			}},
		{claim: "its authority is not known",
			spoil: func(t *testing.T, p *patient) { p.entry.CAFile = file(t, string(newAuthority(t, now).PEM())) },
			want: with(all("3cx portsip asterisk freeswitch", want{"OH-PBX-001", "problem", "certificate", "ca_file of system hq is of another authority"}),
				"sip-presence", want{"OH-PBX-003", "problem", "certificate", "ca_file of system hq is of another authority"})},
		{claim: "its authority is not named",
			spoil: func(_ *testing.T, p *patient) { p.entry.CAFile = "" },
			want:  all("3cx portsip asterisk freeswitch", want{"OH-PBX-001", "problem", "certificate", "name it in ca_file of system hq"})},
		{claim: "its certificate is of the past", when: now.AddDate(-3, 0, 0),
			want: with(all("3cx portsip asterisk freeswitch", want{"OH-PBX-001", "problem", "expired", "renew the phone system's certificate"}),
				"sip-presence", want{"OH-PBX-003", "problem", "expired", "renew the phone system's certificate"})},
		{claim: "its certificate ends soon", when: now.AddDate(-1, 0, 10),
			want: all("3cx portsip asterisk freeswitch sip-presence", want{"OH-PBX-009", "warning", "ends in", "renew it"})},
		{claim: "its certificate is for another",
			spoil: func(_ *testing.T, p *patient) { p.entry.Options["server_name"] = "pbx.fabrikam.example" },
			want: map[string]want{
				"asterisk":     {"OH-PBX-001", "problem", "pbx.fabrikam.example", "alternative name pbx.fabrikam.example"},
				"sip-presence": {"OH-PBX-003", "problem", "pbx.fabrikam.example", "alternative name pbx.fabrikam.example"},
			}},
		{claim: "nobody speaks TLS there",
			spoil: func(t *testing.T, p *patient) {
				sim, err := asterisksim.Start(asterisksim.Config{})
				must(t, err)
				t.Cleanup(sim.Close)
				p.entry.URL = strings.Split(p.entry.URL, "//")[0] + "//" + sim.Address()
			},
			want: map[string]want{"asterisk": {"OH-PBX-001", "problem", "does not speak TLS", "scheme and port"}, "freeswitch": {"OH-PBX-001", "problem", "speaks TLS", "scheme and port"}}},
		{claim: "the account may do nothing",
			spoil: func(_ *testing.T, p *patient) { p.denies() },
			want: map[string]want{
				"3cx": {"OH-PBX-001", "problem", "403", "role System Admin"}, "portsip": {"OH-PBX-001", "problem", "403", "administrator's role"},
				"asterisk": {"OH-PBX-001", "problem", "ermission", "write = system,call,reporting"}, "freeswitch": {"OH-PBX-001", "problem", "permission denied", "esl-allowed-api"},
			}},
		{claim: "it is older than the driver", made: settings{old: true},
			want: map[string]want{"3cx": {"OH-PBX-010", "warning", "18.0.9.20", "update"}, "asterisk": {"OH-PBX-010", "warning", "11.25.3", "update"}}},
		{claim: "nobody may be told of changes, and calls are wanted", made: settings{silent: true}, mode: presence.Both,
			want: map[string]want{"3cx": {"OH-PBX-008", "problem", "presence.mode of contoso", "Call Control access"}}},
		{claim: "nobody may be told of changes, and nobody wants calls", made: settings{silent: true},
			want: map[string]want{"3cx": {"OH-PBX-008", "ok", "", ""}}},
		{claim: "it cannot tell of calls, which are wanted", mode: presence.Both,
			want: map[string]want{"sip-presence": {"OH-PBX-008", "warning", "presence.mode of contoso", "teams-to-pbx"}}},
		{claim: "it lists nobody", made: settings{unlisted: true},
			want: map[string]want{
				"asterisk": {"OH-PBX-003", "warning", "no extension is listed", "options.context"}, "freeswitch": {"OH-PBX-003", "warning", "no extension is listed", "options.extensions"},
				"sip-presence": {"OH-PBX-003", "warning", "no extension is listed", "options.extensions"},
			}},
		{claim: "a link leads nowhere", links: "999",
			want: all("3cx portsip asterisk freeswitch sip-presence", want{"OH-PBX-007", "warning", "999 (anna@contoso.example of contoso)", "correct links"})},
		{claim: "it syncs calendars itself", spoil: func(_ *testing.T, p *patient) { p.syncs(pbx.SyncState{Calendar: true}) },
			want: all("3cx portsip", want{"OH-PBX-004", "problem", "two masters", "switch its presence and calendar sync off"})},
		{claim: "its answers tell what it is", want: map[string]want{"sip-presence": {"OH-PBX-010", "ok", "", ""}}},
		{claim: "it serves no lamps, which are configured", made: settings{dark: true}, spoil: lit,
			want: map[string]want{"sip-presence": {"OH-PBX-014", "problem", "489", "presence_dialoginfo"}}},
		{claim: "it serves no lamps, and lists nobody", made: settings{dark: true, unlisted: true}, spoil: lit,
			want: map[string]want{"sip-presence": {"OH-PBX-014", "problem", "489", "options.lamps of system hq"}}},
		{claim: "it serves no lamps, and nobody asks for them", made: settings{dark: true},
			want: map[string]want{"sip-presence": {"OH-PBX-003", "ok", "", ""}}},
		{claim: "it serves no lamps, and the list of them is empty", made: settings{dark: true},
			spoil: func(_ *testing.T, p *patient) { p.entry.Options["lamps"] = []any{} },
			want:  map[string]want{"sip-presence": {"OH-PBX-003", "ok", "", ""}}},
		{claim: "it serves the lamps that are configured", spoil: lit,
			want: map[string]want{"sip-presence": {"OH-PBX-014", "ok", "", ""}}},
		{claim: "all is well",
			want: all("3cx portsip asterisk freeswitch sip-presence", want{"OH-PBX-003", "ok", "", ""})},
	}
	for _, c := range cases {
		for _, driver := range slices.Sorted(maps.Keys(c.want)) {
			t.Run(driver+": "+c.claim, func(t *testing.T) {
				made := c.made
				made.authority = newAuthority(t, cmp.Or(c.when, now))
				p := hospital[driver](t, made)
				if p == nil {
					return
				}
				if c.spoil != nil {
					c.spoil(t, p)
				}
				w := c.want[driver]
				bears := []string{"OH-PBX-002"} // not everybody has five statuses
				if w.code == "OH-PBX-003" && w.level == "problem" {
					bears = append(bears, "OH-PBX-009") // no session has looked at the certificate before
				}
				if made.unlisted {
					bears = append(bears, "OH-PBX-003", "OH-PBX-007")
				}
				links := link(cmp.Or(c.links, string(p.ext)))
				says(t, examined(t, p.entry, cmp.Or(c.mode, presence.TeamsToPBX), links), w, bears...)
			})
		}
	}
}

// Where a status routes calls, the doctor says where to.
func TestItIsSaidWhatStatusesDoToCalls(t *testing.T) {
	for driver, lines := range map[string]int{"3cx": 5, "portsip": 0} {
		p := hospital[driver](t, settings{authority: newAuthority(t, time.Now())})
		checks := examined(t, p.entry, presence.TeamsToPBX, nil)
		checks = slices.DeleteFunc(checks, func(c doctor.Check) bool { return c.Code != "OH-PBX-012" })
		if len(checks) != lines {
			t.Fatalf("%s: it says %+v", driver, checks)
		}
		const dnd = "calls of 200 (as an example) while it shows dnd: voicemail; queues are left"
		if lines > 0 && !slices.ContainsFunc(checks, func(c doctor.Check) bool { return c.Check == dnd && c.Level == "ok" }) {
			t.Errorf("%q is not among %+v", dnd, checks)
		}
	}
}

// lit configures lamps.
func lit(_ *testing.T, p *patient) { p.entry.Options["lamps"] = []any{"dnd"} }

// all is the same of each of some drivers.
func all(drivers string, w want) map[string]want {
	wants := make(map[string]want)
	for _, driver := range strings.Fields(drivers) {
		wants[driver] = w
	}
	return wants
}

func with(wants map[string]want, driver string, w want) map[string]want {
	wants[driver] = w
	return wants
}
