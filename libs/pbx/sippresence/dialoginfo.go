package sippresence

import (
	"bytes"
	"encoding/xml"
)

// The namespace and the type of a dialog-info document (RFC 4235).
const (
	dialogSpace = "urn:ietf:params:xml:ns:dialog-info"
	dialogType  = "application/dialog-info+xml"
)

// composeDialog writes the document that makes an address look as if it were in a call
// (lit), or as if that call had just ended. All documents of an address have the same
// dialog id, so that the end of the call is that of the one which phones know. Of the call
// nothing else is told, neither who nor where: there is none. The server counts the
// versions for each watcher itself (RFC 4235 section 4.3, as Kamailio does).
func composeDialog(address string, lit bool) []byte {
	state := "terminated"
	if lit {
		state = "confirmed"
	}
	var b bytes.Buffer
	b.WriteString(`<dialog-info xmlns="` + dialogSpace + `" version="0" state="full" entity="`)
	_ = xml.EscapeText(&b, []byte(address)) // a bytes.Buffer takes everything
	b.WriteString(`"><dialog id="offhook" direction="initiator"><state>` + state + "</state></dialog></dialog-info>\n")
	return b.Bytes()
}
