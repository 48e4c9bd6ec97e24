package pbx_test

import (
	"context"
	"slices"
	"testing"

	"offhook.dev/libs/core/directory"
	"offhook.dev/libs/core/fault"
	"offhook.dev/libs/pbx"
	"offhook.dev/libs/pbx/memory"
)

func TestACallIsOrderedAgainOnlyWhereItWasNotTaken(t *testing.T) {
	for name, c := range map[string]struct {
		refuse   error // of the first order, before it is taken
		lose     bool  // the answer to each
		kind     fault.Kind
		requests int
		calls    int
	}{
		"an order that is taken":                    {requests: 1, calls: 1},
		"an order that was turned away comes again": {refuse: closed, requests: 2, calls: 1},
		"an order whose answer was lost does not":   {lose: true, kind: fault.Timeout, requests: 1, calls: 1},
	} {
		t.Run(name, func(t *testing.T) {
			b := newSetup(t, 1, pbx.Options{})
			requests := 0
			b.world.Intercept(func(_ context.Context, request func() error) error {
				if requests++; requests == 1 && c.refuse != nil {
					return c.refuse
				}
				err := request()
				if c.lose {
					return lost
				}
				return err
			})
			err := b.Dial(t.Context(), "200", "+4930123")
			if (err != nil) != (c.kind != 0) || err != nil && fault.KindOf(err) != c.kind {
				t.Errorf("got %v", err)
			}
			if called := b.world.Dialled("200"); requests != c.requests || len(called) != c.calls || called[0] != "+4930123" {
				t.Errorf("%d requests, called %q", requests, called)
			}
		})
	}
}

func TestWhatIsNoNumberDoesNotWaitForItsTurn(t *testing.T) {
	b := newSetup(t, 1, pbx.Options{})
	if err := b.Dial(t.Context(), "200", "200@elsewhere"); fault.KindOf(err) != fault.Invalid {
		t.Errorf("got %v", err)
	}
	if n := b.world.Requests(); n != 0 {
		t.Errorf("%d requests", n)
	}
}

// mute is a driver without any power beyond the least.
type mute struct{ pbx.Driver }

func (m mute) Capabilities() pbx.Capabilities {
	return pbx.Capabilities{Powers: m.Driver.Capabilities().Powers}
}

func TestWithoutThePowerNobodyDials(t *testing.T) {
	world := memory.NewPhoneSystem(directory.Extension{Number: "200"})
	system, err := pbx.NewSystem("hq", mute{memory.Open(world, memory.Powers)}, pbx.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer system.Close()
	if err := system.Dial(t.Context(), "200", "0"); fault.KindOf(err) != fault.Unsupported || world.Requests() != 0 {
		t.Errorf("got %v after %d requests", err, world.Requests())
	}
}

// boastful declares that it dials, and cannot.
type boastful struct{ mute }

func (b boastful) Capabilities() pbx.Capabilities {
	c := b.mute.Capabilities()
	c.Dial = true
	return c
}

func TestADialerThatIsNoneIsRefused(t *testing.T) {
	driver := boastful{mute{memory.Open(memory.NewPhoneSystem(), memory.Powers)}}
	if system, err := pbx.NewSystem("hq", driver, pbx.Options{}); err == nil {
		system.Close()
		t.Error("accepted")
	}
}

func FuzzDialled(f *testing.F) {
	for _, seed := range []string{"+4930123", "0", "*97#", "", "+", "1\r\nAction: Logoff", "200@default", "1,2", "１２"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, number string) {
		err := pbx.CheckDial("op", number)
		keys := []byte(number)
		if len(keys) > 0 && keys[0] == '+' {
			keys = keys[1:]
		}
		dialable := len(keys) > 0 && len(keys) <= 40
		for _, key := range keys {
			dialable = dialable && slices.Contains([]byte("0123456789*#"), key)
		}
		if (err == nil) != dialable || err != nil && fault.KindOf(err) != fault.Invalid {
			t.Errorf("%q: %v", number, err)
		}
	})
}
