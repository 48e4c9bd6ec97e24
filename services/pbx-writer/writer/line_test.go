package writer

import (
	"testing"
	"time"
	"unsafe"

	"offhook.dev/libs/core/presence"
	"offhook.dev/libs/wire"
)

// A writer of 100,000 extensions has a line for each, and memory for as much again until
// the collector has worked.
func TestALineIsSmall(t *testing.T) {
	if size := unsafe.Sizeof(line{}); size > 208 {
		t.Errorf("a line takes %d bytes instead of 208: what few lines have belongs into rare", size)
	}
}

func TestWhatIsKnownWithoutAReading(t *testing.T) {
	now := time.Date(2026, 11, 26, 9, 0, 0, 0, time.UTC)
	revision := wire.Revision{Epoch: 1, Sequence: 7}
	read := line{status: presence.Available, origin: presence.Ours, began: now.Add(-time.Second)}
	settled := line{status: presence.DND, origin: presence.Ours, began: now.Add(-time.Minute), newest: revision, settled: true}
	cases := []struct {
		name   string
		of     *line
		change func(*line, *wire.Want)
		want   bool
	}{
		{"what was read a second ago", &read, func(*line, *wire.Want) {}, true},
		{"not what was read two seconds ago", &read, func(l *line, _ *wire.Want) { l.began = now.Add(-2 * time.Second) }, false},
		{"not what was read before our last write ended", &read, func(l *line, _ *wire.Want) { l.blind = now }, false},
		{"not what was never read", &read, func(l *line, _ *wire.Want) { l.origin = "" }, false},
		{"not while it is open what became of a write", &read, func(l *line, _ *wire.Want) { l.ledger.Intent = new(effect) }, false},
		{"what is settled and shows, whenever that was read", &settled, func(*line, *wire.Want) {}, true},
		{"not what is settled and shows no more", &settled, func(l *line, _ *wire.Want) { l.status = presence.Away }, false},
		{"not another want", &settled, func(_ *line, w *wire.Want) { w.Revision.Sequence++ }, false},
		{"not a want whose outcome is not published", &settled, func(l *line, _ *wire.Want) { l.settled = false }, false},
		{"not what is settled while it is open what became of a write", &settled, func(l *line, _ *wire.Want) { l.ledger.Intent = new(effect) }, false},
	}
	for _, c := range cases {
		l := &line{status: c.of.status, origin: c.of.origin, began: c.of.began, newest: c.of.newest, settled: c.of.settled}
		want := wire.Want{Revision: revision, Status: presence.DND}
		c.change(l, &want)
		if got := l.knows(want, now); got != c.want {
			t.Errorf("%s: %v", c.name, got)
		}
	}
}
