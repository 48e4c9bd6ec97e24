package pbxtest

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"offhook.dev/libs/core/directory"
	"offhook.dev/libs/core/fault"
	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/pbx"
)

func isLicenceFull(err error) bool { return errors.Is(err, pbx.ErrLicenceFull) }

func deletions(t T, h Harness) {
	s, ok := hired(h)
	if !ok {
		return
	}
	gone, kept, also := h.Extensions()[0], h.Extensions()[1], h.Extensions()[2]
	s.Keep(kept)
	before := must(s.Listed(kept))
	failed, err := s.DeleteExtensions(t.Context(), []identity.Extension{gone, kept, also})
	if err != nil {
		t.Fatalf("delete: %v", err)
	}
	if len(failed) != 1 || failed[kept] == nil || fault.KindOf(failed[kept]) == fault.NotFound || fault.KindOf(failed[kept]) == fault.Unknown {
		t.Errorf("of %s, which must stay, and two others failed: %v", kept, failed)
	}
	s.isNot(t, gone)
	s.isNot(t, also)
	s.is(t, before)
}

func deletedTwice(t T, h Harness) {
	s, ok := hired(h)
	if !ok {
		return
	}
	first, second := h.Extensions()[3], h.Extensions()[2]
	if failed, err := s.DeleteExtensions(t.Context(), []identity.Extension{first}); err != nil || len(failed) != 0 {
		t.Fatalf("delete: %v, %v", failed, err)
	}
	failed, err := s.DeleteExtensions(t.Context(), []identity.Extension{first, h.Absent(), second})
	if err != nil || len(failed) != 2 {
		t.Errorf("delete again, with one that never was and another: failed %v, %v", failed, err)
	}
	for _, ext := range []identity.Extension{first, h.Absent()} {
		wantKind(t, failed[ext], fault.NotFound, "delete "+string(ext)+" again")
	}
	s.isNot(t, second)
}

func deletionsBeyondBatch(t T, h Harness) {
	s, ok := hired(h)
	if !ok {
		return
	}
	many := slices.Repeat([]identity.Extension{h.Absent()}, s.powers.Batch)
	many = append(many, h.Extensions()[0])
	requests := h.Requests()
	failed, err := s.DeleteExtensions(t.Context(), many)
	wantKind(t, err, fault.Invalid, "delete too many")
	if sent := h.Requests() - requests; sent != 0 || failed != nil {
		t.Errorf("%d requests were sent, failed %v", sent, failed)
	}
	if _, ok := s.Listed(h.Extensions()[0]); !ok {
		t.Errorf("the last of them was deleted")
	}
}

func strangersUntouched(t T, h Harness) {
	s, ok := hired(h)
	if !ok {
		return
	}
	before := make(map[identity.Extension]directory.Extension)
	for _, ext := range h.Extensions() {
		before[ext] = must(s.Listed(ext))
	}
	free := s.Free(2)
	made := s.create(t, s.sample(free[0]))
	s.create(t, s.sample(free[1]))
	made.FirstName, made.Enabled, made.Marker = "Emil", false, s.marker("44444444-7b1d-4c7e-9a55-3f0d2b6c8e11")
	s.update(t, made.Number, made, directory.FirstName, directory.Enabled)
	if failed, err := s.DeleteExtensions(t.Context(), free[1:]); err != nil || len(failed) != 0 {
		t.Errorf("delete: %v, %v", failed, err)
	}
	s.is(t, made)
	for _, ext := range slices.Sorted(maps.Keys(before)) {
		if now, ok := s.Listed(ext); !ok || now != before[ext] {
			t.Errorf("%s exists %v and was %+v, now %+v", ext, ok, before[ext], now)
		}
	}
}

// names are texts that are hard on tables, codes and columns.
func names() []string {
	return []string{
		"Zoë Müller-Lüdenscheidt", "שרה כהן", "محمد الأحمد", "李小龍", "Παπαδόπουλος",
		"👩‍👩‍👧 Ada 🏳️‍🌈", "e\u0301te\u0301 \u2067abc\u2069", `O'Hara "Kid" <b>&amp; \ %27 {x}`, "tab\tand, comma; semicolon",
		strings.Repeat("Wolfeschlegelsteinhausen", 10), strings.Repeat("Ü", 255), strings.Repeat("🙂", 100), strings.Repeat("ab", 1000),
	}
}

func extensionTexts(t T, h Harness) {
	s, ok := hired(h)
	if !ok {
		return
	}
	e := s.create(t, s.sample(s.Free(1)[0]))
	for _, name := range names() {
		for _, field := range []directory.Field{directory.FirstName, directory.LastName, directory.Department} {
			if !s.powers.Has(field) || field == directory.Department && len(name) > 100 {
				continue
			}
			to := e
			*texts(&to.Fields)[field] = name
			switch err := s.UpdateExtension(t.Context(), e.Number, directory.Update{Fields: []directory.Field{field}, To: to}); {
			case err == nil:
				e = to
			case fault.KindOf(err) != fault.Invalid:
				t.Errorf("%s %s: %v", field, brief(name), describe(err))
			}
			s.is(t, e)
		}
	}
}

// brief is a text that is fit for a message.
func brief(text string) string {
	if runes := []rune(text); len(runes) > 30 {
		return fmt.Sprintf("%q and %d more", string(runes[:30]), len(runes)-30)
	}
	return fmt.Sprintf("%q", text)
}
