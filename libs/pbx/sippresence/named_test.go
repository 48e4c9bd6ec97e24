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
		"\x1b[31mred":                     "[31mred",
		"":                                "before",
		strings.Repeat("x", 300):          strings.Repeat("x", longestName),
		strings.Repeat("x", longestName-1) + "\u00e9": strings.Repeat("x", longestName-1),
	} {
		d, res := &driver{line: &line{}}, sip.NewResponse(200, "OK")
		d.line.named(res)
		if got := d.Server(); got != "" {
			t.Errorf("no header at all: %q", got)
		}
		before := "before"
		d.line.server.Store(&before)
		res.AppendHeader(sip.NewHeader("Server", says))
		if d.line.named(res); d.Server() != want {
			t.Errorf("%q is told as %q", says, d.Server())
		}
	}
}
