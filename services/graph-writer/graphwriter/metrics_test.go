package graphwriter

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"offhook.dev/libs/core/fault"
	"offhook.dev/libs/run"
	"offhook.dev/libs/wire"
)

func TestWritesAndLatencyAreCounted(t *testing.T) {
	telemetry, err := run.NewTelemetry(t.Context(), run.TelemetryOptions{Process: "graph-writer", Instance: "test", LogTo: t.Output(), LogText: true})
	if err != nil {
		t.Fatal(err)
	}
	defer telemetry.Close(t.Context())
	s := newStage(t)
	s.meter = telemetry.Meter("graph-writer")
	s.run("a")
	w := s.calling(0)
	w.Preferred, w.PreferredUntil = dnd, w.SessionUntil
	s.ends(s.publish(w), wire.Applied)
	s.ends(s.publish(s.calling(0)), wire.Applied) // the choice ends
	s.teams.fails(fault.New(fault.Denied, "test", nil))
	s.ends(s.publish(s.want(0)), wire.Failed)

	mux := http.NewServeMux()
	telemetry.Register(mux)
	answer := httptest.NewRecorder()
	mux.ServeHTTP(answer, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/metrics", nil))
	for _, c := range []struct{ name, labels, value string }{
		{"offhook_graph_writes_total", `result="applied",target="session",tenant="contoso"`, " 1"},
		{"offhook_graph_writes_total", `result="applied",target="preferred",tenant="contoso"`, " 2"},
		{"offhook_graph_writes_total", `result="already",target="session",tenant="contoso"`, " 1"},
		{"offhook_graph_writes_total", `result="failed",target="session",tenant="contoso"`, " 1"},
		{"offhook_change_latency_seconds_count", `direction="pbx-to-m365"`, " 1"},
		{"offhook_change_latency_seconds_count", `source="manual"`, " 2"},
	} {
		if !counted(answer.Body.String(), c.name, c.labels, c.value) {
			t.Errorf("no %s{%s}%s in\n%s", c.name, c.labels, c.value, answer.Body.String())
		}
	}
	if counted(answer.Body.String(), "offhook_graph_writes_total", `target="nothing"`, " 1") {
		t.Error("the test finds what is not there")
	}
}

// counted says whether a line of the metrics has a name, labels and a value.
func counted(text, name, labels, value string) bool {
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		holds := true
		for _, label := range strings.Split(labels, ",") {
			holds = holds && strings.Contains(line, label)
		}
		if strings.HasPrefix(line, name+"{") && holds && strings.HasSuffix(line, value) {
			return true
		}
	}
	return false
}
