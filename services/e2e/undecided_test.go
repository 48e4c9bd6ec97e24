package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"time"

	meter "go.opentelemetry.io/otel/metric/noop"
	tracer "go.opentelemetry.io/otel/trace/noop"

	"offhook.dev/libs/bus/bustest"
	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/core/presence"
	"offhook.dev/libs/hot"
	"offhook.dev/libs/run"
	"offhook.dev/services/control-api/api"
	"offhook.dev/services/control-api/apitest"
	"offhook.dev/services/presence-mapper/mapper"
)

// Whatever option of a tenant changes, control-api says how many are not decided under it
// yet, until presence-mapper has decided again about all of them: also about those for
// whom nothing else changes. Without the mapper the number stays.
func TestAfterAnyChangeOfOptionsItIsToldWhenAllAreDecidedAgain(t *testing.T) {
	s := apitest.Start(t, func(s *apitest.Stage) { apitest.Scene(t, s) })
	const path = "/api/v1/options/tenants/contoso"
	undecided := func() int {
		t.Helper()
		answer, err := http.Get(s.URL + path + "?undecided=true")
		if err != nil {
			t.Fatal(err)
		}
		defer answer.Body.Close()
		var entry api.OptionsEntry
		if err := json.NewDecoder(answer.Body).Decode(&entry); err != nil || entry.Undecided == nil {
			t.Fatalf("%s: %v, %+v", answer.Status, err, entry)
		}
		return *entry.Undecided
	}
	decidedAgain := func(after string) {
		t.Helper()
		bustest.Eventually(t, 20*time.Second, func() string {
			if n := undecided(); n > 0 {
				return fmt.Sprintf("after %s %d are not decided", after, n)
			}
			return ""
		})
	}
	set := func(body string) {
		t.Helper()
		request, err := http.NewRequestWithContext(t.Context(), http.MethodPut, s.URL+path, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		request.Header.Set("Content-Type", "application/json")
		answer, err := http.DefaultClient.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		if answer.Body.Close(); answer.StatusCode != http.StatusOK {
			t.Fatalf("%s: %s", body, answer.Status)
		}
	}
	decides := func() (stop func()) {
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		deps := run.Deps{Instance: "test", Bus: s.Bus, Hot: hot.InProcess(), Log: slog.New(slog.NewTextHandler(t.Output(), nil)), Health: run.NewHealth(),
			Tracer: tracer.NewTracerProvider().Tracer(""), Meter: meter.NewMeterProvider().Meter("")}
		go func() {
			ended <- mapper.Run(ctx, deps, mapper.Options{Presence: func(identity.Person) presence.Options { return presence.DefaultOptions() }})
		}()
		return func() {
			cancel()
			if err := <-ended; err != nil {
				t.Errorf("presence-mapper: %v", err)
			}
		}
	}
	stop := decides()
	decidedAgain("the start")
	changes := []string{`{"teams":{"BeRightBack":"lunch"}}`, `{"base":"away"}`, `{"combine":"strongest"}`, `{"mode":"both"}`, `{"calendar":{"oof":"dnd"}}`,
		`{"pbx":{"lunch":"Away"}}`, `{"manual":{"max":"05:00"}}`, `{"damping":"3s"}`, `{"stale_after":"1h"}`}
	for _, change := range changes {
		set(change)
		decidedAgain(change)
	}
	set(`{}`)
	decidedAgain("all of it")
	stop()
	for _, change := range changes {
		if set(change); undecided() == 0 {
			t.Errorf("nobody decides, and after %s nobody is undecided", change)
		}
	}
}
