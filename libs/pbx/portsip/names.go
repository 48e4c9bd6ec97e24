package portsip

import (
	"strings"

	"offhook.dev/libs/core/fault"
	"offhook.dev/libs/core/identity"
)

// parting stands between first and last name where a space would not tell them apart:
// a no-break space, which looks like one.
const parting = "\u00a0"

// names takes a display name apart. The number stands for no name at all. A single word
// is the last name.
func names(number identity.Extension, display string) (first, last, shown string) {
	if display == string(number) {
		return "", "", ""
	}
	shown = strings.ReplaceAll(display, parting, " ")
	for _, between := range []string{parting, " "} {
		if first, last, found := strings.Cut(display, between); found {
			return first, last, shown
		}
	}
	return "", display, shown
}

// displayName puts a display name together so that names takes it apart again. It is
// mandatory: who has no name has the number. Invalid: it cannot be, or is too long.
func displayName(op string, number identity.Extension, first, last string) (string, error) {
	candidates := []string{first + " " + last, first + parting + last}
	switch {
	case first == "" && last == "":
		candidates = []string{string(number)}
	case first == "":
		candidates[0] = last
	}
	for _, display := range candidates {
		if f, l, _ := names(number, display); f == first && l == last {
			return display, fits(op, "display_name", display, limits["display_name"])
		}
	}
	return "", fault.Errorf(fault.Invalid, op, "first and last name cannot be told apart once they are one display name")
}
