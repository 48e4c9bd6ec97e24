package esl

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"

	"offhook.dev/libs/pbx/internal/reading/readingtest"
)

func frames(text string) (all []frame, err error) {
	r := newReader(strings.NewReader(text))
	for {
		f, err := r.next()
		if err != nil {
			return all, err
		}
		f.body = bytes.Clone(f.body)
		all = append(all, f)
	}
}

func TestFrames(t *testing.T) {
	long := strings.Repeat("a", bodyStep+10)
	for name, c := range map[string]struct {
		text string
		want []frame
		end  error
	}{
		"nothing":                          {"", nil, io.EOF},
		"a greeting":                       {"Content-Type: auth/request\n\n", []frame{{kind: typeAuth}}, io.EOF},
		"a reply, with carriage returns":   {"Content-Type: command/reply\r\nReply-Text: +OK accepted\r\n\r\n", []frame{{kind: typeReply, reply: "+OK accepted"}}, io.EOF},
		"a job":                            {"Content-Type: command/reply\nReply-Text: +OK Job-UUID: 7\nJob-UUID: 7\n\n", []frame{{kind: typeReply, reply: "+OK Job-UUID: 7", job: "7"}}, io.EOF},
		"a body, and one behind it":        {"Content-Length: 4\nContent-Type: api/response\n\n+OK\nContent-Type: auth/request\n\n", []frame{{kind: typeAPI, body: []byte("+OK\n")}, {kind: typeAuth}}, io.EOF},
		"a body longer than a step":        {"Content-Type: api/response\nContent-Length: 65546\n\n" + long, []frame{{kind: typeAPI, body: []byte(long)}}, io.EOF},
		"empty lines between":              {"\n\r\n\nContent-Type: auth/request\n\n\n\n", []frame{{kind: typeAuth}}, io.EOF},
		"a kind nobody knows":              {"Content-Type: log/data\nContent-Length: 2\n\nhi", []frame{{kind: "log/data", body: []byte("hi")}}, io.EOF},
		"half a line":                      {"Content-Ty", nil, io.ErrUnexpectedEOF},
		"half a body":                      {"Content-Type: api/response\nContent-Length: 10\n\n+OK", nil, io.ErrUnexpectedEOF},
		"half a long body":                 {"Content-Type: api/response\nContent-Length: 1000000\n\n+OK", nil, io.ErrUnexpectedEOF},
		"another protocol":                 {"HTTP/1.1 400 Bad Request\r\n\r\n", nil, ErrSenseless},
		"a length of a terabyte":           {"Content-Type: api/response\nContent-Length: 1099511627776\n\n", nil, ErrSenseless},
		"a length over the limit":          {"Content-Type: api/response\nContent-Length: 16777217\n\n", nil, ErrSenseless},
		"a length below zero":              {"Content-Type: api/response\nContent-Length: -1\n\n", nil, ErrSenseless},
		"a length that is none":            {"Content-Type: api/response\nContent-Length: 0x10\n\n", nil, ErrSenseless},
		"a line that never ends":           {strings.Repeat("a", lineLimit+1), nil, ErrSenseless},
		"a header that never ends":         {strings.Repeat("A: b\n", headerLimit+1), nil, ErrSenseless},
		"empty lines without end":          {strings.Repeat("\n", headerLimit+1), nil, ErrSenseless},
		"another charset, as it is quoted": {"Content-Type: command/reply\nReply-Text: -ERR \xe9t\xe9\n\n", []frame{{kind: typeReply, reply: "-ERR \xe9t\xe9"}}, io.EOF},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := frames(c.text)
			if !errors.Is(err, c.end) || errors.Is(c.end, ErrSenseless) != errors.Is(err, ErrSenseless) {
				t.Errorf("it ends with %v", err)
			}
			if len(got) != len(c.want) {
				t.Fatalf("got %d frames: %+v", len(got), got)
			}
			for i, f := range got {
				if w := c.want[i]; f.kind != w.kind || f.reply != w.reply || f.job != w.job || string(f.body) != string(w.body) {
					t.Errorf("got %+v, want %+v", f, w)
				}
			}
		})
	}
}

func TestAFrameIsWholeAfterDeadlinesWithinIt(t *testing.T) {
	long := strings.Repeat("0123456789", bodyStep/5)
	text := "\nContent-Type: command/reply\r\nReply-Text: +OK\r\n\r\nContent-Length: 4\nContent-Type: api/response\n\n+OK\n" +
		"Content-Type: api/response\nContent-Length: " + strconv.Itoa(len(long)) + "\n\n" + long + "Content-Type: text/disconnect-notice\n\n"
	for _, piece := range []int{1, 7, 5000} {
		r := newReader(&readingtest.Hesitant{Text: text, Piece: piece})
		var all []string
		var err error
		for {
			var f frame
			if f, err = r.next(); err == nil {
				all = append(all, f.kind+" "+f.reply+string(f.body))
			} else if !errors.Is(err, os.ErrDeadlineExceeded) {
				break
			}
		}
		want := []string{typeReply + " +OK", typeAPI + " +OK\n", typeAPI + " " + long, typeDisconnect + " "}
		if err != io.EOF || !slices.Equal(all, want) {
			t.Errorf("in pieces of %d: %d frames, %v", piece, len(all), err)
		}
	}
}

func TestEvents(t *testing.T) {
	for text, want := range map[string]Event{
		`{"Event-Name":"CHANNEL_CALLSTATE","Unique-ID":"7","Channel-Call-State":"ACTIVE","Channel-Presence-ID":"1000@x","Channel-Name":"sofia/internal/1000@x"}`: {Name: "CHANNEL_CALLSTATE", Channel: "7", CallState: "ACTIVE", PresenceID: "1000@x", ChannelName: "sofia/internal/1000@x"},
		`{"Event-Name":"PRESENCE_PROBE","proto":"sip","from":"1@x","to":["2@x","3@x"]}`:                                                                          {Name: "PRESENCE_PROBE", Proto: "sip", From: "1@x", To: "2@x"},
		`{"Event-Name":"BACKGROUND_JOB","Job-UUID":"7","_body":"+OK\n"}`:                                                                                         {Name: "BACKGROUND_JOB", Job: "7", Body: "+OK\n"},
		`{"Event-Name":"X","from":7,"proto":null,"_body":{"a":1}}`:                                                                                               {Name: "X"},
		`{}`: {}, ``: {}, `[]`: {}, `null`: {}, `{"Event-Name":""}`: {}, `{"Event-Name":"X"`: {},
	} {
		got, err := ParseEvent([]byte(text))
		if got != want || (err != nil) != (want == Event{}) {
			t.Errorf("%s: %+v, %v", text, got, err)
		}
	}
}

// A header injection would make two commands of one.
func TestWhatCannotBeSaidIsNeverSent(t *testing.T) {
	for name, c := range map[string]Command{
		"a line feed in a command":      API("hash select/offhook/1000\n\napi shutdown"),
		"a carriage return in it":       API("status\rapi shutdown"),
		"a zero":                        API("status\x00"),
		"a line feed in a header":       SendEvent("PRESENCE_IN", Header{"from", "1000@x\n\napi shutdown"}),
		"a carriage return in a header": SendEvent("PRESENCE_IN", Header{"from", "1000@x\r"}),
		"a line feed in a name":         SendEvent("PRESENCE_IN", Header{"from\nto", "1000@x"}),
		"a colon in a name":             SendEvent("PRESENCE_IN", Header{"from: 1000@x", "1000@x"}),
		"a header without a name":       SendEvent("PRESENCE_IN", Header{"", "1000@x"}),
		"an event of two lines":         SendEvent("PRESENCE_IN\nfrom: 1000@x"),
		"more than is read":             API(strings.Repeat("a", commandLimit)),
	} {
		if !errors.Is(c.err, ErrUnspeakable) || c.text != "" {
			t.Errorf("%s: %q, %v", name, c.text, c.err)
		}
		if _, err := new(Conn).Do(t.Context(), API("status"), c); !errors.Is(err, ErrUnspeakable) {
			t.Errorf("%s, beside another: %v", name, err)
		}
	}
	c := SendEvent("PRESENCE_IN", Header{"from", "*é@x"})
	if want := "sendevent PRESENCE_IN\nfrom: *é@x\n\n"; c.err != nil || c.text != want {
		t.Errorf("%q, %v", c.text, c.err)
	}
}

// FuzzFrame: whatever is received, reading it ends, never panics and keeps the limits.
func FuzzFrame(f *testing.F) {
	f.Add("Content-Type: command/reply\nReply-Text: +OK\n\n")
	f.Fuzz(func(t *testing.T, text string) {
		all, err := frames(text)
		if err == nil {
			t.Fatal("it does not end")
		}
		for _, frame := range all {
			if frame.kind == "" || len(frame.body) > len(text) || strings.ContainsAny(frame.reply+frame.kind, "\n") {
				t.Errorf("%+v", frame)
			}
		}
	})
}

// FuzzEvent: an event has a name or is refused, and is UTF-8.
func FuzzEvent(f *testing.F) {
	f.Add(`{"Event-Name":"PRESENCE_IN","from":"1000@x"}`)
	f.Fuzz(func(t *testing.T, text string) {
		if e, err := ParseEvent([]byte(text)); (err == nil) != (e.Name != "") || !utf8.ValidString(fmt.Sprint(e)) {
			t.Errorf("%+v, %v", e, err)
		}
	})
}

// FuzzCommand: what is sent is one command, whatever is in its values.
func FuzzCommand(f *testing.F) {
	f.Add("1000@x", "from")
	f.Fuzz(func(t *testing.T, value, name string) {
		c := SendEvent("PRESENCE_IN", Header{name, value})
		if c.err != nil {
			return
		}
		lines := strings.Split(c.text, "\n")
		if len(lines) != 4 || lines[1] != name+": "+value || strings.Contains(c.text, "\r") || len(c.text) > commandLimit {
			t.Errorf("%q", c.text)
		}
	})
}
