package sippresence

import (
	"crypto/md5"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/hex"
	"fmt"
	"regexp"
	"slices"
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
		good, spent := s.judge(req, h.Value())
		if good && !spent {
			return nil
		}
		s.rejected++
		if spent && !s.silent {
			suffix = `, stale=true`
		}
	}
	s.nonce++
	s.refused++
	s.nonces[fmt.Sprintf("n%d", s.nonce)] = nil
	var headers []string
	for _, algorithm := range s.algorithms {
		headers = append(headers, challenge, fmt.Sprintf(`Digest realm="%s", nonce="n%d", algorithm=%s, qop="%s"%s`, s.realm, s.nonce, algorithm, s.protection, suffix))
	}
	return code(status, headers...)(req)
}

// judge says whether an answer is that of somebody who knows the password, and whether its
// nonce cannot be used any more. A nonce count is good once (RFC 7616 section 3.4).
func (s *server) judge(req *sip.Request, answer string) (good, spent bool) {
	p := make(map[string]string)
	for _, m := range parameter.FindAllStringSubmatch(answer, -1) {
		p[m[1]] = m[2]
	}
	sum := sums[p["algorithm"]]
	if !slices.Contains(s.algorithms, p["algorithm"]) || sum == nil {
		return false, false
	}
	ha1 := sum(username + ":" + s.realm + ":" + s.password)
	protected := string(req.Method) + ":" + p["uri"]
	if p["qop"] == "auth-int" {
		protected += ":" + sum(string(req.Body()))
	}
	ha2 := sum(protected)
	want := sum(strings.Join([]string{ha1, p["nonce"], p["nc"], p["cnonce"], p["qop"], ha2}, ":"))
	counts, known := s.nonces[p["nonce"]]
	s.answered = p["algorithm"]
	if p["username"] != username || p["response"] != want || p["uri"] != req.Recipient.Addr() || !known || slices.Contains(counts, p["nc"]) {
		return false, false
	}
	if s.staleNonces > 0 {
		s.staleNonces--
		return true, true
	}
	if s.nonceUses > 0 && len(counts) >= s.nonceUses {
		return true, true
	}
	s.nonces[p["nonce"]] = append(counts, p["nc"])
	return true, false
}

// sums are the algorithms of RFC 7616 and 8760 that the server knows.
var sums = map[string]func(string) string{
	"MD5":         func(text string) string { hash := md5.Sum([]byte(text)); return hex.EncodeToString(hash[:]) },
	"SHA-256":     func(text string) string { hash := sha256.Sum256([]byte(text)); return hex.EncodeToString(hash[:]) },
	"SHA-512-256": func(text string) string { hash := sha512.Sum512_256([]byte(text)); return hex.EncodeToString(hash[:]) },
}
