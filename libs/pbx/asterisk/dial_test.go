package asterisk

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"offhook.dev/libs/core/fault"
	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/pbx"
	"offhook.dev/libs/pbx/asterisk/ami"
	"offhook.dev/libs/pbx/asterisksim"
)

// The suite asks the rest of a driver that dials: see TestConformance.
func TestWhoMayOriginateAndWhereCanDial(t *testing.T) {
	for name, c := range map[string]struct {
		sim    asterisksim.Config
		driver Config
		dials  bool
	}{
		"an account with the right":            {asterisksim.Config{Write: originating}, Config{}, true},
		"an account without":                   {asterisksim.Config{}, Config{}, false},
		"a dialplan of which nothing is said":  {asterisksim.Config{Plain: true, Write: originating}, database, false},
		"a dialplan whose context is named":    {asterisksim.Config{Plain: true, Write: originating}, dialledIn("from-internal"), true},
		"the context alone is no right for it": {asterisksim.Config{Plain: true}, dialledIn("from-internal"), false},
	} {
		t.Run(name, func(t *testing.T) {
			c.sim.Extensions = 1
			d, err := Open(t.Context(), configFor(start(t, c.sim), c.driver))
			if err != nil {
				t.Fatal(err)
			}
			defer d.Close()
			if _, dials := d.(pbx.Dialer); dials != c.dials || d.Capabilities().Dial != c.dials {
				t.Errorf("it dials: %v, it says so: %v", dials, d.Capabilities().Dial)
			}
		})
	}
}

func dialledIn(context string) Config {
	c := database
	c.DialContext = context
	return c
}

// dialler opens a driver that dials.
func dialler(t *testing.T, sim *asterisksim.Sim, config Config) pbx.Dialer {
	t.Helper()
	d, err := Open(t.Context(), configFor(sim, config))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	return d.(pbx.Dialer)
}

func TestTheFirstPhoneRings(t *testing.T) {
	sim := start(t, asterisksim.Config{Extensions: 2, Write: originating})
	sim.SetEntry("AMPUSER/200/device", "1200&200")
	sim.SetDevice("PJSIP/1200", "NOT_INUSE")
	d := dialler(t, sim, Config{})
	if err := d.Dial(t.Context(), "200", "+4930123"); err != nil {
		t.Fatal(err)
	}
	want := []asterisksim.Dialled{{Phone: "PJSIP/1200", CallerID: "200", Number: "+4930123"}}
	if got := sim.Originated(); !slices.Equal(got, want) || sim.State("PJSIP/1200") != "RINGING" || sim.State("PJSIP/200") != "NOT_INUSE" {
		t.Errorf("ordered were %+v", got)
	}
	sim.SetEntry("AMPUSER/200/device", "200")
	if err := d.Dial(t.Context(), "200", "0"); err != nil || sim.State("PJSIP/200") != "RINGING" {
		t.Errorf("after the person got another phone: %v, it is %s", err, sim.State("PJSIP/200"))
	}
}

func TestARefusedCallIsClassified(t *testing.T) {
	sim := start(t, asterisksim.Config{Extensions: 1, Write: originating})
	d := dialler(t, sim, Config{})
	for name, c := range map[string]struct {
		fault  asterisksim.Fault
		number string
		kind   fault.Kind
		calls  int // more than before
	}{
		"a number that leads nowhere":         {asterisksim.Fault{}, "9930", fault.Invalid, 0},
		"a right that was taken away":         {asterisksim.Fault{Kind: asterisksim.Deny, Only: "Originate"}, "0", fault.Denied, 0},
		"an Asterisk that ends":               {asterisksim.Fault{Kind: asterisksim.ShuttingDown, Only: "Originate"}, "0", fault.Unavailable, 0},
		"no answer to where the phone is":     {asterisksim.Fault{Kind: asterisksim.Hollow, Only: "ExtensionState"}, "0", fault.Unavailable, 0},
		"the connection ends before the call": {asterisksim.Fault{Kind: asterisksim.LostAnswer, Only: "ExtensionState"}, "0", fault.Unavailable, 0},
		"the connection ends with the call":   {asterisksim.Fault{Kind: asterisksim.LostAnswer, Only: "Originate"}, "0", fault.Timeout, 1},
		"half an answer":                      {asterisksim.Fault{Kind: asterisksim.Truncated, Only: "Originate"}, "0", fault.Timeout, 1},
	} {
		t.Run(name, func(t *testing.T) {
			before := len(sim.Originated())
			if c.fault.Kind != "" {
				sim.Inject(c.fault)
			}
			err := d.Dial(t.Context(), "200", c.number)
			sim.ClearFaults()
			if fault.KindOf(err) != c.kind || err == nil {
				t.Errorf("got %v: %v", fault.KindOf(err), err)
			}
			if calls := len(sim.Originated()) - before; calls != c.calls {
				t.Errorf("%d calls", calls)
			}
			_ = d.Dial(t.Context(), "200", "9900") // the loss of a connection is told once
		})
	}
}

func TestAnExtensionWithoutAPhoneCannotDial(t *testing.T) {
	if h := parseHint("Custom:DND200,CustomPresence:200"); len(h.phones) != 0 {
		t.Fatalf("phones %q", h.phones)
	}
	sim := start(t, asterisksim.Config{Extensions: 1, Write: originating})
	sim.SetEntry("AMPUSER/200/device", "")
	err := dialler(t, sim, Config{}).Dial(t.Context(), "200", "0")
	if fault.KindOf(err) != fault.Invalid || !strings.Contains(err.Error(), "names no phone") || len(sim.Originated()) != 0 {
		t.Errorf("got %v, ordered were %+v", err, sim.Originated())
	}
}

// What is said cannot end a line: the number is checked, and the rest is ours.
func TestAContextWithALineEndIsRefused(t *testing.T) {
	sim := start(t, asterisksim.Config{Extensions: 1, Write: originating})
	if _, err := Open(t.Context(), configFor(sim, Config{DialContext: "a\r\nApplication: System"})); fault.KindOf(err) != fault.Invalid {
		t.Errorf("got %v", err)
	}
	frame := ami.NewAction("Originate", "Exten", "1\r\nApplication: System").Frame("1")
	if frame != nil {
		t.Errorf("%q can be sent", frame)
	}
}

func TestACallOutlivesNoLossOfItsOrder(t *testing.T) {
	sim := start(t, asterisksim.Config{Extensions: 1, Write: originating})
	driver, err := Open(t.Context(), configFor(sim, Config{}))
	if err != nil {
		t.Fatal(err)
	}
	system, err := pbx.NewSystem("hq", driver, pbx.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer system.Close()
	sim.Inject(asterisksim.Fault{Kind: asterisksim.LostAnswer, Only: "Originate"})
	err = system.Dial(t.Context(), identity.Extension("200"), "0")
	if n := len(sim.Originated()); fault.KindOf(err) != fault.Timeout || n != 1 {
		t.Errorf("got %v, the phone rang %d times", err, n)
	}
	var lost *ami.LostError
	if !errors.As(err, &lost) || !lost.Sent {
		t.Errorf("it is not said that the order had left: %v", err)
	}
}
