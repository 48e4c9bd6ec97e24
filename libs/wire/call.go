package wire

import (
	"time"

	"offhook.dev/libs/core/identity"
	eventv1 "offhook.dev/proto/gen/offhook/event/v1"
)

// Call is in how many calls a line is. A phone that rings is in none yet.
type Call struct {
	Line   identity.Line
	Calls  int
	Since  time.Time // when the first of them was seen, or when the last one had ended
	SeenAt time.Time // when a live watch confirmed it last, broker time
}

// Encode implements Message.
func (c Call) Encode() (string, []byte) {
	return CallSubject(c.Line), marshal(&eventv1.CallFact{System: string(c.Line.System), Extension: string(c.Line.Extension),
		Calls: uint32(max(0, c.Calls)), Since: stamp(c.Since), SeenAt: stamp(c.SeenAt)})
}

// CallSubject is the subject of a line's calls.
func CallSubject(l identity.Line) string { return "pbx.fact.call." + LineKey(l) }

// DecodeCall is the inverse of Call.Encode.
func DecodeCall(data []byte) (Call, error) {
	var m eventv1.CallFact
	if err := unmarshal(data, &m); err != nil {
		return Call{}, err
	}
	l, err := line("wire: call", m.System, m.Extension)
	if err != nil {
		return Call{}, err
	}
	return Call{Line: l, Calls: int(m.Calls), Since: moment(m.Since), SeenAt: moment(m.SeenAt)}, nil
}
