package pbxtest

import (
	"context"
	"slices"
	"strings"

	"offhook.dev/libs/core/fault"
	"offhook.dev/libs/pbx"
)

// dialler is a driver that dials, with what a case needs besides.
type dialler struct {
	Dialling
	pbx.Dialer
}

// dials returns the driver under test as one that dials, or false where it declares that
// it does not: implementedIsDeclared sees to it.
func dials(h Harness) (dialler, bool) {
	driver, dials := h.Driver().(pbx.Dialer)
	phones, shows := h.(Dialling)
	return dialler{phones, driver}, dials && shows
}

// dialable are numbers as people dial them.
var dialable = []string{"+493012345678", "0", "*97#"}

func dialledEachTime(t T, h Harness) {
	d, ok := dials(h)
	if !ok {
		return
	}
	ext, other := h.Extensions()[0], h.Extensions()[1]
	numbers := append(slices.Clone(dialable), dialable[0], string(other))
	for _, number := range numbers {
		if err := d.Dial(t.Context(), ext, number); err != nil {
			t.Errorf("dial %q: %v", number, err)
		}
	}
	if called := d.Dialled(ext); !slices.Equal(called, numbers) {
		t.Errorf("dialled were %q, called %q", numbers, called)
	}
	if called := d.Dialled(other); len(called) > 0 {
		t.Errorf("%s has called %q", other, called)
	}
}

func dialledNoNumber(t T, h Harness) {
	d, ok := dials(h)
	if !ok {
		return
	}
	ext, requests := h.Extensions()[0], h.Requests()
	for _, number := range []string{"", "+", "++1", "12a", " 1", "1-2", "200@elsewhere", "200,1", "1&2", "1/n", "1;x", "$1", "1\r\nX: y", "1\x00", "１",
		strings.Repeat("1", 41)} {
		wantKind(t, d.Dial(t.Context(), ext, number), fault.Invalid, "dial "+number)
	}
	if sent := h.Requests() - requests; sent != 0 {
		t.Errorf("%d requests were sent", sent)
	}
	if called := d.Dialled(ext); len(called) > 0 {
		t.Errorf("called were %q", called)
	}
}

func dialledForNobody(t T, h Harness) {
	d, ok := dials(h)
	if !ok {
		return
	}
	wantKind(t, d.Dial(t.Context(), h.Absent(), dialable[0]), fault.NotFound, "dial")
}

func dialledInVain(t T, h Harness) {
	d, ok := dials(h)
	if !ok {
		return
	}
	warm(t, h)
	ext := h.Extensions()[0]
	h.Inject(Down)
	wantKind(t, d.Dial(t.Context(), ext, dialable[0]), fault.Unavailable, "dial")
	if called := d.Dialled(ext); len(called) > 0 {
		t.Errorf("called were %q", called)
	}
}

func dialledUnheard(t T, h Harness) {
	d, ok := dials(h)
	if !ok {
		return
	}
	warm(t, h)
	ext := h.Extensions()[0]
	h.Inject(LostAnswer)
	ctx, cancel := context.WithTimeout(t.Context(), prompt) // some protocols can only wait
	defer cancel()
	wantKind(t, d.Dial(ctx, ext, dialable[0]), fault.Timeout, "dial")
	if called := d.Dialled(ext); len(called) != 1 {
		t.Errorf("called were %q", called)
	}
}
