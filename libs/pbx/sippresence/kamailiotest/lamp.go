package kamailiotest

import (
	"fmt"
	"regexp"
	"strconv"
	"sync"
	"testing"

	"github.com/emiago/sipgo/sip"

	"offhook.dev/libs/core/identity"
)

// Colour is what a person sees of a busy lamp field.
type Colour string

// The colours.
const (
	Dark     Colour = "dark"
	Blinking Colour = "blinking" // it rings
	Red      Colour = "red"      // in a call
)

// Lamp is a busy lamp field of a desk phone: it subscribes to an extension's calls (Event:
// dialog, RFC 4235) and goes by the state of each call that it is told of. Of documents
// that are not newer than the last one it takes no notice (RFC 4235 section 4.3).
type Lamp struct {
	mu        sync.Mutex
	version   int
	calls     map[string]string // state by dialog id
	documents []string
	problem   string // why a phone could not make sense of what it was told
}

// NewLamp is a lamp that hears nobody but Hear.
func NewLamp() *Lamp { return &Lamp{version: -1, calls: make(map[string]string)} }

// WatchCalls subscribes to an extension's calls over UDP until the end of the test.
func (s *Server) WatchCalls(t testing.TB, ext identity.Extension) *Lamp {
	t.Helper()
	return s.WatchCallsOver(t, UDP, ext)
}

// WatchCallsOver is WatchCalls over a transport.
func (s *Server) WatchCallsOver(t testing.TB, transport string, ext identity.Extension) *Lamp {
	t.Helper()
	l := NewLamp()
	if status := s.subscribe(t, transport, ext, "dialog", callsType, l.notified); status != 200 && status != 202 {
		t.Fatalf("watch the calls of %s: %d", ext, status)
	}
	return l
}

// RefusesCalls says whether the server refuses to tell of calls, with the status 489.
func (s *Server) RefusesCalls(t testing.TB, ext identity.Extension) bool {
	t.Helper()
	return s.subscribe(t, UDP, ext, "dialog", callsType, func(*sip.Request) {}) == 489
}

const callsType = "application/dialog-info+xml"

var (
	headPattern   = regexp.MustCompile(`<dialog-info\b[^>]*>`)
	attribute     = regexp.MustCompile(`\b(version|state|id)="([^"]*)"`)
	dialogPattern = regexp.MustCompile(`(?s)<dialog\s([^>]*)>(.*?)</dialog>`)
	statePattern  = regexp.MustCompile(`<state\b[^>]*>\s*(\w+)\s*</state>`)
)

func attributes(tag string) map[string]string {
	all := make(map[string]string)
	for _, m := range attribute.FindAllStringSubmatch(tag, -1) {
		all[m[1]] = m[2]
	}
	return all
}

func (l *Lamp) notified(notify *sip.Request) {
	if len(notify.Body()) == 0 { // phones take it for no news, whatever they show
		l.mu.Lock()
		defer l.mu.Unlock()
		l.documents = append(l.documents, "")
		return
	}
	kind := notify.GetHeader("Content-Type")
	if kind == nil || kind.Value() != callsType {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.problem = fmt.Sprintf("a NOTIFY holds %v", kind)
		return
	}
	l.Hear(string(notify.Body()))
}

// Hear takes in a document.
func (l *Lamp) Hear(document string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.documents = append(l.documents, document)
	head := attributes(headPattern.FindString(document))
	version, err := strconv.Atoi(head["version"])
	if err != nil || head["state"] != "full" && head["state"] != "partial" {
		l.problem = "no version or no state in\n" + document
		return
	}
	if version <= l.version {
		return
	}
	l.version = version
	if head["state"] == "full" {
		clear(l.calls)
	}
	for _, dialog := range dialogPattern.FindAllStringSubmatch(document, -1) {
		id, state := attributes(dialog[1])["id"], statePattern.FindStringSubmatch(dialog[2])
		if id == "" || state == nil {
			l.problem = "a call without id or state in\n" + document
			return
		}
		// Two calls of one id in one document: a phone that goes by the last one, and one
		// that goes by the first, would differ.
		if known, twice := l.calls[id]; twice && head["state"] == "full" && known != state[1] {
			l.problem = "one call is told of twice in\n" + document
		}
		l.calls[id] = state[1]
	}
}

// Colour is what is seen now.
func (l *Lamp) Colour() Colour {
	l.mu.Lock()
	defer l.mu.Unlock()
	seen := Dark
	for _, state := range l.calls {
		switch state {
		case "confirmed":
			return Red
		case "trying", "proceeding", "early":
			seen = Blinking
		}
	}
	return seen
}

// Lacks says what keeps the lamp from being seen in a colour, "" if nothing does.
func (l *Lamp) Lacks(want Colour) string {
	seen := l.Colour()
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case l.problem != "":
		return l.problem
	case len(l.documents) == 0:
		return "the lamp was told nothing yet"
	case seen != want:
		return fmt.Sprintf("the lamp is %s instead of %s; it was told last\n%s", seen, want, l.documents[len(l.documents)-1])
	}
	return ""
}

// Sees waits, for ten seconds at most, until the lamp is seen in a colour.
func (l *Lamp) Sees(t testing.TB, want Colour) {
	t.Helper()
	eventually(t, func() string { return l.Lacks(want) })
}

// Documents returns what it was told so far, the newest last.
func (l *Lamp) Documents() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return append([]string(nil), l.documents...)
}
