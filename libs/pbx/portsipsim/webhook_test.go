package portsipsim_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"offhook.dev/libs/core/presence"
	"offhook.dev/libs/pbx/portsipsim"
	"offhook.dev/libs/secret"
)

// receiver is where events are sent: it answers with these statuses, the last one for ever.
type receiver struct {
	*httptest.Server
	mu       sync.Mutex
	statuses []int
	got      []received
}

type received struct {
	credential string
	event      map[string]any // nil: it was no JSON
}

func receive(t *testing.T, statuses ...int) *receiver {
	r := &receiver{statuses: statuses}
	r.Server = httptest.NewServer(r)
	t.Cleanup(r.Close)
	return r
}

func (r *receiver) ServeHTTP(w http.ResponseWriter, request *http.Request) {
	body, _ := io.ReadAll(request.Body)
	one := received{credential: request.Header.Get("Authorization")}
	_ = json.Unmarshal(body, &one.event)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.got = append(r.got, one)
	status := r.statuses[min(len(r.got), len(r.statuses))-1]
	switch status {
	case http.StatusUnauthorized:
		w.Header().Set("WWW-Authenticate", `Basic realm="x"`)
	case http.StatusFound:
		w.Header().Set("Location", r.URL+"/elsewhere")
	}
	w.WriteHeader(status)
}

// said is what arrived so far: the extension and what of it, by event.
func (r *receiver) said() (all []string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, one := range r.got {
		ext, _ := one.event["extension"].(string)
		ext, _, _ = strings.Cut(strings.TrimPrefix(ext, "sip:"), "@")
		all = append(all, fmt.Sprint(ext, one.event["call_status"], one.event["presence"]))
	}
	return all
}

func begin(t *testing.T, retries int) *portsipsim.Sim {
	authority, err := secret.NewAuthority("simulator tests", time.Now())
	if err != nil {
		t.Fatal(err)
	}
	sim, err := portsipsim.Start(portsipsim.Config{Authority: authority, Extensions: 3, Retries: slices.Repeat([]time.Duration{time.Millisecond}, retries)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(sim.Close)
	return sim
}

func eventually(t *testing.T, what string, so func() bool) {
	t.Helper()
	deadline := time.After(20 * time.Second)
	for !so() {
		select {
		case <-deadline:
			t.Fatalf("never %s", what)
		case <-time.After(time.Millisecond):
		}
	}
}

func TestAnEventIsSentUntilItIsTaken(t *testing.T) {
	for claim, c := range map[string]struct {
		statuses []int
		sent     int
		accepted bool
	}{
		"taken at once":              {[]int{200}, 1, true},
		"taken the third time":       {[]int{500, 401, 200}, 3, true},
		"success of another kind":    {[]int{204, 202, 200}, 3, true},
		"a redirect is not followed": {[]int{302, 200}, 2, true},
		"not found is the end":       {[]int{404}, 1, false},
		"not found after a failure":  {[]int{503, 404}, 2, false},
		"never taken":                {[]int{500}, 6, false},
	} {
		t.Run(claim, func(t *testing.T) {
			sim, r := begin(t, 5), receive(t, c.statuses...)
			sim.SetWebhook(t.Context(), portsipsim.Webhook{URL: r.URL, Auth: "DISABLE"})
			sim.StartCall("200")
			eventually(t, "came to an end", func() bool { s := sim.EventStats(); return s.Accepted+s.GivenUp == 1 })
			if s := sim.EventStats(); s.Sent != c.sent || (s.Accepted == 1) != c.accepted || len(r.said()) != c.sent {
				t.Errorf("%+v, %v", s, r.said())
			}
		})
	}
}

func TestACredentialIsSentAsTheTenantSays(t *testing.T) {
	basic := "Basic b2ZmaG9vazpzZXNhbWU="
	for claim, c := range map[string]struct {
		to   portsipsim.Webhook
		want []string
	}{
		"none":               {portsipsim.Webhook{Auth: "DISABLE"}, []string{""}},
		"a token":            {portsipsim.Webhook{Auth: "BEARER", Token: secret.NewValue("sesame")}, []string{"Bearer sesame"}},
		"a password":         {portsipsim.Webhook{Auth: "BASIC", Username: "offhook", Password: secret.NewValue("sesame")}, []string{basic}},
		"when it is asked":   {portsipsim.Webhook{Auth: "BASIC", Username: "offhook", Password: secret.NewValue("sesame"), Challenged: true}, []string{"", basic}},
		"a token not wanted": {portsipsim.Webhook{Auth: "BEARER", Token: secret.NewValue("sesame"), Challenged: true}, []string{"", ""}},
		"a digest":           {portsipsim.Webhook{Auth: "DIGEST", Username: "offhook", Password: secret.NewValue("sesame")}, []string{"", ""}},
	} {
		t.Run(claim, func(t *testing.T) {
			statuses := []int{200}
			if len(c.want) == 2 {
				statuses = []int{401, 200}
			}
			sim, r := begin(t, 1), receive(t, statuses...)
			c.to.URL = r.URL
			sim.SetWebhook(t.Context(), c.to)
			sim.StartCall("200")
			eventually(t, "arrived", func() bool { return sim.EventStats().Accepted == 1 })
			var got []string
			for _, one := range r.got {
				got = append(got, one.credential)
			}
			if !slices.Equal(got, c.want) {
				t.Errorf("sent %q, want %q", got, c.want)
			}
		})
	}
}

func TestEachFaultOfEventsIsWhatItSays(t *testing.T) {
	for kind, want := range map[portsipsim.EventFaultKind][]string{
		"":                         {"200ON_CALL<nil>", "201<nil>AWAY", "200<nil>"},
		portsipsim.Lost:            {"201<nil>AWAY", "200<nil>"},
		portsipsim.Twice:           {"200ON_CALL<nil>", "200ON_CALL<nil>", "201<nil>AWAY", "200<nil>"},
		portsipsim.Reordered:       {"201<nil>AWAY", "200ON_CALL<nil>", "200<nil>"},
		portsipsim.Late:            {"201<nil>AWAY", "200<nil>", "200ON_CALL<nil>"},
		portsipsim.GarbageEvent:    {"<nil> <nil>", "201<nil>AWAY", "200<nil>"},
		portsipsim.WrongCredential: {"200ON_CALL<nil>", "201<nil>AWAY", "200<nil>"},
	} {
		t.Run(string(kind), func(t *testing.T) {
			sim, r := begin(t, 1), receive(t, 200)
			sim.SetWebhook(t.Context(), portsipsim.Webhook{URL: r.URL, Auth: "BEARER", Token: secret.NewValue("sesame")})
			if kind != "" {
				sim.InjectEvent(portsipsim.EventFault{Kind: kind, Times: 1})
			}
			sim.StartCall("200")
			sim.Choose("201", presence.Away)
			sim.EndCalls("200")
			if kind == portsipsim.Late {
				eventually(t, "sent", func() bool { return len(r.said()) == 2 })
				if n := sim.LateEvents(); n != 1 {
					t.Errorf("%d were late", n)
				}
			}
			eventually(t, "arrived", func() bool { return len(r.said()) >= len(want) })
			if got := r.said(); !slices.Equal(got, want) {
				t.Errorf("arrived %q, want %q", got, want)
			}
			wrong := r.got[0].credential != "Bearer sesame"
			if wrong != (kind == portsipsim.WrongCredential) {
				t.Errorf("the first came with %q", r.got[0].credential)
			}
			if kind == portsipsim.Twice && (r.got[0].event["uuid"] == "" || r.got[0].event["uuid"] != r.got[1].event["uuid"] || r.got[2].event["uuid"] == r.got[1].event["uuid"]) {
				t.Errorf("ids: %v", r.got)
			}
		})
	}
}

func TestASwitchedOffWebhookIsSentNothing(t *testing.T) {
	sim, r := begin(t, 1), receive(t, 200)
	sim.SetWebhook(t.Context(), portsipsim.Webhook{URL: r.URL, Auth: "DISABLE", Disabled: true})
	sim.StartCall("200")
	sim.SetWebhook(t.Context(), portsipsim.Webhook{URL: r.URL, Auth: "DISABLE"})
	sim.EndCalls("200")
	eventually(t, "arrived", func() bool { return len(r.said()) > 0 })
	if got := r.said(); !slices.Equal(got, []string{"200<nil>"}) {
		t.Errorf("arrived %q", got)
	}
}
