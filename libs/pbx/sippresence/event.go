package sippresence

import (
	"offhook.dev/libs/core/presence"
)

// Event is what a publication is about: the Event header of a PUBLISH.
type Event string

// The events. Each has one publication per extension.
const (
	Presence Event = "presence" // RFC 3856: the status
	Dialog   Event = "dialog"   // RFC 4235: the lamp
)

// contentType is the type of the documents of an event.
func (e Event) contentType() string {
	if e == Dialog {
		return dialogType
	}
	return pidfType
}

// compose writes the document of an event that shows s for an address.
func (c Config) compose(e Event, address string, s presence.Status) []byte {
	if e == Dialog {
		return composeDialog(address, c.Lamps.Has(s))
	}
	return compose(address, s)
}
