package sippresence

import (
	"slices"
	"testing"

	"offhook.dev/libs/core/directory"
	"offhook.dev/libs/core/fault"
	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/core/presence"
	"offhook.dev/libs/pbx"
	"offhook.dev/libs/pbx/pbxtest"
	"offhook.dev/libs/pbx/sippresence/kamailiotest"
)

func TestConformance(t *testing.T) {
	for _, transport := range []Transport{UDP, TCP, TLS} {
		t.Run(string(transport), func(t *testing.T) {
			pbxtest.Run(t, func() pbxtest.Harness { return newHarness(t, transport) })
		})
	}
}

func TestWithoutConfiguredExtensionsThereIsNoInventory(t *testing.T) {
	_, d := pair(t, nil)
	if _, ok := d.(pbx.Extensions); ok || d.Capabilities().Extensions {
		t.Error("an inventory is promised that nobody has")
	}
}

func TestTheInventoryIsWhatIsConfigured(t *testing.T) {
	s, d := pair(t, func(_ *behaviour, c *Config) { c.Extensions = []identity.Extension{"300", "201", "300"} })
	var listed []directory.Extension
	list := func() error {
		return d.(pbx.Extensions).Extensions(t.Context(), func(e directory.Extension) error {
			listed = append(listed, e)
			return nil
		})
	}
	if err := list(); err != nil || !slices.Equal(listed, []directory.Extension{{Number: "201", Enabled: true}, {Number: "300", Enabled: true}}) {
		t.Errorf("listed %+v, %v", listed, err)
	}
	if n := len(s.messages()); n != 0 {
		t.Errorf("%d requests were sent", n)
	}
	d.Close()
	wantKind(t, list(), fault.Unavailable)
}

// harness is the small server with a driver attached.
type harness struct {
	*server
	driver     pbx.Driver
	extensions []identity.Extension
}

func newHarness(t *testing.T, transport Transport) *harness {
	extensions := []identity.Extension{"201", "202", "*203", "reception.2", "#205"}
	names := append([]identity.Extension(nil), extensions...)
	names[4] = "%23205" // as it is written in an address
	s := newServer(t, names...)
	config := s.config(transport)
	config.Extensions = extensions
	driver, err := Open(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	for _, ext := range names {
		s.place(ext, foreign(presence.Available))
	}
	return &harness{server: s, driver: driver, extensions: extensions}
}

func (h *harness) Driver() pbx.Driver               { return h.driver }
func (h *harness) Extensions() []identity.Extension { return h.extensions }
func (h *harness) Absent() identity.Extension       { return "999" }
func (h *harness) Requests() int                    { return len(h.messages()) }
func (h *harness) Inject(f pbxtest.Fault)           { h.inject(f) }
func (h *harness) Close()                           { h.close() }

func (h *harness) Shown(ext identity.Extension) presence.Status {
	if ext == "#205" {
		ext = "%23205"
	}
	return kamailiotest.Shown(h.document(ext))
}

func (h *harness) Choose(ext identity.Extension, s presence.Status) {
	if ext == "#205" {
		ext = "%23205"
	}
	h.place(ext, foreign(s))
}
