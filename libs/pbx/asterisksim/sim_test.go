package asterisksim

import (
	"bufio"
	"crypto/md5"
	"encoding/hex"
	"fmt"
	"net"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"offhook.dev/libs/secret"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// line is a session played by hand.
type line struct {
	t    *testing.T
	conn net.Conn
	in   *bufio.Reader
}

func dial(t *testing.T, config Config) (*Sim, *line) {
	t.Helper()
	sim, err := Start(config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(sim.Close)
	conn, err := net.Dial("tcp", sim.Address())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	l := &line{t, conn, bufio.NewReader(conn)}
	if greeting, _ := l.in.ReadString('\n'); greeting != "Asterisk Call Manager/9.0.0\r\n" {
		t.Errorf("it greets with %q", greeting)
	}
	return sim, l
}

// ask sends lines as a message and returns the next message; "" once the session ended.
func (l *line) ask(lines string) string {
	l.t.Helper()
	fmt.Fprint(l.conn, strings.ReplaceAll(lines, "\n", "\r\n"), "\r\n\r\n")
	return l.next()
}

func (l *line) next() string {
	var text strings.Builder
	for {
		line, err := l.in.ReadString('\n')
		if line == "\r\n" || err != nil {
			return strings.ReplaceAll(strings.TrimSuffix(text.String(), "\r\n"), "\r\n", "\n")
		}
		text.WriteString(line)
	}
}

// signIn returns the answer to Login with a secret.
func (l *line) signIn(secret, events string) string {
	l.t.Helper()
	challenge := strings.TrimPrefix(l.ask("Action: Challenge\nAuthType: MD5"), "Response: Success\nChallenge: ")
	digest := md5.Sum([]byte(challenge + secret))
	return l.ask("Action: Login\nActionID: 1\nAuthType: MD5\nUsername: offhook\nKey: " + hex.EncodeToString(digest[:]) + "\nEvents: " + events)
}

func TestItRefusesWhatAsteriskRefuses(t *testing.T) {
	_, l := dial(t, Config{Extensions: 1, Write: "call"})
	for _, c := range []struct{ ask, answer string }{
		{"Action: Ping\nActionID: 7", "Response: Error\nActionID: 7\nMessage: Permission denied"},
		{"Action: Challenge", "Response: Error\nMessage: Must specify AuthType"},
	} {
		if got := l.ask(c.ask); got != c.answer {
			t.Errorf("%q: %q", c.ask, got)
		}
	}
	if got := l.signIn("Simulated1", "off"); got != "Response: Success\nActionID: 1\nMessage: Authentication accepted" {
		t.Fatalf("signing in: %q", got)
	}
	long := "X: " + strings.Repeat("a", 2000)
	for _, c := range []struct{ ask, answer string }{
		{"ActionID: 7", "Response: Error\nActionID: 7\nMessage: Missing action in request"},
		{"Action: Fly\nActionID: 7", "Response: Error\nActionID: 7\nMessage: Invalid/unknown command: Fly. Use Action: ListCommands to show available commands."},
		{"Action: DBPut\nActionID: 7\nFamily: DND\nKey: 200\nVal: YES", "Response: Error\nActionID: 7\nMessage: Permission denied"},
		{"Action: Ping\nActionID: 7\n" + long, "Response: Error\nActionID: 7\nMessage: Failed to parse message: line too long"},
		{"Action: Ping\nActionID: 7\n" + strings.Repeat("X: y\n", 130) + "Z: z", "Response: Error\nActionID: 7\nMessage: Too many lines in message or allocation failure"},
		{"Action: Setvar\nVariable: DEVICE_STATE(PJSIP/200)\nValue: BUSY", "Response: Error\nMessage: Variable not set"},
		{"Action: Setvar\nVariable: DEVICE_STATE(Custom:A)\nValue: ASLEEP", "Response: Error\nMessage: Variable not set"},
		{"Action: Setvar\nVariable: PRESENCE_STATE(CustomPresence:200)\nValue: asleep", "Response: Error\nMessage: Variable not set"},
		{"Action: PresenceState\nProvider: CustomPresence:200", "Response: Error\nMessage: Invalid provider CustomPresence:200 or provider in invalid state"},
		{"Action: PresenceState", "Response: Error\nMessage: No provider specified"},
		{"action: ping\nactionid: 8", "Response: Success\nActionID: 8\nPing: Pong\nTimestamp: 1.000000"},
		{"Action: Logoff", "Response: Goodbye\nMessage: Thanks for all the fish."},
		{"Action: Ping", ""},
	} {
		if got := l.ask(c.ask); got != c.answer {
			t.Errorf("%.60q: %q", c.ask, got)
		}
	}
}

func TestAWrongSecretEndsTheSession(t *testing.T) {
	sim, l := dial(t, Config{})
	if got := l.signIn("Simulated2", "off"); got != "Response: Error\nActionID: 1\nMessage: Authentication failed" {
		t.Errorf("got %q", got)
	}
	if got := l.ask("Action: Ping"); got != "" || sim.Stats().Refused != 1 || sim.Stats().SignIns != 0 {
		t.Errorf("afterwards: %q, %+v", got, sim.Stats())
	}
}

func TestEventsAreToldToThoseWhoMayAndWantTo(t *testing.T) {
	for _, c := range []struct {
		read, events string
		told         bool
	}{{"call", "call", true}, {"call", "on", true}, {"all", "call,reporting", true}, {"call", "off", false}, {"reporting", "on", false}, {"call", "system", false}} {
		sim, l := dial(t, Config{Extensions: 1, Read: c.read})
		l.signIn("Simulated1", c.events)
		sim.Press("200", true)
		sim.Press("200", true) // no change, no event
		if got := l.ask("Action: Ping"); strings.HasPrefix(got, "Event: DeviceStateChange") != c.told {
			t.Errorf("%+v: %q", c, got)
		}
		if c.told {
			for _, want := range []string{"Event: DeviceStateChange\nPrivilege: call,all\nDevice: Custom:DEVDND200\nState: BUSY", "Response: Success"} {
				if got := l.next(); !strings.HasPrefix(got, want) {
					t.Errorf("%+v: %q", c, got)
				}
			}
		}
	}
}

func TestTheDatabaseIsOnDiskOnceItWasWritten(t *testing.T) {
	sim, l := dial(t, Config{Extensions: 1})
	l.signIn("Simulated1", "off")
	l.ask("Action: DBPut\nFamily: DND\nKey: 200\nVal: YES")
	sim.Flush()
	l.ask("Action: DBDel\nFamily: DND\nKey: 200")
	l.ask("Action: DBPut\nFamily: DND\nKey: 201\nVal: YES")
	sim.Crash()
	if got := l.ask("Action: Ping"); got != "" {
		t.Errorf("it answers: %q", got)
	}
	_, first := sim.Entry("DND/200")
	_, second := sim.Entry("DND/201")
	if !first || second {
		t.Errorf("after a crash: %v, %v", first, second)
	}
}

func TestAPresenceIsKeptEncodedAndToldDecoded(t *testing.T) {
	sim, l := dial(t, Config{Extensions: 1})
	l.signIn("Simulated1", "off")
	if got := l.ask("Action: Setvar\nVariable: PRESENCE_STATE(CustomPresence:200)\nValue: away,bHVuY2g=,THVuY2gsIHVudGlsIDI=,e"); got != "Response: Success\nMessage: Variable Set" {
		t.Errorf("got %q", got)
	}
	if got := l.ask("Action: PresenceState\nProvider: CustomPresence:200"); got != "Response: Success\nMessage: Presence State\nState: away\nSubtype: lunch\nMessage: Lunch, until 2" {
		t.Errorf("got %q", got)
	}
	if text, _ := sim.Entry("CustomPresence/200"); !strings.HasPrefix(text, "away,bHVuY2g=,") {
		t.Errorf("kept as %q", text)
	}
}

func TestTLSNeedsAnAuthority(t *testing.T) {
	sim, _ := dial(t, Config{Secret: secret.NewValue("x")})
	if !strings.HasPrefix(sim.URL(), "tcp://127.0.0.1:") {
		t.Errorf("the URL is %s", sim.URL())
	}
}

func TestOrdersForCalls(t *testing.T) {
	sim, l := dial(t, Config{Extensions: 2, Write: "originate"})
	l.signIn("Simulated1", "off")
	order := "Action: Originate\nChannel: PJSIP/200\nContext: from-internal\nExten: +4930\nPriority: 1\nCallerID: 200\nAsync: true"
	for name, c := range map[string]struct{ from, to, says string }{
		"an order":                    {"", "", "Response: Success\nMessage: Originate successfully queued"},
		"a phone that there is not":   {"PJSIP/200", "PJSIP/7", "Response: Success\nMessage: Originate successfully queued"},
		"no phone":                    {"Channel: PJSIP/200", "Channel:", "Response: Error\nMessage: Channel not specified"},
		"a phone without a name":      {"PJSIP/200", "PJSIP", "Response: Error\nMessage: Invalid channel"},
		"no number":                   {"Exten: +4930\n", "", "Response: Error\nMessage: Originate with 'Exten' requires 'Context' and 'Priority'"},
		"no priority":                 {"Priority: 1", "Priority: x", "Response: Error\nMessage: Invalid priority"},
		"a context that there isnot":  {"from-internal", "default", "Response: Error\nMessage: Extension does not exist."},
		"a number that leads nowhere": {"+4930", "9930", "Response: Error\nMessage: Extension does not exist."},
	} {
		if got := l.ask(strings.Replace(order, c.from, c.to, 1)); got != c.says {
			t.Errorf("%s: %q", name, got)
		}
	}
	if got := sim.Originated(); len(got) != 1 || got[0] != (Dialled{"PJSIP/200", "200", "+4930"}) || sim.State("PJSIP/200") != "RINGING" {
		t.Errorf("ordered were %+v", got)
	}
}
