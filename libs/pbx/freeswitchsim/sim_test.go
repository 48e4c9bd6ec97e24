package freeswitchsim

import (
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
)

// speak says something to a simulated FreeSWITCH and returns all that it says until it
// hangs up. Whatever it does not read any more may cost its last words.
func speak(t *testing.T, config Config, lines ...string) (string, Stats) {
	t.Helper()
	sim, err := Start(config)
	if err != nil {
		t.Fatal(err)
	}
	defer sim.Close()
	conn, err := net.Dial("tcp", strings.TrimPrefix(sim.URL(), "tcp://"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	for _, line := range lines {
		fmt.Fprint(conn, line+"\n\n")
	}
	said, err := io.ReadAll(conn)
	if err != nil {
		t.Error(err)
	}
	return string(said), sim.Stats()
}

func reply(text string) string { return "Content-Type: command/reply\nReply-Text: " + text + "\n\n" }

func response(text string) string {
	return fmt.Sprintf("Content-Type: api/response\nContent-Length: %d\n\n%s", len(text), text)
}

func TestItAnswersAsFreeSWITCHDoes(t *testing.T) {
	const auth, greeting, goodbye = "auth Simulated1", "Content-Type: auth/request\n\n", "Content-Type: text/disconnect-notice\nContent-Length: 67\n\nDisconnected, goodbye.\nSee you at ClueCon! http://www.cluecon.com/\n"
	accepted := greeting + reply("+OK accepted")
	for name, c := range map[string]struct {
		config Config
		lines  []string
		want   string
		counts Stats
	}{
		"good-bye":              {Config{}, []string{auth}, accepted + reply("+OK bye") + goodbye, Stats{0, 1}},
		"a wrong password":      {Config{}, []string{"auth ClueCon"}, greeting + reply("-ERR invalid") + goodbye, Stats{0, 1}},
		"no password":           {Config{}, []string{"api status"}, greeting + reply("-ERR invalid") + goodbye, Stats{0, 1}},
		"a user":                {Config{User: "a@b"}, []string{"userauth a@b:Simulated1"}, accepted + reply("+OK bye") + goodbye, Stats{0, 1}},
		"an address not listed": {Config{Forbidden: true}, nil, "Content-Type: text/rude-rejection\nContent-Length: 24\n\nAccess Denied, go away.\n", Stats{}},
		"no such command":       {Config{}, []string{auth, "shout"}, accepted + reply("-ERR command not found") + reply("+OK bye") + goodbye, Stats{1, 1}},
		"no such API":           {Config{}, []string{auth, "api shout loud"}, accepted + response("-ERR shout Command not found!\n") + reply("+OK bye") + goodbye, Stats{1, 1}},
		"no events":             {Config{}, []string{auth, "event json"}, accepted + reply("-ERR no keywords supplied") + reply("+OK bye") + goodbye, Stats{0, 1}},
		"kept, read and deleted": {Config{}, []string{auth, "api hash insert/r/k/v/w", "api hash select/r/k", "api hash_dump db r", "api hash delete/r/k", "api hash select/r/k", "api hash delete/r/k"},
			accepted + response("+OK\n") + response("v/w") + response("D/r_k/v/w\n") + response("+OK\n") + response("-ERR no reply\n") + response("-ERR Not found\n") + reply("+OK bye") + goodbye, Stats{6, 1}},
		"users": {Config{Extensions: 1}, []string{auth, "api user_exists id 1000 pbx.example.com", "api user_exists id 1000 x", "api user_data 1000@x var a"},
			accepted + response("true") + response("false") + response("-ERR no reply\n") + reply("+OK bye") + goodbye, Stats{3, 1}},
		"wrong arguments": {Config{}, []string{auth, "api hash insert/r/k", "api show everything", "api user_data x"},
			accepted + response("-ERR Usage: hash insert|insert_ifempty|select|delete|delete_ifmatch/realm/key[/value]\n") +
				response("-USAGE: codec|endpoint|application|api|dialplan|file|timer|calls [count]|channels [count|like <match string>]|... [as xml|as delim <delimiter>]\n") +
				response("-USAGE: <user>@<domain> [attr|var|param] <name>\n") + reply("+OK bye") + goodbye, Stats{3, 1}},
		"no channels": {Config{}, []string{auth, "api show channels as json"}, accepted + response(`{"row_count":0}`+"\n") + reply("+OK bye") + goodbye, Stats{1, 1}},
	} {
		t.Run(name, func(t *testing.T) {
			if strings.Contains(c.want, "+OK bye") {
				c.lines = append(c.lines, "exit")
			}
			if said, counts := speak(t, c.config, c.lines...); said != c.want || counts != c.counts {
				t.Errorf("it says %q\nwant    %q\n%+v", said, c.want, counts)
			}
		})
	}
}
