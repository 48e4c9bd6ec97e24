package writer

import (
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"offhook.dev/libs/config"
	"offhook.dev/libs/core/fault"
	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/pbx"
	"offhook.dev/libs/pbx/sippresence"
)

// front is a system that says as little as it may.
func front() config.System {
	return config.System{ID: "front", Driver: "sip-presence", URL: "sip://presence.example.com", Options: map[string]any{"domain": "example.com"}}
}

func TestSIPPresenceReadsItsOptions(t *testing.T) {
	cases := []struct {
		name   string
		adjust func(*config.System)
		want   func(sippresence.Config) bool
	}{
		{"without a port and a transport the driver's defaults count", func(*config.System) {},
			func(c sippresence.Config) bool {
				return c.Server == "presence.example.com" && c.Transport == "" && c.Domain == "example.com"
			}},
		{"the URL may be written without slashes", func(s *config.System) { s.URL = "sip:192.0.2.1:5070" },
			func(c sippresence.Config) bool { return c.Server == "192.0.2.1:5070" }},
		{"an IPv6 address keeps its brackets", func(s *config.System) { s.URL = "sip://[2001:db8::1]:5070" },
			func(c sippresence.Config) bool { return c.Server == "[2001:db8::1]:5070" }},
		{"sips is tls", func(s *config.System) { s.URL = "sips://presence.example.com:5061" },
			func(c sippresence.Config) bool { return c.Transport == sippresence.TLS }},
		{"the transport can be named", func(s *config.System) { s.Options["transport"] = "tcp" },
			func(c sippresence.Config) bool { return c.Transport == sippresence.TCP }},
		{"the address of record can be another", func(s *config.System) { s.Options["aor"] = "sip:x{ext}@{domain}" },
			func(c sippresence.Config) bool { return c.AOR == "sip:x{ext}@{domain}" }},
		{"the name in the certificate can be another", func(s *config.System) { s.Options["server_name"] = "sip.example.com" },
			func(c sippresence.Config) bool { return c.ServerName == "sip.example.com" }},
		{"the lifetime is a length of time", func(s *config.System) { s.Options["expires"] = "10m" },
			func(c sippresence.Config) bool { return c.Expires == 10*time.Minute }},
		{"switches are switches", func(s *config.System) { s.Options["refresh_whole"], s.Options["remove_on_close"] = true, true },
			func(c sippresence.Config) bool { return c.RefreshWhole && c.RemoveOnClose }},
		{"a range keeps its leading zeros", func(s *config.System) { s.Options["extensions"] = "008-011" },
			func(c sippresence.Config) bool {
				return slices.Equal(c.Extensions, []identity.Extension{"008", "009", "010", "011"})
			}},
		{"a list mixes ranges and names", func(s *config.System) { s.Options["extensions"] = []any{"20-21", "reception.2", "*7"} },
			func(c sippresence.Config) bool {
				return slices.Equal(c.Extensions, []identity.Extension{"20", "21", "reception.2", "*7"})
			}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			s := front()
			c.adjust(&s)
			got, o := sipPresenceConfig(s)
			if problems := o.all(); len(problems) > 0 || !c.want(got) {
				t.Fatalf("got %+v, %v", got, problems)
			}
			open(t, s)
		})
	}
}

func TestSIPPresenceNamesWhatIsWrong(t *testing.T) {
	cases := []struct {
		name   string
		adjust func(*config.System)
		key    string // in the error
	}{
		{"another scheme", func(s *config.System) { s.URL = "https://presence.example.com" }, "url"},
		{"no URL", func(s *config.System) { s.URL = "" }, "url"},
		{"a URL without a host", func(s *config.System) { s.URL = "sip://" }, "url"},
		{"a password in the URL", func(s *config.System) { s.URL = "sip://me:hunter2@presence.example.com" }, "url"},
		{"a parameter in the URL", func(s *config.System) { s.URL = "sip:presence.example.com;transport=tcp" }, "url"},
		{"no domain", func(s *config.System) { delete(s.Options, "domain") }, "options.domain"},
		{"a domain that is a number", func(s *config.System) { s.Options["domain"] = 7 }, "options.domain"},
		{"a domain that is no host name", func(s *config.System) { s.Options["domain"] = "a b" }, "domain"},
		{"an unknown transport", func(s *config.System) { s.Options["transport"] = "sctp" }, "transport"},
		{"sips over udp", func(s *config.System) { s.URL, s.Options["transport"] = "sips://presence.example.com", "udp" }, "options.transport"},
		{"an address of record without its extension", func(s *config.System) { s.Options["aor"] = "sip:all@{domain}" }, "aor"},
		{"a lifetime without a unit", func(s *config.System) { s.Options["expires"] = 3600 }, "options.expires"},
		{"a lifetime that is no time", func(s *config.System) { s.Options["expires"] = "an hour" }, "options.expires"},
		{"a lifetime of two days", func(s *config.System) { s.Options["expires"] = "48h" }, "expires"},
		{"a switch that is a word", func(s *config.System) { s.Options["refresh_whole"] = "sure" }, "options.refresh_whole"},
		{"another switch that is a word", func(s *config.System) { s.Options["remove_on_close"] = "sure" }, "options.remove_on_close"},
		{"a name that is a list", func(s *config.System) { s.Options["server_name"] = []any{"a"} }, "options.server_name"},
		{"a bare number, which has lost its zeros", func(s *config.System) { s.Options["extensions"] = []any{7} }, "options.extensions"},
		{"an extension with a space", func(s *config.System) { s.Options["extensions"] = "1 2" }, "options.extensions"},
		{"a range backwards", func(s *config.System) { s.Options["extensions"] = "199-100" }, "options.extensions"},
		{"a range over a digit", func(s *config.System) { s.Options["extensions"] = "99-100" }, "options.extensions"},
		{"a range without end", func(s *config.System) { s.Options["extensions"] = "000000000-999999999" }, "options.extensions"},
		{"too many ranges", func(s *config.System) { s.Options["extensions"] = []any{"0000-5999", "10000-15999"} }, "options.extensions"},
		{"an option that nobody knows", func(s *config.System) { s.Options["expiers"] = "1h" }, "options.expiers"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			s := front()
			c.adjust(&s)
			driver, err := OpenDriver(t.Context(), s)
			if err == nil {
				driver.Close()
				t.Fatal("accepted")
			}
			if fault.KindOf(err) != fault.Invalid || !strings.Contains(err.Error(), c.key) || strings.Contains(err.Error(), "hunter2") {
				t.Errorf("got %v: %v", fault.KindOf(err), err)
			}
			if problems := Check(config.Config{Systems: []config.System{s}}); len(problems) != 1 || !strings.HasSuffix(problems[0].Key, c.key) || problems[0].Fix == "" {
				t.Errorf("when the configuration is loaded: %v", problems)
			}
		})
	}
	t.Run("several things at once", func(t *testing.T) {
		s := front()
		s.URL, s.Options = "", map[string]any{"expires": true, "colour": "red"}
		_, err := OpenDriver(t.Context(), s)
		for _, key := range []string{"url", "options.domain", "options.expires", "options.colour"} {
			if err == nil || !strings.Contains(err.Error(), key) {
				t.Errorf("%v does not speak of %s", err, key)
			}
		}
	})
}

func TestTheConfigurationIsJudgedBeforeAnythingStarts(t *testing.T) {
	office := func(options map[string]any) config.System {
		return config.System{ID: "hq", Driver: "3cx", URL: "https://pbx.example.com", ClientID: "offhook", Options: options}
	}
	lab := func(options map[string]any) config.System {
		return config.System{ID: "lab", Driver: "memory", Options: options}
	}
	withURL := func(s config.System, url string) config.System {
		s.URL = url
		return s
	}
	cases := []struct {
		name   string
		system config.System
		key    string // "": nothing is wrong
	}{
		{"a 3CX that says no more than it must", office(nil), ""},
		{"a 3CX whose own sync is ignored", office(map[string]any{"ignore_native_sync": true}), ""},
		{"a switch that is a word", office(map[string]any{"ignore_native_sync": "yes"}), "options.ignore_native_sync"},
		{"an option that 3CX has not", office(map[string]any{"domain": "x"}), "options.domain"},
		{"an option with a dot in its name", office(map[string]any{"a.b": "x"}), `options."a.b"`},
		{"a 3CX with a path", withURL(office(nil), "https://pbx.example.com/xapi"), "url"},
		{"a presence server that says no more than it must", front(), ""},
		{"a password without an account", config.System{Driver: "sip-presence", URL: "sip:a", ClientSecretFile: "x", Options: front().Options}, "client_id"},
		{"a memory system", lab(map[string]any{"extensions": 3}), ""},
		{"fewer extensions than none", lab(map[string]any{"extensions": -1}), "options.extensions"},
		{"a number that is a word", lab(map[string]any{"extensions": "ten"}), "options.extensions"},
		{"a PortSIP that says no more than it must", branch(), ""},
		{"a FreeSWITCH that says no more than it must", switchboard(), ""},
		{"an Asterisk that says no more than it must", plant(), ""},
		{"a driver with which the configuration has a problem already", config.System{}, ""},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			found := Check(config.Config{Systems: []config.System{lab(nil), c.system}})
			switch {
			case c.key == "" && len(found) == 0:
			case c.key != "" && len(found) == 1 && found[0].Key == "systems[1]."+c.key && found[0].What != "" && found[0].Fix != "":
			default:
				t.Errorf("found %v, want %q", found, c.key)
			}
		})
	}
}

func TestSIPPresenceReadsItsFiles(t *testing.T) {
	dir := t.TempDir()
	s := front()
	s.ClientID, s.ClientSecretFile = "offhook", filepath.Join(dir, "secret")
	if _, err := OpenDriver(t.Context(), s); fault.KindOf(err) != fault.Denied {
		t.Errorf("without its file: %v", err)
	}
	if err := os.WriteFile(s.ClientSecretFile, []byte("correct horse\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	open(t, s)
	s.CAFile = s.ClientSecretFile
	if _, err := OpenDriver(t.Context(), s); fault.KindOf(err) != fault.Denied {
		t.Errorf("with a file that holds no certificates: %v", err)
	}
}

func TestAnInventoryNeedsConfiguredExtensions(t *testing.T) {
	s := front()
	if open(t, s).Capabilities().Extensions {
		t.Error("there is one without")
	}
	s.Options["extensions"] = "100-199"
	if !open(t, s).Capabilities().Extensions {
		t.Error("there is none with")
	}
}

// open makes a driver, which sends nothing, until the end of the test.
func open(t *testing.T, s config.System) pbx.Driver {
	t.Helper()
	driver, err := OpenDriver(t.Context(), s)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { driver.Close() })
	return driver
}

func TestEveryDriverThatCanBeConfiguredIsThere(t *testing.T) {
	field, _ := reflect.TypeFor[config.System]().FieldByName("Driver")
	names := strings.Fields(field.Tag.Get("oneof"))
	slices.Sort(names)
	if is := slices.Sorted(maps.Keys(drivers)); !slices.Equal(is, names) {
		t.Errorf("%v can be configured, and there are %v", names, is)
	}
}
