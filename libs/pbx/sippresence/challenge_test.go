package sippresence

import (
	"strings"
	"testing"

	"github.com/emiago/sipgo/sip"
	"github.com/icholy/digest"

	"offhook.dev/libs/secret"
)

// FuzzChallenge reads what a server sends as challenges, and answers it.
func FuzzChallenge(f *testing.F) {
	for _, seed := range []struct{ one, two string }{
		{`Digest realm="pbx.example.com", nonce="n1", algorithm=MD5, qop="auth"`, ``},
		{`Digest realm="pbx.example.com", nonce="n1", algorithm=md5`, `Digest realm="pbx.example.com", nonce="n2", algorithm=SHA-256, qop="auth,auth-int"`},
		{`Digest realm="a\"b\\c", nonce="", opaque="=,;", stale=TRUE, userhash=true, algorithm=SHA-512-256, qop="auth-int, auth"`, `Basic realm="x"`},
		{`Digest realm="x", nonce="y", algorithm=MD5-sess`, `digest nonce = "y" , domain="sip:a sip:b"`},
		{`Digest`, `Digest realm="x`},
	} {
		f.Add(seed.one, seed.two, false)
		f.Add(seed.two, seed.one, true)
	}
	config := Config{Username: "offhook", Password: secret.NewValue("hunter2hunter2")}
	f.Fuzz(func(t *testing.T, one, two string, proxy bool) {
		status, asked, answered := sip.StatusUnauthorized, "WWW-Authenticate", "Authorization"
		if proxy {
			status, asked, answered = sip.StatusProxyAuthRequired, "Proxy-Authenticate", "Proxy-Authorization"
		}
		res := sip.NewResponse(status, "Unauthorized")
		res.AppendHeader(sip.NewHeader(asked, one))
		res.AppendHeader(sip.NewHeader(asked, two))
		c, err := challengeIn(res)
		_ = stale(res)
		if err != nil {
			if text := err.Error(); len(text) > 1000 || strings.ContainsAny(text, "\r\n\x00\x1b") {
				t.Errorf("the error is %q", text)
			}
			return
		}
		req := publication(Presence, sip.Uri{Scheme: "sip", User: "201", Host: "pbx.example.com"}, "", []byte("body"), DefaultExpires)
		if err := c.answer(req, config); err != nil {
			t.Fatalf("%q was read, and cannot be answered: %v", c.Challenge, err)
		}
		value := req.GetHeader(answered).Value()
		if strings.ContainsAny(value, "\r\n\x00") || strings.Contains(value, config.Password.Reveal()) {
			t.Fatalf("the answer is %q", value)
		}
		said, err := digest.ParseCredentials(value)
		if err != nil || said.Nc != 1 && said.QOP != "" || said.Algorithm != c.Algorithm {
			t.Fatalf("the answer is %q: %v", value, err)
		}
		if plain(c.Realm) && plain(c.Nonce) && plain(c.Opaque) && (said.Realm != c.Realm || said.Nonce != c.Nonce || said.Opaque != c.Opaque) {
			t.Errorf("the answer is %q to %q, %q, %q", value, c.Realm, c.Nonce, c.Opaque)
		}
	})
}

// plain says whether a text is what servers send: characters of ASCII that can be printed.
func plain(text string) bool {
	return !strings.ContainsFunc(text, func(r rune) bool { return r < ' ' || r > '~' })
}
