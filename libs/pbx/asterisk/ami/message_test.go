package ami

import (
	"bytes"
	"errors"
	"io"
	"os"
	"reflect"
	"strings"
	"testing"

	"offhook.dev/libs/pbx/internal/reading/readingtest"
)

func TestMessages(t *testing.T) {
	for name, c := range map[string]struct {
		text string
		get  map[string]string
		bad  bool
	}{
		"a response":                  {"Response: Success\r\nActionID: 1\r\nMessage: Presence State\r\nMessage: Lunch", map[string]string{"response": "Success", "MESSAGE": "Presence State", "none": ""}, false},
		"an event":                    {"Event: X\r\nVal: a: b:c", map[string]string{"Val": "a: b:c"}, false},
		"line ends of one byte":       {"Event: X\nVal: y", map[string]string{"Val": "y"}, false},
		"no space":                    {"Event:X\r\nVal:y", map[string]string{"Event": "X", "Val": "y"}, false},
		"spaces that belong":          {"Event: X\r\nVal:   y ", map[string]string{"Val": "  y "}, false},
		"an empty value":              {"Event: X\r\nVal: \r\nOther:", map[string]string{"Val": "", "Other": ""}, false},
		"a line that is none":         {"Event: X\r\nno colon\r\nVal: y", map[string]string{"Val": "y"}, false},
		"another charset":             {"Event: X\r\nName: J\xf6rg", map[string]string{"Name": "J\xf6rg"}, false},
		"no head":                     {"Val: y\r\nEvent: X", nil, true},
		"a head without a name":       {"Event: \r\nVal: y", nil, true},
		"a page of the web":           {"HTTP/1.1 400 Bad Request\r\nServer: nginx", nil, true},
		"nothing":                     {"", nil, true},
		"the end of a command":        {"--END COMMAND--", nil, true},
		"zero bytes":                  {"\x00\x00\x00", nil, true},
		"a head with a line before":   {"hello\r\nEvent: X", nil, true},
		"a response that is none":     {"Responsé: Success", nil, true},
		"a key with a space in front": {" Event: X", nil, true},
	} {
		m, err := Parse(c.text)
		if (err != nil) != c.bad || err != nil && !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: %v", name, err)
		}
		for key, want := range c.get {
			if got := m.Get(key); got != want {
				t.Errorf("%s: %s is %q", name, key, got)
			}
		}
	}
}

func TestTheTextAfterWhatAnAnswerSaysOfItself(t *testing.T) {
	for text, want := range map[string]string{
		"Response: Success\nMessage: Presence State\nState: away\nMessage: Lunch": "Lunch",
		"Response: Success\nMessage: Presence State\nState: away":                 "",
		"Event: PresenceStateChange\nMessage: Lunch":                              "Lunch",
		"Event: PresenceStateChange":                                              "",
	} {
		if m, err := Parse(text); err != nil || m.Last("message") != want {
			t.Errorf("%q: %q, %v", text, m.Last("message"), err)
		}
	}
}

// all reads a stream to its end.
func all(text []byte) (messages []Message, err error) {
	r := newReader(bytes.NewReader(text))
	for {
		m, err := r.message()
		if err != nil {
			return messages, err
		}
		messages = append(messages, m)
	}
}

// What a stream says does not depend on the pieces in which it comes.
func TestPiecesMakeNoDifference(t *testing.T) {
	text := "Event: A\r\nX: 1\r\n\r\n\r\n\nResponse: Success\r\nLong: " + strings.Repeat("b", 3*readAhead) + "\r\n\r\nEvent: C\nY: 2\n\nEvent: cut"
	whole, err := all([]byte(text))
	if len(whole) != 3 || !errors.Is(err, io.ErrUnexpectedEOF) || len(whole[1].Get("Long")) != 3*readAhead {
		t.Fatalf("%d messages, %v", len(whole), err)
	}
	r := newReader(oneByOne{strings.NewReader(text)})
	for i, want := range whole {
		if m, err := r.message(); err != nil || !reflect.DeepEqual(m, want) {
			t.Errorf("message %d: %v, %v", i, m, err)
		}
	}
}

type oneByOne struct{ in io.Reader }

func (o oneByOne) Read(p []byte) (int, error) { return o.in.Read(p[:min(1, len(p))]) }

func FuzzAMIMessage(f *testing.F) {
	f.Add("Response: Success\r\nActionID: 1\r\nMessage: x")
	f.Add("Event: DeviceStateChange\nDevice: Custom:DND200\nState: BUSY")
	f.Add("Event: X\r\nno colon\r\n: \r\nVal: \xff\x00")
	f.Fuzz(func(t *testing.T, text string) {
		m, err := Parse(text)
		if err != nil {
			if !errors.Is(err, ErrMalformed) || strings.ContainsAny(err.Error(), "\r\n\x00") {
				t.Errorf("%q: %q", text, err)
			}
			return
		}
		if (m.Event() == "") == (m.Response() == "") {
			t.Errorf("%q is an event %q and a response %q", text, m.Event(), m.Response())
		}
		for _, key := range m.Keys() {
			if strings.ContainsAny(key+m.Get(key), "\n") {
				t.Errorf("a line end in %q", key)
			}
		}
	})
}

// Any stream ends, with an error that says so, and no message is larger than the limit.
func FuzzAMIStream(f *testing.F) {
	f.Add([]byte("Event: A\r\n\r\nResponse: Error\r\n\r\n"), 3)
	f.Add([]byte("\r\n\n\r\nEvent: A\n\n"), 1)
	f.Add([]byte("Event: A\r\nX: \xff\xfe\r\n"), 2)
	f.Fuzz(func(t *testing.T, text []byte, piece int) {
		whole, err := all(text)
		if err == nil {
			t.Fatal("no end")
		}
		r := newReader(pieces{bytes.NewReader(text), piece})
		for _, want := range whole {
			if m, err := r.message(); err != nil || !reflect.DeepEqual(m, want) {
				t.Fatalf("in pieces of %d: %v (%v) instead of %v", piece, m, err, want)
			}
		}
	})
}

type pieces struct {
	in   io.Reader
	size int
}

func (p pieces) Read(to []byte) (int, error) {
	size := p.size%7 + 1
	if size < 1 {
		size = 1
	}
	return p.in.Read(to[:min(size, len(to))])
}

// What is sent is one message, with the values as they were, or it is refused.
func FuzzAMIFrame(f *testing.F) {
	f.Add("DBPut", "Val", "YES", "id-1")
	f.Add("Setvar", "Variable", "a\r\n\r\nAction: Originate", "id-2")
	f.Add("Setvar", "Value", strings.Repeat("a", 990), "id-3")
	f.Fuzz(func(t *testing.T, name, key, value, id string) {
		frame, err := NewAction(name, key, value).frame(nil, id)
		if err != nil {
			if !errors.Is(err, ErrUnsendable) || frame != nil {
				t.Errorf("%v with %d bytes", err, len(frame))
			}
			return
		}
		lines := strings.Split(string(frame), "\r\n")
		if len(lines) != 5 || lines[3] != "" || lines[4] != "" {
			t.Fatalf("%q is no one message", frame)
		}
		for i, want := range []string{"Action: " + name, "ActionID: " + id, key + ": " + value} {
			if lines[i] != want || len(lines[i]) > LineLimit || strings.ContainsAny(lines[i], "\r\n\x00") {
				t.Errorf("line %d is %q", i, lines[i])
			}
		}
	})
}

func TestAMessageIsWholeAfterDeadlinesWithinIt(t *testing.T) {
	r := newReader(&readingtest.Hesitant{Text: "\r\nEvent: A\r\nText: one\r\n\r\nResponse: Success\nActionID: 7\n\nEvent: B\r\n\r\n", Piece: 1})
	var all []Message
	var err error
	for {
		var m Message
		if m, err = r.message(); err == nil {
			all = append(all, m)
		} else if !errors.Is(err, os.ErrDeadlineExceeded) {
			break
		}
	}
	if err != io.EOF || len(all) != 3 || all[0].Get("Text") != "one" || all[1].Response() != "Success" || all[1].Get("ActionID") != "7" || all[2].Event() != "B" {
		t.Errorf("%v, %v", all, err)
	}
}
