package portsip

import (
	"encoding/json"
	"strings"
	"unicode/utf8"

	"offhook.dev/libs/core/identity"
)

// claims are what a message of the webhook says: for each extension that it names, whether
// that is in a call; nil where it does not say.
type claims map[identity.Extension]*bool

// parseClaims reads a message of the webhook. How one looks is documented for CDR events
// only (a JSON object in UTF-8 with an event_type); those of extensions are presumably the
// messages of the websocket, one at a time. A claim is only a reason to look, so whatever
// has the member extension or extension_number counts, however deep: messages that come
// several at a time, or in an envelope, are understood as well. What is about something else
// has no claims. errMessage: it is no JSON, or an extension's event that names none.
func parseClaims(body []byte) (claims, error) {
	var message any
	if !utf8.Valid(body) || json.Unmarshal(body, &message) != nil {
		return nil, errMessage
	}
	found, ofExtensions := claims{}, false
	var walk func(any)
	walk = func(part any) {
		switch part := part.(type) {
		case []any:
			for _, one := range part {
				walk(one)
			}
		case map[string]any:
			kind, _ := part["event_type"].(string)
			ofExtensions = ofExtensions || strings.HasPrefix(kind, "extension_")
			found.add(part)
			for _, one := range part {
				walk(one)
			}
		}
	}
	walk(message)
	if len(found) == 0 && ofExtensions {
		return nil, errMessage
	}
	return found, nil
}

// add adds what one object says. Of two claims about one extension that differ neither is
// kept.
func (c claims) add(object map[string]any) {
	text, ok := object["extension"].(string)
	if !ok {
		text, _ = object["extension_number"].(string)
	}
	ext, ok := parseURI(text)
	if !ok {
		return
	}
	var claimed *bool
	if call, ok := object["call_status"].(string); ok {
		connected := inCall[folded(call)]
		claimed = &connected
	}
	before, twice := c[ext]
	switch {
	case !twice, before == nil:
		c[ext] = claimed
	case claimed != nil && *claimed != *before:
		c[ext] = nil
	}
}
