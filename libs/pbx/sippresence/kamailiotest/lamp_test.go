package kamailiotest

import (
	"fmt"
	"testing"
)

func TestALampGoesByTheStateOfEachCall(t *testing.T) {
	document := func(version int, state, dialogs string) string {
		return fmt.Sprintf(`<dialog-info xmlns="urn:ietf:params:xml:ns:dialog-info" version="%d" state="%s" entity="sip:1@x">%s</dialog-info>`, version, state, dialogs)
	}
	call := func(id, state string) string {
		return fmt.Sprintf("<dialog id=%q direction=\"initiator\">\n  <state>%s</state>\n</dialog>", id, state)
	}
	cases := []struct {
		name      string
		documents []string
		want      Colour
		problem   bool
	}{
		{"nothing is dark", []string{document(0, "full", "")}, Dark, false},
		{"a call is red", []string{document(0, "full", call("a", "confirmed"))}, Red, false},
		{"an ended call is dark", []string{document(0, "full", call("a", "confirmed")), document(1, "full", call("a", "terminated"))}, Dark, false},
		{"ringing blinks", []string{document(0, "full", call("a", "early"))}, Blinking, false},
		{"one call beside an ended one is red", []string{document(0, "full", call("a", "terminated")+call("b", "confirmed"))}, Red, false},
		{"what is left out of the whole is over", []string{document(0, "full", call("a", "confirmed")), document(1, "full", "")}, Dark, false},
		{"what is left out of a part goes on", []string{document(0, "full", call("a", "confirmed")), document(1, "partial", call("b", "terminated"))}, Red, false},
		{"an older document is none", []string{document(3, "full", call("a", "confirmed")), document(3, "full", "")}, Red, false},
		{"one call with two states is a problem", []string{document(0, "full", call("a", "confirmed")+call("a", "terminated"))}, Dark, true},
		{"a document without a version is a problem", []string{`<dialog-info state="full"/>`}, Dark, true},
		{"a lamp that was told nothing is a problem", nil, Dark, true},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			l := NewLamp()
			for _, d := range c.documents {
				l.Hear(d)
			}
			if said := l.Lacks(c.want); (said != "") != c.problem {
				t.Errorf("says %q", said)
			}
		})
	}
}
