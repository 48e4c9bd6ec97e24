package sippresence

import (
	"bytes"
	"encoding/xml"
	"fmt"
	"strings"

	"offhook.dev/libs/core/presence"
)

// The namespaces of a presence document.
const (
	pidfSpace = "urn:ietf:params:xml:ns:pidf"            // RFC 3863
	dataSpace = "urn:ietf:params:xml:ns:pidf:data-model" // RFC 4479
	rpidSpace = "urn:ietf:params:xml:ns:pidf:rpid"       // RFC 4480
	pidfType  = "application/pidf+xml"
)

// dndNote is how a person reads dnd: RPID has no activity for it, only busy.
const dndNote = "Do not disturb"

// activities are the RPID activities (RFC 4480 section 3.2) that stand for a
// status, the strongest first: where several are shown, the first one counts.
var activities = []struct {
	status presence.Status
	name   string
}{
	{presence.DND, "busy"},
	{presence.BusinessTrip, "travel"},
	{presence.Lunch, "meal"},
	{presence.Away, "away"},
}

// declaration begins a presence document: it must be there, and should name the encoding
// (RFC 3863 section 4.1). RFC 4235 (section 4) wants none of dialog-info.
const declaration = `<?xml version="1.0" encoding="UTF-8"?>`

// compose writes the document that shows s for an address. It is compact because
// a datagram holds 1300 bytes, and uses the literal prefixes dm and rpid because
// FreeSWITCH looks for those instead of the namespaces.
func compose(address string, s presence.Status) []byte {
	var b bytes.Buffer
	b.Grow(512) // most documents fit
	b.WriteString(declaration + `<presence xmlns="` + pidfSpace + `" xmlns:dm="` + dataSpace + `" xmlns:rpid="` + rpidSpace + `" entity="`)
	_ = xml.EscapeText(&b, []byte(address)) // a bytes.Buffer takes everything
	b.WriteString(`"><tuple id="offhook-t"><status><basic>open</basic></status></tuple><dm:person id="offhook-p">`)
	for _, a := range activities {
		if a.status == s {
			b.WriteString(`<rpid:activities><rpid:` + a.name + `/></rpid:activities>`)
		}
	}
	if s == presence.DND {
		b.WriteString(`<dm:note>` + dndNote + `</dm:note>`)
	}
	b.WriteString("</dm:person></presence>\n")
	return b.Bytes()
}

// document is what is read of a presence document; all else is skipped.
type document struct {
	XMLName xml.Name `xml:"urn:ietf:params:xml:ns:pidf presence"`
	Tuples  []struct {
		Basic string `xml:"urn:ietf:params:xml:ns:pidf status>basic"`
	} `xml:"urn:ietf:params:xml:ns:pidf tuple"`
	Persons []struct {
		Activities []struct {
			Any []struct {
				XMLName xml.Name
			} `xml:",any"`
		} `xml:"urn:ietf:params:xml:ns:pidf:rpid activities"`
	} `xml:"urn:ietf:params:xml:ns:pidf:data-model person"`
}

// parse reads a status from a presence document, which may be the sum of what
// several clients of one user publish:
//
//	no tuple is open            Unset          the user is offline
//	activities that we know     the strongest  whoever published it
//	only others                 Unset          none of the five
//	none                        Available
//
// An empty body is Unset: nobody publishes anything. An error means that it is no
// presence document.
func parse(body []byte) (presence.Status, error) {
	if len(bytes.TrimSpace(body)) == 0 {
		return presence.Unset, nil
	}
	var doc document
	decoder := xml.NewDecoder(bytes.NewReader(body))
	if err := decoder.Decode(&doc); err != nil {
		return presence.Unset, fmt.Errorf("not a presence document: %w", err)
	}
	open := false
	for _, t := range doc.Tuples {
		open = open || strings.TrimSpace(t.Basic) == "open"
	}
	if !open {
		return presence.Unset, nil
	}
	shown, others := make(map[string]bool), false
	for _, p := range doc.Persons {
		for _, list := range p.Activities {
			for _, a := range list.Any {
				if a.XMLName.Space == rpidSpace && a.XMLName.Local != "unknown" && a.XMLName.Local != "note" {
					shown[a.XMLName.Local], others = true, true
				}
			}
		}
	}
	for _, a := range activities {
		if shown[a.name] {
			return a.status, nil
		}
	}
	if others {
		return presence.Unset, nil
	}
	return presence.Available, nil
}
