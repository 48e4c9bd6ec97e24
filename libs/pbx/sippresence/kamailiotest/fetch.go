package kamailiotest

import (
	"fmt"
	"net"
	"strings"
	"testing"

	"offhook.dev/libs/core/identity"
)

// Fetch asks for the document of an extension once, as a phone that does not go on
// watching, over a connection of its own.
func (s *Server) Fetch(t testing.TB, ext identity.Extension) string {
	t.Helper()
	wire, err := s.Dial(TCP)
	must(t, err)
	defer wire.Close()
	return wire.fetch(t, ext)
}

func (w *Wire) fetch(t testing.TB, ext identity.Extension) string {
	t.Helper()
	port := w.LocalAddr().(*net.TCPAddr).Port
	w.request(t, "SUBSCRIBE", ext, fmt.Sprintf("Contact: <sip:phone@127.0.0.1:%d;transport=tcp>\r\nAccept: application/pidf+xml\r\nExpires: 0\r\n", port), "")
	for {
		m, err := w.Read()
		must(t, err)
		if m.Status() == 0 {
			_, err := w.Write(m.Accept())
			must(t, err)
			return string(m.Body)
		}
	}
}

// Publish publishes a document for an extension as another client of it does, for a
// lifetime in seconds, and returns the entity tag. A tag names the publication that it
// replaces; "": none.
func (s *Server) Publish(t testing.TB, ext identity.Extension, tag, document string, lifetime int) string {
	t.Helper()
	wire, err := s.Dial(TCP)
	must(t, err)
	defer wire.Close()
	headers := fmt.Sprintf("Expires: %d\r\n", lifetime)
	if tag != "" {
		headers += "SIP-If-Match: " + tag + "\r\n"
	}
	if document != "" {
		headers += "Content-Type: application/pidf+xml\r\n"
	}
	return wire.request(t, "PUBLISH", ext, headers, document).Header("SIP-ETag")
}

// request sends a request and the answer to its challenge, and returns the response, which
// must be a success.
func (w *Wire) request(t testing.TB, method string, ext identity.Extension, headers, body string) Message {
	t.Helper()
	uri := fmt.Sprintf("sip:%s@%s", strings.ReplaceAll(string(ext), "#", "%23"), Domain)
	local := w.LocalAddr().String()
	for sequence, authorization := 1, ""; ; sequence++ {
		_, err := fmt.Fprintf(w, "%s %s SIP/2.0\r\nVia: SIP/2.0/TCP %s;branch=z9hG4bK-%s-%d\r\nMax-Forwards: 70\r\nFrom: <sip:phone@%s>;tag=phone\r\nTo: <%s>\r\n"+
			"Call-ID: %s\r\nCSeq: %d %s\r\nEvent: presence\r\n%s%sContent-Length: %d\r\n\r\n%s",
			method, uri, local, local, sequence, Domain, uri, local, sequence, method, headers, authorization, len(body), body)
		must(t, err)
		m, err := w.Read()
		must(t, err)
		if m.Status() == 401 && authorization == "" {
			authorization = m.Answer(method, uri)
			continue
		}
		if m.Status() != 200 && m.Status() != 202 {
			t.Fatalf("%s of %s: %s", method, ext, m.Head)
		}
		return m
	}
}
