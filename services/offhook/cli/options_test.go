package cli

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"offhook.dev/libs/bus/bustest"
	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/core/presence"
	"offhook.dev/libs/logtest"
	"offhook.dev/libs/options"
	"offhook.dev/libs/wire"
	"offhook.dev/services/control-api/api"
	"offhook.dev/services/control-api/apitest"
)

func TestOnATerminalItIsShownHowManyAreDecidedUntilAllAre(t *testing.T) {
	home(t)
	stage := apitest.Start(t, func(s *apitest.Stage) {
		apitest.Scene(t, s)
		s.Decided(t, presence.TeamsToPBX, apitest.Anna, apitest.Ben, apitest.Clara)
	})
	said := &logtest.Log{}
	ended := make(chan int, 1)
	go func() {
		a := &app{now: time.Now, zone: time.UTC, live: true}
		ended <- a.run(t.Context(), words("offhook options set --tenant contoso mode=both --api "+stage.URL), io.Discard, said)
	}()
	says := func(what string) {
		t.Helper()
		bustest.Eventually(t, 20*time.Second, func() string {
			if strings.Contains(said.String(), what) {
				return ""
			}
			return fmt.Sprintf("%q does not say %q", said.String(), what)
		})
	}
	says("decided again: 0 of 3")
	stage.Decided(t, presence.Both, apitest.Anna, apitest.Ben)
	says("decided again: 2 of 3")
	select {
	case code := <-ended:
		t.Fatalf("it ended with %d before all were decided", code)
	default:
	}
	stage.Decided(t, presence.Both, apitest.Clara)
	if code := <-ended; code != 0 || !strings.HasSuffix(said.String(), "decided again: 3 of 3\n") {
		t.Fatalf("exit %d: %q", code, said.String())
	}
}

func TestWhereNobodyDecidesThatIsSaidInTheEnd(t *testing.T) {
	home(t)
	stage := apitest.Start(t, func(s *apitest.Stage) { apitest.Scene(t, s) })
	said := &logtest.Log{}
	now := time.Now()
	clock := func() time.Time { now = now.Add(progressGives / 2); return now } // each look at it is a minute later
	code := (&app{now: clock, zone: time.UTC, live: true}).run(t.Context(), words("offhook options set --tenant contoso mode=both --api "+stage.URL), io.Discard, said)
	if code != exitFailed || !strings.Contains(said.String(), "OH-CLI-UNDECIDED") || !strings.Contains(said.String(), "3 people") {
		t.Fatalf("exit %d: %q", code, said.String())
	}
	if stored, _ := stage.Stored(t, options.Key{Layer: options.Tenant, Tenant: "contoso"}); stored.Mode != "both" {
		t.Fatalf("stored: %+v", stored)
	}
}

func TestSomebodyElsesChangeIsNotLost(t *testing.T) {
	home(t)
	stage := apitest.Start(t, func(s *apitest.Stage) { apitest.Scene(t, s) })
	// Between the command's reading and its writing somebody else sets the base.
	others := 0
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		forward := func(method, body string, header http.Header) *http.Response {
			out, err := http.NewRequestWithContext(r.Context(), method, stage.URL+r.URL.RequestURI(), strings.NewReader(body))
			if err != nil {
				t.Error(err)
			}
			out.Header = header
			answer, err := http.DefaultClient.Do(out)
			if err != nil {
				t.Error(err)
			}
			return answer
		}
		if r.Method == http.MethodPut && others < 2 {
			others++
			answer := forward(http.MethodPut, fmt.Sprintf(`{"base":"%s"}`, []string{"away", "lunch"}[others-1]), http.Header{"Content-Type": {"application/json"}})
			answer.Body.Close()
		}
		body, _ := io.ReadAll(r.Body)
		answer := forward(r.Method, string(body), r.Header)
		defer answer.Body.Close()
		w.WriteHeader(answer.StatusCode)
		_, _ = io.Copy(w, answer.Body)
	}))
	defer proxy.Close()
	stdout, stderr, code := command(t, "offhook options set --tenant contoso combine=strongest -o json --api "+proxy.URL)
	if code != 0 {
		t.Fatalf("exit %d: %s", code, stderr)
	}
	var entry api.OptionsEntry
	if err := json.Unmarshal([]byte(stdout), &entry); err != nil {
		t.Fatal(err)
	}
	if entry.Options.Base != "lunch" || entry.Options.Combine != "strongest" || others != 2 {
		t.Fatalf("%+v after %d changes of others", entry.Options, others)
	}
}

func TestAChoiceMadeMeanwhileSurvivesTheChangeOfOptions(t *testing.T) {
	home(t)
	stage := apitest.Start(t, func(s *apitest.Stage) { apitest.Scene(t, s) })
	for _, line := range []string{"offhook set ben dnd --until 1h", "offhook pause ben --until 1h", "offhook options set --tenant contoso --user ben base=away",
		"offhook options unset --tenant contoso --user ben base"} {
		if _, stderr, code := command(t, line+" --api "+stage.URL); code != 0 {
			t.Fatalf("%s: exit %d, %s", line, code, stderr)
		}
	}
	stored, _ := stage.Stored(t, options.UserKey(apitest.Ben))
	if stored.Chosen == nil || stored.Chosen.Status != "dnd" || stored.Chosen.Until.IsZero() || stored.PausedUntil.IsZero() || len(stored.Settings()) != 0 {
		t.Fatalf("stored: %s", stored.Encode())
	}
}

// On a terminal the first options of a group wait for its members: before, nobody can
// say how many people are to be decided again.
func TestTheFirstOptionsOfAGroupWaitForItsMembers(t *testing.T) {
	home(t)
	stage := apitest.Start(t, func(s *apitest.Stage) {
		apitest.Scene(t, s)
		s.Decided(t, presence.TeamsToPBX, apitest.Anna, apitest.Ben, apitest.Clara)
	})
	said, shown := &logtest.Log{}, &logtest.Log{}
	ended := make(chan int, 1)
	go func() {
		a := &app{now: time.Now, zone: time.UTC, live: true}
		ended <- a.run(t.Context(), words("offhook options set --tenant contoso --group "+string(support.ID)+" mode=both --api "+stage.URL), shown, said)
	}()
	bustest.Eventually(t, 20*time.Second, func() string {
		if _, revision := stage.Stored(t, options.GroupKey("contoso", support.ID)); revision == 0 {
			return "nothing is set"
		}
		return ""
	})
	stage.Publish(t, support)
	stage.Decided(t, presence.Both, apitest.Anna, apitest.Clara)
	if code := <-ended; code != 0 || !strings.HasSuffix(said.String(), "decided again: 2 of 2\n") {
		t.Fatalf("exit %d: %q", code, said.String())
	}
	if !strings.HasPrefix(shown.String(), "group Support "+string(support.ID)+" of tenant contoso, 2 linked of 3 members; ") {
		t.Errorf("shown is %q", shown.String())
	}
}

var support = wire.Group{Tenant: "contoso", ID: "10000000-0000-4000-8000-000000000001", Name: "Support",
	Members: []identity.User{apitest.Anna.User, apitest.Clara.User, "00000000-0000-4000-8000-999999999999"}}

func TestOptionsOfAGroupSayWhatIsKnownOfIt(t *testing.T) {
	home(t)
	stage := apitest.Start(t, func(s *apitest.Stage) { apitest.Scene(t, s); s.Publish(t, support) })
	says := func(line, what string) {
		t.Helper()
		bustest.Eventually(t, 20*time.Second, func() string {
			stdout, stderr, code := command(t, line+" --api "+stage.URL)
			if code != 0 || !strings.Contains(stdout, what) {
				return fmt.Sprintf("%s: exit %d, %s%s does not say %q", line, code, stdout, stderr, what)
			}
			return ""
		})
	}
	says("offhook options set --tenant contoso --group "+string(support.ID)+" mode=calendar", "2 linked of 3 members")
	says("offhook options show --tenant contoso --group support", "mode    calendar")
	says("offhook options show --tenant contoso --user anna", "calendar     group Support")
	denied, gone := support, support
	denied.Problem = wire.GroupDenied
	stage.Publish(t, denied)
	says("offhook options show --tenant contoso --group Support", "grant GroupMember.Read.All")
	gone.Problem, gone.Members = wire.GroupGone, nil
	stage.Publish(t, gone)
	says("offhook options show --tenant contoso --group Support", "no such group in Microsoft 365")
}
