package portsip

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/coder/websocket"

	"offhook.dev/libs/core/fault"
	"offhook.dev/libs/core/identity"
)

// events is where the websocket for events lives (since 22.0; before, on another port).
const events = "/wsi"

// messageLimit bounds a message: the status of an extension has some 250 bytes, and a
// subscription to 100 of them is answered with all in one.
const messageLimit = 4 << 20

// message is one message of the websocket, as far as it matters.
type message struct {
	command string // of a reply
	failed  string // why a command was refused, "" if it was not
	kind    string // of an event
	states  []state
}

// state is what an event says of one extension.
type state struct {
	ext      identity.Extension
	call     *bool   // whether it is in a call; nil: not said
	presence *string // nil: not said
}

var errMessage = errors.New("the message makes no sense")

// inCall are the words for a connected call. Documents of 22.3 spell one wrong, and
// those of 16 have a space. Others (RINGING, nothing) are none: a phone that is busy for
// no reason is worse than one that is not.
var inCall = map[string]bool{"ON_CALL": true, "ON_ACLL": true, "OTHER_CALL": true}

// told is what an event says of an extension, before it is understood. A list of them
// is in extension_status, one is beside the kind in the others.
type wireState struct {
	Extension  string
	CallStatus *string `json:"call_status"`
	Presence   *string
}

// parseMessage reads a message: {"command": "auth", "id": "1", "status": 0}, or
// {"event_type": "extension_call", "extension": "sip:101@test.io", "call_status":
// "ON_CALL", ...}. What is about something else has no states.
func parseMessage(data []byte) (message, error) {
	var m struct {
		Command string
		Kind    string `json:"event_type"`
		Error   *string
		Status  json.RawMessage // a number in replies, a list in extension_status
		wireState
	}
	if json.Unmarshal(data, &m) != nil || m.Command == "" && m.Kind == "" {
		return message{}, errMessage
	}
	parsed := message{command: m.Command, kind: m.Kind}
	if m.Command != "" {
		var status int
		if len(m.Status) > 0 && json.Unmarshal(m.Status, &status) != nil {
			return message{}, errMessage
		}
		if status != 0 {
			parsed.failed = "refused"
			if m.Error != nil {
				parsed.failed = printable(*m.Error, 200)
			}
		}
		return parsed, nil
	}
	var states []wireState
	switch m.Kind {
	case "extension_status":
		if json.Unmarshal(m.Status, &states) != nil {
			return message{}, errMessage
		}
	case "extension_call", "extension_presence":
		states = []wireState{m.wireState}
	}
	for _, s := range states {
		ext, ok := parseURI(s.Extension)
		if !ok {
			continue // nobody can be linked to it
		}
		one := state{ext: ext, presence: s.Presence}
		if s.CallStatus != nil && m.Kind != "extension_presence" {
			connected := inCall[folded(*s.CallStatus)]
			one.call = &connected
		}
		parsed.states = append(parsed.states, one)
	}
	return parsed, nil
}

// parseURI is the extension of sip:101@test.io, or of 101.
func parseURI(text string) (identity.Extension, bool) {
	text = strings.TrimPrefix(strings.TrimPrefix(text, "sips:"), "sip:")
	text, _, _ = strings.Cut(text, "@")
	ext, err := identity.ParseExtension(text)
	return ext, err == nil
}

// dial opens the websocket and signs in.
func (w *wire) dial(ctx context.Context, op string) (*websocket.Conn, error) {
	if w.closed.Load() {
		return nil, fault.New(fault.Unavailable, op, errClosed)
	}
	if err := w.budget.take(ctx, op); err != nil {
		return nil, err
	}
	bounded, cancel := context.WithTimeoutCause(ctx, w.config.Timeout, errNoAnswer)
	defer cancel() // it bounds the beginning and not what comes after it
	conn, response, err := websocket.Dial(bounded, w.base+events, &websocket.DialOptions{HTTPClient: w.client})
	switch {
	case err == nil:
	case response == nil:
		return nil, failure(bounded, op, true, err)
	case response.StatusCode == http.StatusSwitchingProtocols:
		return nil, fault.New(fault.Unavailable, op, err)
	default:
		body, _ := io.ReadAll(response.Body) // what Dial has kept of it; a part will do
		return nil, refusal(op, false, answer{response.StatusCode, response.Header, body}, time.Now())
	}
	conn.SetReadLimit(messageLimit)
	if err := w.introduce(bounded, op, conn); err != nil {
		_ = conn.CloseNow()
		return nil, err
	}
	return conn, nil
}

// introduce says who we are. The errors do not quote what was said about it.
func (w *wire) introduce(ctx context.Context, op string, conn *websocket.Conn) error {
	account := w.config.Admin
	err := say(ctx, conn, map[string]any{"command": "auth", "username": account.Username, "password": account.Password.Reveal(), "domain": w.config.Domain})
	for err == nil {
		var data []byte
		if _, data, err = conn.Read(ctx); err != nil {
			break
		}
		m, parseErr := parseMessage(data)
		switch {
		case parseErr != nil:
			return fault.New(fault.Unavailable, op, parseErr)
		case m.command == "auth" && m.failed != "":
			return fault.Errorf(fault.Denied, op, "%w to the websocket for events as %q", errAccount, printable(account.Username, 64))
		case m.command == "auth":
			return nil
		}
	}
	return failure(ctx, op, true, err)
}

// say sends a command.
func say(ctx context.Context, conn *websocket.Conn, command map[string]any) error {
	text, err := json.Marshal(command)
	if err != nil {
		return err
	}
	return conn.Write(ctx, websocket.MessageText, text)
}
