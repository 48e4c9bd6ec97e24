package esl

import (
	"encoding/json"
	"fmt"
	"unicode/utf8"

	"offhook.dev/libs/pbx/internal/charset"
)

// Event is an event, as far as drivers of phone systems need it. Names are those of
// FreeSWITCH's headers; "" is one that was not there.
type Event struct {
	Name        string // Event-Name
	Job         string // Job-UUID
	Channel     string // Unique-ID
	ChannelName string // Channel-Name: sofia/internal/1000@pbx.example.com
	CallState   string // Channel-Call-State: RINGING, ACTIVE, ...
	PresenceID  string // Channel-Presence-ID: 1000@pbx.example.com
	From        string // from, of a PRESENCE_IN: 1000@pbx.example.com
	To          string // to, of a PRESENCE_PROBE
	Proto       string // proto, of both: sip, dnd, ...
	Body        string // _body
}

// text is a value of an event: a text, or a list of texts of which the first counts
// (headers that are there several times). Anything else is as good as "".
type text string

// UnmarshalJSON never fails.
func (t *text) UnmarshalJSON(data []byte) error {
	var one string
	if json.Unmarshal(data, &one) == nil {
		*t = text(one)
		return nil
	}
	var many []string
	if json.Unmarshal(data, &many) == nil && len(many) > 0 {
		*t = text(many[0])
	}
	return nil
}

// ParseEvent reads an event as `event json` has it: one object of texts. FreeSWITCH writes
// bytes above 0x7f as they are (cJSON), of whatever charset; JSON has only one.
func ParseEvent(data []byte) (Event, error) {
	if !utf8.Valid(data) {
		data = []byte(charset.UTF8(string(data)))
	}
	var e struct {
		Name        text `json:"Event-Name"`
		Job         text `json:"Job-UUID"`
		Channel     text `json:"Unique-ID"`
		ChannelName text `json:"Channel-Name"`
		CallState   text `json:"Channel-Call-State"`
		PresenceID  text `json:"Channel-Presence-ID"`
		From        text `json:"from"`
		To          text `json:"to"`
		Proto       text `json:"proto"`
		Body        text `json:"_body"`
	}
	if err := json.Unmarshal(data, &e); err != nil || e.Name == "" {
		return Event{}, fmt.Errorf("%w: an event without a name", ErrSenseless)
	}
	return Event{Name: string(e.Name), Job: string(e.Job), Channel: string(e.Channel), ChannelName: string(e.ChannelName), CallState: string(e.CallState),
		PresenceID: string(e.PresenceID), From: string(e.From), To: string(e.To), Proto: string(e.Proto), Body: string(e.Body)}, nil
}
