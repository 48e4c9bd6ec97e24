package writer

import (
	"strings"
	"sync"
	"testing"
	"time"
	"unsafe"

	"github.com/nats-io/nats.go"

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

// A new owner of many extensions that asked for each fact alone would not write for minutes.
func TestANewOwnerAsksForNoFactThatTellsWhatShows(t *testing.T) {
	const lines = 40
	s := newStage(t, lines)
	stop := s.run("a")
	for i := range lines {
		s.tells(i, presence.Available, presence.Person)
	}
	stop()
	s.phones.Choose(extension(7), presence.Lunch)

	var mu sync.Mutex // guards asked
	asked := map[string]int{}
	for _, subject := range []string{"$JS.API.DIRECT.GET.FACTS.>", "$JS.API.STREAM.MSG.GET.FACTS"} {
		sub, err := s.bus.JetStream().Conn().Subscribe(subject, func(m *nats.Msg) {
			mu.Lock()
			defer mu.Unlock()
			asked[strings.TrimPrefix(m.Subject, "$JS.API.DIRECT.GET.FACTS.")]++
		})
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = sub.Unsubscribe() }()
	}
	s.run("b")
	s.eventually(func() string { // all has been read then
		if s.phones.watchers() == 0 {
			return "nobody watches"
		}
		return ""
	})
	s.tells(7, presence.Lunch, presence.Person)
	mu.Lock()
	defer mu.Unlock()
	delete(asked, wire.StatusSubject(lineOf(extension(7))))
	if len(asked) > 0 {
		t.Errorf("asked for %v", asked)
	}
}
