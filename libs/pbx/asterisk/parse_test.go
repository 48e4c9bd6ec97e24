package asterisk

import (
	"context"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"

	"offhook.dev/libs/core/fault"
	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/core/presence"
	"offhook.dev/libs/pbx/asterisk/ami"
)

func TestEveryErrorHasAKind(t *testing.T) {
	refusal := func(text string) error { return &ami.Refusal{Action: "X", Message: text} }
	type kinds struct{ read, write fault.Kind }
	same := func(k fault.Kind) kinds { return kinds{k, k} }
	for name, c := range map[string]struct {
		err  error
		want kinds
	}{
		"no right":                {refusal("Permission denied"), same(fault.Denied)},
		"no module":               {refusal("Invalid/unknown command: X. Use Action: ListCommands to show available commands."), same(fault.Denied)},
		"on its way down":         {refusal("Asterisk is shutting down"), same(fault.Unavailable)},
		"a disk that is full":     {refusal("Failed to update entry"), same(fault.Unavailable)},
		"a line that is too long": {refusal("Failed to parse message: line too long"), same(fault.Invalid)},
		"something else":          {refusal("Variable not set"), same(fault.Invalid)},
		"no words":                {refusal(""), same(fault.Invalid)},
		"lost before":             {&ami.LostError{Err: io.EOF}, same(fault.Unavailable)},
		"lost after":              {&ami.LostError{Sent: true, Err: io.EOF}, kinds{fault.Unavailable, fault.Timeout}},
		"unsendable":              {ami.ErrUnsendable, same(fault.Invalid)},
		"late":                    {ami.ErrLate, same(fault.Timeout)},
		"a deadline":              {context.DeadlineExceeded, same(fault.Timeout)},
		"given up":                {context.Canceled, same(fault.Cancelled)},
	} {
		got := kinds{fault.KindOf(classify("op", false, c.err)), fault.KindOf(classify("op", true, c.err))}
		if got != c.want || !errors.Is(classify("op", true, c.err), c.err) {
			t.Errorf("%s: %v", name, got)
		}
	}
	if classify("op", true, nil) != nil {
		t.Error("success is an error")
	}
}

func TestHints(t *testing.T) {
	for text, want := range map[string][]string{
		"PJSIP/200&Custom:DND200,CustomPresence:200": {"PJSIP/200"},
		"SIP/200&PJSIP/1200":                         {"SIP/200", "PJSIP/1200"},
		"Custom:DND200":                              nil,
		"":                                           nil,
		",CustomPresence:200":                        nil,
		"Stasis:a/b&DAHDI/1-1":                       {"DAHDI/1-1"},
		"/&PJSIP/&/200":                              nil,
	} {
		if got := parseHint(text).phones; !slices.Equal(got, want) {
			t.Errorf("%q: %v", text, got)
		}
	}
}

func TestDevices(t *testing.T) {
	for text, want := range map[string][]string{
		"200": {"200"}, "200&1200": {"200", "1200"}, "": nil, "none": {"none"}, "a)b&200": {"200"}, "200&&x y": {"200"},
	} {
		if got := parseDevices(text); !slices.Equal(got, want) {
			t.Errorf("%q: %v", text, got)
		}
	}
}

func TestNames(t *testing.T) {
	for text, want := range map[string][3]string{
		"Ada Abel": {"Ada", "Abel", "Ada Abel"}, "Ada": {"", "Ada", "Ada"}, "200": {}, "": {}, " Mary Ann Berg ": {"Mary Ann", "Berg", "Mary Ann Berg"},
	} {
		first, last, display := names("200", text)
		if got := [3]string{first, last, display}; got != want {
			t.Errorf("%q: %q", text, got)
		}
	}
}

// What is made of any hint and any list of devices can stand in an action.
func FuzzAMIHint(f *testing.F) {
	f.Add("PJSIP/200&Custom:DND200,CustomPresence:200", "200&1200")
	f.Add("&&/&a/", "a)b&\r\n")
	f.Fuzz(func(t *testing.T, text, devices string) {
		for _, phone := range parseHint(text).phones {
			if !strings.Contains(phone, "/") || !strings.Contains(text, phone) || strings.ContainsAny(phone, "&,") {
				t.Errorf("%q has a phone %q", text, phone)
			}
		}
		for _, device := range parseDevices(devices) {
			if _, err := identity.ParseExtension(device); err != nil {
				t.Errorf("%q has a device %q", devices, device)
			}
		}
	})
}

// Any message is some presence, and what we write is read as it was.
func FuzzAMIPresence(f *testing.F) {
	f.Add("away", "lunch", "Lunch")
	f.Add("xa", "", "Business trip")
	f.Add("\xff", "LUNCH", "a,b")
	f.Fuzz(func(t *testing.T, kind, subtype, message string) {
		s := shown{kind, subtype, message}
		for _, dnd := range []bool{false, true} {
			for _, p := range []places{Config{Presence: true}.places(), Config{Profile: Plain, PresenceName: "CustomPresence:{ext}"}.places()} {
				if status := p.status(dnd, s); status != presence.Unset && !p.powers().Read.Has(status) || dnd != (status == presence.DND) && (dnd || p.switched()) {
					t.Errorf("%+v, %v: %v", s, dnd, status)
				}
			}
		}
		if strings.ContainsAny(s.subtype+s.message, ",\r\n") && strings.Count(s.value(), ",") != 3+strings.Count(kind, ",") {
			t.Errorf("%+v is written %q", s, s.value())
		}
	})
}

func TestWhatIsWrittenIsReadAsItWas(t *testing.T) {
	for status, s := range shownAs {
		if s.status() != status {
			t.Errorf("%v is read as %v", status, s.status())
		}
	}
}
