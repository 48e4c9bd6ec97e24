package cli

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"offhook.dev/libs/bus/bustest"
	"offhook.dev/libs/core/presence"
	"offhook.dev/libs/logtest"
	"offhook.dev/libs/wire"
	"offhook.dev/services/control-api/api"
	"offhook.dev/services/control-api/apitest"
)

// watching is `offhook watch` at work.
type watching struct {
	t      *testing.T
	lines  *bufio.Scanner
	notes  *logtest.Log
	cancel context.CancelFunc
	ended  chan int
}

func startWatch(t *testing.T, args ...string) *watching {
	t.Helper()
	home(t)
	ctx, cancel := context.WithCancel(t.Context())
	reader, writer := io.Pipe()
	w := &watching{t: t, lines: bufio.NewScanner(reader), notes: &logtest.Log{}, cancel: cancel, ended: make(chan int, 1)}
	go func() {
		w.ended <- (&app{now: time.Now, zone: time.UTC}).run(ctx, append([]string{"watch"}, args...), writer, w.notes)
		writer.Close()
	}()
	t.Cleanup(func() {
		cancel()
		reader.Close()
		if code := <-w.ended; code != 0 {
			t.Errorf("watch ended with %d: %s", code, w.notes)
		}
	})
	return w
}

func (w *watching) next() string {
	w.t.Helper()
	if !w.lines.Scan() {
		w.t.Fatalf("watch ended: %v, %s", w.lines.Err(), w.notes)
	}
	return w.lines.Text()
}

func change(s *apitest.Stage, n int, to presence.Status) apitest.Change {
	c := apitest.Change{Who: apitest.Anna, Line: apitest.Line("hq", "100"), N: n, At: s.Bus.Now(), Teams: "Available/Available", From: presence.DND, To: to}
	if to == presence.DND {
		c.Teams, c.From = "Busy/InAMeeting", presence.Available
	}
	return c
}

// begun publishes changes, numbered from 3, until watch prints one.
func (w *watching) begun(s *apitest.Stage) (printed string, next int) {
	w.t.Helper()
	line := make(chan string, 1)
	go func() {
		if w.lines.Scan() {
			line <- w.lines.Text()
		}
		close(line)
	}()
	n := 3
	bustest.Eventually(w.t, 10*time.Second, func() string {
		select {
		case printed = <-line:
			return ""
		default:
		}
		s.Publish(w.t, change(s, n, []presence.Status{presence.DND, presence.Available}[n%2]).Messages()...)
		n++
		return "nothing is printed: " + w.notes.String()
	})
	return printed, n
}

func TestWatchPrintsALineForEachChange(t *testing.T) {
	s := apitest.Start(t, func(s *apitest.Stage) { apitest.Scene(t, s) })
	w := startWatch(t, "100@hq", "--api", s.URL)
	_, n := w.begun(s)
	refused := change(s, n, presence.DND)
	refused.Result, refused.Detail = wire.RefusedPerson, "a person chose lunch"
	choice := wire.Status{Reading: presence.StatusReading{Line: refused.Line, Status: presence.Lunch, Origin: presence.Person, SeenAt: s.Bus.Now(), Observation: 1000}}
	s.Publish(t, refused.Messages()...)
	var line string
	for line = w.next(); !strings.Contains(line, "refused"); line = w.next() { // those that begun has made
		if got := normal(line); got != "<clock>  Anna Albers  100@hq  available -> dnd  teams Busy/InAMeeting  34 ms  applied" &&
			got != "<clock>  Anna Albers  100@hq  dnd -> available  teams Available  34 ms  applied" {
			t.Fatalf("a change: %q", got)
		}
	}
	if got := normal(line); got != "<clock>  Anna Albers  100@hq  available -> dnd  teams Busy/InAMeeting  34 ms  refused-person: a person chose lunch" {
		t.Errorf("a refusal: %q", got)
	}
	s.Publish(t, choice)
	if got := normal(w.next()); !strings.HasPrefix(got, "<clock>  Anna Albers  100@hq  ") || !strings.HasSuffix(got, " -> lunch  a person  -  chosen") {
		t.Errorf("a choice: %q", got)
	}
}

func TestWatchPrintsALineForWhatGoesToTeams(t *testing.T) {
	s := apitest.Start(t, func(s *apitest.Stage) { apitest.Scene(t, s) })
	w := startWatch(t, "100@hq", "--api", s.URL)
	_, n := w.begun(s)
	call := apitest.Call{Who: apitest.Anna, Line: apitest.Line("hq", "100"), N: n, At: s.Bus.Now(), Calls: 1}
	ended, failed := call, call
	ended.N, ended.Calls = n+1, 0
	failed.N, failed.Result, failed.Detail = n+2, wire.Failed, "Graph says 403"
	for _, c := range []apitest.Call{call, ended, failed} {
		s.Publish(t, c.Messages()...)
	}
	line := w.next()
	for !strings.Contains(line, "Teams Busy/InACall") { // those that begun has made
		line = w.next()
	}
	for i, want := range []string{
		"<clock>  Anna Albers  -> Teams Busy/InACall  call  35 ms  applied",
		"<clock>  Anna Albers  -> Teams nothing of ours  nothing-to-show  35 ms  applied",
		"<clock>  Anna Albers  -> Teams Busy/InACall  call  35 ms  failed: Graph says 403",
	} {
		if i > 0 {
			line = w.next()
		}
		if got := normal(line); got != want {
			t.Errorf("%q\nwant %q", got, want)
		}
	}
}

func TestWatchComesBackAfterALostConnectionAndMissesNothing(t *testing.T) {
	s := apitest.Start(t, func(s *apitest.Stage) { apitest.Scene(t, s) })
	to, err := url.Parse(s.URL)
	if err != nil {
		t.Fatal(err)
	}
	proxy := httptest.NewServer(&httputil.ReverseProxy{FlushInterval: -1, Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(to) }})
	t.Cleanup(proxy.Close) // after the watch has ended
	w := startWatch(t, "-o", "json", "--api", proxy.URL)
	_, n := w.begun(s)
	for range 3 {
		proxy.CloseClientConnections()
		var want []time.Time
		for range 4 { // while nobody may be connected
			c := change(s, n, []presence.Status{presence.DND, presence.Available}[n%2])
			s.Publish(t, c.Messages()...)
			want = append(want, c.At.Add(34*time.Millisecond))
			n++
		}
		var got []time.Time
		for len(got) == 0 || got[len(got)-1].Before(want[len(want)-1]) {
			if at := decoded(t, w.next()).At; !at.Before(want[0].Truncate(time.Microsecond)) { // older ones are begun's
				got = append(got, at)
			}
		}
		if !slices.EqualFunc(got, want, time.Time.Equal) {
			t.Fatalf("printed %v\nwant each once: %v", got, want)
		}
	}
	if !strings.Contains(w.notes.String(), "connection lost") {
		t.Errorf("people are not told: %q", w.notes)
	}
}

func decoded(t *testing.T, line string) api.Change {
	t.Helper()
	var c api.Change
	if err := json.Unmarshal([]byte(line), &c); err != nil {
		t.Fatalf("%v in %s", err, line)
	}
	return c
}
