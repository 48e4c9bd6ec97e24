package sippresence

import (
	"encoding/xml"
	"strings"
	"testing"
	"unicode/utf8"

	"offhook.dev/libs/pbx/sippresence/kamailiotest"
)

func TestDialogInfo(t *testing.T) {
	const (
		head = `<dialog-info xmlns="urn:ietf:params:xml:ns:dialog-info" version="0" state="full" entity="sip:201@pbx.example.com">`
		tail = "</dialog-info>\n"
	)
	for lit, want := range map[bool]string{
		true:  head + `<dialog id="offhook" direction="initiator"><state>confirmed</state></dialog>` + tail,
		false: head + `<dialog id="offhook" direction="initiator"><state>terminated</state></dialog>` + tail,
	} {
		if got := string(composeDialog("sip:201@pbx.example.com", lit)); got != want {
			t.Errorf("composed\n%s instead of\n%s", got, want)
		}
		colour := map[bool]kamailiotest.Colour{true: kamailiotest.Red, false: kamailiotest.Dark}[lit]
		lamp := kamailiotest.NewLamp()
		lamp.Hear(want)
		if lacks := lamp.Lacks(colour); lacks != "" {
			t.Error(lacks)
		}
	}
}

// For any address it is a document of one call and nothing else.
func FuzzDialogInfo(f *testing.F) {
	f.Add("sip:201@pbx.example.com", true)
	f.Add(`sip:a"><dialog id="x"><state>early</state></dialog>&@example.com`, false)
	f.Add("\x00\xff<", true)
	f.Fuzz(func(t *testing.T, address string, lit bool) {
		var read struct {
			XMLName xml.Name `xml:"urn:ietf:params:xml:ns:dialog-info dialog-info"`
			Entity  string   `xml:"entity,attr"`
			Dialogs []struct {
				ID    string `xml:"id,attr"`
				State string `xml:"urn:ietf:params:xml:ns:dialog-info state"`
			} `xml:"urn:ietf:params:xml:ns:dialog-info dialog"`
		}
		document := composeDialog(address, lit)
		if err := xml.Unmarshal(document, &read); err != nil || len(read.Dialogs) != 1 || read.Dialogs[0].ID != "offhook" || (read.Dialogs[0].State == "confirmed") != lit {
			t.Errorf("read %+v (%v) from\n%s", read, err, document)
		}
		if strings.Count(string(document), "<dialog ") != 1 || strings.Count(string(document), "<state>") != 1 {
			t.Errorf("composed\n%s", document)
		}
		if plain := strings.IndexFunc(address, func(r rune) bool { return r < ' ' || r > '~' }) < 0; plain && utf8.ValidString(address) && read.Entity != address {
			t.Errorf("%q is read as %q", address, read.Entity)
		}
	})
}
