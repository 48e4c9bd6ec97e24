package kamailiotest

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/emiago/sipgo"
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

// Watch subscribes to an extension until the end of the test.
func (s *Server) Watch(t testing.TB, ext identity.Extension) *Watcher {
	t.Helper()
	w := &Watcher{}
	if status := s.subscribe(t, ext, "presence", "application/pidf+xml", w.hear); status != 200 && status != 202 {
		t.Fatalf("watch %s: %d", ext, status)
	}
	return w
}

// subscribe makes a phone that subscribes to an event of an extension until the end of
// the test, hears its NOTIFYs, and returns how the server answered.
func (s *Server) subscribe(t testing.TB, ext identity.Extension, event, accept string, hear func(*sip.Request)) int {
	t.Helper()
	silent := slog.New(slog.DiscardHandler)
	ua, err := sipgo.NewUA(sipgo.WithUserAgent("lamp"),
		sipgo.WithUserAgentTransportLayerOptions(sip.WithTransportLayerLogger(silent)),
		sipgo.WithUserAgentTransactionLayerOptions(sip.WithTransactionLayerLogger(silent)))
	must(t, err)
	t.Cleanup(func() { _ = ua.Close() })
	handler, err := sipgo.NewServer(ua, sipgo.WithServerLogger(silent))
	must(t, err)
	handler.OnNotify(func(req *sip.Request, tx sip.ServerTransaction) {
		hear(req)
		_ = tx.Respond(sip.NewResponseFromRequest(req, 200, "OK", nil))
	})
	port := freePort(t)
	client, err := sipgo.NewClient(ua, sipgo.WithClientConnectionAddr(fmt.Sprintf("127.0.0.1:%d", port)))
	must(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	req := s.subscription(ext, event, accept, port)
	res, err := client.Do(ctx, req)
	if err == nil && res.StatusCode == sip.StatusUnauthorized {
		res, err = client.DoDigestAuth(ctx, req, res, sipgo.DigestAuth{Username: Username, Password: Password})
	}
	must(t, err)
	return res.StatusCode
}

// subscription is a SUBSCRIBE from a phone that hears NOTIFYs at port.
func (s *Server) subscription(ext identity.Extension, event, accept string, port int) *sip.Request {
	req := sip.NewRequest(sip.SUBSCRIBE, sip.Uri{Scheme: "sip", User: string(ext), Host: Domain})
	req.SetDestination(s.Address(UDP))
	from := &sip.FromHeader{Address: sip.Uri{Scheme: "sip", User: "phone", Host: Domain}, Params: sip.NewParams()}
	from.Params.Add("tag", "lamp")
	req.AppendHeader(from)
	req.AppendHeader(&sip.ContactHeader{Address: sip.Uri{Scheme: "sip", User: "phone", Host: "127.0.0.1", Port: port}})
	req.AppendHeader(sip.NewHeader("Event", event))
	req.AppendHeader(sip.NewHeader("Accept", accept))
	req.AppendHeader(sip.NewHeader("Expires", "600"))
	return req
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
