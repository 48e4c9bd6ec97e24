package api_test

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"

	"offhook.dev/services/control-api/api"
	"offhook.dev/services/control-api/apitest"
)

func scene(t *testing.T) *apitest.Stage {
	t.Helper()
	return apitest.Start(t, func(s *apitest.Stage) { apitest.Scene(t, s) })
}

// get asks the API and decodes what comes, whatever the status is.
func get[T any](t *testing.T, url string) (int, T) {
	t.Helper()
	answer, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	var decoded T
	decoder := json.NewDecoder(strings.NewReader(string(body)))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&decoded); err != nil {
		t.Fatalf("%s: %v in %s", url, err, body)
	}
	return answer.StatusCode, decoded
}

// sse is a watch over HTTP.
type sse struct {
	t      *testing.T
	body   io.ReadCloser
	lines  *bufio.Reader
	cancel context.CancelFunc
}

// received is one server-sent event.
type received struct {
	id, name string
	change   api.Change
	problem  api.Problem
}

func watch(t *testing.T, url, lastID string) *sse {
	t.Helper()
	return watchWith(t, http.DefaultClient, url, lastID)
}

func watchWith(t *testing.T, client *http.Client, url, lastID string) *sse {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	if lastID != "" {
		r.Header.Set("Last-Event-ID", lastID)
	}
	answer, err := client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	if answer.StatusCode != http.StatusOK || answer.Header.Get("X-Accel-Buffering") != "no" {
		t.Fatalf("watch: %s, headers %v", answer.Status, answer.Header)
	}
	w := &sse{t, answer.Body, bufio.NewReader(answer.Body), cancel}
	t.Cleanup(w.close)
	if line := w.line(); line != "retry: 1000" {
		t.Fatalf("the stream begins with %q", line)
	}
	return w
}

func (w *sse) close() {
	w.cancel()
	_ = w.body.Close()
}

func (w *sse) line() string {
	w.t.Helper()
	line, err := w.lines.ReadString('\n')
	if err != nil {
		w.t.Fatalf("the stream ended: %v", err)
	}
	return strings.TrimSuffix(line, "\n")
}

// next returns the next event, comments left out.
func (w *sse) next() received {
	w.t.Helper()
	e, open := w.nextOrEnd()
	if !open {
		w.t.Fatal("the stream ended")
	}
	return e
}

// nextOrEnd is next, and false at the end of the stream.
func (w *sse) nextOrEnd() (received, bool) {
	w.t.Helper()
	var e received
	for {
		line, err := w.lines.ReadString('\n')
		if err != nil {
			return e, false
		}
		field, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), ": ")
		switch field {
		case "id":
			e.id = value
		case "event":
			e.name = value
		case "data":
			var into any = &e.change
			if e.name == "problem" {
				into = &e.problem
			}
			if err := json.Unmarshal([]byte(value), into); err != nil {
				w.t.Fatal(err)
			}
			return e, true
		}
	}
}
