package freeswitch

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"offhook.dev/libs/core/directory"
	"offhook.dev/libs/core/fault"
	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/core/presence"
	"offhook.dev/libs/pbx"
	"offhook.dev/libs/pbx/freeswitch/esl"
	"offhook.dev/libs/pbx/freeswitchsim"
	"offhook.dev/libs/secret"
)

func TestOpenSaysWhatIsWrong(t *testing.T) {
	sim := start(t, freeswitchsim.Config{})
	proxied, strict := start(t, freeswitchsim.Config{Authority: authority}), start(t, freeswitchsim.Config{Forbidden: true})
	poor := start(t, freeswitchsim.Config{NoHash: true})
	renamed := start(t, freeswitchsim.Config{Authority: authority, Hosts: []string{"pbx.example.com"}})
	for name, c := range map[string]struct {
		sim    *freeswitchsim.Sim
		change func(*Config)
		kind   fault.Kind
		says   string
	}{
		"another scheme":                 {sim, func(c *Config) { c.URL = "http://127.0.0.1:8021" }, fault.Invalid, "url: it must be tcp://"},
		"a path":                         {sim, func(c *Config) { c.URL += "/esl" }, fault.Invalid, "url: it must be a host and port"},
		"a password in the URL":          {sim, func(c *Config) { c.URL = "tcp://a:hunter2@127.0.0.1" }, fault.Invalid, "url: it must be a host and port"},
		"no URL at all":                  {sim, func(c *Config) { c.URL = "tcp://hunter2:%zz" }, fault.Invalid, "url: it is not a URL"},
		"plain TCP to another machine":   {sim, func(c *Config) { c.URL = "tcp://192.0.2.1:8021" }, fault.Invalid, "url: tcp to another machine"},
		"plain TCP to a name":            {sim, func(c *Config) { c.URL = "tcp://pbx.example.com" }, fault.Invalid, "url: tcp to another machine"},
		"no password":                    {sim, func(c *Config) { c.Password = secret.Value{} }, fault.Invalid, "client_secret_file"},
		"a password of two lines":        {sim, func(c *Config) { c.Password = secret.NewValue("hunter2\napi shutdown") }, fault.Invalid, "client_secret_file: the password has a control"},
		"a user without a domain":        {sim, func(c *Config) { c.User = "offhook" }, fault.Invalid, "client_id: it is no user@domain"},
		"a user with a colon":            {sim, func(c *Config) { c.User = "a:b@c" }, fault.Invalid, "client_id"},
		"no domain":                      {sim, func(c *Config) { c.Domain = "" }, fault.Invalid, "domain"},
		"a domain of two words":          {sim, func(c *Config) { c.Domain = "x var" }, fault.Invalid, "domain"},
		"no such profile":                {sim, func(c *Config) { c.Profile = "asterisk" }, fault.Invalid, "profile"},
		"a realm with a slash":           {sim, func(c *Config) { c.Realm = "a/b" }, fault.Invalid, "realm"},
		"a variable of two words":        {sim, func(c *Config) { c.Profile, c.Command, c.Variable = Directory, script, "a b" }, fault.Invalid, "variable"},
		"a directory that nobody writes": {sim, func(c *Config) { c.Profile = Directory }, fault.Invalid, "command: nothing writes the variable"},
		"a command about nobody":         {sim, func(c *Config) { c.Profile, c.Command = FusionPBX, "lua x {dnd}" }, fault.Invalid, "command: it must be"},
		"two commands":                   {sim, func(c *Config) { c.Profile, c.Command = FusionPBX, script+"\n\napi shutdown" }, fault.Invalid, "command: it must be"},
		"a command where there is none":  {sim, func(c *Config) { c.Command = script }, fault.Invalid, "command: it is for"},
		"no such cache":                  {sim, func(c *Config) { c.Profile, c.Command, c.Cache = FusionPBX, script, "redis" }, fault.Invalid, "cache"},
		"another password":               {sim, func(c *Config) { c.Password = secret.NewValue("hunter2") }, fault.Denied, "password is not accepted"},
		"an address that is not listed":  {strict, func(*Config) {}, fault.Denied, "access list"},
		"a certificate of strangers":     {proxied, func(c *Config) { c.Authorities = nil }, fault.Denied, "certificate is not trusted"},
		"a certificate of others":        {renamed, func(*Config) {}, fault.Denied, "certificate is not trusted"},
		"nobody who speaks TLS":          {sim, func(c *Config) { c.URL = strings.Replace(c.URL, "tcp", "tls", 1) }, fault.Denied, "nobody speaks TLS there"},
		"nobody listens":                 {sim, func(c *Config) { c.URL = "tcp://127.0.0.1:1" }, fault.Unavailable, "refuses connections"},
		"mod_hash is not loaded":         {poor, func(*Config) {}, fault.Denied, "hash Command not found! (is the module loaded?)"},
	} {
		t.Run(name, func(t *testing.T) {
			config := configFor(c.sim, Config{})
			c.change(&config)
			d, err := Open(t.Context(), config)
			if err == nil {
				d.Close()
				t.Fatal("accepted")
			}
			if fault.KindOf(err) != c.kind || !strings.Contains(err.Error(), c.says) || strings.Contains(err.Error(), "hunter2") {
				t.Errorf("got %v: %v", fault.KindOf(err), err)
			}
		})
	}
}

func TestPlainTCPIsForThisMachineUnlessSomebodySaysSo(t *testing.T) {
	for url, fine := range map[string]bool{
		"tcp://127.0.0.1": true, "tcp://127.9.9.9:8021": true, "tcp://[::1]:8021": true, "tcp://localhost": true, "tls://pbx.example.com": true,
		"tcp://10.0.0.1": false, "tcp://localhost.example.com": false, "tcp://[::]": false, "tcp://0.0.0.0": false,
	} {
		c := Config{URL: url, Password: secret.NewValue("x"), Domain: "x"}
		if problems := c.Problems(); (len(problems) == 0) != fine {
			t.Errorf("%s: %v", url, problems)
		}
		if c.PlainTCP = true; len(c.Problems()) != 0 {
			t.Errorf("%s, allowed: %v", url, c.Problems())
		}
	}
}

func TestWhatThereIs(t *testing.T) {
	sim := start(t, freeswitchsim.Config{})
	d := open(t, sim, Config{})
	if c := d.Capabilities(); c.Version != "1.10.12" || !c.Volatile || c.Powers.Write != presence.All {
		t.Errorf("%+v", c)
	}
	var all []directory.Extension
	if err := d.Extensions(t.Context(), func(e directory.Extension) error { all = append(all, e); return nil }); err != nil || len(all) != 4 ||
		!reflect.DeepEqual(all[0], directory.Extension{Number: "1000", Enabled: true, Fields: directory.Fields{DisplayName: "Extension 1000"}}) {
		t.Errorf("%+v, %v", all, err)
	}
	fusion := open(t, sim, Config{Profile: FusionPBX, Command: script})
	if c := fusion.Capabilities(); c.Volatile || c.Powers.Write != presence.SetOf(presence.Available, presence.DND) {
		t.Errorf("%+v", c)
	}
}

func TestNothingIsLeftOfTheBeginning(t *testing.T) {
	for name, config := range map[string]freeswitchsim.Config{"a dump of a realm": {}, "an old dump": {OldDump: true}} {
		sim := start(t, config)
		d := open(t, sim, Config{})
		if d.dumps == config.OldDump {
			t.Errorf("%s: it is told at once: %v", name, d.dumps)
		}
		if inserts, kept := sim.Commands("api hash insert/offhook/offhook-probe-"), sim.Kept(); inserts != 1 || kept != 0 {
			t.Errorf("%s: %d values were put into mod_hash, and %d are left", name, inserts, kept)
		}
	}
}

// Directories are written by many hands, and FreeSWITCH passes on what they have written.
func TestNamesAreReadInEitherCharset(t *testing.T) {
	sim := start(t, freeswitchsim.Config{Extensions: 5})
	d := open(t, sim, Config{})
	want := map[identity.Extension]string{"1000": "Extension 1000"}
	for ext, c := range map[identity.Extension][2]string{
		"1001": {"J\xf6rg Gro\xdf", "Jörg Groß"}, "1002": {"Jörg Groß", "Jörg Groß"}, "1003": {"\x8aim\xe1nek \"\x81\"", "Šimánek \"\ufffd\""}, "1004": {"\x1b[31m\xc2\x85", "[31m"},
	} {
		sim.Rename(ext, c[0])
		want[ext] = c[1]
	}
	got := make(map[identity.Extension]string)
	if err := d.Extensions(t.Context(), func(e directory.Extension) error { got[e.Number] = e.DisplayName; return nil }); err != nil || !maps.Equal(got, want) {
		t.Errorf("%q, %v", got, err)
	}
}

func TestADirectoryThatCannotBeListedHasWhatIsConfigured(t *testing.T) {
	sim := start(t, freeswitchsim.Config{Unlisted: true})
	d := open(t, sim, Config{Extensions: []identity.Extension{"1002", "1000", "1002"}})
	sim.Store("offhook", "1002", "lunch")
	got := map[identity.Extension]presence.Status{}
	if err := d.Statuses(t.Context(), func(ext identity.Extension, s presence.Status) error { got[ext] = s; return nil }); err != nil ||
		!reflect.DeepEqual(got, map[identity.Extension]presence.Status{"1000": presence.Unset, "1002": presence.Lunch}) {
		t.Errorf("%v, %v", got, err)
	}
	if err := d.SetStatus(t.Context(), "1003", presence.DND); err != nil { // it exists: the directory says so
		t.Error(err)
	}
}

func TestLamps(t *testing.T) {
	lamp := func(status, rpid, state string) freeswitchsim.Lamp {
		return freeswitchsim.Lamp{Status: status, RPID: rpid, State: state}
	}
	for name, c := range map[string]struct {
		config Config
		set    presence.Status
		sip    freeswitchsim.Lamp
		dnd    freeswitchsim.Lamp
	}{
		"available is off":         {Config{}, presence.Available, lamp("Available", "unknown", "terminated"), freeswitchsim.Lamp{}},
		"away":                     {Config{}, presence.Away, lamp("Away", "away", "confirmed"), freeswitchsim.Lamp{}},
		"do not disturb":           {Config{}, presence.DND, lamp("Do Not Disturb", "dnd", "confirmed"), freeswitchsim.Lamp{}},
		"lunch":                    {Config{}, presence.Lunch, lamp("Lunch", "meal", "confirmed"), freeswitchsim.Lamp{}},
		"a business trip":          {Config{}, presence.BusinessTrip, lamp("Business trip", "travel", "confirmed"), freeswitchsim.Lamp{}},
		"nothing if nobody wants":  {Config{NoLamps: true}, presence.DND, freeswitchsim.Lamp{}, freeswitchsim.Lamp{}},
		"FusionPBX has two":        {Config{Profile: FusionPBX, Command: script}, presence.DND, lamp("Do Not Disturb", "dnd", "confirmed"), lamp("Do Not Disturb", "dnd", "confirmed")},
		"FusionPBX, both are off":  {Config{Profile: FusionPBX, Command: script}, presence.Available, lamp("Available", "unknown", "terminated"), lamp("Available", "unknown", "terminated")},
		"a directory has just one": {Config{Profile: Directory, Command: script}, presence.DND, lamp("Do Not Disturb", "dnd", "confirmed"), freeswitchsim.Lamp{}},
	} {
		t.Run(name, func(t *testing.T) {
			sim := start(t, freeswitchsim.Config{})
			d := open(t, sim, c.config)
			if err := d.SetStatus(t.Context(), "1001", c.set); err != nil {
				t.Fatal(err)
			}
			if sip, dnd := sim.Lamp("sip", "1001"), sim.Lamp("dnd", "1001"); sip != c.sip || dnd != c.dnd {
				t.Errorf("sip %+v, dnd %+v", sip, dnd)
			}
		})
	}
}

// The end of a pretended call is that of the one that began, and of no other.
func TestALampHasOneDialog(t *testing.T) {
	a, b, c := dialogID("sip", "1000@x"), dialogID("sip", "1001@x"), dialogID("dnd", "1000@x")
	if a != dialogID("sip", "1000@x") || a == b || a == c || len(a) != 36 || strings.Count(a, "-") != 4 {
		t.Errorf("%s, %s, %s", a, b, c)
	}
}

// A restart of FreeSWITCH forgets what is in mod_hash and all lamps: that shows, and the
// driver connects again by itself.
func TestARestartIsSeen(t *testing.T) {
	sim := start(t, freeswitchsim.Config{})
	d := open(t, sim, Config{})
	if err := d.SetStatus(t.Context(), "1000", presence.DND); err != nil {
		t.Fatal(err)
	}
	if err := sim.Restart(); err != nil {
		t.Fatal(err)
	}
	for d.link.alive() {
		<-time.After(time.Millisecond)
	}
	if s, err := d.Status(t.Context(), "1000"); err != nil || s != presence.Unset {
		t.Errorf("%v, %v", s, err)
	}
	if n := sim.Stats().SignIns; n != 2 {
		t.Errorf("%d sign-ins", n)
	}
}

// What is accepted and forgotten shows as soon as it is read.
func TestAcceptedAndForgotten(t *testing.T) {
	sim := start(t, freeswitchsim.Config{})
	d := open(t, sim, Config{})
	if err := d.SetStatus(t.Context(), "1000", presence.Lunch); err != nil {
		t.Fatal(err)
	}
	sim.Inject(freeswitchsim.Fault{Kind: freeswitchsim.Forget, Only: "write"})
	if err := d.SetStatus(t.Context(), "1000", presence.DND); err != nil {
		t.Fatal(err)
	}
	if s, err := d.Status(t.Context(), "1000"); err != nil || s != presence.Lunch {
		t.Errorf("%v, %v", s, err)
	}
}

// For each way to misbehave: what a read and what a write end with, that the driver works
// again afterwards, and that answers never belong to other questions.
func TestMisbehaviour(t *testing.T) {
	type kinds struct{ read, write fault.Kind }
	for kind, want := range map[freeswitchsim.FaultKind]kinds{
		freeswitchsim.Deny: {fault.Denied, fault.Denied}, freeswitchsim.Usage: {fault.Invalid, fault.Timeout}, freeswitchsim.Drop: {fault.Unavailable, fault.Timeout},
		freeswitchsim.Notice: {fault.Unavailable, fault.Timeout}, freeswitchsim.Hang: {fault.Timeout, fault.Timeout}, freeswitchsim.LostAnswer: {fault.Unavailable, fault.Timeout},
		freeswitchsim.Garbage: {fault.Unavailable, fault.Timeout}, freeswitchsim.Huge: {fault.Unavailable, fault.Timeout}, freeswitchsim.Truncated: {fault.Unavailable, fault.Timeout},
	} {
		t.Run(string(kind), func(t *testing.T) {
			sim := start(t, freeswitchsim.Config{})
			c := Config{}
			if kind == freeswitchsim.Hang {
				c.Timeout = 2 * time.Second
			}
			d := open(t, sim, c)
			for _, ext := range sim.Numbers() { // they are known
				if _, err := d.Status(t.Context(), ext); err != nil {
					t.Fatal(err)
				}
			}
			sim.Inject(freeswitchsim.Fault{Kind: kind})
			if _, err := d.Status(t.Context(), "1000"); fault.KindOf(err) != want.read {
				t.Errorf("a read: %v", err)
			}
			sim.ClearFaults()
			if _, err := d.Status(t.Context(), "1001"); kind != freeswitchsim.Deny && kind != freeswitchsim.Usage {
				for err != nil { // until it is noticed that the connection is over
					_, err = d.Status(t.Context(), "1001")
				}
			}
			sim.Inject(freeswitchsim.Fault{Kind: kind})
			if err := d.SetStatus(t.Context(), "1001", presence.DND); fault.KindOf(err) != want.write {
				t.Errorf("a write: %v", err)
			}
			sim.ClearFaults()
			for d.SetStatus(t.Context(), "1002", presence.Lunch) != nil {
				<-time.After(time.Millisecond)
			}
			if s, err := d.Status(t.Context(), "1002"); err != nil || s != presence.Lunch {
				t.Errorf("afterwards: %v, %v", s, err)
			}
		})
	}
}

func TestOneConnectionForEverybodyWhoWaits(t *testing.T) {
	sim := start(t, freeswitchsim.Config{})
	d := open(t, sim, Config{})
	sim.Down()
	for d.link.alive() {
		<-time.After(time.Millisecond)
	}
	if _, err := d.Status(t.Context(), "1000"); fault.KindOf(err) != fault.Unavailable || !errors.Is(err, pbx.ErrRefused) {
		t.Errorf("got %v", err)
	}
	if err := sim.Up(); err != nil {
		t.Fatal(err)
	}
	before := sim.Stats().SignIns
	var callers sync.WaitGroup
	for range 50 {
		callers.Go(func() {
			if _, err := d.Status(t.Context(), "1000"); err != nil {
				t.Error(err)
			}
		})
	}
	callers.Wait()
	if n := sim.Stats().SignIns - before; n != 1 {
		t.Errorf("%d sign-ins", n)
	}
}

// A slow list of users does not keep writes waiting: it runs in the background.
func TestWritesDoNotWaitForAList(t *testing.T) {
	sim := start(t, freeswitchsim.Config{})
	d := open(t, sim, Config{})
	first := true
	err := d.Statuses(t.Context(), func(identity.Extension, presence.Status) error {
		if first {
			first = false
			return d.SetStatus(t.Context(), "1003", presence.DND) // no command is under way while yield runs
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
	if lines := sim.Commands("bgapi list_users"); lines != 1 {
		t.Errorf("%d lists in the background", lines)
	}
}

// The password is said to FreeSWITCH and to nobody else.
func TestThePasswordIsInNoError(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var serving sync.WaitGroup
	serving.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			fmt.Fprint(conn, "Content-Type: auth/request\n\n")
			buffer := make([]byte, 1024)
			n, _ := conn.Read(buffer)
			// It is said back, in every place that could be quoted.
			text := strings.TrimSpace(string(buffer[:n]))
			fmt.Fprintf(conn, "Content-Type: %[1]s\nReply-Text: -ERR %[1]s\n%[1]s: %[1]s\n\n%[1]s", text)
			_, _ = io.Copy(io.Discard, conn)
			conn.Close()
		}
	})
	defer serving.Wait()
	defer listener.Close()
	c := Config{URL: "tcp://" + listener.Addr().String(), Password: secret.NewValue("hunter2"), Domain: "x", Timeout: time.Second}
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	if _, err := Open(ctx, c); err == nil || strings.Contains(err.Error(), "hunter2") {
		t.Errorf("got %v", err)
	}
	if text := fmt.Sprintf("%v %+v %#v", c, c, c); strings.Contains(text, "hunter2") {
		t.Error("the configuration prints it")
	}
}

func TestEveryRefusalHasAKind(t *testing.T) {
	for text, want := range map[string]fault.Kind{
		"-ERR permission denied": fault.Denied, "-ERR hash Command not found!\n": fault.Denied, "-ERR command not found": fault.Invalid,
		"-USAGE: <x>": fault.Invalid, "-ERR no such channel": fault.Invalid,
	} {
		if got := fault.KindOf(refusal("op", esl.Reply(text))); got != want {
			t.Errorf("%q: %v", text, got)
		}
	}
	long := refusal("op", esl.Reply("-ERR \x1b[31m"+strings.Repeat("é", 1000)+"\n\xff"))
	if text := long.Error(); len([]rune(text)) > 250 || strings.ContainsAny(text, "\x1b\n") {
		t.Errorf("%q", text)
	}
	if !slices.Contains([]fault.Kind{fault.Unavailable}, fault.KindOf(failed(t.Context(), "op", true, &esl.LostError{Err: esl.ErrClosed}))) {
		t.Error("what was not sent was not done")
	}
}
