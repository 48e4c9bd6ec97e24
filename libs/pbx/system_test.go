package pbx_test

import (
	"slices"
	"testing"

	"offhook.dev/libs/core/directory"
	"offhook.dev/libs/core/fault"
	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/core/presence"
	"offhook.dev/libs/pbx"
	"offhook.dev/libs/pbx/memory"
)

func TestAReadersErrorIsItsOwn(t *testing.T) {
	b := newSetup(t, 3, pbx.Options{})
	mine := fault.Errorf(fault.Unavailable, "broker", "the stream is full")
	for range 10 { // were it taken for the phone system's, the breaker would open
		err := b.Statuses(t.Context(), func(identity.Extension, presence.Status) error { return mine })
		if err != mine {
			t.Fatalf("got %v", err)
		}
	}
	if n := b.world.Requests(); n != 10 {
		t.Errorf("%d requests for 10 listings", n)
	}
	if b.Generation() != 0 {
		t.Error("the phone system is said to have been away")
	}
}

func TestWhatIsBeyondThePowersNeverLeaves(t *testing.T) {
	world := memory.NewPhoneSystem(directory.Extension{Number: "200"})
	powers := presence.Powers{Write: presence.SetOf(presence.Available, presence.DND), Read: presence.All}
	bare := struct{ pbx.Driver }{memory.Open(world, powers)}
	if _, err := pbx.NewSystem("hq", bare, pbx.Options{}); err == nil {
		t.Error("a driver that declares more than it implements was accepted")
	}
	system, err := pbx.NewSystem("hq", modest{memory.Open(world, powers)}, pbx.Options{})
	if err != nil {
		t.Fatal(err)
	}
	_, syncErr := system.NativeSync(t.Context())
	for what, err := range map[string]error{
		"lunch": system.SetStatus(t.Context(), "200", presence.Lunch),
		"unset": system.SetStatus(t.Context(), "200", presence.Unset),
		"sync":  syncErr,
		"watch": system.Watch(t.Context(), func(pbx.WatchEvent) {}),
		"list":  system.Extensions(t.Context(), func(directory.Extension) error { return nil }),
		"read":  second(system.Extension(t.Context(), "200")),
		"make":  system.CreateExtension(t.Context(), directory.Extension{Number: "201"}),
		"edit":  system.UpdateExtension(t.Context(), "200", directory.Update{Fields: []directory.Field{directory.Mail}}),
		"fire":  second(system.DeleteExtensions(t.Context(), []identity.Extension{"200"})),
		"book":  system.Contacts(t.Context(), "", func(directory.Contact) error { return nil }),
		"enter": second(system.CreateContact(t.Context(), "", directory.Contact{})),
		"amend": system.UpdateContact(t.Context(), "200", directory.Contact{}),
		"erase": second(system.DeleteContacts(t.Context(), "200", []string{"1"})),
		"photo": system.SetPhoto(t.Context(), "200", nil, ""),
	} {
		if fault.KindOf(err) != fault.Unsupported {
			t.Errorf("%s: %v", what, err)
		}
	}
	if n := world.Requests(); n != 0 {
		t.Errorf("%d requests left", n)
	}
}

func second[T any](_ T, err error) error { return err }

// modest is a driver without optional powers, and says so.
type modest struct{ pbx.Driver }

func (m modest) Capabilities() pbx.Capabilities {
	c := m.Driver.Capabilities()
	return pbx.Capabilities{Powers: c.Powers, Version: c.Version}
}

func TestOptionalPowersPassThrough(t *testing.T) {
	b := newSetup(t, 3, pbx.Options{})
	var numbers []identity.Extension
	err := b.Extensions(t.Context(), func(e directory.Extension) error { numbers = append(numbers, e.Number); return nil })
	if err != nil || !slices.Equal(numbers, []identity.Extension{"200", "201", "202"}) {
		t.Errorf("inventory: %v, %v", numbers, err)
	}
	b.world.SetSync(pbx.SyncState{Calendar: true})
	if state, err := b.NativeSync(t.Context()); err != nil || !state.Statuses() || !state.Any() {
		t.Errorf("native sync: %+v, %v", state, err)
	}
}
