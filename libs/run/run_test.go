package run

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"offhook.dev/libs/bus/bustest"
	"offhook.dev/libs/config"
)

func TestReadinessNamesWhatFails(t *testing.T) {
	h := NewHealth()
	well := true
	h.Ask("mapper: broker", func() error {
		if !well {
			return errors.New("not connected")
		}
		return nil
	})
	mux := http.NewServeMux()
	h.Register(mux)
	ask := func(path string) (int, map[string]any) {
		t.Helper()
		w := httptest.NewRecorder()
		mux.ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, nil))
		var body map[string]any
		if err := json.Unmarshal(w.Body.Bytes(), &body); err != nil {
			t.Fatal(err)
		}
		return w.Code, body
	}
	if code, _ := ask("/readyz"); code != http.StatusOK {
		t.Fatalf("ready: %d", code)
	}
	h.Set("writer: system hq", errors.New("refused"))
	well = false
	code, body := ask("/readyz")
	failing, _ := body["failing"].(map[string]any)
	if code != http.StatusServiceUnavailable || failing["writer: system hq"] != "refused" || failing["mapper: broker"] != "not connected" {
		t.Fatalf("failing: %d %v", code, body)
	}
	if code, _ := ask("/livez"); code != http.StatusOK {
		t.Fatalf("what fails keeps a process from being ready, not alive: %d", code)
	}
	h.Set("writer: system hq", nil)
	well = true
	if code, _ := ask("/readyz"); code != http.StatusOK {
		t.Fatalf("well again: %d", code)
	}
}

func TestTheFirstPartToBreakStopsTheOthersAndIsNamed(t *testing.T) {
	stopped := make(chan struct{})
	parts := []Part{
		{Name: "waits", Start: func(ctx context.Context, _ Deps, _ config.Config) error { <-ctx.Done(); close(stopped); return nil }},
		{Name: "breaks", Start: func(context.Context, Deps, config.Config) error { return errors.New("no disk") }},
	}
	c := config.Default()
	c.Telemetry.MetricsListen = ""
	err := Process(t.Context(), c, Options{Name: "test", Instance: "a", LogTo: t.Output(), Broker: bustest.Broker(t)}, parts...)
	if err == nil || !strings.Contains(err.Error(), "breaks: no disk") {
		t.Fatalf("%v", err)
	}
	<-stopped
}

func TestAProcessThatIsAskedToStopEndsWithoutAnError(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	c := config.Default()
	c.Telemetry.MetricsListen = "127.0.0.1:0"
	err := Process(ctx, c, Options{Name: "test", Instance: "a", LogTo: t.Output(), Broker: bustest.Broker(t)},
		Part{Name: "waits", Start: func(ctx context.Context, d Deps, _ config.Config) error { cancel(); <-ctx.Done(); return ctx.Err() }})
	if err != nil {
		t.Fatal(err)
	}
}

func TestExitCodes(t *testing.T) {
	bad := filepath.Join(t.TempDir(), "bad.yaml")
	if err := os.WriteFile(bad, []byte("natz: {}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	picky := filepath.Join(t.TempDir(), "picky.yaml")
	if err := os.WriteFile(picky, []byte("data_dir: /mars\nnats: {url: \"nats://127.0.0.1:1\"}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	part := Part{Name: "test", Start: func(context.Context, Deps, config.Config) error { t.Error("it was started"); return nil },
		Check: func(c config.Config) []config.Problem {
			if c.DataDir != "/mars" {
				return nil
			}
			return []config.Problem{{Key: "data_dir", What: "too far away", Fix: "come closer"}}
		}}
	for name, args := range map[string][]string{
		"an unknown flag":                  {"--nonsense"},
		"a configuration with a wrong key": {"--config", bad},
		"what only the service can judge":  {"--config", picky},
		"no broker":                        {},
	} {
		if code := main(part, args); code != 2 {
			t.Errorf("%s: exit code %d, want 2", name, code)
		}
	}
}

// What a service finds stands beside what the configuration is found to be by itself,
// each with its line.
func TestTheProblemsOfServicesAreReportedTogetherWithAllOthers(t *testing.T) {
	file := filepath.Join(t.TempDir(), "bad.yaml")
	if err := os.WriteFile(file, []byte("natz: {}\n\nredis: {url: nonsense}\ndata_dir: /mars\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	far := Part{Name: "test", Check: func(config.Config) []config.Problem {
		return []config.Problem{
			{Key: "data_dir", What: "too far away", Fix: "come closer"},
			{Key: "redis.url", What: "found by Load already", Fix: "say it once"},
			{Key: "control.public_url", What: "it is missing", Fix: "write it"},
		}
	}}
	_, err := config.Load(file, nil, nil, Checks(far, Part{Name: "without a check"})...)
	var problems config.Problems
	if !errors.As(err, &problems) {
		t.Fatalf("got %v", err)
	}
	var got []string
	for _, p := range problems {
		got = append(got, fmt.Sprintf("%s:%d %s", p.Source, p.Line, p.Key))
	}
	want := []string{"bad.yaml:1 natz", "bad.yaml:1 control.public_url", "bad.yaml:3 redis.url", "bad.yaml:4 data_dir"}
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestTheCollectorIsSetForAServiceAloneAndByNobodyElse(t *testing.T) {
	lean, other := Part{Garbage: 25}, Part{}
	for _, c := range []struct {
		claim string
		gogc  string
		parts []Part
		want  int
	}{
		{"a service that says so has its way", "", []Part{lean}, 25},
		{"one that says nothing leaves it as it is", "", []Part{other}, 0},
		{"beside another it does not count", "", []Part{lean, other}, 0},
		{"who runs the service knows better", "80", []Part{lean}, 0},
	} {
		t.Setenv("GOGC", c.gogc)
		if got := garbage(c.parts); got != c.want {
			t.Errorf("not so: %s: %d", c.claim, got)
		}
	}
}

func TestAProcessThatIsAskedToStopWhileItStartsHasNotFailed(t *testing.T) {
	broker := bustest.Broker(t)
	for _, after := range []time.Duration{0, 5 * time.Millisecond, 50 * time.Millisecond} { // before, and during the layout
		ctx, stop := context.WithTimeout(t.Context(), after)
		part := Part{Name: "test", Start: func(ctx context.Context, _ Deps, _ config.Config) error { <-ctx.Done(); return nil }}
		if err := Process(ctx, config.Config{}, Options{Name: "test", Instance: "a", LogTo: t.Output(), Broker: broker}, part); err != nil {
			t.Errorf("stopped after %v: %v", after, err)
		}
		stop()
	}
}
