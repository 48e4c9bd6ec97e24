package esl

import (
	"errors"
	"fmt"
	"strings"
)

// commandLimit bounds a command: FreeSWITCH reads it into 2,048 bytes in old versions.
const commandLimit = 2000

// ErrUnspeakable is a command that cannot be sent: it has a line break or another control
// character in it, which would begin a command or a header of its own, or is too long.
var ErrUnspeakable = errors.New("this cannot be said to FreeSWITCH")

// Header is a header line of a command.
type Header struct{ Name, Value string }

// Command is one command: a line, and header lines that belong to it.
type Command struct {
	line    string
	headers []Header
	api     bool // an api/response may answer it
}

// API is a command of FreeSWITCH's own ("show channels as json"), which is done before
// the next command is looked at.
func API(line string) Command { return Command{line: "api " + line, api: true} }

// SendEvent fires an event.
func SendEvent(name string, headers ...Header) Command {
	return Command{line: "sendevent " + name, headers: headers}
}

// appendTo appends the bytes of the command, or says why it cannot be sent.
func (c Command) appendTo(out []byte) ([]byte, error) {
	start := len(out)
	out = append(out, c.line...)
	if !speakable(c.line) {
		return nil, fmt.Errorf("%w: a control character in a command", ErrUnspeakable)
	}
	for _, h := range c.headers {
		if !speakable(h.Value) || !speakable(h.Name) || h.Name == "" || strings.ContainsAny(h.Name, ": ") {
			return nil, fmt.Errorf("%w: a control character in a header", ErrUnspeakable)
		}
		out = append(out, '\n')
		out = append(out, h.Name...)
		out = append(out, ": "...)
		out = append(out, h.Value...)
	}
	out = append(out, "\n\n"...)
	if len(out)-start > commandLimit {
		return nil, fmt.Errorf("%w: a command of more than %d bytes", ErrUnspeakable, commandLimit)
	}
	return out, nil
}

// speakable says whether a text has no control character.
func speakable(s string) bool {
	for i := range len(s) {
		if s[i] < ' ' || s[i] == 0x7f {
			return false
		}
	}
	return true
}

// Reply is the answer to a command: what it has printed, or "+OK ..." and "-ERR ...".
type Reply string

// Refused says whether it begins as refusals do.
func (r Reply) Refused() bool { return strings.HasPrefix(string(r), "-") }

// Accepted says whether it begins with +OK.
func (r Reply) Accepted() bool { return strings.HasPrefix(string(r), "+OK") }
