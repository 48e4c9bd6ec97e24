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
	text string // as it is sent
	api  bool   // an api/response may answer it
	err  error  // why it cannot be sent
}

// API is a command of FreeSWITCH's own ("show channels as json"), which is done before
// the next command is looked at.
func API(line string) Command { return newCommand(true, "api "+line) }

// SendEvent fires an event.
func SendEvent(name string, headers ...Header) Command {
	return newCommand(false, "sendevent "+name, headers...)
}

func newCommand(api bool, line string, headers ...Header) Command {
	size := len(line) + 2
	ok := speakable(line)
	for _, h := range headers {
		size += len(h.Name) + len(h.Value) + 3
		ok = ok && speakable(h.Value) && speakable(h.Name) && h.Name != "" && !strings.ContainsAny(h.Name, ": ")
	}
	switch {
	case !ok:
		return Command{err: fmt.Errorf("%w: a control character in a command, or a header without a proper name", ErrUnspeakable)}
	case size > commandLimit:
		return Command{err: fmt.Errorf("%w: a command of more than %d bytes", ErrUnspeakable, commandLimit)}
	}
	var b strings.Builder
	b.Grow(size)
	b.WriteString(line)
	for _, h := range headers {
		b.WriteByte('\n')
		b.WriteString(h.Name)
		b.WriteString(": ")
		b.WriteString(h.Value)
	}
	b.WriteString("\n\n")
	return Command{text: b.String(), api: api}
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

// Refused says whether it begins as refusals do: -ERR or -USAGE. A mere dash may be the
// beginning of what was asked for.
func (r Reply) Refused() bool {
	return strings.HasPrefix(string(r), "-ERR") || strings.HasPrefix(string(r), "-USAGE")
}

// Accepted says whether it begins with +OK.
func (r Reply) Accepted() bool { return strings.HasPrefix(string(r), "+OK") }
