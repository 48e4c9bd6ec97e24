package receiver

import (
	"log/slog"
	"testing"
	"time"

	"offhook.dev/libs/bus"
	"offhook.dev/libs/logtest"
	"offhook.dev/libs/topology"
)

// What of validation tokens is not documented, and what becomes of an item each way.
func TestWhicheverTokensGraphSendsNobodyIsForgotten(t *testing.T) {
	tests := []struct {
		name   string
		tokens func(l *login) []string
		result string
		fact   string
		hint   string
		log    string
	}{
		{"a token of version 2.0", func(l *login) []string { return []string{l.token(t, nil)} }, "fact", "Busy/InAMeeting", "", ""},
		{"a token of version 1.0", func(l *login) []string {
			return []string{l.token(t, map[string]any{"ver": "1.0", "appid": l.claims(nil)["azp"], "azp": nil, "iss": "https://sts.windows.net/" + directory + "/"})}
		}, "fact", "Busy/InAMeeting", "", ""},
		{"none, for an app that requires assignment", func(*login) []string { return nil }, "no-validation-token", "", "notification without validation token", "requires assignment"},
		{"an issuer of version 1.0 in a token of version 2.0: the sweep finds it", func(l *login) []string {
			return []string{l.token(t, map[string]any{"iss": "https://sts.windows.net/" + directory + "/"})}
		}, "forged", "", "", "token has another issuer"},
		{"the issuer of another cloud: the sweep finds it", func(l *login) []string {
			return []string{l.token(t, map[string]any{"iss": "https://login.partner.microsoftonline.cn/" + directory + "/v2.0"})}
		}, "forged", "", "", "token has another issuer"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s := newStage(t)
			deps, telemetry := s.deps()
			log := &logtest.Log{}
			deps.Log = slog.New(slog.NewTextHandler(log, nil))
			r := s.replicaWith(deps, telemetry, s.options("vault"))
			l := s.subscribe(nil)
			tokens := test.tokens(s.login)
			for range 3 { // told three times, said once
				must(t, r.open(t.Context(), bus.Message{Data: l.ingress(t, tokens, l.item(anna, s.busy(s.certificate(), anna), nil)), Time: time.Now()}))
			}
			if fact, hint := s.fact(anna), s.hint("presence", anna); fact != test.fact || hint != test.hint && test.fact == "" {
				t.Errorf("fact %q, hint %q", fact, hint)
			}
			if r.found(t, test.result) == 0 {
				t.Errorf("nothing is counted as %s", test.result)
			}
			if test.log != "" && log.Count(test.log) != 1 {
				t.Errorf("the log says %q %d times", test.log, log.Count(test.log))
			}
			for _, token := range append(tokens, l.state) {
				if log.Count(token) > 0 {
					t.Error("the log quotes a secret")
				}
			}
			if n := s.held(topology.ParkedMsg); n != 0 {
				t.Errorf("%d parked", n)
			}
		})
	}
}
