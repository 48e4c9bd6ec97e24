package writer

import (
	"testing"
	"time"

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

// A listing is asked for, a person chooses, the extension is read alone, and then the
// listing arrives: it shows what was before the choice.
func TestAReadingOlderThanTheNewestSaysNothing(t *testing.T) {
	asked := time.Now()
	l := &line{id: lineOf(extension(0)), status: presence.Lunch, origin: presence.Person, began: asked.Add(time.Millisecond)}
	s := &system{}
	if used, err := s.see(t.Context(), l, presence.DND, asked, 0); used || err != nil || l.status != presence.Lunch {
		t.Errorf("used %v, %v: it shows %s", used, err, l.status)
	}
}
