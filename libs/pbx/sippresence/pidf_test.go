package sippresence

import (
	"bytes"
	"flag"
	"os"
	"path"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"

	"offhook.dev/libs/core/presence"
)

var update = flag.Bool("update", false, "write what is composed into testdata/documents.txtar")

const documents = "testdata/documents.txtar"

func archive(t testing.TB) *txtar.Archive {
	t.Helper()
	a, err := txtar.ParseFile(documents)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// Each document's folder is the status that it shows, "none" for Unset, "error" if
// it is no presence document. In composed/ are those that we write.
func TestDocuments(t *testing.T) {
	a, changed := archive(t), false
	composed := 0
	for i, f := range a.Files {
		t.Run(f.Name, func(t *testing.T) {
			folder, name := path.Split(f.Name)
			word := path.Clean(folder)
			if word == "composed" {
				composed++
				word = name
				status, err := presence.ParseStatus(word)
				if err != nil {
					t.Fatal(err)
				}
				got := compose("sip:201@pbx.example.com", status)
				if !bytes.HasPrefix(got, []byte("<?xml version=")) { // RFC 3863 section 4.1
					t.Errorf("it begins with no XML declaration:\n%s", got)
				}
				if *update {
					a.Files[i].Data, f.Data, changed = got, got, true
				} else if !bytes.Equal(got, f.Data) {
					t.Errorf("composed\n%s", got)
				}
			}
			got, err := parse(f.Data)
			switch {
			case word == "error":
				if err == nil {
					t.Errorf("read %v without an error", got)
				}
				return
			case word == "none":
				word = ""
			}
			if want, bad := presence.ParseStatus(word); bad != nil || err != nil || got != want {
				t.Errorf("read %q (%v) instead of %q", got, err, want)
			}
		})
	}
	if composed != len(presence.Statuses()) {
		t.Errorf("%d documents are composed, there are %d statuses", composed, len(presence.Statuses()))
	}
	if changed {
		if err := os.WriteFile(documents, txtar.Format(a), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

func TestAnAddressCannotBreakOutOfTheDocument(t *testing.T) {
	document := compose(`sip:a"><evil/>&@example.com`, presence.Away)
	if s, err := parse(document); err != nil || s != presence.Away {
		t.Errorf("read %v (%v) from\n%s", s, err, document)
	}
	if bytes.Contains(document, []byte("<evil")) {
		t.Errorf("composed\n%s", document)
	}
}

// Whatever a server sends is one of the five, Unset or an error, and what we
// compose is read back for any address.
func FuzzPIDF(f *testing.F) {
	for _, file := range archive(f).Files {
		f.Add(string(file.Data), "sip:201@pbx.example.com", uint8(presence.DND))
	}
	f.Add(`<!DOCTYPE p [<!ENTITY a "aaaa">]><presence xmlns="urn:ietf:params:xml:ns:pidf">&a;</presence>`, "", uint8(0))
	f.Add("\xff\xfe<\x00p\x00", "\x00<\"", uint8(presence.Lunch))
	f.Fuzz(func(t *testing.T, body, address string, code uint8) {
		status, err := parse([]byte(body))
		if err != nil && status != presence.Unset || status != presence.Unset && !presence.All.Has(status) {
			t.Errorf("read %v with %v", status, err)
		}
		written := presence.Statuses()[int(code)%len(presence.Statuses())]
		document := compose(address, written)
		if got, err := parse(document); err != nil || got != written {
			t.Errorf("wrote %v, read %v (%v) from\n%s", written, got, err, document)
		}
	})
}
