package sippresence

import (
	"slices"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/emiago/sipgo/sip"

	"offhook.dev/libs/core/fault"
	"offhook.dev/libs/core/presence"
)

// FuzzReply takes whatever a server may send: a response, of which the kind, the numbers
// of seconds and the entity tag are read, or a NOTIFY.
func FuzzReply(f *testing.F) {
	head := "Via: SIP/2.0/UDP 127.0.0.1:5060;branch=z9hG4bK1\r\nFrom: <sip:201@a>;tag=1\r\nTo: <sip:201@a>;tag=2\r\nCall-ID: 1\r\nCSeq: 1 "
	for _, said := range []string{
		"SIP/2.0 200 OK\r\n" + head + "PUBLISH\r\nSIP-ETag: a.1.2\r\nExpires: 3600\r\nContent-Length: 0\r\n\r\n",
		"SIP/2.0 423 Interval Too Brief\r\n" + head + "PUBLISH\r\nMin-Expires: 99999999999999999999\r\nContent-Length: 0\r\n\r\n",
		"SIP/2.0 503 Service Unavailable\r\n" + head + "PUBLISH\r\nRetry-After: 120 (lunch)\r\nContent-Length: 0\r\n\r\n",
		"SIP/2.0 500 \x1b[2Jgone\r\n" + head + "PUBLISH\r\nRetry-After: -1\r\nContent-Length: 0\r\n\r\n",
		"SIP/2.0 200 OK\r\n" + head + "PUBLISH\r\nSIP-ETag: a b\r\nExpires: 18000;duration=3600\r\nContent-Length: 0\r\n\r\n",
		"NOTIFY sip:offhook@127.0.0.1 SIP/2.0\r\n" + head + "NOTIFY\r\nEvent: presence\r\nSubscription-State: terminated;reason=rejected\r\nContent-Length: 0\r\n\r\n",
		"NOTIFY sip:offhook@127.0.0.1 SIP/2.0\r\n" + head + "NOTIFY\r\nSubscription-State: active\r\nContent-Type: text/\x1b[2J\r\nContent-Length: 1\r\n\r\n<",
	} {
		f.Add([]byte(said))
	}
	f.Fuzz(func(t *testing.T, said []byte) {
		if message, err := sip.ParseMessage(said); err == nil {
			switch m := message.(type) {
			case *sip.Response:
				judgeResponse(t, m)
			case *sip.Request:
				judgeNotify(t, m)
			}
		}
	})
}

// judgeResponse holds for every response that there is a kind for it, that no time is
// longer than a day, and that the tag can be sent back as it is.
func judgeResponse(t *testing.T, res *sip.Response) {
	for _, event := range []Event{Presence, Dialog} {
		judgeError(t, refused("sippresence: set status", event, res))
	}
	for _, name := range []string{"Expires", "Min-Expires", "Retry-After"} {
		if d := seconds(res, name); d < 0 || d > longestExpires {
			t.Errorf("%s is %v", name, d)
		}
	}
	sent := time.Date(2026, 11, 26, 12, 0, 0, 0, time.UTC)
	etag, expires := granted(res, sent, time.Hour)
	if d := expires.Sub(sent); d <= 0 || d > longestExpires {
		t.Errorf("granted for %v", d)
	}
	if etag == "" {
		return
	}
	if at := strings.IndexFunc(etag, func(r rune) bool { return r <= ' ' || r > '~' || strings.ContainsRune("\"(),/:;<=>?@[\\]{}", r) }); at >= 0 || len(etag) > 256 {
		t.Errorf("the tag %q is no token", etag)
	}
	next := publication(Presence, sip.Uri{Scheme: "sip", User: "201", Host: "a"}, etag, nil, time.Hour)
	lines := strings.FieldsFunc(next.String(), func(r rune) bool { return r == '\r' || r == '\n' })
	if !slices.Contains(lines, "SIP-If-Match: "+etag) {
		t.Errorf("the tag %q makes the lines %q", etag, lines)
	}
}

// judgeNotify holds for every NOTIFY that it is one of the statuses or an error of a kind.
func judgeNotify(t *testing.T, notify *sip.Request) {
	status, err := read("sippresence: status", notify)
	if err != nil {
		judgeError(t, err)
		return
	}
	if status != presence.Unset && !presence.All.Has(status) {
		t.Errorf("read %v", status)
	}
}

// judgeError holds for every error that somebody knows what to do about it, and that what
// the server wrote does not spoil the log: it is one line of a bounded length.
func judgeError(t *testing.T, err error) {
	if kind := fault.KindOf(err); err == nil || kind == fault.Unknown || kind == fault.Cancelled {
		t.Errorf("the kind of %v is %v", err, kind)
	}
	text := err.Error()
	if at := strings.IndexFunc(text, func(r rune) bool { return !unicode.IsPrint(r) }); at >= 0 || !utf8.ValidString(text) || len(text) > 1000 {
		t.Errorf("%d bytes, %q", len(text), text)
	}
}
