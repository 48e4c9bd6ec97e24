package asterisk

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
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
	"offhook.dev/libs/pbx/asterisksim"
	"offhook.dev/libs/secret"
)

func TestOpenSaysWhatIsWrong(t *testing.T) {
	sim := start(t, asterisksim.Config{Extensions: 1})
	for name, c := range map[string]struct {
		change func(*Config)
		kind   fault.Kind
		says   string
	}{
		"no encryption":              {func(c *Config) { c.URL = "tcp://pbx.example.com" }, fault.Invalid, "url: tcp has no encryption"},
		"another scheme":             {func(c *Config) { c.URL = "https://pbx.example.com" }, fault.Invalid, "url: it must be tls://host:port"},
		"a password in the URL":      {func(c *Config) { c.URL = "tls://a:hunter2@pbx" }, fault.Invalid, "url: it must be a host and port"},
		"a broken URL":               {func(c *Config) { c.URL = "tls://hunter2:%zz" }, fault.Invalid, "url: it is not a URL"},
		"nobody":                     {func(c *Config) { c.Username, c.Secret = "", secret.Value{} }, fault.Invalid, "client_secret_file"},
		"a name of two lines":        {func(c *Config) { c.Username = "a\r\nAction: Originate" }, fault.Invalid, "client_id"},
		"no such profile":            {func(c *Config) { c.Profile = "issabel" }, fault.Invalid, "profile"},
		"a template with FreePBX":    {func(c *Config) { c.Database = "DND/{ext}" }, fault.Invalid, "database: it is for the profile plain"},
		"extensions with FreePBX":    {func(c *Config) { c.Extensions = numbers(1) }, fault.Invalid, "extensions"},
		"plain without a place":      {func(c *Config) { c.Profile, c.Context = Plain, "from-internal" }, fault.Invalid, "plain needs a database, a device_state or a presence"},
		"plain without extensions":   {func(c *Config) { c.Profile, c.DeviceState = Plain, "Custom:DND{ext}" }, fault.Invalid, "context: name the context"},
		"plain with lamps":           {func(c *Config) { *c = plainly(*c); c.NoLamps = true }, fault.Invalid, "without_lamps"},
		"plain with presences":       {func(c *Config) { *c = plainly(*c); c.Presence = true }, fault.Invalid, "presence_text"},
		"a key without an extension": {func(c *Config) { *c = plainly(*c); c.Database = "DND/all" }, fault.Invalid, "database: it must read"},
		"a key without a family":     {func(c *Config) { *c = plainly(*c); c.Database = "{ext}" }, fault.Invalid, "database: it must read"},
		"a phone as a lamp":          {func(c *Config) { *c = plainly(*c); c.DeviceState = "PJSIP/{ext}" }, fault.Invalid, "device_state: it must begin with Custom:"},
		"a lamp with a bracket":      {func(c *Config) { *c = plainly(*c); c.DeviceState = "Custom:D){ext}" }, fault.Invalid, "device_state"},
		"a presence of a phone":      {func(c *Config) { *c = plainly(*c); c.PresenceName = "PJSIP:{ext}" }, fault.Invalid, "presence: it must begin"},
		"a value of two lines":       {func(c *Config) { *c = plainly(*c); c.Value = "a\nb" }, fault.Invalid, "database_value"},
		"an off that is on":          {func(c *Config) { *c = plainly(*c); c.Off = "BUSY" }, fault.Invalid, "device_state_off"},
		"a device without a kind":    {func(c *Config) { *c = plainly(*c); c.Device = "{ext}" }, fault.Invalid, "device"},
		"another secret":             {func(c *Config) { c.Secret = secret.NewValue("hunter2") }, fault.Denied, "is not accepted"},
		"another account":            {func(c *Config) { c.Username = "admin" }, fault.Denied, "is not accepted"},
		"a certificate of strangers": {func(c *Config) { c.Authorities = nil }, fault.Denied, "certificate is not trusted"},
		"a certificate of others":    {func(c *Config) { c.ServerName = "pbx.example.com" }, fault.Denied, "certificate is not trusted"},
		"nobody listens":             {func(c *Config) { c.URL = "tls://127.0.0.1:1" }, fault.Unavailable, "refuses connections"},
	} {
		t.Run(name, func(t *testing.T) {
			config := configFor(sim, Config{})
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
	t.Run("TLS is spoken to a port without", func(t *testing.T) {
		plain, err := asterisksim.Start(asterisksim.Config{Extensions: 1})
		if err != nil {
			t.Fatal(err)
		}
		defer plain.Close()
		config := configFor(plain, Config{})
		config.URL = strings.Replace(config.URL, "tcp:", "tls:", 1)
		if _, err := Open(t.Context(), config); fault.KindOf(err) != fault.Denied || !strings.Contains(err.Error(), "does not speak TLS") {
			t.Errorf("got %v: %v", fault.KindOf(err), err)
		}
	})
}

// plainly is a plain Asterisk with a device state, of which nothing is wrong.
func plainly(c Config) Config {
	c.Profile, c.Context, c.DeviceState = Plain, "from-internal", "Custom:DND{ext}"
	return c
}

func TestAMissingRightIsFoundWhenTheDriverIsOpened(t *testing.T) {
	for write, missing := range map[string][]string{
		"system,call":           nil,
		"system,call,reporting": nil,
		"call,reporting":        {"DBPut (write = system)", "DBDel (write = system)"},
		"system,reporting":      {"Setvar (write = call)"},
		"originate":             {"DBGet (write = system or reporting)", "ExtensionStateList (write = call or reporting)"},
	} {
		sim := start(t, asterisksim.Config{Extensions: 1, Write: write})
		d, err := Open(t.Context(), configFor(sim, Config{Presence: true}))
		if err == nil {
			d.Close()
		}
		if (err == nil) != (missing == nil) || err != nil && fault.KindOf(err) != fault.Denied {
			t.Errorf("%s: %v", write, err)
		}
		for _, text := range missing {
			if !strings.Contains(err.Error(), text) {
				t.Errorf("%s: %v does not name %s", write, err, text)
			}
		}
	}
}

// recorder stands between a driver and an Asterisk, and keeps what the driver says.
type recorder struct {
	address string
	mu      sync.Mutex
	said    bytes.Buffer
}

func record(t *testing.T, to string) *recorder {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r := &recorder{address: listener.Addr().String()}
	var parts sync.WaitGroup
	parts.Go(func() {
		for {
			from, err := listener.Accept()
			if err != nil {
				return
			}
			behind, err := net.Dial("tcp", to)
			if err != nil {
				from.Close()
				continue
			}
			parts.Go(func() { io.Copy(behind, io.TeeReader(from, r)); behind.Close() })
			parts.Go(func() { io.Copy(from, behind); from.Close() })
		}
	})
	t.Cleanup(func() { listener.Close(); parts.Wait() })
	return r
}

func (r *recorder) Write(p []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.said.Write(p)
}

func (r *recorder) text() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.said.String()
}

func TestTheSecretIsNeverSaid(t *testing.T) {
	sim, err := asterisksim.Start(asterisksim.Config{Extensions: 1, Secret: secret.NewValue("hunter2")})
	if err != nil {
		t.Fatal(err)
	}
	defer sim.Close()
	wire := record(t, sim.Address())
	config := configFor(sim, Config{})
	config.URL = "tcp://" + wire.address
	d, err := Open(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	if err := d.SetStatus(t.Context(), "200", presence.DND); err != nil {
		t.Fatal(err)
	}
	said := wire.text()
	if !strings.Contains(said, "AuthType: MD5") || !strings.Contains(said, "Events: off") || !strings.Contains(said, "Val: YES") {
		t.Errorf("the wire has %q", said)
	}
	if strings.Contains(strings.ToLower(said), "hunter2") || strings.Contains(strings.ToLower(said), "secret") {
		t.Error("the secret is on the wire")
	}
	if text := fmt.Sprintf("%+v %v", config, config.client()); strings.Contains(text, "hunter2") {
		t.Error("the secret is in what can be printed")
	}
}

func TestAWriteSetsEveryPlace(t *testing.T) {
	sim := start(t, asterisksim.Config{Extensions: 2})
	sim.SetEntry("AMPUSER/200/device", "200&1200&no device) at all")
	d := open(t, sim, Config{Presence: true})
	state := func(name string) string { return sim.State("Custom:" + name) }
	for _, c := range []struct {
		status               presence.Status
		dnd, lamp            string
		kind, subtype, shown string
	}{
		{presence.DND, "YES", "BUSY", "dnd", "", "Do not disturb"},
		{presence.Lunch, "", "UNAVAILABLE", "away", "lunch", "Lunch"},
		{presence.BusinessTrip, "", "UNAVAILABLE", "xa", "business-trip", "Business trip"},
		{presence.DND, "YES", "BUSY", "dnd", "", "Do not disturb"},
		{presence.Away, "", "UNAVAILABLE", "away", "", ""},
		{presence.Available, "", "UNAVAILABLE", "available", "", ""},
	} {
		if err := d.SetStatus(t.Context(), "200", c.status); err != nil {
			t.Fatal(err)
		}
		dnd, _ := sim.Entry("DND/200")
		kind, subtype, shown := sim.Presence("200")
		if dnd != c.dnd || state("DND200") != c.lamp || state("DEVDND200") != c.lamp || state("DEVDND1200") != c.lamp || kind != c.kind || subtype != c.subtype || shown != c.shown {
			t.Errorf("%v: %q, %s, %s, %s, %s, %s, %s", c.status, dnd, state("DND200"), state("DEVDND200"), state("DEVDND1200"), kind, subtype, shown)
		}
	}
	if state("DND201") != "UNKNOWN" || state("DEVDNDno device) at all") != "UNKNOWN" {
		t.Error("somebody else has a lamp")
	}
}

func TestWhatASwitchAndAPresenceMeanTogether(t *testing.T) {
	freePBX, alone := Config{Presence: true}.places(), Config{Profile: Plain, PresenceName: "CustomPresence:{ext}"}.places()
	for _, c := range []struct {
		dnd   bool
		shown shown
		want  presence.Status // of FreePBX
		alone presence.Status // without a switch
	}{
		{true, shown{}, presence.DND, presence.DND}, {true, shown{kind: "available"}, presence.DND, presence.DND},
		{false, shown{}, presence.Available, presence.Available}, {false, shown{kind: "not_set"}, presence.Available, presence.Available},
		{false, shown{kind: "dnd"}, presence.Available, presence.DND}, {false, shown{kind: "chat"}, presence.Available, presence.Available},
		{false, shown{kind: "away"}, presence.Away, presence.Away}, {false, shown{kind: "XA", message: "At the sea"}, presence.Away, presence.Away},
		{false, shown{kind: "away", message: " LUNCH "}, presence.Lunch, presence.Lunch}, {false, shown{kind: "xa", subtype: "Lunch"}, presence.Lunch, presence.Lunch},
		{false, shown{kind: "xa", message: "Business-Trip"}, presence.BusinessTrip, presence.BusinessTrip},
		{false, shown{kind: "available", message: "Lunch"}, presence.Available, presence.Available},
		{false, shown{kind: "unavailable"}, presence.Unset, presence.Unset}, {false, shown{kind: "asleep"}, presence.Unset, presence.Unset},
	} {
		if with, without := freePBX.status(c.dnd, c.shown), alone.status(c.dnd, c.shown); with != c.want || without != c.alone {
			t.Errorf("%v, %+v: %v and %v, want %v and %v", c.dnd, c.shown, with, without, c.want, c.alone)
		}
	}
}

// Half a write is one of which nobody knows: it must be read before it is repeated.
func TestHalfAWriteIsATimeout(t *testing.T) {
	for name, f := range map[string]asterisksim.Fault{
		"refused for now":   {Kind: asterisksim.ShuttingDown, Only: "Setvar"},
		"cut":               {Kind: asterisksim.LostAnswer, Only: "Setvar"},
		"refused":           {Kind: asterisksim.Refuse, Text: "Variable not set", Only: "Setvar"},
		"the right is gone": {Kind: asterisksim.Deny, Only: "Setvar"},
	} {
		t.Run(name, func(t *testing.T) {
			sim := start(t, asterisksim.Config{Extensions: 1})
			d := open(t, sim, Config{})
			sim.Inject(f)
			if err := d.SetStatus(t.Context(), "200", presence.DND); fault.KindOf(err) != fault.Timeout {
				t.Errorf("got %v: %v", fault.KindOf(err), err)
			}
			if _, dnd := sim.Entry("DND/200"); !dnd {
				t.Error("the switch, which comes first, is off")
			}
		})
	}
}

// As long as the switch is on dnd shows, whatever the presence says.
func TestHalfAWriteThatEndsDNDShowsNoThirdStatus(t *testing.T) {
	for _, to := range []presence.Status{presence.Available, presence.Away, presence.Lunch} {
		sim := start(t, asterisksim.Config{Extensions: 1})
		d := open(t, sim, Config{Presence: true})
		for _, s := range []presence.Status{presence.Away, presence.DND} {
			if err := d.SetStatus(t.Context(), "200", s); err != nil {
				t.Fatal(err)
			}
		}
		sim.Inject(asterisksim.Fault{Kind: asterisksim.ShuttingDown, Skip: 1, Only: "write"})
		if err := d.SetStatus(t.Context(), "200", to); fault.KindOf(err) != fault.Timeout {
			t.Errorf("to %s: %v", to, err)
		}
		sim.ClearFaults()
		if s, err := d.Status(t.Context(), "200"); err != nil || s != presence.DND {
			t.Errorf("half way to %s it shows %s (%v)", to, s, err)
		}
	}
}

// Somebody gives an extension another phone.
func TestADeviceThatIsNewIsFoundAfterAWhile(t *testing.T) {
	sim := start(t, asterisksim.Config{Extensions: 1})
	d := open(t, sim, Config{})
	warm(t, d)
	sim.SetEntry("AMPUSER/200/device", "200&1200")
	d.current.Load().looked = time.Now().Add(-remembered)
	warm(t, d)
	if err := d.SetStatus(t.Context(), "200", presence.DND); err != nil || sim.State("Custom:DEVDND1200") != "BUSY" {
		t.Errorf("the lamp of the new one is %s, %v", sim.State("Custom:DEVDND1200"), err)
	}
}

func TestMisbehaviourIsClassified(t *testing.T) {
	for name, c := range map[string]struct {
		fault       asterisksim.Fault
		read, write fault.Kind // Unknown: it works
	}{
		"an answer cut short":     {asterisksim.Fault{Kind: asterisksim.Truncated}, fault.Unavailable, fault.Timeout},
		"a line without end":      {asterisksim.Fault{Kind: asterisksim.Huge}, fault.Unavailable, fault.Timeout},
		"a page of the web":       {asterisksim.Fault{Kind: asterisksim.Garbage}, fault.Unavailable, fault.Timeout},
		"success without content": {asterisksim.Fault{Kind: asterisksim.Hollow}, fault.Unavailable, fault.Unknown},
		"a list that is given up": {asterisksim.Fault{Kind: asterisksim.Endless}, fault.Unavailable, fault.Unknown},
		"answers to strangers":    {asterisksim.Fault{Kind: asterisksim.Stranger}, fault.Unknown, fault.Unknown},
		"texts of all kinds":      {asterisksim.Fault{Kind: asterisksim.Odd}, fault.Unknown, fault.Unknown},
		"slowness":                {asterisksim.Fault{Kind: asterisksim.Slow, Delay: 20 * time.Millisecond}, fault.Unknown, fault.Unknown},
		"a missing module":        {asterisksim.Fault{Kind: asterisksim.Refuse, Text: "Invalid/unknown command: DBGet. Use Action: ListCommands to show available commands."}, fault.Denied, fault.Denied},
		"a full disk":             {asterisksim.Fault{Kind: asterisksim.Refuse, Text: "Failed to update entry"}, fault.Unavailable, fault.Unavailable},
		"words never heard":       {asterisksim.Fault{Kind: asterisksim.Refuse, Text: "It is\ttoo late"}, fault.Invalid, fault.Invalid},
	} {
		t.Run(name, func(t *testing.T) {
			sim := start(t, asterisksim.Config{Extensions: 2})
			kind := func(err error) fault.Kind {
				if err == nil {
					return fault.Unknown
				}
				return fault.KindOf(err)
			}
			d := open(t, sim, Config{})
			sim.Press("200", true)
			warm(t, d)
			sim.Inject(c.fault)
			if s, err := d.Status(t.Context(), "200"); kind(err) != c.read || err == nil && s != presence.DND {
				t.Errorf("read: %v, %v", s, err)
			}
			other := start(t, asterisksim.Config{Extensions: 1})
			d = open(t, other, Config{})
			warm(t, d)
			other.Inject(c.fault)
			if err := d.SetStatus(t.Context(), "200", presence.DND); kind(err) != c.write {
				t.Errorf("write: %v", err)
			}
		})
	}
}

// warm lets a driver learn who is there.
func warm(t testing.TB, d *Driver) {
	t.Helper()
	if err := d.Statuses(t.Context(), func(identity.Extension, presence.Status) error { return nil }); err != nil {
		t.Fatal(err)
	}
}

func TestTheInventoryHasNamesAndAddresses(t *testing.T) {
	for name, c := range map[string]struct {
		sim    asterisksim.Config
		driver Config
		want   directory.Extension
	}{
		"FreePBX": {asterisksim.Config{}, Config{},
			directory.Extension{Number: "201", Enabled: true, Fields: directory.Fields{FirstName: "Ada", LastName: "Abel", DisplayName: "Ada Abel", Mail: "p201@contoso.example"}}},
		"without voicemail": {asterisksim.Config{NoMail: true}, Config{},
			directory.Extension{Number: "201", Enabled: true, Fields: directory.Fields{FirstName: "Ada", LastName: "Abel", DisplayName: "Ada Abel"}}},
		"plain": {asterisksim.Config{Plain: true}, database,
			directory.Extension{Number: "201", Enabled: true, Fields: directory.Fields{FirstName: "Person", LastName: "201", DisplayName: "Person 201", Mail: "p201@contoso.example"}}},
		"other boxes": {asterisksim.Config{}, Config{Mailboxes: "other"},
			directory.Extension{Number: "201", Enabled: true, Fields: directory.Fields{FirstName: "Ada", LastName: "Abel", DisplayName: "Ada Abel"}}},
	} {
		c.sim.Extensions = 3
		sim := start(t, c.sim)
		if !c.sim.Plain {
			sim.SetEntry("AMPUSER/201/cidname", "Ada Abel")
		}
		var found []directory.Extension
		err := open(t, sim, c.driver).Extensions(t.Context(), func(e directory.Extension) error { found = append(found, e); return nil })
		if err != nil || len(found) != 3 || found[1] != c.want {
			t.Errorf("%s: %+v, %v", name, found, err)
		}
	}
}

func TestWhoIsGoneIsForgottenWithTheNextListing(t *testing.T) {
	sim := start(t, asterisksim.Config{Extensions: 3})
	d := open(t, sim, Config{})
	warm(t, d)
	sim.Dismiss("201")
	warm(t, d)
	if err := d.SetStatus(t.Context(), "201", presence.DND); fault.KindOf(err) != fault.NotFound {
		t.Errorf("got %v", err)
	}
	if _, dnd := sim.Entry("DND/201"); dnd {
		t.Error("the database has an entry for nobody")
	}
}

func TestListingsWorkInParts(t *testing.T) {
	sim := start(t, asterisksim.Config{Extensions: 3*page + 1})
	d := open(t, sim, Config{Presence: true})
	var all []identity.Extension
	err := d.Statuses(t.Context(), func(ext identity.Extension, _ presence.Status) error { all = append(all, ext); return nil })
	if err != nil || !slices.Equal(all, numbers(3*page+1)) {
		t.Errorf("%d are listed, %v", len(all), err)
	}
	// Again it is one action for each, the list of hints and that of presences; who is not
	// in that is asked for alone.
	for i, more := range []int{3*page + 1 - 2, 0} {
		for _, ext := range numbers(3*page + 1)[:2] {
			sim.Choose(ext, "away")
		}
		if i == 1 {
			for _, ext := range all {
				sim.Choose(ext, "away")
			}
		}
		before := sim.Stats().Actions
		warm(t, d)
		if n := sim.Stats().Actions - before; n != 3*page+1+2+more {
			t.Errorf("%d actions instead of %d", n, 3*page+1+2+more)
		}
	}
}

func TestASecondSessionMustBeAllowed(t *testing.T) {
	sim := start(t, asterisksim.Config{Extensions: 1, One: true})
	d := open(t, sim, Config{})
	err := d.Watch(t.Context(), func(pbx.WatchEvent) {})
	if fault.KindOf(err) != fault.Denied || !strings.Contains(err.Error(), "allowmultiplelogin = yes") {
		t.Errorf("got %v", err)
	}
	if errors.Is(err, pbx.ErrRefused) {
		t.Error("it counts as refused by the network")
	}
}
