package api_test

import (
	"fmt"
	"net/url"
	"strings"
	"testing"
	"time"

	"offhook.dev/libs/core/presence"
	"offhook.dev/libs/wire"
	"offhook.dev/services/control-api/api"
	"offhook.dev/services/control-api/apitest"
)

// told renders a chain without the times of day.
func told(x api.Explanation) string {
	var lines []string
	for _, s := range x.Chain {
		lines = append(lines, fmt.Sprintf("%s %s +%gms %s%s%s", s.Step, s.Service, s.MS, s.Fact, s.Decision, s.Outcome))
	}
	return strings.Join(lines, "\n")
}

func explained(t *testing.T, s *apitest.Stage, query string) api.Explanation {
	t.Helper()
	code, all := get[[]api.Explanation](t, s.URL+"/api/v1/explain?"+query)
	if code != 200 || len(all) != 1 {
		t.Fatalf("%d with %d explanations, want one", code, len(all))
	}
	return all[0]
}

func TestExplainTellsTheChainFromTheNotificationToThePhoneSystemsAnswer(t *testing.T) {
	s := scene(t)
	x := explained(t, s, "user=100@hq")
	if want := "100 shows dnd because Teams says Busy/InAMeeting (notification, 34 ms from seen to applied)"; x.Sentence != want {
		t.Errorf("sentence: %s\nwant:     %s", x.Sentence, want)
	}
	want := strings.Join([]string{
		"seen webhook-receiver +0ms Busy/InAMeeting",
		"decided presence-mapper +4ms 100-2",
		"received pbx-writer +2ms 100-2",
		"asked pbx-writer +1ms 100-2",
		"answered pbx-writer +27ms applied",
	}, "\n")
	if got := told(x); got != want {
		t.Errorf("chain:\n%s\nwant:\n%s", got, want)
	}
}

func TestExplainOfTheCases(t *testing.T) {
	cases := []struct {
		name, user string
		publish    func(*apitest.Stage) []wire.Message
		sentence   string
		last       string // step
	}{
		{"a person's choice", "ben", nil, "101 shows lunch because a person chose it (person)", "answered"},
		{"nothing decided", "102@hq", nil, "7102 shows nothing known; nothing has been decided about it in the time that is kept", ""},
		{"a refusal", "100@hq", func(s *apitest.Stage) []wire.Message {
			c := meeting(s, 3, presence.Available)
			c.Result, c.Detail = wire.RefusedPerson, "a person chose lunch"
			return c.Messages()
		}, "100 shows dnd although available is wanted, because Teams says Available (notification); refused-person: a person chose lunch", "answered"},
		{"not carried out yet", "100@hq", func(s *apitest.Stage) []wire.Message { return meeting(s, 3, presence.Available).Messages()[:2] },
			"100 shows dnd although available is wanted, because Teams says Available (notification); the phone system has not taken it yet", "decided"},
		{"decided again without a change", "100@hq", func(s *apitest.Stage) []wire.Message { return meeting(s, 3, presence.DND).Messages()[:2] },
			"100 shows dnd because Teams says Busy/InAMeeting (notification, 34 ms from seen to applied)", "decided"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			s := apitest.Start(t, func(s *apitest.Stage) {
				apitest.Scene(t, s)
				if c.publish != nil {
					s.Publish(t, c.publish(s)...)
				}
			})
			code, all := get[[]api.Explanation](t, s.URL+"/api/v1/explain?user="+c.user)
			if code != 200 {
				t.Fatalf("status %d", code)
			}
			last := ""
			if n := len(all[0].Chain); n > 0 {
				last = all[0].Chain[n-1].Step
			}
			if all[0].Sentence != c.sentence || last != c.last {
				t.Fatalf("%s\nwant %s\nchain ends with %q, want %q\n%s", all[0].Sentence, c.sentence, last, c.last, told(all[0]))
			}
		})
	}
}

func TestExplainAtAMomentKnowsNothingOfWhatCameLater(t *testing.T) {
	s := scene(t)
	at := func(ago time.Duration) string {
		return "user=100@hq&at=" + url.QueryEscape(s.Bus.Now().Add(-ago).Format(time.RFC3339))
	}
	x := explained(t, s, at(2*time.Hour))
	if x.Shown != "available" || x.Wanted != "available" || x.Teams == nil || x.Teams.Availability != "Available" ||
		!strings.HasPrefix(x.Sentence, "100 showed available because Teams says Available") || x.Chain[1].Decision != "100-1" {
		t.Errorf("two hours ago: %s %+v", x.Sentence, x)
	}
	if x := explained(t, s, at(time.Hour)); x.Shown != "dnd" || x.Chain[1].Decision != "100-2" {
		t.Errorf("an hour ago: %+v", x)
	}
	if x := explained(t, s, at(3*time.Hour)); x.Shown != "" || len(x.Chain) != 0 {
		t.Errorf("before everything: %+v", x)
	}
}

func TestExplainRefusesWhatItCannotAnswer(t *testing.T) {
	s := scene(t)
	for _, c := range []struct{ name, query, where string }{
		{"nobody", "", "user"},
		{"no time", "user=ben&at=yesterday", "at"},
		{"the future", "user=ben&at=2999-01-01T00:00:00Z", "at"},
		{"longer ago than is kept", "user=ben&at=2020-01-01T00:00:00Z", "at"},
	} {
		t.Run(c.name, func(t *testing.T) {
			code, p := get[api.Problem](t, s.URL+"/api/v1/explain?"+c.query)
			if code != 400 || p.Code != api.CodeRequest || p.Where != c.where || p.Fix == "" {
				t.Fatalf("%d %+v", code, p)
			}
		})
	}
}
