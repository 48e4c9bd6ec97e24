package ami

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode"
)

// Limits of what is believed to be a message.
const (
	messageLimit = 256 << 10 // bytes; ListCommands, the longest there is, has about 20,000
	readAhead    = 32 << 10  // bytes
)

// ErrMalformed is what a stream is that is no stream of messages.
var ErrMalformed = errors.New("what came is no message of the Asterisk Manager Interface")

// Message is a response or an event as it came: keys in their order, possibly repeated.
// The texts may hold anything but line ends.
type Message struct{ fields []field }

type field struct{ key, value string }

// Get returns the first value of a key, "" without one. Keys are equal in either case.
func (m Message) Get(key string) string {
	for _, f := range m.fields {
		if strings.EqualFold(f.key, key) {
			return f.value
		}
	}
	return ""
}

// Last returns the last value of a key. Of a response that is "" unless there are two:
// the first is what the response says of itself.
func (m Message) Last(key string) string {
	value, n := "", 0
	for _, f := range m.fields {
		if strings.EqualFold(f.key, key) {
			value, n = f.value, n+1
		}
	}
	if n < 2 && m.Event() == "" {
		return ""
	}
	return value
}

// Keys returns the keys in their order.
func (m Message) Keys() []string {
	keys := make([]string, len(m.fields))
	for i, f := range m.fields {
		keys[i] = f.key
	}
	return keys
}

// Event is the name of an event, "" of a response.
func (m Message) Event() string { return m.head("Event") }

// Response is the word of a response ("Success", "Error"), "" of an event.
func (m Message) Response() string { return m.head("Response") }

func (m Message) head(key string) string {
	if len(m.fields) > 0 && strings.EqualFold(m.fields[0].key, key) {
		return m.fields[0].value
	}
	return ""
}

// Parse reads the lines of one message, without the empty one that ends it. Lines end
// with CR LF or LF. The first must say what it is, Response or Event; after it, a line
// without a colon is passed over, because texts of others (a caller's name, what a
// dialplan says) are known to hold line ends.
func Parse(text string) (Message, error) {
	m := Message{fields: make([]field, 0, strings.Count(text, "\n")+1)}
	for line := range strings.SplitSeq(text, "\n") {
		key, value, found := strings.Cut(strings.TrimSuffix(line, "\r"), ":")
		if !found {
			if len(m.fields) == 0 {
				return Message{}, fmt.Errorf("%w: %q", ErrMalformed, printable(line))
			}
			continue
		}
		m.fields = append(m.fields, field{key, strings.TrimPrefix(value, " ")})
		if len(m.fields) == 1 && m.Event() == "" && m.Response() == "" {
			return Message{}, fmt.Errorf("%w: %q", ErrMalformed, printable(line))
		}
	}
	return m, nil
}

// reader takes messages out of a stream. What has come of one when a deadline passes is
// kept, and the next call goes on with it.
type reader struct {
	in    *bufio.Reader
	text  []byte // of the message that is being read
	start int    // of the line in it that is being read
}

func newReader(in io.Reader) *reader { return &reader{in: bufio.NewReaderSize(in, readAhead)} }

// line reads up to and with the next LF; what is longer than limit is malformed. What is
// returned is valid until the next call.
func (r *reader) line(limit int) ([]byte, error) {
	for {
		part, err := r.in.ReadSlice('\n')
		r.text = append(r.text, part...)
		switch {
		case len(r.text) > limit:
			return nil, fmt.Errorf("%w: a line of more than %d bytes", ErrMalformed, limit)
		case err == nil:
			line := r.text
			r.text = r.text[:0]
			return line, nil
		case !errors.Is(err, bufio.ErrBufferFull):
			return nil, cut(err, len(r.text))
		}
	}
}

// message reads the next message.
func (r *reader) message() (Message, error) {
	for {
		part, err := r.in.ReadSlice('\n')
		r.text = append(r.text, part...)
		switch {
		case len(r.text) > messageLimit:
			return Message{}, fmt.Errorf("%w: more than %d bytes of it", ErrMalformed, messageLimit)
		case errors.Is(err, bufio.ErrBufferFull):
			continue
		case err != nil:
			return Message{}, cut(err, len(r.text))
		}
		if line := r.text[r.start:]; len(line) > 2 || len(line) == 2 && line[0] != '\r' {
			r.start = len(r.text)
			continue
		}
		lines := r.text[:r.start]
		r.text, r.start = r.text[:0], 0
		if len(lines) > 0 { // else an empty line more than there must be
			return Parse(strings.TrimSuffix(string(lines), "\n"))
		}
	}
}

// cut is an end of the stream within a line or message that had begun.
func cut(err error, had int) error {
	if errors.Is(err, io.EOF) && had > 0 {
		return io.ErrUnexpectedEOF
	}
	return err
}

// printable makes a text of the other side fit for an error: one line, bounded.
func printable(text string) string {
	line := strings.Join(strings.FieldsFunc(text, func(r rune) bool {
		return unicode.IsSpace(r) || !unicode.IsPrint(r) || r == unicode.ReplacementChar
	}), " ")
	if runes := []rune(line); len(runes) > 160 {
		return string(runes[:160]) + "..."
	}
	return line
}
