package sippresence

import (
	"crypto/md5"
	"encoding/hex"
	"fmt"
	"regexp"
	"strings"

	"github.com/emiago/sipgo/sip"

	"offhook.dev/libs/core/presence"
)

// foreign is a document of another client of the same user, with other prefixes,
// other ids and things that nobody needs.
func foreign(s presence.Status) string {
	names := map[presence.Status]string{presence.DND: "busy", presence.Away: "away", presence.Lunch: "meal", presence.BusinessTrip: "travel"}
	activity := ""
	if name := names[s]; name != "" {
		activity = `<r:activities xmlns:r="urn:ietf:params:xml:ns:pidf:rpid"><r:note>hello</r:note><r:` + name + `/></r:activities>`
	}
	return `<?xml version='1.0'?><p:presence entity="pres:someone@example.com" xmlns:p="urn:ietf:params:xml:ns:pidf"
  xmlns:d="urn:ietf:params:xml:ns:pidf:data-model"><p:tuple id="x1"><p:status><basic xmlns="urn:ietf:params:xml:ns:pidf">open</basic></p:status>
  <p:contact priority="0.8">sip:someone@192.0.2.7</p:contact><p:timestamp>2026-11-01T10:00:00Z</p:timestamp></p:tuple><!-- a softphone -->
  <d:person id="me">` + activity + `<d:timestamp>2026-11-01T10:00:00Z</d:timestamp></d:person></p:presence>`
}

var parameter = regexp.MustCompile(`(\w+)="?([^",]*)"?`)

// challenge returns the response to a request without good credentials, else nil.
func (s *server) challenge(req *sip.Request) *sip.Response {
	s.mu.Lock()
	defer s.mu.Unlock()
	status, challenge, answer := 401, "WWW-Authenticate", "Authorization"
	if s.proxy {
		status, challenge, answer = 407, "Proxy-Authenticate", "Proxy-Authorization"
	}
	if s.open {
		return nil
	}
	suffix := ""
	if h := req.GetHeader(answer); h != nil {
		p := make(map[string]string)
		for _, m := range parameter.FindAllStringSubmatch(h.Value(), -1) {
			p[m[1]] = m[2]
		}
		ha1 := sum(username + ":" + domain + ":" + password)
		ha2 := sum(string(req.Method) + ":" + p["uri"])
		good := sum(strings.Join([]string{ha1, p["nonce"], p["nc"], p["cnonce"], p["qop"], ha2}, ":"))
		if p["username"] == username && p["response"] == good && p["uri"] == req.Recipient.Addr() {
			if s.staleNonces == 0 {
				return nil
			}
			s.staleNonces--
			suffix = `, stale=true`
		}
	}
	s.nonce++
	s.refused++
	return code(status, challenge, fmt.Sprintf(`Digest realm="%s", nonce="n%d", algorithm=MD5, qop="auth"%s`, domain, s.nonce, suffix))(req)
}

func sum(text string) string {
	hash := md5.Sum([]byte(text))
	return hex.EncodeToString(hash[:])
}
