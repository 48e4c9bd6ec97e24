package writer

import (
	"testing"

	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/core/presence"
	"offhook.dev/libs/wire"
)

// The reading that finds out that the phone system forgot something asks for a pass
// and still has the line when the pass comes by: passing over it then would leave the
// line wrong for a minute.
func TestAPassDoesNotOverlookALineThatIsBeingRead(t *testing.T) {
	id := lineOf(extension(0))
	l := &line{id: id}
	s := &system{lines: map[identity.Line]*line{id: l}}
	l.mu.Lock()
	defer l.mu.Unlock()
	if !s.worthALook(wire.Want{Line: id, Status: presence.DND}) {
		t.Error("overlooked")
	}
}
