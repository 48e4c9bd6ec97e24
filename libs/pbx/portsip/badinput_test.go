package portsip

import (
	"strings"
	"testing"

	"offhook.dev/libs/core/directory"
	"offhook.dev/libs/core/fault"
	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/core/presence"
	"offhook.dev/libs/pbx"
	"offhook.dev/libs/pbx/portsipsim"
)

// After each of these the driver goes on as if nothing had happened.
func TestMisbehaviourIsClassified(t *testing.T) {
	for name, c := range map[string]struct {
		fault portsipsim.Fault
		read  fault.Kind // 0: it works
		write fault.Kind
	}{
		"an answer that is cut short":     {portsipsim.Fault{Kind: portsipsim.Truncated}, fault.Unavailable, fault.Timeout},
		"an answer without end":           {portsipsim.Fault{Kind: portsipsim.Huge}, fault.Unavailable, 0}, // a write's answer is not looked at
		"something else":                  {portsipsim.Fault{Kind: portsipsim.Garbage}, fault.Unavailable, 0},
		"an answer of nothing":            {portsipsim.Fault{Kind: portsipsim.Forget}, fault.Unavailable, 0},
		"another charset, without effect": {portsipsim.Fault{Kind: portsipsim.Latin}, 0, 0},
	} {
		t.Run(name, func(t *testing.T) {
			sim := start(t, portsipsim.Config{Extensions: 2})
			config := configFor(sim)
			config.Partial = true
			d := open(t, config)
			status := func() error { _, err := d.Status(t.Context(), "200"); return err }
			write := func() error { return d.SetStatus(t.Context(), "200", presence.DND) }
			if err := write(); err != nil { // learns the id
				t.Fatal(err)
			}
			for what, try := range map[string]struct {
				do   func() error
				want fault.Kind
			}{"read": {status, c.read}, "write": {write, c.write}} {
				sim.Inject(c.fault)
				err := try.do()
				if (err == nil) != (try.want == 0) || err != nil && fault.KindOf(err) != try.want {
					t.Errorf("%s: got %v, want %v", what, err, try.want)
				}
				sim.ClearFaults()
				if err := try.do(); err != nil {
					t.Errorf("%s afterwards: %v", what, err)
				}
			}
		})
	}
}

// A name that is not UTF-8 would be read as another name, which the next sync would write
// back.
func TestANameInAnotherCharsetIsNoName(t *testing.T) {
	sim := start(t, portsipsim.Config{Extensions: 1})
	d := open(t, configFor(sim))
	sim.SetField("200", "display_name", "Jörg Müller")
	read := func() (name string, err error) {
		err = d.Extensions(t.Context(), func(e directory.Extension) error { name = e.DisplayName; return nil })
		return name, err
	}
	if name, err := read(); name != "Jörg Müller" || err != nil {
		t.Fatalf("read %q, %v", name, err)
	}
	sim.Inject(portsipsim.Fault{Kind: portsipsim.Latin, Only: "read"})
	if name, err := read(); fault.KindOf(err) != fault.Unavailable || name != "" {
		t.Errorf("read %q, %v", name, err)
	}
}

// A phone system that accepts a write and forgets it is found out by reading, because
// nothing of what was written is remembered instead.
func TestAWriteThatIsAcceptedAndNotDoneIsSeen(t *testing.T) {
	sim := start(t, portsipsim.Config{Extensions: 1})
	config := configFor(sim)
	config.Partial = true
	d := open(t, config)
	sim.Inject(portsipsim.Fault{Kind: portsipsim.Forget, Only: "write", Times: 1})
	if err := d.SetStatus(t.Context(), "200", presence.DND); err != nil {
		t.Fatal(err)
	}
	for _, want := range []presence.Status{presence.Available, presence.DND} {
		if s, err := d.Status(t.Context(), "200"); s != want || err != nil {
			t.Errorf("read %v, %v instead of %v", s, err, want)
		}
		if err := d.Statuses(t.Context(), func(_ identity.Extension, s presence.Status) error {
			if s != want {
				t.Errorf("listed %v instead of %v", s, want)
			}
			return nil
		}); err != nil {
			t.Error(err)
		}
		if err := d.SetStatus(t.Context(), "200", presence.DND); err != nil {
			t.Fatal(err)
		}
	}
}

func TestAMessageWithoutEndEndsTheWatch(t *testing.T) {
	sim := start(t, portsipsim.Config{Extensions: 1})
	d := open(t, configFor(sim))
	err := d.Watch(t.Context(), func(e pbx.WatchEvent) {
		if _, ok := e.(pbx.Synced); ok {
			sim.Say(`{"event_type":"extension_call","extension":"` + strings.Repeat("2", messageLimit) + `"}`)
		}
	})
	if fault.KindOf(err) != fault.Unavailable {
		t.Errorf("got %v", err)
	}
}

func TestACertificateForAnotherNameIsDenied(t *testing.T) {
	sim := start(t, portsipsim.Config{Extensions: 1, Listen: "127.0.0.2:0"})
	_, err := Open(t.Context(), configFor(sim))
	if fault.KindOf(err) != fault.Denied || !strings.Contains(err.Error(), "127.0.0.2") {
		t.Errorf("got %v", err)
	}
}
