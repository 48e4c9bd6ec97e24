package pbxtest

import (
	"errors"
	"slices"
	"sync"

	"offhook.dev/libs/core/directory"
	"offhook.dev/libs/core/fault"
	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/core/presence"
	"offhook.dev/libs/pbx"
)

// pair returns two statuses to switch between: two that can be written, or one
// twice. The last declared one is left to everyDeclared where there are three.
func pair(h Harness) (a, b presence.Status) {
	statuses := powers(h).Powers.Write.Slice()
	return statuses[0], statuses[min(1, len(statuses)-1)]
}

func everyDeclared(t T, h Harness) {
	ext := h.Extensions()[0]
	for _, s := range powers(h).Powers.Write.Slice() {
		set(t, h, ext, s)
		if shown := h.Shown(ext); shown != s {
			t.Errorf("set %v, the phone system shows %v", s, shown)
		}
	}
}

func choiceIsRead(t T, h Harness) {
	ext := h.Extensions()[0]
	for _, s := range powers(h).Powers.Read.Slice() {
		h.Choose(ext, s)
		if got, err := h.Driver().Status(t.Context(), ext); err != nil || got != s {
			t.Errorf("a person chose %v, read %v (%v)", s, got, err)
		}
	}
}

func twiceIsOnce(t T, h Harness) {
	ext := h.Extensions()[0]
	_, s := pair(h)
	set(t, h, ext, s)
	if err := h.Driver().SetStatus(t.Context(), ext, s); err != nil {
		t.Errorf("set %v a second time: %v", s, err)
	}
	if shown := h.Shown(ext); shown != s {
		t.Errorf("set %v twice, the phone system shows %v", s, shown)
	}
}

func lastWins(t T, h Harness) {
	ext := h.Extensions()[0]
	a, b := pair(h)
	h.Choose(ext, presence.Available)
	for i := range 20 {
		s := a
		if i%2 == 1 {
			s = b
		}
		set(t, h, ext, s)
	}
	if shown := h.Shown(ext); shown != b {
		t.Errorf("the last of 20 writes was %v, the phone system shows %v", b, shown)
	}
}

func noMixing(t T, h Harness) {
	a, b := pair(h)
	want := make(map[identity.Extension]presence.Status)
	errs := make(chan error, len(h.Extensions()))
	var writers sync.WaitGroup
	for i, ext := range h.Extensions()[:4] {
		s := a
		if i%2 == 1 {
			s = b
		}
		want[ext] = s
		writers.Go(func() { errs <- h.Driver().SetStatus(t.Context(), ext, s) })
	}
	writers.Wait()
	close(errs)
	for err := range errs {
		if err != nil {
			t.Errorf("one of several writes at once: %v", err)
		}
	}
	for ext, s := range want {
		if shown := h.Shown(ext); shown != s {
			t.Errorf("%s was set to %v and shows %v", ext, s, shown)
		}
	}
}

func undeclared(t T, h Harness) {
	ext := h.Extensions()[0]
	before, requests := h.Shown(ext), h.Requests()
	for _, s := range append(presence.Statuses(), presence.Unset, presence.BusinessTrip+1) {
		if powers(h).Powers.Write.Has(s) {
			continue
		}
		wantKind(t, h.Driver().SetStatus(t.Context(), ext, s), fault.Unsupported, "set "+s.String())
	}
	if shown := h.Shown(ext); shown != before {
		t.Errorf("the phone system shows %v instead of %v", shown, before)
	}
	if sent := h.Requests() - requests; sent != 0 {
		t.Errorf("%d requests were sent", sent)
	}
}

func unknownRead(t T, h Harness) {
	_, err := h.Driver().Status(t.Context(), h.Absent())
	wantKind(t, err, fault.NotFound, "status")
}

func unknownWrite(t T, h Harness) {
	s, _ := pair(h)
	wantKind(t, h.Driver().SetStatus(t.Context(), h.Absent(), s), fault.NotFound, "set status")
}

func severalAtOnce(t T, h Harness) {
	driver, ok := h.Driver().(pbx.Several)
	if !ok {
		return
	}
	h.Choose(h.Extensions()[1], presence.DND)
	requests := h.Requests()
	got, err := driver.StatusesOf(t.Context(), append(h.Extensions()[:4:4], h.Absent()))
	if err != nil || len(got) != 4 {
		t.Errorf("four that there are and one that there is not: %v (%v)", got, err)
	}
	if sent := h.Requests() - requests; sent != 1 {
		t.Errorf("they cost %d requests", sent)
	}
	for ext, s := range got {
		if shown := h.Shown(ext); s != shown {
			t.Errorf("%s shows %v and was read as %v", ext, shown, s)
		}
	}
}

func listing(t T, h Harness) {
	h.Choose(h.Extensions()[1], presence.DND)
	seen := make(map[identity.Extension]presence.Status)
	err := h.Driver().Statuses(t.Context(), func(ext identity.Extension, s presence.Status) error {
		if _, twice := seen[ext]; twice {
			t.Errorf("%s is listed twice", ext)
		}
		seen[ext] = s
		return nil
	})
	if err != nil {
		t.Fatalf("statuses: %v", err)
	}
	for _, ext := range h.Extensions() {
		s, ok := seen[ext]
		if shown := h.Shown(ext); !ok || s != shown {
			t.Errorf("%s is listed %v as %v and shows %v", ext, ok, s, shown)
		}
	}
	if len(seen) != len(h.Extensions()) {
		t.Errorf("%d extensions are listed, there are %d", len(seen), len(h.Extensions()))
	}
}

func listingStops(t T, h Harness) {
	enough, calls := errors.New("enough"), 0
	err := h.Driver().Statuses(t.Context(), func(identity.Extension, presence.Status) error {
		calls++
		return enough
	})
	if !errors.Is(err, enough) || calls != 1 {
		t.Errorf("after the reader's error: %d calls, %v", calls, err)
	}
}

func inventory(t T, h Harness) {
	lister, ok := h.Driver().(pbx.Extensions)
	if !ok {
		return // not declared: implementedIsDeclared sees to it
	}
	var numbers []identity.Extension
	err := lister.Extensions(t.Context(), func(e directory.Extension) error {
		numbers = append(numbers, e.Number)
		return nil
	})
	if err != nil {
		t.Fatalf("extensions: %v", err)
	}
	want := slices.Sorted(slices.Values(h.Extensions()))
	if slices.Sort(numbers); !slices.Equal(numbers, want) {
		t.Errorf("listed %v, there are %v", numbers, want)
	}
}

// set sets a status that must be accepted.
func set(t T, h Harness, ext identity.Extension, s presence.Status) {
	t.Helper()
	if err := h.Driver().SetStatus(t.Context(), ext, s); err != nil {
		t.Fatalf("set %s to %v: %v", ext, s, err)
	}
}

// wantKind checks the class of an error.
func wantKind(t T, err error, kind fault.Kind, what string) {
	t.Helper()
	if err == nil || fault.KindOf(err) != kind {
		t.Errorf("%s: want an error that is %v, got %v", what, kind, describe(err))
	}
}

func describe(err error) string {
	if err == nil {
		return "success"
	}
	return fault.KindOf(err).String() + " (" + err.Error() + ")"
}
