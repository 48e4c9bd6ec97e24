package kamailiotest

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/emiago/sipgo/sip"

	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/core/presence"
)

// Watcher is a phone with a lamp: it subscribes to an extension (RFC 6665, RFC
// 3856) and keeps the documents of the NOTIFYs. A restart of the server ends its
// subscription.
type Watcher struct {
	mu        sync.Mutex
	documents []string // "" for an empty NOTIFY
	sequence  uint32   // CSeq of the newest NOTIFY
}

// Watch subscribes to an extension over UDP until the end of the test.
func (s *Server) Watch(t testing.TB, ext identity.Extension) *Watcher {
	t.Helper()
	return s.WatchOver(t, UDP, ext)
}

// WatchOver is Watch over a transport.
func (s *Server) WatchOver(t testing.TB, transport string, ext identity.Extension) *Watcher {
	t.Helper()
	w := &Watcher{}
	if status := s.subscribe(t, transport, ext, "presence", "application/pidf+xml", w.hear); status != 200 && status != 202 {
		t.Fatalf("watch %s: %d", ext, status)
	}
	return w
}

// hear keeps the document of a NOTIFY, unless a later one was heard: datagrams and
// the goroutines that hear them overtake each other (RFC 3261 section 12.2.2).
func (w *Watcher) hear(notify *sip.Request) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if sequence := notify.CSeq().SeqNo; sequence > w.sequence {
		w.sequence = sequence
		w.documents = append(w.documents, string(notify.Body()))
	}
}

// Documents returns what was notified so far, the newest last, "" for an empty NOTIFY.
func (w *Watcher) Documents() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.documents)
}

// Lacks says what keeps the lamp from showing a status and nothing else, "" if
// nothing does. Until the first NOTIFY it shows nothing at all.
func (w *Watcher) Lacks(want presence.Status) string {
	documents := w.Documents()
	if len(documents) == 0 {
		return "the lamp was told nothing yet"
	}
	document := documents[len(documents)-1]
	shown, tuples := Shown(document), strings.Count(document, "<tuple")
	if shown != want || tuples > 1 {
		return fmt.Sprintf("the lamp shows %q with %d tuples instead of %q; its document is\n%s", shown, tuples, want, document)
	}
	return ""
}

// Sees waits, for ten seconds at most, until the lamp shows a status and nothing else.
func (w *Watcher) Sees(t testing.TB, want presence.Status) {
	t.Helper()
	eventually(t, func() string { return w.Lacks(want) })
}

// marks are what a person looks for in a document.
var marks = map[string]presence.Status{
	"busy/>": presence.DND, "away/>": presence.Away, "meal/>": presence.Lunch, "travel/>": presence.BusinessTrip,
}

// Shown reads a presence document as a person would who knows the table in
// sippresence's documentation: not with an XML parser.
func Shown(document string) presence.Status {
	for _, mark := range slices.Sorted(maps.Keys(marks)) {
		if strings.Contains(document, mark) {
			return marks[mark]
		}
	}
	if strings.Contains(document, ">open</basic>") {
		return presence.Available
	}
	return presence.Unset
}
