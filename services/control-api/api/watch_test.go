package api_test

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"offhook.dev/libs/core/presence"
	"offhook.dev/libs/wire"
	"offhook.dev/services/control-api/api"
	"offhook.dev/services/control-api/apitest"
)

func meeting(s *apitest.Stage, n int, to presence.Status) apitest.Change {
	teams := map[presence.Status]string{presence.DND: "Busy/InAMeeting", presence.Available: "Available/Available"}[to]
	from := presence.DND
	if to == presence.DND {
		from = presence.Available
	}
	return apitest.Change{Who: apitest.Anna, Line: apitest.Line("hq", "100"), N: n, At: s.Bus.Now(), Teams: teams, From: from, To: to}
}

func TestWatchTellsOfChangesRefusalsAndChoicesAndOfNothingElse(t *testing.T) {
	s := scene(t)
	w := watch(t, s.URL+"/api/v1/watch", "")

	sequence := s.Publish(t, meeting(s, 3, presence.Available).Messages()...)
	e := w.next()
	if c := e.change; e.name != "change" || e.id != strconv.FormatUint(sequence, 10) || c.Name != "Anna Albers" || c.Before != "dnd" || c.Shown != "available" ||
		c.Result != "applied" || c.Reason != "teams" || c.LatencyMS != 34 || c.Teams == nil || c.Teams.Availability != "Available" || c.Trace == "" || len(c.Claims) != 2 {
		t.Fatalf("an applied change: %+v", e)
	}

	// What was so already, and what came too late, is no change.
	already := meeting(s, 4, presence.Available)
	already.Result = wire.Already
	stale := meeting(s, 5, presence.DND)
	stale.Result = wire.Stale
	same := meeting(s, 6, presence.Available)
	same.From = presence.Available
	s.Publish(t, append(append(already.Messages(), stale.Messages()...), same.Messages()...)...)

	refused := meeting(s, 7, presence.DND)
	refused.Result, refused.Detail = wire.RefusedPerson, "a person chose lunch"
	s.Publish(t, refused.Messages()...)
	if c := w.next().change; c.Result != "refused-person" || c.Shown != "available" || c.Wanted != "dnd" || c.Detail == "" {
		t.Fatalf("after what is no change came %+v, want the refusal", c)
	}

	choice := wire.Status{Reading: presence.StatusReading{Line: apitest.Line("hq", "101"), Status: presence.Away, Origin: presence.Person, SeenAt: s.Bus.Now(), Observation: 4}}
	s.Publish(t, choice, choice) // told once
	ours := wire.Status{Reading: presence.StatusReading{Line: apitest.Line("hq", "101"), Status: presence.DND, Origin: presence.Ours, SeenAt: s.Bus.Now(), Observation: 5}}
	s.Publish(t, ours) // the outcome tells that
	if e := w.next(); e.id != "" || e.change.Result != api.ResultChosen || e.change.Name != "Ben Berger" || e.change.Before != "lunch" || e.change.Shown != "away" {
		t.Fatalf("a person's choice: %+v", e)
	}
	s.Publish(t, meeting(s, 8, presence.DND).Messages()...)
	if c := w.next().change; c.Result != "applied" || c.Name != "Anna Albers" {
		t.Fatalf("after the choice came %+v, want the next change", c)
	}
}

func TestWatchOfOneUserHearsOfNobodyElse(t *testing.T) {
	s := scene(t)
	w := watch(t, s.URL+"/api/v1/watch?user=clara", "")
	s.Publish(t, meeting(s, 3, presence.Available).Messages()...)
	s.Publish(t, apitest.Change{Who: apitest.Clara, Line: apitest.Line("hq", "102"), N: 1, At: s.Bus.Now(), Teams: "Away/Away", To: presence.Away}.Messages()...)
	if c := w.next().change; c.Name != "Clara Castillo" {
		t.Fatalf("heard of %s", c.Name)
	}
}

func TestAReturningWatcherMissesNoOutcomeAndGetsNoneTwice(t *testing.T) {
	s := scene(t)
	w := watch(t, s.URL+"/api/v1/watch", "")
	s.Publish(t, meeting(s, 3, presence.Available).Messages()...)
	last := w.next().id
	w.close()
	for n := 4; n < 10; n++ { // while nobody watches
		s.Publish(t, meeting(s, n, []presence.Status{presence.DND, presence.Available}[n%2]).Messages()...)
	}
	back := watch(t, s.URL+"/api/v1/watch", last)
	for n := 10; n < 13; n++ {
		s.Publish(t, meeting(s, n, []presence.Status{presence.DND, presence.Available}[n%2]).Messages()...)
	}
	previous, _ := strconv.Atoi(last)
	for n := 4; n < 13; n++ {
		e := back.next()
		if id, _ := strconv.Atoi(e.id); id != previous+1 {
			t.Fatalf("change %d has id %s after %d", n, e.id, previous)
		}
		previous++
	}
	// One user's return does not bring the others' past.
	clara := watch(t, s.URL+"/api/v1/watch?user=clara", last)
	s.Publish(t, apitest.Change{Who: apitest.Clara, Line: apitest.Line("hq", "102"), N: 1, At: s.Bus.Now(), Teams: "Away/Away", To: presence.Away}.Messages()...)
	if c := clara.next().change; c.Name != "Clara Castillo" {
		t.Fatalf("heard of %s", c.Name)
	}
}

func TestAnEventIDThatIsNoneIsRefusedAndOneOfTheFutureIsHarmless(t *testing.T) {
	s := scene(t)
	for _, id := range []string{"x", "-1", "99999999999999999999"} {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.URL+"/api/v1/watch", nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Last-Event-ID", id)
		answer, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		answer.Body.Close()
		if answer.StatusCode != http.StatusBadRequest {
			t.Errorf("id %q: %s", id, answer.Status)
		}
	}
	w := watch(t, s.URL+"/api/v1/watch", "4000000000")
	s.Publish(t, meeting(s, 3, presence.Available).Messages()...)
	if c := w.next().change; c.Shown != "available" {
		t.Fatalf("%+v", c)
	}
}

func TestAnIdleWatchGetsComments(t *testing.T) {
	s := scene(t)
	w := watch(t, s.URL+"/api/v1/watch", "")
	for line := w.line(); line != ": ping"; line = w.line() {
		if line != "" {
			t.Fatalf("got %q, want a comment", line)
		}
	}
}

func TestASlowWatcherIsDroppedHoldsUpNobodyAndMissesNothingWhenItReturns(t *testing.T) {
	s := scene(t)
	// Small buffers below HTTP make the server feel soon that nobody reads.
	dialer := net.Dialer{}
	client := &http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
		c, err := dialer.DialContext(ctx, network, address)
		if err == nil {
			err = c.(*net.TCPConn).SetReadBuffer(64 << 10)
		}
		return c, err
	}}}
	t.Cleanup(client.CloseIdleConnections)
	slow := watchWith(t, client, s.URL+"/api/v1/watch", "")
	quick := watch(t, s.URL+"/api/v1/watch", "")

	const changes = 2500
	const padding = 8 << 10
	published := make(chan struct{})
	go func() {
		defer close(published)
		for n := range changes {
			c := meeting(s, n+3, []presence.Status{presence.DND, presence.Available}[n%2])
			c.Detail = strings.Repeat("x", padding)
			all := c.Messages()
			s.Publish(t, all[1], all[len(all)-1]) // decision and outcome
		}
	}()
	for n := range changes {
		if e := quick.next(); e.name != "change" {
			t.Fatalf("the quick watcher was told %+v after %d changes", e.problem, n)
		}
	}
	<-published
	seen, last := 0, ""
	e, open := slow.nextOrEnd()
	for ; open && e.name == "change"; e, open = slow.nextOrEnd() {
		seen, last = seen+1, e.id
	}
	// On a machine so busy that the above took more than the time for one event, the
	// connection was cut before anything could be told.
	if open && e.problem.Code != api.CodeSlow || seen == changes {
		t.Fatalf("the slow watcher got %d changes and then %+v, want to be dropped", seen, e.problem)
	}
	back := watch(t, s.URL+"/api/v1/watch", last)
	for ; seen < changes; seen++ {
		if e := back.next(); e.name != "change" {
			t.Fatalf("after its return: %+v", e)
		}
	}
}

func TestTheStreamSaysThatTheServiceEnds(t *testing.T) {
	s := scene(t)
	w := watch(t, s.URL+"/api/v1/watch", "")
	began := time.Now()
	go s.Stop()
	if e := w.next(); e.problem.Code != api.CodeStopping {
		t.Fatalf("%+v", e)
	}
	s.Stop()
	if took := time.Since(began); took > 3*time.Second {
		t.Fatalf("the end took %v with an open watch", took)
	}
	if _, err := http.Get(s.URL + "/livez"); err == nil {
		t.Fatal("still listening: " + fmt.Sprint(s.URL))
	}
}
