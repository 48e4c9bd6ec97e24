package asterisk

import (
	"strings"
	"testing"

	"offhook.dev/libs/core/fault"
	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/core/presence"
	"offhook.dev/libs/pbx"
	"offhook.dev/libs/pbx/asterisksim"
)

func TestTheLossOfAConnectionIsToldOnce(t *testing.T) {
	sim := start(t, asterisksim.Config{Extensions: 1})
	d := open(t, sim, Config{})
	read := func() error { _, err := d.Status(t.Context(), "200"); return err }
	for range 2 {
		if err := read(); err != nil {
			t.Fatal(err)
		}
		lost := d.current.Load()
		sim.Down()
		<-lost.Done() // nobody was asking
		if err := sim.Up(); err != nil {
			t.Fatal(err)
		}
		if err := read(); fault.KindOf(err) != fault.Unavailable || !strings.Contains(err.Error(), "the connection was lost") {
			t.Errorf("got %v", err)
		}
	}
	if err := read(); err != nil {
		t.Fatal(err)
	}
	sim.Inject(asterisksim.Fault{Kind: asterisksim.Truncated, Times: 1})
	if err := read(); fault.KindOf(err) != fault.Unavailable { // which tells it
		t.Errorf("got %v", err)
	}
	if err := read(); err != nil {
		t.Errorf("told twice: %v", err)
	}
	if n := sim.Stats().SignIns; n != 4 {
		t.Errorf("%d sign-ins", n)
	}
}

// An Asterisk acknowledges a write before it is on disk. One that dies has forgotten it,
// and nobody was asking anything meanwhile: the generation tells, and what the ledger
// says is read and written again. A control: without a crash it does not grow.
func TestAnAcknowledgedWriteThatIsForgottenIsRepaired(t *testing.T) {
	sim := start(t, asterisksim.Config{Extensions: 2})
	d := open(t, sim, Config{Presence: true})
	system, err := pbx.NewSystem("hq", d, pbx.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer system.Close()
	ledger := map[identity.Extension]presence.Status{"200": presence.DND, "201": presence.Lunch}
	verified := system.Generation()
	// verify is what a writer does: it looks at all of its ledger when the generation is new.
	verify := func() (repaired int) {
		t.Helper()
		if _, err := system.Status(t.Context(), "200"); err != nil { // any read, as a sweep has them
			t.Fatal(err)
		}
		if system.Generation() == verified {
			return 0
		}
		verified = system.Generation()
		for ext, want := range ledger {
			shown, err := system.Status(t.Context(), ext)
			if err != nil {
				t.Fatal(err)
			}
			if shown != want {
				repaired++
				if err := system.SetStatus(t.Context(), ext, want); err != nil {
					t.Fatal(err)
				}
			}
		}
		return repaired
	}
	for ext, want := range ledger {
		if err := system.SetStatus(t.Context(), ext, want); err != nil {
			t.Fatal(err)
		}
	}
	if n := verify(); n != 0 {
		t.Errorf("%d were repaired of which nothing was forgotten", n)
	}
	crash(t, sim, d)
	if _, dnd := sim.Entry("DND/200"); dnd {
		t.Fatal("the control: it has not forgotten")
	}
	if n := verify(); n != 2 {
		t.Errorf("%d were repaired", n)
	}
	_, dnd := sim.Entry("DND/200")
	if _, subtype, _ := sim.Presence("201"); !dnd || subtype != "lunch" {
		t.Errorf("after the repair: %v, %q", dnd, subtype)
	}
	sim.Flush()
	crash(t, sim, d)
	if n := verify(); n != 0 {
		t.Errorf("%d were repaired after what was on disk", n)
	}
}

// crash lets an Asterisk die and start again, while nobody asks anything.
func crash(t *testing.T, sim *asterisksim.Sim, d *Driver) {
	t.Helper()
	lost := d.current.Load()
	sim.Crash()
	<-lost.Done()
	if err := sim.Up(); err != nil {
		t.Fatal(err)
	}
}

// One that says yes and does nothing is found by reading.
func TestAWriteThatIsAcceptedAndNotDoneIsSeen(t *testing.T) {
	sim := start(t, asterisksim.Config{Extensions: 1})
	d := open(t, sim, Config{Presence: true})
	sim.Inject(asterisksim.Fault{Kind: asterisksim.Forget, Only: "write"})
	for _, s := range presence.All.Slice()[1:] {
		if err := d.SetStatus(t.Context(), "200", s); err != nil {
			t.Fatal(err)
		}
		if shown, err := d.Status(t.Context(), "200"); err != nil || shown != presence.Available {
			t.Errorf("%v: %v, %v", s, shown, err)
		}
	}
}
