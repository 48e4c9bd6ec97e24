package charset

import (
	"testing"
	"unicode/utf8"
)

func TestWhatIsNoUTF8IsWindows1252(t *testing.T) {
	for text, want := range map[string]string{
		"":                                "",
		"J\xc3\xb6rg":                     "Jörg",
		"J\xf6rg":                         "Jörg",
		"Jos\xe9":                         "José",
		"\xc4\xd6\xdc\xe4\xf6\xfc\xdf":    "ÄÖÜäöüß",
		"O\x92Brien \x80":                 "O’Brien €",
		"\x8aim\xe1nek|Jörg\nJ\xf6rg|Bé|": "Šimánek|Jörg\nJörg|Bé|",
		"\xe9\xe8\xe7":                    "éèç",
		"\xed\xa0\x80":                    "í\u00a0€", // half of a pair is no UTF-8
		"\ufffd":                          "\ufffd",   // it was lost before
	} {
		if got := UTF8(text); got != want {
			t.Errorf("%q: %q", text, got)
		}
	}
}

// FuzzUTF8: whatever it is, it is UTF-8 afterwards, and UTF-8 is left alone.
func FuzzUTF8(f *testing.F) {
	f.Add("J\xf6rg Jörg")
	f.Fuzz(func(t *testing.T, text string) {
		got := UTF8(text)
		if !utf8.ValidString(got) || utf8.ValidString(text) && got != text || UTF8(got) != got {
			t.Errorf("%q: %q", text, got)
		}
	})
}
