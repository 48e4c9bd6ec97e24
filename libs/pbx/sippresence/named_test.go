package sippresence

import (
	"strings"
	"testing"

	"github.com/emiago/sipgo/sip"
)

func TestWhatAServerCallsItself(t *testing.T) {
	for says, want := range map[string]string{
		"kamailio (5.8.4 (x86_64/linux))": "kamailio (5.8.4 (x86_64/linux))",
		"OpenSIPS \t 3.4\xff":             "OpenSIPS 3.4",
		"   ":                             "before",
		strings.Repeat("x", 300):          strings.Repeat("x", longestName),
	} {
		l, res := &line{}, sip.NewResponse(200, "OK")
		before := "before"
		l.server.Store(&before)
		l.named(res)
		if got := *l.server.Load(); got != before {
			t.Errorf("no header at all: %q", got)
		}
		res.AppendHeader(sip.NewHeader("Server", says))
		if l.named(res); *l.server.Load() != want {
			t.Errorf("%q is kept as %q", says, *l.server.Load())
		}
	}
}
