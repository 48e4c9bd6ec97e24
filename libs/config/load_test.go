package config

import (
	"bytes"
	"errors"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

var compare = cmp.AllowUnexported(SecretURL{})

func TestExample(t *testing.T) {
	dir := folder(t)
	got, err := load(filepath.Join(dir, "offhook.yaml"), nil, nil, today)
	if err != nil {
		t.Fatal(err)
	}
	// What the example sets beyond the defaults.
	want := Default()
	tenant, system := DefaultTenant(), DefaultSystem()
	tenant.ID, tenant.Systems = "contoso", []string{"hq"}
	tenant.Microsoft365.DirectoryID = "00000000-0000-0000-0000-000000000000"
	tenant.Microsoft365.ClientID = "00000000-0000-0000-0000-000000000000"
	tenant.Microsoft365.CertificateFile = filepath.Join(dir, "contoso.pem")
	tenant.Users.Zone, tenant.Users.StartExtension, tenant.Contacts.Region = "Europe/Berlin", "200", "DE"
	system.ID, system.Driver, system.URL, system.ClientID = "hq", "3cx", "https://pbx.example.com", "offhook"
	system.ClientSecretFile, system.Tenants = filepath.Join(dir, "hq.secret"), []string{"contoso"}
	system.Options = map[string]any{}
	want.Tenants, want.Systems = []Tenant{tenant}, []System{system}
	if diff := cmp.Diff(want, got, compare); diff != "" {
		t.Error(diff)
	}
}

func TestDefaults(t *testing.T) {
	got, err := Load("", nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(Default(), got, compare); diff != "" {
		t.Error(diff)
	}
	presence := DefaultTenant().Presence
	if presence.StaleAfter != 15*time.Minute || presence.Sweep.Contacts != time.Hour || presence.Manual.Max.String() != "04:00" {
		t.Errorf("presence defaults are %+v", presence)
	}
}

func TestPrecedence(t *testing.T) {
	dir := folder(t)
	write(t, dir, "level.yaml", []byte("telemetry: {log_level: debug}\n"))
	env := []string{"OFFHOOK_TELEMETRY_LOG_LEVEL=warn"}
	flags := map[string]string{"telemetry.log_level": "error"}
	for _, c := range []struct {
		claim, file string
		env         []string
		flags       map[string]string
		want        string
	}{
		{"the default counts where nothing is set", "", nil, nil, "info"},
		{"the file counts over the default", "level.yaml", nil, nil, "debug"},
		{"the environment counts over the file", "level.yaml", env, nil, "warn"},
		{"a flag counts over the environment", "level.yaml", env, flags, "error"},
		{"a flag needs no file", "", nil, flags, "error"},
	} {
		path := c.file
		if path != "" {
			path = filepath.Join(dir, path)
		}
		got, err := load(path, c.env, c.flags, today)
		if err != nil || got.Telemetry.LogLevel != c.want {
			t.Errorf("%s: %q, %v; want %q", c.claim, got.Telemetry.LogLevel, err, c.want)
		}
	}
}

func TestEnvironment(t *testing.T) {
	dir := folder(t)
	got, err := load(filepath.Join(dir, "offhook.yaml"), []string{
		"HOME=/root", "OFFHOOK_CONFIG=x", "OFFHOOK_SIM=y",
		"OFFHOOK_SERVICE_HOST=10.0.0.1", "OFFHOOK_CONTROL_API_PORT_9090_TCP_ADDR=10.0.0.2", "OFFHOOK_PORT=tcp://10.0.0.1:80",
		"OFFHOOK_WEBHOOK_TLS_CERT_FILE=web.crt", "OFFHOOK_WEBHOOK_TLS_KEY_FILE=web.key",
		"OFFHOOK_REDIS_URL_FILE=" + filepath.Join(dir, "redis.url"),
		"OFFHOOK_TENANTS_0_PRESENCE_MODE=both", "OFFHOOK_TENANTS_0_PRESENCE_SWEEP_PRESENCE=20s",
		"OFFHOOK_TENANTS_0_PRESENCE_MAPPING={teams: {Away: release}, calendar: {oof: dnd}, pbx: {lunch: BeRightBack}}",
		"OFFHOOK_TENANTS_0_PRESENCE_CALENDAR_RULES=[{show_as: busy, all_day: false, attendees_max: 1, as: free}]",
		"OFFHOOK_TENANTS_0_PRESENCE_CALENDAR_RULES_0_ATTENDEES_MIN=0", "OFFHOOK_TENANTS_0_PRESENCE_CALENDAR_SUBSCRIBE=false",
		"OFFHOOK_TENANTS_0_USERS_EXCLUDE=anna@contoso.com, bert@contoso.com", "OFFHOOK_TENANTS_0_USERS_GUESTS=true",
		"OFFHOOK_TENANTS_0_USERS_START_EXTENSION=0200", "OFFHOOK_TENANTS_0_USERS_BRAKE_COUNT=7",
		"OFFHOOK_TENANTS_0_CONTACTS_REGION=", "OFFHOOK_TENANTS_0_CONTACTS_FOLDERS=[\"Sales, EMEA\", Press]",
		"OFFHOOK_TENANTS_0_LINKS=[{user: anna@contoso.com, system: hq, extension: 204}]",
		"OFFHOOK_SYSTEMS_0_PACE_PER_SECOND=0.5", "OFFHOOK_SYSTEMS_0_OPTIONS={port: 5060, deep: {list: [a, true, 1.5]}}",
		"OFFHOOK_SYSTEMS_1={id: lab, driver: memory}",
		"OFFHOOK_SYSTEMS_2_ID=lab2", "OFFHOOK_SYSTEMS_2_DRIVER=memory",
	}, nil, today)
	if err != nil {
		t.Fatal(err)
	}
	tenant := got.Tenants[0]
	for _, c := range []struct {
		claim     string
		got, want any
	}{
		{"a path is relative to the file's folder", got.Webhook.TLS.CertFile, filepath.Join(dir, "web.crt")},
		{"a secret URL can come from a file", got.Redis.URL.Reveal(), "redis://:hunter2@cache:6379"},
		{"a word", tenant.Presence.Mode, "both"},
		{"a duration", tenant.Presence.Sweep.Presence, 20 * time.Second},
		{"the others of the same mapping stay", tenant.Presence.Sweep.Users, 15 * time.Minute},
		{"a mapping", tenant.Presence.Mapping, Mapping{
			map[string]string{"Away": "release"}, map[string]string{"oof": "dnd"}, map[string]string{"lunch": "BeRightBack"}}},
		{"rules, of which what is left out is nothing", tenant.Presence.Calendar, Calendar{Rules: []CalendarRule{
			{ShowAs: "busy", AllDay: new(false), AttendeesMin: new(0), AttendeesMax: new(1), As: "free"}}}},
		{"a list at commas", tenant.Users.Exclude, []string{"anna@contoso.com", "bert@contoso.com"}},
		{"a list as in the file", tenant.Contacts.Folders, []string{"Sales, EMEA", "Press"}},
		{"a boolean", tenant.Users.Guests, true},
		{"a text of digits stays as it is", tenant.Users.StartExtension, "0200"},
		{"a number", tenant.Users.Brake.Count, 7},
		{"an empty text is set", tenant.Contacts.Region, ""},
		{"a list of entries", tenant.Links, []Link{{"anna@contoso.com", "hq", "204"}}},
		{"a fraction", got.Systems[0].Pace.PerSecond, 0.5},
		{"options", got.Systems[0].Options, map[string]any{"port": 5060, "deep": map[string]any{"list": []any{"a", true, 1.5}}}},
		{"entries are added", []string{got.Systems[1].ID, got.Systems[2].ID}, []string{"lab", "lab2"}},
		{"added entries have defaults", got.Systems[2].Pace.InFlight, 2},
	} {
		if diff := cmp.Diff(c.want, c.got); diff != "" {
			t.Errorf("%s: %s", c.claim, diff)
		}
	}
}

// TestManyEntriesByEnvironment: entry 10 comes after entry 2, whatever the order
// of the environment.
func TestManyEntriesByEnvironment(t *testing.T) {
	var env []string
	for _, i := range []string{"10", "1", "0", "2", "3", "9", "8", "7", "6", "5", "4"} {
		env = append(env, "OFFHOOK_SYSTEMS_"+i+"_ID=s"+i, "OFFHOOK_SYSTEMS_"+i+"_DRIVER=memory")
	}
	got, err := Load("", env, nil)
	if err != nil {
		t.Fatal(err)
	}
	if len(got.Systems) != 11 || got.Systems[10].ID != "s10" {
		t.Errorf("%d systems", len(got.Systems))
	}
}

// TestEnvironmentNames: each key has one name, each name one key, and none is
// taken for something else.
func TestEnvironmentNames(t *testing.T) {
	all := names(configType)
	if len(all) < 70 {
		t.Errorf("only %d names: the walk stops early", len(all))
	}
	seen := make(map[string]bool)
	for _, name := range all {
		if seen[name] {
			t.Errorf("%s names two keys", name)
		}
		seen[name] = true
		path, _, ok := resolve(configType, name)
		if !ok || strings.ToUpper(strings.Join(path, "_")) != name {
			t.Errorf("%s is read as %v", name, path)
		}
		if fromKubernetes.MatchString(name) || slices.Contains(notKeys, name) {
			t.Errorf("%s would be ignored", name)
		}
	}
}

// TestFileThatIsNoConfiguration: one problem says it, and it is of the type that
// callers ask for.
func TestFileThatIsNoConfiguration(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "list.yaml", []byte("# why\n- a\n"))
	write(t, dir, "text.yaml", []byte("hunter2"))
	write(t, dir, "large.yaml", bytes.Repeat([]byte("#\n"), maxSize/2+1))
	for name, want := range map[string]string{
		"missing.yaml": "there is no file", "": "the file cannot be read", "large.yaml": "the file is larger than 4 MiB",
		"list.yaml": "this must be a mapping", "text.yaml": "this must be a mapping",
	} {
		_, err := Load(filepath.Join(dir, name), nil, nil)
		var problems Problems
		if !errors.As(err, &problems) || len(problems) != 1 || !strings.HasPrefix(problems[0].What, want) {
			t.Errorf("%q: %v, want only %q", name, err, want)
		} else if strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%q: the error quotes the file", name)
		}
	}
}

// TestSchemaHoldsNoSecret: whatever sounds like a secret names a file, so that a
// Config can be shown.
func TestSchemaHoldsNoSecret(t *testing.T) {
	for _, name := range names(configType) {
		if secretWord.MatchString(name) && !strings.HasSuffix(name, "_FILE") {
			t.Errorf("%s holds a secret", name)
		}
	}
	if !secretWord.MatchString("CLIENT_SECRET") {
		t.Error("the guard is asleep")
	}
}

// TestTagsNameRules: a misspelt tag would switch a check off.
func TestTagsNameRules(t *testing.T) {
	var walk func(typ reflect.Type)
	walk = func(typ reflect.Type) {
		for i := range typ.NumField() {
			field := typ.Field(i)
			if name := field.Tag.Get("is"); name != "" && rules[name] == nil {
				t.Errorf("%s.%s: there is no rule %q", typ.Name(), field.Name, name)
			}
			inner := field.Type
			if inner.Kind() == reflect.Slice {
				inner = inner.Elem()
			}
			if inner.Kind() == reflect.Struct && !parses(inner) {
				walk(inner)
			}
		}
	}
	walk(configType)
}

// TestAccepted: what the rules must let through.
func TestAccepted(t *testing.T) {
	dir := folder(t)
	for _, c := range []struct {
		claim string
		env   []string
	}{
		{"http to the machine itself", []string{"OFFHOOK_CONTROL_PUBLIC_URL=http://localhost:8080", "OFFHOOK_SYSTEMS_0_URL=http://127.0.0.1:5001"}},
		{"a simulator's hosts", []string{"OFFHOOK_TENANTS_0_MICROSOFT365_ENDPOINTS_LOGIN=https://[::1]:1", "OFFHOOK_TENANTS_0_MICROSOFT365_ENDPOINTS_GRAPH=https://127.0.0.1:2"}},
		{"a collector on another machine", []string{"OFFHOOK_TELEMETRY_OTLP_ENDPOINT=http://collector:4317"}},
		{"several brokers", []string{"OFFHOOK_NATS_URL=nats://n1:4222, tls://user:pass@n2"}},
		{"redis by TLS", []string{"OFFHOOK_REDIS_URL=rediss://cache/3"}},
		{"redis by socket", []string{"OFFHOOK_REDIS_URL=unix:///run/redis.sock"}},
		{"any free port, more than once", []string{"OFFHOOK_CONTROL_LISTEN=127.0.0.1:0", "OFFHOOK_CONTROL_GRPC_LISTEN=127.0.0.1:0"}},
		{"every address of the machine", []string{"OFFHOOK_WEBHOOK_LISTEN=:8443"}},
		{"a secret instead of a certificate", []string{
			"OFFHOOK_TENANTS_0_MICROSOFT365_CERTIFICATE_FILE=", "OFFHOOK_TENANTS_0_MICROSOFT365_CLIENT_SECRET_FILE=hq.secret"}},
		{"a presence server", []string{"OFFHOOK_SYSTEMS_0_DRIVER=sip-presence", "OFFHOOK_SYSTEMS_0_URL=sip://presence.example.com:5060"}},
		{"a manager interface", []string{"OFFHOOK_SYSTEMS_0_DRIVER=asterisk", "OFFHOOK_SYSTEMS_0_URL=tcp://10.0.0.5:5038"}},
		{"some users only", []string{"OFFHOOK_TENANTS_0_USERS_INCLUDE=anna@contoso.com, 12345678-90AB-cdef-1234-567890abcdef"}},
		{"a Teams value that is new", []string{"OFFHOOK_TENANTS_0_PRESENCE_MAPPING_TEAMS={Hibernating: away after 10m, '*/Juggling': dnd}"}},
		{"a secret option in a file", []string{"OFFHOOK_SYSTEMS_0_OPTIONS={password_file: hq.secret}"}},
		{"no webhook again, by an empty text", []string{"OFFHOOK_WEBHOOK_PUBLIC_URL="}},
	} {
		if _, err := load(filepath.Join(dir, "offhook.yaml"), c.env, nil, today); err != nil {
			t.Errorf("%s: %v", c.claim, err)
		}
	}
}
