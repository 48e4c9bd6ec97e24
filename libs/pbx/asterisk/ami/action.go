package ami

import (
	"errors"
	"fmt"
	"strings"
)

// Limits of Asterisk's own: its buffer for a line has 1,024 bytes, and a message may have
// 128 lines.
const (
	LineLimit = 1000
	lineCount = 120
)

// ErrUnsendable is an action that cannot be written as a message.
var ErrUnsendable = errors.New("it cannot be sent")

// Action is something to ask of Asterisk. It has no ActionID: a Conn gives it one.
type Action struct {
	Name   string
	fields []field
}

// NewAction makes an action of its name, and keys and values in turn.
func NewAction(name string, pairs ...string) Action {
	a := Action{Name: name}
	for i := 0; i+1 < len(pairs); i += 2 {
		a.fields = append(a.fields, field{pairs[i], pairs[i+1]})
	}
	return a
}

// frame appends the action as a message: ErrUnsendable if that cannot be.
func (a Action) frame(to []byte, id string) ([]byte, error) {
	if len(a.fields) > lineCount {
		return nil, fmt.Errorf("%w: %s has more than %d lines", ErrUnsendable, printable(a.Name), lineCount)
	}
	line := func(key, value string) error {
		switch {
		case key == "" || strings.ContainsAny(key, ":\r\n\x00"):
			return fmt.Errorf("%w: %q is no key", ErrUnsendable, printable(key))
		case strings.ContainsAny(value, "\r\n\x00"):
			return fmt.Errorf("%w: %s has a line end or a zero byte in it", ErrUnsendable, key)
		case len(key)+len(": ")+len(value) > LineLimit:
			return fmt.Errorf("%w: %s is longer than the %d bytes that Asterisk reads", ErrUnsendable, key, LineLimit)
		}
		to = append(to, key...)
		to = append(to, ": "...)
		to = append(to, value...)
		to = append(to, "\r\n"...)
		return nil
	}
	if err := errors.Join(line("Action", a.Name), line("ActionID", id)); err != nil {
		return nil, err
	}
	for _, f := range a.fields {
		if err := line(f.key, f.value); err != nil {
			return nil, err
		}
	}
	return append(to, "\r\n"...), nil
}

// Frame is the action as it is sent, with an ActionID; nil if it cannot be. It is for who
// compares with what a Conn does.
func (a Action) Frame(id string) []byte {
	frame, _ := a.frame(nil, id)
	return frame
}
