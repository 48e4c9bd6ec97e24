package asterisk

import (
	"maps"
	"testing"
	"unicode/utf8"

	"offhook.dev/libs/core/directory"
	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/pbx/asterisk/ami"
	"offhook.dev/libs/pbx/asterisksim"
)

// Users are written by many hands, and Asterisk passes on what they have written.
func TestNamesAreReadInEitherCharset(t *testing.T) {
	sim := start(t, asterisksim.Config{Extensions: 4})
	d := open(t, sim, Config{})
	want := map[identity.Extension]string{"200": "Person 200"}
	for ext, c := range map[identity.Extension][2]string{
		"201": {"J\xf6rg Gro\xdf", "Jörg Groß"}, "202": {"Jörg Groß", "Jörg Groß"}, "203": {"Jan \x8aim\xe1nek", "Jan Šimánek"},
	} {
		sim.SetEntry("AMPUSER/"+string(ext)+"/cidname", c[0])
		want[ext] = c[1]
	}
	got := make(map[identity.Extension]string)
	err := d.Extensions(t.Context(), func(e directory.Extension) error {
		got[e.Number] = e.DisplayName
		if e.FirstName+" "+e.LastName != e.DisplayName {
			t.Errorf("%q is %q %q", e.DisplayName, e.FirstName, e.LastName)
		}
		return nil
	})
	if err != nil || !maps.Equal(got, want) {
		t.Errorf("%q, %v", got, err)
	}
}

func TestAVoicemailBoxIsReadInEitherCharset(t *testing.T) {
	for text, want := range map[string]directory.Fields{
		"Fullname: J\xf6rg Gro\xdf\r\nEmail: j\xf6rg@contoso.example": {FirstName: "Jörg", LastName: "Groß", DisplayName: "Jörg Groß", Mail: "jörg@contoso.example"},
		"Fullname: Jörg Groß\r\nEmail: jörg@contoso.example":          {FirstName: "Jörg", LastName: "Groß", DisplayName: "Jörg Groß", Mail: "jörg@contoso.example"},
		"Fullname: Brid O\x92Brien\r\nEmail: brid@contoso.example":    {FirstName: "Brid", LastName: "O’Brien", DisplayName: "Brid O’Brien", Mail: "brid@contoso.example"},
		"Fullname: Jürgen M\xc3\r\nEmail: ":                           {FirstName: "Jürgen", LastName: "MÃ", DisplayName: "Jürgen MÃ"}, // cut within a letter
		"Fullname: \x8d":                                              {LastName: "\ufffd", DisplayName: "\ufffd"},                     // in neither
	} {
		m, err := ami.Parse("Event: VoicemailUserEntry\r\n" + text)
		if err != nil {
			t.Fatal(err)
		}
		if got := box("200", m); got.Fields != want {
			t.Errorf("%q: %+v", text, got.Fields)
		}
	}
}

// FuzzAMIName: whatever a name is, it is UTF-8 afterwards.
func FuzzAMIName(f *testing.F) {
	f.Add("J\xf6rg Jörg")
	f.Fuzz(func(t *testing.T, text string) {
		if first, last, display := names("200", text); !utf8.ValidString(first + last + display) {
			t.Errorf("%q: %q, %q, %q", text, first, last, display)
		}
	})
}
