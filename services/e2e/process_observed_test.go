package e2e

import (
	"fmt"
	"maps"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	tracepb "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	"go.yaml.in/yaml/v3"
	"google.golang.org/protobuf/proto"

	"offhook.dev/services/e2e/procs"
)

// everything are the profiles of containers that serve.
var everything = []string{"core", "sim", "observability"}

// flow are the services that a change passes, and that have metrics of their own.
var flow = []string{"webhook-receiver", "graph-poller", "presence-mapper", "user-sync", "contact-sync", "pbx-writer", "graph-writer", "control-api"}

// everythingIsObserved runs the containers with a real Prometheus, on the compose
// file's own configuration, and listens where its collector would.
func everythingIsObserved(t *testing.T, binaries procs.Binaries) {
	s := procs.New(t, procs.Options{
		Root: root(t), Profiles: append([]string{"cli"}, everything...), Binaries: binaries, Without: slices.Collect(maps.Keys(notStarted)),
		Environment: map[string]string{"OFFHOOK_OTLP_ENDPOINT": "http://otel-collector:4317"},
	})
	spans := collectSpans(t, s.Address("otel-collector:4317"))
	s.Up()
	// Before a first decision a change would be decided because of the link or of what
	// the phone shows, which have traces of their own.
	s.Eventually(30*time.Second, func() string {
		if output, err := s.Run("offhook", "status", "anna", "-o", "json"); err != nil || !strings.Contains(output, `"wanted":"available"`) && !strings.Contains(output, `"wanted": "available"`) {
			return fmt.Sprintf("%v: %s", err, output)
		}
		return ""
	})
	if output, err := s.Run("offhook", "sim", "presence", "set", "anna", "Busy/InAMeeting"); err != nil {
		t.Fatalf("%v: %s", err, output)
	}
	s.Eventually(30*time.Second, func() string {
		if together := spans.together(t); !slices.Contains(together, "graph-poller presence-mapper pbx-writer") && !slices.Contains(together, "webhook-receiver presence-mapper pbx-writer") {
			return fmt.Sprintf("no trace goes from Graph to the phone system; there are %q", together)
		}
		return ""
	})
	if s.Process("prometheus") == nil {
		return // it is not to be had here, which procs has said
	}
	s.Eventually(60*time.Second, func() string { return scraped(t, s) })
	s.Eventually(60*time.Second, func() string {
		values, err := s.Query(t.Context(), `sum by (service) (offhook_change_latency_seconds_count)`)
		if must(t, err); values["pbx-writer"] == "" || values["pbx-writer"] == "0" {
			return fmt.Sprintf("Prometheus knows of no change that reached the phone system: %v", values)
		}
		return ""
	})
}

// scraped says which service Prometheus does not reach.
func scraped(t *testing.T, s *procs.Stack) string {
	targets, err := s.Targets(t.Context())
	must(t, err)
	up := map[string]bool{}
	for _, target := range targets {
		if target.Health != "up" {
			return fmt.Sprintf("%s is %s: %s", target.Labels["service"], target.Health, target.LastError)
		}
		up[target.Labels["service"]] = true
	}
	for _, name := range flow {
		if !up[name] {
			return name + " is not scraped"
		}
	}
	return ""
}

// together lists which services were seen in one trace, in the order of a change; each
// combination once.
func (c *collector) together(t *testing.T) []string {
	order := []string{"webhook-receiver", "graph-poller", "presence-mapper", "pbx-writer"}
	found := map[string]bool{}
	for _, services := range c.traces(t) {
		found[strings.Join(slices.DeleteFunc(slices.Clone(order), func(name string) bool { return !services[name] }), " ")] = true
	}
	return slices.Sorted(maps.Keys(found))
}

// traces are the services of each trace that was exported, by its id.
func (c *collector) traces(t *testing.T) map[string]map[string]bool {
	c.mu.Lock()
	exports := slices.Clone(c.exports)
	c.mu.Unlock()
	of := map[string]map[string]bool{}
	for _, export := range exports {
		var r tracepb.ExportTraceServiceRequest
		must(t, proto.Unmarshal(export, &r))
		for _, resource := range r.GetResourceSpans() {
			service := ""
			for _, attribute := range resource.GetResource().GetAttributes() {
				if attribute.GetKey() == "service.name" {
					service = strings.TrimPrefix(attribute.GetValue().GetStringValue(), "offhook-")
				}
			}
			for _, scope := range resource.GetScopeSpans() {
				for _, span := range scope.GetSpans() {
					id := string(span.GetTraceId())
					if of[id] == nil {
						of[id] = map[string]bool{}
					}
					of[id][service] = true
				}
			}
		}
	}
	return of
}

func readYAML(t *testing.T, into any, path ...string) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(append([]string{root(t), "deploy"}, path...)...))
	must(t, err)
	must(t, yaml.Unmarshal(text, into))
}

// collectorConfiguration is as much of the collector's configuration as has to fit
// together (opentelemetry.io/docs/collector/configuration).
type collectorConfiguration struct {
	Receivers  map[string]any
	Processors map[string]any
	Exporters  map[string]struct{ Endpoint string }
	Service    struct {
		Pipelines map[string]struct{ Receivers, Processors, Exporters []string }
	}
}

// problems lists what the pipelines name and nothing defines, what is defined and no
// pipeline names, and where spans would go that no container listens.
func (c collectorConfiguration) problems(containers []string) (list []string) {
	used := map[string]bool{}
	for name, p := range c.Service.Pipelines {
		for kind, part := range map[string]struct {
			names []string
			among func(string) bool
		}{
			"receiver":  {p.Receivers, func(n string) bool { _, ok := c.Receivers[n]; return ok }},
			"processor": {p.Processors, func(n string) bool { _, ok := c.Processors[n]; return ok }},
			"exporter":  {p.Exporters, func(n string) bool { _, ok := c.Exporters[n]; return ok }},
		} {
			for _, n := range part.names {
				if used[kind+" "+n] = true; !part.among(n) {
					list = append(list, fmt.Sprintf("pipeline %s: there is no %s %s", name, kind, n))
				}
			}
		}
	}
	for kind, names := range map[string][]string{"receiver": slices.Collect(maps.Keys(c.Receivers)), "processor": slices.Collect(maps.Keys(c.Processors)), "exporter": slices.Collect(maps.Keys(c.Exporters))} {
		for _, n := range names {
			if !used[kind+" "+n] {
				list = append(list, fmt.Sprintf("no pipeline uses the %s %s", kind, n))
			}
		}
	}
	for name, e := range c.Exporters {
		if host, _, err := net.SplitHostPort(e.Endpoint); err != nil || !slices.Contains(containers, host) {
			list = append(list, fmt.Sprintf("exporter %s: %q is no container", name, e.Endpoint))
		}
	}
	return list
}

func TestTheCollectorsConfigurationIsWhole(t *testing.T) {
	var c collectorConfiguration
	readYAML(t, &c, "otel", "collector.yaml")
	containers := allContainers(t)
	if problems := c.problems(containers); len(problems) > 0 || len(c.Service.Pipelines) == 0 {
		t.Errorf("deploy/otel/collector.yaml: %d pipelines, %v", len(c.Service.Pipelines), problems)
	}
	traces := c.Service.Pipelines["traces"]
	traces.Processors = append(traces.Processors, "forgotten")
	c.Service.Pipelines["traces"] = traces
	if problems := c.problems(containers[:0]); len(problems) != 2 {
		t.Errorf("a processor that is not there and an exporter to nobody are not noticed: %v", problems)
	}
}

func TestGrafanasSourcesAreOfTheComposeFile(t *testing.T) {
	var c struct{ Datasources []struct{ Name, URL string } }
	readYAML(t, &c, "grafana", "datasources.yaml")
	containers := allContainers(t)
	for _, source := range c.Datasources {
		if at, err := url.Parse(source.URL); err != nil || !slices.Contains(containers, at.Hostname()) {
			t.Errorf("deploy/grafana/datasources.yaml: %s is at %s, which is no container", source.Name, source.URL)
		}
	}
	if len(c.Datasources) == 0 {
		t.Error("deploy/grafana/datasources.yaml has no data sources")
	}
}

func TestPrometheusTakesItsConfiguration(t *testing.T) {
	promtool, err := exec.LookPath("promtool")
	if err != nil {
		if os.Getenv("CI") != "" {
			t.Fatal(err)
		}
		t.Log("no promtool on PATH; get it with: apt-get install prometheus. The file is not checked.")
		return
	}
	file := filepath.Join(root(t), "deploy", "otel", "prometheus.yml")
	if output, err := exec.Command(promtool, "check", "config", file).CombinedOutput(); err != nil {
		t.Errorf("%v: %s", err, output)
	}
}

func allContainers(t *testing.T) []string {
	t.Helper()
	project, err := procs.Load(t.Context(), composeFile(t), nil, "*")
	must(t, err)
	return project.ServiceNames()
}
